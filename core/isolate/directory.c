/* directory.c: the table of a directory whose plugin runs in children
 *
 * What it cannot do itself stays NULL, so that the server offers what it would offer without
 * isolation.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "isolate/directory.h"

#include <posthorn/directory.h>
#include <posthorn/error.h>

#include "isolate/isolate.h"
#include "plugin/adopt.h"

enum {
	ITEMS_MAX = 1000000 /* of one answer */
};

/* The answer of a call that was begun and written; false when none came. */
static bool
ask(PhIsolateCall *call, GError **error)
{
	uint64_t reply = ph_isolate_ask(call, error);

	if (reply == PH_REPLY_DONE)
		return true;
	if (reply != 0)
		ph_isolate_nonsense(call, error);
	return false;
}

/* The result of a question, and the error that goes with PH_VERIFY_ERROR. */
static PhVerify
read_result(PhIsolateCall *call, GError **error)
{
	uint64_t result = ph_read_number(&call->reply, PH_VERIFY_ERROR);

	if (result == 0)
		ph_isolate_nonsense(call, error);
	else if (result == PH_VERIFY_ERROR)
		ph_read_error(&call->reply, error);
	return result != 0 ? (PhVerify) result : PH_VERIFY_ERROR;
}

static PhVerify
finish(PhIsolateCall *call, PhVerify result, GError **error)
{
	if (call->is_good && !ph_read_is_done(&call->reply)) {
		g_clear_error(error);
		ph_isolate_nonsense(call, error);
		result = PH_VERIFY_ERROR;
	}
	if (result == PH_VERIFY_ERROR && error != NULL && *error == NULL)
		ph_error_set(error, PH_ERROR_TEMPORARY, "it failed and did not say why");
	ph_isolate_end(call);
	return result;
}

/* Verify and lookup: they differ in what was asked. */
static PhVerify
identify(PhIsolateCall *call, PhIdentity **identity_out, GError **error)
{
	PhVerify result = ask(call, error) ? read_result(call, error) : PH_VERIFY_ERROR;

	if (result != PH_VERIFY_OK)
		return finish(call, result, error);
	*identity_out = ph_read_identity(&call->reply);
	result = finish(call, result, error);
	if (result == PH_VERIFY_ERROR)
		g_clear_pointer(identity_out, ph_identity_unref);
	return result;
}

static PhVerify
verify(void *instance,
       const char *user,
       const PhSecret *secret,
       PhIdentity **identity_out,
       GError **error)
{
	PhIsolateCall call;

	if (!ph_isolate_begin(&call, instance, 0, PH_ASK_VERIFY, error))
		return PH_VERIFY_ERROR;
	ph_packet_text(&call.link->packet, user);
	ph_packet_octets(&call.link->packet, ph_secret_slice(secret));
	return identify(&call, identity_out, error);
}

static PhVerify
lookup(void *instance, const char *address, PhIdentity **identity_out, GError **error)
{
	PhIsolateCall call;

	if (!ph_isolate_begin(&call, instance, 0, PH_ASK_LOOKUP, error))
		return PH_VERIFY_ERROR;
	ph_packet_text(&call.link->packet, address);
	return identify(&call, identity_out, error);
}

static PhVerify
secret_of(void *instance,
          const char *user,
          const char *scheme,
          PhSecret **secret_out,
          GError **error)
{
	PhIsolateCall call;
	PhVerify result = PH_VERIFY_ERROR;

	if (!ph_isolate_begin(&call, instance, 0, PH_ASK_SECRET, error))
		return PH_VERIFY_ERROR;
	ph_packet_text(&call.link->packet, user);
	ph_packet_text(&call.link->packet, scheme);
	if (ask(&call, error))
		result = read_result(&call, error);
	if (result == PH_VERIFY_OK)
		*secret_out = ph_secret_new(ph_read_octets(&call.reply, PH_PACKET_SECRET_MAX));
	result = finish(&call, result, error);
	if (result == PH_VERIFY_ERROR)
		g_clear_pointer(secret_out, ph_secret_free);
	return result;
}

