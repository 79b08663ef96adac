/* date-format.c: calendar days as numbers, and dates as text
 *
 * The calendar is the proleptic Gregorian one; years begin in March while counting, so that the
 * leap day is the last of its year.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "message/date-civil.h"

#define ERA_DAYS    146097 /* 400 years */
#define EPOCH_SHIFT 719468 /* days from 0000-03-01 to 1970-01-01 */
#define MINUTE_US   (INT64_C(60) * G_USEC_PER_SEC)

static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char week_names[] = "ThuFriSatSunMonTueWed"; /* the first day was a Thursday */

static bool
is_leap(int32_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

bool
ph_day_is_valid(PhDay day)
{
	static const int8_t lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	if (day.year < 1 || day.year > 9999 || day.month < 1 || day.month > 12 || day.day < 1)
		return false;
	return day.day <= lengths[day.month - 1] + (day.month == 2 && is_leap(day.year) ? 1 : 0);
}

int64_t
ph_day_number(PhDay day)
{
	int64_t year = day.month <= 2 ? day.year - 1 : day.year;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t year_of_era = year - era * 400;
	int64_t month = day.month > 2 ? day.month - 3 : day.month + 9;
	int64_t day_of_year = (153 * month + 2) / 5 + day.day - 1;

	return era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100
	       + day_of_year - EPOCH_SHIFT;
}

PhDay
ph_day_from_number(int64_t number)
{
	int64_t shifted = number + EPOCH_SHIFT;
	int64_t era = (shifted >= 0 ? shifted : shifted - ERA_DAYS + 1) / ERA_DAYS;
	int64_t in_era = shifted - era * ERA_DAYS;
	int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / (ERA_DAYS - 1)) / 365;
	int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * in_year + 2) / 153;
	PhDay day = { .day = (int32_t) (in_year - (153 * month + 2) / 5 + 1) };

	day.month = (int32_t) (month < 10 ? month + 3 : month - 9);
	day.year = (int32_t) (year + era * 400 + (day.month <= 2 ? 1 : 0));
	return day;
}

/* A time taken apart in some zone. */
typedef struct {
	PhDay day;
	int64_t day_number;
	int hour;
	int minute;
	int second;
	int microsecond;
} Parts;

static int64_t
floor_divide(int64_t a, int64_t b)
{
	return a / b - (a % b < 0 ? 1 : 0);
}

static Parts
take_apart(PhTime time, int32_t zone_minutes)
{
	int64_t day_us = (int64_t) PH_DAY_SECONDS * G_USEC_PER_SEC;
	int64_t limit = INT64_MAX / 2;
	int64_t local = CLAMP(time, -limit, limit) + zone_minutes * MINUTE_US;
	Parts parts = { .day_number = floor_divide(local, day_us) };
	int64_t left = local - parts.day_number * day_us;

	parts.day = ph_day_from_number(parts.day_number);
	parts.microsecond = (int) (left % G_USEC_PER_SEC);
	left /= G_USEC_PER_SEC;
	parts.second = (int) (left % 60);
	parts.minute = (int) (left / 60 % 60);
	parts.hour = (int) (left / 3600);
	return parts;
}

static void
append_digits(GString *out, int64_t value, int width)
{
	char digits[20];

	for (int i = width; i > 0; i--) {
		digits[i - 1] = (char) ('0' + value % 10);
		value /= 10;
	}
	g_string_append_len(out, digits, width);
}

static void
append_month(GString *out, PhDay day)
{
	g_string_append_len(out, month_names + (size_t) (day.month - 1) * 3, 3);
}

static void
append_clock(GString *out, const Parts *parts)
{
	append_digits(out, parts->hour, 2);
	g_string_append_c(out, ':');
	append_digits(out, parts->minute, 2);
	g_string_append_c(out, ':');
	append_digits(out, parts->second, 2);
}

static void
append_zone(GString *out, int32_t minutes)
{
	int32_t size = minutes < 0 ? -minutes : minutes;

	g_string_append_c(out, minutes < 0 ? '-' : '+');
	append_digits(out, size / 60, 2);
	append_digits(out, size % 60, 2);
}

void
ph_date_append_mail(PhDate date, GString *out)
{
	Parts parts = take_apart(date.time, date.zone_minutes);
	int64_t week_day = parts.day_number - floor_divide(parts.day_number, 7) * 7;

	g_string_append_len(out, week_names + week_day * 3, 3);
	g_string_append_len(out, ", ", 2);
	append_digits(out, parts.day.day, parts.day.day < 10 ? 1 : 2);
	g_string_append_c(out, ' ');
	append_month(out, parts.day);
	g_string_append_c(out, ' ');
	append_digits(out, parts.day.year, 4);
	g_string_append_c(out, ' ');
	append_clock(out, &parts);
	g_string_append_c(out, ' ');
	append_zone(out, date.zone_minutes);
}

void
ph_date_append_imap_time(PhDate date, GString *out)
{
	Parts parts = take_apart(date.time, date.zone_minutes);

	if (parts.day.day < 10)
		g_string_append_c(out, ' ');
	append_digits(out, parts.day.day, parts.day.day < 10 ? 1 : 2);
	g_string_append_c(out, '-');
	append_month(out, parts.day);
	g_string_append_c(out, '-');
	append_digits(out, parts.day.year, 4);
	g_string_append_c(out, ' ');
	append_clock(out, &parts);
	g_string_append_c(out, ' ');
	append_zone(out, date.zone_minutes);
}

void
ph_date_append_iso(PhTime time, GString *out)
{
	Parts parts = take_apart(time, 0);

	append_digits(out, parts.day.year, 4);
	g_string_append_c(out, '-');
	append_digits(out, parts.day.month, 2);
	g_string_append_c(out, '-');
	append_digits(out, parts.day.day, 2);
	g_string_append_c(out, 'T');
	append_clock(out, &parts);
	g_string_append_c(out, '.');
	append_digits(out, parts.microsecond, 6);
	g_string_append_c(out, 'Z');
}

PhDay
ph_date_day(PhDate date)
{
	return take_apart(date.time, date.zone_minutes).day;
}

int
ph_day_compare(PhDay a, PhDay b)
{
	if (a.year != b.year)
		return a.year < b.year ? -1 : 1;
	if (a.month != b.month)
		return a.month < b.month ? -1 : 1;
	return a.day < b.day ? -1 : a.day > b.day;
}

PhTime
ph_day_time(PhDay day)
{
	return ph_day_number(day) * PH_DAY_SECONDS * G_USEC_PER_SEC;
}

PhDate
ph_date_local(PhTime time)
{
	static GTimeZone *zone;
	PhDate date = { time, 0 };
	int interval = 0;

	if (g_once_init_enter(&zone))
		g_once_init_leave(&zone, g_time_zone_new_local());
	interval = g_time_zone_find_interval(zone, G_TIME_TYPE_UNIVERSAL, time / G_USEC_PER_SEC);
	if (interval >= 0)
		date.zone_minutes = g_time_zone_get_offset(zone, interval) / 60;
	return date;
}
