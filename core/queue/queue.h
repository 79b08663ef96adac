/* queue.h: mail that was accepted and not delivered yet
 *
 * A mail is durable when ph_queue_add() says so: whoever adds at the same time shares one sync. Its
 * recipients are then handed out as tasks, in the order of schedule.h, until each is done. What has
 * become of a recipient is written down without a sync: a crash may cause a second delivery, never a
 * loss.
 *
 * The queue knows neither routes nor transports: who opens it begins the tasks.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_QUEUE_QUEUE_H
#define PH_QUEUE_QUEUE_H

#include <posthorn/content.h>

#include "queue/envelope.h"
#include "queue/table.h"

typedef struct PhQueue PhQueue;
typedef struct PhQueueTask PhQueueTask;

/* PhQueueSettings: may be changed while the queue is used. Copied. */
typedef struct {
	const PhDuration *curve; /* before the second attempt, the third, ...; the last repeats */
	size_t n_curve;
	PhDuration lifetime;       /* after it the sender is told that it failed */
	PhDuration warn_after;     /* after it the sender is told that it is late; 0: never */
	uint32_t concurrency;      /* deliveries at once */
	uint32_t concurrency_each; /* to one destination */
	uint32_t recipients_each; /* of one mail in one delivery; at most PH_QUEUE_RECIPIENTS_MAX */
	uint32_t failures;        /* in turn until a destination is left alone for a while */
	uint64_t file_octets;     /* a new file is begun when one is so large */
} PhQueueSettings;

enum {
	PH_QUEUE_RECIPIENTS_MAX = 1000,
	PH_QUEUE_CURVE_MAX = 32,
};

/* PhQueueParams: @begin: a task is to be worked on; on the queue's thread: must not block. */
typedef struct {
	const char *folder; /* of its own; made when missing */
	bool writes;        /* false: only looked at; another process may use it */
	PhQueueSettings settings;
	void (*begin)(PhQueueTask *task, void *user_data);
	void *user_data;
} PhQueueParams;

/* ph_queue_exists: is anything in the folder that a queue has left? */
bool ph_queue_exists(const char *folder);

/* ph_queue_open: reads what is there; nothing is begun before ph_queue_start(). Errors: TEMPORARY
 * (another process has it). Thread: main. Blocks: on the disk. */
PhQueue *ph_queue_open(const PhQueueParams *params, GError **error);
void ph_queue_set(PhQueue *queue, const PhQueueSettings *settings);
void ph_queue_start(PhQueue *queue);

/* ph_queue_stop: no more tasks are begun. ph_queue_close: what was added is written, results that are
 * there too; those of tasks that end later are lost, which is as if they had not been tried. The
 * folder may be opened anew on return, though such tasks are under way. */
void ph_queue_stop(PhQueue *queue);
void ph_queue_close(PhQueue *queue);

/* ph_queue_ref, ph_queue_unref: after ph_queue_close() every call still may be made, and does nothing;
 * what is added fails. */
PhQueue *ph_queue_ref(PhQueue *queue);
void ph_queue_unref(PhQueue *queue);

/* ph_queue_n_busy: recipients whose delivery is under way. */
uint32_t ph_queue_n_busy(PhQueue *queue);

/* --- for a process that has let go of the queue -------------------------------------------------- */

/* ph_queue_beside: a folder below the queue's in which another queue may be opened, to be never
 * started: its mails become those of this queue when it was closed, or its process has died.
 * Returns: (owned). ph_queue_exists_beside: is there mail in such folders of the queue's @folder?
 * ph_queue_leave_beside: after one was closed: removes it if it is empty. */
char *ph_queue_beside(const char *folder);
bool ph_queue_exists_beside(const char *folder);
void ph_queue_leave_beside(const char *folder);

/* ph_queue_adopt: takes what lies there, soon. ph_queue_open() does so too. */
void ph_queue_adopt(PhQueue *queue);

/* --- adding: thread any ----------------------------------------------------------------------- */

/* PhQueueAddedFunc: @error: (nullable, borrowed) NULL: it is durable and will be delivered. Must be
 * short; on the queue's thread. */
