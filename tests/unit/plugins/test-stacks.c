/* test-stacks.c: real mail through stacks of stores, octet for octet, and nothing else changed
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "stacks-read.h"

#define DISK                  "[store disk]\nplugin = sqlite\npath = {data}/{user}.sqlite\n"
#define COMPRESS(name, below) "[store " name "]\nplugin = compress\nbelow = " below "\n"
#define ENCRYPT(name, below)  "[store " name "]\nplugin = encrypt\nbelow = " below "\nkeys = keys\n"

#define OTHER  "[store other]\nplugin = sqlite\npath = {data}/other/{user}.sqlite\n"
#define MIRROR "[store mail]\nplugin = mirror\nfirst = disk\nsecond = other\ncompare = content\n"

static const char *const stacks[] = {
	DISK COMPRESS("mail", "disk"),
	DISK ENCRYPT("mail", "disk"),
	DISK ENCRYPT("sealed", "disk") COMPRESS("mail", "sealed"),
	DISK COMPRESS("packed", "disk") ENCRYPT("mail", "packed"),
	DISK OTHER MIRROR,
};

static void
add_file(GPtrArray *all, const char *path)
{
	char *data = NULL;
	gsize length = 0;

	g_assert_true(g_file_get_contents(path, &data, &length, NULL));
	g_ptr_array_add(all, g_bytes_new_take(data, length));
}

static void
add_folder(GPtrArray *all, const char *path)
{
	GDir *folder = g_dir_open(path, 0, NULL);
	const char *name = NULL;

	while (folder != NULL && (name = g_dir_read_name(folder)) != NULL) {
		g_autofree char *below = g_build_filename(path, name, NULL);

		if (g_file_test(below, G_FILE_TEST_IS_DIR))
			add_folder(all, below);
		else
			add_file(all, below);
	}
	if (folder != NULL)
		g_dir_close(folder);
}

/* The corpus of real mail, where there is one. */
static void
add_corpus(GPtrArray *all)
{
	const char *corpus = g_getenv("POSTHORN_CORPUS");
	g_autofree char *folder = g_dir_make_tmp("posthorn-corpus-XXXXXX", NULL);
	const char *argv[] = { "tar", "-xzf", corpus, "-C", folder, NULL };

	if (corpus != NULL
	    && g_spawn_sync(NULL, (char **) (uintptr_t) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
	                    NULL, NULL, NULL, NULL))
		add_folder(all, folder);
	stack_remove_tree(folder);
}

/* Sizes around every limit, well and badly compressible. */
static void
add_sizes(GPtrArray *all)
{
	static const size_t sizes[] = { 0,      1,      7,      8,      63,     64,     65,
		                        65535,  65536,  65537,  131071, 131072, 131073, 196608,
		                        262143, 262144, 262145, 400000, 3000000 };

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		char *noise = g_malloc(sizes[i] + 1);
		char *text = g_malloc(sizes[i] + 1);

		ph_secret_random(noise, sizes[i]);
		for (size_t at = 0; at < sizes[i]; at++)
			text[at] = (char) ('a' + (at * 7 + at / 251) % 26);
		g_ptr_array_add(all, g_bytes_new_take(noise, sizes[i]));
		g_ptr_array_add(all, g_bytes_new_take(text, sizes[i]));
	}
}

/* Octets that begin like what the stores themselves write. */
static void
add_liars(GPtrArray *all)
{
	static const char packed[] = "\xff\0PHZST\1 and so on";
	static const char plain[] = "\xff\0PHZST\0 and so on";
	static const char sealed[] = "\xff\0PHENC\1 and so on, and on, and on, and on, and on";

	g_ptr_array_add(all, g_bytes_new_static(packed, sizeof packed));
	g_ptr_array_add(all, g_bytes_new_static(plain, sizeof plain));
	g_ptr_array_add(all, g_bytes_new_static(sealed, sizeof sealed));
}

static GPtrArray *
make_mail(void)
{
	GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
	g_autofree char *examples =
		g_build_filename(g_getenv("POSTHORN_SOURCE_DIR"), "examples", "mail", NULL);

	add_folder(all, examples);
	add_corpus(all);
	add_sizes(all);
	add_liars(all);
	return all;
}

static PhSlice
octets_of(const GPtrArray *mail, guint i)
{
	gsize length = 0;
	const char *data = g_bytes_get_data(mail->pdata[i], &length);

	return PH_SLICE(data, length);
}

enum {
	AT_ONCE = 64, /* messages of one transaction */
};

static void
append_some(Stack *stack, const GPtrArray *mail, guint first, guint n)
{
	g_autofree PhOp *ops = g_new0(PhOp, n);
	g_autofree PhOp **list = g_new0(PhOp *, n);
	g_autoptr(GError) error = NULL;

	for (guint i = 0; i < n; i++) {
		g_autoptr(PhContent) content = ph_content_new_copy(octets_of(mail, first + i));

		ops[i] = (PhOp){ .kind = PH_OP_APPEND, .keywords = stack_no_keywords };
		ops[i].mailbox = stack->inbox;
		ops[i].octets = ph_content_length(content);
		ops[i].structure = PH_SLICE_LITERAL("what the core keeps");
		ph_secret_random(ops[i].message_id, sizeof ops[i].message_id);
		list[i] = &ops[i];
		g_assert_true(
			stack->store->upload(stack->account, content, false, &ops[i].blob, &error));
	}
	(void) stack_commit(stack, list, n, &error);
	g_assert_no_error(error);
	for (guint i = 0; i < n; i++) {
		g_assert_cmpuint(ops[i].uid, ==, first + i + 1);
		g_assert_true(ph_slice_is(ops[i].structure, "what the core keeps"));
	}
}

