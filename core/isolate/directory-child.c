/* directory-child.c: questions to a directory, asked of its plugin in this process
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "isolate/child.h"
#include "isolate/directory.h"

enum {
	BATCH_OCTETS = 16384 /* of names, before they are sent on their way */
};

static const PhDirectory *
table_of(const PhIsolateChild *child)
{
	return child->section->offer->table;
}

static void
write_result(PhIsolateChild *child, PhVerify result, const GError *error)
{
	ph_packet_number(&child->packet, result);
	if (result == PH_VERIFY_ERROR)
		ph_packet_error(&child->packet, error);
}

static void
answer_identity(PhIsolateChild *child, PhVerify result, PhIdentity *identity, const GError *error)
{
	ph_isolated_begin(child, PH_REPLY_DONE);
	write_result(child, result, error);
	if (result == PH_VERIFY_OK)
		ph_packet_identity(&child->packet, identity);
	if (identity != NULL)
		ph_identity_unref(identity);
}

static bool
answer_verify(PhIsolateChild *child)
{
	g_autofree char *user = ph_read_text(&child->reader);
	PhSlice octets = ph_read_octets(&child->reader, PH_PACKET_MAX);
	g_autoptr(PhSecret) secret = ph_secret_new(octets);
	g_autoptr(GError) error = NULL;
	PhIdentity *identity = NULL;
	PhVerify result = PH_VERIFY_ERROR;

	if (!ph_read_is_done(&child->reader) || user == NULL)
		return false;
	ph_secret_wipe(child->packet.octets, child->packet.length);
	result = table_of(child)->verify(child->section->instance, user, secret, &identity, &error);
	answer_identity(child, result, identity, error);
	return true;
}

static bool
answer_lookup(PhIsolateChild *child)
{
	g_autofree char *address = ph_read_text(&child->reader);
	g_autoptr(GError) error = NULL;
	PhIdentity *identity = NULL;
	PhVerify result = PH_VERIFY_ERROR;

	if (!ph_read_is_done(&child->reader) || address == NULL)
		return false;
	result = table_of(child)->lookup(child->section->instance, address, &identity, &error);
	answer_identity(child, result, identity, error);
	return true;
}

static bool
answer_secret(PhIsolateChild *child)
{
	g_autofree char *user = ph_read_text(&child->reader);
	g_autofree char *scheme = ph_read_text(&child->reader);
	g_autoptr(PhSecret) secret = NULL;
	g_autoptr(GError) error = NULL;
	PhVerify result = PH_VERIFY_ERROR;

	if (!ph_read_is_done(&child->reader) || user == NULL || scheme == NULL)
		return false;
	result = table_of(child)->secret(child->section->instance, user, scheme, &secret, &error);
	ph_isolated_begin(child, PH_REPLY_DONE);
	write_result(child, result, error);
	if (result == PH_VERIFY_OK)
		ph_packet_octets(&child->packet, ph_secret_slice(secret));
	return true;
}

/* --- answers of many parts ------------------------------------------------------------------- */

typedef struct {
	PhIsolateChild *child;
	GPtrArray *names;
	size_t octets;
	bool enough;
} Batch;

static void
write_batch(Batch *batch, PhReply reply)
{
	ph_isolated_begin(batch->child, reply);
	g_ptr_array_add(batch->names, NULL);
	ph_packet_list(&batch->child->packet, (const char *const *) batch->names->pdata);
	g_ptr_array_set_size(batch->names, 0);
	batch->octets = 0;
}

static bool
collect(const char *address, void *user_data)
{
	Batch *batch = user_data;

	if (batch->enough)
		return false;
	g_ptr_array_add(batch->names, g_strdup(address));
	batch->octets += strlen(address) + sizeof(uint64_t);
	if (batch->octets < BATCH_OCTETS && batch->names->len < PH_PACKET_LIST_MAX - 1)
		return true;
	write_batch(batch, PH_REPLY_ITEMS);
	batch->enough =
		!ph_isolated_ask(batch->child) || ph_read_number(&batch->child->reader, 1) == 0;
	return !batch->enough;
}

