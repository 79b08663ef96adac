/* pool.c: destinations, the jobs that wait for them, and the connections that they share
 *
 * A job goes to a connection of its destination that is idle; else it waits, and a new connection is
 * opened when the limits of the destination and of the section allow. A connection that has done a
 * job takes the next one. When a connection could not be made, and no other one of its destination
 * works, everything that waits there fails with the same reason.
 *
 * Nothing is called while the lock is held but GLib.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "hop.h"

#include <string.h>

enum {
	FAIR_MESSAGES = 10, /* then a connection makes room when other destinations wait */
};

/* --- the relay -------------------------------------------------------------------------------- */

static void
free_destination(gpointer pointer)
{
	Destination *destination = pointer;

	g_free(destination->key);
	g_free(destination->domain);
	g_free(destination);
}

static bool
parse_rules(Relay *relay, const Settings *settings, GError **error)
{
	for (size_t i = 0; settings->destinations != NULL && settings->destinations[i] != NULL;
	     i++) {
		Rule rule;

		if (!rule_parse(settings->destinations[i], &rule, error))
			return false;
		g_array_append_val(relay->rules, rule);
	}
	if (settings->relay_host == NULL || next_hop_parse(settings->relay_host, &relay->next_hop))
		return true;
	ph_error_set(error, PH_ERROR_INVALID,
	             "'%s' is no next hop; write such as mx.example.net, mx.example.net:587, "
	             "[2001:db8::1]:25 or unix:/path",
	             settings->relay_host);
	return false;
}

static void
clear_rule(gpointer pointer)
{
	rule_clear(pointer);
}

Relay *
relay_new(PhSection *section, const Settings *settings, bool is_lmtp, GError **error)
{
	Relay *relay = g_new0(Relay, 1);

	g_atomic_ref_count_init(&relay->references);
	relay->section = section;
	relay->settings = settings;
	relay->is_lmtp = is_lmtp;
	relay->rules = g_array_new(FALSE, FALSE, sizeof(Rule));
	g_array_set_clear_func(relay->rules, clear_rule);
	g_mutex_init(&relay->lock);
	g_queue_init(&relay->starved);
	relay->destinations =
		g_hash_table_new_full(ph_str_hash, g_str_equal, NULL, free_destination);
	relay->mechanisms = g_array_new(FALSE, FALSE, sizeof(const Mechanism *));
	if (settings->user != NULL)
		relay->sasl = sasl_library_open();
	if (parse_rules(relay, settings, error) && auth_list(relay, error))
		return relay;
	relay_unref(relay);
	return NULL;
}

Relay *
relay_ref(Relay *relay)
{
	g_atomic_ref_count_inc(&relay->references);
	return relay;
}

void
relay_unref(Relay *relay)
{
	if (!g_atomic_ref_count_dec(&relay->references))
		return;
	g_hash_table_unref(relay->destinations);
	g_array_unref(relay->rules);
	g_array_unref(relay->mechanisms);
	sasl_library_close(relay->sasl);
	next_hop_clear(&relay->next_hop);
	g_mutex_clear(&relay->lock);
	g_free(relay);
}

const Rule *
relay_rule(const Relay *relay, const char *domain)
{
	for (guint i = 0; i < relay->rules->len; i++) {
		const Rule *rule = &g_array_index(relay->rules, Rule, i);

		if (rule_matches(rule, domain))
			return rule;
	}
	return NULL;
}

void
relay_key(const Relay *relay, const char *domain, GString *out)
{
	const Rule *rule = relay_rule(relay, domain);
	const NextHop *hop = &relay->next_hop;

	if (rule != NULL && rule->has_next_hop)
		hop = &rule->next_hop;
	if (hop->host == NULL)
		g_string_append(out, domain);
	else
		g_string_append_printf(out, "[%s]:%u", hop->host, (unsigned) hop->port);
	/* Those of one rule share what it says. */
	if (rule != NULL && hop->host != NULL)
		g_string_append_printf(out, " rule %s", rule->domain);
}

/* --- connections ------------------------------------------------------------------------------ */

static uint32_t
limit_of(const Relay *relay, const Destination *destination)
{
	return destination->rule != NULL && destination->rule->n_hops > 0
	               ? destination->rule->n_hops
	               : (uint32_t) relay->settings->connections_per_destination;
}

