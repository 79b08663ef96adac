/* kit.c: the process of one rule: its result, small tools
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

PhConformStore ph_kit;
const char *ph_kit_rule = "";

static struct {
	int report;
	atomic_uint_fast64_t n_checks;
	GString *notes;
	int status; /* of a process that ends early: a helper's failure shows there */
} result = { .report = -1 };

enum {
	KIB = 1024,
};

/* --- the result ------------------------------------------------------------------------------ */

void
ph_kit_report_to(int descriptor, bool is_helper)
{
	result.status = is_helper ? 1 : 0;
	result.report = descriptor;
	result.notes = g_string_new(NULL);
}

/* One line: word, number of checks, text. */
static void
report(const char *word, const char *text)
{
	g_autofree char *line = g_strdup_printf("%s %" G_GUINT64_FORMAT " %s", word,
	                                        (uint64_t) atomic_load(&result.n_checks), text);

	(void) g_strdelimit(line, "\r\n", ' ');
	(void) dprintf(result.report, "%s\n", line);
}

static void G_GNUC_NORETURN
end(const char *word, const char *format, va_list args)
{
	g_autofree char *text = g_strdup_vprintf(format, args);

	report(word, text);
	_exit(result.status);
}

void
ph_kit_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	end("failed", format, args);
	va_end(args);
}

void
ph_kit_skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	end("skipped", format, args);
	va_end(args);
}

void
ph_kit_note(const char *format, ...)
{
	va_list args;

	if (result.notes->len > 0)
		g_string_append(result.notes, "; ");
	va_start(args, format);
	g_string_append_vprintf(result.notes, format, args);
	va_end(args);
}

void
ph_kit_count(void)
{
	(void) atomic_fetch_add_explicit(&result.n_checks, 1, memory_order_relaxed);
}

int
ph_kit_finish(void)
{
	report("passed", result.notes->str);
	return 0;
}

void
ph_kit_same_text(const char *what, const char *actual, const char *expected)
{
	KIT_CHECK(strcmp(actual, expected) == 0, "%s: found \"%.300s\", expected \"%.300s\"", what,
	          actual, expected);
}

void
ph_kit_same(const char *what, uint64_t actual, uint64_t expected)
{
	KIT_CHECK(actual == expected,
	          "%s: found %" G_GUINT64_FORMAT ", expected %" G_GUINT64_FORMAT, what, actual,
	          expected);
}

/* --- small tools -------------------------------------------------------------------------------- */

uint32_t
ph_kit_scaled(uint32_t n, uint32_t least)
{
	double scaled = (double) n * ph_kit.scale;

	return scaled < (double) least ? least : (uint32_t) MIN(scaled, 1e9);
}

bool
ph_kit_is(uint32_t ability)
{
	return (ph_kit.table->abilities & ability) != 0;
}

uint64_t
ph_kit_random(void)
{
	return ((uint64_t) g_random_int() << 32) | g_random_int();
}

uint64_t
ph_kit_now_us(void)
{
	return (uint64_t) g_get_monotonic_time();
}

uint64_t
ph_kit_peak(void)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
	return 0; /* a sanitizer keeps what was freed */
#else
	struct rusage usage;

	return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t) usage.ru_maxrss * KIB : 0;
#endif
}

/* --- processes ------------------------------------------------------------------------------------ */

GPid
ph_kit_start(const char *const *role, int *output_out)
{
	return ph_kit_start_in(role, NULL, output_out);
}

GPid
ph_kit_start_in(const char *const *role, char **environment, int *output_out)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	g_autoptr(GError) error = NULL;
	GPid pid = 0;

	for (size_t i = 0; ph_kit.command[i] != NULL; i++)
		g_ptr_array_add(words, ph_kit.command[i]);
	g_ptr_array_add(words, (char *) (uintptr_t) "help");
	g_ptr_array_add(words, (char *) (uintptr_t) ph_kit_rule);
	for (size_t i = 0; role[i] != NULL; i++)
		g_ptr_array_add(words, (char *) (uintptr_t) role[i]);
	g_ptr_array_add(words, NULL);
	if (!g_spawn_async_with_pipes(
		    NULL, (char **) words->pdata, environment,
		    G_SPAWN_DO_NOT_REAP_CHILD
			    | (output_out == NULL ? G_SPAWN_STDOUT_TO_DEV_NULL : G_SPAWN_DEFAULT),
		    NULL, NULL, &pid, NULL, output_out, NULL, &error))
		ph_kit_fail("cannot start a process: %s", error->message);
	return pid;
}

bool
ph_kit_end(GPid pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
