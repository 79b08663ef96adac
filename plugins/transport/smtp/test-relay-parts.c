/* test-relay-parts.c: replies, capabilities, rules, line ends and the order of hosts
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "downgrade.h"
#include "encode.h"
#include "fold.h"
#include "hop.h"

#include <string.h>

/* --- replies ---------------------------------------------------------------------------------- */

static void
feed(Reply *reply, const char *text, ReplyResult wanted)
{
	PhSlice rest = PH_SLICE_EMPTY;

	g_assert_cmpint(reply_feed(reply, ph_slice(text), &rest), ==, wanted);
}

static void
test_replies(void)
{
	Reply reply = { 0 };

	feed(&reply, "250-one", REPLY_MORE);
	feed(&reply, "250-2.0.0 two", REPLY_MORE);
	feed(&reply, "250 2.0.0 three", REPLY_DONE);
	g_assert_cmpuint(reply.code, ==, 250);
	g_assert_cmpstr(reply.text, ==, "250 one two three");
	reply_reset(&reply);
	feed(&reply, "550 5.1.1 no \x1b[1muser\xff\tx", REPLY_DONE);
	g_assert_cmpstr(reply.text, ==, "550 5.1.1 no ?[1muser? x");
	reply_reset(&reply);
	feed(&reply, "354", REPLY_DONE);
}

static void
test_no_replies(void)
{
	static const char *const broken[] = { "",         "25",    "2x0 ok",  "150 early",
		                              "600 late", "250ok", "abc def", " 250 x" };

	for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
		Reply reply = { 0 };

		feed(&reply, broken[i], REPLY_BROKEN);
	}
}

static void
test_reply_bounds(void)
{
	Reply reply = { 0 };
	g_autofree char *longest = g_strnfill(REPLY_LINE_MAX, '2');
	g_autofree char *longer = g_strnfill(REPLY_LINE_MAX + 1, '2');

	longest[3] = longer[3] = '-';
	feed(&reply, longest, REPLY_MORE);
	feed(&reply, longer, REPLY_BROKEN);
	g_assert_cmpuint(strlen(reply.text), ==, REPLY_TEXT_MAX - 1);
	reply_reset(&reply);
	for (int i = 0; i < REPLY_LINES_MAX; i++)
		feed(&reply, "250-x", REPLY_MORE);
	feed(&reply, "250 x", REPLY_BROKEN);
	reply_reset(&reply);
	feed(&reply, "250-x", REPLY_MORE);
	feed(&reply, "251 x", REPLY_BROKEN);
}

/* --- capabilities ----------------------------------------------------------------------------- */

static void
test_caps(void)
{
	Caps caps = { 0 };

	caps_add(&caps, PH_SLICE_LITERAL("pipelining"));
	caps_add(&caps, PH_SLICE_LITERAL("SIZE 1000"));
	caps_add(&caps, PH_SLICE_LITERAL("AUTH LOGIN XOAUTH2 PLAIN"));
	caps_add(&caps, PH_SLICE_LITERAL("LIMITS MAILMAX=5 RCPTMAX=7 X"));
	caps_add(&caps, PH_SLICE_LITERAL(""));
	caps_add(&caps, PH_SLICE_LITERAL("8BITMIMEX"));
	g_assert_cmphex(caps.flags, ==,
	                CAP_PIPELINING | CAP_SIZE | CAP_AUTH_LOGIN | CAP_AUTH_PLAIN);
	g_assert_cmpuint(caps.size, ==, 1000);
	g_assert_cmpuint(caps.max_messages, ==, 5);
	g_assert_cmpuint(caps.max_recipients, ==, 7);
}

static void
expect_by(const char *value, const char *mode, int64_t left)
{
	PhSlice got = PH_SLICE_EMPTY;
	int64_t seconds = 0;

	g_assert_cmpint(by_left(ph_slice(value), 20, &seconds, &got), ==, mode != NULL);
	if (mode == NULL)
		return;
	g_assert_true(ph_slice_is_nocase(got, mode));
	g_assert_cmpint(seconds, ==, left);
}

