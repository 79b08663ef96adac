/* transcript.c: runs a dialogue that a text file describes (the format is in <posthorn/testing.h>)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>
#include <posthorn/testing.h>

#include <string.h>

typedef struct {
	const char *file;
	unsigned line;
	PhTestConnectFunc connect;
	void *user_data;
	GHashTable *sessions; /* (owned) name -> PhTestSession */
	GHashTable *kept;     /* (owned) name -> text */
	PhTestSession *now;
	bool skipping; /* behind S... */
} Run;

static bool
fail(const Run *run, GError **error, const char *what, PhSlice expected, PhSlice got)
{
	g_autofree char *text = ph_slice_dup(expected);
	g_autofree char *wanted = g_strescape(text, "\"");
	g_autofree char *copy = g_strndup(got.data, MIN(got.length, 400));
	g_autofree char *seen = g_strescape(copy, "\"");

	g_set_error(error, PH_ERROR, PH_ERROR_INVALID, "%s:%u: %s: expected '%s', got '%s'",
	            run->file, run->line, what, wanted, seen);
	return false;
}

/* --- text with {=name} and escapes --- */

static bool
is_name(PhSlice name)
{
	if (name.length == 0 || !g_ascii_isalpha(name.data[0]))
		return false;
	for (size_t i = 0; i < name.length; i++)
		if (!g_ascii_isalnum(name.data[i]) && name.data[i] != '-')
			return false;
	return true;
}

/* The word in braces at @text, if there is one. @length_out: with both braces. */
static bool
find_braces(PhSlice text, PhSlice *word_out, size_t *length_out)
{
	PhSlice inside = ph_slice_from(text, 1);
	ssize_t end = -1;

	if (text.length == 0 || text.data[0] != '{')
		return false;
	end = ph_slice_find(inside, '}');
	if (end < 0)
		return false;
	*word_out = PH_SLICE(inside.data, (size_t) end);
	*length_out = (size_t) end + 2;
	return true;
}

static GString *
expand(const Run *run, PhSlice text)
{
	GString *out = g_string_new(NULL);

	while (text.length > 0) {
		PhSlice word = PH_SLICE_EMPTY;
		size_t length = 0;

		if (find_braces(text, &word, &length) && word.length > 1 && word.data[0] == '='
		    && is_name(ph_slice_from(word, 1))) {
			g_autofree char *name = ph_slice_dup(ph_slice_from(word, 1));
			const char *value = g_hash_table_lookup(run->kept, name);

			g_string_append(out, value != NULL ? value : "(not kept)");
			text = ph_slice_from(text, length);
			continue;
		}
		g_string_append_c(out, text.data[0]);
		text = ph_slice_from(text, 1);
	}
	return out;
}

static size_t
unescape_one(PhSlice text, GString *out)
{
	static const char names[] = "rnt0\\";
	static const char values[] = "\r\n\t\0\\";
	const char *at = text.length > 1 ? memchr(names, text.data[1], sizeof names - 1) : NULL;

	if (text.data[0] != '\\' || text.length < 2) {
		g_string_append_c(out, text.data[0]);
		return 1;
	}
	if (text.data[1] == 'x' && text.length >= 4 && g_ascii_isxdigit(text.data[2])
	    && g_ascii_isxdigit(text.data[3])) {
		g_string_append_c(out, (char) (g_ascii_xdigit_value(text.data[2]) * 16
		                               + g_ascii_xdigit_value(text.data[3])));
		return 4;
	}
	g_string_append_c(out, at != NULL ? values[at - names] : text.data[1]);
	return 2;
}

static GString *
unescape(const Run *run, PhSlice text)
{
	g_autoptr(GString) expanded = expand(run, text);
	GString *out = g_string_new(NULL);
	PhSlice rest = PH_SLICE(expanded->str, expanded->len);

	while (rest.length > 0)
		rest = ph_slice_from(rest, unescape_one(rest, out));
	return out;
}

/* --- matching --- */

typedef struct {
	PhSlice text; /* what stands before the wildcard */
	char *name;   /* (owned, nullable) to keep what the wildcard covers */
	bool last;    /* no wildcard follows */
} Segment;

/* Cuts the pattern at its next wildcard. */
static Segment
next_segment(PhSlice *pattern)
{
	Segment segment = { .text = *pattern, .last = true };

	for (size_t i = 0; i < pattern->length; i++) {
		PhSlice word = PH_SLICE_EMPTY;
		size_t length = 0;

		if (!find_braces(ph_slice_from(*pattern, i), &word, &length))
			continue;
		if (word.length > 0 && !is_name(word))
			continue;
		segment.text = PH_SLICE(pattern->data, i);
		segment.name = word.length > 0 ? ph_slice_dup(word) : NULL;
		segment.last = false;
		*pattern = ph_slice_from(*pattern, i + length);
		break;
	}
	return segment;
}

