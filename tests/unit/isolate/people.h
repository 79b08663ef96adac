/* people.h: a directory in memory, and its section with or without processes of its own
 *
 * Processes are forked from the test. A test that wants to be the other end itself sets
 * people.replies, which is called with it instead.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TEST_ISOLATE_PEOPLE_H
#define TEST_ISOLATE_PEOPLE_H

#include <posthorn/directory.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "config/config.h"
#include "isolate/child.h"
#include "isolate/isolate.h"
#include "plugin/adopt.h"
#include "plugin/instance.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
	void (*replies)(int fd); /* (nullable) what plays the child; the descriptor stays open */
	int version_ms;          /* how long a process thinks of its version */
	int kills;               /* atomic: the carrier of questions kills too */
	pid_t pid;
} people;

static bool
people_create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	*instance_out = NULL;
	return true;
}

static void
people_destroy(void *instance)
{
}

static PhVerify
people_lookup(void *instance, const char *address, PhIdentity **identity_out, GError **error)
{
	static const char *const groups[] = { "staff", "wheel", NULL };
	static const char *const attributes[] = { "colour", "blue", NULL };
	static const char *const senders[] = { "@example.org", NULL };
	static const char *const aliases[] = { "a@example.org", NULL };
	const PhIdentityValues values = {
		.size = sizeof values,
		.user = address,
		.domain = "example.org",
		.full_name = "Anna",
		.quota_octets = 7,
		.quota_messages = 8,
		.groups = groups,
		.attributes = attributes,
		.senders = senders,
		.aliases = aliases,
	};

	if (strcmp(address, "nobody") == 0)
		return PH_VERIFY_UNKNOWN_USER;
	if (strcmp(address, "slow") == 0)
		(void) poll(NULL, 0, 100);
	if (strcmp(address, "hang") == 0)
		(void) poll(NULL, 0, 60000);
	if (strcmp(address, "crash") == 0)
		_exit(1);
	if (strcmp(address, "away") == 0) {
		ph_error_set(error, PH_ERROR_LIMIT, "it is away");
		return PH_VERIFY_ERROR;
	}
	*identity_out = ph_identity_new(&values, error);
	return *identity_out != NULL ? PH_VERIFY_OK : PH_VERIFY_ERROR;
}

static PhVerify
people_verify(void *instance,
              const char *user,
              const PhSecret *secret,
              PhIdentity **identity_out,
              GError **error)
{
	if (!ph_slice_is(ph_secret_slice(secret), "secret"))
		return PH_VERIFY_WRONG;
	return people_lookup(instance, user, identity_out, error);
}

static PhVerify
people_secret(void *instance,
              const char *user,
              const char *scheme,
              PhSecret **secret_out,
              GError **error)
{
	if (strcmp(scheme, "PLAIN") != 0)
		return PH_VERIFY_UNKNOWN_USER;
	*secret_out = ph_secret_new(PH_SLICE("se\0cret", 7));
	return PH_VERIFY_OK;
}

static PhVerify
people_expand(void *instance, const char *address, PhListFunc func, void *user_data, GError **error)
{
	if (strcmp(address, "endless") == 0)
		while (func("anna@example.org", user_data))
			;
	return func("one@example.org", user_data) && func("two@example.org", user_data)
	               ? PH_VERIFY_OK
	               : PH_VERIFY_UNKNOWN_USER;
}

static bool
people_list(void *instance, PhListFunc func, void *user_data, GError **error)
{
	for (unsigned int i = 0; i < 10000; i++) {
		g_autofree char *address = g_strdup_printf("user%u@example.org", i);

		if (!func(address, user_data))
			return true;
	}
	return true;
}

static bool
people_set(void *instance, const char *address, const char *hash, bool create, GError **error)
{
	if (!create && strcmp(address, "anna") != 0)
		ph_error_set(error, PH_ERROR_NOT_FOUND, "no '%s'", address);
	return create || strcmp(address, "anna") == 0;
}

