/* fulltext.h: which messages can hold a string: an index of trigrams beside an account's store
 *
 * One SQLite database an account with an FTS5 table of every three characters that follow each
 * other in a message's folded text. It is a cache: what it names is looked at again, what it has
 * not taken up yet is looked at as before, so answers are exactly those of the scan. A file that is
 * damaged or of another version is thrown away and made anew.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_FULLTEXT_H
#define PH_MAILBOX_FULLTEXT_H

#include <posthorn/mailbox.h>

enum {
	PH_FULLTEXT_LEAST = 3, /* characters that can be asked for */
	PH_FULLTEXT_TEXT_MAX =
		4 << 20, /* octets of one message; of more it is not said what they hold */
};

/* PhFulltext: one connection; used by one thread at a time. */
typedef struct PhFulltext PhFulltext;

/* ph_fulltext_open: @make: false: NULL without @error when there is no file, or it is being made.
 * Returns: (owned). Blocks: yes. Errors: TEMPORARY, CORRUPT. */
PhFulltext *ph_fulltext_open(const char *path, bool make, GError **error);
void ph_fulltext_close(PhFulltext *index);

/* ph_fulltext_discard: a damaged one; it is made anew when a search wants it. ph_fulltext_check: is it
 * whole, as far as one can see? */
void ph_fulltext_discard(const char *path);
bool ph_fulltext_check(const char *path, PhListLineFunc report, void *user_data);

/* PhFulltextBox: what is known of a mailbox: all its messages up to a uid are taken up. */
typedef struct {
	int64_t no; /* 0: nothing is known */
	uint32_t upto;
} PhFulltextBox;

/* --- asking: between begin_read and end, at one moment ---------------------------------------- */

bool ph_fulltext_begin_read(PhFulltext *index, GError **error);
bool ph_fulltext_box(PhFulltext *index,
                     const PhMailboxId *mailbox,
                     uint32_t uidvalidity,
                     PhFulltextBox *box_out,
                     GError **error);

/* ph_fulltext_can_ask: is the string long enough? @folded: see ph_needle_folded(). */
bool ph_fulltext_can_ask(PhSlice folded);

/* ph_fulltext_ask: uids up to box->upto that can hold it. Returns: (owned). */
PhUidSet *ph_fulltext_ask(PhFulltext *index,
                          const PhFulltextBox *box,
                          PhSlice folded,
                          GError **error);
void ph_fulltext_end_read(PhFulltext *index);

/* --- filling ---------------------------------------------------------------------------------- */

/* ph_fulltext_begin: a transaction that fills; makes the mailbox known. @live: messages of the
 * account: when most of what the index holds is gone, it begins anew. */
bool ph_fulltext_begin(PhFulltext *index,
                       const PhMailboxId *mailbox,
                       uint32_t uidvalidity,
                       uint64_t live,
                       PhFulltextBox *box_out,
                       GError **error);

/* ph_fulltext_add: @text: folded (ph_text_fold()), uids ascending above box->upto. @is_whole:
 * false: the message has more text than this. */
bool ph_fulltext_add(PhFulltext *index,
                     const PhFulltextBox *box,
                     uint32_t uid,
                     PhSlice text,
                     bool is_whole,
                     GError **error);

/* ph_fulltext_end: every message up to @upto is taken up, @n of them in this transaction. */
bool ph_fulltext_end(PhFulltext *index,
                     const PhFulltextBox *box,
                     uint32_t upto,
                     uint32_t n,
                     GError **error);
void ph_fulltext_undo(PhFulltext *index);

/* --- fulltext-fill.c: in the background --------------------------------------------------------- */

/* ph_fulltext_path: the file of the account; NULL when its store has no search-index.
 * Returns: (owned). */
char *ph_fulltext_path(PhAccount *account);

/* ph_fulltext_fill_soon: takes up what is new in the mailbox, on a thread of the process at the
 * lowest priority; asked for several times, once. Thread: any. */
void ph_fulltext_fill_soon(PhAccount *account, const PhMailboxId *mailbox);

/* ph_fulltext_fill: the same, now. Blocks: yes. */
bool ph_fulltext_fill(PhAccount *account, const PhMailboxId *mailbox, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhFulltext, ph_fulltext_close)

#endif
