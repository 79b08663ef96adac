/* limits.c: rules about quota and other limits
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

enum {
	USUAL_KEYWORDS = 64,
	USUAL_KEYWORD_LENGTH = 100,
	QUOTA = 10,
	OCTETS = 1000,
};

static PhKitTx *
one_more(PhKitAccount *a, PhSlice octets)
{
	PhKitTx *tx = ph_kit_tx();

	(void) ph_kit_add_append(tx, a, &a->inbox, octets);
	return tx;
}

/* Over the limit nothing grows, and everything that does not grow still works. */
static void
check_full(PhKitAccount *a, PhSlice octets)
{
	PhKitTx *tx = ph_kit_tx();
	PhMailboxId target;

	ph_kit_must_fail(a, one_more(a, octets), PH_ERROR_OVER_QUOTA, "an append over the quota");
	(void) ph_kit_add_transfer(tx, PH_OP_COPY, &a->inbox, "1:2", &a->inbox);
	ph_kit_must_fail(a, tx, PH_ERROR_OVER_QUOTA, "a copy over the quota");
	(void) ph_kit_set_flags(a, &a->inbox, "1", PH_FLAGS_ADD, PH_FLAG_DELETED, "word");
	ph_kit_create(a, "target", &target);
	(void) ph_kit_transfer(a, PH_OP_MOVE, &a->inbox, "2", &target);
	ph_kit_same_messages(a, &target, "1:-");
	ph_kit_must_fail(a, one_more(a, octets), PH_ERROR_OVER_QUOTA,
	                 "an append over the quota, after a move");
	(void) ph_kit_expunge(a, &a->inbox, "1");
	(void) ph_kit_append(a, &a->inbox, octets);
	ph_kit_must_fail(a, one_more(a, octets), PH_ERROR_OVER_QUOTA,
	                 "an append over the quota again");
	ph_kit_check_counts(a);
	ph_kit_reopen(a);
	ph_kit_must_fail(a, one_more(a, octets), PH_ERROR_OVER_QUOTA,
	                 "an append over the quota, reopened");
}

static void
need_exact_quota(void)
{
	if (!ph_kit_is(PH_STORE_EXACT_QUOTA))
		ph_kit_skip("the store does not say that its quota is exact");
}

static void
quota_octets(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autofree char *octets = g_strnfill(OCTETS, 'q');
	PhSlice message = PH_SLICE(octets, OCTETS);

	need_exact_quota();
	ph_kit_open_limited(&a, "octets", (uint64_t) QUOTA * OCTETS + OCTETS / 2, 0);
	for (int i = 0; i < QUOTA; i++)
		(void) ph_kit_append(&a, &a.inbox, message);
	check_full(&a, message);
	ph_kit_must_fail(&a, one_more(&a, PH_SLICE(octets, OCTETS / 2 + 1)), PH_ERROR_OVER_QUOTA,
	                 "an append of one octet too many");
	(void) ph_kit_append(&a, &a.inbox, PH_SLICE(octets, OCTETS / 2));
}

static void
quota_messages(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };

	need_exact_quota();
	ph_kit_open_limited(&a, "messages", 0, QUOTA);
	for (int i = 0; i < QUOTA; i++)
		(void) ph_kit_append(&a, &a.inbox, PH_SLICE_EMPTY);
	check_full(&a, PH_SLICE_EMPTY);
}

static void
quota_in_batch(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhKitTx *txs[3] = { NULL };
	PhKitTx *tx = ph_kit_tx();

	need_exact_quota();
	ph_kit_open_limited(&a, "batch", 0, 2);
	for (size_t i = 0; i < 3; i++)
		txs[i] = one_more(&a, PH_SLICE_EMPTY);
	ph_kit_batch(&a, txs, 3);
	KIT_CHECK(txs[0]->public.done && txs[1]->public.done, "appends below the quota failed");
	KIT_CHECK(!txs[2]->public.done, "the third append of a batch passed a quota of two");
	for (size_t i = 0; i < 3; i++)
		ph_kit_tx_free(txs[i]);
	(void) ph_kit_expunge(&a, &a.inbox, "1:2");
	for (size_t i = 0; i < 3; i++)
		(void) ph_kit_add_append(tx, &a, &a.inbox, PH_SLICE_EMPTY);
	ph_kit_must_fail(&a, tx, PH_ERROR_OVER_QUOTA, "three appends of one transaction for two");
	ph_kit_same_messages(&a, &a.inbox, "");
}

