/* test-state.c: states of a mailbox against a plain list
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/state.h"

enum {
	ROUNDS = 400,
	MAX_UIDS = 6000,
};

/* Model: the messages as a plain array by uid; change 0: not there. */
typedef struct {
	PhMessage messages[MAX_UIDS];
	uint32_t uidnext;
	uint64_t change;
} Model;

static void
assert_equal(const PhState *state, const Model *model)
{
	uint32_t number = 0;

	for (uint32_t uid = 1; uid < model->uidnext; uid++) {
		const PhMessage *message = &model->messages[uid];
		g_assert_cmpuint(ph_state_lower_bound(state, uid), ==, number + 1);
		if (message->change == 0) {
			g_assert_cmpuint(ph_state_find(state, uid), ==, 0);
			continue;
		}
		number++;
		g_assert_cmpuint(ph_state_find(state, uid), ==, number);
		g_assert_cmpuint(ph_state_at(state, number)->change, ==, message->change);
		g_assert_cmpuint(ph_state_at(state, number)->flags, ==, message->flags);
	}
	g_assert_cmpuint(ph_state_count(state), ==, number);
	g_assert_cmpuint(ph_state_change(state), ==, model->change);
}

/* One random step of the model and of the state. */
static PhState *
step(const PhState *state, Model *model)
{
	g_autoptr(GArray) changed = g_array_new(FALSE, FALSE, sizeof(PhMessage));
	g_autoptr(PhUidSet) expunged = ph_uid_set_new();

	model->change++;
	for (uint32_t uid = 1; uid < model->uidnext; uid++) {
		PhMessage *message = &model->messages[uid];
		int dice = message->change != 0 ? g_test_rand_int_range(0, 300) : 100;
		if (dice == 0) {
			message->change = 0;
			ph_uid_set_add(expunged, uid);
		} else if (dice == 1) {
			message->flags ^= PH_FLAG_SEEN;
			message->change = model->change;
			g_array_append_val(changed, *message);
		}
	}
	for (int n = g_test_rand_int_range(0, 40); n > 0 && model->uidnext < MAX_UIDS; n--) {
		PhMessage *message = &model->messages[model->uidnext];
		message->uid = model->uidnext++;
		message->change = model->change;
		g_array_append_val(changed, *message);
	}
	return ph_state_apply(state, (const PhMessage *) (void *) changed->data, changed->len,
	                      expunged, model->change);
}

static void
agrees_with_a_plain_list(void)
{
	g_autofree Model *model = g_new0(Model, 1);
	model->uidnext = 1;
	g_autoptr(PhState) state = ph_state_new(NULL, 0, 0);

	for (int round = 0; round < ROUNDS; round++) {
		PhState *next = step(state, model);
		ph_state_unref(state);
		state = next;
		if (round % 20 == 0)
			assert_equal(state, model);
	}
	assert_equal(state, model);
}

/* The diff of two states, applied to the older one, gives the newer one. */
static void
a_diff_leads_from_one_state_to_another(void)
{
	g_autofree Model *model = g_new0(Model, 1);
	model->uidnext = 1;
	g_autoptr(PhState) state = ph_state_new(NULL, 0, 0);

	for (int round = 0; round < ROUNDS / 4; round++) {
		g_autoptr(PhState) old = ph_state_ref(state);
		for (int i = g_test_rand_int_range(1, 4); i > 0; i--) {
			PhState *next = step(state, model);
			ph_state_unref(state);
			state = next;
		}
		PhStateDiff diff;
		g_autoptr(PhUidSet) removed = ph_uid_set_new();
		ph_state_diff(old, state, &diff);
		for (guint i = 0; i < diff.removed->len; i++)
			ph_uid_set_add(
				removed,
				ph_state_at(old, g_array_index(diff.removed, uint32_t, i))->uid);
		g_array_append_vals(diff.changed, diff.added->data, diff.added->len);
		g_autoptr(PhState) led =
			ph_state_apply(old, (const PhMessage *) (void *) diff.changed->data,
		                       diff.changed->len, removed, model->change);
		assert_equal(led, model);
		ph_state_diff_clear(&diff);
	}
}

static void
an_empty_state_has_no_numbers(void)
{
	g_autoptr(PhState) state = ph_state_new(NULL, 0, 7);
	PhStateDiff diff;

	g_assert_cmpuint(ph_state_count(state), ==, 0);
	g_assert_cmpuint(ph_state_find(state, 1), ==, 0);
	g_assert_cmpuint(ph_state_lower_bound(state, 1), ==, 1);
	g_assert_cmpuint(ph_state_last_uid(state), ==, 0);
	ph_state_diff(state, state, &diff);
	g_assert_cmpuint(diff.removed->len + diff.added->len + diff.changed->len, ==, 0);
	ph_state_diff_clear(&diff);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mailbox/state/agrees-with-a-plain-list", agrees_with_a_plain_list);
	g_test_add_func("/mailbox/state/a-diff-leads-from-one-state-to-another",
	                a_diff_leads_from_one_state_to_another);
	g_test_add_func("/mailbox/state/an-empty-state-has-no-numbers",
	                an_empty_state_has_no_numbers);
	return g_test_run();
}
