/* isolation.c: rules about accounts: nothing of one is seen in another
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

/* Both accounts hold something; @b must not give what is @a's. */
static void
foreign_ids(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_auto(PhKitAccount) b = { .handle = NULL };
	g_autoptr(PhKitReading) reading = g_new0(PhKitReading, 1);
	g_autoptr(GError) error = NULL;
	PhKitTx *tx = ph_kit_tx();
	PhMailboxInfo info;

	ph_kit_open(&a, "one");
	ph_kit_open(&b, "other");
	(void) ph_kit_append(&a, &a.inbox, PH_SLICE_LITERAL("secret\r\n"));
	KIT_CHECK(!ph_kit_info(&b, &a.inbox, &info), "a mailbox of another account is listed");
	KIT_CHECK(!ph_kit_try_read(&b, &a.inbox, reading, KIT_ALL_FIELDS, &error)
	                  && reading->records->len == 0,
	          "changes tells records of another account's mailbox");
	(void) ph_kit_add_append(tx, &b, &a.inbox, PH_SLICE_EMPTY);
	ph_kit_must_fail(&b, tx, 0, "an append to another account's mailbox");
	tx = ph_kit_tx();
	(void) ph_kit_add_uids(tx, PH_OP_EXPUNGE, &a.inbox, "1");
	ph_kit_must_fail(&b, tx, 0, "an expunge in another account's mailbox");
	tx = ph_kit_tx();
	(void) ph_kit_add_transfer(tx, PH_OP_COPY, &a.inbox, "1", &b.inbox);
	ph_kit_must_fail(&b, tx, 0, "a copy from another account's mailbox");
	tx = ph_kit_tx();
	(void) ph_kit_add_put(tx, NULL, "key", PH_SLICE_LITERAL("value"));
	(void) ph_kit_must(&b, tx, "put");
	{
		g_autofree char *values = ph_kit_values(&a, NULL, "");

		ph_kit_same_text("values of the other account", values, "");
	}
	ph_kit_same_messages(&a, &a.inbox, "1:-");
	ph_kit_same_messages(&b, &b.inbox, "");
}

static void
check_not_secret(PhKitAccount *b, const PhMailboxId *mailbox, uint32_t uid, const PhBlobId *blob)
{
	g_autoptr(PhContent) content = NULL;
	char buffer[64] = "";

	if (!ph_kit.table->content(b->handle, mailbox, uid, blob, &content, NULL))
		return;
	if (ph_content_read(content, 0, buffer, sizeof buffer - 1, NULL) < 0)
		return;
	KIT_CHECK(strstr(buffer, "secret") == NULL,
	          "content gives octets of another account by its blob id");
}

static void
foreign_blobs(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_auto(PhKitAccount) b = { .handle = NULL };
	g_autoptr(PhKitReading) reading = NULL;
	g_autoptr(PhContent) content = ph_content_new_copy(PH_SLICE_LITERAL("secret\r\n"));
	g_autoptr(GError) error = NULL;
	PhBlobId blob;
	uint32_t uid = 0;

	ph_kit_open(&a, "first");
	ph_kit_open(&b, "second");
	uid = ph_kit_append(&a, &a.inbox, PH_SLICE_LITERAL("secret\r\n"));
	ph_kit_check_octets(&a, &a.inbox, uid, PH_SLICE_LITERAL("secret\r\n"));
	reading = ph_kit_read(&a, &a.inbox, 0, NULL, PH_FIELD_BLOB);
	blob = ph_kit_record(reading, uid)->blob;
	ph_kit_count();
	check_not_secret(&b, &b.inbox, uid, &blob);
	check_not_secret(&b, &a.inbox, uid, &blob);
	(void) ph_kit_append(&b, &b.inbox, PH_SLICE_LITERAL("mine\r\n"));
	check_not_secret(&b, &b.inbox, 1, &blob);
	if (!ph_kit.table->upload(a.handle, content, false, &blob, &error))
		ph_kit_fail("upload: %s", error->message);
	{
		g_autoptr(PhKitTx) tx = ph_kit_tx();

		ph_kit_add(tx, PH_OP_APPEND, &b.inbox)->blob = blob;
		tx->op->octets = 8;
		if (ph_kit_commit(&b, tx))
			check_not_secret(&b, &b.inbox, tx->op->uid, &blob);
	}
}

