/* filter.h: a verdict or a change at each stage of a message's way in
 *
 * Filters of a listener are asked in order; the first verdict that is not PH_VERDICT_NONE or
 * PH_VERDICT_ACCEPT ends the question. A filter that does not answer in its section's `timeout`
 * gives the verdict that its section's `on-failure` names; a filter that dies never stops the
 * server.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_FILTER_H
#define POSTHORN_FILTER_H

#include <posthorn/plugin.h>
#include <posthorn/transport.h>

G_BEGIN_DECLS

/* PhFilterResult. */
typedef enum {
	PH_VERDICT_NONE = 0,       /* no opinion: ask the next */
	PH_VERDICT_ACCEPT = 1,     /* this filter asks no more for this message */
	PH_VERDICT_REJECT = 2,     /* 5yz with the reply's text */
	PH_VERDICT_TEMPORARY = 3,  /* 4yz */
	PH_VERDICT_DISCARD = 4,    /* say 250, deliver nothing */
	PH_VERDICT_QUARANTINE = 5, /* deliver into the quarantine folder */
	PH_VERDICT_DROP = 6,       /* close the connection */
} PhFilterResult;

/* PhVerdict: filled by the filter; allocated and zeroed by the core. */
typedef struct {
	uint32_t result;    /* PhFilterResult */
	uint32_t smtp_code; /* 0: the default of the result */
	char status[16];    /* "5.7.1" or empty */
	char text[480];     /* one line for the client, UTF-8; empty: a default */
} PhVerdict;

/* PhStage: where a message is. */
typedef enum {
	PH_STAGE_CONNECT = 1,
	PH_STAGE_HELO = 2,
	PH_STAGE_SENDER = 3,
	PH_STAGE_RECIPIENT = 4, /* ph_mail_recipient() of the last index is asked about */
	PH_STAGE_HEADER = 5,
	PH_STAGE_MESSAGE = 6,  /* all octets are there */
	PH_STAGE_DELIVERY = 7, /* before the delivery to one recipient */
} PhStage;

/* PhFilterQuestion: what one call is about. Allocated by the core; lives until the answer. */
typedef struct {
	uint32_t stage;    /* PhStage */
	bool is_pending;   /* set by the filter that took the wake */
	PhMail *mail;      /* (borrowed) what is known so far; edits go through ph_mail_... */
	PhWake *wake;      /* (owned by the filter once it sets is_pending) */
	PhVerdict verdict; /* PH_VERDICT_NONE at first */
} PhFilterQuestion;

struct PhFilter {
	size_t size;
	uint32_t stages; /* bits 1 << PhStage: where it wants to be asked */
	uint32_t reserved;

	/* create, destroy. Required. Thread: load / main. */
	bool (*create)(PhSection *section,
	               const void *settings,
	               void **instance_out,
	               GError **error);
	void (*destroy)(void *instance);

	/* begin, end: state for one session's messages. Optional. Thread: session. */
	void *(*begin)(void *instance, PhMail *mail);
	void (*end)(void *instance, void *state);

	/* ask: a verdict at one stage: fills question->verdict. A filter that cannot answer at
	 * once takes question->wake, sets question->is_pending and returns true; it answers later by
	 * filling the verdict and completing the wake, and holds no thread meanwhile.
	 * Required. Thread: session. Blocks: at most the section's `timeout`.
	 * Errors: any: the `on-failure` verdict holds. */
	bool (*ask)(void *instance, void *state, PhFilterQuestion *question, GError **error);
};

G_END_DECLS

#endif
