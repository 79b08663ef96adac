/* queue-tool.c: `posthorn queue ...`, in the server or on a queue that nobody uses
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/queue-tool.h"

#include <posthorn/slice.h>

#include "base/clock.h"
#include "config/options.h"
#include "queue/list.h"
#include "server/json.h"

#include <string.h>

enum {
	STATUS_DONE = 0,
	STATUS_NONE = 1,
	STATUS_WRONG = 2,
	LINE_MAX_OCTETS = 64 * 1024,
};

/* --- requests --------------------------------------------------------------------------------- */

static const struct {
	const char *key;
	size_t offset;
} words[PH_QUEUE_TOOL_WORDS] = {
	{ "tool", offsetof(PhQueueRequest, tool) },
	{ "id", offsetof(PhQueueRequest, id) },
	{ "sender", offsetof(PhQueueRequest, sender) },
	{ "recipient", offsetof(PhQueueRequest, recipient) },
	{ "domain", offsetof(PhQueueRequest, domain) },
	{ "destination", offsetof(PhQueueRequest, destination) },
	{ "state", offsetof(PhQueueRequest, state) },
	{ "older", offsetof(PhQueueRequest, older) },
	{ "younger", offsetof(PhQueueRequest, younger) },
	{ "json", offsetof(PhQueueRequest, json) },
	{ "body", offsetof(PhQueueRequest, body) },
};

static const char **
word_of(const PhQueueRequest *request, size_t index)
{
	return (const char **) (void *) ((char *) (uintptr_t) request + words[index].offset);
}

static bool
is_plain(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text == '"' || *text == '\\' || (unsigned char) *text < ' ')
			return false;
	return true;
}

bool
ph_queue_request_write(const PhQueueRequest *request, GString *out)
{
	ph_json_open(out, NULL, '{');
	ph_json_text(out, "command", "queue");
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
		const char *text = *word_of(request, i);

		if (text != NULL && !is_plain(text))
			return false;
		if (text != NULL)
			ph_json_text(out, words[i].key, text);
	}
	ph_json_close(out, '}');
	g_string_append_c(out, '\n');
	return true;
}

void
ph_queue_request_read(PhSlice line, PhQueueRequest *request_out, GStrv *words_out)
{
	GPtrArray *kept = g_ptr_array_new();

	*request_out = (PhQueueRequest){ .tool = NULL };
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
		char *text = ph_json_lookup(line, words[i].key);

		*word_of(request_out, i) = text;
		if (text != NULL)
			g_ptr_array_add(kept, text);
	}
	g_ptr_array_add(kept, NULL);
	*words_out = (GStrv) g_ptr_array_free(kept, FALSE);
}

static bool
read_states(const char *text, uint32_t *states_out)
{
	PhSlice rest = ph_slice(text);

	while (rest.length > 0) {
		g_autofree char *name = ph_slice_dup(ph_slice_trim(ph_slice_split(&rest, ',')));
		uint32_t state = ph_queue_state_of(name);

		if (state == 0)
			return false;
		*states_out |= 1U << state;
	}
	return true;
}

/* Returns: a sentence when something is wrong. */
static const char *
read_filter(const PhQueueRequest *request, PhQueueFilter *filter)
{
	*filter = (PhQueueFilter){ .id = request->id,
		                   .sender = request->sender,
		                   .recipient = request->recipient,
		                   .domain = request->domain,
		                   .destination = request->destination };
	if (request->state != NULL && !read_states(request->state, &filter->states))
		return "the states are ready, waiting, busy and held";
	if (request->older != NULL
	    && !ph_duration_parse(ph_slice(request->older), &filter->older_us))
		return "an age is written as 30min, 4h or 2d";
	if (request->younger != NULL
	    && !ph_duration_parse(ph_slice(request->younger), &filter->younger_us))
		return "an age is written as 30min, 4h or 2d";
	return NULL;
}

/* --- showing ---------------------------------------------------------------------------------- */

/* Showing: one list on its way out. */
typedef struct {
	const PhJobSink *sink;
	bool as_json;
	bool with_body;
	bool with_details;
	uint64_t n_shown;
} Showing;

static void
say(const Showing *showing, uint32_t channel, const char *text)
{
	showing->sink->line(channel, text, showing->sink->user_data);
}