static void
test_deliver_by(void)
{
	expect_by("120;R", "R", 100);
	expect_by("-5;nt", "NT", -25);
	expect_by("0;N", "N", -20);
	expect_by("120", NULL, 0);
	expect_by("120;X", NULL, 0);
	expect_by("1234567890;R", NULL, 0);
	expect_by(";R", NULL, 0);
	expect_by("", NULL, 0);
}

/* --- rules ------------------------------------------------------------------------------------ */

static void
expect_hop(const char *text, const char *host, unsigned port)
{
	NextHop hop = { NULL };

	g_assert_cmpint(next_hop_parse(text, &hop), ==, host != NULL);
	g_assert_cmpstr(hop.host, ==, host);
	g_assert_cmpuint(hop.port, ==, port);
	next_hop_clear(&hop);
}

static void
test_next_hops(void)
{
	expect_hop("mx.example.org", "mx.example.org", 0);
	expect_hop("mx.example.org:587", "mx.example.org", 587);
	expect_hop("192.0.2.1:25", "192.0.2.1", 25);
	expect_hop("[2001:db8::1]:25", "2001:db8::1", 25);
	expect_hop("2001:db8::1", "2001:db8::1", 0);
	expect_hop("unix:/run/lmtp", "unix:/run/lmtp", 0);
	expect_hop("mx.example.org:", NULL, 0);
	expect_hop("mx.example.org:99999", NULL, 0);
	expect_hop("[2001:db8::1", NULL, 0);
	expect_hop("a b", NULL, 0);
	expect_hop("", NULL, 0);
}

static void
test_rules(void)
{
	Rule rule;
	g_autoptr(GError) error = NULL;

	g_assert_true(rule_parse("*.Example.org tls=verify next-hop=[::1]:2525 connections=2",
	                         &rule, &error));
	g_assert_cmpint(rule.tls, ==, TLS_VERIFY);
	g_assert_cmpuint(rule.n_hops, ==, 2);
	g_assert_cmpstr(rule.next_hop.host, ==, "::1");
	g_assert_true(rule_matches(&rule, "a.example.org"));
	g_assert_false(rule_matches(&rule, "example.org"));
	g_assert_false(rule_matches(&rule, "xexample.org"));
	rule_clear(&rule);
	g_assert_true(rule_parse("example.org  port=26", &rule, &error));
	g_assert_true(rule_matches(&rule, "example.org"));
	g_assert_false(rule_matches(&rule, "a.example.org"));
	rule_clear(&rule);
	g_assert_false(rule_parse("example.org tls=perhaps", &rule, NULL));
	g_assert_false(rule_parse("example.org next-hop=a next-hop=:", &rule, NULL));
	g_assert_false(rule_parse("", &rule, &error));
	g_assert_nonnull(error);
}

/* --- line ends -------------------------------------------------------------------------------- */

static void
gather(PhSlice octets, void *user_data)
{
	g_string_append_len(user_data, octets.data, (gssize) octets.length);
}

static void
expect_body(uint32_t state, const char *text, const char *wanted)
{
	size_t length = strlen(text);

	/* However it is cut, it comes out the same. */
	for (size_t cut = 0; cut <= length; cut++) {
		g_autoptr(GString) out = g_string_new(NULL);
		uint32_t now = state;

		body_convert(&now, PH_SLICE(text, cut), gather, out);
		body_convert(&now, PH_SLICE(text + cut, length - cut), gather, out);
		body_finish(&now, gather, out);
		g_assert_cmpstr(out->str, ==, wanted);
	}
}

static void
test_line_ends(void)
{
	expect_body(BODY_DOTS, "", "");
	expect_body(BODY_DOTS, "a\r\n.\r\n..b\r\n.", "a\r\n..\r\n...b\r\n..\r\n");
	expect_body(BODY_DOTS, ".a\n.b\r.c\r\r\n.d", "..a\r\n..b\r\n..c\r\n\r\n..d\r\n");
	expect_body(BODY_DOTS, "a\n.\n", "a\r\n..\r\n");
	expect_body(BODY_DOTS, "a\r.\r", "a\r\n..\r\n");
	expect_body(BODY_DOTS, "a\r\n\r\n.b.\r\n", "a\r\n\r\n..b.\r\n");
	expect_body(0, "a\r\n.\r\n..b\rc\n", "a\r\n.\r\n..b\r\nc\r\n");
}

