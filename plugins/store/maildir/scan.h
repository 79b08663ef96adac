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
} Found;

typedef struct {
	Account *account;
	Folder *folder;
	PhIndexConnection *connection;
	Known *known;
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
/* scan_part: path of new or cur. scan_keywords: names of letters, NULL-terminated, borrowed. */
char *scan_part(const Folder *folder, int part);
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