static const char *
time_text(PhTime time, char text[PH_CLOCK_TEXT])
{
	ph_clock_text(time, text);
	text[strlen("2026-11-22T01:02:03")] = '\0';
	return text;
}

static void
json_time(GString *out, const char *key, PhTime time)
{
	char text[PH_CLOCK_TEXT];

	if (time == 0)
		return;
	ph_clock_text(time, text);
	ph_json_text(out, key, text);
}

static void
json_parameters(GString *out, const PhEnvelopeParameter *parameters, uint32_t n)
{
	ph_json_open(out, "parameters", '{');
	for (uint32_t i = 0; i < n; i++)
		ph_json_text(out, parameters[i].name, parameters[i].value);
	ph_json_close(out, '}');
}

static void
json_recipient(GString *out, const PhQueueListed *row)
{
	ph_json_open(out, NULL, '{');
	ph_json_text(out, "address", row->address);
	ph_json_text(out, "route", row->route);
	ph_json_text(out, "destination", row->destination);
	ph_json_text(out, "state", ph_queue_state_name(row->state));
	ph_json_number(out, "attempts", row->attempts);
	if (row->state == PH_QUEUE_WAITING || row->state == PH_QUEUE_READY)
		json_time(out, "next", row->due);
	if (row->reason != NULL)
		ph_json_text(out, "reason", row->reason);
	ph_json_close(out, '}');
}

static void
json_item(const Showing *showing, const PhQueueItem *item, GString *out)
{
	const PhEnvelope *envelope = item->envelope;

	ph_json_open(out, NULL, '{');
	ph_json_text(out, "id", envelope != NULL ? envelope->id : "");
	json_time(out, "arrived", item->arrived);
	ph_json_number(out, "octets", (int64_t) item->octets);
	ph_json_text(out, "sender", envelope != NULL ? envelope->sender : "");
	ph_json_number(out, "priority", envelope != NULL ? envelope->priority : 0);
	if (envelope == NULL)
		ph_json_boolean(out, "damaged", true);
	if (envelope != NULL && envelope->user != NULL)
		ph_json_text(out, "user", envelope->user);
	if (envelope != NULL && showing->with_details)
		json_parameters(out, envelope->parameters, envelope->n_parameters);
	ph_json_open(out, "recipients", '[');
	for (size_t i = 0; i < item->n_recipients; i++)
		json_recipient(out, &item->recipients[i]);
	ph_json_close(out, ']');
	ph_json_close(out, '}');
}

static void
text_recipient(const Showing *showing, const PhQueueListed *row)
{
	g_autoptr(GString) out = g_string_new("    ");
	char text[PH_CLOCK_TEXT];

	g_string_append_printf(out, "%-8s %s", ph_queue_state_name(row->state), row->address);
	if (showing->with_details)
		g_string_append_printf(out, " by [route %s] to %s", row->route, row->destination);
	if (row->attempts > 0)
		g_string_append_printf(out, ", %u attempt%s", row->attempts,
		                       row->attempts > 1 ? "s" : "");
	if ((row->state == PH_QUEUE_WAITING || row->state == PH_QUEUE_READY) && row->due != 0)
		g_string_append_printf(out, ", next %s", time_text(row->due, text));
	if (row->reason != NULL)
		g_string_append_printf(out, ": %s", row->reason);
	say(showing, PH_JOB_OUT, out->str);
}

static void
text_item(const Showing *showing, const PhQueueItem *item)
{
	const PhEnvelope *envelope = item->envelope;
	char text[PH_CLOCK_TEXT];
	g_autofree char *line = g_strdup_printf("%-22s  %s  %10" G_GUINT64_FORMAT "  <%s>",
	                                        envelope != NULL ? envelope->id : "(damaged)",
	                                        time_text(item->arrived, text), item->octets,
	                                        envelope != NULL ? envelope->sender : "");

	say(showing, PH_JOB_OUT, line);
	for (size_t i = 0; i < item->n_recipients; i++)
		text_recipient(showing, &item->recipients[i]);
	for (uint32_t i = 0;
	     showing->with_details && envelope != NULL && i < envelope->n_parameters; i++) {
		g_autofree char *parameter = g_strdup_printf(
			"    %s %s", envelope->parameters[i].name, envelope->parameters[i].value);

		say(showing, PH_JOB_OUT, parameter);
	}
}

