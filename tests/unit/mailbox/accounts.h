/* accounts.h: accounts in a sqlite store in a folder of its own, for tests
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TEST_MAILBOX_ACCOUNTS_H
#define TEST_MAILBOX_ACCOUNTS_H

#include <posthorn/mailbox.h>

#include "config/section.h"
#include "mailbox/account.h"
#include "plugin/adopt.h"
#include "plugin/calls.h"

#include <glib/gstdio.h>

extern const PhPlugin ph_plugin; /* the sqlite store's, linked into the test */

typedef struct {
	char *folder;
	PhOfferInfo offer;
	struct PhSection section;

	struct {
		const char *path;
		PhDuration grace;
		PhSize largest;
	} settings;

	PhStore *table;
} TestStore;

static inline void
test_store_init(TestStore *store)
{
	g_autoptr(GError) error = NULL;

	memset(store, 0, sizeof *store);
	store->folder = g_dir_make_tmp("posthorn-accounts-XXXXXX", NULL);
	store->settings.path = g_strconcat(store->folder, "/{user}.sqlite", NULL);
	store->settings.grace.us = 3600000000;
	store->table = ph_adopt_table(PH_KIND_STORE, ph_plugin.offers[0].table, &error);
	g_assert_no_error(error);
	store->offer.kind = PH_KIND_STORE;
	store->offer.table = store->table;
	store->section.word = "store";
	/* of this store alone: a thread may still let go of the last one's account */
	store->section.name = store->folder;
	store->section.kind = PH_KIND_STORE;
	store->section.offer = &store->offer;
	store->section.calls = ph_calls_new(0, (PhDuration){ 0 });
	g_assert_true(store->table->create(&store->section, &store->settings,
	                                   &store->section.instance, &error));
}

static inline void
test_store_clear(TestStore *store)
{
	g_autoptr(GDir) dir = g_dir_open(store->folder, 0, NULL);
	const char *name = NULL;

	ph_accounts_forget_section(&store->section);
	store->table->destroy(store->section.instance);
	while ((name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *path = g_build_filename(store->folder, name, NULL);

		(void) g_unlink(path);
	}
	(void) g_rmdir(store->folder);
	ph_calls_unref(store->section.calls);
	g_free((char *) (uintptr_t) store->settings.path);
	g_free(store->table);
	g_free(store->folder);
}

static inline PhAccount *
test_account(TestStore *store, const char *user, uint64_t quota_messages)
{
	g_autoptr(GError) error = NULL;
	PhIdentityValues values = {
		.size = sizeof values,
		.user = user,
		.domain = "",
		.quota_messages = quota_messages,
	};
	g_autoptr(PhIdentity) identity = ph_identity_new(&values, &error);
	PhAccount *account = ph_account_open(&store->section, identity, &error);

	g_assert_no_error(error);
	return account;
}

static inline PhMailboxId
test_mailbox(PhAccount *account, const char *name)
{
	g_autoptr(GError) error = NULL;
	PhMailboxId id;

	g_assert_true(ph_account_find_id(account, PH_SLICE(name, strlen(name)), &id, &error));
	g_assert_no_error(error);
	return id;
}

static inline void
test_fail_line(const char *line, void *user_data)
{
	g_test_message("%s", line);
	g_test_fail();
}

/* The store finds nothing wrong. */
static inline void
test_verify(PhAccount *account)
{
	PhAccountCall call;

	g_assert_true(ph_account_enter(account, &call, NULL));
	g_assert_true(call.table->verify(call.engine, false, test_fail_line, NULL, NULL));
	ph_account_leave(&call, true);
}

/* One message in the mailbox; its uid. */
static inline uint32_t
test_append(PhAccount *account, const PhMailboxId *mailbox, PhSlice octets, uint32_t flags)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(PhContent) content = ph_content_new_copy(octets);
	g_autoptr(PhTransaction) transaction = ph_transaction_new(account, NULL);
	PhAppendOptions options = { .size = sizeof options, .flags = flags };
	PhOp *op = ph_transaction_append(transaction, mailbox, content, &options, &error);

	g_assert_no_error(error);
	g_assert_true(ph_transaction_run(transaction, &error));
	g_assert_no_error(error);
	return op->uid;
}

static inline PhContent *
test_read_back(PhAccount *account, const char *mailbox, uint32_t uid, GError **error)
{
	g_autoptr(PhView) view = ph_view_open(account, PH_SLICE(mailbox, strlen(mailbox)), true,
	                                      (PhSessionRef){ 0, 0 }, error);
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(uid, uid);
	g_autoptr(PhCursor) cursor = ph_cursor_new(view, uids, PH_FIELD_BLOB | PH_FIELD_OCTETS);
	const PhRecord *record = ph_cursor_next(cursor, error);

	g_assert_nonnull(record);
	return ph_view_content(view, record, error);
}

static inline void
test_assert_octets(PhAccount *account, uint32_t uid, PhSlice expected)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(PhContent) content = test_read_back(account, "INBOX", uid, &error);
	g_autofree char *copy = g_malloc(expected.length + 1);

	g_assert_no_error(error);
	g_assert_cmpuint(ph_content_length(content), ==, expected.length);
	g_assert_cmpint(ph_content_read(content, 0, copy, expected.length + 1, &error), ==,
	                (gssize) expected.length);
	g_assert_no_error(error);
	g_assert_true(memcmp(copy, expected.data, expected.length) == 0);
}

#endif
