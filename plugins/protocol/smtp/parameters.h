/* parameters.h: the keyword=value list behind the path of MAIL and RCPT
 *
 * Everything here is pure. Slices in a result are borrowed from the line.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_SMTP_PARAMETERS_H
#define POSTHORN_SMTP_PARAMETERS_H

#include <posthorn/address.h>

typedef enum {
	PARAMETER_FOUND = 1,
	PARAMETER_END = 2,
	PARAMETER_SYNTAX = 3,
} ParameterResult;

typedef struct {
	PhSlice keyword;
	PhSlice value;
	bool has_value; /* "=" was there; then the value is not empty */
} Parameter;

/* parameter_next: cuts the next one off @rest, which begins with the space before it. */
ParameterResult parameter_next(PhSlice *rest, Parameter *out);

/* Extensions whose parameters are known only where EHLO offers them. */
enum {
	OFFER_DSN = 1U << 0,           /* RFC 3461: RET, ENVID; NOTIFY, ORCPT */
	OFFER_BINARYMIME = 1U << 1,    /* RFC 3030: BODY=BINARYMIME */
	OFFER_REQUIRETLS = 1U << 2,    /* RFC 8689 */
	OFFER_DELIVERBY = 1U << 3,     /* RFC 2852: BY */
	OFFER_FUTURERELEASE = 1U << 4, /* RFC 4865: HOLDFOR, HOLDUNTIL */
	OFFER_MT_PRIORITY = 1U << 5,   /* RFC 6710 */
	OFFER_ALL = (1U << 6) - 1,
};

typedef enum {
	BODY_NONE = 0, /* not said */
	BODY_7BIT = 1,
	BODY_8BITMIME = 2,
	BODY_BINARYMIME = 3,
} Body;

/* MailParameters: what MAIL may carry. A slice without octets: not given. */
typedef struct {
	uint64_t octets; /* SIZE=, when has_size */
	PhTime hold_until;
	PhSlice envid;   /* xtext */
	PhSlice by;      /* "120;R" */
	const char *ret; /* (nullable) "FULL" or "HDRS"; static */
	int32_t by_seconds;
	int32_t priority;
	uint32_t hold_seconds; /* HOLDFOR; 0: not given */
	uint8_t body;          /* Body */
	bool has_size;
	bool is_utf8;
	bool has_auth;
	bool has_by;
	bool has_priority;
	bool has_hold_until;
	bool requires_tls;
	bool by_returns; /* BY with mode R: undelivered in time means a bounce */
} MailParameters;

typedef enum {
	PARAMETERS_OK = 0,
	PARAMETERS_SYNTAX = 1,  /* 501 5.5.4 */
	PARAMETERS_UNKNOWN = 2, /* 555 5.5.4 */
} ParametersResult;

/* mail_parameters_parse: all of @rest; each parameter at most once. @offered: OFFER_* */
ParametersResult mail_parameters_parse(PhSlice rest, uint32_t offered, MailParameters *out);

enum {
	NOTIFY_NEVER = 1U << 0,
	NOTIFY_SUCCESS = 1U << 1,
	NOTIFY_FAILURE = 1U << 2,
	NOTIFY_DELAY = 1U << 3,
};

/* RcptParameters: what RCPT may carry. */
typedef struct {
	PhSlice orcpt;   /* "rfc822;joe+2B@example.org", as it came */
	uint32_t notify; /* NOTIFY_*; 0: not given */
} RcptParameters;

ParametersResult rcpt_parameters_parse(PhSlice rest, uint32_t offered, RcptParameters *out);

/* notify_text: in one spelling: "NEVER", or words of SUCCESS,FAILURE,DELAY in this order. Static. */
const char *notify_text(uint32_t notify);

/* --- single values -------------------------------------------------------------------------- */

/* xtext_is_printable: is it xtext of at most @longest octets that stands for printable ASCII? */
bool xtext_is_printable(PhSlice text, size_t longest);

bool notify_parse(PhSlice text, uint32_t *notify_out);
bool orcpt_check(PhSlice text);
bool by_parse(PhSlice text, int32_t *seconds_out, bool *returns_out);
bool priority_parse(PhSlice text, int32_t *priority_out);

/* hold_for_parse: seconds, 1 to 999999999. hold_until_parse: a date-time of RFC 3339 in UTC. */
bool hold_for_parse(PhSlice text, uint32_t *seconds_out);
bool hold_until_parse(PhSlice text, PhTime *time_out);

#endif