/* The octets line by line; a line that is too long is shown in pieces. */
static void
show_body(const Showing *showing, const PhQueueItem *item)
{
	g_autofree char *buffer = g_malloc(LINE_MAX_OCTETS + 1);
	uint64_t at = 0;

	say(showing, PH_JOB_OUT, "");
	while (at < item->octets) {
		ssize_t n = ph_content_read(item->content, at, buffer, LINE_MAX_OCTETS, NULL);
		const char *end = n > 0 ? memchr(buffer, '\n', (size_t) n) : NULL;
		size_t length = end != NULL ? (size_t) (end - buffer) : (size_t) MAX(n, 0);

		if (n <= 0)
			return;
		at += length + (end != NULL);
		if (end != NULL && length > 0 && buffer[length - 1] == '\r')
			length--;
		for (size_t i = 0; i < length; i++)
			if (g_ascii_iscntrl(buffer[i]) && buffer[i] != '\t')
				buffer[i] = '?';
		buffer[length] = '\0';
		say(showing, PH_JOB_OUT, buffer);
	}
}

static bool
show(const PhQueueItem *item, void *user_data)
{
	Showing *showing = user_data;
	g_autoptr(GString) out = g_string_new(NULL);

	if (showing->as_json) {
		json_item(showing, item, out);
		if (showing->n_shown > 0)
			g_string_prepend_c(out, ',');
		say(showing, PH_JOB_OUT, out->str);
	} else {
		text_item(showing, item);
	}
	if (showing->with_body && item->content != NULL && !showing->as_json)
		show_body(showing, item);
	showing->n_shown++;
	return showing->sink->is_cancelled == NULL
	       || !showing->sink->is_cancelled(showing->sink->user_data);
}

static int
run_list(PhQueue *queue, const PhQueueFilter *filter, Showing *showing)
{
	if (showing->as_json)
		say(showing, PH_JOB_OUT, "[");
	ph_queue_each(queue, filter, show, showing);
	if (showing->as_json)
		say(showing, PH_JOB_OUT, "]");
	if (showing->with_details && showing->n_shown == 0) {
		say(showing, PH_JOB_ERROR, "there is no such mail in the queue");
		return STATUS_NONE;
	}
	return STATUS_DONE;
}

/* --- figures ---------------------------------------------------------------------------------- */

static void
json_stats(const PhQueueStats *stats, const char *key, GString *out)
{
	ph_json_open(out, key, '{');
	ph_json_number(out, "mails", (int64_t) stats->n_mails);
	for (uint32_t i = PH_QUEUE_READY; i < PH_QUEUE_DONE; i++)
		ph_json_number(out, ph_queue_state_name(i), (int64_t) stats->n_recipients[i]);
	ph_json_number(out, "destinations", (int64_t) stats->n_destinations);
	ph_json_number(out, "destinations-paused", (int64_t) stats->n_alone);
	ph_json_number(out, "octets", (int64_t) stats->octets);
	ph_json_number(out, "files", (int64_t) stats->n_files);
	ph_json_number(out, "memory-octets", (int64_t) stats->memory);
	json_time(out, "oldest", stats->oldest);
	ph_json_number(out, "damaged", (int64_t) stats->n_damaged);
	ph_json_number(out, "taken", (int64_t) stats->n_added);
	ph_json_number(out, "finished", (int64_t) stats->n_done);
	ph_json_number(out, "syncs", (int64_t) stats->n_batches);
	ph_json_close(out, '}');
}