static bool
people_remove(void *instance, const char *address, GError **error)
{
	return people_set(instance, address, "", false, error);
}

/* Its own in each process. */
static uint64_t
people_version(void *instance)
{
	(void) poll(NULL, 0, people.version_ms);
	return (uint64_t) getpid();
}

static bool
people_gives(void *instance, const char *scheme)
{
	return strcmp(scheme, "PLAIN") == 0;
}

static const PhDirectory people_table = {
	.size = sizeof people_table,
	.create = people_create,
	.destroy = people_destroy,
	.verify = people_verify,
	.lookup = people_lookup,
	.secret = people_secret,
	.expand = people_expand,
	.list = people_list,
	.set = people_set,
	.remove = people_remove,
	.version = people_version,
	.gives = people_gives,
};
static const PhOffer people_offers[] = {
	PH_OFFER_DIRECTORY("people", &people_table),
	PH_OFFERS_END,
};
static const PhPlugin people_plugin = { .abi = PH_ABI, .name = "people", .offers = people_offers };

/* --- processes -------------------------------------------------------------------------------- */

static void
people_fork(const PhIsolateOrder *order, const int *ends)
{
	people.pid = fork();
	if (people.pid != 0) {
		close(ends[1]);
		return;
	}
	close(ends[0]);
	(void) ph_isolate_serve(order->section, ends[1]);
	_exit(0);
}

static bool
people_start(const PhIsolateOrder *order, GError **error)
{
	for (uint32_t i = 0; i < order->n; i++) {
		int ends[2];

		if (!ph_link_open(ends, error))
			return false;
		if (people.replies != NULL)
			people.replies(ends[1]);
		else
			people_fork(order, ends);
		ph_isolate_told(order->id, i, people.pid, ends[0]);
	}
	return true;
}

static void
people_kill(uint64_t id, int64_t pid)
{
	g_atomic_int_inc(&people.kills);
	if (people.replies == NULL)
		(void) kill((pid_t) pid, SIGKILL);
}

static void
people_end(uint64_t id)
{
	while (people.replies == NULL && waitpid(-1, NULL, 0) > 0)
		;
}

static const PhIsolateControl people_control = { people_start, people_kill, people_end };

/* --- the section -------------------------------------------------------------------------------- */

static void
people_open_source(void *user_data, const char *const *folders, uid_t user)
{
}

static const PhOfferInfo *
people_find(void *user_data, uint32_t kind, const char *name, GError **error)
{
	static const PhAdopted *adopted;

	if (adopted == NULL)
		adopted = ph_adopt(&people_plugin, "/people.so", NULL);
	return &adopted->offers[0];
}

static char **
people_names(void *user_data, uint32_t kind)
{
	return g_new0(char *, 1);
}

/* people_section: with its instance. @keys: "isolate = 1\n". *@config_out: (owned). */
static PhSection *
people_section(const char *keys, PhConfig **config_out)
{
	const PhOfferSource source = { people_open_source, people_find, people_names, NULL };
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new("test");
	g_autofree char *data = g_dir_make_tmp("posthorn-test-XXXXXX", NULL);
	g_autofree char *text = g_strdup_printf("[server]\nhostname = h\ndata = %s\n"
	                                        "[directory people]\nplugin = people\n%s",
	                                        data, keys);
	PhSection *section = NULL;

	ph_isolate_open(&people_control);
	*config_out = ph_config_parse_for_tool(ph_slice(text), "/", &source, mistakes);
	(void) rmdir(data);
	if (*config_out == NULL)
		return NULL;
	section = ph_config_section(*config_out, "directory", "people");
	return ph_instances_create_one(section, NULL) ? section : NULL;
}

static void
people_clear(PhSection *section, PhConfig *config)
{
	ph_instances_release_one(section);
	ph_config_unref(config);
}

#endif
