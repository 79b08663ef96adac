/* foreign-mbox.c: an mbox file as a mailbox of an archive
 *
 * A message begins at a "From " line behind an empty line; ">From " loses its mark (mboxrd).
 * Status, X-Status, X-Keywords, X-UID and X-IMAPbase are taken as flags, keywords and uids and left
 * out of the message. The file is read once; its first message's header is looked at before.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/date.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "tools/foreign.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	PIECE = 65536,
	WORDS_MAX = 64
};

/* Message: the one being read. */
typedef struct {
	PhRecord record;
	GPtrArray *keywords; /* NULL behind the last when it is put */
	PhSpool *spool;      /* (nullable) none has begun */
	bool in_header;
	bool drops; /* the present field and its continuation are ours */
	char last;
} Message;

typedef struct {
	PhArchiveWriter *writer;
	const char *mailbox;
	FILE *file;
	bool has_mailbox; /* it was written */
	uint32_t uidvalidity;
	uint32_t uidnext;
	uint32_t last_uid;
	Message message;
} Reading;

static void
close_file(FILE **file)
{
	if (*file != NULL)
		(void) fclose(*file);
}

/* --- fields ----------------------------------------------------------------------------------------- */

/* "From anna@example.org Sat Jan  3 01:05:34 1996 +0100": the last words. */
static PhTime
date_of(PhSlice line)
{
	g_autofree char *text = ph_slice_dup(line);
	g_auto(GStrv) words = g_strsplit_set(text, " \t\r\n", -1);
	const char *found[6] = { NULL };
	g_autofree char *mail = NULL;
	PhDate date;
	size_t n = 0;

	for (size_t i = 1; words[i] != NULL; i++) {
		if (words[i][0] == '\0')
			continue;
		if (n == G_N_ELEMENTS(found)) {
			memmove(found, found + 1, sizeof found - sizeof found[0]);
			n--;
		}
		found[n++] = words[i];
	}
	if (n < 5)
		return 0;
	if (n == 6 && strchr(found[3], ':') == NULL) {
		memmove(found, found + 1, sizeof found - sizeof found[0]);
		found[5] = "+0000";
	}
	mail = g_strdup_printf("%s %s %s %s %s", found[2], found[1], found[4], found[3],
	                       n == 6 && found[5] != NULL ? found[5] : "+0000");
	return ph_date_parse_mail(ph_slice(mail), &date) ? date.time : 0;
}

static void
add_flags(PhRecord *record, PhSlice value)
{
	static const struct {
		char letter;
		uint32_t flag;
	} letters[] = { { 'R', PH_FLAG_SEEN },
		        { 'A', PH_FLAG_ANSWERED },
		        { 'F', PH_FLAG_FLAGGED },
		        { 'D', PH_FLAG_DELETED },
		        { 'T', PH_FLAG_DRAFT } };

	for (size_t i = 0; i < value.length; i++)
		for (size_t j = 0; j < G_N_ELEMENTS(letters); j++)
			if (value.data[i] == letters[j].letter)
				record->flags |= letters[j].flag;
}

static void
add_keywords(Message *message, PhSlice value)
{
	while (value.length > 0) {
		PhSlice word = ph_slice_split(&value, ' ');

		if (word.length > 0 && message->keywords->len < WORDS_MAX)
			g_ptr_array_add(message->keywords, ph_slice_dup(word));
	}
}

static void
take_base(Reading *reading, PhSlice value)
{
	uint32_t last = 0;
	PhSlice first = ph_slice_split(&value, ' ');
	PhSlice second = ph_slice_split(&value, ' ');

	if (ph_slice_to_u32(first, UINT32_MAX, &reading->uidvalidity)
	    && ph_slice_to_u32(second, UINT32_MAX - 2, &last))
		reading->uidnext = last + 1;
}

static PhSlice
without_end(PhSlice line)
{
	while (line.length > 0
	       && (line.data[line.length - 1] == '\n' || line.data[line.length - 1] == '\r'))
		line.length--;
	return line;
}

