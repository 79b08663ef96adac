/* parameters.h: the keyword=value list behind the path of MAIL and RCPT
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

/* MailParameters: what MAIL may carry. */
typedef struct {
	uint64_t octets; /* SIZE=, when has_size */
	bool has_size;
	bool has_body;
	bool is_8bit;
	bool is_utf8;
	bool has_auth;
} MailParameters;

typedef enum {
	MAIL_PARAMETERS_OK = 0,
	MAIL_PARAMETERS_SYNTAX = 1,  /* 501 5.5.4 */
	MAIL_PARAMETERS_UNKNOWN = 2, /* 555 5.5.4 */
} MailParametersResult;

/* mail_parameters_parse: all of @rest; each parameter at most once. */
MailParametersResult mail_parameters_parse(PhSlice rest, MailParameters *out);

#endif
