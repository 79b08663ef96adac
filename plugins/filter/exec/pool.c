/* pool.c: copies of a program, or connections, that answer one question at a time
 *
 * A question belongs to the queue, then to the copy that has it; who takes its wake, under the lock,
 * answers it. A copy that has no question reads all the same, so that its end is seen at once.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "pool.h"

#include <posthorn/client.h>
#include <posthorn/error.h>
#include <posthorn/protocol.h>

#include "json.h"

#include <string.h>

enum {
	PIECE = 32 * 1024 /* octets of a question that are written at once */
};

typedef struct Copy Copy;

/* Asked: one question; of the queue or of one copy. */
typedef struct {
	PhFilterQuestion *question;
	PhWake *wake;     /* NULL: it was answered, or nobody waits */
	PoolState *state; /* (nullable) that waits */
	GString *line;
	size_t written;
	bool was_retried;
	bool is_waiting; /* under the lock: in the queue */
	GList link;
} Asked;

struct PoolState {
	Pool *pool;
	Asked *asked; /* under the pool's lock: (nullable) */
};

/* Copy: one session. It belongs to the session; others have it while it is in `idle`. */
struct Copy {
	Pool *pool; /* referenced */
	PhSessionRef session;
	Asked *asked;  /* under the lock: (nullable) */
	bool is_idle;  /* under the lock: in the pool's list */
	bool was_kept; /* it has answered before */
	GList link;
};

struct Pool {
	gint refs;
	char **argv;   /* (nullable) of a program */
	char *address; /* (nullable) "unix:/path" or an IP address */
	uint16_t port;
	uint32_t copies;
	PhDuration answer_timeout;
	GMutex lock; /* guards the rest, and what says so above */
	GQueue idle;
	GQueue waiting;
	size_t waiting_octets;
	uint32_t n_copies;
	bool is_ending;
};

static void begin_copy(Pool *pool, Asked *asked);

/* --- life ------------------------------------------------------------------------------------- */

/* "127.0.0.1:9000", "[::1]:9000" */
static bool
parse_tcp(Pool *pool, const char *text)
{
	const char *colon = strrchr(text, ':');
	uint32_t port = 0;

	if (colon == NULL || !ph_slice_to_u32(ph_slice(colon + 1), G_MAXUINT16, &port) || port == 0)
		return false;
	pool->port = (uint16_t) port;
	if (text[0] == '[' && colon > text + 1 && colon[-1] == ']')
		pool->address = g_strndup(text + 1, (gsize) (colon - text) - 2);
	else
		pool->address = g_strndup(text, (gsize) (colon - text));
	return g_hostname_is_ip_address(pool->address);
}

static bool
parse_command(Pool *pool, const char *command, GError **error)
{
	static const char tcp[] = "tcp:";

	if (g_str_has_prefix(command, tcp)) {
		if (parse_tcp(pool, command + strlen(tcp)))
			return true;
		ph_error_set(error, PH_ERROR_INVALID,
		             "'%s' is not as tcp:127.0.0.1:9000 or tcp:[::1]:9000", command);
		return false;
	}
	if (g_str_has_prefix(command, "unix:/")) {
		pool->address = g_strdup(command);
		return true;
	}
	if (g_shell_parse_argv(command, NULL, &pool->argv, NULL) && pool->argv[0][0] == '/')
		return true;
	ph_error_set(error, PH_ERROR_INVALID,
	             "'%s' is neither an absolute path nor unix:/path nor tcp:127.0.0.1:9000",
	             command);
	return false;
}

static void
pool_unref(Pool *pool)
{
	if (!g_atomic_int_dec_and_test(&pool->refs))
		return;
	g_strfreev(pool->argv);
	g_free(pool->address);
	g_mutex_clear(&pool->lock);
	g_free(pool);
}

Pool *
pool_new(const PoolOptions *options, GError **error)
{
	Pool *pool = g_new0(Pool, 1);

	pool->refs = 1;
	pool->copies = MAX(options->copies, 1);
	pool->answer_timeout = options->answer_timeout;
	g_mutex_init(&pool->lock);
	g_queue_init(&pool->idle);
	g_queue_init(&pool->waiting);
	if (parse_command(pool, options->command, error))
		return pool;
	pool_unref(pool);
	return NULL;
}