static void
text_stats(const PhQueueStats *stats, GString *out)
{
	g_autofree char *octets = ph_size_format(stats->octets);
	char text[PH_CLOCK_TEXT];

	g_string_append_printf(
		out, "%" G_GUINT64_FORMAT " mails, %s octets, in %" G_GUINT64_FORMAT " files",
		stats->n_mails, octets, stats->n_files);
	if (stats->oldest != 0)
		g_string_append_printf(out, ", the oldest of %s", time_text(stats->oldest, text));
	g_string_append(out, "\nrecipients:");
	for (uint32_t i = PH_QUEUE_READY; i < PH_QUEUE_DONE; i++)
		g_string_append_printf(out, "%s %" G_GUINT64_FORMAT " %s",
		                       i > PH_QUEUE_READY ? "," : "", stats->n_recipients[i],
		                       ph_queue_state_name(i));
	g_string_append_printf(out,
	                       "\n%" G_GUINT64_FORMAT " destinations, %" G_GUINT64_FORMAT
	                       " of them left alone for a while\n%" G_GUINT64_FORMAT
	                       " mails taken, %" G_GUINT64_FORMAT " finished, %" G_GUINT64_FORMAT
	                       " syncs since the start\n",
	                       stats->n_destinations, stats->n_alone, stats->n_added, stats->n_done,
	                       stats->n_batches);
	if (stats->n_damaged > 0)
		g_string_append_printf(out,
		                       "%" G_GUINT64_FORMAT " places are damaged: see the log\n",
		                       stats->n_damaged);
}

void
ph_queue_write_stats(PhQueue *queue, bool as_text, const char *key, GString *out)
{
	PhQueueStats stats;

	ph_queue_stats(queue, &stats);
	if (as_text)
		text_stats(&stats, out);
	else
		json_stats(&stats, key, out);
}

static int
run_stats(PhQueue *queue, const Showing *showing)
{
	g_autoptr(GString) out = g_string_new(NULL);

	ph_queue_write_stats(queue, !showing->as_json, NULL, out);
	if (out->len > 0 && out->str[out->len - 1] == '\n')
		g_string_truncate(out, out->len - 1);
	for (char *line = out->str, *end = NULL; line != NULL; line = end) {
		end = strchr(line, '\n');
		if (end != NULL)
			*end++ = '\0';
		say(showing, PH_JOB_OUT, line);
	}
	return STATUS_DONE;
}

/* --- changing --------------------------------------------------------------------------------- */

static const struct {
	const char *tool;
	uint32_t action;
	const char *done;
} actions[] = {
	{ "retry", PH_QUEUE_RETRY, "tried now" },
	{ "hold", PH_QUEUE_TO_HOLD, "held" },
	{ "release", PH_QUEUE_RELEASE, "released" },
	{ "delete", PH_QUEUE_DELETE, "deleted" },
};

static int
run_action(PhQueue *queue, const PhQueueFilter *filter, const Showing *showing, size_t index)
{
	g_autoptr(GString) out = g_string_new(NULL);
	PhQueueActed acted;

	ph_queue_act(queue, filter, actions[index].action, &acted);
	if (showing->as_json) {
		ph_json_open(out, NULL, '{');
		ph_json_number(out, "changed", (int64_t) acted.n_changed);
		ph_json_number(out, "busy", (int64_t) acted.n_busy);
		ph_json_close(out, '}');
	} else {
		g_string_append_printf(out, "%" G_GUINT64_FORMAT " recipients %s", acted.n_changed,
		                       actions[index].done);
		if (acted.n_busy > 0)
			g_string_append_printf(out,
			                       ", %" G_GUINT64_FORMAT
			                       " left alone because they are being delivered",
			                       acted.n_busy);
	}
	say(showing, PH_JOB_OUT, out->str);
	return acted.n_changed > 0 ? STATUS_DONE : STATUS_NONE;
}

int
ph_queue_tool_run(PhQueue *queue, const PhQueueRequest *request, const PhJobSink *sink)
{
	Showing showing = { .sink = sink,
		            .as_json = request->json != NULL,
		            .with_body = request->body != NULL };
	PhQueueFilter filter;
	const char *wrong = read_filter(request, &filter);

	if (wrong != NULL) {
		say(&showing, PH_JOB_ERROR, wrong);
		return STATUS_WRONG;
	}
	showing.with_details = g_strcmp0(request->tool, "show") == 0;
	if (showing.with_details || g_strcmp0(request->tool, "list") == 0)
		return run_list(queue, &filter, &showing);
	if (g_strcmp0(request->tool, "stats") == 0)
		return run_stats(queue, &showing);
	for (size_t i = 0; i < G_N_ELEMENTS(actions); i++)
		if (g_strcmp0(request->tool, actions[i].tool) == 0)
			return run_action(queue, &filter, &showing, i);
	say(&showing, PH_JOB_ERROR, "the server does not know this command");
	return STATUS_WRONG;
}