static bool
answer_expand(PhIsolateChild *child)
{
	g_autofree char *address = ph_read_text(&child->reader);
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	Batch batch = { .child = child, .names = names };
	g_autoptr(GError) error = NULL;
	PhVerify result = PH_VERIFY_ERROR;

	if (!ph_read_is_done(&child->reader) || address == NULL)
		return false;
	result =
		table_of(child)->expand(child->section->instance, address, collect, &batch, &error);
	write_batch(&batch, PH_REPLY_DONE);
	write_result(child, result, error);
	return true;
}

static bool
answer_list(PhIsolateChild *child)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	Batch batch = { .child = child, .names = names };
	g_autoptr(GError) error = NULL;
	bool done = false;

	if (!ph_read_is_done(&child->reader))
		return false;
	done = table_of(child)->list(child->section->instance, collect, &batch, &error);
	write_batch(&batch, PH_REPLY_DONE);
	write_result(child, done ? PH_VERIFY_OK : PH_VERIFY_ERROR, error);
	return true;
}

/* --- changes -------------------------------------------------------------------------------- */

static bool
answer_set(PhIsolateChild *child)
{
	g_autofree char *address = ph_read_text(&child->reader);
	g_autofree char *hash = ph_read_text(&child->reader);
	bool create = ph_read_number(&child->reader, 1) != 0;
	g_autoptr(GError) error = NULL;
	bool done = false;

	if (!ph_read_is_done(&child->reader) || address == NULL || hash == NULL)
		return false;
	done = table_of(child)->set(child->section->instance, address, hash, create, &error);
	ph_secret_wipe(hash, strlen(hash));
	ph_isolated_begin(child, PH_REPLY_DONE);
	write_result(child, done ? PH_VERIFY_OK : PH_VERIFY_ERROR, error);
	return true;
}

static bool
answer_remove(PhIsolateChild *child)
{
	g_autofree char *address = ph_read_text(&child->reader);
	g_autoptr(GError) error = NULL;
	bool done = false;

	if (!ph_read_is_done(&child->reader) || address == NULL)
		return false;
	done = table_of(child)->remove(child->section->instance, address, &error);
	ph_isolated_begin(child, PH_REPLY_DONE);
	write_result(child, done ? PH_VERIFY_OK : PH_VERIFY_ERROR, error);
	return true;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static bool
answer_version(PhIsolateChild *child)
{
	if (!ph_read_is_done(&child->reader))
		return false;
	ph_isolated_begin(child, PH_REPLY_DONE);
	ph_packet_number(&child->packet, table_of(child)->version(child->section->instance));
	return true;
}

static bool
answer_gives(PhIsolateChild *child)
{
	g_autofree char *scheme = ph_read_text(&child->reader);

	if (!ph_read_is_done(&child->reader) || scheme == NULL)
		return false;
	ph_isolated_begin(child, PH_REPLY_DONE);
	ph_packet_number(&child->packet,
	                 table_of(child)->gives(child->section->instance, scheme) ? 1 : 0);
	return true;
}

static bool
serve(PhIsolateChild *child, uint64_t operation)
{
	const PhDirectory *table = table_of(child);

	const struct {
		bool there;
		bool (*answer)(PhIsolateChild *child);
	} rows[] = {
		[PH_ASK_VERIFY] = { table->verify != NULL, answer_verify },
		[PH_ASK_LOOKUP] = { true, answer_lookup },
		[PH_ASK_SECRET] = { table->secret != NULL, answer_secret },
		[PH_ASK_EXPAND] = { table->expand != NULL, answer_expand },
		[PH_ASK_LIST] = { table->list != NULL, answer_list },
		[PH_ASK_SET] = { table->set != NULL, answer_set },
		[PH_ASK_REMOVE] = { table->remove != NULL, answer_remove },
		[PH_ASK_VERSION] = { table->version != NULL, answer_version },
		[PH_ASK_GIVES] = { table->gives != NULL, answer_gives },
	};

	return operation < G_N_ELEMENTS(rows) && rows[operation].there
	       && rows[operation].answer(child);
}

static void
end_nothing(PhIsolateChild *child, void *state)
{
}

const PhIsolatedKind ph_isolated_directory = { serve, end_nothing };