/* --- answers of many parts ------------------------------------------------------------------- */

typedef struct {
	PhListFunc func;
	void *user_data;
	size_t n;
	bool enough; /* the one who asked wants no more */
} Items;

static void
pass(Items *items, char **names)
{
	for (size_t i = 0; names != NULL && names[i] != NULL && !items->enough; i++)
		items->enough = !items->func(names[i], items->user_data);
	items->n += names != NULL ? g_strv_length(names) : 0;
}

/* Asks, and passes on what comes until all has come. */
static bool
collect(PhIsolateCall *call, Items *items, GError **error)
{
	for (;;) {
		uint64_t reply = ph_isolate_ask(call, error);
		g_auto(GStrv) names = NULL;

		if (reply == 0)
			return false;
		names = ph_read_list(&call->reply);
		if (reply == PH_REPLY_CALL || call->reply.bad || items->n > ITEMS_MAX) {
			ph_isolate_nonsense(call, error);
			return false;
		}
		pass(items, names);
		if (reply == PH_REPLY_DONE)
			return true;
		call->link->packet.length = 0;
		ph_packet_number(&call->link->packet, items->enough ? 0 : 1);
	}
}

static PhVerify
expand(void *instance, const char *address, PhListFunc func, void *user_data, GError **error)
{
	Items items = { .func = func, .user_data = user_data };
	PhVerify result = PH_VERIFY_ERROR;
	PhIsolateCall call;

	if (!ph_isolate_begin(&call, instance, 0, PH_ASK_EXPAND, error))
		return PH_VERIFY_ERROR;
	ph_packet_text(&call.link->packet, address);
	if (collect(&call, &items, error))
		result = read_result(&call, error);
	return finish(&call, result, error);
}

static bool
list(void *instance, PhListFunc func, void *user_data, GError **error)
{
	Items items = { .func = func, .user_data = user_data };
	PhVerify result = PH_VERIFY_ERROR;
	PhIsolateCall call;

	if (!ph_isolate_begin(&call, instance, 0, PH_ASK_LIST, error))
		return false;
	if (collect(&call, &items, error))
		result = read_result(&call, error);
	return finish(&call, result, error) == PH_VERIFY_OK;
}

/* --- changes -------------------------------------------------------------------------------- */

static bool
change(PhIsolateCall *call, GError **error)
{
	PhVerify result = ask(call, error) ? read_result(call, error) : PH_VERIFY_ERROR;

	return finish(call, result, error) == PH_VERIFY_OK;
}

static bool
set(void *instance, const char *address, const char *hash, bool create, GError **error)
{
	PhIsolateCall call;

	if (!ph_isolate_begin(&call, instance, 0, PH_ASK_SET, error))
		return false;
	ph_packet_text(&call.link->packet, address);
	ph_packet_text(&call.link->packet, hash);
	ph_packet_number(&call.link->packet, create ? 1 : 0);
	return change(&call, error);
}

static bool
remove_user(void *instance, const char *address, GError **error)
{
	PhIsolateCall call;

	if (!ph_isolate_begin(&call, instance, 0, PH_ASK_REMOVE, error))
		return false;
	ph_packet_text(&call.link->packet, address);
	return change(&call, error);
}

/* The instance is the pool, which outlives this and is not ours. */
static bool
create_nothing(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	return false;
}

static void
destroy_nothing(void *instance)
{
}

void *
ph_isolate_directory_table(const void *real)
{
	const PhDirectory *has = real;
	const PhDirectory table = {
		.size = sizeof table,
		.flags = has->flags,
		.create = create_nothing,
		.destroy = destroy_nothing,
		.verify = has->verify != NULL ? verify : NULL,
		.lookup = lookup,
		.secret = has->secret != NULL ? secret_of : NULL,
		.expand = has->expand != NULL ? expand : NULL,
		.list = has->list != NULL ? list : NULL,
		.set = has->set != NULL ? set : NULL,
		.remove = has->remove != NULL ? remove_user : NULL,
	};

	return ph_adopt_table(PH_KIND_DIRECTORY, &table, NULL);
}
