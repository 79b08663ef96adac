/* fields.h: the header fields that belong to the mbox and not to the message
 *
 * Status, X-Status, X-Keywords, X-UID, X-IMAPbase and X-IMAP hold flags and uids, as UW-IMAP,
 * Dovecot and mutt write them; Content-Length and Lines describe the file. None is shown to
 * clients. X-Posthorn says what an mbox cannot express of a message. A message that brings one of
 * these fields itself has it in the file with the prefix X-Posthorn-Kept-, and gets it back.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MBOX_FIELDS_H
#define STORE_MBOX_FIELDS_H

#include <posthorn/types.h>

typedef enum {
	FIELD_OTHER,
	FIELD_STATUS,
	FIELD_X_STATUS,
	FIELD_X_KEYWORDS,
	FIELD_X_UID,
	FIELD_X_IMAPBASE,
	FIELD_X_IMAP,
	FIELD_POSTHORN,
	FIELD_CONTENT_LENGTH, /* from here on: hidden, but nobody's metadata */
	FIELD_LINES,
	FIELD_KEPT, /* shown without its prefix */
} Field;

#define FIELD_KEPT_PREFIX "X-Posthorn-Kept-"

/* Marks: how the octets in the file relate to the message. */
enum {
	MARK_RAW = 1U << 0,         /* line ends are as they stand */
	MARK_NO_END = 1U << 1,      /* the last line has no line end */
	MARK_HEADER_ONLY = 1U << 2, /* no empty line ends the header */
	MARK_COUNTED = 1U << 3,     /* Content-Length is believed */
	MARK_VERBATIM = 1U << 4,    /* nothing is quoted in the body */
	MARK_QUOTED_ONCE = 1U << 5, /* only ">From " is quoted (mboxo) */
	MARK_UID = 1U << 6,         /* X-UID is the uid under the mailbox's uidvalidity */
	MARK_STRAY = 1U << 7,       /* metadata stand elsewhere than at the top */
};

/* field_of: which field does this line begin? @value_out: trimmed, without line end. Pure. */
Field field_of(PhSlice line, PhSlice *value_out);
bool field_is_hidden(Field field);
/* field_is_metadata: rewritten with the flags. */
bool field_is_metadata(Field field);

/* field_needs_prefix: would the message lose or change it on its way through the file? */
bool field_needs_prefix(PhSlice line);

/* PH_FLAG_* of the values of Status and X-Status. */
uint32_t field_status_flags(PhSlice value);
uint32_t field_x_status_flags(PhSlice value);
uint32_t field_marks(PhSlice value);

/* field_base: "uidvalidity last-uid keyword keyword" of X-IMAPbase and X-IMAP. */
bool field_base(PhSlice value, uint32_t *validity_out, uint32_t *last_out);

/* field_validity: the uidvalidity in X-Posthorn; 0: none. */
uint32_t field_validity(PhSlice value);

/* field_keywords_hash: of the set of words; 0 for none. */
uint32_t field_keywords_hash(PhSlice value);

/* Metadata: what is written at the top of a message. */
typedef struct {
	uint32_t uid;
	uint32_t flags;
	uint32_t marks;       /* those that X-Posthorn tells */
	uint32_t validity;    /* the uidvalidity under which @uid holds */
	const char *keywords; /* words with blanks between */
	uint32_t base;        /* uidvalidity for X-IMAPbase; 0: none */
	uint32_t base_last;
	const char *base_keywords;
} Metadata;

/* fields_append: the block; filled up with blanks to @length octets where it fits, else with some
 * to spare. */
void fields_append(const Metadata *metadata, size_t length, GString *out);

#endif
