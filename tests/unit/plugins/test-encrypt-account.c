/* test-encrypt-account.c: an account's keys: made once, hidden, wrapped anew, missed when wrong
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "stacks-read.h"

#include <pthread.h>

#define DISK    "[store disk]\nplugin = sqlite\npath = {data}/{user}.sqlite\n"
#define ENCRYPT "[store mail]\nplugin = encrypt\nbelow = disk\nkeys = keys\n"

static const PhSlice message = { "Subject: x\r\n\r\nsecret\r\n", 22 };

static bool
count_value(const char *key, PhSlice value, void *user_data)
{
	++*(unsigned *) user_data;
	return true;
}

static unsigned
n_values(Stack *stack, const char *prefix)
{
	unsigned n = 0;

	g_assert_true(stack->store->values(stack->account, NULL, prefix, count_value, &n, NULL));
	return n;
}

static bool
put(Stack *stack, const char *key, const char *value, GError **error)
{
	PhOp op = {
		.kind = PH_OP_PUT,
		.keywords = stack_no_keywords,
		.is_account_value = true,
		.key = key,
		.value = ph_slice(value),
	};
	PhOp *ops[] = { &op };

	return stack_commit(stack, ops, 1, error);
}

static void
test_keys_are_hidden(void)
{
	g_autoptr(GError) error = NULL;
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, DISK ENCRYPT, "mail");
	g_assert_true(put(&stack, "subscription/INBOX", "1", &error));
	g_assert_cmpuint(n_values(&stack, ""), ==, 1);
	g_assert_cmpuint(n_values(&stack, ".encrypt/"), ==, 0);
	g_assert_false(put(&stack, ".encrypt/key/0000000000000000", "x", &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_DENIED);
	stack_close(&stack);
	stack_open(&stack, DISK ENCRYPT, "mail");
	stack_detach(&stack);
	/* below, one key was made, once */
	g_assert_true(stack_attach(&stack, "disk", "ann", NULL));
	g_assert_cmpuint(n_values(&stack, ".encrypt/"), ==, 1);
	stack_clear(&stack);
}

/* New wraps, the old one still opens; after a repair the old one may go. */
static void
test_rotation(void)
{
	g_autoptr(GError) error = NULL;
	uint32_t uid = 0;
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, DISK ENCRYPT, "mail");
	uid = stack_append(&stack, message);
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	stack_close(&stack);
	stack_write(&stack, "keys", STACK_KEY_A STACK_KEY_B);
	stack_open(&stack, DISK ENCRYPT, "mail");
	stack_assert_octets(&stack, uid, message);
	g_assert_cmpuint(stack_verify(&stack, false), ==, 1);
	g_assert_cmpuint(stack_verify(&stack, true), ==, 1);
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	stack_close(&stack);
	stack_write(&stack, "keys", STACK_KEY_B);
	stack_open(&stack, DISK ENCRYPT, "mail");
	stack_assert_octets(&stack, uid, message);
	stack_clear(&stack);
}

