/* test-grammar.c: the pure parts of the smtp plugin: parameters, Received fields
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "hops.h"
#include "parameters.h"

#include <string.h>

static MailParametersResult
parse(const char *text, MailParameters *out)
{
	return mail_parameters_parse(ph_slice(text), out);
}

static void
test_parameters_good(void)
{
	MailParameters out;

	g_assert_cmpint(parse("", &out), ==, MAIL_PARAMETERS_OK);
	g_assert_false(out.has_size || out.has_body || out.is_utf8 || out.has_auth);
	g_assert_cmpint(parse(" SIZE=1000 BODY=8BITMIME SMTPUTF8 AUTH=<>", &out), ==,
	                MAIL_PARAMETERS_OK);
	g_assert_cmpuint(out.octets, ==, 1000);
	g_assert_true(out.has_size && out.is_8bit && out.is_utf8 && out.has_auth);
	g_assert_cmpint(parse(" body=7bit  size=0", &out), ==, MAIL_PARAMETERS_OK);
	g_assert_true(out.has_body && !out.is_8bit && out.has_size && out.octets == 0);
	g_assert_cmpint(parse(" AUTH=e+3Dmc2@example.com", &out), ==, MAIL_PARAMETERS_OK);
}

static void
test_parameters_sizes(void)
{
	MailParameters out;

	parse(" SIZE=4294967297", &out);
	g_assert_cmpuint(out.octets, ==, G_GUINT64_CONSTANT(4294967297));
	parse(" SIZE=9223372036854775808", &out);
	g_assert_cmpuint(out.octets, ==, G_GUINT64_CONSTANT(9223372036854775808));
	g_assert_cmpint(parse(" SIZE=99999999999999999999", &out), ==, MAIL_PARAMETERS_OK);
	g_assert_cmpuint(out.octets, ==, UINT64_MAX);
	g_assert_cmpint(parse(" SIZE=000000000000000000001", &out), ==, MAIL_PARAMETERS_SYNTAX);
}

static void
test_parameters_bad(void)
{
	static const char *const syntax[] = {
		" SIZE",
		" SIZE=",
		" SIZE=x",
		" SIZE=-1",
		" SIZE=1 SIZE=1",
		" BODY",
		" BODY=BINARYMIME",
		" SMTPUTF8=1",
		" SMTPUTF8 SMTPUTF8",
		" AUTH",
		" AUTH=",
		" AUTH=+3",
		" AUTH=+0D+0A",
		" AUTH=nobody",
		"SIZE=1",
		" -SIZE=1",
		" SI ZE=\x01",
		" =1",
		" SIZE==1",
		" SIZE=1=2",
	};
	static const char *const unknown[] = { " RET=FULL", " ENVID=x", " X", " SIZE=1 FOO=bar" };
	MailParameters out;

	for (size_t i = 0; i < G_N_ELEMENTS(syntax); i++) {
		MailParametersResult result = parse(syntax[i], &out);

		if (strcmp(syntax[i], " SI ZE=\x01") == 0)
			g_assert_cmpint(result, ==, MAIL_PARAMETERS_UNKNOWN);
		else
			g_assert_cmpint(result, ==, MAIL_PARAMETERS_SYNTAX);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++)
		g_assert_cmpint(parse(unknown[i], &out), ==, MAIL_PARAMETERS_UNKNOWN);
}

static uint32_t
count_received(const char *text, size_t step)
{
	Hops hops = { 0 };

	for (size_t at = 0; at < strlen(text); at += step)
		hops_scan(&hops, PH_SLICE(text + at, MIN(step, strlen(text) - at)));
	return hops.n_received;
}

static void
test_hops(void)
{
	static const char text[] =
		"Received: a\r\n\tReceived: no\r\nreceived: b\r\nReceive: x\r\n"
		"RECEIVED:c\r\nX-Received: d\r\nReceived : e\r\n\r\nReceived: f\r\n";

	for (size_t step = 1; step < sizeof text; step++)
		g_assert_cmpuint(count_received(text, step), ==, 3);
	g_assert_cmpuint(count_received("\r\nReceived: a\r\n", 100), ==, 0);
	g_assert_cmpuint(count_received("", 100), ==, 0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/smtp/parameters/are-taken-by-name", test_parameters_good);
	g_test_add_func("/smtp/parameters/size-never-wraps", test_parameters_sizes);
	g_test_add_func("/smtp/parameters/broken-and-unknown-differ", test_parameters_bad);
	g_test_add_func("/smtp/hops/counts-received-in-any-pieces", test_hops);
	return g_test_run();
}