void
pool_end(Pool *pool)
{
	if (pool == NULL)
		return;
	g_mutex_lock(&pool->lock);
	pool->is_ending = true;
	for (GList *link = pool->idle.head; link != NULL; link = link->next)
		ph_session_notify(((const Copy *) link->data)->session);
	g_mutex_unlock(&pool->lock);
	pool_unref(pool);
}

PoolState *
pool_state_new(Pool *pool)
{
	PoolState *state = g_new0(PoolState, 1);

	state->pool = pool;
	return state;
}

void
pool_state_free(PoolState *state)
{
	g_free(state);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void
free_asked(Asked *asked)
{
	g_string_free(asked->line, TRUE);
	g_free(asked);
}

/* Under the lock: the right to answer. NULL: somebody had it. */
static PhWake *
take_wake(Asked *asked)
{
	if (asked->state != NULL)
		asked->state->asked = NULL;
	asked->state = NULL;
	return g_steal_pointer(&asked->wake);
}

/* The answer as the filter's: nobody else is at work with the mail. */
static void
apply(PhFilterQuestion *question, PhSlice said, const char *why)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Answer) answer = NULL;

	if (why == NULL)
		answer = json_answer(said, &error);
	if (answer != NULL && json_answer_apply(answer, question->mail, &error)) {
		question->verdict = *json_answer_verdict(answer);
		return;
	}
	question->verdict = (PhVerdict){ .result = PH_VERDICT_FAILED };
	g_strlcpy(question->verdict.text, error != NULL ? error->message : why,
	          sizeof question->verdict.text);
}

/* @said: the line; with @why there is none. */
static void
answer(Pool *pool, Asked *asked, PhSlice said, const char *why)
{
	PhFilterQuestion *question = asked->question;
	PhWake *wake = NULL;

	g_mutex_lock(&pool->lock);
	wake = take_wake(asked);
	g_mutex_unlock(&pool->lock);
	free_asked(asked);
	if (wake == NULL)
		return;
	if (ph_filter_claim(question))
		apply(question, said, why);
	ph_wake_complete(wake);
}

/* Under the lock: takes it out of the queue. False: it is not there. */
static bool
stop_waiting(Pool *pool, Asked *asked)
{
	if (!asked->is_waiting)
		return false;
	asked->is_waiting = false;
	g_queue_unlink(&pool->waiting, &asked->link);
	pool->waiting_octets -= asked->line->len;
	return true;
}

void
pool_cancel(PoolState *state)
{
	Pool *pool = state->pool;
	Asked *asked = NULL;
	PhWake *wake = NULL;
	bool was_waiting = false;

	g_mutex_lock(&pool->lock);
	asked = state->asked;
	if (asked != NULL) {
		wake = take_wake(asked);
		was_waiting = stop_waiting(pool, asked);
	}
	g_mutex_unlock(&pool->lock);
	if (was_waiting)
		free_asked(asked);
	if (wake != NULL)
		ph_wake_complete(wake);
}

/* --- who gets what ---------------------------------------------------------------------------- */

/* Under the lock: who comes next. */
static Asked *
next_waiting(Pool *pool)
{
	Asked *asked = g_queue_peek_head(&pool->waiting);

	if (asked != NULL)
		(void) stop_waiting(pool, asked);
	return asked;
}

/* Under the lock: hands @asked to a copy that is idle, the one that was used last. */
static bool
give_idle(Pool *pool, Asked *asked)
{
	GList *link = g_queue_pop_head_link(&pool->idle);
	Copy *copy = link != NULL ? link->data : NULL;

	if (copy == NULL)
		return false;
	copy->is_idle = false;
	copy->asked = asked;
	ph_session_notify(copy->session);
	return true;
}

/* Under the lock. False: too much waits already. */
static bool
wait_in_turn(Pool *pool, Asked *asked)
{
	if (pool->waiting_octets + asked->line->len > POOL_WAITING_OCTETS)
		return false;
	pool->waiting_octets += asked->line->len;
	asked->link.data = asked;
	asked->is_waiting = true;
	g_queue_push_tail_link(&pool->waiting, &asked->link);
	return true;
}

