/* mirror.h: the inside of the mirror store: two stores, the second following the first
 *
 * The first store decides everything. What it has committed is repeated in the second with given
 * results, so uids, uidvalidity and change numbers are the same there. A second that could not follow
 * is behind: nothing is repeated until it has caught up, by comparing mailboxes and what changed
 * since the last change that it is known to hold. Both happen inside calls that never overlap, so an
 * account needs a lock only for what uploads and reads look at.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MIRROR_H
#define STORE_MIRROR_H

#include <posthorn/below.h>
#include <posthorn/error.h>
#include <posthorn/log.h>

#include <pthread.h>
#include <sys/types.h>

/* A mailbox's value in the second: "from N UID M" while it catches up from change N of the first to
 * change M and has done so for uids up to UID; "to N" when it held everything up to N, though its own
 * numbers may differ. */
#define PREFIX     ".mirror/"
#define KEY_SYNCED PREFIX "synced"

/* A value of the account in the second while any pass is under way. */
#define KEY_UNDER_WAY PREFIX "under-way"

typedef enum {
	REQUIRE_FIRST,
	REQUIRE_BOTH,
} Require;

typedef enum {
	COMPARE_OFF,
	COMPARE_COUNTS,
	COMPARE_CONTENT,
} Compare;

typedef struct {
	PhSection *section; /* [store NAME], for the log */
	PhSection *first;
	PhSection *second;
	Require require;
	Compare compare;
	uint32_t sample;
	uint64_t catch_up_us;
	uint64_t retry_us;
	_Atomic uint64_t n_repeated; /* transactions */
	_Atomic uint64_t n_missed;   /* transactions that the second did not take at once */
	_Atomic uint64_t n_copied;   /* messages */
	_Atomic uint64_t n_different;
	_Atomic uint64_t n_answered;  /* times that the second answered for the first */
	_Atomic uint64_t answered_at; /* us, monotonic: when the log said so last */
} Instance;

/* Pass: catching up in one mailbox, remembered from one slice to the next. */
typedef struct {
	PhMailboxId mailbox;
	PhUidSet *todo; /* (owned, nullable: no pass) uids of the first to look at */
	uint32_t after; /* uids up to this one are done */
	uint64_t since;
	uint64_t complete_to;
} Pass;

typedef struct {
	PhBelow first;  /* the first member: below.h's functions are the first store's */
	PhBelow second; /* its account is set once, under the lock; NULL: away */
	Instance *instance;
	PhIdentity *identity;
	_Atomic bool
		is_settled; /* looked at the second since it was opened; set with `settling` held */
	_Atomic bool is_behind;
	bool is_told;    /* the log says that it is behind */
	bool is_counted; /* as one that is behind */
	bool differs;  /* it is behind because it holds what it should not, or lacks what it had */
	bool has_flag; /* KEY_UNDER_WAY is there */
	bool has_worked;   /* in this slice */
	bool looks_at_all; /* verify repairs: notes and numbers do not count */
	bool was_rebuilt;  /* a mailbox of the second was made anew; not again */
	bool defers;       /* the first does */
	dev_t device;      /* with defers: where the first lies */
	uint64_t retry_at; /* us, monotonic: the second is left alone until then */
	Pass pass;
	pthread_mutex_t settling;
	pthread_mutex_t lock; /* guards uploads and that the second is there */
	GHashTable *uploads;  /* PhBlobId of the first -> PhBlobId of the second */
} Account;

/* --- mirror.c ----------------------------------------------------------------------------------- */

/* second_of: the account in the second store, or NULL. Thread: worker. */
const PhBelow *second_of(Account *account);

/* set_behind: and counts it. */
void set_behind(Account *account, bool is_behind);

/* fall_behind: the second could not follow; one line in the log. */
void fall_behind(Account *account, const char *doing, const GError *why);

/* settle: the first use of an account that was opened brings the second on and compares. Not when it
 * is opened: what a journal has for the first comes after that, and the second may be ahead until
 * then. Thread: worker, beside anything. */
void settle(Account *account);

