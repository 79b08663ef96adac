/* values.c: rules about what PUT keeps and `values` tells
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

enum {
	KEY_MAX = 1024,
};

static void
put(PhKitAccount *a, const PhMailboxId *mailbox, const char *key, PhSlice value)
{
	PhKitTx *tx = ph_kit_tx();

	(void) ph_kit_add_put(tx, mailbox, key, value);
	(void) ph_kit_must(a, tx, "put");
}

static void
check(PhKitAccount *a, const PhMailboxId *mailbox, const char *prefix, const char *expected)
{
	g_autofree char *text = ph_kit_values(a, mailbox, prefix);

	ph_kit_same_text("values", text, expected);
}

static void
values_keep(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };

	ph_kit_open(&a, "values");
	check(&a, NULL, "", "");
	put(&a, NULL, "b/2", PH_SLICE_LITERAL("two"));
	put(&a, NULL, "b/10", PH_SLICE_LITERAL("ten"));
	put(&a, NULL, "a", PH_SLICE_LITERAL("first"));
	put(&a, NULL, "c", PH_SLICE_LITERAL("last"));
	for (int i = 0; i < 2; i++) {
		check(&a, NULL, "", "a=first b/10=ten b/2=two c=last");
		check(&a, NULL, "b/", "b/10=ten b/2=two");
		check(&a, NULL, "b/2", "b/2=two");
		check(&a, NULL, "x", "");
		check(&a, &a.inbox, "", "");
		ph_kit_reopen(&a);
	}
	put(&a, NULL, "b/2", PH_SLICE_LITERAL("other"));
	put(&a, NULL, "a", PH_SLICE_EMPTY);
	put(&a, NULL, "never", PH_SLICE_EMPTY);
	check(&a, NULL, "", "b/10=ten b/2=other c=last");
}

static void
values_of_mailbox(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhKitTx *tx = ph_kit_tx();
	PhMailboxId id;

	ph_kit_open(&a, "mailbox");
	ph_kit_create(&a, "work", &id);
	put(&a, &id, "key", PH_SLICE_LITERAL("of work"));
	put(&a, &a.inbox, "key", PH_SLICE_LITERAL("of inbox"));
	put(&a, NULL, "key", PH_SLICE_LITERAL("of all"));
	check(&a, &id, "", "key=of work");
	check(&a, &a.inbox, "", "key=of inbox");
	check(&a, NULL, "", "key=of all");
	ph_kit_remove(&a, &id);
	(void) ph_kit_add_put(tx, &id, "key", PH_SLICE_LITERAL("late"));
	ph_kit_must_fail(&a, tx, PH_ERROR_NOT_FOUND, "put for a removed mailbox");
	ph_kit_create(&a, "work", &id);
	check(&a, &id, "", "");
}

static bool
same_value(const char *key, PhSlice value, void *user_data)
{
	const PhSlice *expected = user_data;

	KIT_CHECK(ph_slice_equal(value, *expected),
	          "a value of %" G_GSIZE_FORMAT " octets is not what was put", value.length);
	return true;
}

static void
values_octets(void)
{
	static const size_t lengths[] = { 1, 4096, PH_VALUE_MAX - 1, PH_VALUE_MAX,
		                          PH_VALUE_MAX + PH_VALUE_ROOM };
	/* a store that encrypts uses up the room itself */
	size_t n = G_N_ELEMENTS(lengths) - (ph_kit_is(PH_STORE_HIDES_OCTETS) ? 1 : 0);
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autofree char *octets = g_malloc(PH_VALUE_MAX + PH_VALUE_ROOM);
	g_autofree char *key = g_strnfill(KEY_MAX, 'k');
	g_autoptr(GError) error = NULL;

	ph_kit_open(&a, "octets");
	for (size_t i = 0; i < PH_VALUE_MAX + PH_VALUE_ROOM; i++)
		octets[i] = (char) (i * 31 % 256);
	for (size_t i = 0; i < n; i++) {
		PhSlice value = PH_SLICE(octets, lengths[i]);

		put(&a, NULL, key, value);
		ph_kit_reopen(&a);
		if (!ph_kit.table->values(a.handle, NULL, key, same_value, &value, &error))
			ph_kit_fail("values: %s", error->message);
	}
	put(&a, NULL, "\xc3\xa4 % _ ' \" \\", PH_SLICE("\0x", 2));
	put(&a, NULL, "\xc3\xa5", PH_SLICE_LITERAL("after"));
	check(&a, NULL, "\xc3\xa5", "\xc3\xa5=after");
	check(&a, NULL, "%", "");
	check(&a, NULL, "\xc3\xa4 _", "");
}

static void
values_many(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autofree char *text = NULL;
	PhKitTx *tx = ph_kit_tx();
	size_t words = 1;

	ph_kit_open(&a, "manyvalues");
	for (int i = 0; i < 500; i++) {
		g_autofree char *key = g_strdup_printf("k/%d", i * 7919 % 500);

		(void) ph_kit_add_put(tx, NULL, key, PH_SLICE_LITERAL("v"));
	}
	(void) ph_kit_must(&a, tx, "put of 500 values");
	text = ph_kit_values(&a, NULL, "k/");
	for (const char *at = text; *at != '\0'; at++)
		words += *at == ' ';
	ph_kit_same("values", words, 500);
}

const PhConformRule ph_conform_values[] = {
	{ "values", "contract", "put, prefix, octet order, change, removal; also after reopening",
	  values_keep },
	{ "values-mailbox", "contract", "a mailbox's values are its own and go with it",
	  values_of_mailbox },
	{ "values-octets", "contract", "1 octet to 64 KiB of anything, long and odd keys",
	  values_octets },
	{ "values-many", "contract", "five hundred values in one transaction, told in order",
	  values_many },
	{ NULL },
};
