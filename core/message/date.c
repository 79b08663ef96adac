/* date.c: reads the dates of header fields and of IMAP
 *
 *	date-time = [ day-name [","] ] day month year hour ":" minute [ ":" second ] [zone]
 *	zone      = ("+" / "-") 4DIGIT / obsolete name / one letter        (RFC 5322 3.3 and 4.3)
 *
 * with comments and folds anywhere. "Nov 21" and "Nov 21 09:55:06 1997", as some programs write,
 * are read too, and dashes between day, month and year.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/date.h>

#include "message/date-civil.h"
#include "message/lex.h"

#define ZONE_MINUTES_MAX (24 * 60 - 1)

/* The fields while they are gathered; -1 is missing. */
typedef struct {
	int32_t year;
	int32_t month;
	int32_t day;
	int32_t hour;
	int32_t minute;
	int32_t second;
	int32_t zone;
	bool has_zone;
} Fields;

static int
month_by_name(PhSlice word)
{
	static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";

	for (int i = 0; i < 12; i++)
		if (word.length >= 3
		    && ph_slice_equal_nocase(PH_SLICE(word.data, 3),
		                             PH_SLICE(names + (size_t) i * 3, 3)))
			return i + 1;
	return 0;
}

/* Zone names of RFC 5322 section 4.3; false for others, which say nothing. */
static bool
zone_by_name(PhSlice word, int32_t *minutes_out)
{
	static const struct {
		const char *name;
		int32_t hours;
	} zones[] = {
		{ "UT", 0 },   { "GMT", 0 },  { "UTC", 0 },  { "Z", 0 },    { "EST", -5 },
		{ "EDT", -4 }, { "CST", -6 }, { "CDT", -5 }, { "MST", -7 }, { "MDT", -6 },
		{ "PST", -8 }, { "PDT", -7 }, { "CET", 1 },  { "CEST", 2 }, { "JST", 9 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(zones); i++) {
		if (ph_slice_is_nocase(word, zones[i].name)) {
			*minutes_out = zones[i].hours * 60;
			return true;
		}
	}
	return false;
}

/* "+0130" without its sign. */
static bool
zone_by_number(PhSlice digits, bool west, int32_t *minutes_out)
{
	uint32_t value = 0;
	int32_t minutes = 0;

	if (digits.length != 4 || !ph_slice_to_u32(digits, 9999, &value))
		return false;
	minutes = (int32_t) (value / 100 * 60 + value % 100);
	if (value % 100 > 59 || minutes > ZONE_MINUTES_MAX)
		return false;
	*minutes_out = west ? -minutes : minutes;
	return true;
}

static bool
fields_to_date(const Fields *f, PhDate *date_out)
{
	PhDay day = { f->year, f->month, f->day };
	int64_t seconds = 0;

	if (!ph_day_is_valid(day) || f->hour > 23 || f->minute > 59 || f->second > 60)
		return false;
	seconds = ph_day_number(day) * PH_DAY_SECONDS + (int64_t) f->hour * 3600
	          + (int64_t) (f->minute - f->zone) * 60 + MIN(f->second, 59);
	date_out->time = seconds * G_USEC_PER_SEC;
	date_out->zone_minutes = f->zone;
	return true;
}

/* Two and three digits mean a year of the time when that was written (4.3). */
static int32_t
widen_year(uint32_t value, size_t digits)
{
	if (digits == 2)
		return (int32_t) (value < 50 ? value + 2000 : value + 1900);
	if (digits == 3)
		return (int32_t) value + 1900;
	return (int32_t) value;
}

static size_t
count_digits(PhSlice text)
{
	size_t n = 0;

	while (n < text.length && g_ascii_isdigit(text.data[n]))
		n++;
	return n;
}

/* A number of at most four digits at the start of @text, or -1. */
static int32_t
take_number(PhSlice *text, size_t *digits_out)
{
	size_t n = count_digits(*text);
	uint32_t value = 0;

	if (!ph_slice_to_u32(PH_SLICE(text->data, n), 9999, &value))
		return -1;
	ph_lex_skip(text, n);
	*digits_out = n;
	return (int32_t) value;
}

static bool
skip_octet(PhSlice *text, char c)
{
	if (text->length == 0 || text->data[0] != c)
		return false;
	ph_lex_skip(text, 1);
	return true;
}

/* The rest of a time after its hour: ":55:06". Dots are written too. */
static bool
take_time(PhSlice *text, Fields *f)
{
	size_t digits = 0;

	ph_lex_skip_cfws(text);
	f->minute = take_number(text, &digits);
	f->second = 0;
	if (f->minute < 0 || digits > 2)
		return false;
	ph_lex_skip_cfws(text);
	if (skip_octet(text, ':')) {
		ph_lex_skip_cfws(text);
		f->second = take_number(text, &digits);
		if (f->second < 0 || digits > 2)
			return false;
		if (skip_octet(text, '.'))
			ph_lex_skip(text, count_digits(*text));
	}
	return true;
}

/* A number: hour, day or year, by what follows it and what is still missing. */
static bool
take_any_number(PhSlice *text, Fields *f)
{
	size_t digits = 0;
	int32_t value = take_number(text, &digits);

	if (value < 0)
		return false;
	if (digits <= 2 && f->hour < 0) {
		PhSlice after = *text;

		ph_lex_skip_cfws(&after);
		if (skip_octet(&after, ':')) {
			f->hour = value;
			*text = after;
			return take_time(text, f);
		}
	}
	if (f->day < 0 && digits <= 2)
		f->day = value;
	else if (f->year < 0)
		f->year = widen_year((uint32_t) value, digits);
	return true;
}

static bool
take_word(PhSlice *text, Fields *f)
{
	size_t n = 0;
	PhSlice word = { NULL, 0 };

	while (n < text->length && g_ascii_isalpha(text->data[n]))
		n++;
	word = PH_SLICE(text->data, n);
	ph_lex_skip(text, n);
	if (f->month < 0 && month_by_name(word) > 0)
		f->month = month_by_name(word);
	else if (f->hour >= 0 && f->hour < 12 && ph_slice_is_nocase(word, "PM"))
		f->hour += 12;
	else if (f->hour >= 0 && !f->has_zone)
		f->has_zone = zone_by_name(word, &f->zone);
	return n > 0;
}

static bool
take_sign(PhSlice *text, Fields *f)
{
	bool west = text->data[0] == '-';
	size_t n = 0;

	ph_lex_skip(text, 1);
	if (f->hour < 0 || f->has_zone)
		return true;
	n = count_digits(*text);
	if (n == 4 && zone_by_number(PH_SLICE(text->data, n), west, &f->zone)) {
		f->has_zone = true;
		ph_lex_skip(text, n);
	}
	return true;
}

static bool
take_any(PhSlice *text, Fields *f)
{
	if (g_ascii_isdigit(text->data[0]))
		return take_any_number(text, f);
	if (g_ascii_isalpha(text->data[0]))
		return take_word(text, f);
	if (text->data[0] == '+' || text->data[0] == '-')
		return take_sign(text, f);
	ph_lex_skip(text, 1);
	return true;
}

bool
ph_date_parse_mail(PhSlice value, PhDate *date_out)
{
	Fields f = { -1, -1, -1, -1, -1, -1, 0, false };

	for (;;) {
		ph_lex_skip_cfws(&value);
		if (value.length == 0)
			break;
		if (!take_any(&value, &f))
			return false;
	}
	if (f.year < 0 || f.month < 0 || f.day < 0 || f.hour < 0)
		return false;
	return fields_to_date(&f, date_out);
}

/* "dd-Mon-yyyy" where the day has one or two digits, or a blank and one. */
static bool
take_imap_day(PhSlice *text, bool fixed, PhDay *day_out)
{
	size_t digits = 0;
	bool padded = fixed && skip_octet(text, ' ');
	PhDay day = { .day = take_number(text, &digits) };

	if (day.day < 0 || digits > 2 || (fixed && digits != (padded ? 1 : 2))
	    || !skip_octet(text, '-'))
		return false;
	if (text->length < 4 || text->data[3] != '-')
		return false;
	day.month = month_by_name(*text);
	ph_lex_skip(text, 4);
	day.year = take_number(text, &digits);
	if (digits != 4 || !ph_day_is_valid(day))
		return false;
	*day_out = day;
	return true;
}

bool
ph_date_parse_imap_day(PhSlice text, PhDay *day_out)
{
	PhDay day = { 0, 0, 0 };

	if (!take_imap_day(&text, false, &day) || text.length > 0)
		return false;
	*day_out = day;
	return true;
}

static bool
take_two_digits(PhSlice *text, int32_t *value_out)
{
	size_t digits = 0;

	*value_out = take_number(text, &digits);
	return *value_out >= 0 && digits == 2;
}

bool
ph_date_parse_imap_time(PhSlice text, PhDate *date_out)
{
	PhDay day = { 0, 0, 0 };
	Fields f = { .second = 0 };

	if (!take_imap_day(&text, true, &day) || !skip_octet(&text, ' ')
	    || !take_two_digits(&text, &f.hour) || !skip_octet(&text, ':')
	    || !take_two_digits(&text, &f.minute) || !skip_octet(&text, ':')
	    || !take_two_digits(&text, &f.second) || !skip_octet(&text, ' ') || text.length != 5
	    || (text.data[0] != '+' && text.data[0] != '-')
	    || !zone_by_number(ph_slice_from(text, 1), text.data[0] == '-', &f.zone))
		return false;
	f.year = day.year;
	f.month = day.month;
	f.day = day.day;
	return fields_to_date(&f, date_out);
}
