/* test-date.c: dates of mail and of IMAP, read and written
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/date.h>
#include <posthorn/slice.h>

static void
test_mail(void)
{
	static const struct {
		const char *text;
		int64_t seconds;
		int32_t zone;
	} rows[] = {
		{ "Fri, 21 Nov 1997 09:55:06 -0600", 880127706, -360 },
		{ "Tue, 1 Jul 2003 10:52:37 +0200", 1057049557, 120 },
		{ "Thu, 13 Feb 1969 23:32:54 -0330", -27723426, -210 },
		{ "Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n"
		  "               -0330 (Newfoundland Time)",
		  -27723480, -210 },
		{ "21 Nov 97 09:55:06 GMT", 880106106, 0 },
		{ "Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880127706, -360 },
		{ "1 Jan 2026 00:00:00 +0000", 1767225600, 0 },
		{ "1 jan 2026 00:00 EST", 1767243600, -300 },
		{ "1 January 2026 00:00:00 PDT", 1767250800, -420 },
		{ "Thu, 01 Jan 2026 00:00:00 A", 1767225600, 0 },
		{ "Thu, 01 Jan 2026 00:00:00", 1767225600, 0 },
		{ "Thu Jan  1 00:00:00 2026", 1767225600, 0 },
		{ "Thu Jan  1 00:00:00 GMT 2026", 1767225600, 0 },
		{ "1-Jan-2026 00:00:00 +0000", 1767225600, 0 },
		{ "29 Feb 2024 12:00:00 +0000", 1709208000, 0 },
		{ "31 Dec 2016 23:59:60 +0000", 1483228799, 0 },
		{ "1 Jan 100 00:00:00 +0000", 946684800, 0 },
		{ "1 Jan 2026 00:00:00.123 +0000", 1767225600, 0 },
		{ "1 Jan 2026 00:00:00 +9999", 1767225600, 0 },
		{ "Tue, 06 Aug 2002 06:50:21 PM -0400", 1028674221, -240 },
		{ "1 Jan 9999 23:59:59 -2359", 253370937539, -1439 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		PhDate date = { 0, 0 };

		g_test_message("%s", rows[i].text);
		g_assert_true(ph_date_parse_mail(ph_slice(rows[i].text), &date));
		g_assert_cmpint(date.time, ==, rows[i].seconds * G_USEC_PER_SEC);
		g_assert_cmpint(date.zone_minutes, ==, rows[i].zone);
	}
}

static void
test_bad_mail(void)
{
	static const char *const rows[] = {
		"",
		"Fri",
		"Fri, 21 Nov 1997",
		"30 Feb 2026 00:00:00 +0000",
		"29 Feb 2025 00:00:00 +0000",
		"0 Jan 2026 00:00:00 +0000",
		"32 Jan 2026 00:00:00 +0000",
		"1 Foo 2026 00:00:00 +0000",
		"1 Jan 2026 24:00:00 +0000",
		"1 Jan 2026 00:60:00 +0000",
		"1 Jan 2026 00:00:61 +0000",
		"1 Jan 12345 00:00:00 +0000",
		"1 Jan 99999999999999999999 00:00:00 +0000",
		"1 Jan 2026 00:",
		"(1 Jan 2026 00:00:00 +0000",
		"Jan 2026 00:00:00",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		PhDate date = { 42, 42 };

		g_test_message("%s", rows[i]);
		g_assert_false(ph_date_parse_mail(ph_slice(rows[i]), &date));
		g_assert_cmpint(date.time, ==, 42);
		g_assert_cmpint(date.zone_minutes, ==, 42);
	}
}

static void
test_imap_time(void)
{
	static const char *const bad[] = {
		"1-Jan-2026 00:00:00 +0000",  "  1-Jan-2026 00:00:00 +0000",
		"01-Jan-2026 00:00:00 +000",  "01-Jan-2026 00:00:00 0000",
		"01-Jan-26 00:00:00 +0000",   "01-Jan-2026 0:00:00 +0000",
		"01-Jan-2026 24:00:00 +0000", "31-Jun-2026 00:00:00 +0000",
		"01-Jan-2026 00:00:00 +0060", "01-Jan-2026 00:00:00 +0000 ",
		"01/Jan/2026 00:00:00 +0000", "",
	};
	PhDate date = { 0, 0 };

	g_assert_true(ph_date_parse_imap_time(ph_slice(" 1-Jan-2026 00:00:00 +0000"), &date));
	g_assert_cmpint(date.time, ==, INT64_C(1767225600) * G_USEC_PER_SEC);
	g_assert_true(ph_date_parse_imap_time(ph_slice("17-Jul-1996 02:44:25 -0700"), &date));
	g_assert_cmpint(date.time, ==, INT64_C(837596665) * G_USEC_PER_SEC);
	g_assert_cmpint(date.zone_minutes, ==, -420);
	g_assert_true(ph_date_parse_imap_time(ph_slice("01-JAN-2026 00:00:00 +0530"), &date));
	g_assert_cmpint(date.zone_minutes, ==, 330);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(ph_date_parse_imap_time(ph_slice(bad[i]), &date));
}

static void
test_imap_day(void)
{
	static const char *const bad[] = { "",
		                           "1-Jan-26",
		                           "1-Jan-2026 ",
		                           " 1-Jan-2026",
		                           "32-Jan-2026",
		                           "29-Feb-2025",
		                           "1-Foo-2026",
		                           "1 Jan 2026" };
	PhDay day = { 0, 0, 0 };

	g_assert_true(ph_date_parse_imap_day(ph_slice("1-Feb-1994"), &day));
	g_assert_cmpint(day.year * 10000 + day.month * 100 + day.day, ==, 19940201);
	g_assert_true(ph_date_parse_imap_day(ph_slice("29-feb-2024"), &day));
	g_assert_cmpint(ph_day_time(day), ==, INT64_C(1709164800) * G_USEC_PER_SEC);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(ph_date_parse_imap_day(ph_slice(bad[i]), &day));
}

static void
test_written(void)
{
	PhDate date = { INT64_C(880127706) * G_USEC_PER_SEC + 123456, -360 };
	PhDate old = { -1, 90 };
	g_autoptr(GString) out = g_string_new(NULL);

	ph_date_append_mail(date, out);
	g_string_append_c(out, '|');
	ph_date_append_imap_time(date, out);
	g_string_append_c(out, '|');
	ph_date_append_iso(date.time, out);
	g_assert_cmpstr(out->str, ==,
	                "Fri, 21 Nov 1997 09:55:06 -0600|21-Nov-1997 09:55:06 -0600|"
	                "1997-11-21T15:55:06.123456Z");
	g_string_truncate(out, 0);
	ph_date_append_mail(old, out);
	g_string_append_c(out, '|');
	ph_date_append_imap_time(old, out);
	g_assert_cmpstr(out->str, ==, "Thu, 1 Jan 1970 01:29:59 +0130| 1-Jan-1970 01:29:59 +0130");
}

static void
test_round_trip(void)
{
	g_autoptr(GString) out = g_string_new(NULL);

	for (int64_t day = -719160; day < 2932894; day += 97) {
		PhDate date = { (day * 86400 + 3723) * G_USEC_PER_SEC, (int32_t) (day % 700) };
		PhDate again = { 0, 0 };

		g_string_truncate(out, 0);
		ph_date_append_mail(date, out);
		g_assert_true(ph_date_parse_mail(PH_SLICE(out->str, out->len), &again));
		g_assert_cmpint(again.time, ==, date.time);
		g_assert_cmpint(again.zone_minutes, ==, date.zone_minutes);
		g_string_truncate(out, 0);
		ph_date_append_imap_time(date, out);
		g_assert_true(ph_date_parse_imap_time(PH_SLICE(out->str, out->len), &again));
		g_assert_cmpint(again.time, ==, date.time);
	}
}

static void
test_days(void)
{
	PhDate date = { INT64_C(1767225600) * G_USEC_PER_SEC, -60 };
	PhDay day = ph_date_day(date);

	g_assert_cmpint(day.year * 10000 + day.month * 100 + day.day, ==, 20251231);
	g_assert_cmpint(ph_day_compare(day, (PhDay){ 2026, 1, 1 }), <, 0);
	g_assert_cmpint(ph_day_compare((PhDay){ 2026, 1, 1 }, day), >, 0);
	g_assert_cmpint(ph_day_compare(day, day), ==, 0);
	g_assert_cmpint(ph_date_local(date.time).zone_minutes, ==, 0);
	g_assert_cmpint(ph_date_local(date.time).time, ==, date.time);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/message/date/reads-mail-dates", test_mail);
	g_test_add_func("/message/date/refuses-dates-that-do-not-exist", test_bad_mail);
	g_test_add_func("/message/date/reads-imap-times-strictly", test_imap_time);
	g_test_add_func("/message/date/reads-imap-days-strictly", test_imap_day);
	g_test_add_func("/message/date/writes", test_written);
	g_test_add_func("/message/date/reads-what-it-writes", test_round_trip);
	g_test_add_func("/message/date/days-are-those-of-the-writer", test_days);
	return g_test_run();
}