static void
keep(Run *run, char *name, PhSlice value)
{
	if (name != NULL)
		g_hash_table_insert(run->kept, name, ph_slice_dup(value));
}

/* Where the text behind a wildcard begins in @line; -1: nowhere. */
static ssize_t
find_text(const Segment *segment, PhSlice line)
{
	const char *at = NULL;

	if (segment->last) {
		size_t covered = line.length - MIN(segment->text.length, line.length);

		return ph_slice_equal(segment->text, ph_slice_from(line, covered))
		               ? (ssize_t) covered
		               : -1;
	}
	if (segment->text.length == 0)
		return 0;
	if (line.length > 0)
		at = memmem(line.data, line.length, segment->text.data, segment->text.length);
	return at != NULL ? at - line.data : -1;
}

/* Each wildcard covers as little as possible, the last one of a line whatever is needed. */
static bool
matches(Run *run, PhSlice pattern, PhSlice line)
{
	Segment segment = next_segment(&pattern);
	size_t n = segment.text.length;

	if (segment.last)
		return ph_slice_equal(segment.text, line);
	if (line.length < n || !ph_slice_equal(segment.text, PH_SLICE(line.data, n))) {
		g_free(segment.name);
		return false;
	}
	while (!segment.last) {
		char *name = segment.name;
		ssize_t covered = 0;

		line = ph_slice_from(line, segment.text.length);
		segment = next_segment(&pattern);
		covered = find_text(&segment, line);
		if (covered < 0) {
			g_free(name);
			g_free(segment.name);
			return false;
		}
		keep(run, name, PH_SLICE(line.data, (size_t) covered));
		line = ph_slice_from(line, (size_t) covered);
	}
	return true;
}

/* --- what the lines do --- */

static bool
run_session(Run *run, GError **error)
{
	if (ph_test_session_run(run->now))
		return true;
	return fail(run, error, "the session waits for work that nobody finishes", PH_SLICE_EMPTY,
	            ph_test_session_output(run->now));
}

static bool
expect_nothing(Run *run, GError **error)
{
	PhSlice output = PH_SLICE_EMPTY;

	if (!run_session(run, error))
		return false;
	output = ph_test_session_output(run->now);
	if (output.length == 0)
		return true;
	return fail(run, error, "output that nothing expects", PH_SLICE_EMPTY, output);
}

static bool
take_line(Run *run, PhSlice *line_out)
{
	PhSlice output = ph_test_session_output(run->now);
	ssize_t lf = ph_slice_find(output, '\n');

	if (lf < 0)
		return false;
	*line_out = PH_SLICE(output.data, (size_t) lf);
	if (lf > 0 && output.data[lf - 1] == '\r')
		line_out->length--;
	return true;
}

static void
drop_line(Run *run)
{
	ssize_t lf = ph_slice_find(ph_test_session_output(run->now), '\n');

	ph_test_session_drop_output(run->now, (size_t) lf + 1);
}

static bool
expect_line(Run *run, PhSlice text, GError **error)
{
	g_autoptr(GString) pattern = expand(run, text);
	PhSlice wanted = PH_SLICE(pattern->str, pattern->len);
	bool skipping = run->skipping;
	PhSlice line = PH_SLICE_EMPTY;

	run->skipping = false;
	if (!run_session(run, error))
		return false;
	while (take_line(run, &line)) {
		bool good = matches(run, wanted, line);

		if (!good && !skipping)
			return fail(run, error, "another line", wanted, line);
		drop_line(run);
		if (good)
			return true;
	}
	return fail(run, error, "no line", wanted, ph_test_session_output(run->now));
}

static bool
expect_octets(Run *run, PhSlice text, GError **error)
{
	g_autoptr(GString) wanted = unescape(run, text);
	PhSlice expected = PH_SLICE(wanted->str, wanted->len);
	PhSlice output = PH_SLICE_EMPTY;

	if (!run_session(run, error))
		return false;
	output = ph_test_session_output(run->now);
	if (output.length < expected.length
	    || !ph_slice_equal(expected, PH_SLICE(output.data, expected.length)))
		return fail(run, error, "other octets", expected, output);
	ph_test_session_drop_output(run->now, expected.length);
	return true;
}

static bool
expect_close(Run *run, GError **error)
{
	if (!expect_nothing(run, error))
		return false;
	if (ph_test_session_is_closed(run->now))
		return true;
	return fail(run, error, "still open", PH_SLICE_LITERAL("closed"), PH_SLICE_EMPTY);
}