bool
ph_foreign_is_field(PhSlice name)
{
	static const char *const names[] = { "Status",     "X-Status", "X-Keywords", "X-UID",
		                             "X-IMAPbase", "X-IMAP",   "X-Posthorn" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if (ph_slice_is_nocase(name, names[i]))
			return true;
	return ph_slice_starts_nocase(name, PH_FOREIGN_KEPT);
}

/* Is the field one of ours? Then it is taken and does not stand in the message. */
static bool
take_field(Reading *reading, PhSlice line)
{
	Message *message = &reading->message;
	PhSlice rest = line;
	PhSlice name = ph_slice_split(&rest, ':');
	PhSlice value = ph_slice_trim(without_end(rest));
	uint32_t uid = 0;

	if (ph_slice_is_nocase(name, "Status") || ph_slice_is_nocase(name, "X-Status")) {
		add_flags(&message->record, value);
	} else if (ph_slice_is_nocase(name, "X-Keywords")) {
		add_keywords(message, value);
	} else if (ph_slice_is_nocase(name, "X-UID")) {
		if (ph_slice_to_u32(value, UINT32_MAX - 2, &uid) && uid > reading->last_uid)
			message->record.uid = uid;
	} else if (ph_slice_is_nocase(name, "X-IMAPbase") || ph_slice_is_nocase(name, "X-IMAP")) {
		take_base(reading, value);
	} else {
		return ph_slice_is_nocase(name, "X-Posthorn");
	}
	return true;
}

/* --- messages --------------------------------------------------------------------------------------- */

static bool
put_mailbox(Reading *reading, GError **error)
{
	const PhArchiveMailbox mailbox = {
		.name = (char *) (uintptr_t) reading->mailbox,
		.uidvalidity = reading->uidvalidity,
		.uidnext = reading->uidnext,
	};

	if (reading->has_mailbox)
		return true;
	reading->has_mailbox = true;
	return ph_archive_put_mailbox(reading->writer, &mailbox, error);
}

static bool
end_message(Reading *reading, GError **error)
{
	Message *message = &reading->message;
	PhContent *content = NULL;

	if (message->spool == NULL)
		return true;
	if (!put_mailbox(reading, error))
		return false;
	if (reading->uidvalidity == 0)
		message->record.uid = 0;
	reading->last_uid = MAX(reading->last_uid, message->record.uid);
	g_ptr_array_add(message->keywords, NULL);
	message->record.keywords = (const char *const *) message->keywords->pdata;
	if (ph_spool_length(message->spool) == 0) {
		g_clear_pointer(&message->spool, ph_spool_free);
		return true;
	}
	content = ph_spool_finish(g_steal_pointer(&message->spool), error);
	return content != NULL && ph_foreign_put(reading->writer, &message->record, content, error);
}

static void
begin_message(Reading *reading, PhSlice line)
{
	Message *message = &reading->message;

	memset(&message->record, 0, sizeof message->record);
	message->record.internal_date = date_of(line);
	g_ptr_array_set_size(message->keywords, 0);
	message->spool = ph_spool_new();
	message->in_header = true;
	message->drops = false;
	message->last = '\0';
}

static PhSlice
unquoted(PhSlice line)
{
	size_t marks = 0;

	while (marks < line.length && line.data[marks] == '>')
		marks++;
	if (marks > 0 && line.length >= marks + 5 && memcmp(line.data + marks, "From ", 5) == 0)
		return ph_slice_from(line, 1);
	return line;
}

/* A whole line, or its beginning when it is very long. */
static bool
take_line(Reading *reading, PhSlice line, bool begins, GError **error)
{
	Message *message = &reading->message;
	bool is_empty = line.data[0] == '\n' || (line.length > 1 && line.data[0] == '\r');

	if (message->in_header && begins) {
		bool continues = line.data[0] == ' ' || line.data[0] == '\t';

		if (is_empty)
			message->in_header = false;
		message->drops =
			continues ? message->drops : !is_empty && take_field(reading, line);
	}
	if (message->in_header && message->drops)
		return true;
	if (message->in_header && begins && ph_slice_starts_nocase(line, PH_FOREIGN_KEPT))
		line = ph_slice_from(line, strlen(PH_FOREIGN_KEPT));
	return ph_foreign_add(message->spool, begins ? unquoted(line) : line, &message->last,
	                      error);
}

/* A line with its end, or a piece of a very long one. Returns: octets; 0 at the end of the file. */
static size_t
read_piece(FILE *file, char *buffer)
{
	size_t n = 0;
	int c = '\0';

	while (n < PIECE && c != '\n' && (c = getc_unlocked(file)) != EOF)
		buffer[n++] = (char) c;
	return n;
}

/* Behind the first message only what ends with a date: people write "From" too. */
static bool
is_separator(const Reading *reading, PhSlice line)
{
	return line.length > 5 && memcmp(line.data, "From ", 5) == 0
	       && (reading->message.spool == NULL || date_of(line) != 0);
}

/* The empty line before a "From " line belongs to the file: it is held back until the next one. */
static bool
read_lines(Reading *reading, GError **error)
{
	g_autofree char *line = g_malloc(PIECE);
	bool begins = true;
	bool after_empty = true;
	bool held = false;
	size_t length = 0;

	while ((length = read_piece(reading->file, line)) > 0) {
		bool is_empty = begins && without_end(PH_SLICE(line, length)).length == 0;
		bool starts =
			begins && after_empty && is_separator(reading, PH_SLICE(line, length));

		if (starts && !end_message(reading, error))
			return false;
		if (starts)
			begin_message(reading, PH_SLICE(line, length));
		if (reading->message.spool == NULL) {
			ph_error_set(error, PH_ERROR_INVALID,
			             "no mbox file: it does not begin "
			             "with a 'From ' line");
			return false;
		}
		if (held && !starts && !take_line(reading, PH_SLICE("\n", 1), true, error))
			return false;
		held = is_empty && !reading->message.in_header;
		if (!starts && !held && !take_line(reading, PH_SLICE(line, length), begins, error))
			return false;
		after_empty = is_empty;
		begins = line[length - 1] == '\n';
	}
	return end_message(reading, error) && put_mailbox(reading, error);
}

bool
ph_foreign_mbox(PhArchiveWriter *writer, const char *path, const char *mailbox, GError **error)
{
	__attribute__((cleanup(close_file))) FILE *file = fopen(path, "re");
	Reading reading = { .writer = writer, .mailbox = mailbox, .file = file };
	bool good = false;

	if (file == NULL) {
		ph_error_set_errno(error, errno, "cannot read '%s'", path);
		return false;
	}
	reading.message.keywords = g_ptr_array_new_with_free_func(g_free);
	good = read_lines(&reading, error);
	if (!good)
		g_prefix_error(error, "'%s': ", path);
	g_clear_pointer(&reading.message.spool, ph_spool_free);
	g_ptr_array_unref(reading.message.keywords);
	return good;
}
