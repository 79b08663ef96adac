/* status.c: what `posthorn status` shows, as text for people or as one JSON object
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/status.h"

#include <posthorn/slice.h>

#include "base/attempt.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/horizon.h"
#include "config/options.h"
#include "isolate/isolate.h"
#include "journal/journal.h"
#include "mailbox/account.h"
#include "plugin/call.h"
#include "plugin/figures.h"
#include "server/json.h"
#include "server/queue-tool.h"

#include <string.h>
#include <unistd.h>

/* A section whose calls take this long on average is named as slow. */
#define SLOW_US UINT64_C(100000)

static uint64_t
average_us(const PhCallStats *stats)
{
	return stats->calls > 0 ? stats->total_us / stats->calls : 0;
}

/* A line "NAME:   123 kB" of a file of /proc; 0 when it is not there. */
static uint64_t
proc_kilobytes(const char *path, const char *name)
{
	g_autofree char *text = NULL;
	const char *line = NULL;
	PhSlice rest;
	uint64_t value = 0;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	line = strstr(text, name);
	if (line == NULL)
		return 0;
	rest = ph_slice(line + strlen(name));
	rest = ph_slice_trim(ph_slice_split(&rest, '\n'));
	(void) ph_slice_to_u64(ph_slice_split(&rest, ' '), G_MAXINT64, &value);
	return value;
}

static uint64_t
memory_octets(void)
{
	uint64_t kilobytes = proc_kilobytes("/proc/self/smaps_rollup", "\nPss:");

	if (kilobytes == 0)
		kilobytes = proc_kilobytes("/proc/self/status", "\nVmRSS:");
	return kilobytes * 1024;
}

static uint64_t
n_threads(void)
{
	return proc_kilobytes("/proc/self/status", "\nThreads:");
}

/* --- JSON ----------------------------------------------------------------------------------- */

/* The processes that its plugin runs in, if it is isolated. */
static void
write_children(PhSection *section, GString *out)
{
	PhPoolChild child;

	if (!ph_isolate_child(section, 0, &child))
		return;
	ph_json_open(out, "children", '[');
	for (uint32_t i = 0; ph_isolate_child(section, i, &child); i++) {
		ph_json_open(out, NULL, '{');
		ph_json_number(out, "pid", child.pid);
		ph_json_number(out, "calls", (int64_t) child.calls);
		ph_json_number(out, "restarts", (int64_t) child.restarts);
		ph_json_boolean(out, "busy", child.is_busy);
		ph_json_close(out, '}');
	}
	ph_json_close(out, ']');
}

static void
write_figure(const char *name, int64_t value, void *user_data)
{
	ph_json_number(user_data, name, value);
}

static void
write_section(PhSection *section, GString *out)
{
	PhCallStats stats;
	g_autofree char *title = ph_section_title(section);

	ph_call_stats(section, &stats);
	ph_json_open(out, NULL, '{');
	ph_json_text(out, "section", title);
	ph_json_text(out, "plugin", section->offer->name);
	ph_json_number(out, "calls", (int64_t) stats.calls);
	ph_json_number(out, "errors", (int64_t) stats.errors);
	ph_json_number(out, "refused", (int64_t) stats.refused);
	ph_json_number(out, "in-flight", (int64_t) stats.in_flight);
	ph_json_number(out, "waiting", (int64_t) stats.waiting);
	ph_json_number(out, "average-us", (int64_t) average_us(&stats));
	ph_json_number(out, "longest-us", (int64_t) stats.longest_us);
	ph_json_boolean(out, "slow", average_us(&stats) >= SLOW_US);
	ph_json_open(out, "figures", '{');
	ph_figures_each(section, write_figure, out);
	ph_json_close(out, '}');
	write_children(section, out);
	ph_json_close(out, '}');
}

static void
write_listener(const PhStatusListener *listener, GString *out)
{
	ph_json_open(out, NULL, '{');
	ph_json_text(out, "name", listener->name);
	ph_json_text(out, "address", listener->address);
	ph_json_number(out, "port", listener->port);
	ph_json_number(out, "sessions", listener->sessions);
	ph_json_close(out, '}');
}

