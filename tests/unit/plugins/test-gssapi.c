/* test-gssapi.c: the choice of a security layer, and which principals are users
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "layer.h"

static void
no_layer_is_offered(void)
{
	uint8_t octets[LAYER_OCTETS] = { 9, 9, 9, 9 };
	const uint8_t expected[] = { 1, 0, 0, 0 };

	layer_offer(octets);
	g_assert_cmpmem(octets, sizeof octets, expected, sizeof expected);
}

static void
only_no_layer_can_be_chosen(void)
{
	g_autofree char *none = layer_choice(PH_SLICE_LITERAL("\1\0\0\0"));
	g_autofree char *anna = layer_choice(PH_SLICE_LITERAL("\1\0\0\0anna"));

	g_assert_cmpstr(none, ==, "");
	g_assert_cmpstr(anna, ==, "anna");
	g_assert_null(layer_choice(PH_SLICE_EMPTY));
	g_assert_null(layer_choice(PH_SLICE_LITERAL("\1\0\0")));
	g_assert_null(layer_choice(PH_SLICE_LITERAL("\2\0\0\0anna")));
	g_assert_null(layer_choice(PH_SLICE_LITERAL("\4\0\1\0anna")));
	g_assert_null(layer_choice(PH_SLICE_LITERAL("\1\0\0\0an\0na")));
	g_assert_null(layer_choice(PH_SLICE_LITERAL("\1\0\0\0\xff")));
}

static void
principals_of_the_realms_are_users(void)
{
	static const char *const realms[] = { "EXAMPLE.ORG", "B", NULL };
	const PrincipalRules addresses = { realms, true };
	const PrincipalRules names = { realms, false };
	const PrincipalRules any = { NULL, true };
	g_autofree char *address = principal_user(PH_SLICE_LITERAL("Anna@EXAMPLE.ORG"), &addresses);
	g_autofree char *name = principal_user(PH_SLICE_LITERAL("anna@B"), &names);
	g_autofree char *other = principal_user(PH_SLICE_LITERAL("anna@C"), &any);

	g_assert_cmpstr(address, ==, "Anna@example.org");
	g_assert_cmpstr(name, ==, "anna");
	g_assert_cmpstr(other, ==, "anna@c");
	g_assert_null(principal_user(PH_SLICE_LITERAL("anna@C"), &addresses));
	g_assert_null(principal_user(PH_SLICE_LITERAL("anna@example.org"), &addresses));
}

static void
services_and_odd_names_are_no_users(void)
{
	static const char *const bad[] = {
		"",
		"anna",
		"@EXAMPLE.ORG",
		"anna@",
		"anna/admin@EXAMPLE.ORG",
		"imap/mail@EXAMPLE.ORG",
		"anna\\@B@EXAMPLE.ORG",
		"a@b@EXAMPLE.ORG",
	};
	const PrincipalRules any = { NULL, true };

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_null(principal_user(ph_slice(bad[i]), &any));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/gssapi/no-layer-is-offered", no_layer_is_offered);
	g_test_add_func("/gssapi/only-no-layer-can-be-chosen", only_no_layer_can_be_chosen);
	g_test_add_func("/gssapi/principals-of-the-realms-are-users",
	                principals_of_the_realms_are_users);
	g_test_add_func("/gssapi/services-and-odd-names-are-no-users",
	                services_and_odd_names_are_no_users);
	return g_test_run();
}
