/* test-index-model.c: PhIndex beside a plain array, after many operations on several mailboxes
 *
 * Flags, expunges, copies and moves of random uid sets, also within one mailbox; what the index
 * tells of every mailbox, since the beginning and since any change, must be what the array says,
 * and the index must agree with itself, owners of records included.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "index-fixture.h"

enum {
	BOXES = 3,
	STEPS = 250,
};

typedef struct {
	uint32_t uid; /* 0: gone */
	uint32_t flags;
	uint64_t change;
	uint64_t octets;
	uint64_t gone_at;
	uint32_t was;
} Message;

typedef struct {
	Fixture *f;
	PhMailboxId ids[BOXES];
	GArray *messages[BOXES]; /* of Message, in uid order */
	uint32_t uidnext[BOXES];
	uint64_t first_change;
} Model;

static PhUidSet *
random_set(uint32_t highest)
{
	PhUidSet *set = ph_uid_set_new();

	if (g_test_rand_int_range(0, 12) == 0)
		ph_uid_set_add_range(set, 1, UINT32_MAX);
	for (int i = g_test_rand_int_range(1, 8); i > 0; i--) {
		uint32_t first = (uint32_t) g_test_rand_int_range(1, (gint32) highest + 5);

		ph_uid_set_add_range(set, first, first + (uint32_t) g_test_rand_int_range(0, 60));
	}
	return set;
}

static void
add(Model *model, int box, Message message)
{
	message.uid = model->uidnext[box]++;
	message.was = message.uid;
	g_array_append_val(model->messages[box], message);
}

static void
append_some(Model *model, int box)
{
	for (int i = g_test_rand_int_range(1, 90); i > 0; i--) {
		g_auto(Tx) tx = { 0 };

		tx_init(&tx, model->f, PH_OP_APPEND);
		tx.op.mailbox = model->ids[box];
		tx.op.flags = (uint32_t) g_test_rand_int_range(0, 32);
		tx.op.octets = (uint64_t) g_test_rand_int_range(0, 100000);
		g_assert_true(run(model->f->index, &tx));
		g_assert_cmpuint(tx.op.uid, ==, model->uidnext[box]);
		add(model, box,
		    (Message){ .flags = tx.op.flags,
		               .octets = tx.op.octets,
		               .change = tx.transaction.change });
	}
}

static void
change_flags(Model *model, int box)
{
	g_auto(Tx) tx = { 0 };
	g_autoptr(PhUidSet) uids = random_set(model->uidnext[box]);

	tx_init(&tx, model->f, PH_OP_FLAGS);
	tx.op.mailbox = model->ids[box];
	tx.op.uids = uids;
	tx.op.flags_mode = (uint32_t) g_test_rand_int_range(1, 4);
	tx.op.flags = (uint32_t) g_test_rand_int_range(0, 32);
	g_assert_true(run(model->f->index, &tx));
	for (guint i = 0; i < model->messages[box]->len; i++) {
		Message *message = &g_array_index(model->messages[box], Message, i);
		uint32_t flags = tx.op.flags;

		if (message->uid == 0 || !ph_uid_set_contains(uids, message->uid))
			continue;
		if (tx.op.flags_mode == PH_FLAGS_ADD)
			flags |= message->flags;
		else if (tx.op.flags_mode == PH_FLAGS_REMOVE)
			flags = message->flags & ~flags;
		if (flags != message->flags)
			message->change = tx.transaction.change;
		message->flags = flags;
	}
}

static void
expunge_some(Model *model, int box)
{
	g_auto(Tx) tx = { 0 };
	g_autoptr(PhUidSet) uids = random_set(model->uidnext[box]);

	tx_init(&tx, model->f, PH_OP_EXPUNGE);
	tx.op.mailbox = model->ids[box];
	tx.op.uids = uids;
	g_assert_true(run(model->f->index, &tx));
	for (guint i = 0; i < model->messages[box]->len; i++) {
		Message *message = &g_array_index(model->messages[box], Message, i);

		if (message->uid == 0 || !ph_uid_set_contains(uids, message->uid))
			continue;
		message->uid = 0;
		message->gone_at = tx.transaction.change;
	}
}

static void
transfer_some(Model *model, int box, int to, bool move)
{
	g_auto(Tx) tx = { 0 };
	g_autoptr(PhUidSet) uids = random_set(model->uidnext[box]);
	guint n = model->messages[box]->len;
	uint64_t n_pairs = 0;

	tx_init(&tx, model->f, move ? PH_OP_MOVE : PH_OP_COPY);
	tx.op.mailbox = model->ids[box];
	tx.op.to = model->ids[to];
	tx.op.uids = uids;
	g_assert_true(run(model->f->index, &tx));
	for (guint i = 0; i < n; i++) {
		Message *message = &g_array_index(model->messages[box], Message, i);
		Message copy = *message;

		if (message->uid == 0 || !ph_uid_set_contains(uids, message->uid))
			continue;
		n_pairs++;
		copy.change = tx.transaction.change;
		if (move) {
			message->uid = 0;
			message->gone_at = tx.transaction.change;
		}
		add(model, to, copy);
	}
	g_assert_cmpuint(ph_uid_set_count(tx.op.from_uids), ==, n_pairs);
	g_assert_cmpuint(ph_uid_set_count(tx.op.to_uids), ==, n_pairs);
}

static void
take_gone(uint32_t first, uint32_t last, void *user_data)
{
	ph_uid_set_add_range(user_data, first, last);
}