/* What is refused because the server crashed over it. */
static void
write_held(GString *out)
{
	PhAttemptNote held[PH_ATTEMPT_HELD_MAX];
	size_t n = ph_attempt_held(held, G_N_ELEMENTS(held));

	ph_json_open(out, "held", '[');
	for (size_t i = 0; i < n; i++) {
		ph_json_open(out, NULL, '{');
		ph_json_text(out, "what", held[i].name);
		ph_json_number(out, "crashes", held[i].crashes);
		ph_json_close(out, '}');
	}
	ph_json_close(out, ']');
}

/* What is known of the journal; false when there is none. */
static bool
read_journal(PhJournalStats *journal_out, PhHorizonStats *held_out)
{
	PhJournal *journal = ph_accounts_journal();

	if (journal == NULL)
		return false;
	ph_journal_stats(journal, journal_out);
	ph_horizon_stats(held_out);
	return true;
}

static void
write_journal(GString *out)
{
	PhJournalStats journal;
	PhHorizonStats held;

	if (!read_journal(&journal, &held))
		return;
	ph_json_open(out, "journal", '{');
	ph_json_boolean(out, "in-use", ph_journal_is_started(ph_accounts_journal()));
	ph_json_number(out, "octets", (int64_t) (journal.end - journal.checkpoint));
	ph_json_number(out, "room-octets", (int64_t) journal.room);
	ph_json_number(out, "oldest-unsynced-us", (int64_t) journal.unsynced_us);
	ph_json_number(out, "syncs", (int64_t) journal.n_syncs);
	ph_json_number(out, "checkpoints", (int64_t) journal.n_checkpoints);
	ph_json_number(out, "held-back", (int64_t) held.n_waiting);
	ph_json_number(out, "held-back-ever", (int64_t) held.n_ever);
	ph_json_number(out, "accounts-to-replay", (int64_t) journal.n_pending);
	ph_json_close(out, '}');
}

static void
write_counter(const PhCounterReading *reading, void *user_data)
{
	GString *out = user_data;

	if (reading->type != PH_COUNTER_IS_HISTOGRAM) {
		ph_json_number(out, reading->name, reading->value);
		return;
	}
	ph_json_open(out, reading->name, '{');
	ph_json_number(out, "count", reading->value);
	ph_json_number(out, "sum-us", reading->sum_us);
	ph_json_number(out, "p50-us", (int64_t) ph_counter_quantile(reading->buckets, 500));
	ph_json_number(out, "p99-us", (int64_t) ph_counter_quantile(reading->buckets, 990));
	ph_json_close(out, '}');
}

static void
write_json(const PhStatusInput *input, GString *out)
{
	PhConfig *config = ph_generation_config(input->generation);
	PhSection *const *sections = ph_config_sections(config);
	g_autoptr(PhQueue) queue = ph_generation_queue(input->generation);

	ph_json_open(out, NULL, '{');
	ph_json_text(out, "version", PH_VERSION);
	ph_json_number(out, "pid", getpid());
	ph_json_number(out, "uptime-us", (int64_t) (ph_clock_us() - input->started_us));
	ph_json_number(out, "generation", (int64_t) ph_generation_number(input->generation));
	ph_json_number(out, "sessions", (int64_t) ph_reactor_sessions(input->runtime->reactor));
	ph_json_number(out, "threads", (int64_t) n_threads());
	ph_json_number(out, "memory-octets", (int64_t) memory_octets());
	ph_json_open(out, "listeners", '[');
	for (guint i = 0; i < input->listeners->len; i++)
		write_listener(&g_array_index(input->listeners, PhStatusListener, i), out);
	ph_json_close(out, ']');
	ph_json_open(out, "sections", '[');
	for (size_t i = 0; sections[i] != NULL; i++)
		write_section(sections[i], out);
	ph_json_close(out, ']');
	write_held(out);
	if (queue != NULL)
		ph_queue_write_stats(queue, false, "queue", out);
	write_journal(out);
	ph_json_open(out, "counters", '{');
	ph_counters_each(write_counter, out);
	ph_json_close(out, '}');
	ph_json_close(out, '}');
	g_string_append_c(out, '\n');
}

