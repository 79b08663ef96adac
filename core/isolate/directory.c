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

#include "base/clock.h"
#include "isolate/carrier.h"
#include "plugin/adopt.h"

#include <poll.h>

enum {
	ITEMS_MAX = 1000000, /* of one answer */
	US_PER_MS = 1000,
	PROMPT_US = 250000, /* what must be known at once is waited for so long */
	FRESH_US = 200000,  /* and is asked anew after so long */
	STALE_US = 2000000  /* and is good for so long while the process is busy or late */
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

/* --- questions that no thread waits for ------------------------------------------------------ */

static void
write_question(PhPacket *packet, void *user_data)
{
	const PhQuestion *question = user_data;
	const PhSecret *secret = ph_question_secret(question);

	ph_packet_text(packet, ph_question_user(question));
	if (secret != NULL)
		ph_packet_octets(packet, ph_secret_slice(secret));
}

static void
answer_question(PhIsolateCall *call, uint64_t reply, GError *error, void *user_data)
{
	PhVerify result = PH_VERIFY_ERROR;
	PhIdentity *identity = NULL;

	if (call != NULL && reply != PH_REPLY_DONE)
		ph_isolate_nonsense(call, &error);
	else if (call != NULL)
		result = read_result(call, &error);
	if (result == PH_VERIFY_OK)
		identity = ph_read_identity(&call->reply);
	if (call != NULL)
		result = finish(call, result, &error);
	if (result != PH_VERIFY_OK)
		g_clear_pointer(&identity, ph_identity_unref);
	ph_question_answer(user_data, result, identity, error);
}

static void
begin(void *instance, PhQuestion *question)
{
	const PhErrand errand = {
		.operation = ph_question_secret(question) != NULL ? PH_ASK_VERIFY : PH_ASK_LOOKUP,
		.deadline_us = MIN(ph_isolate_deadline(instance),
		                   (uint64_t) ph_question_deadline(question)),
		.write = write_question,
		.done = answer_question,
		.user_data = question,
	};

	ph_carrier_ask(ph_pool_carrier(instance), &errand);
}

/* --- what must be known at once ---------------------------------------------------------------- */

/* The answer to such a question is at hand: keeps it. */
static bool
keep_number(PhIsolateCall *call, const char *name, uint64_t reply, uint64_t *value_out)
{
	*value_out = reply == PH_REPLY_DONE ? ph_read_number(&call->reply, UINT64_MAX) : 0;
	if (reply != 0 && (reply != PH_REPLY_DONE || !ph_read_is_done(&call->reply)))
		ph_isolate_nonsense(call, NULL);
	if (reply == 0 || !call->is_good)
		return false;
	ph_pool_keep_number(call->pool, name, *value_out);
	return true;
}

/* A number that came later than somebody waited for it. */
static void
take_late_number(PhIsolateCall *call, uint64_t reply, GError *error, void *user_data)
{
	g_autofree char *name = user_data;
	uint64_t value = 0;

	if (call != NULL) {
		(void) keep_number(call, name, reply, &value);
		ph_isolate_end(call);
	}
	g_clear_error(&error);
}

/* Waits for the answer up to PROMPT_US. True: it is there, or will never be. */
static bool
await_number(PhIsolateCall *call, uint64_t *reply_out, GError **error)
{
	uint64_t until_us = ph_clock_us() + PROMPT_US;
	uint64_t now_us = ph_clock_us();
	bool is_over = false;

	for (; !is_over && now_us < until_us; now_us = ph_clock_us()) {
		struct pollfd one = { .fd = call->link->fd, .events = POLLIN };

		(void) poll(&one, 1, (int) ((until_us - now_us) / US_PER_MS) + 1);
		is_over = ph_isolate_take(call, reply_out, error);
	}
	return is_over;
}

/* @name: what it is kept as; @text: (nullable) goes with the question. A process that is busy is not waited
 * for, and one that is slow not for long: then what was said before has to do, up to STALE_US. A slow one
 * has the time of every call, and its answer is kept when it comes. */
static bool
ask_number(PhPool *pool,
           uint64_t operation,
           const char *name,
           const char *text,
           uint64_t *value_out)
{
	g_autoptr(GError) error = NULL;
	PhErrand late = { .done = take_late_number };
	PhIsolateCall call;
	uint64_t reply = 0;
	bool good = false;

	if (ph_pool_find_number(pool, name, FRESH_US, value_out))
		return true;
	if (!ph_isolate_try_first(&call, pool, operation, ph_isolate_deadline(pool)))
		return ph_pool_find_number(pool, name, STALE_US, value_out);
	if (text != NULL)
		ph_packet_text(&call.link->packet, text);
	if (ph_isolate_send(&call, &error) && !await_number(&call, &reply, &error)) {
		late.user_data = g_strdup(name);
		ph_carrier_adopt(ph_pool_carrier(pool), &call, &late);
		return ph_pool_find_number(pool, name, STALE_US, value_out);
	}
	good = keep_number(&call, name, reply, value_out);
	ph_isolate_end(&call);
	return good;
}

static uint64_t
version(void *instance)
{
	uint64_t value = 0;

	return ask_number(instance, PH_ASK_VERSION, "", NULL, &value) ? value : 0;
}

static bool
gives(void *instance, const char *scheme)
{
	uint64_t value = 0;

	return !ask_number(instance, PH_ASK_GIVES, scheme, scheme, &value) || value != 0;
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
		.version = has->version != NULL ? version : NULL,
		.gives = has->gives != NULL ? gives : NULL,
		.begin = has->verify != NULL ? begin : NULL,
	};

	return ph_adopt_table(PH_KIND_DIRECTORY, &table, NULL);
}
