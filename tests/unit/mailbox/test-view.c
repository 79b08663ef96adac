/* test-view.c: views against a naive model: what clients are told adds up to what is true
 *
 * Three clients see one mailbox. Random changes are committed, clients synchronise at random, with
 * and without leave to expunge. Each client's model is a plain list that only its events alter, by
 * the rules of RFC 3501 section 7.4; after each synchronisation it must be what the view says, and
 * with leave to expunge what the store says.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "accounts.h"

enum {
	CLIENTS = 3,
	STEPS = 1500,
};

/* Told: one message as a client knows it. */
typedef struct {
	uint32_t uid;
	uint32_t flags;
	uint64_t change; /* of the truth only: a change back and forth is not told */
} Told;

typedef struct {
	PhView *view;
	GArray *told; /* of Told */
	bool may_expunge;
	uint32_t n_flags_events;
} Client;

typedef struct {
	TestStore store;
	PhAccount *account;
	PhMailboxId inbox;
	Client clients[CLIENTS];
	GArray *truth; /* of Told, as the store gives them */
} World;

/* --- what a client does with its events ---------------------------------------------------------- */

static void
on_expunged(void *user_data, uint32_t number, uint32_t uid)
{
	Client *client = user_data;

	g_assert_true(client->may_expunge);
	g_assert_cmpuint(number, >=, 1);
	g_assert_cmpuint(number, <=, client->told->len);
	g_assert_cmpuint(g_array_index(client->told, Told, number - 1).uid, ==, uid);
	(void) g_array_remove_index(client->told, number - 1);
}

static void
on_count(void *user_data, uint32_t n_messages, uint32_t n_recent)
{
	Client *client = user_data;

	g_assert_cmpuint(n_messages, >=, client->told->len);
	g_assert_cmpuint(n_recent, <=, n_messages);
	for (uint32_t number = client->told->len + 1; number <= n_messages; number++) {
		Told told = {
			.uid = ph_view_uid(client->view, number),
			.flags = ph_view_flags(client->view, number),
		};

		(void) g_array_append_val(client->told, told);
	}
}

static void
on_flags(void *user_data, uint32_t number)
{
	Client *client = user_data;
	Told *told = NULL;

	g_assert_cmpuint(number, >=, 1);
	g_assert_cmpuint(number, <=, client->told->len);
	told = &g_array_index(client->told, Told, number - 1);
	g_assert_cmpuint(told->uid, ==, ph_view_uid(client->view, number));
	told->flags = ph_view_flags(client->view, number);
	client->n_flags_events++;
}

static const PhViewEvents events = {
	.expunged = on_expunged,
	.count = on_count,
	.flags = on_flags,
};

static void
assert_told(const Client *client)
{
	uint32_t last = 0;

	g_assert_cmpuint(ph_view_count(client->view), ==, client->told->len);
	for (uint32_t number = 1; number <= client->told->len; number++) {
		const Told *told = &g_array_index(client->told, Told, number - 1);

		g_assert_cmpuint(told->uid, >, last);
		last = told->uid;
		g_assert_cmpuint(ph_view_uid(client->view, number), ==, told->uid);
		g_assert_cmpuint(ph_view_number(client->view, told->uid), ==, number);
		g_assert_cmpuint(ph_view_flags(client->view, number), ==, told->flags);
	}
}

/* --- the truth -------------------------------------------------------------------------------------- */

static bool
take_truth(const PhRecord *record, void *user_data)
{
	Told told = { .uid = record->uid, .flags = record->flags, .change = record->change };

	(void) g_array_append_val((GArray *) user_data, told);
	return true;
}

static void
read_truth(World *world)
{
	PhChangesQuery query = {
		.fields = PH_FIELD_FLAGS,
		.record = take_truth,
		.user_data = world->truth,
	};
	PhChangesResult result;
	PhAccountCall call;

	g_array_set_size(world->truth, 0);
	g_assert_true(ph_account_enter(world->account, &call, NULL));
	g_assert_true(call.table->changes(call.engine, &world->inbox, &query, &result, NULL));
	ph_account_leave(&call, true);
}

static void
assert_true_for(const World *world, const Client *client)
{
	g_assert_cmpuint(client->told->len, ==, world->truth->len);
	for (uint32_t i = 0; i < world->truth->len; i++) {
		const Told *is = &g_array_index(world->truth, Told, i);
		const Told *told = &g_array_index(client->told, Told, i);

		g_assert_cmpuint(told->uid, ==, is->uid);
		g_assert_cmpuint(told->flags, ==, is->flags);
		g_assert_cmpuint(ph_view_message_change(client->view, i + 1), ==, is->change);
	}
}

/* --- steps ------------------------------------------------------------------------------------------ */

static PhUidSet *
some_uids(const World *world)
{
	PhUidSet *uids = ph_uid_set_new();
	uint32_t n = world->truth->len;

	for (int i = g_test_rand_int_range(0, 4); n > 0 && i >= 0; i--) {
		uint32_t at = (uint32_t) g_test_rand_int_range(0, (gint32) n);

		ph_uid_set_add(uids, g_array_index(world->truth, Told, at).uid);
	}
	return uids;
}

