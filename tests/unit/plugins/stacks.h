/* stacks.h: a stack of store sections from a config, used through its table, for tests
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TEST_PLUGINS_STACKS_H
#define TEST_PLUGINS_STACKS_H

#include <posthorn/error.h>
#include <posthorn/secret.h>
#include <posthorn/slice.h>
#include <posthorn/store.h>
#include <posthorn/testing.h>

#include <glib/gstdio.h>
#include <string.h>

typedef struct {
	char *folder;
	PhTestServer *server;
	const PhStore *store;
	void *account;
	PhMailboxId inbox;
} Stack;

static const char *const stack_no_keywords[] = { NULL };

/* Masters: two keys that a test may put into the file `keys`. */
#define STACK_KEY_A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"
#define STACK_KEY_B "ff112233445566778899aabbccddeeff00112233445566778899aabbccddee00\n"

static inline void
stack_write(Stack *stack, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(stack->folder, name, NULL);

	g_assert_true(
		g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

static inline void
stack_init(Stack *stack)
{
	g_autofree char *data = NULL;

	memset(stack, 0, sizeof *stack);
	stack->folder = g_dir_make_tmp("posthorn-stack-XXXXXX", NULL);
	data = g_build_filename(stack->folder, "data", NULL);
	g_assert_cmpint(g_mkdir(data, 0700), ==, 0);
	stack_write(stack, "users", "ann@example.org:{PLAIN}secret\n");
	stack_write(stack, "keys", STACK_KEY_A);
}

/* A server with these store sections; the account is not opened. */
static inline bool
stack_serve(Stack *stack, const char *sections, const char *name, GError **error)
{
	g_autofree char *text = g_strdup_printf(
		"[server]\nhostname = mail.example.org\ndata = data\nplugin-path = %s/plugins\n"
		"[directory people]\nplugin = passwd-file\npath = users\n"
		"%s"
		"[listener imap]\nplugin = imap\naddress = 127.0.0.1:0\nstore = %s\n"
		"directory = people\nmechanisms = plain\nplaintext-auth = always\n",
		g_getenv("POSTHORN_BUILD_DIR"), sections, name);

	stack->server = ph_test_server_new(text, stack->folder, error);
	return stack->server != NULL;
}

static inline bool
stack_attach(Stack *stack, const char *name, const char *user, GError **error)
{
	PhSection *section = ph_test_server_section(stack->server, "store", name);
	PhIdentityValues values = {
		.size = sizeof values,
		.user = user,
		.domain = "example.org",
	};
	g_autoptr(PhIdentity) identity = ph_identity_new(&values, NULL);

	g_assert_nonnull(section);
	stack->store = ph_section_table(section);
	return stack->store->open_account(ph_section_instance(section), identity, &stack->account,
	                                  error);
}

static inline void
stack_detach(Stack *stack)
{
	if (stack->account != NULL)
		stack->store->close_account(stack->account);
	stack->account = NULL;
}

static inline void
stack_close(Stack *stack)
{
	stack_detach(stack);
	g_clear_pointer(&stack->server, ph_test_server_free);
}

static inline void
stack_remove_tree(const char *path)
{
	GDir *folder = g_dir_open(path, 0, NULL);
	const char *name = NULL;

	while (folder != NULL && (name = g_dir_read_name(folder)) != NULL) {
		g_autofree char *below = g_build_filename(path, name, NULL);

		stack_remove_tree(below);
	}
	if (folder != NULL)
		g_dir_close(folder);
	(void) g_remove(path);
}

static inline void
stack_clear(Stack *stack)
{
	stack_close(stack);
	stack_remove_tree(stack->folder);
	g_free(stack->folder);
}

/* One transaction of these operations. */
static inline bool
stack_commit(Stack *stack, PhOp *const *ops, uint32_t n, GError **error)
{
	PhTransaction transaction = { .ops = ops, .n_ops = n };
	PhTransaction *batch[] = { &transaction };

	ph_secret_random(transaction.id, sizeof transaction.id);
	if (!stack->store->commit(stack->account, batch, 1, error))
		return false;
	if (!transaction.done)
		g_propagate_error(error, transaction.error);
	return transaction.done;
}

static inline PhMailboxId
stack_create(Stack *stack, const char *name)
{
	PhOp op = { .kind = PH_OP_CREATE, .keywords = stack_no_keywords, .name = name };
	PhOp *ops[] = { &op };
	g_autoptr(GError) error = NULL;

	ph_secret_random(op.mailbox.octets, sizeof op.mailbox.octets);
	(void) stack_commit(stack, ops, 1, &error);
	g_assert_no_error(error);
	return op.mailbox;
}

static inline bool
stack_find_inbox(const PhMailboxInfo *info, void *user_data)
{
	Stack *stack = user_data;

	if (g_str_equal(info->name, "INBOX"))
		stack->inbox = info->id;
	return true;
}

/* Serves, opens ann's account, makes or finds her INBOX. */
static inline void
stack_open(Stack *stack, const char *sections, const char *name)
{
	static const PhMailboxId none;
	g_autoptr(GError) error = NULL;
	uint64_t change = 0;

	(void) stack_serve(stack, sections, name, &error);
	g_assert_no_error(error);
	(void) stack_attach(stack, name, "ann", &error);
	g_assert_no_error(error);
	stack->inbox = none;
	g_assert_true(
		stack->store->mailboxes(stack->account, stack_find_inbox, stack, &change, &error));
	if (memcmp(&stack->inbox, &none, sizeof none) == 0)
		stack->inbox = stack_create(stack, "INBOX");
}

static inline bool
stack_try_append(Stack *stack,
                 PhContent *content,
                 PhSlice structure,
                 uint32_t *uid_out,
                 GError **error)
{
	PhOp op = {
		.kind = PH_OP_APPEND,
		.mailbox = stack->inbox,
		.keywords = stack_no_keywords,
		.octets = ph_content_length(content),
		.internal_date = 1000000,
		.save_date = 2000000,
		.structure = structure,
	};
	PhOp *ops[] = { &op };

	ph_secret_random(op.message_id, sizeof op.message_id);
	if (!stack->store->upload(stack->account, content, false, &op.blob, error)
	    || !stack_commit(stack, ops, 1, error))
		return false;
	*uid_out = op.uid;
	return true;
}

static inline uint32_t
stack_append(Stack *stack, PhSlice octets)
{
	g_autoptr(PhContent) content = ph_content_new_copy(octets);
	g_autoptr(GError) error = NULL;
	uint32_t uid = 0;

	(void) stack_try_append(stack, content, PH_SLICE_EMPTY, &uid, &error);
	g_assert_no_error(error);
	return uid;
}

#endif