static void
test_wrong_key(void)
{
	g_autoptr(GError) error = NULL;
	uint32_t uid = 0;
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, DISK ENCRYPT, "mail");
	uid = stack_append(&stack, message);
	stack_close(&stack);
	stack_write(&stack, "keys", STACK_KEY_B);
	g_assert_true(stack_serve(&stack, DISK ENCRYPT, "mail", &error));
	g_assert_false(stack_attach(&stack, "mail", "ann", &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	g_assert_nonnull(strstr(error->message, "ann@example.org"));
	stack_close(&stack);
	/* nothing was harmed by the attempt */
	stack_write(&stack, "keys", STACK_KEY_A);
	stack_open(&stack, DISK ENCRYPT, "mail");
	stack_assert_octets(&stack, uid, message);
	stack_clear(&stack);
}

/* Plain mail below is refused unless it is asked for. */
static void
test_plain_mail(void)
{
	g_autoptr(GError) error = NULL;
	uint32_t uid = 0;
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, DISK, "disk");
	uid = stack_append(&stack, message);
	stack_close(&stack);
	stack_open(&stack, DISK ENCRYPT, "mail");
	g_assert_null(stack_content(&stack, uid, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_CORRUPT);
	g_assert_cmpuint(stack_verify(&stack, false), ==, 1);
	stack_close(&stack);
	stack_open(&stack, DISK ENCRYPT "accept-plain = yes\n", "mail");
	stack_assert_octets(&stack, uid, message);
	stack_clear(&stack);
}

static bool
holds(Stack *stack, const char *what)
{
	g_autofree char *folder = g_build_filename(stack->folder, "data", NULL);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name = NULL;
	bool found = false;

	while ((name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *path = g_build_filename(folder, name, NULL);
		g_autofree char *octets = NULL;
		gsize length = 0;

		if (g_file_get_contents(path, &octets, &length, NULL)
		    && memmem(octets, length, what, strlen(what)) != NULL)
			found = true;
	}
	return found;
}

/* Neither octets nor structures are on the disk. */
static void
test_disk_shows_nothing(void)
{
	g_autoptr(PhContent) content = ph_content_new_copy(message);
	g_autoptr(GError) error = NULL;
	uint32_t uid = 0;
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, DISK, "disk");
	g_assert_true(stack_try_append(&stack, content, ph_slice("some structure"), &uid, &error));
	stack_close(&stack);
	g_assert_true(holds(&stack, "secret"));
	g_assert_true(holds(&stack, "some structure"));
	stack_clear(&stack);
	stack_init(&stack);
	stack_open(&stack, DISK ENCRYPT, "mail");
	g_assert_true(stack_try_append(&stack, content, ph_slice("some structure"), &uid, &error));
	stack_close(&stack);
	g_assert_false(holds(&stack, "secret"));
	g_assert_false(holds(&stack, "some structure"));
	stack_clear(&stack);
}

typedef struct {
	const char *key;
	const char *value;
	unsigned n;
} Wanted;

static bool
is_wanted(const char *key, PhSlice value, void *user_data)
{
	Wanted *wanted = user_data;

	if (g_str_equal(key, wanted->key) && ph_slice_is(value, wanted->value))
		wanted->n++;
	return true;
}

static bool
has_value(Stack *stack, const char *key, const char *value, GError **error)
{
	Wanted wanted = { key, value, 0 };

	return stack->store->values(stack->account, NULL, "", is_wanted, &wanted, error)
	       && wanted.n == 1;
}

/* Values come back, the disk does not show them, and who may write there cannot exchange them. */
static void
test_values(void)
{
	g_autoptr(GError) error = NULL;
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, DISK ENCRYPT, "mail");
	g_assert_true(put(&stack, "script/one", "discard all", &error));
	g_assert_true(put(&stack, "script/two", "keep all", &error));
	g_assert_true(has_value(&stack, "script/one", "discard all", &error));
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	stack_close(&stack);
	g_assert_false(holds(&stack, "discard all"));
	stack_open(&stack, DISK ENCRYPT, "mail");
	stack_detach(&stack);
	g_assert_true(stack_attach(&stack, "disk", "ann", &error));
	g_assert_false(has_value(&stack, "script/one", "discard all", &error));
	g_assert_true(put(&stack, "script/one", "stop; # plain", &error));
	stack_detach(&stack);
	g_assert_true(stack_attach(&stack, "mail", "ann", &error));
	g_assert_false(has_value(&stack, "script/two", "keep all", &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_CORRUPT);
	g_assert_nonnull(strstr(error->message, "script/one"));
	g_clear_error(&error);
	g_assert_cmpuint(stack_verify(&stack, true), ==, 1);
	g_assert_cmpuint(stack_verify(&stack, true), ==, 1);
	/* what is put anew is good again */
	g_assert_true(put(&stack, "script/one", "discard none", &error));
	g_assert_true(has_value(&stack, "script/one", "discard none", &error));
	g_assert_true(put(&stack, "script/one", "", &error));
	g_assert_cmpuint(n_values(&stack, "script/"), ==, 1);
	stack_clear(&stack);
}

/* What is there from before is read when that is asked for, and a repair encrypts it. */
static void
test_plain_values(void)
{
	g_autoptr(GError) error = NULL;
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, DISK ENCRYPT "accept-plain = yes\n", "mail");
	stack_detach(&stack);
	g_assert_true(stack_attach(&stack, "disk", "ann", &error));
	g_assert_true(put(&stack, "script/one", "from before", &error));
	stack_detach(&stack);
	g_assert_true(stack_attach(&stack, "mail", "ann", &error));
	g_assert_true(has_value(&stack, "script/one", "from before", &error));
	g_assert_cmpuint(stack_verify(&stack, false), ==, 1);
	g_assert_cmpuint(stack_verify(&stack, true), ==, 1);
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	stack_close(&stack);
	stack_open(&stack, DISK ENCRYPT, "mail");
	g_assert_true(has_value(&stack, "script/one", "from before", &error));
	stack_clear(&stack);
}

