/* directory.h: asks a directory plugin that is linked into the test
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TEST_DIRECTORY_H
#define TEST_DIRECTORY_H

#include <posthorn/directory.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>

extern const PhPlugin ph_plugin;

static inline const PhDirectory *
directory_table(void)
{
	return ph_plugin.offers[0].directory;
}

/* @address_out: (nullable, out, owned) */
static inline PhVerify
directory_verify(void *instance, const char *user, const char *password, char **address_out)
{
	g_autoptr(PhSecret) secret = ph_secret_new(ph_slice(password));
	g_autoptr(PhIdentity) identity = NULL;
	g_autoptr(GError) error = NULL;
	PhVerify result = directory_table()->verify(instance, user, secret, &identity, &error);

	g_assert_cmpint(result == PH_VERIFY_OK, ==, identity != NULL);
	g_assert_cmpint(result == PH_VERIFY_ERROR, ==, error != NULL);
	if (address_out != NULL)
		*address_out = identity != NULL ? g_strdup(ph_identity_address(identity)) : NULL;
	return result;
}

/* Returns: (owned, nullable) the identity of a user who is known. */
static inline PhIdentity *
directory_lookup(void *instance, const char *user)
{
	PhIdentity *identity = NULL;
	PhVerify result = directory_table()->lookup(instance, user, &identity, NULL);

	g_assert_cmpint(result == PH_VERIFY_OK, ==, identity != NULL);
	return identity;
}

static inline bool
directory_add_name(const char *address, void *user_data)
{
	GString *names = user_data;

	g_string_append_printf(names, "%s%s", names->len > 0 ? " " : "", address);
	return true;
}

#endif
