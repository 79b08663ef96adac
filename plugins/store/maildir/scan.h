/* scan.h: one reading of a folder
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MAILDIR_SCAN_H
#define STORE_MAILDIR_SCAN_H

#include "known.h"
#include "maildir.h"
#include "tidy.h"

/* Change: a name whose letters another program changed. */
typedef struct {
	uint32_t uid;
	Letters was;
	Letters now;
} Change;

/* Found: a file that is no message's yet. */
typedef struct {
	char *name; /* (owned) */
	Letters letters;
	uint32_t uid; /* that another server gave it; 0: none */
	bool is_left; /* it could not be taken */
} Found;

typedef struct {
	Account *account;
	Folder *folder;
	PhIndexConnection *connection;
	Known *known; /* (nullable) or: */
	struct Finder **finder;
	uint8_t *found; /* bits by uid */
	uint32_t n_messages;
	uint32_t uidnext;
	uint32_t highest;
	bool overflow;
	bool read[2]; /* which parts are read */
	int part;     /* the one being read */
	States states;
	Letters *all; /* (nullable) of every uid: names come in any order */
	PhUidSet *unfound;
	GArray *changes; /* of Change */
	GArray *fresh;   /* of Found */
	PhUidSet *missing;
	Listing *listing;
	unsigned n_moved;
	unsigned n_met;
	unsigned n_skipped; /* of `fresh`: files that could not be read */
	unsigned n_left;    /* these, and those that are no message (any more) */
	bool moved;         /* we changed names ourselves */
	bool again;         /* there was more than one reading takes */
	bool is_return;     /* names that are not in it are new ones */
	Known *takeover;    /* (nullable) uids that another server gave */
	uint32_t raise;     /* what the list's next uid is */
	uint32_t window[2]; /* of those, the ones taken now */
	GError **error;
} Scan;

void scan_init(Scan *scan, Account *account, Folder *folder, GError **error);
void scan_clear(Scan *scan);
/* scan_read: one reading of the parts in `read`. */
bool scan_read(Scan *scan, GError **error);
/* scan_count: the mailbox's counts. scan_meet: a name in the part being read. scan_missing: notes those of
 * `unfound` that are gone. */
bool scan_count(Scan *scan, GError **error);
bool scan_meet(Scan *scan, const char *name);
bool scan_missing(Scan *scan, GError **error);
/* scan_fold: commits what was found. scan_is_due: is it time to look at files that could not be read?
 * scan_patience: how long we may go without looking, ns. */
bool scan_is_due(const Folder *folder);
int64_t scan_patience(const Folder *folder);
bool scan_fold(Scan *scan, GError **error);
/* Then: scan_took_new: was anything taken that lies in new? scan_note_skipped: what could not be read is
 * tried again after a while. */
bool scan_took_new(const Scan *scan);
void scan_note_skipped(Scan *scan);
bool scan_is_file(int fd, const char *name);
bool scan_was_found(const Scan *scan, uint32_t uid);
Letters scan_state(Scan *scan, uint32_t uid);

/* scan_glance: looks at the names that were told, and in new when own deliveries may lie there. *done_out:
 * false: the folder must be read. */
bool scan_glance(Account *account, Folder *folder, bool *done_out, GError **error);

/* scan_save: keeps what was seen for the next start. scan_end: of all folders that were followed until the
 * account is closed. */
bool scan_save(Folder *folder, PhIndexConnection *connection, GError **error);
void scan_end(Account *account);

/* scan_part: path of new or cur. scan_keywords: names of letters, NULL-terminated, borrowed. */
char *scan_part(Account *account, const Folder *folder, int part);
GPtrArray *scan_keywords(const Folder *folder, Letters letters);
/* scan_adopt: appends what is in `fresh`. */
bool scan_adopt(Scan *scan, GError **error);

/* takeover_knows: is it a name of another server's list, that waits for its turn or is taken now? */
bool takeover_knows(Scan *scan, PhSlice base);
/* takeover_return: in a scan whose names are known: the uids that another server gave since. False:
 * there is no list. takeover_raise: and the next one. */
bool takeover_return(Scan *scan, uint32_t *uidnext_out);
bool takeover_raise(Account *account, const Folder *folder, uint32_t uidnext, GError **error);
/* takeover_folder: messages with the uids that another server gave them. */
bool takeover_folder(Account *account, Folder *folder, GError **error);

#endif
