/* test-subject.c: base subjects and message ids of RFC 5256
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/header.h>
#include <posthorn/slice.h>

static void
test_base(void)
{
	static const struct {
		const char *subject;
		const char *base;
		bool reply;
	} rows[] = {
		{ "", "", false },
		{ "hello", "hello", false },
		{ "  hello \t world  ", "hello world", false },
		{ "Re: hello", "hello", true },
		{ "RE:RE: re : hello", "hello", true },
		{ "Fwd: hello", "hello", true },
		{ "FW: hello", "hello", true },
		{ "Re[2]: hello", "hello", true },
		{ "Re [x] : hello", "hello", true },
		{ "[list] Re: hello", "hello", true },
		{ "[a] [b] Re: [c] hello", "hello", true },
		{ "[list] hello", "hello", false },
		{ "[list]", "[list]", false },
		{ "[a][b]", "[b]", false },
		{ "Re: [list]", "[list]", true },
		{ "hello (fwd)", "hello", true },
		{ "hello (FWD) (fwd) ", "hello", true },
		{ "[fwd: hello]", "hello", true },
		{ "[Fwd: Re: [x] hello (fwd)]", "hello", true },
		{ "Re:", "", true },
		{ "Re", "Re", false },
		{ "Reply: x", "Reply: x", false },
		{ "Re: Re", "Re", true },
		{ "[a[b] hello", "[a[b] hello", false },
		{ "[fwd: hello", "[fwd: hello", false },
		{ "[fwd:]", "", true },
		{ "hello re: x", "hello re: x", false },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GString) out = g_string_new(NULL);
		bool reply = !rows[i].reply;

		g_test_message("%s", rows[i].subject);
		ph_subject_base(ph_slice(rows[i].subject), out, &reply);
		g_assert_cmpstr(out->str, ==, rows[i].base);
		g_assert_cmpint(reply, ==, rows[i].reply);
	}
}

static void
test_linear(void)
{
	static const char *const units[] = { "[a]", "re:", "[", "(fwd)", "[fwd:", " ", "re [a]" };

	for (size_t u = 0; u < G_N_ELEMENTS(units); u++) {
		g_autoptr(GString) subject = g_string_new(NULL);
		g_autoptr(GString) out = g_string_new(NULL);
		gint64 start = g_get_monotonic_time();

		while (subject->len < 1024 * 1024)
			g_string_append(subject, units[u]);
		ph_subject_base(PH_SLICE(subject->str, subject->len), out, NULL);
		g_assert_cmpint(g_get_monotonic_time() - start, <, 2 * G_USEC_PER_SEC);
	}
}

static void
test_ids(void)
{
	static const struct {
		const char *value;
		const char *ids;
	} rows[] = {
		{ "<a@b>", "<a@b> " },
		{ "<a@b> <c@d>\r\n\t<e@f>", "<a@b> <c@d> <e@f> " },
		{ "<a@b><c@d>", "<a@b> <c@d> " },
		{ "Your message of \"x\" <a@b> (was <c@d>)", "<a@b> " },
		{ "<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>", "<01KF8JCEOCBS0045PS@xxx.yyy.com> " },
		{ "< a @\r\n b >", "<a@b> " },
		{ "<a@b", "" },
		{ "<> <c@d>", "<c@d> " },
		{ "<a<b@c>", "<b@c> " },
		{ "nothing", "" },
		{ "(<a@b>", "" },
		{ "", "" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GString) out = g_string_new(NULL);
		g_autoptr(GString) id = g_string_new(NULL);
		PhSlice rest = ph_slice(rows[i].value);

		while (ph_message_id_next(&rest, id))
			g_string_append_printf(out, "%s ", id->str);
		g_assert_cmpstr(out->str, ==, rows[i].ids);
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/message/subject/base-of-rfc-5256", test_base);
	g_test_add_func("/message/subject/costs-linear-time", test_linear);
	g_test_add_func("/message/subject/finds-message-ids", test_ids);
	return g_test_run();
}
