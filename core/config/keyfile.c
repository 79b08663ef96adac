/* keyfile.c: cuts a config file into sections and keys, with every mistake and its line
 *
 * GLib's own reader stops at the first mistake and forgets lines; this one does neither.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config/keyfile.h"

#include <posthorn/slice.h>

#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	KEYS_MAX = 500,
	UNREADABLE_MAX = 20
};

typedef struct {
	PhKeyfile *keyfile;
	PhMistakes *mistakes;
	PhKeyfileSection *section; /* NULL before the first one and after a bad header */
	bool skip;                 /* a bad header was told; keys below it are not */
	unsigned int line;
	unsigned int n_unreadable; /* lines */
} Reader;

static void
free_section(gpointer data)
{
	PhKeyfileSection *section = data;

	g_array_unref(section->keys);
	g_free(section);
}

void
ph_keyfile_free(PhKeyfile *keyfile)
{
	if (keyfile == NULL)
		return;
	g_ptr_array_unref(keyfile->sections);
	g_string_chunk_free(keyfile->strings);
	g_free(keyfile);
}

static const char *
keep(Reader *reader, PhSlice text)
{
	return g_string_chunk_insert_len(reader->keyfile->strings,
	                                 text.data != NULL ? text.data : "", (gssize) text.length);
}

static bool
is_word(PhSlice text, bool is_key)
{
	for (size_t i = 0; i < text.length; i++) {
		char c = text.data[i];
		bool good = g_ascii_isalnum(c) || c == '-' || c == '_' || (!is_key && c == '.');

		if (!good)
			return false;
	}
	return text.length > 0;
}

static PhKeyfileSection *
find_section(const PhKeyfile *keyfile, const char *kind, const char *name)
{
	for (guint i = 0; i < keyfile->sections->len; i++) {
		PhKeyfileSection *section = keyfile->sections->pdata[i];

		if (strcmp(section->kind, kind) == 0 && strcmp(section->name, name) == 0)
			return section;
	}
	return NULL;
}

static void
add_section(Reader *reader, const char *kind, const char *name)
{
	PhKeyfileSection *section = g_new0(PhKeyfileSection, 1);

	section->kind = kind;
	section->name = name;
	section->line = reader->line;
	section->keys = g_array_new(FALSE, FALSE, sizeof(PhKeyfileKey));
	g_ptr_array_add(reader->keyfile->sections, section);
	reader->section = section;
	reader->skip = false;
}

static void
take_header(Reader *reader, PhSlice line)
{
	PhSlice rest = PH_SLICE_EMPTY;
	PhSlice kind = PH_SLICE_EMPTY;
	const PhKeyfileSection *old = NULL;

	reader->section = NULL;
	reader->skip = true;
	if (line.data[line.length - 1] != ']') {
		ph_mistakes_add(reader->mistakes, reader->line,
		                "a section header must end in ']'; write [kind name]");
		return;
	}
	rest = ph_slice_trim(PH_SLICE(line.data + 1, line.length - 2));
	kind = ph_slice_split(&rest, ' ');
	rest = ph_slice_trim(rest);
	if (!is_word(kind, true) || (rest.length > 0 && !is_word(rest, false))
	    || rest.length > PH_LIMIT_NAME) {
		ph_mistakes_add(reader->mistakes, reader->line,
		                "a section header is [kind] or [kind name]; a name has letters, "
		                "digits, '-', '_', '.' and at most %d of them",
		                PH_LIMIT_NAME);
		return;
	}
	if (reader->keyfile->sections->len >= PH_LIMIT_CONFIG_SECTIONS) {
		ph_mistakes_add(reader->mistakes, reader->line,
		                "too many sections; at most %d are read", PH_LIMIT_CONFIG_SECTIONS);
		return;
	}
	add_section(reader, keep(reader, kind), keep(reader, rest));
	old = find_section(reader->keyfile, reader->section->kind, reader->section->name);
	if (old != reader->section) {
		ph_mistakes_add(reader->mistakes, reader->line,
		                "the section [%s%s%s] stands here a second time; the first is at "
		                "line %u: join them or rename one",
		                old->kind, old->name[0] != '\0' ? " " : "", old->name, old->line);
		g_ptr_array_remove_index(reader->keyfile->sections,
		                         reader->keyfile->sections->len - 1);
		reader->section = NULL;
		reader->skip = true;
	}
}

const PhKeyfileKey *
ph_keyfile_key(const PhKeyfileSection *section, const char *key)
{
	for (guint i = 0; i < section->keys->len; i++) {
		const PhKeyfileKey *row = &g_array_index(section->keys, PhKeyfileKey, i);

		if (strcmp(row->key, key) == 0)
			return row;
	}
	return NULL;
}

static void
add_key(Reader *reader, PhSlice key, PhSlice value)
{
	PhKeyfileKey row = { .line = reader->line };
	const PhKeyfileKey *old = NULL;

	if (reader->section->keys->len >= KEYS_MAX) {
		ph_mistakes_add(reader->mistakes, reader->line,
		                "too many keys in one section; at most %d are read", KEYS_MAX);
		reader->skip = true;
		reader->section = NULL;
		return;
	}
	row.key = keep(reader, key);
	row.value = keep(reader, value);
	old = ph_keyfile_key(reader->section, row.key);
	if (old != NULL) {
		ph_mistakes_add(reader->mistakes, reader->line,
		                "the key '%s' stands here a second time; the first is at line %u: "
		                "remove one",
		                row.key, old->line);
		return;
	}
	g_array_append_val(reader->section->keys, row);
}

