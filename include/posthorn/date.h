/* date.h: the dates of RFC 5322 header fields and of IMAP, without the C library's locale or zone
 *
 * A PhDate is an instant and the offset in which it was written. Parsers are lenient where mail
 * is (obsolete zone names, comments, two-digit years, a missing weekday or seconds) and strict
 * about ranges: a date that does not exist is not parsed. Years 1 to 9999.
 *
 * Thread: any, for everything here. Nothing allocates except by appending to @out.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_DATE_H
#define POSTHORN_DATE_H

#include <posthorn/types.h>

G_BEGIN_DECLS

/* PhDate: @time is UTC; local time of the writer is @time plus @zone_minutes. */
typedef struct {
	PhTime time;
	int32_t zone_minutes; /* -1439 to 1439; 0 when unknown ("-0000") */
} PhDate;

/* PhDay: a calendar day without zone, as in SEARCH SINCE. */
typedef struct {
	int32_t year;
	int32_t month; /* 1 to 12 */
	int32_t day;   /* 1 to 31 */
} PhDay;

/* ph_date_parse_mail: the value of a Date field ("Fri, 21 Nov 1997 09:55:06 -0600", RFC 5322
 * section 3.3 with the obsolete forms of 4.3). False: no date in it; @date_out untouched. */
PH_PUBLIC bool ph_date_parse_mail(PhSlice value, PhDate *date_out);

/* ph_date_parse_imap_time: IMAP date-time without its quotes (" 1-Jan-2026 00:00:00 +0100"). */
PH_PUBLIC bool ph_date_parse_imap_time(PhSlice text, PhDate *date_out);

/* ph_date_parse_imap_day: IMAP date without quotes ("1-Jan-2026"). */
PH_PUBLIC bool ph_date_parse_imap_day(PhSlice text, PhDay *day_out);

/* Writers append to @out. Mail: "Fri, 21 Nov 1997 09:55:06 -0600". IMAP: "21-Nov-1997 09:55:06
 * -0600" with the day two wide, without quotes. ISO: "1997-11-21T15:55:06.000000Z" in UTC. */
PH_PUBLIC void ph_date_append_mail(PhDate date, GString *out);
PH_PUBLIC void ph_date_append_imap_time(PhDate date, GString *out);
PH_PUBLIC void ph_date_append_iso(PhTime time, GString *out);

/* ph_date_day: the day in the writer's own zone, which SENTSINCE and SINCE compare. */
PH_PUBLIC PhDay ph_date_day(PhDate date);

/* ph_day_compare: below 0, 0 or above 0. */
PH_PUBLIC int ph_day_compare(PhDay a, PhDay b);

/* ph_day_time: midnight UTC at which the day begins. */
PH_PUBLIC PhTime ph_day_time(PhDay day);

/* ph_date_local: @time with the offset that the server's own zone has then (TZ or
 * /etc/localtime, read once by GLib). */
PH_PUBLIC PhDate ph_date_local(PhTime time);

G_END_DECLS

#endif
