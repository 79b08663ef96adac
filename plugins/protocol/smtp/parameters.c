/* parameters.c: the keyword=value list behind the path of MAIL and RCPT
 *
 * Pure. RFC 5321 section 4.1.2 (esmtp-param), RFC 1870 (SIZE), RFC 6152 and 3030 (BODY), RFC 6531
 * (SMTPUTF8), RFC 4954 section 5 (AUTH), RFC 8689 (REQUIRETLS); values.c has those with a grammar of
 * their own. A parameter that is given twice is an error; one that is not offered is unknown.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "parameters.h"

#include <posthorn/slice.h>

enum {
	SIZE_DIGITS_MAX = 20, /* RFC 1870 section 6 */
	ENVID_MAX = 100,      /* RFC 3461 section 4.4 */
};

/* Row: one parameter. @take: is the value good, and given for the first time? */
typedef struct {
	const char *keyword;
	bool (*take)(void *out, const Parameter *parameter);
	uint32_t offer; /* 0: always offered */
} Row;

static bool
is_keyword(PhSlice text)
{
	for (size_t i = 0; i < text.length; i++)
		if (!g_ascii_isalnum(text.data[i]) && (text.data[i] != '-' || i == 0))
			return false;
	return text.length > 0;
}

/* esmtp-value: no "=", no space, no control characters; RFC 6531 adds octets above 127. */
static bool
is_value(PhSlice text)
{
	for (size_t i = 0; i < text.length; i++) {
		uint8_t octet = (uint8_t) text.data[i];

		if (octet <= ' ' || octet == '=' || octet == 127)
			return false;
	}
	return text.length > 0 && (ph_slice_is_ascii(text) || ph_slice_is_utf8(text));
}

ParameterResult
parameter_next(PhSlice *rest, Parameter *out)
{
	PhSlice word;
	ssize_t equals;

	if (rest->length == 0)
		return PARAMETER_END;
	if (rest->data[0] != ' ')
		return PARAMETER_SYNTAX;
	while (rest->length > 0 && rest->data[0] == ' ')
		*rest = ph_slice_from(*rest, 1);
	if (rest->length == 0)
		return PARAMETER_END;
	equals = ph_slice_find(*rest, ' ');
	word = equals >= 0 ? PH_SLICE(rest->data, (size_t) equals) : *rest;
	*rest = ph_slice_from(*rest, word.length);
	equals = ph_slice_find(word, '=');
	out->has_value = equals >= 0;
	out->keyword = out->has_value ? PH_SLICE(word.data, (size_t) equals) : word;
	out->value = out->has_value ? ph_slice_from(word, (size_t) equals + 1) : PH_SLICE_EMPTY;
	if (!is_keyword(out->keyword) || (out->has_value && !is_value(out->value)))
		return PARAMETER_SYNTAX;
	return PARAMETER_FOUND;
}

static bool
take_size(void *data, const Parameter *parameter)
{
	MailParameters *out = data;

	if (out->has_size || !parameter->has_value || parameter->value.length > SIZE_DIGITS_MAX)
		return false;
	out->has_size = true;
	for (size_t i = 0; i < parameter->value.length; i++)
		if (!g_ascii_isdigit(parameter->value.data[i]))
			return false;
	/* Twenty digits may pass 64 bits; such a size is as good as the largest. */
	if (!ph_slice_to_u64(parameter->value, UINT64_MAX, &out->octets))
		out->octets = UINT64_MAX;
	return true;
}

static bool
take_body(void *data, const Parameter *parameter)
{
	static const char *const words[] = { "7BIT", "8BITMIME", "BINARYMIME" };
	MailParameters *out = data;

	if (out->body != BODY_NONE)
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		if (ph_slice_is_nocase(parameter->value, words[i]))
			out->body = (uint8_t) (i + 1);
	return out->body != BODY_NONE;
}

/* AUTH= is checked and then left alone: nobody here is trusted to name another sender. */
static bool
take_auth(void *data, const Parameter *parameter)
{
	MailParameters *out = data;
	GString *address = NULL;
	PhAddress parsed;
	bool good;

	if (out->has_auth || !parameter->has_value)
		return false;
	out->has_auth = true;
	if (ph_slice_is(parameter->value, "<>"))
		return true;
	if (!ph_slice_is_ascii(parameter->value))
		return false;
	address = g_string_new(NULL);
	good = ph_xtext_decode(parameter->value, address)
	       && ph_address_parse_mailbox(PH_SLICE(address->str, address->len),
	                                   PH_ADDRESS_ALLOW_UTF8, &parsed)
	                  == PH_ADDRESS_OK;
	g_string_free(address, TRUE);
	return good;
}

static bool
take_flag(bool *flag, const Parameter *parameter)
{
	if (*flag || parameter->has_value)
		return false;
	*flag = true;
	return true;
}

static bool
take_utf8(void *data, const Parameter *parameter)
{
	return take_flag(&((MailParameters *) data)->is_utf8, parameter);
}

