/* queue-tool.h: `posthorn queue ...`, in the server or on a queue that nobody uses
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_QUEUE_TOOL_H
#define PH_SERVER_QUEUE_TOOL_H

#include "queue/queue.h"
#include "tools/job.h"

enum {
	PH_QUEUE_TOOL_WORDS = 11,
};

/* PhQueueRequest: everything is borrowed and nullable but the tool. */
typedef struct {
	const char *tool; /* "list" */
	const char *id;
	const char *sender;
	const char *recipient;
	const char *domain;
	const char *destination;
	const char *state;
	const char *older; /* a duration */
	const char *younger;
	const char *json; /* "yes" */
	const char *body; /* "yes": show the octets too */
} PhQueueRequest;

/* ph_queue_request_write: as one line for the control socket; false when a word cannot be sent.
 * ph_queue_request_read: @words_out: (owned) what the request points to. */
bool ph_queue_request_write(const PhQueueRequest *request, GString *out);
void ph_queue_request_read(PhSlice line, PhQueueRequest *request_out, GStrv *words_out);

/* ph_queue_tool_run: Returns: an exit status. Thread: one of its own. */
int ph_queue_tool_run(PhQueue *queue, const PhQueueRequest *request, const PhJobSink *sink);

/* ph_queue_write_stats: a JSON object, or lines for people. */
void ph_queue_write_stats(PhQueue *queue, bool as_text, const char *key, GString *out);

#endif
