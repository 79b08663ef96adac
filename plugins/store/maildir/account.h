/* account.h: what the store knows of an account and its folders
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MAILDIR_ACCOUNT_H
#define STORE_MAILDIR_ACCOUNT_H

#include <posthorn/content.h>
#include <posthorn/index.h>

#include "file-name.h"

#include <pthread.h>

enum {
	CHUNK = 256,        /* messages of one row of states */
	SMALL = 256 * 1024, /* larger files are not read in one go */
};

enum {
	LAYOUT_MAILDIRPP,
	LAYOUT_HIERARCHICAL,
};

enum {
	NAMES_UTF7,
	NAMES_UTF8,
};

enum {
	LINES_LF,
	LINES_CRLF,
};

typedef struct {
	const char *path;
	const char *index; /* (nullable) */
	uint32_t layout;
	uint32_t names;
	uint32_t line_ends;
	PhDuration grace;
	PhSize largest;
	bool deferred;
	PhSection *section; /* no option: whose settings they are */
} Settings;

/* --- accounts ------------------------------------------------------------------------------------ */

/* Uidlist: what we know of a folder's dovecot-uidlist, see uidlist.c. */
typedef struct {
	gint is_known;    /* atomic; then it is the housekeeping's */
	bool is_newer;    /* it knows more than the index */
	bool is_whole;    /* lines may be appended */
	bool is_making;   /* a new one is being written */
	bool has_failed;  /* to be written, the last time */
	uint32_t last;    /* uid up to which there are lines */
	uint32_t next;    /* as the header or the last line says */
	int64_t size;     /* of the file */
	size_t digits_at; /* of the next uid in the header, when they can be changed in place */
} Uidlist;

typedef struct {
	uint32_t no;
	PhMailboxId id;
	char *path;      /* (owned) below the root; "" for INBOX */
	char *name;      /* (owned) as it was when the folder got its path */
	uint64_t synced; /* names of files follow the index up to this change */
	bool is_gone;    /* the mailbox was removed, the folder lies in the trash */
	bool is_adopted; /* what was there before us was taken over */
	/* what was seen of new and cur: */
	int64_t seen[2];   /* time of last change, ns; 0: never looked */
	int64_t looked[2]; /* when, ns of the wall clock */
	int64_t saved[2];  /* `seen` as the row has it */
	int64_t cost_ns;   /* of the last reading */
	bool has_new;      /* own deliveries may lie in new */
	int64_t retry_ns; /* when files that could not be read are looked at again; 0: there are none */
	bool assumed[2]; /* changed by ourselves since: another program may have, too */
	const char *keywords[KEYWORD_LETTERS]; /* (interned) of the letters */
	int64_t keywords_seen;
	Uidlist list;
	struct Hints *hints; /* (owned, nullable) while it is watched, and after */
} Folder;

enum {
	IN_NEW,
	IN_CUR,
};

/* Arrival: a file of the running commit. */
typedef struct {
	uint32_t folder;
	uint32_t uid;
	Letters letters;
	char *from;  /* (owned, nullable) name in tmp */
	char *base;  /* (owned, nullable) NULL: it waits in tmp until it is durable */
	PhTime date; /* for the file; 0: it has the right one */
} Arrival;

/* Safe: what is durable of an account whose commits are deferred. */
typedef struct {
	uint64_t change; /* and all before it */
	int64_t time;    /* and what was committed earlier, monotonic */
	int64_t wall;    /* the same of the wall clock */
} Safe;

typedef struct {
	gint n_refs;       /* besides the index's */
	Settings settings; /* strings are the instance's */
	char *root;        /* (owned) path */
	char *place;       /* (owned) path of our own folder */
	int root_fd;
	int place_fd;
	int lock_fd;
	PhIndex *index;
	bool deferred;     /* nothing is synced until `sync`, see defer.c */
	bool checked;      /* what a lost journal may have left was looked at */
	gint unsynced;     /* atomic: something was committed since the last sync was asked for */
	gint changed;      /* atomic: the same, of `sync` */
	gint resubscribed; /* atomic: the file of subscriptions does not follow the index yet */
	gint unsettled;    /* atomic: files or lists do not follow the index yet */
	int64_t leaving;   /* when files had to leave their folders last; commit and refresh only */
	guint n_added;     /* messages of the running commit */
	uint64_t instance_id;

	pthread_mutex_t lock; /* guards until the blank line */
	GHashTable *folders;  /* PhMailboxId -> Folder */
	GPtrArray *numbered;  /* of Folder (owned); place is its number */
	uint32_t cached_folder;
	uint32_t cached_chunk;
	Letters cached[CHUNK];
	GPtrArray *watches;  /* (nullable) of Ear */
	GHashTable *own;     /* (nullable) changes of names that we made and were not told of yet */
	GHashTable *kept;    /* names in tmp that a commit has named and that stay there for now */
	GHashTable *uploads; /* names in tmp that no commit has named: ours to abandon */
	Safe safe;           /* what survives the loss of power, when deferred */
	Safe asked;
	bool is_asked;

	/* of the running commit */
	GArray *arrivals;
	GArray *late; /* of Arrival: committed before, and could not be moved out of tmp yet */
	GByteArray *drops;
	guint mark_arrivals;
	guint mark_drops;
	uint32_t next_copy;
	GArray *notes; /* of Note */
	bool waits_in_tmp;

	/* of the housekeeping, which has the write transaction, too */
	uint32_t plan_folder;
	GArray *plans;      /* of Plan */
	int64_t plans_time; /* when they were known to be committed; 0: not yet */
	uint32_t cycle_folder;
	uint32_t cycle_uid; /* looked at up to it */
	uint64_t cycle_change;
	uint64_t cycle_bound; /* what was altered later waits */
	int64_t drop_row;
	size_t drop_offset;
	bool drop_failed;   /* files of this row are still in their folders */
	int64_t drop_kept;  /* the last row of which that is so: later ones are next */
	int64_t drop_retry; /* when it is tried again, monotonic */
	GHashTable *stuck;  /* names of such files */
	bool tmp_cleaned;
	bool has_renamed; /* names that are not synced */
} Account;

/* Note: what a scan saw, to be kept with the commit of what it means. */
typedef struct {
	uint32_t folder;
	uint32_t uid;
	Letters from;
	Letters to;
} Note;

/* Adopted: an APPEND of a file that another program put there. */
typedef struct {
	PhOp op;
	Letters letters;
} Adopted;

#endif