/* take_upload: the second's blob for one of the first's; forgets it. */
bool take_upload(Account *account, const PhBlobId *blob, PhBlobId *second_out);

/* same_blob: a GEqualFunc. */
gboolean same_blob(gconstpointer a, gconstpointer b);

/* --- read.c: members of the table ----------------------------------------------------------------- */

bool read_content(void *account,
                  const PhMailboxId *mailbox,
                  uint32_t uid,
                  const PhBlobId *blob,
                  PhContent **content_out,
                  GError **error);
bool read_mailboxes(void *account,
                    PhMailboxInfoFunc func,
                    void *user_data,
                    uint64_t *list_change_out,
                    GError **error);
bool read_changes(void *account,
                  const PhMailboxId *mailbox,
                  const PhChangesQuery *query,
                  PhChangesResult *result_out,
                  GError **error);
bool read_values(void *account,
                 const PhMailboxId *mailbox,
                 const char *prefix,
                 PhValueFunc func,
                 void *user_data,
                 GError **error);

/* --- repeat.c ----------------------------------------------------------------------------------- */

/* repeat_batch: what the first has done, in the second. Returns: false with @error when the second
 * does not hold it. */
bool repeat_batch(Account *account, PhTransaction *const *batch, size_t n, GError **error);

/* commit_ops: one transaction of the mirror's own in the second. */
bool commit_ops(const PhBelow *second, PhOp *const *ops, uint32_t n, GError **error);

/* --- lists.c ------------------------------------------------------------------------------------- */

/* read_list: every mailbox (owned), names included. list_find: by id, or NULL. */
GArray *read_list(const PhBelow *below, GError **error);
const PhMailboxInfo *list_find(const GArray *list, const PhMailboxId *id);

/* copy_list: mailboxes of the second become those of the first. @list: the first's. */
bool copy_list(Account *account, const GArray *list, GError **error);

/* put_value: @value NULL removes it. */
bool put_value(const PhBelow *second,
               const PhMailboxId *mailbox,
               const char *key,
               GBytes *value,
               GError **error);

/* copy_values: values of the account, or of a mailbox. */
bool copy_values(Account *account, const PhMailboxId *mailbox, GError **error);

/* rebuild_mailbox: makes it anew in the second, empty. */
bool rebuild_mailbox(Account *account, const PhMailboxInfo *info, GError **error);

/* --- catch-up.c ----------------------------------------------------------------------------------- */

/* catch_up: works until the second holds everything or the time is over (0: no end). Returns: false
 * with @error when the second fails; is_behind tells whether there is more to do. */
bool catch_up(Account *account, uint64_t time_us, GError **error);

/* --- copy.c --------------------------------------------------------------------------------------- */

/* copy_messages: messages of the first that the second lacks, and flags that differ. */
bool copy_messages(Account *account,
                   const PhMailboxId *mailbox,
                   const PhUidSet *uids,
                   GError **error);

/* read_records: records (owned) of these uids with everything that they have. */
GPtrArray *read_records(const PhBelow *below,
                        const PhMailboxId *mailbox,
                        const PhUidSet *uids,
                        GError **error);
/* read_uids: all of a mailbox (owned). uids_after: the next @n of a set after @uid (owned). */
PhUidSet *read_uids(const PhBelow *below, const PhMailboxId *mailbox, GError **error);
PhUidSet *uids_after(const PhUidSet *uids, uint32_t uid, unsigned n);
PhRecord *find_record(const GPtrArray *records, uint32_t uid);
bool same_flags(const PhRecord *a, const PhRecord *b);

/* --- compare.c ------------------------------------------------------------------------------------ */

/* compare_all: reports what differs, in the log and to @report (nullable). @all: every message rather
 * than a sample. Returns: false with @error when one of them cannot be read. */
typedef struct {
	Account *account;
	PhListLineFunc report; /* (nullable) */
	void *user_data;
	bool all;
	unsigned n; /* differences found */
} Comparing;

bool compare_all(Comparing *comparing, GError **error);

/* compare_counts: of one mailbox, as both lists have it. */
void compare_counts(Comparing *comparing, const PhMailboxInfo *a, const PhMailboxInfo *b);

#endif
