/* test-uidset.c: uid sets: text, merging, order, limits
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>
#include <posthorn/uidset.h>

static char *
text_of(const PhUidSet *set)
{
	GString *out = g_string_new(NULL);

	ph_uid_set_append_text(set, out);
	return g_string_free(out, FALSE);
}

static void
test_parse(void)
{
	static const struct {
		const char *text;
		uint32_t star;
		const char *result; /* NULL: refused */
	} rows[] = {
		{ "1", 0, "1" },
		{ "1:4,7", 0, "1:4,7" },
		{ "4:1", 0, "1:4" },
		{ "7,1:4", 0, "1:4,7" },
		{ "1,2,3", 0, "1:3" },
		{ "1:3,3:5,2", 0, "1:5" },
		{ "5,3,1", 0, "1,3,5" },
		{ "*", 9, "9" },
		{ "12:*", 9, "9:12" },
		{ "*:12", 9, "9:12" },
		{ "1:*", 9, "1:9" },
		{ "*:*", 9, "9" },
		{ "4294967295", 0, "4294967295" },
		{ "1:4294967295", 0, "1:4294967295" },
		{ "4294967294,4294967295", 0, "4294967294:4294967295" },
		{ "4294967295,4294967294,1", 0, "1,4294967294:4294967295" },
		{ "*", 0, NULL },
		{ "1:*", 0, NULL },
		{ "", 9, NULL },
		{ "0", 9, NULL },
		{ "0:1", 9, NULL },
		{ "01", 9, NULL },
		{ "4294967296", 9, NULL },
		{ "1,", 9, NULL },
		{ ",1", 9, NULL },
		{ "1,,2", 9, NULL },
		{ "1:", 9, NULL },
		{ ":1", 9, NULL },
		{ "1:2:3", 9, NULL },
		{ "-1", 9, NULL },
		{ " 1", 9, NULL },
		{ "1 ", 9, NULL },
		{ "**", 9, NULL },
		{ "a", 9, NULL },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(PhUidSet) set =
			ph_uid_set_parse(ph_slice(rows[i].text), rows[i].star, 100);
		g_autofree char *text = set != NULL ? text_of(set) : NULL;

		g_assert_cmpstr(text, ==, rows[i].result);
	}
}

static void
test_limit(void)
{
	g_autoptr(PhUidSet) three = ph_uid_set_parse(ph_slice("1,3,5"), 0, 3);
	g_autoptr(PhUidSet) four = ph_uid_set_parse(ph_slice("1,3,5,7"), 0, 3);
	g_autoptr(PhUidSet) none = ph_uid_set_parse(ph_slice("1"), 0, 0);

	g_assert_nonnull(three);
	g_assert_null(four);
	g_assert_null(none);
}

/* Random additions against a plain array of truth values. */
static void
test_model(void)
{
	enum {
		SIZE = 200
	};

	for (int round = 0; round < 300; round++) {
		g_autoptr(PhUidSet) set = ph_uid_set_new();
		bool model[SIZE + 1] = { false };
		uint64_t count = 0;
		size_t n = 0;
		const PhUidRange *ranges = NULL;

		for (int i = 0; i < 30; i++) {
			uint32_t first = (uint32_t) g_test_rand_int_range(1, SIZE + 1);
			uint32_t length = (uint32_t) g_test_rand_int_range(0, 8);
			uint32_t last = MIN(first + length, SIZE);

			ph_uid_set_add_range(set, first, last);
			for (uint32_t uid = first; uid <= last; uid++)
				model[uid] = true;
		}
		for (uint32_t uid = 1; uid <= SIZE; uid++) {
			g_assert_cmpint(ph_uid_set_contains(set, uid), ==, model[uid]);
			count += model[uid];
		}
		g_assert_cmpuint(ph_uid_set_count(set), ==, count);
		ranges = ph_uid_set_ranges(set, &n);
		for (size_t i = 1; i < n; i++)
			g_assert_cmpuint(ranges[i].first, >, ranges[i - 1].last + 1);
	}
}

static void
test_sets(void)
{
	g_autoptr(PhUidSet) a = ph_uid_set_parse(ph_slice("1:3,10,20:30"), 0, 9);
	g_autoptr(PhUidSet) b = ph_uid_set_parse(ph_slice("4:9,25:40"), 0, 9);
	g_autoptr(PhUidSet) copy = ph_uid_set_copy(a);
	g_autofree char *text = NULL;
	g_autofree char *before = NULL;

	ph_uid_set_add_set(a, b);
	text = text_of(a);
	before = text_of(copy);
	g_assert_cmpstr(text, ==, "1:10,20:40");
	g_assert_cmpstr(before, ==, "1:3,10,20:30");
	ph_uid_set_clear(a);
	g_assert_true(ph_uid_set_is_empty(a));
	g_assert_cmpuint(ph_uid_set_count(a), ==, 0);
	ph_uid_set_add_range(a, 1, UINT32_MAX);
	g_assert_cmpuint(ph_uid_set_count(a), ==, UINT32_MAX);
	ph_uid_set_add(a, 7);
	g_assert_cmpuint(ph_uid_set_count(a), ==, UINT32_MAX);
}

/* Descending ranges from a peer must not cost a move of all others each. */
static void
test_hostile_order(void)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(PhUidSet) set = NULL;

	for (int i = 200000; i > 0; i--)
		g_string_append_printf(text, "%s%d", text->len > 0 ? "," : "", i * 2);
	set = ph_uid_set_parse(PH_SLICE(text->str, text->len), 0, 200000);
	g_assert_nonnull(set);
	g_assert_cmpuint(ph_uid_set_count(set), ==, 200000);
}

static void
test_remove_and_walk(void)
{
	static const char *const rows[][3] = {
		{ "1:10", "3:4,7", "1:2,5:6,8:10" },
		{ "1:10", "1:20", "" },
		{ "5:6,9:12", "6:9,12:4294967295", "5,10:11" },
		{ "4294967290:4294967295", "4294967295", "4294967290:4294967294" },
		{ "1:3,5:7", "4,9", "1:3,5:7" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(PhUidSet) set = ph_uid_set_parse(ph_slice(rows[i][0]), 0, 9);
		g_autoptr(PhUidSet) other = ph_uid_set_parse(ph_slice(rows[i][1]), 0, 9);
		g_autofree char *text = NULL;
		uint64_t n = 0;

		ph_uid_set_remove_set(set, other);
		text = text_of(set);
		g_assert_cmpstr(text, ==, rows[i][2]);
		for (uint32_t uid = ph_uid_set_next(set, 0); uid != 0;
		     uid = ph_uid_set_next(set, uid)) {
			g_assert_true(ph_uid_set_contains(set, uid));
			n++;
		}
		g_assert_cmpuint(n, ==, ph_uid_set_count(set));
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/base/uidset/text-is-parsed-and-written", test_parse);
	g_test_add_func("/base/uidset/ranges-are-limited", test_limit);
	g_test_add_func("/base/uidset/agrees-with-a-plain-array", test_model);
	g_test_add_func("/base/uidset/sets-are-joined-and-copied", test_sets);
	g_test_add_func("/base/uidset/hostile-order-is-linear", test_hostile_order);
	g_test_add_func("/base/uidset/removes-and-walks", test_remove_and_walk);
	return g_test_run();
}
