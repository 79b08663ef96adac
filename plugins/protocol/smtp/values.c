/* values.c: the values of single ESMTP parameters
 *
 * Pure. DSN (RFC 3461 section 4, RFC 6533 section 3), DELIVERBY (RFC 2852 section 4), FUTURERELEASE
 * (RFC 4865 section 4), MT-PRIORITY (RFC 6710 section 3).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "parameters.h"

enum {
	ORCPT_MAX = 500,
	SECONDS_MAX = 999999999,
	PRIORITY_MAX = 9,
	TIME_LENGTH = 20, /* 2026-11-22T09:00:00Z */
	YEAR_DIGITS = 4,
};

bool
xtext_is_printable(PhSlice text, size_t longest)
{
	g_autoptr(GString) octets = NULL;

	if (text.length == 0 || text.length > longest)
		return false;
	octets = g_string_sized_new(text.length + 1);
	if (!ph_xtext_decode(text, octets))
		return false;
	for (gsize i = 0; i < octets->len; i++)
		if (octets->str[i] < ' ' || octets->str[i] > '~')
			return false;
	return true;
}

static uint32_t
notify_word(PhSlice word)
{
	if (ph_slice_is_nocase(word, "SUCCESS"))
		return NOTIFY_SUCCESS;
	if (ph_slice_is_nocase(word, "FAILURE"))
		return NOTIFY_FAILURE;
	if (ph_slice_is_nocase(word, "DELAY"))
		return NOTIFY_DELAY;
	return 0;
}

bool
notify_parse(PhSlice text, uint32_t *notify_out)
{
	uint32_t notify = 0;

	if (ph_slice_is_nocase(text, "NEVER")) {
		*notify_out = NOTIFY_NEVER;
		return true;
	}
	if (text.length == 0 || text.data[text.length - 1] == ',')
		return false;
	while (text.length > 0) {
		uint32_t bit = notify_word(ph_slice_split(&text, ','));

		if (bit == 0 || (notify & bit) != 0)
			return false;
		notify |= bit;
	}
	*notify_out = notify;
	return true;
}

const char *
notify_text(uint32_t notify)
{
	static const char *const words[] = {
		"SUCCESS",       "FAILURE",       "SUCCESS,FAILURE",      "DELAY",
		"SUCCESS,DELAY", "FAILURE,DELAY", "SUCCESS,FAILURE,DELAY"
	};
	uint32_t index = notify >> 1;

	if ((notify & NOTIFY_NEVER) != 0 || index == 0 || index > G_N_ELEMENTS(words))
		return "NEVER";
	return words[index - 1];
}

static bool
is_atom(PhSlice text)
{
	for (size_t i = 0; i < text.length; i++)
		if (!g_ascii_isalnum(text.data[i]) && strchr("-._", text.data[i]) == NULL)
			return false;
	return text.length > 0;
}

/* utf-8-addr-xtext and utf-8-addr-unitext of RFC 6533: visible octets, "\x{HEX}" for others. */
static bool
is_utf8_address(PhSlice text)
{
	for (size_t i = 0; i < text.length; i++) {
		uint8_t octet = (uint8_t) text.data[i];

		if (octet <= ' ' || octet == '+' || octet == '=' || octet == 127)
			return false;
	}
	return text.length > 0 && (ph_slice_is_ascii(text) || ph_slice_is_utf8(text));
}

bool
orcpt_check(PhSlice text)
{
	PhSlice address = text;
	PhSlice type = ph_slice_split(&address, ';');

	if (text.length > ORCPT_MAX || !is_atom(type))
		return false;
	if (ph_slice_is_nocase(type, "utf-8") && is_utf8_address(address))
		return true;
	return xtext_is_printable(address, ORCPT_MAX);
}

bool
by_parse(PhSlice text, int32_t *seconds_out, bool *returns_out)
{
	PhSlice mode = text;
	PhSlice time = ph_slice_split(&mode, ';');
	bool is_negative = time.length > 0 && time.data[0] == '-';
	uint32_t seconds = 0;

	if (time.length > 0 && (time.data[0] == '-' || time.data[0] == '+'))
		time = ph_slice_from(time, 1);
	if (time.length > 9 || !ph_slice_to_u32(time, SECONDS_MAX, &seconds))
		return false;
	*seconds_out = is_negative ? -(int32_t) seconds : (int32_t) seconds;
	*returns_out = ph_slice_starts_nocase(mode, "R");
	if (!*returns_out && !ph_slice_starts_nocase(mode, "N"))
		return false;
	mode = ph_slice_from(mode, 1);
	if (mode.length > 0 && !ph_slice_is_nocase(mode, "T"))
		return false;
	/* What must be delivered before it was sent cannot be returned in time either. */
	return !*returns_out || *seconds_out > 0;
}

bool
priority_parse(PhSlice text, int32_t *priority_out)
{
	bool is_negative = text.length > 0 && text.data[0] == '-';
	uint32_t number = 0;

	if (is_negative)
		text = ph_slice_from(text, 1);
	if (text.length != 1 || !ph_slice_to_u32(text, PRIORITY_MAX, &number))
		return false;
	if (is_negative && number == 0)
		return false;
	*priority_out = is_negative ? -(int32_t) number : (int32_t) number;
	return true;
}

bool
hold_for_parse(PhSlice text, uint32_t *seconds_out)
{
	return text.length <= 9 && text.length > 0 && text.data[0] != '0'
	       && ph_slice_to_u32(text, SECONDS_MAX, seconds_out);
}

static bool
take_number(PhSlice *text, size_t digits, char end, uint32_t *value_out)
{
	if (text->length <= digits || text->data[digits] != end)
		return false;
	if (!ph_slice_to_u32(PH_SLICE(text->data, digits), UINT32_MAX, value_out))
		return false;
	*text = ph_slice_from(*text, digits + 1);
	return true;
}

bool
hold_until_parse(PhSlice text, PhTime *time_out)
{
	uint32_t part[6] = { 0 };
	static const char ends[] = "--T::Z";
	g_autoptr(GTimeZone) utc = NULL;
	g_autoptr(GDateTime) moment = NULL;

	if (text.length != TIME_LENGTH)
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(part); i++)
		if (!take_number(&text, i == 0 ? YEAR_DIGITS : 2, ends[i], &part[i]))
			return false;
	utc = g_time_zone_new_utc();
	moment = g_date_time_new(utc, (gint) part[0], (gint) part[1], (gint) part[2],
	                         (gint) part[3], (gint) part[4], part[5]);
	if (moment == NULL)
		return false;
	*time_out = g_date_time_to_unix(moment) * G_USEC_PER_SEC;
	return true;
}