/* Under the lock, both. */
static void
add_idle(Hop *hop)
{
	hop->is_idle = true;
	hop->relay->n_idle++;
	g_queue_push_tail_link(&hop->destination->idle, &hop->idle_link);
}

static void
remove_idle(Hop *hop)
{
	if (!hop->is_idle)
		return;
	hop->is_idle = false;
	hop->relay->n_idle--;
	g_queue_unlink(&hop->destination->idle, &hop->idle_link);
}

/* Under the lock. */
static void
starve(Relay *relay, Destination *destination)
{
	if (destination->is_starved)
		return;
	destination->is_starved = true;
	g_queue_push_tail_link(&relay->starved, &destination->starved_link);
}

/* The connection that is idle for the longest time of all must make room; to be notified. Under the
 * lock. */
static Hop *
evict(Relay *relay)
{
	GHashTableIter iter;
	gpointer value = NULL;
	Hop *oldest = NULL;

	if (relay->n_idle == 0)
		return NULL;
	g_hash_table_iter_init(&iter, relay->destinations);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const Destination *destination = value;
		Hop *hop = destination->idle.head != NULL ? destination->idle.head->data : NULL;

		if (hop != NULL && (oldest == NULL || hop->born_us < oldest->born_us))
			oldest = hop;
	}
	g_return_val_if_fail(oldest != NULL, NULL);
	oldest->must_end = true;
	remove_idle(oldest);
	return oldest;
}

/* Todo: what is to be done when the lock is not held any more. */
typedef struct {
	Hop *start;
	PhSessionRef notify[2];
	unsigned n_notify;
} Todo;

static void
add_notify(Todo *todo, const Hop *hop)
{
	if (hop != NULL && todo->n_notify < G_N_ELEMENTS(todo->notify))
		todo->notify[todo->n_notify++] = hop->ref;
}

static void
do_rest(const Todo *todo)
{
	for (unsigned i = 0; i < todo->n_notify; i++)
		ph_session_notify(todo->notify[i]);
	if (todo->start != NULL)
		hop_start(todo->start);
}

/* Opens a connection for @destination if one is wanted and allowed. Under the lock. */
static void
want_hop(Relay *relay, Destination *destination, Todo *todo)
{
	if (destination->waiting.length == 0 || destination->n_hops >= limit_of(relay, destination)
	    || destination->n_hops - destination->n_established >= destination->waiting.length)
		return;
	if (relay->n_hops >= (uint32_t) relay->settings->max_connections) {
		starve(relay, destination);
		add_notify(todo, evict(relay));
		return;
	}
	relay->n_hops++;
	destination->n_hops++;
	todo->start = hop_new(relay, destination);
}

/* Under the lock. */
static Destination *
find_destination(Relay *relay, const char *domain, bool requires_tls)
{
	g_autoptr(GString) key = g_string_new(requires_tls ? "tls " : NULL);
	Destination *destination = NULL;

	relay_key(relay, domain, key);
	destination = g_hash_table_lookup(relay->destinations, key->str);
	if (destination != NULL)
		return destination;
	destination = g_new0(Destination, 1);
	destination->key = g_strdup(key->str);
	destination->domain = g_strdup(domain);
	destination->rule = relay_rule(relay, domain);
	destination->requires_tls = requires_tls;
	g_queue_init(&destination->waiting);
	g_queue_init(&destination->idle);
	destination->starved_link.data = destination;
	g_hash_table_insert(relay->destinations, destination->key, destination);
	return destination;
}

/* Gives the job to an idle connection, or lets it wait. Under the lock. */
static void
place(Relay *relay, Destination *destination, Job *job, bool first, Todo *todo)
{
	/* The last one that became idle: the others may end. */
	Hop *hop = g_queue_peek_tail(&destination->idle);

	job->destination = destination;
	job->link.data = job;
	if (hop != NULL) {
		remove_idle(hop);
		hop->given = job;
		add_notify(todo, hop);
		return;
	}
	if (first)
		g_queue_push_head_link(&destination->waiting, &job->link);
	else
		g_queue_push_tail_link(&destination->waiting, &job->link);
	want_hop(relay, destination, todo);
}

void
pool_submit(Relay *relay, const char *domain, Job *job)
{
	Todo todo = { .n_notify = 0 };

	g_mutex_lock(&relay->lock);
	place(relay, find_destination(relay, domain, job->requires_tls), job, false, &todo);
	g_mutex_unlock(&relay->lock);
	do_rest(&todo);
}

