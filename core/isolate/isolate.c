/* isolate.c: plugins that run in processes of their own, behind the same tables
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "isolate/isolate.h"

#include <posthorn/error.h>
#include <posthorn/plugin.h>

#include "base/clock.h"
#include "base/lock.h"
#include "config/config.h"
#include "isolate/carrier.h"
#include "plugin/calls.h"
#include "plugin/instance.h"

#include <unistd.h>

#define TIMEOUT_DEFAULT_US UINT64_C(30000000) /* where the section has none */

static const PhIsolateControl *control;
static PhLock pools_lock = PH_LOCK_INIT; /* guards the two below */
static GPtrArray *pools;                 /* of PhPool, borrowed: their instances own them */
static uint64_t last_id;
static void *(*filter_table)(const void *real); /* (nullable) */

/* --- instances ------------------------------------------------------------------------------ */

static void *
table_for(PhSection *section)
{
	switch (section->kind) {
	case PH_KIND_DIRECTORY:
		return ph_isolate_directory_table(section->offer->table);
	case PH_KIND_MECHANISM:
		return ph_isolate_mechanism_table(section->offer->table);
	case PH_KIND_FILTER:
		return filter_table != NULL ? filter_table(section->offer->table) : NULL;
	default:
		return NULL;
	}
}

void
ph_isolate_set_filter(void *(*table)(const void *real))
{
	filter_table = table;
}

static PhPool *
add_pool(PhSection *section, uint32_t n)
{
	PhPool *pool = NULL;
	PH_LOCKED(&pools_lock);

	pool = ph_pool_new(section, ++last_id, n);
	g_ptr_array_add(pools, pool);
	return pool;
}

static void
remove_pool(PhPool *pool)
{
	PH_LOCKED(&pools_lock);

	g_ptr_array_remove_fast(pools, pool);
	ph_pool_free(pool);
}

static bool
create(PhSection *section, void **instance_out, void **table_out, GError **error)
{
	PhIsolateOrder order = { .section = section, .n = ph_section_isolate(section) };
	void *table = table_for(section);
	PhPool *pool = NULL;

	if (table == NULL) {
		ph_error_set(error, PH_ERROR_UNSUPPORTED, "this kind of plugin cannot be isolated");
		return false;
	}
	pool = add_pool(section, order.n);
	order.id = ph_pool_id(pool);
	ph_pool_set_carrier(pool, ph_carrier_new(pool));
	if (!control->start(&order, error)) {
		remove_pool(pool);
		g_free(table);
		return false;
	}
	*instance_out = pool;
	*table_out = table;
	return true;
}

static void
destroy(void *instance)
{
	PhPool *pool = instance;
	uint64_t id = ph_pool_id(pool);

	remove_pool(pool);
	control->end(id);
}

static const PhIsolator isolator = {
	.create = create,
	.destroy = destroy,
};

void
ph_isolate_open(const PhIsolateControl *given)
{
	control = given;
	if (pools == NULL)
		pools = g_ptr_array_new();
	ph_instances_set_isolator(&isolator);
}

void
ph_isolate_told(uint64_t id, uint32_t index, int64_t pid, int fd)
{
	PH_LOCKED(&pools_lock);

	for (guint i = 0; pools != NULL && i < pools->len; i++) {
		if (ph_pool_id(pools->pdata[i]) != id)
			continue;
		ph_pool_add(pools->pdata[i], index, pid, fd);
		return;
	}
	close(fd);
}

uint32_t
ph_isolate_awaited(void)
{
	uint32_t n = 0;
	PH_LOCKED(&pools_lock);

	for (guint i = 0; pools != NULL && i < pools->len; i++)
		n += ph_pool_awaited(pools->pdata[i]);
	return n;
}

bool
ph_isolate_child(PhSection *section, uint32_t index, PhPoolChild *child_out)
{
	PhSection *origin = ph_section_origin(section);
	PH_LOCKED(&pools_lock);

	for (guint i = 0; pools != NULL && i < pools->len; i++)
		if (ph_pool_section(pools->pdata[i]) == origin)
			return ph_pool_child(pools->pdata[i], index, child_out);
	return false;
}

/* --- calls ---------------------------------------------------------------------------------- */

uint64_t
ph_isolate_deadline(PhPool *pool)
{
	PhDuration timeout = ph_calls_timeout(ph_pool_section(pool)->calls);

	return ph_clock_us() + (timeout.us > 0 ? timeout.us : TIMEOUT_DEFAULT_US);
}

