/* isolation.c: the worker's end of isolated plugins: asks the supervisor for their processes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/isolation.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "config/config.h"
#include "server/isolated-filter.h"

#include <poll.h>
#include <sys/socket.h>

enum {
	GREETING_MS = 10000 /* a plugin that needs longer is waited for by those who call it */
};

static int channel = -1;

static bool
start(const PhIsolateOrder *order, GError **error)
{
	g_autofree char *text =
		g_strdup_printf("%" G_GUINT64_FORMAT " %u %d %s %s", order->id, order->n,
	                        ph_section_is_privileged(order->section) ? 1 : 0,
	                        order->section->word, order->section->name);

	if (ph_channel_send(channel, "isolate", text, -1))
		return true;
	ph_error_set(error, PH_ERROR_TEMPORARY, "the supervisor cannot be asked for its processes");
	return false;
}

static void
kill_child(uint64_t id, int64_t pid)
{
	g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT " %" G_GINT64_FORMAT, id, pid);

	(void) ph_channel_send(channel, "isolate-kill", text, -1);
}

static void
end(uint64_t id)
{
	g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, id);

	(void) ph_channel_send(channel, "isolate-end", text, -1);
}

static const PhIsolateControl control = {
	.start = start,
	.kill = kill_child,
	.end = end,
};

void
ph_isolation_open(int to_supervisor)
{
	channel = to_supervisor;
	ph_isolate_open(&control);
	ph_isolate_set_filter(ph_isolated_filter_table);
}

/* Waits until the plugin is there. Returns: false when it is known that it will not be. */
static bool
greets(int fd)
{
	struct pollfd polled = { .fd = fd, .events = POLLIN };
	char octet = 0;

	return poll(&polled, 1, GREETING_MS) <= 0
	       || recv(fd, &octet, sizeof octet, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void
ph_isolation_told(PhChannelMessage *message, bool wait)
{
	PhSlice rest = ph_slice(message->text);
	uint64_t numbers[3] = { 0 };
	int fd = message->fd;

	if (fd < 0)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
		if (!ph_slice_to_u64(ph_slice_split(&rest, ' '), G_MAXINT32, &numbers[i]))
			return;
	if (wait && !greets(fd))
		return;
	message->fd = -1;
	ph_isolate_told(numbers[0], (uint32_t) numbers[1], (int64_t) numbers[2], fd);
}