/* Everything since a change, as text; gone ones into @gone. */
static char *
tell(Model *model, int box, uint64_t since, PhUidSet *gone)
{
	struct {
		GString *out;
		PhUidSet *gone;
	} both = { g_string_new(NULL), gone };

	PhChangesResult result = { 0, false };
	PhChangesQuery query = { .since = since,
		                 .fields = PH_FIELD_FLAGS | PH_FIELD_OCTETS,
		                 .record = write_record,
		                 .user_data = both.out };

	g_assert_true(ph_index_changes(model->f->index, &model->ids[box], &query, &result, NULL));
	query.expunged = take_gone;
	query.record = write_record;
	query.user_data = gone;
	if (since > 0) {
		g_autoptr(PhUidSet) none = ph_uid_set_new();

		query.uids = none;
		g_assert_true(
			ph_index_changes(model->f->index, &model->ids[box], &query, &result, NULL));
	}
	return g_string_free(both.out, FALSE);
}

static void
compare(Model *model, int box, uint64_t since)
{
	g_autoptr(PhUidSet) gone = ph_uid_set_new();
	g_autofree char *told = tell(model, box, since, gone);
	g_autoptr(GString) expected = g_string_new(NULL);

	for (guint i = 0; i < model->messages[box]->len; i++) {
		const Message *message = &g_array_index(model->messages[box], Message, i);

		if (message->uid != 0 && message->change > since)
			g_string_append_printf(expected, "%u:%u ", message->uid, message->flags);
		if (since > 0 && message->uid == 0 && message->gone_at > since)
			g_assert_true(ph_uid_set_contains(gone, message->was));
		if (message->uid != 0)
			g_assert_false(ph_uid_set_contains(gone, message->was));
	}
	g_assert_cmpstr(told, ==, expected->str);
}

static bool
take_states(const PhMessageState *states, size_t n, const char *const *keywords, void *user_data)
{
	for (size_t i = 0; i < n; i++)
		g_string_append_printf(user_data, "%u:%u ", states[i].uid, states[i].flags);
	return true;
}

static bool
never(const PhRecord *record, void *user_data)
{
	g_assert_not_reached();
}

/* Many at a time are the same ones. */
static void
compare_states(Model *model, int box, uint64_t since)
{
	g_autoptr(PhUidSet) gone = ph_uid_set_new();
	g_autofree char *told = tell(model, box, since, gone);
	g_autoptr(GString) many = g_string_new(NULL);
	PhChangesResult result = { 0, false };
	PhChangesQuery query = { .since = since,
		                 .fields = PH_FIELD_FLAGS,
		                 .record = never,
		                 .states = take_states,
		                 .states_data = many };

	g_assert_true(ph_index_changes(model->f->index, &model->ids[box], &query, &result, NULL));
	g_assert_cmpstr(many->str, ==, told);
}

static void
compare_counts(Model *model, int box)
{
	uint32_t n = 0;
	uint32_t unseen = 0;
	uint32_t deleted = 0;
	uint64_t octets = 0;

	for (guint i = 0; i < model->messages[box]->len; i++) {
		const Message *message = &g_array_index(model->messages[box], Message, i);

		if (message->uid == 0)
			continue;
		n++;
		unseen += (message->flags & PH_FLAG_SEEN) == 0;
		deleted += (message->flags & PH_FLAG_DELETED) != 0;
		octets += message->octets;
	}
	assert_counts(model->f, &model->ids[box], n, unseen, deleted);
	g_assert_cmpuint(info_of(model->f, &model->ids[box]).octets, ==, octets);
	g_assert_cmpuint(info_of(model->f, &model->ids[box]).uidnext, ==, model->uidnext[box]);
}

static void
step(Model *model)
{
	int box = g_test_rand_int_range(0, BOXES);

	switch (g_test_rand_int_range(0, 6)) {
	case 0:
	case 1:
		append_some(model, box);
		break;
	case 2:
		change_flags(model, box);
		break;
	case 3:
		expunge_some(model, box);
		break;
	default:
		transfer_some(model, box, g_test_rand_int_range(0, BOXES),
		              g_test_rand_int_range(0, 2) == 0);
	}
}

static void
test_model(Fixture *f, const void *data)
{
	Model model = { .f = f };
	uint64_t top = 0;

	for (int i = 0; i < BOXES; i++) {
		g_autofree char *name = g_strdup_printf("box %d", i);

		create(f, name, &model.ids[i]);
		model.messages[i] = g_array_new(FALSE, FALSE, sizeof(Message));
		model.uidnext[i] = 1;
		top = info_of(f, &model.ids[i]).change;
	}
	model.first_change = top;
	for (int i = 0; i < STEPS; i++) {
		int box = i % BOXES;

		step(&model);
		top = MAX(top, info_of(f, &model.ids[box]).change);
		compare(&model, box, 0);
		compare(&model, box,
		        (uint64_t) g_test_rand_int_range((gint32) model.first_change,
		                                         (gint32) top + 1));
		compare_states(&model, box, i % 2 == 0 ? 0 : top - MIN(top - 1, 20));
		compare_counts(&model, box);
		if (i % 50 == 49) {
			g_assert_true(ph_index_check(f->index, false, fail_line, NULL, NULL));
			ph_index_unref(f->index);
			f->index = open_index(f, 0);
		}
	}
	for (int i = 0; i < BOXES; i++)
		g_array_unref(model.messages[i]);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/mailbox/index-model/agrees-with-an-array", Fixture, NULL, set_up, test_model,
	           tear_down);
	return g_test_run();
}