/* A value is not said to be encrypted before that is durable. */
static void
test_plain_values_synced(void)
{
	static const char sections[] =
		DISK "[store faulty]\nplugin = fault\nbelow = disk\nat = sync\nerror = temporary\n"
		     "[store mail]\nplugin = encrypt\nbelow = faulty\nkeys = keys\n"
		     "accept-plain = yes\n";
	g_autoptr(GError) error = NULL;
	unsigned n = 0;
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, sections, "mail");
	stack_detach(&stack);
	g_assert_true(stack_attach(&stack, "disk", "ann", &error));
	g_assert_true(put(&stack, "script/one", "from before", &error));
	stack_detach(&stack);
	g_assert_true(stack_attach(&stack, "mail", "ann", &error));
	g_assert_false(stack.store->verify(stack.account, true, stack_count_line, &n, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	g_assert_cmpuint(n, ==, 0);
	stack_clear(&stack);
}

/* Below: the keys of the account. */
static unsigned
n_keys(Stack *stack)
{
	unsigned n = 0;

	stack_detach(stack);
	g_assert_true(stack_attach(stack, "disk", "ann", NULL));
	n = n_values(stack, ".encrypt/key/");
	stack_detach(stack);
	g_assert_true(stack_attach(stack, "mail", "ann", NULL));
	return n;
}

/* A new master key, or age, brings a new data key for what comes; what was there stays readable. */
static void
test_renewal(void)
{
	g_autoptr(GError) error = NULL;
	uint32_t old = 0;
	uint32_t new = 0;
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, DISK ENCRYPT "renew-after = 365d\n", "mail");
	old = stack_append(&stack, message);
	g_assert_true(put(&stack, "script/one", "keep", &error));
	g_assert_cmpuint(n_keys(&stack), ==, 1);
	stack_close(&stack);
	g_usleep(1100 * 1000);
	stack_open(&stack, DISK ENCRYPT "renew-after = 1s\n", "mail");
	stack_assert_octets(&stack, old, message);
	stack_close(&stack);
	stack_open(&stack, DISK ENCRYPT, "mail");
	g_assert_cmpuint(n_keys(&stack), ==, 2);
	stack_assert_octets(&stack, stack_append(&stack, message), message);
	stack_close(&stack);
	stack_write(&stack, "keys", STACK_KEY_A STACK_KEY_B);
	stack_open(&stack, DISK ENCRYPT, "mail");
	new = stack_append(&stack, message);
	g_assert_cmpuint(n_keys(&stack), ==, 3);
	/* what came now needs the old master key no more, what was there does */
	stack_close(&stack);
	stack_write(&stack, "keys", STACK_KEY_B);
	g_assert_true(stack_serve(&stack, DISK ENCRYPT, "mail", &error));
	g_assert_false(stack_attach(&stack, "mail", "ann", &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	g_clear_error(&error);
	stack_close(&stack);
	stack_write(&stack, "keys", STACK_KEY_A STACK_KEY_B);
	stack_open(&stack, DISK ENCRYPT, "mail");
	g_assert_cmpuint(stack_verify(&stack, true), ==, 2);
	stack_close(&stack);
	stack_write(&stack, "keys", STACK_KEY_B);
	stack_open(&stack, DISK ENCRYPT, "mail");
	stack_assert_octets(&stack, old, message);
	stack_assert_octets(&stack, new, message);
	g_assert_true(has_value(&stack, "script/one", "keep", &error));
	g_assert_cmpuint(n_keys(&stack), ==, 3);
	stack_clear(&stack);
}

/* --- keys that are not known ----------------------------------------------------------------------- */

enum {
	READERS = 9, /* as many readings as the store below gives out at a time */
};

static pthread_barrier_t all_read;

typedef struct {
	char known[64]; /* a key that stays */
	char gone[64];
} Keys;

static bool
take_key(const char *key, PhSlice value, void *user_data)
{
	Keys *keys = user_data;

	if (!g_str_equal(key, keys->known))
		(void) g_strlcpy(keys->known[0] == '\0' ? keys->known : keys->gone, key,
		                 sizeof keys->known);
	return true;
}

/* Below: the keys there are; a second one is `gone`. */
static void
find_keys(Stack *stack, Keys *keys)
{
	stack_detach(stack);
	g_assert_true(stack_attach(stack, "disk", "ann", NULL));
	g_assert_true(
		stack->store->values(stack->account, NULL, ".encrypt/key/", take_key, keys, NULL));
}

static void
append_structured(Stack *stack)
{
	g_autoptr(PhContent) content = ph_content_new_copy(message);
	uint32_t uid = 0;

	g_assert_true(stack_try_append(stack, content, ph_slice("some structure"), &uid, NULL));
}

/* The first record waits until all have come so far: each of them holds a reading. */
static bool
wait_for_all(const PhRecord *record, void *user_data)
{
	if (record->uid == 1)
		(void) pthread_barrier_wait(&all_read);
	*(size_t *) user_data += record->structure.length;
	return true;
}

static void *
read_structures(void *data)
{
	Stack *stack = data;
	size_t octets = 0;
	PhChangesResult result = { 0 };
	PhChangesQuery query = {
		.fields = PH_FIELD_STRUCTURE,
		.record = wait_for_all,
		.user_data = &octets,
	};

	g_assert_true(stack->store->changes(stack->account, &stack->inbox, &query, &result, NULL));
	return GSIZE_TO_POINTER(octets);
}

/* Some message and some value are encrypted with a key that is gone: readers of many others go on. */
static void
test_key_gone(void)
{
	g_autoptr(GError) error = NULL;
	GThread *readers[READERS];
	Keys keys = { "", "" };
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, DISK ENCRYPT, "mail");
	append_structured(&stack);
	find_keys(&stack, &keys);
	stack_close(&stack);
	stack_write(&stack, "keys", STACK_KEY_A STACK_KEY_B);
	stack_open(&stack, DISK ENCRYPT, "mail");
	append_structured(&stack);
	g_assert_true(put(&stack, "script/one", "keep", &error));
	find_keys(&stack, &keys);
	g_assert_true(put(&stack, keys.gone, "", &error));
	stack_detach(&stack);
	g_assert_true(stack_attach(&stack, "mail", "ann", &error));
	(void) pthread_barrier_init(&all_read, NULL, READERS);
	for (unsigned i = 0; i < READERS; i++)
		readers[i] = g_thread_new("reader", read_structures, &stack);
	for (unsigned i = 0; i < READERS; i++)
		g_assert_cmpuint(GPOINTER_TO_SIZE(g_thread_join(readers[i])), ==, 14);
	(void) pthread_barrier_destroy(&all_read);
	g_assert_false(has_value(&stack, "script/one", "keep", &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_CORRUPT);
	g_assert_nonnull(strstr(error->message, "encrypted with key"));
	stack_clear(&stack);
}

/* Somebody who has the account open finds what a key seals that was made since. */
static void
test_key_of_others(void)
{
	g_autoptr(GError) error = NULL;
	Stack stack;
	void *older = NULL;
	void *newer = NULL;

	stack_init(&stack);
	stack_open(&stack, DISK ENCRYPT "renew-after = 1s\n", "mail");
	g_assert_true(put(&stack, "script/one", "from before", &error));
	older = stack.account;
	g_usleep(1100 * 1000);
	g_assert_true(stack_attach(&stack, "mail", "ann", &error));
	newer = stack.account;
	append_structured(&stack);
	g_assert_true(put(&stack, "script/two", "since then", &error));
	stack.account = older;
	g_assert_true(has_value(&stack, "script/one", "from before", &error));
	g_assert_true(has_value(&stack, "script/two", "since then", &error));
	stack_assert_octets(&stack, 1, message);
	stack_detach(&stack);
	stack.account = newer;
	stack_clear(&stack);
}

/* One account's files in another's place open nothing. */
static void
test_swapped_accounts(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *ann = NULL;
	g_autofree char *bob = NULL;
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, DISK ENCRYPT, "mail");
	(void) stack_append(&stack, message);
	stack_close(&stack);
	ann = g_build_filename(stack.folder, "data", "ann.sqlite", NULL);
	bob = g_build_filename(stack.folder, "data", "bob.sqlite", NULL);
	g_assert_cmpint(g_rename(ann, bob), ==, 0);
	g_assert_true(stack_serve(&stack, DISK ENCRYPT, "mail", &error));
	g_assert_false(stack_attach(&stack, "mail", "bob", &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_CORRUPT);
	g_assert_nonnull(strstr(error->message, "is another account's"));
	stack_clear(&stack);
}

/* A message that was cut off, or changed, is an error, and no octet of it is read. */
static void
test_torn_messages(void)
{
	static const char *const torn[] = { "cut", "altered" };

	for (size_t i = 0; i < G_N_ELEMENTS(torn); i++) {
		g_autofree char *text = g_strnfill(i == 0 ? 200000 : 300, 'x');
		g_autofree char *sections = g_strdup_printf(
			DISK "[store torn]\nplugin = fault\nbelow = disk\nat = content\ntorn = %s\n"
			     "[store mail]\nplugin = encrypt\nbelow = torn\nkeys = keys\n",
			torn[i]);
		g_autoptr(GError) error = NULL;
		uint32_t uid = 0;
		Stack stack;

		stack_init(&stack);
		stack_open(&stack, sections, "mail");
		uid = stack_append(&stack, ph_slice(text));
		g_assert_null(stack_content(&stack, uid, &error));
		g_assert_error(error, PH_ERROR, PH_ERROR_CORRUPT);
		g_assert_cmpuint(stack_verify(&stack, false), ==, 1);
		stack_clear(&stack);
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/encrypt-account/keys-are-hidden", test_keys_are_hidden);
	g_test_add_func("/encrypt-account/the-newest-master-key-takes-over", test_rotation);
	g_test_add_func("/encrypt-account/values-are-sealed", test_values);
	g_test_add_func("/encrypt-account/values-from-before-are-sealed", test_plain_values);
	g_test_add_func("/encrypt-account/values-are-sealed-for-good", test_plain_values_synced);
	g_test_add_func("/encrypt-account/keys-are-renewed", test_renewal);
	g_test_add_func("/encrypt-account/a-key-that-is-gone-stops-no-reader", test_key_gone);
	g_test_add_func("/encrypt-account/a-key-made-since-is-found", test_key_of_others);
	g_test_add_func("/encrypt-account/another-accounts-files-open-nothing",
	                test_swapped_accounts);
	g_test_add_func("/encrypt-account/torn-messages-are-corrupt", test_torn_messages);
	g_test_add_func("/encrypt-account/a-wrong-key-is-a-temporary-failure", test_wrong_key);
	g_test_add_func("/encrypt-account/plain-mail-is-refused-unless-asked-for", test_plain_mail);
	g_test_add_func("/encrypt-account/the-disk-shows-nothing", test_disk_shows_nothing);
	return g_test_run();
}