static bool
send_text(Run *run, char form, PhSlice text, GError **error)
{
	g_autoptr(GString) octets = form == '=' ? unescape(run, text) : expand(run, text);

	if (!expect_nothing(run, error))
		return false;
	if (ph_test_session_is_closed(run->now))
		return fail(run, error, "the server has closed", text, PH_SLICE_EMPTY);
	if (form == ':')
		g_string_append(octets, "\r\n");
	ph_test_session_send(run->now, PH_SLICE(octets->str, octets->len));
	return true;
}

static bool
pass_time(Run *run, PhSlice text, GError **error)
{
	static const struct {
		const char *unit;
		uint64_t us;
	} units[] = {
		{ "us", 1 },
		{ "ms", 1000 },
		{ "min", 60ULL * 1000 * 1000 },
		{ "s", 1000 * 1000 },
		{ "h", 3600ULL * 1000 * 1000 },
	};

	uint64_t n = 0;

	text = ph_slice_trim(text);
	for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
		size_t length = strlen(units[i].unit);
		size_t digits = text.length - MIN(length, text.length);

		if (!ph_slice_is(ph_slice_from(text, digits), units[i].unit)
		    || !ph_slice_to_u64(PH_SLICE(text.data, digits), 1000000, &n))
			continue;
		ph_test_session_elapse(run->now, (PhDuration){ n * units[i].us });
		return true;
	}
	return fail(run, error, "no time", PH_SLICE_LITERAL("5min"), text);
}

static bool
use_connection(Run *run, PhSlice text, GError **error)
{
	g_autofree char *name = ph_slice_dup(ph_slice_trim(text));

	run->now = g_hash_table_lookup(run->sessions, name);
	if (run->now != NULL)
		return true;
	run->now = run->connect(name, run->user_data, error);
	if (run->now == NULL) {
		g_prefix_error(error, "%s:%u: ", run->file, run->line);
		return false;
	}
	g_hash_table_insert(run->sessions, g_steal_pointer(&name), run->now);
	return true;
}

static bool
follow_client(Run *run, char form, PhSlice text, GError **error)
{
	if (form != '!')
		return send_text(run, form, text, error);
	if (!expect_nothing(run, error))
		return false;
	ph_test_session_end(run->now);
	return true;
}

static bool
follow_server(Run *run, char form, PhSlice text, GError **error)
{
	switch (form) {
	case ':':
		return expect_line(run, text, error);
	case '=':
		return expect_octets(run, text, error);
	case '!':
		return expect_close(run, error);
	default:
		run->skipping = true;
		return true;
	}
}

static bool
follow_line(Run *run, PhSlice line, GError **error)
{
	PhSlice text = ph_slice_from(line, 2);
	char form = line.length > 1 ? line.data[1] : '\0';

	if (line.length == 0 || line.data[0] == '#')
		return true;
	if (line.data[0] == '@')
		return use_connection(run, ph_slice_from(line, 1), error);
	if (run->now == NULL && !use_connection(run, PH_SLICE_EMPTY, error))
		return false;
	if (text.length > 0 && text.data[0] == ' ')
		text = ph_slice_from(text, 1);
	if (line.data[0] == 'C' && form != '\0' && strchr(":-=!", form))
		return follow_client(run, form, text, error);
	if (line.data[0] == 'S' && form != '\0' && strchr(":=!.", form))
		return follow_server(run, form, text, error);
	if (line.data[0] == 'T' && form == ':')
		return pass_time(run, text, error);
	if (line.data[0] == 'D' && form == '!') {
		ph_test_session_drain(run->now);
		return true;
	}
	return fail(run, error, "not a line of a transcript", PH_SLICE_EMPTY, line);
}

static void
free_session(gpointer session)
{
	ph_test_session_free(session);
}

bool
ph_test_transcript_run(const char *file,
                       PhSlice text,
                       PhTestConnectFunc connect,
                       void *user_data,
                       GError **error)
{
	g_autoptr(GHashTable) sessions =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_session);
	g_autoptr(GHashTable) kept = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	Run run = { .file = file,
		    .connect = connect,
		    .user_data = user_data,
		    .sessions = sessions,
		    .kept = kept };

	while (text.length > 0) {
		PhSlice line = ph_slice_split(&text, '\n');

		run.line++;
		if (line.length > 0 && line.data[line.length - 1] == '\r')
			line.length--;
		if (!follow_line(&run, line, error))
			return false;
	}
	return run.now == NULL || ph_test_session_is_closed(run.now) || expect_nothing(&run, error);
}
