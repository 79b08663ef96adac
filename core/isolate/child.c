/* child.c: the other end: a process that serves one plugin's section over a link
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "isolate/child.h"

#include <posthorn/error.h>

#include <string.h>
#include <unistd.h>

enum {
	OPERATION_MAX = 255,
	ENDED_MAX = 1024
};

void
ph_isolated_begin(PhIsolateChild *child, PhReply reply)
{
	child->packet.length = 0;
	child->packet.bad = false;
	ph_packet_number(&child->packet, reply);
}

static void
drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* An answer that is too large is none: the call fails, and nothing else. */
bool
ph_isolated_send(PhIsolateChild *child)
{
	bool sent = !child->packet.bad
	            && ph_link_send_with(child->fd,
	                                 PH_SLICE(child->packet.octets, child->packet.length),
	                                 child->pass);

	drop(&child->pass);

	ph_secret_wipe(child->packet.octets, child->packet.length);
	return sent;
}

static bool
receive(PhIsolateChild *child)
{
	drop(&child->passed);
	if (ph_link_receive(child->fd, &child->packet, 0, &child->passed) != PH_LINK_PACKET)
		return false;
	child->reader = ph_link_reader(&child->packet);
	return true;
}

bool
ph_isolated_ask(PhIsolateChild *child)
{
	return ph_isolated_send(child) && receive(child);
}

static const PhIsolatedKind *filter_kind;

void
ph_isolated_set_filter(const PhIsolatedKind *kind)
{
	filter_kind = kind;
}

static const PhIsolatedKind *
kind_of(const PhIsolateChild *child)
{
	switch (child->section->kind) {
	case PH_KIND_DIRECTORY:
		return &ph_isolated_directory;
	case PH_KIND_MECHANISM:
		return &ph_isolated_mechanism;
	case PH_KIND_FILTER:
		return filter_kind;
	default:
		return NULL;
	}
}

static void
end_state(PhIsolateChild *child, uint64_t number)
{
	void *state = g_hash_table_lookup(child->states, &number);

	if (state == NULL)
		return;
	g_hash_table_remove(child->states, &number);
	kind_of(child)->end(child, state);
}

static bool
read_ended(PhIsolateChild *child)
{
	uint64_t n = ph_read_number(&child->reader, ENDED_MAX);

	for (uint64_t i = 0; i < n; i++)
		end_state(child, ph_read_number(&child->reader, UINT64_MAX));
	return !child->reader.bad;
}

static bool
dispatch(PhIsolateChild *child)
{
	const PhIsolatedKind *kind = kind_of(child);
	uint64_t operation = 0;

	if (kind == NULL || !read_ended(child))
		return false;
	operation = ph_read_number(&child->reader, OPERATION_MAX);
	return kind->serve(child, operation);
}

/* The other end is gone without a word about these. */
static void
end_states(PhIsolateChild *child)
{
	GHashTableIter states;
	gpointer state = NULL;

	g_hash_table_iter_init(&states, child->states);
	while (g_hash_table_iter_next(&states, NULL, &state))
		kind_of(child)->end(child, state);
	g_hash_table_unref(child->states);
}

bool
ph_isolate_serve(PhSection *section, int fd)
{
	PhIsolateChild child = { .section = section, .fd = fd, .passed = -1, .pass = -1 };
	bool good = true;

	child.packet.octets = g_malloc(PH_PACKET_MAX);
	child.states = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	ph_isolated_begin(&child, PH_REPLY_HELLO);
	good = ph_isolated_send(&child);
	while (good && receive(&child))
		good = dispatch(&child) && ph_isolated_send(&child);
	ph_secret_wipe(child.packet.octets, PH_PACKET_MAX);
	drop(&child.passed);
	end_states(&child);
	g_free(child.packet.octets);
	return good;
}
