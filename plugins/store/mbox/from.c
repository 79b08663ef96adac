/* from.c: the line that begins each message of an mbox
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "from.h"

#include <posthorn/slice.h>

static const PhTime second_us = 1000000;
static const char days[] = "MonTueWedThuFriSatSun";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

typedef struct {
	PhDay day;
	uint32_t hour;
	uint32_t minute;
	uint32_t second;
} Clock;

/* 1 for the first name of three letters, 0 when it is none of them. */
static int32_t
name_number(PhSlice word, const char *names)
{
	if (word.length != 3)
		return 0;
	for (int32_t i = 0; names[3 * i] != '\0'; i++)
		if (ph_slice_equal_nocase(word, PH_SLICE(names + (ptrdiff_t) 3 * i, 3)))
			return i + 1;
	return 0;
}

/* The next word; @rest goes on behind it. */
static PhSlice
word(PhSlice *rest)
{
	*rest = ph_slice_trim(*rest);
	return ph_slice_split(rest, ' ');
}

/* "03:53:52" or "03:53". */
static bool
parse_clock(PhSlice text, Clock *clock)
{
	PhSlice hour = ph_slice_split(&text, ':');
	PhSlice minute = ph_slice_split(&text, ':');

	clock->second = 0;
	return ph_slice_to_u32(hour, 23, &clock->hour)
	       && ph_slice_to_u32(minute, 59, &clock->minute)
	       && (text.length == 0 || ph_slice_to_u32(text, 60, &clock->second));
}

/* "+0100" */
static bool
parse_zone(PhSlice text, int32_t *minutes_out)
{
	uint32_t number = 0;

	if (text.length != 5 || (text.data[0] != '+' && text.data[0] != '-')
	    || !ph_slice_to_u32(ph_slice_from(text, 1), 2359, &number) || number % 100 > 59)
		return false;
	*minutes_out = (int32_t) (number / 100 * 60 + number % 100);
	if (text.data[0] == '-')
		*minutes_out = -*minutes_out;
	return true;
}

static bool
is_zone_name(PhSlice text)
{
	if (text.length == 0 || text.length > 5)
		return false;
	for (size_t i = 0; i < text.length; i++)
		if (!g_ascii_isalpha(text.data[i]))
			return false;
	return true;
}

static void
note_zone(PhSlice text, FromLine *from)
{
	if (parse_zone(text, &from->zone_minutes))
		from->has_zone = true;
	else if (ph_slice_is(text, "UTC") || ph_slice_is(text, "GMT"))
		from->has_zone = true;
}

static bool
is_day(PhDay day)
{
	return g_date_valid_dmy((GDateDay) day.day, (GDateMonth) day.month, (GDateYear) day.year)
	       != 0;
}

/* A year, with words of a zone before or behind it. */
static bool
parse_year(PhSlice rest, PhDay *day, FromLine *from)
{
	uint32_t year = 0;

	for (int tries = 0; tries < 3; tries++) {
		PhSlice text = word(&rest);

		if (text.length == 4 && ph_slice_to_u32(text, 9999, &year)) {
			day->year = (int32_t) year;
			if (!from->has_zone)
				note_zone(word(&rest), from);
			return is_day(*day);
		}
		if (!is_zone_name(text) && !parse_zone(text, &from->zone_minutes))
			return false;
		note_zone(text, from);
	}
	return false;
}

/* "Sun Nov 22 03:53:52 2026" */
static bool
parse_date(PhSlice text, FromLine *from)
{
	Clock clock = { .second = 0 };
	uint32_t day = 0;
	uint32_t seconds = 0;

	from->has_zone = false;
	from->zone_minutes = 0;
	if (name_number(word(&text), days) == 0)
		return false;
	clock.day.month = name_number(word(&text), months);
	if (clock.day.month == 0 || !ph_slice_to_u32(word(&text), 31, &day)
	    || !parse_clock(word(&text), &clock))
		return false;
	clock.day.day = (int32_t) day;
	if (!parse_year(text, &clock.day, from))
		return false;
	seconds = clock.hour * 3600 + clock.minute * 60 + clock.second;
	from->time = ph_day_time(clock.day) + seconds * second_us;
	if (from->has_zone)
		from->time -= from->zone_minutes * 60 * second_us;
	return true;
}

bool
from_parse(PhSlice line, FromLine *from_out)
{
	FromLine from = { .time = 0 };
	PhSlice rest = ph_slice_from(line, 5);

	if (line.length > FROM_MAX || line.length < 5 || memcmp(line.data, "From ", 5) != 0)
		return false;
	for (size_t i = 0; i + 3 < rest.length; i++) {
		bool begins = i == 0 || rest.data[i - 1] == ' ';

		if (!begins || rest.data[i + 3] != ' '
		    || !parse_date(ph_slice_from(rest, i), &from))
			continue;
		from.sender = ph_slice_trim(PH_SLICE(rest.data, i));
		*from_out = from;
		return true;
	}
	return false;
}

PhDate
from_date(const FromLine *from)
{
	PhDate date = { from->time, from->zone_minutes };

	if (from->has_zone)
		return date;
	/* twice: the first guess may lie on the other side of a change of the clock */
	for (int i = 0; i < 2; i++) {
		date.zone_minutes = ph_date_local(date.time).zone_minutes;
		date.time = from->time - date.zone_minutes * 60 * second_us;
	}
	return date;
}

void
from_append(PhSlice sender, PhTime time, GString *out)
{
	PhDate local = ph_date_local(time);
	int64_t seconds = local.time / second_us + local.zone_minutes * 60;
	g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc(seconds);

	if (date == NULL)
		date = g_date_time_new_from_unix_utc(0);
	(void) g_string_append(out, "From ");
	for (size_t i = 0; i < MIN(sender.length, 320); i++) {
		unsigned char c = (unsigned char) sender.data[i];

		(void) g_string_append_c(out, (gchar) (c > ' ' && c < 0x7f ? c : '_'));
	}
	if (sender.length == 0)
		(void) g_string_append(out, "MAILER-DAEMON");
	g_string_append_printf(out, " %.3s %.3s %2d %02d:%02d:%02d %04d\n",
	                       days + (ptrdiff_t) 3 * (g_date_time_get_day_of_week(date) - 1),
	                       months + (ptrdiff_t) 3 * (g_date_time_get_month(date) - 1),
	                       g_date_time_get_day_of_month(date), g_date_time_get_hour(date),
	                       g_date_time_get_minute(date), g_date_time_get_second(date),
	                       g_date_time_get_year(date));
}