static void
put(Pool *pool, Asked *asked)
{
	bool is_new = false;
	bool is_placed = false;

	g_mutex_lock(&pool->lock);
	is_placed = give_idle(pool, asked);
	is_new = !is_placed && pool->n_copies < pool->copies;
	if (is_new)
		pool->n_copies++;
	else if (!is_placed)
		is_placed = wait_in_turn(pool, asked);
	g_mutex_unlock(&pool->lock);
	if (is_new)
		begin_copy(pool, asked);
	else if (!is_placed)
		answer(pool, asked, PH_SLICE_EMPTY, "too many questions wait for an answer");
}

void
pool_ask(PoolState *state, PhFilterQuestion *question, GString *line)
{
	Pool *pool = state->pool;
	Asked *asked = g_new0(Asked, 1);

	asked->question = question;
	asked->wake = ph_filter_park(question);
	asked->line = line;
	asked->state = state;
	g_string_append_c(line, '\n');
	g_mutex_lock(&pool->lock);
	state->asked = asked;
	g_mutex_unlock(&pool->lock);
	put(pool, asked);
}

/* The place of a copy is free: somebody may wait for it. */
static Asked *
use_place(Pool *pool)
{
	Asked *asked = NULL;

	g_mutex_lock(&pool->lock);
	asked = next_waiting(pool);
	if (asked == NULL)
		pool->n_copies--;
	g_mutex_unlock(&pool->lock);
	return asked;
}

/* --- a copy's session ------------------------------------------------------------------------- */

/* Once it is there only the session takes it away. */
static Asked *
asked_of(PhSession *session)
{
	Copy *copy = ph_session_data(session);
	Asked *asked = NULL;

	g_mutex_lock(&copy->pool->lock);
	asked = copy->asked;
	g_mutex_unlock(&copy->pool->lock);
	return asked;
}

/* Writes what is left of the question. */
static PhNext
write_question(PhSession *session)
{
	Asked *asked = asked_of(session);

	while (asked->written < asked->line->len) {
		size_t n = MIN(asked->line->len - asked->written, (size_t) PIECE);

		if (ph_session_output_full(session))
			return PH_MORE;
		ph_session_write(session, PH_SLICE(asked->line->str + asked->written, n));
		asked->written += n;
	}
	return PH_DONE;
}

/* The pool has given the copy a question, or wants its end. */
static PhNext
begin_question(PhSession *session)
{
	Copy *copy = ph_session_data(session);
	const Asked *asked = NULL;
	bool is_ending = false;

	g_mutex_lock(&copy->pool->lock);
	asked = copy->asked;
	is_ending = copy->pool->is_ending;
	g_mutex_unlock(&copy->pool->lock);
	if (asked == NULL && is_ending)
		return PH_CLOSE;
	if (asked == NULL || asked->written > 0)
		return PH_DONE;
	ph_session_set_deadline(session, copy->pool->answer_timeout);
	return write_question(session);
}

static PhNext
connected(PhSession *session)
{
	Copy *copy = ph_session_data(session);

	copy->session = ph_session_ref(session);
	ph_session_limit_line(session, POOL_ANSWER_MAX);
	return begin_question(session);
}

/* Nothing is asked: the next in turn, or none. */
static PhNext
go_on(PhSession *session)
{
	Copy *copy = ph_session_data(session);
	Pool *pool = copy->pool;
	bool has_next = false;
	bool ends = false;

	ph_session_set_deadline(session, (PhDuration){ 0 });
	g_mutex_lock(&pool->lock);
	copy->was_kept = true;
	copy->asked = next_waiting(pool);
	has_next = copy->asked != NULL;
	ends = !has_next && (pool->is_ending || ph_session_is_draining(session));
	if (!has_next && !ends) {
		copy->is_idle = true;
		copy->link.data = copy;
		g_queue_push_head_link(&pool->idle, &copy->link);
	}
	g_mutex_unlock(&pool->lock);
	if (ends)
		return PH_CLOSE;
	return has_next ? begin_question(session) : PH_DONE;
}

