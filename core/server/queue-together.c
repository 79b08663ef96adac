/* queue-together.c: one report for the recipients of a mail whose deliveries end together
 *
 * Lock order: ours, then the queue's. A group is freed by who takes it out of the table, or by its
 * timer when that is being called already.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/queue-together.h"

#include <posthorn/slice.h>

#include "base/clock.h"
#include "base/lock.h"
#include "net/timer.h"

enum {
	WAIT_US = 1000 * 1000,
	RECIPIENTS_MAX = 1000, /* in one report */
};

struct PhQueueTogether {
	gatomicrefcount refs;
	PhLock lock;        /* guards groups, is_stopped */
	GHashTable *groups; /* of Group, by the mail's id */
	bool is_stopped;    /* nobody may wait any more: there may be no reactor soon */
	gint n_groups;      /* that are there, or about to be */
};

typedef struct {
	PhQueueTogether *together; /* (counted) */
	char *id;
	GPtrArray *jobs; /* (nullable) taken away */
	size_t n;        /* recipients of these */
	PhTimer timer;
} Group;

PhQueueTogether *
ph_queue_together_new(void)
{
	PhQueueTogether *together = g_new0(PhQueueTogether, 1);

	g_atomic_ref_count_init(&together->refs);
	ph_lock_init(&together->lock);
	together->groups = g_hash_table_new(ph_str_hash, g_str_equal);
	return together;
}

void
ph_queue_together_unref(PhQueueTogether *together)
{
	if (together == NULL || !g_atomic_ref_count_dec(&together->refs))
		return;
	g_hash_table_unref(together->groups);
	ph_lock_clear(&together->lock);
	g_free(together);
}

bool
ph_queue_together_any(PhQueueTogether *together)
{
	return g_atomic_int_get(&together->n_groups) > 0;
}

static void
free_group(Group *group)
{
	ph_queue_together_unref(group->together);
	g_free(group->id);
	g_free(group);
}

/* Takes the group's jobs and forgets it. Under the lock. Returns: (owned) */
static GPtrArray *
take(Group *group)
{
	GPtrArray *jobs = g_steal_pointer(&group->jobs);

	g_hash_table_remove(group->together->groups, group->id);
	g_atomic_int_add(&group->together->n_groups, -1);
	if (ph_timer_cancel(&group->timer))
		free_group(group);
	return jobs;
}

static void
report(void *user_data)
{
	ph_queue_job_report(user_data);
}

/* @jobs: (owned, nullable) of one mail. */
static void
tell_all(GPtrArray *jobs)
{
	PhQueueJob *first = NULL;

	if (jobs == NULL)
		return;
	first = g_ptr_array_steal_index_fast(jobs, 0);
	if (jobs->len > 0)
		first->others = jobs;
	else
		g_ptr_array_unref(jobs);
	ph_router_run(first->used->router, report, first);
}

static void
time_is_over(void *user_data)
{
	Group *group = user_data;
	PhQueueTogether *together = group->together;
	GPtrArray *jobs = NULL;

	ph_lock_take(&together->lock);
	/* Cancelling finds nothing any more: the group stays ours. */
	if (group->jobs != NULL)
		jobs = take(group);
	ph_lock_drop(&together->lock);
	free_group(group);
	tell_all(jobs);
}

static Group *
new_group(PhQueueTogether *together, const char *id)
{
	Group *group = g_new0(Group, 1);

	g_atomic_ref_count_inc(&together->refs);
	group->together = together;
	group->id = g_strdup(id);
	group->jobs = g_ptr_array_new();
	g_hash_table_insert(together->groups, group->id, group);
	ph_timer_set(&group->timer, ph_clock_us() + WAIT_US, time_is_over, group);
	return group;
}

/* Is somebody of this mail under way who is not in the group? Under the lock. */
static bool
is_alone(const Group *group)
{
	const PhQueueJob *any = group->jobs->pdata[0];

	return group->n >= RECIPIENTS_MAX || ph_queue_task_busy(any->task) <= group->n;
}

void
ph_queue_together_tell(PhQueueTogether *together, PhQueueJob *job)
{
	const char *id = ph_queue_task_envelope(job->task)->id;
	GPtrArray *jobs = NULL;
	Group *group = NULL;

	/* What is late is not under way: the queue's rows need not be there when it has waited. */
	if (ph_queue_task_kind(job->task) == PH_QUEUE_TASK_LATE
	    || ph_queue_task_envelope(job->task)->n_recipients <= job->n) {
		ph_router_run(job->used->router, report, job);
		return;
	}
	ph_lock_take(&together->lock);
	if (together->is_stopped) {
		ph_lock_drop(&together->lock);
		ph_queue_job_put_back(job);
		return;
	}
	group = g_hash_table_lookup(together->groups, id);
	if (group == NULL) {
		/* Before we look who is under way: who ends now must see us. */
		g_atomic_int_inc(&together->n_groups);
		group = new_group(together, id);
	}
	g_ptr_array_add(group->jobs, job);
	group->n += job->n;
	if (is_alone(group))
		jobs = take(group);
	ph_lock_drop(&together->lock);
	tell_all(jobs);
}

void
ph_queue_together_ended(PhQueueTogether *together, const char *id)
{
	GPtrArray *jobs = NULL;
	Group *group = NULL;

	ph_lock_take(&together->lock);
	group = g_hash_table_lookup(together->groups, id);
	if (group != NULL && is_alone(group))
		jobs = take(group);
	ph_lock_drop(&together->lock);
	tell_all(jobs);
}

static GPtrArray *
take_any(PhQueueTogether *together)
{
	GHashTableIter iter;
	gpointer group = NULL;
	PH_LOCKED(&together->lock);

	g_hash_table_iter_init(&iter, together->groups);
	return g_hash_table_iter_next(&iter, NULL, &group) ? take(group) : NULL;
}

void
ph_queue_together_stop(PhQueueTogether *together)
{
	GPtrArray *jobs = NULL;

	ph_lock_take(&together->lock);
	together->is_stopped = true;
	ph_lock_drop(&together->lock);
	while ((jobs = take_any(together)) != NULL) {
		for (guint i = 0; i < jobs->len; i++)
			ph_queue_job_put_back(jobs->pdata[i]);
		g_ptr_array_unref(jobs);
	}
}
