/* fuzz-option.c: any text as a value of each type; first octet: the type
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "config/expand.h"
#include "config/listen.h"
#include "config/options.h"
#include "config/suggest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef union {
	void *pointer;
	uint64_t number;
	char space[16];
} Member;

static const char *const words[] = { "red", "green", NULL };

static void
try_addresses(const char *text)
{
	g_autoptr(GString) problem = g_string_new("");
	PhListenAddress address;
	PhNetwork network;

	if (ph_listen_parse(text, &address, problem))
		g_assert_true(ph_listen_collide(&address, &address) || address.port == 0);
	if (ph_network_parse(text, &network, problem))
		g_assert_cmpuint(network.bits, <=, 128);
}

static void
try_template(const char *text)
{
	PhIdentityValues values = { .size = sizeof values, .user = text, .domain = "example.org" };
	g_autoptr(PhIdentity) identity = ph_identity_new(&values, NULL);
	g_autofree char *path = NULL;

	if (identity == NULL)
		return;
	path = ph_expand_template("{user}", identity);
	g_assert_null(strchr(path, '/'));
	g_assert_cmpint(path[0], !=, '.');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const PhOptionContext context = { .folder = "/", .data = "/d", .hostname = "h" };
	PhOption row = { .key = "k", .help = "h", .choices = words, .minimum = 0, .maximum = 1000 };
	g_autoptr(GString) problem = g_string_new("");
	g_autofree char *text = NULL;
	Member member = { .space = "" };

	if (size == 0 || memchr(data, 0, size) != NULL)
		return 0;
	text = ph_slice_dup(PH_SLICE((const char *) data + 1, size - 1));
	row.type = 1 + data[0] % PH_OPTION_TYPE_LIST;
	if (!ph_option_parse(&row, text, &context, &member, problem))
		g_assert_cmpuint(problem->len, >, 0);
	ph_option_clear(&row, &member);
	try_addresses(text);
	try_template(text);
	g_assert_cmpuint(ph_suggest_distance(text, text), ==, 0);
	return 0;
}
