/* test-fault.c: each place can be struck, and each option decides which calls are
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "stacks-read.h"

#include <unistd.h>

#define DISK  "[store disk]\nplugin = sqlite\npath = {data}/{user}.sqlite\n"
#define FAULT "[store mail]\nplugin = fault\nbelow = disk\nonly-while = on\n"

static void
turn(Stack *stack, bool on)
{
	g_autofree char *path = g_build_filename(stack->folder, "on", NULL);

	if (on)
		stack_write(stack, "on", "");
	else
		(void) g_remove(path);
}

/* Which of @n appends were struck, a letter each: '.' or 'x'. */
static char *
pattern(Stack *stack, unsigned n)
{
	GString *text = g_string_new(NULL);

	for (unsigned i = 0; i < n; i++) {
		g_autoptr(PhContent) content = ph_content_new_copy(ph_slice("x"));
		g_autoptr(GError) error = NULL;
		uint32_t uid = 0;
		bool good = stack_try_append(stack, content, PH_SLICE_EMPTY, &uid, &error);

		g_assert_true(good || g_error_matches(error, PH_ERROR, PH_ERROR_TEMPORARY));
		g_string_append_c(text, good ? '.' : 'x');
	}
	return g_string_free(text, FALSE);
}

static void
assert_pattern(const char *options, const char *expected)
{
	g_autofree char *sections = g_strconcat(FAULT, "error = temporary\n", options, DISK, NULL);
	g_autofree char *found = NULL;
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, sections, "mail");
	turn(&stack, true);
	found = pattern(&stack, (unsigned) strlen(expected));
	g_assert_cmpstr(found, ==, expected);
	turn(&stack, false);
	g_free(found);
	found = pattern(&stack, 3);
	g_assert_cmpstr(found, ==, "...");
	stack_clear(&stack);
}

static void
test_which(void)
{
	assert_pattern("", "xxxx");
	assert_pattern("every = 3\n", "..x..x..x");
	assert_pattern("after = 2\n", "..xxx");
	assert_pattern("times = 2\n", "xx...");
	assert_pattern("every = 2\nafter = 1\ntimes = 2\n", "..x.x....");
	assert_pattern("probability = 0\n", "......");
	assert_pattern("user = ben@example.org\n", "...");
	assert_pattern("user = ann@example.org\n", "xxx");
	assert_pattern("at = verify\n", "...");
	assert_pattern("at = upload\ntimes = 1\n", "x..");
}

/* The same seed strikes the same calls, another one others, and about as many as asked for. */
static void
test_chance(void)
{
	char *found[3] = { NULL };
	static const char *const seeds[] = { "seed = 1\n", "seed = 1\n", "seed = 2\n" };
	unsigned n = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(seeds); i++) {
		g_autofree char *sections = g_strconcat(
			FAULT, "error = temporary\nprobability = 30\n", seeds[i], DISK, NULL);
		Stack stack;

		stack_init(&stack);
		stack_open(&stack, sections, "mail");
		turn(&stack, true);
		found[i] = pattern(&stack, 100);
		stack_clear(&stack);
	}
	for (const char *at = found[0]; *at != '\0'; at++)
		n += *at == 'x';
	g_assert_cmpstr(found[0], ==, found[1]);
	g_assert_cmpstr(found[0], !=, found[2]);
	g_assert_cmpuint(n, >, 15);
	g_assert_cmpuint(n, <, 45);
	for (size_t i = 0; i < G_N_ELEMENTS(found); i++)
		g_free(found[i]);
}

static bool
no_info(const PhMailboxInfo *info, void *user_data)
{
	return true;
}

static bool
no_value(const char *key, PhSlice value, void *user_data)
{
	return true;
}

static void
no_line(const char *line, void *user_data)
{
}

static bool
call_changes(Stack *stack, GError **error)
{
	StackRecord found = { .n = 0 };
	PhChangesResult result = { 0 };
	PhChangesQuery query = { .record = stack_take_record, .user_data = &found };

	return stack->store->changes(stack->account, &stack->inbox, &query, &result, error);
}

static bool
call_content(Stack *stack, bool reads, GError **error)
{
	g_autoptr(PhContent) content = stack_content(stack, 1, error);
	char octet = 0;

	return content != NULL && (!reads || ph_content_read(content, 0, &octet, 1, error) == 1);
}

static bool
call_upload(Stack *stack, GError **error)
{
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice("x"));
	PhBlobId blob;

	return stack->store->upload(stack->account, content, false, &blob, error);
}

static bool
call_defer(Stack *stack, GError **error)
{
	int fd = -1;
	bool good = stack->store->defer(stack->account, &fd, error);

	if (fd >= 0)
		(void) close(fd);
	return good;
}

static bool
call_open(Stack *stack, GError **error)
{
	stack_detach(stack);
	return stack_attach(stack, "mail", "ann", error);
}