static void
change_flags(World *world)
{
	g_autoptr(PhUidSet) uids = some_uids(world);
	g_autoptr(PhTransaction) transaction = ph_transaction_new(world->account, NULL);
	uint32_t mode = (uint32_t) g_test_rand_int_range(PH_FLAGS_ADD, PH_FLAGS_REPLACE + 1);

	(void) ph_transaction_flags(transaction, &world->inbox, uids, mode,
	                            (uint32_t) g_test_rand_int_range(0, 32), NULL);
	g_assert_true(ph_transaction_run(transaction, NULL));
}

static void
expunge(World *world)
{
	g_autoptr(PhUidSet) uids = some_uids(world);
	g_autoptr(PhTransaction) transaction = ph_transaction_new(world->account, NULL);

	(void) ph_transaction_expunge(transaction, &world->inbox, uids);
	g_assert_true(ph_transaction_run(transaction, NULL));
}

static void
copy(World *world)
{
	g_autoptr(PhUidSet) uids = some_uids(world);
	g_autoptr(PhTransaction) transaction = ph_transaction_new(world->account, NULL);

	(void) ph_transaction_copy(transaction, &world->inbox, uids, &world->inbox);
	g_assert_true(ph_transaction_run(transaction, NULL));
}

static void
synchronise(World *world, Client *client, bool may_expunge)
{
	g_autoptr(GError) error = NULL;

	client->may_expunge = may_expunge;
	g_assert_true(ph_view_sync(client->view, may_expunge, &events, client, &error));
	g_assert_no_error(error);
	assert_told(client);
	g_assert_false(may_expunge && ph_view_needs_sync(client->view));
	if (may_expunge)
		assert_true_for(world, client);
}

static void
open_client(World *world, Client *client)
{
	g_autoptr(GError) error = NULL;

	client->view = ph_view_open(world->account, ph_slice("INBOX"), false,
	                            (PhSessionRef){ 0, 0 }, &error);
	g_assert_no_error(error);
	client->told = g_array_new(FALSE, FALSE, sizeof(Told));
	on_count(client, ph_view_count(client->view), ph_view_n_recent(client->view));
	assert_told(client);
}

static void
close_client(Client *client)
{
	g_clear_pointer(&client->view, ph_view_close);
	(void) g_array_free(client->told, TRUE);
}

static void
one_step(World *world)
{
	Client *client = &world->clients[g_test_rand_int_range(0, CLIENTS)];
	int what = g_test_rand_int_range(0, 100);

	if (what < 20)
		(void) test_append(world->account, &world->inbox, ph_slice("x\r\n"), 0);
	else if (what < 40)
		change_flags(world);
	else if (what < 50)
		expunge(world);
	else if (what < 55)
		copy(world);
	else if (what < 57) {
		close_client(client);
		open_client(world, client);
	}
	if (what < 57)
		read_truth(world);
	else
		synchronise(world, client, what < 80);
}

static void
world_init(World *world)
{
	memset(world, 0, sizeof *world);
	test_store_init(&world->store);
	world->account = test_account(&world->store, "ann", 0);
	world->inbox = test_mailbox(world->account, "INBOX");
	world->truth = g_array_new(FALSE, FALSE, sizeof(Told));
	for (int i = 0; i < CLIENTS; i++)
		open_client(world, &world->clients[i]);
}

static void
world_clear(World *world)
{
	for (int i = 0; i < CLIENTS; i++)
		close_client(&world->clients[i]);
	(void) g_array_free(world->truth, TRUE);
	ph_account_unref(world->account);
	test_store_clear(&world->store);
}

static void
test_model(void)
{
	World world;

	world_init(&world);
	for (int i = 0; i < STEPS; i++)
		one_step(&world);
	for (int i = 0; i < CLIENTS; i++)
		synchronise(&world, &world.clients[i], true);
	test_verify(world.account);
	world_clear(&world);
}

/* A client's own silent change is not told to it; a later one by others is. */
static void
test_quiet(void)
{
	World world;
	Client *own = &world.clients[0];
	Client *other = &world.clients[1];
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(1, 1);
	PhOp *op = NULL;

	world_init(&world);
	(void) test_append(world.account, &world.inbox, ph_slice("x"), 0);
	read_truth(&world);
	synchronise(&world, own, true);
	synchronise(&world, other, true);
	{
		g_autoptr(PhTransaction) silent = ph_transaction_new(world.account, NULL);

		op = ph_transaction_flags(silent, &world.inbox, uids, PH_FLAGS_ADD, PH_FLAG_SEEN,
		                          NULL);
		g_assert_true(ph_transaction_run(silent, NULL));
		ph_view_quiet(own->view, op, silent->change);
		g_assert_true(ph_view_sync(own->view, true, &events, own, NULL));
		g_assert_cmpuint(own->n_flags_events, ==, 0);
		g_assert_cmpuint(ph_view_flags(own->view, 1), ==, PH_FLAG_SEEN);
		g_assert_true(ph_view_sync(other->view, true, &events, other, NULL));
		g_assert_cmpuint(other->n_flags_events, ==, 1);
	}
	{
		g_autoptr(PhTransaction) silent = ph_transaction_new(world.account, NULL);
		g_autoptr(PhTransaction) theirs = ph_transaction_new(world.account, NULL);

		op = ph_transaction_flags(silent, &world.inbox, uids, PH_FLAGS_ADD, PH_FLAG_DRAFT,
		                          NULL);
		(void) ph_transaction_flags(theirs, &world.inbox, uids, PH_FLAGS_ADD,
		                            PH_FLAG_FLAGGED, NULL);
		g_assert_true(ph_transaction_run(silent, NULL));
		g_assert_true(ph_transaction_run(theirs, NULL));
		ph_view_quiet(own->view, op, silent->change);
		g_assert_true(ph_view_sync(own->view, true, &events, own, NULL));
		g_assert_cmpuint(own->n_flags_events, ==, 1);
	}
	world_clear(&world);
}