/* Under the lock: what the copy had, which it has no more. */
static Asked *
leave(Copy *copy)
{
	if (copy->is_idle)
		g_queue_unlink(&copy->pool->idle, &copy->link);
	copy->is_idle = false;
	return g_steal_pointer(&copy->asked);
}

static PhNext
give_up(PhSession *session, const char *why)
{
	Copy *copy = ph_session_data(session);
	Asked *asked = NULL;

	g_mutex_lock(&copy->pool->lock);
	asked = leave(copy);
	g_mutex_unlock(&copy->pool->lock);
	if (asked != NULL)
		answer(copy->pool, asked, PH_SLICE_EMPTY, why);
	return PH_ABORT;
}

static PhNext
line(PhSession *session, PhSlice text, uint32_t flaws)
{
	Copy *copy = ph_session_data(session);
	Asked *asked = asked_of(session);
	bool is_in_step = !ph_session_has_input(session);

	/* One that says something unasked is out of step; its question is asked of another. */
	if (asked == NULL || asked->written < asked->line->len)
		return PH_ABORT;
	if ((flaws & PH_LINE_TOO_LONG) != 0)
		return give_up(session, "the answer is not one line of a bearable length");
	g_mutex_lock(&copy->pool->lock);
	copy->asked = NULL;
	g_mutex_unlock(&copy->pool->lock);
	answer(copy->pool, asked, text, NULL);
	/* What stands behind the answer would be taken for that to the next question. */
	return is_in_step ? go_on(session) : PH_ABORT;
}

static PhNext
timeout(PhSession *session)
{
	return give_up(session, "no answer in time");
}

/* Without a question it ends. */
static PhNext
drain(PhSession *session)
{
	Copy *copy = ph_session_data(session);
	bool ends = false;

	g_mutex_lock(&copy->pool->lock);
	ends = copy->is_idle;
	if (ends)
		(void) leave(copy);
	g_mutex_unlock(&copy->pool->lock);
	return ends ? PH_CLOSE : PH_DONE;
}

/* The copy is gone. A question that it has not begun to answer, though it has answered others, is
 * asked of another, once. */
static void
closed(PhSession *session, const GError *error)
{
	Copy *copy = ph_session_data(session);
	Pool *pool = copy->pool;
	Asked *asked = NULL;
	bool retries = false;

	g_mutex_lock(&pool->lock);
	asked = leave(copy);
	retries = asked != NULL && copy->was_kept && !asked->was_retried;
	g_mutex_unlock(&pool->lock);
	if (retries) {
		asked->was_retried = true;
		asked->written = 0;
		begin_copy(pool, asked);
	} else {
		if (asked != NULL)
			answer(pool, asked, PH_SLICE_EMPTY,
			       error != NULL ? error->message : "it ended without an answer");
		begin_copy(pool, use_place(pool));
	}
	g_free(copy);
	pool_unref(pool);
}

static bool
open_copy(Pool *pool, Asked *asked)
{
	static const PhClientTable table = {
		.size = sizeof table,
		.connected = connected,
		.line = line,
		.step = write_question,
		.timeout = timeout,
		.closed = closed,
		.notified = begin_question,
		.drain = drain,
	};
	const PhClientOptions options = {
		.size = sizeof options,
		.address = pool->address,
		.port = pool->port,
		.connect_timeout = pool->answer_timeout,
		.program = (const char *const *) pool->argv,
	};
	g_autoptr(GError) error = NULL;
	Copy *copy = g_new0(Copy, 1);

	copy->pool = pool;
	copy->asked = asked;
	g_atomic_int_inc(&pool->refs);
	if (ph_client_open(NULL, &options, &table, copy, &error))
		return true;
	g_free(copy);
	answer(pool, asked, PH_SLICE_EMPTY, error->message);
	pool_unref(pool);
	return false;
}

/* For a place that was counted. @asked: (nullable) */
static void
begin_copy(Pool *pool, Asked *asked)
{
	while (asked != NULL && !open_copy(pool, asked))
		asked = use_place(pool);
}
