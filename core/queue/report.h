/* report.h: makes the reports that tell a sender what became of a mail
 *
 * A report is the multipart/report of RFC 6522 with a text for a person, the delivery status of
 * RFC 3464 (of RFC 6533 when UTF-8 is in it and the sender takes that) and the header or the whole
 * of the mail. Composing is pure: nothing is read but what the caller gives, nothing is sent.
 *
 * What other servers said is hostile: control octets and what is not UTF-8 become "?", and every
 * text is cut at a length. A GError's message is the operator's and never shown; its class is.
 *
 * The caller sends the result with the null sender to @sender, and never asks for a report about
 * a mail whose sender is empty (RFC 5321 section 6.1).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_QUEUE_REPORT_H
#define PH_QUEUE_REPORT_H

#include <posthorn/content.h>

/* PhReportAction: values of RFC 3464 section 2.3.3, in the order in which a text tells them. */
typedef enum {
	PH_REPORT_FAILED = 1,
	PH_REPORT_DELAYED = 2,
	PH_REPORT_RELAYED = 3, /* to a server that gives no reports of its own */
	PH_REPORT_DELIVERED = 4,
	PH_REPORT_EXPANDED = 5, /* to several; no report says more */
} PhReportAction;

enum {
	PH_REPORT_FULL_MAX = 256 * 1024, /* octets of the mail; a larger one is cut to its header */
	PH_REPORT_HEADER_MAX = 64 * 1024, /* octets of the header that is sent back */
	PH_REPORT_REPLY_MAX = 900,        /* octets of a reply that are shown */
};

/* PhReportRecipient: what became of one recipient. All strings are borrowed. */
typedef struct {
	uint32_t action;        /* PhReportAction */
	const char *address;    /* final recipient, canonical */
	const char *orcpt;      /* (nullable) ORCPT as it came: "rfc822;joe@example.org", xtext */
	const char *status;     /* (nullable) "5.1.1"; NULL: from @diagnostic, @error, @action */
	const char *diagnostic; /* (nullable) the peer's last reply: "550 5.1.1 No such user" */
	const char *remote_mta; /* (nullable) name of the host that replied */
	const GError *error;    /* (nullable) why, when no peer said so; only its class is used */
	const char *reason;     /* (nullable) a sentence of ours that the sender may read */
	PhTime last_attempt;    /* 0: unknown */
	PhTime retry_until;     /* delayed: when it will be given up; 0: unknown */
} PhReportRecipient;

/* PhReport: one report. Recipients with different actions may stand in one. */
typedef struct {
	const char *hostname; /* of this server */
	const char *sender;   /* of the mail, to whom the report goes; not empty */
	const char *id;       /* of the report: becomes its Message-ID; unique, [A-Za-z0-9_-] */
	const char *mail_id;  /* (nullable) ph_mail_id() of the mail */
	const char *envid;    /* (nullable) ENVID as it came, xtext */
	bool returns_full;    /* RET=FULL; only for failures, and only when it is small enough */
	bool takes_utf8;      /* the sender asked for SMTPUTF8 */
	PhTime arrived;       /* when the mail came; 0: unknown */
	PhTime now;           /* Date of the report */
	PhSlice prepended;    /* our trace fields, ph_mail_prepended() */
	PhContent *content;   /* (borrowed, nullable) the mail; NULL: nothing is returned */
	const PhReportRecipient *recipients;
	size_t n_recipients;
} PhReport;

/* PhReportNeeds: what a report asks of the transports. */
enum {
	PH_REPORT_NEEDS_8BIT = 1U << 0, /* BODY=8BITMIME */
	PH_REPORT_NEEDS_UTF8 = 1U << 1, /* SMTPUTF8 */
};

/* ph_report_compose: @needs_out: (out) PH_REPORT_NEEDS_*. Returns: (owned) with CRLF line ends.
 * Thread: any. Blocks: as reading the content does. Errors: those of reading; a report without the
 * mail (content NULL) never fails. */
PhContent *ph_report_compose(const PhReport *report, uint32_t *needs_out, GError **error);

/* ph_report_status: the status of RFC 3463 that the report would give for this recipient, into
 * @status_out of PH_REPORT_STATUS octets: its class always fits the action. */
enum {
	PH_REPORT_STATUS = 12
};

void ph_report_status(const PhReportRecipient *recipient, char status_out[PH_REPORT_STATUS]);

#endif