static uint32_t
most_keywords(void)
{
	return ph_kit.table->max_keywords != 0 ? ph_kit.table->max_keywords : USUAL_KEYWORDS;
}

static char *
keyword_number(uint32_t i)
{
	return g_strdup_printf("keyword%u", i);
}

static void
limit_keywords(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	uint32_t most = most_keywords();
	PhKitTx *tx = ph_kit_tx();
	g_autofree char *last = keyword_number(most);

	if (most > 1000)
		ph_kit_skip("the store takes %u keywords a mailbox", most);
	ph_kit_open(&a, "keywords");
	ph_kit_fill(&a, &a.inbox, 1);
	for (uint32_t i = 0; i < most; i++) {
		g_autofree char *word = keyword_number(i);

		(void) ph_kit_set_flags(&a, &a.inbox, "1", PH_FLAGS_ADD, 0, word);
	}
	ph_kit_add_flags(tx, &a.inbox, "1", PH_FLAGS_ADD)->flags = PH_FLAG_SEEN;
	ph_kit_set_keywords(tx, tx->op, last);
	ph_kit_must_fail(&a, tx, PH_ERROR_LIMIT, "one keyword too many");
	tx = one_more(&a, PH_SLICE_EMPTY);
	ph_kit_set_keywords(tx, tx->op, last);
	ph_kit_must_fail(&a, tx, PH_ERROR_LIMIT, "an append with one keyword too many");
	(void) ph_kit_set_flags(&a, &a.inbox, "1", PH_FLAGS_REPLACE, 0, "keyword0");
	ph_kit_same_messages(&a, &a.inbox, "1:+keyword0");
}

static void
limit_keyword_length(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	uint32_t length = ph_kit.table->max_keyword_length != 0 ? ph_kit.table->max_keyword_length
	                                                        : USUAL_KEYWORD_LENGTH;
	g_autofree char *longest = g_strnfill(length, 'k');
	g_autofree char *longer = g_strnfill(length + 1, 'k');
	g_autofree char *expected = g_strdup_printf("1:+%s", longest);
	PhKitTx *tx = ph_kit_tx();

	ph_kit_open(&a, "length");
	ph_kit_fill(&a, &a.inbox, 1);
	(void) ph_kit_set_flags(&a, &a.inbox, "1", PH_FLAGS_ADD, 0, longest);
	ph_kit_same_messages(&a, &a.inbox, expected);
	(void) ph_kit_add_flags(tx, &a.inbox, "1", PH_FLAGS_ADD);
	ph_kit_set_keywords(tx, tx->op, longer);
	ph_kit_must_fail(&a, tx, PH_ERROR_LIMIT, "a keyword that is too long");
	ph_kit_same_messages(&a, &a.inbox, expected);
}

const PhConformRule ph_conform_limits[] = {
	{ "quota-octets", "contract",
	  "over the octets: no append, no copy; expunge, flags, move work", quota_octets },
	{ "quota-messages", "contract", "the same for the number of messages", quota_messages },
	{ "quota-batch", "STORE-1",
	  "a quota that is passed in the middle of a batch or transaction", quota_in_batch },
	{ "limit-keywords", "contract", "as many keywords as the store says, then LIMIT",
	  limit_keywords },
	{ "limit-keyword-length", "contract", "keywords as long as the store says, then LIMIT",
	  limit_keyword_length },
	{ NULL },
};