typedef struct {
	GString *out;
	double seconds;
} CounterText;

/* --- text ----------------------------------------------------------------------------------- */

static void
write_text_head(const PhStatusInput *input, GString *out)
{
	uint64_t up_us = ph_clock_us() - input->started_us;
	g_autofree char *uptime = ph_duration_format(up_us - up_us % G_USEC_PER_SEC);

	g_string_append_printf(
		out,
		"posthorn %s, worker process %d, up %s, generation %" G_GUINT64_FORMAT
		"\n%zu sessions, %" G_GUINT64_FORMAT " threads, %.1f MB of memory\n",
		PH_VERSION, (int) getpid(), uptime, ph_generation_number(input->generation),
		ph_reactor_sessions(input->runtime->reactor), n_threads(),
		(double) memory_octets() / 1048576.0);
}

static void
write_text_listeners(const PhStatusInput *input, GString *out)
{
	g_string_append(out, "\nListener          Address                            Sessions\n");
	for (guint i = 0; i < input->listeners->len; i++) {
		const PhStatusListener *listener =
			&g_array_index(input->listeners, PhStatusListener, i);
		bool is_v6 = strchr(listener->address, ':') != NULL && listener->port != 0;
		g_autofree char *address =
			listener->port == 0 ? g_strdup(listener->address)
					    : g_strdup_printf(is_v6 ? "[%s]:%u" : "%s:%u",
		                                              listener->address, listener->port);

		g_string_append_printf(out, "%-17s %-34s %8u\n", listener->name, address,
		                       listener->sessions);
	}
}

static void
write_text_sections(const PhStatusInput *input, GString *out)
{
	PhSection *const *sections = ph_config_sections(ph_generation_config(input->generation));

	g_string_append(out, "\nSection                  Plugin             Calls   Errors  "
	                     "Average  Longest\n");
	for (size_t i = 0; sections[i] != NULL; i++) {
		g_autofree char *title = ph_section_title(sections[i]);
		PhCallStats stats;

		ph_call_stats(sections[i], &stats);
		g_string_append_printf(out,
		                       "%-24s %-13s %10" G_GUINT64_FORMAT " %8" G_GUINT64_FORMAT
		                       " %5.1f ms %5.1f ms%s\n",
		                       title, sections[i]->offer->name, stats.calls, stats.errors,
		                       (double) average_us(&stats) / 1000.0,
		                       (double) stats.longest_us / 1000.0,
		                       average_us(&stats) >= SLOW_US ? "  slow" : "");
	}
}

static void
write_text_children(const PhStatusInput *input, GString *out)
{
	PhSection *const *sections = ph_config_sections(ph_generation_config(input->generation));
	bool any = false;

	for (size_t i = 0; sections[i] != NULL; i++) {
		g_autofree char *title = ph_section_title(sections[i]);
		PhPoolChild child;

		for (uint32_t c = 0; ph_isolate_child(sections[i], c, &child); c++) {
			if (!any)
				g_string_append(out, "\nIsolated                 Process    "
				                     "       Calls Restarts\n");
			any = true;
			g_string_append_printf(out,
			                       "%-24s %-13" G_GINT64_FORMAT " %10" G_GUINT64_FORMAT
			                       " %8" G_GUINT64_FORMAT "%s\n",
			                       title, child.pid, child.calls, child.restarts,
			                       child.is_busy ? "  busy" : "");
		}
	}
}

static void
write_text_figure(const char *name, int64_t value, void *user_data)
{
	GString *line = user_data;

	g_string_append_printf(line, "%s%s %" G_GINT64_FORMAT, line->len > 0 ? ", " : "", name,
	                       value);
}

