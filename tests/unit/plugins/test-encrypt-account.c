/* test-encrypt-account.c: an account's keys: made once, hidden, wrapped anew, missed when wrong
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "stacks-read.h"

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

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/encrypt-account/keys-are-hidden", test_keys_are_hidden);
	g_test_add_func("/encrypt-account/the-newest-master-key-takes-over", test_rotation);
	g_test_add_func("/encrypt-account/a-wrong-key-is-a-temporary-failure", test_wrong_key);
	g_test_add_func("/encrypt-account/plain-mail-is-refused-unless-asked-for", test_plain_mail);
	g_test_add_func("/encrypt-account/the-disk-shows-nothing", test_disk_shows_nothing);
	return g_test_run();
}