/* The same for so many messages that the change is made in steps. */
static void
test_quiet_steps(void)
{
	World world;
	Client *own = &world.clients[0];
	g_autoptr(PhUidSet) all = ph_uid_set_new_range(1, UINT32_MAX);
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice("x"));

	world_init(&world);
	for (int i = 0; i < 21; i++) {
		g_autoptr(PhTransaction) fill = ph_transaction_new(world.account, NULL);

		for (int j = 0; j < 500; j++)
			(void) ph_transaction_append(fill, &world.inbox, content, NULL, NULL);
		g_assert_true(ph_transaction_run(fill, NULL));
	}
	g_assert_true(ph_view_sync(own->view, true, &events, own, NULL));
	{
		g_autoptr(PhTransaction) silent = ph_transaction_new(world.account, NULL);
		PhOp *op = ph_transaction_flags(silent, &world.inbox, all, PH_FLAGS_ADD,
		                                PH_FLAG_SEEN, NULL);

		own->n_flags_events = 0;
		g_assert_true(ph_transaction_run(silent, NULL));
		ph_view_quiet(own->view, op, silent->change);
		g_assert_true(ph_view_sync(own->view, true, &events, own, NULL));
		g_assert_cmpuint(own->n_flags_events, ==, 0);
		g_assert_cmpuint(ph_view_flags(own->view, 10500), ==, PH_FLAG_SEEN);
	}
	world_clear(&world);
}

/* \Recent is told to the first session that sees a message, and not to one that only examines. */
static void
test_recent(void)
{
	World world;
	g_autoptr(PhView) examined = NULL;
	g_autoptr(PhView) late = NULL;

	world_init(&world);
	(void) test_append(world.account, &world.inbox, ph_slice("x"), 0);
	examined =
		ph_view_open(world.account, ph_slice("INBOX"), true, (PhSessionRef){ 0, 0 }, NULL);
	g_assert_cmpuint(ph_view_n_recent(examined), ==, 1);
	read_truth(&world);
	synchronise(&world, &world.clients[0], true);
	g_assert_cmpuint(ph_view_n_recent(world.clients[0].view), ==, 1);
	g_assert_true(ph_view_is_recent(world.clients[0].view, 1));
	synchronise(&world, &world.clients[1], true);
	g_assert_cmpuint(ph_view_n_recent(world.clients[1].view), ==, 0);
	late = ph_view_open(world.account, ph_slice("INBOX"), false, (PhSessionRef){ 0, 0 }, NULL);
	g_assert_cmpuint(ph_view_n_recent(late), ==, 0);
	world_clear(&world);
}

/* A removed mailbox is gone for who has it open. */
static void
test_removed(void)
{
	World world;
	g_autoptr(GError) error = NULL;
	g_autoptr(PhView) view = NULL;

	world_init(&world);
	{
		g_autoptr(PhTransaction) make = ph_transaction_new(world.account, NULL);
		g_autoptr(PhTransaction) remove = ph_transaction_new(world.account, NULL);
		PhMailboxId id = ph_transaction_create(make, ph_slice("a"), 0)->mailbox;

		g_assert_true(ph_transaction_run(make, NULL));
		view = ph_view_open(world.account, ph_slice("a"), false, (PhSessionRef){ 0, 0 },
		                    NULL);
		g_assert_nonnull(view);
		(void) ph_transaction_remove(remove, &id);
		g_assert_true(ph_transaction_run(remove, NULL));
	}
	g_assert_true(ph_view_needs_sync(view));
	g_assert_false(ph_view_sync(view, true, NULL, NULL, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_GONE);
	world_clear(&world);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mailbox/view/events-add-up-to-the-truth", test_model);
	g_test_add_func("/mailbox/view/own-silent-changes-stay-quiet", test_quiet);
	g_test_add_func("/mailbox/view/own-silent-changes-in-steps-stay-quiet", test_quiet_steps);
	g_test_add_func("/mailbox/view/recent-belongs-to-the-first", test_recent);
	g_test_add_func("/mailbox/view/a-removed-mailbox-is-gone", test_removed);
	return g_test_run();
}