/* What plugins count themselves. */
static void
write_text_figures(const PhStatusInput *input, GString *out)
{
	PhSection *const *sections = ph_config_sections(ph_generation_config(input->generation));
	bool any = false;

	for (size_t i = 0; sections[i] != NULL; i++) {
		g_autofree char *title = ph_section_title(sections[i]);
		g_autoptr(GString) line = g_string_new(NULL);

		ph_figures_each(sections[i], write_text_figure, line);
		if (line->len > 0)
			g_string_append_printf(out, "%s%-24s %s\n", any ? "" : "\n", title,
			                       line->str);
		any = any || line->len > 0;
	}
}

static void
write_text_held(GString *out)
{
	PhAttemptNote held[PH_ATTEMPT_HELD_MAX];
	size_t n = ph_attempt_held(held, G_N_ELEMENTS(held));

	if (n > 0)
		g_string_append(out, "\nHeld after crashes, until `posthorn reload`\n");
	for (size_t i = 0; i < n; i++)
		g_string_append_printf(out, "%s (%u crashes)\n", held[i].name, held[i].crashes);
}

static void
write_text_journal(GString *out)
{
	PhJournalStats journal;
	PhHorizonStats held;

	if (!read_journal(&journal, &held))
		return;
	g_string_append_printf(out,
	                       "\nJournal%s\n%.1f MB of %.0f MB since the last checkpoint; the "
	                       "oldest record that is not synced is %.1f ms old\n",
	                       ph_journal_is_started(ph_accounts_journal()) ? "" : " (not in use)",
	                       (double) (journal.end - journal.checkpoint) / 1048576.0,
	                       (double) journal.room / 1048576.0,
	                       (double) journal.unsynced_us / 1000.0);
	g_string_append_printf(out,
	                       "%" G_GUINT64_FORMAT " syncs, %" G_GUINT64_FORMAT
	                       " checkpoints, %" G_GUINT64_FORMAT
	                       " replies held back now, %" G_GUINT64_FORMAT
	                       " ever, %" G_GUINT64_FORMAT " accounts to be replayed\n",
	                       journal.n_syncs, journal.n_checkpoints, held.n_waiting, held.n_ever,
	                       journal.n_pending);
}

/* What was counted since the start, and a second on average. */
static void
write_text_counter(const PhCounterReading *reading, void *user_data)
{
	const CounterText *text = user_data;

	if (reading->value == 0 || reading->type == PH_COUNTER_IS_HISTOGRAM)
		return;
	g_string_append_printf(text->out, "%-46s %12" G_GINT64_FORMAT, reading->help,
	                       reading->value);
	if (reading->type == PH_COUNTER_IS_COUNTER)
		g_string_append_printf(text->out, " %10.1f/s",
		                       (double) reading->value / text->seconds);
	g_string_append_c(text->out, '\n');
}

static void
write_text_counters(const PhStatusInput *input, GString *out)
{
	uint64_t up_us = ph_clock_us() - input->started_us;
	CounterText text = { .out = out, .seconds = (double) MAX(up_us, 1) / G_USEC_PER_SEC };

	g_string_append(out, "\nSince the start                                      "
	                     "    Count   Average\n");
	ph_counters_each(write_text_counter, &text);
}

void
ph_status_write(const PhStatusInput *input, bool as_text, GString *out)
{
	g_autoptr(PhQueue) queue = NULL;

	if (!as_text) {
		write_json(input, out);
		return;
	}
	queue = ph_generation_queue(input->generation);
	write_text_head(input, out);
	write_text_listeners(input, out);
	write_text_sections(input, out);
	write_text_children(input, out);
	write_text_figures(input, out);
	write_text_held(out);
	if (queue != NULL) {
		g_string_append(out, "\nQueue\n");
		ph_queue_write_stats(queue, true, NULL, out);
	}
	write_text_journal(out);
	write_text_counters(input, out);
}