/* --- encoding --------------------------------------------------------------------------------- */

static void
expect_encoded(bool is_base64, const char *text, const char *wanted)
{
	size_t length = strlen(text);

	for (size_t cut = 0; cut <= length; cut++) {
		g_autoptr(GString) out = g_string_new(NULL);
		Encoder encoder = { .is_base64 = is_base64 };

		encode_feed(&encoder, PH_SLICE(text, cut), out);
		encode_feed(&encoder, PH_SLICE(text + cut, length - cut), out);
		encode_finish(&encoder, out);
		g_assert_cmpstr(out->str, ==, wanted);
	}
}

static void
test_encoding(void)
{
	expect_encoded(false, "a=b \r\n\tx\t\nc\xc3\xa9\r", "a=3Db=20\r\n\tx=09\r\nc=C3=A9=0D");
	expect_encoded(false, "end ", "end=20");
	expect_encoded(false,
	               "0123456789012345678901234567890123456789012345678901234567890123456789"
	               "01234567",
	               "0123456789012345678901234567890123456789012345678901234567890123456789"
	               "01234=\r\n567");
	expect_encoded(true, "", "");
	expect_encoded(true, "a", "YQ==\r\n");
	expect_encoded(true, "abc\xff", "YWJj/w==\r\n");
	expect_encoded(
		true, "0123456789012345678901234567890123456789012345678901234567x",
		"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2"
		"\r\nN3g=\r\n");
}

static char *
downgrade(const char *text, uint32_t what, Downgraded wanted)
{
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice(text));
	g_autoptr(PhContent) made = NULL;
	g_autoptr(GString) out = g_string_new(NULL);
	char buffer[4096];
	ssize_t n = 0;

	g_assert_cmpint(downgrade_message(content, what, &made), ==, wanted);
	if (made == NULL)
		return NULL;
	n = ph_content_read(made, 0, buffer, sizeof buffer, NULL);
	g_assert_cmpint(n, >=, 0);
	return g_strndup(buffer, (gsize) n);
}

static void
expect_downgraded(const char *text, const char *wanted)
{
	g_autofree char *made =
		downgrade(text, DOWNGRADE_8BIT, wanted != NULL ? DOWNGRADED : DOWNGRADE_IMPOSSIBLE);

	g_assert_cmpstr(made, ==, wanted);
}

#define BODY_8BIT "caf\xc3\xa9\r\n"

static void
test_downgrade(void)
{
	expect_downgraded("Subject: x\r\n\r\n" BODY_8BIT,
	                  "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
	                  "charset=unknown-8bit\r\nContent-Transfer-Encoding: "
	                  "quoted-printable\r\n\r\ncaf=C3=A9\r\n");
	expect_downgraded(
		"MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\nContent-Type: "
		"multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nplain\r\n--b\r\nContent-Type: "
		"text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" BODY_8BIT
		"--b\r\nContent-Type: image/x\r\n\r\n\xff\r\n--b--\r\n",
		"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; "
		"boundary=b\r\n\r\n--b\r\n\r\nplain\r\n--b\r\nContent-Type: "
		"text/plain\r\nContent-Transfer-Encoding: "
		"quoted-printable\r\n\r\ncaf=C3=A9\r\n--b\r\nContent-Type: "
		"image/x\r\nContent-Transfer-Encoding: base64\r\n\r\n/w==\r\n--b--\r\n");
	expect_downgraded("Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n" BODY_8BIT
	                  "--b\r\nContent-Type: application/x\r\n\r\nx\r\n--b--\r\n",
	                  NULL);
	expect_downgraded("Content-Transfer-Encoding: x-own\r\n\r\n" BODY_8BIT, NULL);
	expect_downgraded("Subject: only ascii\r\n\r\nx\r\n", "Subject: only ascii\r\n\r\nx\r\n");
}