static bool
call(Stack *stack, const char *place, GError **error)
{
	const PhStore *store = stack->store;
	uint64_t change = 0;

	if (g_str_equal(place, "open"))
		return call_open(stack, error);
	if (g_str_equal(place, "mailboxes"))
		return store->mailboxes(stack->account, no_info, NULL, &change, error);
	if (g_str_equal(place, "changes"))
		return call_changes(stack, error);
	if (g_str_equal(place, "values"))
		return store->values(stack->account, NULL, "", no_value, NULL, error);
	if (g_str_equal(place, "upload"))
		return call_upload(stack, error);
	if (g_str_equal(place, "content") || g_str_equal(place, "read"))
		return call_content(stack, g_str_equal(place, "read"), error);
	if (g_str_equal(place, "refresh"))
		return store->refresh(stack->account, &stack->inbox, error);
	if (g_str_equal(place, "sync"))
		return store->sync(stack->account, error);
	if (g_str_equal(place, "verify"))
		return store->verify(stack->account, false, no_line, NULL, error);
	return call_defer(stack, error);
}

/* Each place gives the error that was asked for, before the call and after it, and takes its time. */
static void
test_places(void)
{
	static const char *const places[] = { "open",   "mailboxes", "changes", "values",
		                              "upload", "content",   "read",    "refresh",
		                              "sync",   "verify",    "defer" };

	for (size_t i = 0; i < 2 * G_N_ELEMENTS(places); i++) {
		const char *place = places[i / 2];
		g_autofree char *sections =
			g_strdup_printf(FAULT "at = %s\nerror = over-quota\napplied = %s\n"
		                              "delay = 5ms\ntimes = 1\n" DISK,
		                        place, i % 2 == 0 ? "no" : "yes");
		g_autoptr(GError) error = NULL;
		int64_t began = 0;
		Stack stack;

		stack_init(&stack);
		stack_open(&stack, sections, "mail");
		(void) stack_append(&stack, ph_slice("octets"));
		turn(&stack, true);
		began = g_get_monotonic_time();
		g_assert_false(call(&stack, place, &error));
		g_assert_error(error, PH_ERROR, PH_ERROR_OVER_QUOTA);
		g_assert_cmpint(g_get_monotonic_time() - began, >=, 5000);
		g_clear_error(&error);
		g_assert_true(call(&stack, place, &error));
		stack_clear(&stack);
	}
}

/* Applied or not, a commit that failed is told from one that did not. */
static void
test_applied(void)
{
	for (unsigned applied = 0; applied < 2; applied++) {
		g_autofree char *sections =
			g_strdup_printf(FAULT "error = temporary\napplied = %s\ntimes = 1\n" DISK,
		                        applied ? "yes" : "no");
		g_autofree char *found = NULL;
		StackRecord record = { .n = 0 };
		Stack stack;

		stack_init(&stack);
		stack_open(&stack, sections, "mail");
		turn(&stack, true);
		found = pattern(&stack, 1);
		g_assert_cmpstr(found, ==, "x");
		g_assert_true(stack_record(&stack, 1, &record) == (applied == 1));
		stack_clear(&stack);
	}
}

/* What was torn at upload is stored torn, at content it is only read so. */
static void
test_torn(void)
{
	static const struct {
		const char *options;
		const char *struck;
		const char *later;
	} cases[] = {
		{ "at = upload\ntorn = cut\n", "octe", "octe" },
		{ "at = upload\ntorn = altered\n", "octeuing", "octeuing" },
		{ "at = content\ntorn = cut\n", "octe", "octeting" },
		{ "at = content\ntorn = altered\n", "octeuing", "octeting" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *sections = g_strconcat(FAULT, cases[i].options, DISK, NULL);
		uint32_t uid = 0;
		Stack stack;

		stack_init(&stack);
		stack_open(&stack, sections, "mail");
		turn(&stack, true);
		uid = stack_append(&stack, ph_slice("octeting"));
		stack_assert_octets(&stack, uid, ph_slice(cases[i].struck));
		turn(&stack, false);
		stack_assert_octets(&stack, uid, ph_slice(cases[i].later));
		stack_clear(&stack);
	}
}

static void
test_unknown_place(void)
{
	g_autoptr(GError) error = NULL;
	Stack stack;

	stack_init(&stack);
	g_assert_false(stack_serve(&stack, FAULT "at = commit, nowhere\n" DISK, "mail", &error));
	g_assert_nonnull(strstr(error->message, "'nowhere'"));
	stack_clear(&stack);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/fault/options-decide-which-calls-are-struck", test_which);
	g_test_add_func("/fault/chance-follows-from-the-seed", test_chance);
	g_test_add_func("/fault/every-place-fails-as-asked", test_places);
	g_test_add_func("/fault/a-commit-fails-before-or-after-it-was-made", test_applied);
	g_test_add_func("/fault/octets-are-torn", test_torn);
	g_test_add_func("/fault/an-unknown-place-is-refused", test_unknown_place);
	return g_test_run();
}
