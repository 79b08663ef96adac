/* fuzz-date.c: dates of mail and of IMAP; what is read can be written and read again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/date.h>
#include <posthorn/slice.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_date(PhDate date)
{
	g_autoptr(GString) out = g_string_new(NULL);
	PhDate again = { 0, 0 };
	PhDay day = ph_date_day(date);

	/* the zone may carry the first and last day out of the years that can be written */
	if (day.year < 1 || day.year > 9999)
		return;
	ph_date_append_mail(date, out);
	g_assert_true(ph_date_parse_mail(PH_SLICE(out->str, out->len), &again));
	g_assert_cmpint(again.time, ==, date.time);
	g_string_truncate(out, 0);
	ph_date_append_imap_time(date, out);
	g_assert_true(ph_date_parse_imap_time(PH_SLICE(out->str, out->len), &again));
	g_assert_cmpint(again.time, ==, date.time);
	g_assert_cmpint(again.zone_minutes, ==, date.zone_minutes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PhSlice text = PH_SLICE((const char *) data, size);
	g_autoptr(GString) out = g_string_new(NULL);
	PhDate date = { 0, 0 };
	PhDay day = { 0, 0, 0 };
	PhTime time = 0;

	if (ph_date_parse_mail(text, &date))
		check_date(date);
	if (ph_date_parse_imap_time(text, &date))
		check_date(date);
	if (ph_date_parse_imap_day(text, &day))
		g_assert_cmpint(ph_day_compare(ph_date_day((PhDate){ ph_day_time(day), 0 }), day),
		                ==, 0);
	if (size >= sizeof time) {
		memcpy(&time, data, sizeof time);
		ph_date_append_iso(time, out);
		ph_date_append_mail((PhDate){ time, 0 }, out);
	}
	return 0;
}