static bool
take_tls(void *data, const Parameter *parameter)
{
	return take_flag(&((MailParameters *) data)->requires_tls, parameter);
}

static bool
take_ret(void *data, const Parameter *parameter)
{
	MailParameters *out = data;

	if (out->ret != NULL)
		return false;
	if (ph_slice_is_nocase(parameter->value, "FULL"))
		out->ret = "FULL";
	else if (ph_slice_is_nocase(parameter->value, "HDRS"))
		out->ret = "HDRS";
	return out->ret != NULL;
}

static bool
take_envid(void *data, const Parameter *parameter)
{
	MailParameters *out = data;

	if (out->envid.length > 0)
		return false;
	out->envid = parameter->value;
	return xtext_is_printable(out->envid, ENVID_MAX);
}

static bool
take_by(void *data, const Parameter *parameter)
{
	MailParameters *out = data;

	if (out->has_by)
		return false;
	out->has_by = true;
	out->by = parameter->value;
	return by_parse(out->by, &out->by_seconds, &out->by_returns);
}

static bool
take_hold_for(void *data, const Parameter *parameter)
{
	MailParameters *out = data;

	return out->hold_seconds == 0 && !out->has_hold_until
	       && hold_for_parse(parameter->value, &out->hold_seconds);
}

static bool
take_hold_until(void *data, const Parameter *parameter)
{
	MailParameters *out = data;

	if (out->hold_seconds != 0 || out->has_hold_until)
		return false;
	out->has_hold_until = true;
	return hold_until_parse(parameter->value, &out->hold_until);
}

static bool
take_priority(void *data, const Parameter *parameter)
{
	MailParameters *out = data;

	if (out->has_priority)
		return false;
	out->has_priority = true;
	return priority_parse(parameter->value, &out->priority);
}

static bool
take_notify(void *data, const Parameter *parameter)
{
	RcptParameters *out = data;

	return out->notify == 0 && notify_parse(parameter->value, &out->notify);
}

static bool
take_orcpt(void *data, const Parameter *parameter)
{
	RcptParameters *out = data;

	if (out->orcpt.length > 0)
		return false;
	out->orcpt = parameter->value;
	return orcpt_check(out->orcpt);
}

static const Row mail_rows[] = {
	{ "SIZE", take_size, 0 },
	{ "BODY", take_body, 0 },
	{ "SMTPUTF8", take_utf8, 0 },
	{ "AUTH", take_auth, 0 },
	{ "RET", take_ret, OFFER_DSN },
	{ "ENVID", take_envid, OFFER_DSN },
	{ "REQUIRETLS", take_tls, OFFER_REQUIRETLS },
	{ "BY", take_by, OFFER_DELIVERBY },
	{ "HOLDFOR", take_hold_for, OFFER_FUTURERELEASE },
	{ "HOLDUNTIL", take_hold_until, OFFER_FUTURERELEASE },
	{ "MT-PRIORITY", take_priority, OFFER_MT_PRIORITY },
	{ NULL, NULL, 0 },
};

static const Row rcpt_rows[] = {
	{ "NOTIFY", take_notify, OFFER_DSN },
	{ "ORCPT", take_orcpt, OFFER_DSN },
	{ NULL, NULL, 0 },
};

static const Row *
find_row(const Row *rows, uint32_t offered, PhSlice keyword)
{
	for (const Row *row = rows; row->keyword != NULL; row++)
		if (ph_slice_is_nocase(keyword, row->keyword))
			return row->offer == 0 || (row->offer & offered) != 0 ? row : NULL;
	return NULL;
}

static ParametersResult
parse(PhSlice rest, const Row *rows, uint32_t offered, void *out)
{
	Parameter parameter;
	ParameterResult result = PARAMETER_FOUND;

	while ((result = parameter_next(&rest, &parameter)) == PARAMETER_FOUND) {
		const Row *row = find_row(rows, offered, parameter.keyword);

		if (row == NULL)
			return PARAMETERS_UNKNOWN;
		if (!row->take(out, &parameter))
			return PARAMETERS_SYNTAX;
	}
	return result == PARAMETER_END ? PARAMETERS_OK : PARAMETERS_SYNTAX;
}

ParametersResult
mail_parameters_parse(PhSlice rest, uint32_t offered, MailParameters *out)
{
	ParametersResult result;

	*out = (MailParameters){ 0 };
	result = parse(rest, mail_rows, offered, out);
	if (result == PARAMETERS_OK && out->body == BODY_BINARYMIME
	    && (offered & OFFER_BINARYMIME) == 0)
		return PARAMETERS_SYNTAX;
	return result;
}

ParametersResult
rcpt_parameters_parse(PhSlice rest, uint32_t offered, RcptParameters *out)
{
	*out = (RcptParameters){ 0 };
	return parse(rest, rcpt_rows, offered, out);
}