static const char *const odd_users[] = {
	"../conform",
	"..",
	".",
	"a/b",
	"/etc/passwd",
	"a\\b",
	"a b",
	"%2e%2e",
	"{user}",
	"$(id)",
	"`id`",
	"'or 1=1--",
	"a;b",
	"*",
	"~root",
	"-rf",
	"user-wal.sqlite",
	"\xc3\xa4nna",
	"a\xcc\x88nna",
	"Anna",
	"anna",
	"an\xe2\x80\xaena",
};

/* Each gets the number of its name; then each has its own. */
static void
hostile_users(void)
{
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < G_N_ELEMENTS(odd_users); i++) {
			g_autofree char *user =
				g_strdup_printf("%s%s", odd_users[i], i < 2 ? "" : ph_kit.run);
			g_autofree char *text =
				g_strdup_printf("%u %s\r\n", (unsigned) i, ph_kit.run);
			g_auto(PhKitAccount) a = { .handle = NULL };
			PhMailboxInfo info;

			if (i >= 2)
				ph_kit_open_user(&a, user, "conform.example");
			else
				ph_kit_open_user(&a, user, ph_kit.run);
			info = ph_kit_must_info(&a, &a.inbox);
			if (round == 0) {
				ph_kit_same("messages of a new account", info.n_messages, 0);
				(void) ph_kit_append(&a, &a.inbox, ph_slice(text));
				continue;
			}
			ph_kit_same("messages of an account", info.n_messages, 1);
			ph_kit_check_octets(&a, &a.inbox, info.uidnext - 1, ph_slice(text));
		}
	}
}

static void
same_user_other_domain(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_auto(PhKitAccount) b = { .handle = NULL };
	g_autofree char *user = g_strdup_printf("conform-%s-domains", ph_kit.run);

	ph_kit_open_user(&a, user, "one.example");
	ph_kit_open_user(&b, user, "two.example");
	(void) ph_kit_append(&a, &a.inbox, PH_SLICE_EMPTY);
	ph_kit_same_messages(&b, &b.inbox, "");
}

static void
many_accounts(void)
{
	uint32_t n = ph_kit_scaled(2000, 30);
	g_autofree PhKitAccount *open = g_new0(PhKitAccount, 20);

	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < n; i++) {
			g_autofree char *who = g_strdup_printf("m%u", i);
			g_autofree char *text = g_strdup_printf("%u\r\n", i);
			PhKitAccount *a = &open[i % 20];

			ph_kit_close(a);
			ph_kit_open(a, who);
			if (round == 0)
				(void) ph_kit_append(a, &a->inbox, ph_slice(text));
			else
				ph_kit_check_octets(a, &a->inbox, 1, ph_slice(text));
		}
	}
	for (int i = 0; i < 20; i++)
		ph_kit_close(&open[i]);
}

const PhConformRule ph_conform_isolation[] = {
	{ "foreign-ids", "STORE-7", "a mailbox id of another account gives and takes nothing",
	  foreign_ids },
	{ "foreign-blobs", "STORE-7", "a blob id of another account does not give its octets",
	  foreign_blobs },
	{ "hostile-users", "STORE-7", "odd user names each have an account of their own",
	  hostile_users },
	{ "same-user", "STORE-7", "one user name in two domains is two accounts",
	  same_user_other_domain },
	{ "many-accounts", "STORE-7", "two thousand accounts times scale, twenty open at a time",
	  many_accounts },
	{ NULL },
};