static void
test_downgrade_binary(void)
{
	g_autofree char *made = downgrade("MIME-Version: 1.0\r\nContent-Type: application/x\r\n"
	                                  "Content-Transfer-Encoding: BINARY\r\n\r\nab\rc\n",
	                                  DOWNGRADE_BINARY, DOWNGRADED);

	g_assert_cmpstr(made, ==,
	                "MIME-Version: 1.0\r\nContent-Type: application/x\r\n"
	                "Content-Transfer-Encoding: base64\r\n\r\nYWINYwo=\r\n");
}

/* A body line of 1200 octets, in a text with @header. */
static char *
shorten(const char *header, Downgraded wanted)
{
	g_autofree char *line = g_strnfill(1200, 'x');
	g_autofree char *text = g_strdup_printf("%s\r\n%s\r\n", header, line);
	char *made = downgrade(text, DOWNGRADE_LINES, wanted);

	if (g_strcmp0(made, text) != 0)
		return made;
	g_free(made);
	return g_strdup("the same");
}

static void
test_long_lines(void)
{
	g_autofree char *made = shorten("Content-Type: text/html\r\n", DOWNGRADED);
	g_autofree char *image = shorten("Content-Type: image/x\r\n", DOWNGRADED);
	g_autofree char *dkim = shorten("DKIM-Signature: v=1\r\n", DOWNGRADED);
	g_autofree char *arc = shorten("ARC-Message-Signature: i=1\r\n", DOWNGRADED);
	g_autofree char *coded = shorten("Content-Transfer-Encoding: base64\r\n", DOWNGRADED);

	g_assert_nonnull(strstr(made, "text/html\r\nMIME-Version: 1.0\r\n"
	                              "Content-Transfer-Encoding: quoted-printable\r\n\r\nxxx"));
	g_assert_nonnull(strstr(made, "xxx=\r\nxxx"));
	g_assert_nonnull(strstr(image, "Content-Transfer-Encoding: base64\r\n\r\neHh4"));
	g_assert_cmpstr(dkim, ==, "the same");
	g_assert_cmpstr(arc, ==, "the same");
	g_assert_cmpstr(coded, ==, "the same");
}

/* The fields as they come out, their longest line in @longest_out. */
static char *
fold(const char *field, size_t *longest_out)
{
	GString *out = g_string_new(NULL);
	g_auto(GStrv) lines = NULL;

	fold_field(ph_slice(field), out);
	lines = g_strsplit(out->str, "\r\n", -1);
	*longest_out = 0;
	for (size_t i = 0; lines[i] != NULL; i++) {
		g_assert_true(i == 0 || lines[i][0] == ' ' || lines[i + 1] == NULL);
		g_assert_true(lines[i][strspn(lines[i], " ")] != '\0' || lines[i + 1] == NULL);
		*longest_out = MAX(*longest_out, strlen(lines[i]));
	}
	return g_string_free(out, FALSE);
}

static void
test_folding(void)
{
	g_autofree char *word = g_strnfill(1500, 'w');
	g_autofree char *alone = g_strdup_printf("Subject: %s\r\n", word);
	g_autofree char *blanks = g_strdup_printf("Subject: %.990s      %.990s  \r\n", word, word);
	g_autoptr(GString) many = g_string_new("To: a@example.org,\r\n");
	g_autofree char *made = NULL;
	g_autofree char *folded = NULL;
	g_autofree char *broken = NULL;
	g_auto(GStrv) lines = NULL;
	g_autofree char *joined = NULL;
	size_t longest = 0;

	made = fold(alone, &longest);
	g_assert_cmpstr(made, ==, alone);
	broken = fold(blanks, &longest);
	g_assert_cmpuint(longest, <, 1010);
	for (int i = 0; i < 500; i++)
		g_string_append_printf(many, " r%d@example.org,", i);
	g_string_append(many, " z@example.org\r\n");
	folded = fold(many->str, &longest);
	g_assert_cmpuint(longest, <=, 998);
	lines = g_strsplit(folded, "\r\n ", -1);
	joined = g_strjoinv(" ", lines);
	g_assert_cmpuint(strlen(joined), ==, many->len - 2);
}

