/* routing.h: a directory and a transport in memory, for tests of the router and of mails
 *
 * Users are those of a table; "list", "loop" and so on are aliases. The transport gives each
 * recipient the result that its name asks for, at once or from another thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_TESTS_ROUTING_H
#define PH_TESTS_ROUTING_H

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "config/section.h"
#include "plugin/calls.h"
#include "server/mail.h"

#include <string.h>

typedef struct {
	const char *name;
	const char *members; /* separated by blanks */
} Alias;

static const char *const fake_users[] = { "alice@example.org",  "bob@example.org",
	                                  "carol@example.net",  "root@example.org",
	                                  "temp@example.org",   "perm@example.org",
	                                  "unsure@example.org", "catch@example.org" };

static const Alias fake_aliases[] = {
	{ "list@example.org", "alice bob@example.org carol@example.net" },
	{ "self@example.org", "self alice" },
	{ "loop1@example.org", "loop2" },
	{ "loop2@example.org", "loop1" },
	{ "deep@example.org", "list self alice" },
	{ "abroad@example.org", "alice somebody@example.com" },
	{ "dead@example.org", "alice nobody" },
};

static inline PhVerify
fake_lookup(void *instance, const char *address, PhIdentity **identity_out, GError **error)
{
	PhSlice rest = ph_slice(address);
	PhSlice user = ph_slice_split(&rest, '@');
	g_autofree char *name = ph_slice_dup(user);
	PhIdentityValues values = { .size = sizeof values, .user = name };

	if (strcmp(address, "locked@example.org") == 0)
		return PH_VERIFY_DISABLED;
	if (strcmp(address, "away@example.org") == 0) {
		g_set_error_literal(error, PH_ERROR, PH_ERROR_TEMPORARY, "directory is away");
		return PH_VERIFY_ERROR;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(fake_users); i++) {
		if (strcmp(fake_users[i], address) != 0)
			continue;
		values.domain = address + user.length + 1;
		*identity_out = ph_identity_new(&values, error);
		return PH_VERIFY_OK;
	}
	return PH_VERIFY_UNKNOWN_USER;
}

static inline PhVerify
fake_expand(void *instance, const char *address, PhListFunc func, void *user_data, GError **error)
{
	for (size_t i = 0; i < G_N_ELEMENTS(fake_aliases); i++) {
		g_auto(GStrv) members = NULL;

		if (strcmp(fake_aliases[i].name, address) != 0)
			continue;
		members = g_strsplit(fake_aliases[i].members, " ", -1);
		for (char **member = members; *member != NULL; member++)
			if (!func(*member, user_data))
				break;
		return PH_VERIFY_OK;
	}
	return PH_VERIFY_UNKNOWN_USER;
}

static const PhDirectory fake_directory = {
	.size = sizeof fake_directory,
	.lookup = fake_lookup,
	.expand = fake_expand,
};

/* FakeTransport: what it was given, and what it answers from now on. */
typedef struct {
	GPtrArray *delivered; /* "identity <address>" */
	GString *notify;      /* "identity=NOTIFY " of those that have the parameter */
	bool is_healed;       /* "temp" and "unsure" are delivered too */
	uint8_t transaction[16];
} FakeTransport;

static inline GError *
fake_error(const FakeTransport *fake, const char *address)
{
	if (!fake->is_healed && g_str_has_prefix(address, "temp@"))
		return g_error_new_literal(PH_ERROR, PH_ERROR_TEMPORARY, "store is away");
	if (!fake->is_healed && g_str_has_prefix(address, "unsure@"))
		return g_error_new_literal(PH_ERROR, PH_ERROR_OUTCOME_UNKNOWN, "who knows");
	if (g_str_has_prefix(address, "perm@"))
		return g_error_new_literal(PH_ERROR, PH_ERROR_TOO_LARGE, "never");
	return NULL;
}

static inline void
fake_deliver(void *instance, PhDelivery *delivery)
{
	FakeTransport *fake = instance;
	size_t n = ph_delivery_n_recipients(delivery);

	for (size_t i = 0; i < n; i++) {
		const char *address = ph_delivery_recipient(delivery, i);
		const PhIdentity *identity = ph_delivery_identity(delivery, i);
		const char *notify = ph_delivery_recipient_parameter(delivery, i, "NOTIFY");
		g_autoptr(GError) error = fake_error(fake, address);

		if (notify != NULL)
			g_string_append_printf(fake->notify, "%s=%s ",
			                       ph_identity_address(identity), notify);
		if (g_str_has_prefix(address, "unsure@"))
			memcpy(fake->transaction, ph_delivery_transaction(delivery, i),
			       sizeof fake->transaction);
		if (error == NULL)
			g_ptr_array_add(fake->delivered,
			                g_strdup(identity != NULL ? ph_identity_address(identity)
			                                          : address));
		ph_delivery_complete(delivery, i, error);
	}
}

static const PhTransport fake_begin = { .size = sizeof fake_begin, .begin = fake_deliver };
static const PhTransport fake_blocking = { .size = sizeof fake_blocking, .deliver = fake_deliver };

static inline FakeTransport *
fake_transport_new(void)
{
	FakeTransport *fake = g_new0(FakeTransport, 1);

	fake->delivered = g_ptr_array_new_with_free_func(g_free);
	fake->notify = g_string_new(NULL);
	return fake;
}

static inline void
fake_transport_free(FakeTransport *fake)
{
	g_ptr_array_unref(fake->delivered);
	g_string_free(fake->notify, TRUE);
	g_free(fake);
}

/* A section that calls can be counted for. */
static inline PhSection *
fake_section(void)
{
	static PhSection section = { .word = "directory",
		                     .name = "fake",
		                     .kind = PH_KIND_DIRECTORY,
		                     .narrowed = (void *) (uintptr_t) &fake_directory };

	if (section.calls == NULL)
		section.calls = ph_calls_new(0, (PhDuration){ 0 });
	return &section;
}

/* example.org and example.net with users and aliases, "*" as @others says. */
static inline PhRouter *
fake_router(PhPartial *partial, FakeTransport *fake, const char *others)
{
	static const char *const org[] = { "Example.ORG", NULL };
	static const char *const net[] = { "example.net", NULL };
	static const char *const any[] = { "*", NULL };
	PhSection *directory = fake_section();
	PhRouteParams params = { .section = fake_section(),
		                 .domains = org,
		                 .postmaster = "root",
		                 .separators = "+",
		                 .directories = &directory,
		                 .n_directories = 1,
		                 .transport = &fake_begin,
		                 .instance = fake };
	PhRouter *router = ph_router_new(partial);
	g_autoptr(GError) error = NULL;

	g_assert_true(ph_router_add(router, &params, &error));
	params.domains = net;
	params.transport = &fake_blocking;
	g_assert_true(ph_router_add(router, &params, &error));
	if (others != NULL) {
		params.domains = any;
		params.catch_all = others;
		params.n_directories = 0;
		g_assert_true(ph_router_add(router, &params, &error));
	}
	g_assert_no_error(error);
	return router;
}

#endif