/* At any offset the same octets, in pieces of any size. */
static void
assert_ranges(Stack *stack, uint32_t uid, PhSlice expected)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(PhContent) content = stack_content(stack, uid, &error);
	char buffer[5000];

	for (int i = 0; i < 40; i++) {
		size_t offset = (size_t) g_random_int_range(0, (gint32) expected.length + 1);
		size_t length = (size_t) g_random_int_range(1, sizeof buffer);
		ssize_t got = ph_content_read(content, offset, buffer, length, &error);

		g_assert_no_error(error);
		g_assert_cmpint(got, ==, (gssize) MIN(length, expected.length - offset));
		g_assert_true(memcmp(buffer, expected.data + offset, (size_t) got) == 0);
	}
}

static void
test_octets(gconstpointer data)
{
	const char *sections = data;
	g_autoptr(GPtrArray) mail = make_mail();
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, sections, "mail");
	for (guint i = 0; i < mail->len; i += AT_ONCE)
		append_some(&stack, mail, i, MIN(mail->len - i, AT_ONCE));
	stack_close(&stack);
	stack_open(&stack, sections, "mail");
	for (guint i = 0; i < mail->len; i++) {
		PhSlice octets = octets_of(mail, i);

		stack_assert_octets(&stack, i + 1, octets);
		if (octets.length > 100000)
			assert_ranges(&stack, i + 1, octets);
	}
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	stack_clear(&stack);
}

/* Structures, sizes and dates are what was given. */
static void
test_records(gconstpointer data)
{
	g_autoptr(GByteArray) structure = g_byte_array_new();
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice("Subject: x\r\n\r\nxxxx\r\n"));
	StackRecord found = { .structure = structure };
	g_autoptr(GError) error = NULL;
	uint32_t uid = 0;
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, data, "mail");
	g_assert_true(stack_try_append(&stack, content, ph_slice("the structure"), &uid, &error));
	g_assert_true(stack_record(&stack, uid, &found));
	g_assert_true(
		ph_slice_is(PH_SLICE((char *) structure->data, structure->len), "the structure"));
	g_assert_cmpuint(found.record.octets, ==, ph_content_length(content));
	g_assert_cmpint(found.record.internal_date, ==, 1000000);
	g_assert_cmpint(found.record.save_date, ==, 2000000);
	stack_clear(&stack);
}

/* What was begun to be read can be read to the end after the account was closed. */
static void
test_contents_outlive(gconstpointer data)
{
	g_autofree char *text = g_strnfill(500000, 'x');
	g_autoptr(GError) error = NULL;
	g_autoptr(PhContent) content = NULL;
	g_autoptr(GByteArray) octets = NULL;
	uint32_t uid = 0;
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, data, "mail");
	uid = stack_append(&stack, ph_slice(text));
	content = stack_content(&stack, uid, &error);
	g_assert_no_error(error);
	stack_detach(&stack);
	octets = stack_read(content, &error);
	g_assert_no_error(error);
	g_assert_true(memcmp(octets->data, text, octets->len) == 0);
	g_clear_pointer(&content, ph_content_unref);
	stack_clear(&stack);
}

/* A stack offers what the stores below can answer. */
static void
test_offers(gconstpointer data)
{
	Stack stack;
	const PhStore *below = NULL;
	uint32_t expected = 0;

	stack_init(&stack);
	stack_open(&stack, data, "mail");
	below = ph_section_table(ph_test_server_section(stack.server, "store", "disk"));
	expected = below->abilities;
	/* A mirror's two stores are compacted while it holds the account. */
	if (strstr(data, "mirror") != NULL)
		expected &= ~(uint32_t) PH_STORE_COMPACTS_BESIDE;
	g_assert_cmpuint(stack.store->abilities & ~(uint32_t) PH_STORE_HIDES_OCTETS, ==, expected);
	if (strstr(data, "encrypt") != NULL)
		g_assert_cmpuint(stack.store->abilities & PH_STORE_HIDES_OCTETS, !=, 0);
	g_assert_nonnull(stack.store->defer);
	g_assert_null(stack.store->outcome); /* sqlite always knows */
	g_assert_null(stack.store->watch);
	g_assert_null(stack.store->share);
	g_assert_nonnull(stack.store->verify);
	stack_clear(&stack);
}

/* A store may stand on a store once, not on itself, however far below. */
static void
test_circle(void)
{
	Stack stack;
	g_autoptr(GError) error = NULL;

	stack_init(&stack);
	g_assert_false(stack_serve(&stack, COMPRESS("a", "b") ENCRYPT("b", "a"), "a", &error));
	g_assert_nonnull(strstr(error->message, "circle"));
	stack_clear(&stack);
}

static void
add(const char *what, void (*func)(gconstpointer))
{
	for (guint i = 0; i < G_N_ELEMENTS(stacks); i++) {
		g_autofree char *path = g_strdup_printf("/stacks/%s/%u", what, i);

		g_test_add_data_func(path, stacks[i], func);
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("mail-comes-back-octet-for-octet", test_octets);
	add("records-are-what-was-given", test_records);
	add("contents-outlive-the-account", test_contents_outlive);
	add("what-the-store-below-lacks-is-not-offered", test_offers);
	g_test_add_func("/stacks/a-circle-is-refused", test_circle);
	return g_test_run();
}