typedef void (*PhQueueAddedFunc)(const GError *error, void *user_data);

/* PhQueueNew: a mail to be added. */
typedef struct {
	const PhEnvelope *envelope; /* borrowed for the call */
	PhContent *content;         /* referenced as long as needed */
	const char *hold;           /* (nullable) why it waits for somebody to release it */
	PhQueueAddedFunc added;     /* called once, always */
	void *user_data;
} PhQueueNew;

void ph_queue_add(PhQueue *queue, const PhQueueNew *mail);

/* --- tasks: thread any ------------------------------------------------------------------------- */

typedef enum {
	PH_QUEUE_TASK_DELIVER = 1,
	PH_QUEUE_TASK_LATE = 2,    /* the sender may want to know; the result says nothing */
	PH_QUEUE_TASK_EXPIRED = 3, /* the sender must be told that nothing further is tried */
} PhQueueTaskKind;

/* PhQueueTaskRecipient: borrowed from the task. */
typedef struct {
	const PhEnvelopeRecipient *envelope; /* when the task is loaded */
	uint32_t number;                     /* in the envelope */
	uint32_t attempts;                   /* before this one */
	const char *reason;                  /* (nullable) why the last one failed */
	bool is_released;                    /* a result has said so */
} PhQueueTaskRecipient;

uint32_t ph_queue_task_kind(const PhQueueTask *task);
size_t ph_queue_task_n(const PhQueueTask *task);
const PhQueueTaskRecipient *ph_queue_task_recipient(const PhQueueTask *task, size_t index);
PhTime ph_queue_task_expires(const PhQueueTask *task);

/* ph_queue_task_busy: how many recipients of its mail are being delivered now, the task's included. */
size_t ph_queue_task_busy(const PhQueueTask *task);

/* ph_queue_task_is_lost: the queue was closed before its result: whoever opens the folder next tries
 * again. */
bool ph_queue_task_is_lost(const PhQueueTask *task);

/* ph_queue_task_load: reads the envelope. Errors: CORRUPT; then finish with PH_QUEUE_HOLD.
 * ph_queue_task_envelope, _content: (borrowed) afterwards. Blocks: on the disk. */
bool ph_queue_task_load(PhQueueTask *task, GError **error);
const PhEnvelope *ph_queue_task_envelope(const PhQueueTask *task);
PhContent *ph_queue_task_content(const PhQueueTask *task);

typedef enum {
	PH_QUEUE_DONE_WITH = 1, /* delivered, or the sender was told durably */
	PH_QUEUE_LATER = 2,
	PH_QUEUE_HOLD = 3,
} PhQueueOutcome;

/* PhQueueResult: of one recipient. */
typedef struct {
	uint32_t outcome;    /* PhQueueOutcome */
	uint32_t not_before; /* LATER: seconds; 0: by the curve */
	const char *reason;  /* (nullable) LATER, HOLD */
	bool is_released;    /* LATER, HOLD: known from now on, whatever becomes of the reason */
} PhQueueResult;

/* ph_queue_task_finish: one result for each recipient. @answered: false: nobody was there at the
 * destination. @task: (owned). */
void ph_queue_task_finish(PhQueueTask *task, const PhQueueResult *results, bool answered);

/* --- looking ----------------------------------------------------------------------------------- */

typedef struct {
	uint64_t n_mails;
	uint64_t n_recipients[PH_QUEUE_DONE]; /* by PhQueueState */
	uint64_t n_destinations;
	uint64_t n_alone; /* destinations that are left alone for a while */
	uint64_t n_files;
	uint64_t octets; /* of mails */
	uint64_t memory;
	PhTime oldest; /* 0: it is empty */
	uint64_t n_damaged;
	uint64_t n_added; /* since it was opened, as what follows */
	uint64_t n_done;
	uint64_t n_batches;
} PhQueueStats;

void ph_queue_stats(PhQueue *queue, PhQueueStats *stats_out);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhQueue, ph_queue_unref)

#endif
