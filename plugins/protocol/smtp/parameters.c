/* parameters.c: the keyword=value list behind the path of MAIL and RCPT
 *
 * Pure. RFC 5321 section 4.1.2 (esmtp-param), RFC 1870 (SIZE), RFC 6152 (BODY), RFC 6531
 * (SMTPUTF8), RFC 4954 section 5 (AUTH). A parameter that is given twice is an error.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "parameters.h"

#include <posthorn/slice.h>

enum {
	SIZE_DIGITS_MAX = 20 /* RFC 1870 section 6 */
};

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
take_size(MailParameters *out, const Parameter *parameter)
{
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
take_body(MailParameters *out, const Parameter *parameter)
{
	if (out->has_body || !parameter->has_value)
		return false;
	out->has_body = true;
	out->is_8bit = ph_slice_is_nocase(parameter->value, "8BITMIME");
	return out->is_8bit || ph_slice_is_nocase(parameter->value, "7BIT");
}

/* AUTH= is checked and then left alone: nobody here is trusted to name another sender. */
static bool
take_auth(MailParameters *out, const Parameter *parameter)
{
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
take_utf8(MailParameters *out, const Parameter *parameter)
{
	if (out->is_utf8 || parameter->has_value)
		return false;
	out->is_utf8 = true;
	return true;
}

typedef bool (*TakeFunc)(MailParameters *out, const Parameter *parameter);

static const struct {
	const char *keyword;
	TakeFunc take;
} mail_parameters[] = {
	{ "SIZE", take_size },
	{ "BODY", take_body },
	{ "SMTPUTF8", take_utf8 },
	{ "AUTH", take_auth },
};

static TakeFunc
find_parameter(PhSlice keyword)
{
	for (size_t i = 0; i < G_N_ELEMENTS(mail_parameters); i++)
		if (ph_slice_is_nocase(keyword, mail_parameters[i].keyword))
			return mail_parameters[i].take;
	return NULL;
}

MailParametersResult
mail_parameters_parse(PhSlice rest, MailParameters *out)
{
	Parameter parameter;
	ParameterResult result = PARAMETER_FOUND;

	*out = (MailParameters){ 0 };
	while ((result = parameter_next(&rest, &parameter)) == PARAMETER_FOUND) {
		TakeFunc take = find_parameter(parameter.keyword);

		if (take == NULL)
			return MAIL_PARAMETERS_UNKNOWN;
		if (!take(out, &parameter))
			return MAIL_PARAMETERS_SYNTAX;
	}
	return result == PARAMETER_END ? MAIL_PARAMETERS_OK : MAIL_PARAMETERS_SYNTAX;
}