static void
test_folding_a_line_that_is_half_blanks(void)
{
	enum {
		HALF = 512 * 1024
	};

	g_autoptr(GString) field = g_string_new("Subject:");
	g_autofree char *blanks = g_strnfill(HALF, ' ');
	g_autofree char *folded = NULL;
	size_t longest = 0;

	while (field->len < HALF)
		g_string_append(field, " w");
	g_string_append_printf(field, "%s\r\n", blanks);
	folded = fold(field->str, &longest);
	g_assert_cmpuint(longest, >=, HALF);
	g_assert_cmpuint(strlen(folded), >, field->len);
}

/* --- hosts ------------------------------------------------------------------------------------ */

static GArray *
make_hosts(const char *const *names, const uint16_t *preferences, size_t n)
{
	GArray *hosts = g_array_new(FALSE, FALSE, sizeof(Host));

	for (size_t i = 0; i < n; i++) {
		Host host = { (char *) (uintptr_t) names[i], preferences[i],
			      (uint32_t) g_random_int() };

		g_array_append_val(hosts, host);
	}
	return hosts;
}

static void
test_order(void)
{
	const char *const names[] = { "c", "mail.Example.org", "a", "b" };
	const uint16_t preferences[] = { 30, 20, 10, 10 };
	unsigned n_a_first = 0;

	for (int i = 0; i < 200; i++) {
		g_autoptr(GArray) hosts = make_hosts(names, preferences, 4);
		g_autoptr(GArray) all = make_hosts(names, preferences, 4);

		g_assert_true(path_order(hosts, "mail.example.org"));
		g_assert_cmpuint(hosts->len, ==, 2);
		n_a_first += strcmp(g_array_index(hosts, Host, 0).name, "a") == 0;
		g_assert_true(path_order(all, "elsewhere"));
		g_assert_cmpuint(all->len, ==, 4);
		g_assert_cmpstr(g_array_index(all, Host, 3).name, ==, "c");
	}
	g_assert_cmpuint(n_a_first, >, 50);
	g_assert_cmpuint(n_a_first, <, 150);
}

static void
test_loop(void)
{
	const char *const names[] = { "mail.example.org", "b" };
	const uint16_t preferences[] = { 10, 10 };
	g_autoptr(GArray) hosts = make_hosts(names, preferences, 2);

	g_assert_false(path_order(hosts, "mail.example.org"));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/relay/replies-are-joined-and-made-printable", test_replies);
	g_test_add_func("/relay/what-is-no-reply-is-seen", test_no_replies);
	g_test_add_func("/relay/replies-are-bounded", test_reply_bounds);
	g_test_add_func("/relay/capabilities-are-found-without-case", test_caps);
	g_test_add_func("/relay/the-time-that-passed-is-taken-off", test_deliver_by);
	g_test_add_func("/relay/next-hops-are-names-addresses-or-sockets", test_next_hops);
	g_test_add_func("/relay/rules-hold-for-a-domain-or-all-below-it", test_rules);
	g_test_add_func("/relay/no-line-end-is-ever-bare-and-dots-are-stuffed", test_line_ends);
	g_test_add_func("/relay/encodings-are-the-same-however-octets-come", test_encoding);
	g_test_add_func("/relay/parts-that-need-it-become-7-bit", test_downgrade);
	g_test_add_func("/relay/binary-parts-become-base64", test_downgrade_binary);
	g_test_add_func("/relay/long-lines-become-short-where-no-signature-breaks",
	                test_long_lines);
	g_test_add_func("/relay/long-fields-are-folded-at-blanks-alone", test_folding);
	g_test_add_func("/relay/a-long-field-may-end-in-blanks",
	                test_folding_a_line_that_is_half_blanks);
	g_test_add_func("/relay/equal-hosts-come-in-random-order", test_order);
	g_test_add_func("/relay/hosts-at-and-behind-ourselves-are-left-out", test_loop);
	return g_test_run();
}