static bool
begin_on(PhIsolateCall *call, PhPool *pool, PhPoolLink *link, uint64_t operation)
{
	*call = (PhIsolateCall){ .pool = pool,
		                 .link = link,
		                 .pass = -1,
		                 .passed = -1,
		                 .is_good = true };
	if (link != NULL)
		ph_packet_number(&link->packet, operation);
	return link != NULL;
}

bool
ph_isolate_try(PhIsolateCall *call, PhPool *pool, uint64_t operation, uint64_t deadline_us)
{
	bool begun = begin_on(call, pool, ph_pool_try(pool, false), operation);

	call->deadline_us = deadline_us;
	return begun;
}

bool
ph_isolate_try_first(PhIsolateCall *call, PhPool *pool, uint64_t operation, uint64_t deadline_us)
{
	bool begun = begin_on(call, pool, ph_pool_try(pool, true), operation);

	call->deadline_us = deadline_us;
	return begun;
}

bool
ph_isolate_begin(PhIsolateCall *call,
                 PhPool *pool,
                 uint64_t serial,
                 uint64_t operation,
                 GError **error)
{
	uint64_t deadline_us = ph_isolate_deadline(pool);
	bool begun =
		begin_on(call, pool, ph_pool_take(pool, serial, deadline_us, error), operation);

	call->deadline_us = deadline_us;
	return begun;
}

static void
drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void
fail(PhIsolateCall *call, const char *what, GError **error)
{
	call->is_good = false;
	ph_error_set(error, PH_ERROR_TEMPORARY, "the isolated process %" G_GINT64_FORMAT " %s",
	             call->link->pid, what);
}

void
ph_isolate_nonsense(PhIsolateCall *call, GError **error)
{
	fail(call, "answered what makes no sense, and was killed", error);
}

/* The next packet that is no greeting. @until_us: when to stop waiting for it. True: it is there, or there
 * will be none. */
static bool
receive(PhIsolateCall *call, uint64_t until_us, uint64_t *reply_out, GError **error)
{
	PhPoolLink *link = call->link;

	*reply_out = PH_REPLY_HELLO;
	while (*reply_out == PH_REPLY_HELLO) {
		drop(&call->passed);
		switch (ph_link_receive(link->fd, &link->packet, until_us, &call->passed)) {
		case PH_LINK_LATE:
			if (ph_clock_us() < call->deadline_us)
				return false;
			fail(call, "did not answer in time, and was killed", error);
			*reply_out = 0;
			return true;
		case PH_LINK_GONE:
			fail(call, "died", error);
			*reply_out = 0;
			return true;
		case PH_LINK_PACKET:
			break;
		}
		call->reply = ph_link_reader(&link->packet);
		*reply_out = ph_read_number(&call->reply, PH_REPLY_DONE);
		/* Greetings without end would keep this thread beyond every deadline. */
		if (link->is_known && *reply_out == PH_REPLY_HELLO)
			*reply_out = 0;
		link->is_known = true;
	}
	if (*reply_out == 0) {
		ph_isolate_nonsense(call, error);
	} else if (*reply_out == PH_REPLY_ITEMS && ph_clock_us() >= call->deadline_us) {
		/* As many as it likes to send, unasked too: always one is there. */
		fail(call, "did not answer in time, and was killed", error);
		*reply_out = 0;
	}
	return true;
}

bool
ph_isolate_send(PhIsolateCall *call, GError **error)
{
	PhPoolLink *link = call->link;
	size_t n_sent = link->packet.length;

	if (link->packet.bad) {
		ph_error_set(error, PH_ERROR_TOO_LARGE,
		             "the question is too large for an isolated plugin");
		return false;
	}
	if (!ph_link_send_with(link->fd, PH_SLICE(link->packet.octets, n_sent), call->pass)) {
		fail(call, "is gone", error);
		return false;
	}
	drop(&call->pass);
	ph_secret_wipe(link->packet.octets, n_sent);
	return true;
}

bool
ph_isolate_take(PhIsolateCall *call, uint64_t *reply_out, GError **error)
{
	return receive(call, 1, reply_out, error);
}

uint64_t
ph_isolate_ask(PhIsolateCall *call, GError **error)
{
	uint64_t reply = 0;

	if (ph_isolate_send(call, error))
		(void) receive(call, call->deadline_us, &reply, error);
	return reply;
}

void
ph_isolate_end(PhIsolateCall *call)
{
	PhPoolLink *link = call->link;

	drop(&call->pass);
	drop(&call->passed);
	if (!call->is_good)
		control->kill(ph_pool_id(call->pool), link->pid);
	ph_secret_wipe(link->packet.octets, link->packet.length);
	ph_pool_give(call->pool, link, call->is_good);
}