/* What other formats would cut off is part of the value here: that is told. */
static void
warn_value(Reader *reader, PhSlice key, PhSlice value)
{
	const char *hash = memchr(value.data, '#', value.length);
	const char *quote = memchr(value.data, '"', value.length);

	if (value.length > 1 && quote == value.data && value.data[value.length - 1] == '"')
		ph_mistakes_warn(reader->mistakes, reader->line,
		                 "the quotes are part of the value of '%.*s'; remove them",
		                 (int) key.length, key.data);
	if (quote == NULL && hash != NULL && hash > value.data
	    && (hash[-1] == ' ' || hash[-1] == '\t'))
		ph_mistakes_warn(reader->mistakes, reader->line,
		                 "what stands behind '#' is part of the value of '%.*s'; write "
		                 "the comment on a line of its own",
		                 (int) key.length, key.data);
}

static void
take_key(Reader *reader, PhSlice line)
{
	PhSlice value = line;
	PhSlice key = ph_slice_split(&value, '=');

	if (key.length == line.length) {
		ph_mistakes_add(
			reader->mistakes, reader->line,
			"this is neither a section header, a comment (#) nor 'key = value'; "
			"write one of them");
		return;
	}
	key = ph_slice_trim(key);
	if (!is_word(key, true)) {
		ph_mistakes_add(reader->mistakes, reader->line,
		                "a key has letters, digits and '-'; write 'key = value'");
		return;
	}
	value = ph_slice_trim(value);
	if (value.length > 0)
		warn_value(reader, key, value);
	if (reader->section != NULL)
		add_key(reader, key, value);
	else if (!reader->skip)
		ph_mistakes_add(reader->mistakes, reader->line,
		                "a key stands before the first section; write [server] above it");
}

/* Tells what makes the line unreadable. */
static bool
is_clean(Reader *reader, PhSlice line)
{
	if (line.length > PH_LIMIT_CONFIG_LINE) {
		ph_mistakes_add(reader->mistakes, reader->line,
		                "the line is longer than %d octets; shorten it",
		                PH_LIMIT_CONFIG_LINE);
		return false;
	}
	if (memchr(line.data, '\0', line.length) == NULL && !ph_slice_is_utf8(line)) {
		ph_mistakes_add(reader->mistakes, reader->line,
		                "the line is not UTF-8; save the file in that encoding");
		return false;
	}
	for (size_t i = 0; i < line.length; i++) {
		unsigned char c = (unsigned char) line.data[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f) {
			ph_mistakes_add(reader->mistakes, reader->line,
			                "the line holds a control character (0x%02x); remove it",
			                (unsigned int) c);
			return false;
		}
	}
	return true;
}

static void
take_line(Reader *reader, PhSlice line)
{
	if (line.length > 0 && line.data[line.length - 1] == '\r')
		line.length--;
	if (!is_clean(reader, line)) {
		reader->n_unreadable++;
		return;
	}
	line = ph_slice_trim(line);
	if (line.length == 0 || line.data[0] == '#')
		return;
	if (line.data[0] == '[')
		take_header(reader, line);
	else
		take_key(reader, line);
}

PhKeyfile *
ph_keyfile_parse(PhSlice octets, PhMistakes *mistakes)
{
	PhKeyfile *keyfile = g_new0(PhKeyfile, 1);
	Reader reader = { .keyfile = keyfile, .mistakes = mistakes };

	keyfile->sections = g_ptr_array_new_with_free_func(free_section);
	keyfile->strings = g_string_chunk_new(PH_KIB(4));
	if (ph_slice_starts_nocase(octets, "\xef\xbb\xbf"))
		octets = ph_slice_from(octets, 3);
	while (octets.length > 0) {
		reader.line++;
		take_line(&reader, ph_slice_split(&octets, '\n'));
		if (reader.n_unreadable == UNREADABLE_MAX) {
			ph_mistakes_add(mistakes, reader.line,
			                "so many lines are no text that the rest is not read; name "
			                "a config file");
			break;
		}
	}
	return keyfile;
}

static bool
read_all(int fd, GString *out, PhMistakes *mistakes)
{
	char buffer[PH_KIB(8)];
	ssize_t n = 0;

	while ((n = read(fd, buffer, sizeof buffer)) > 0) {
		if (out->len + (size_t) n > PH_LIMIT_CONFIG_FILE) {
			ph_mistakes_add(mistakes, 0, "the file is larger than %d octets",
			                PH_LIMIT_CONFIG_FILE);
			return false;
		}
		g_string_append_len(out, buffer, n);
	}
	if (n < 0)
		ph_mistakes_add(mistakes, 0, "cannot read the file: %s", g_strerror(errno));
	return n == 0;
}

PhKeyfile *
ph_keyfile_read(const char *path, PhMistakes *mistakes)
{
	g_autoptr(GString) content = g_string_new("");
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	bool good = false;
	struct stat info;

	if (fd < 0) {
		ph_mistakes_add(mistakes, 0,
		                "cannot open the file: %s; name another with --config FILE",
		                g_strerror(errno));
		return NULL;
	}
	/* whoever can write it chooses the plugins that are loaded */
	if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && (info.st_mode & S_IWOTH) != 0)
		ph_mistakes_add(mistakes, 0,
		                "the file can be written by everybody (mode %04o); run: "
		                "chmod o-w '%s'",
		                (unsigned int) (info.st_mode & 07777), path);
	good = read_all(fd, content, mistakes);
	(void) close(fd);
	if (!good)
		return NULL;
	return ph_keyfile_parse(PH_SLICE(content->str, content->len), mistakes);
}