void
pool_submit_again(Relay *relay, Job *job)
{
	Todo todo = { .n_notify = 0 };

	g_mutex_lock(&relay->lock);
	place(relay, job->destination, job, true, &todo);
	g_mutex_unlock(&relay->lock);
	do_rest(&todo);
}

void
pool_established(Hop *hop)
{
	g_mutex_lock(&hop->relay->lock);
	hop->is_established = true;
	hop->destination->n_established++;
	g_mutex_unlock(&hop->relay->lock);
}

Job *
pool_next(Hop *hop, bool *ends_out)
{
	Relay *relay = hop->relay;
	GList *link = NULL;

	g_mutex_lock(&relay->lock);
	*ends_out = relay->is_closing
	            || (relay->starved.length > 0 && hop->n_messages >= FAIR_MESSAGES);
	if (!*ends_out)
		link = g_queue_pop_head_link(&hop->destination->waiting);
	if (!*ends_out && link == NULL)
		add_idle(hop);
	g_mutex_unlock(&relay->lock);
	return link != NULL ? link->data : NULL;
}

Job *
pool_take(Hop *hop, bool *ends_out)
{
	Job *job = NULL;

	g_mutex_lock(&hop->relay->lock);
	job = g_steal_pointer(&hop->given);
	*ends_out = hop->must_end;
	g_mutex_unlock(&hop->relay->lock);
	return job;
}

bool
pool_leave(Hop *hop)
{
	bool was_idle = false;

	g_mutex_lock(&hop->relay->lock);
	was_idle = hop->is_idle;
	remove_idle(hop);
	was_idle = was_idle || hop->must_end;
	g_mutex_unlock(&hop->relay->lock);
	return was_idle;
}

/* The next destination that had to wait for a connection of the section. Under the lock. */
static void
feed_starved(Relay *relay, Todo *todo)
{
	GList *link = g_queue_pop_head_link(&relay->starved);
	Destination *destination = NULL;

	if (link == NULL)
		return;
	destination = link->data;
	destination->is_starved = false;
	want_hop(relay, destination, todo);
	if (todo->start != NULL && destination->waiting.length > 1)
		starve(relay, destination);
}

/* Under the lock. */
static void
drop_if_unused(Relay *relay, Destination *destination)
{
	if (destination->n_hops == 0 && destination->waiting.length == 0
	    && !destination->is_starved)
		g_hash_table_remove(relay->destinations, destination->key);
}

static void
leave(Hop *hop)
{
	Destination *destination = hop->destination;

	remove_idle(hop);
	destination->n_hops--;
	destination->n_established -= hop->is_established;
	hop->relay->n_hops--;
}

static void
fail_jobs(GQueue *jobs, const Failure *failure)
{
	GList *link = NULL;

	while ((link = g_queue_pop_head_link(jobs)) != NULL) {
		Job *job = link->data;

		job_fail(job, failure);
		job_free(job);
	}
}

void
pool_gone(Hop *hop, const Failure *failure)
{
	Relay *relay = hop->relay;
	Destination *destination = hop->destination;
	GQueue failed = G_QUEUE_INIT;
	Todo todo = { .n_notify = 0 };

	g_mutex_lock(&relay->lock);
	leave(hop);
	if (failure != NULL && destination->n_established == 0) {
		failed = destination->waiting;
		g_queue_init(&destination->waiting);
	}
	if (relay->starved.length > 0 && destination->waiting.length > 0)
		starve(relay, destination);
	feed_starved(relay, &todo);
	if (todo.start == NULL)
		want_hop(relay, destination, &todo);
	drop_if_unused(relay, destination);
	g_mutex_unlock(&relay->lock);
	fail_jobs(&failed, failure);
	hop_free(hop);
	do_rest(&todo);
	relay_unref(relay);
}

void
relay_close(Relay *relay)
{
	g_autoptr(GArray) refs = g_array_new(FALSE, FALSE, sizeof(PhSessionRef));
	Hop *hop = NULL;

	g_mutex_lock(&relay->lock);
	relay->is_closing = true;
	while ((hop = evict(relay)) != NULL)
		g_array_append_val(refs, hop->ref);
	g_mutex_unlock(&relay->lock);
	for (guint i = 0; i < refs->len; i++)
		ph_session_notify(g_array_index(refs, PhSessionRef, i));
	relay_unref(relay);
}
