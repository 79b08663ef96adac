/* fuzz-address.c: paths, mailboxes, domains, xtext and address lists
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/address.h>
#include <posthorn/slice.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was parsed is written and parsed again: the same address. */
static void
check_address(const PhAddress *address, uint32_t flags)
{
	g_autofree char *text = NULL;
	PhAddress again;

	g_assert_cmpuint(strlen(address->local), ==, address->local_length);
	g_assert_cmpuint(strlen(address->domain), ==, address->domain_length);
	if (address->kind != PH_ADDRESS_MAILBOX)
		return;
	text = ph_address_dup(address);
	/* quotes that the canonical form needs may make it longer than is allowed */
	if (ph_address_parse_mailbox(ph_slice(text), flags, &again) == PH_ADDRESS_OK)
		g_assert_true(ph_address_equal(address, &again));
}

static void
check_list(PhSlice text)
{
	g_autoptr(GString) scratch = g_string_new(NULL);
	PhAddressIter iter;
	PhListed item;
	size_t octets = 0;

	ph_address_iter_init(&iter, text, scratch);
	while (ph_address_iter_next(&iter, &item))
		octets += item.name.length + item.route.length + item.local.length
		          + item.domain.length;
	g_assert_cmpuint(octets, <=, 2 * text.length);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PhSlice text = PH_SLICE((const char *) data, size);
	uint32_t flags = size > 0 ? data[0] & 7 : 0;
	g_autoptr(GString) out = g_string_new(NULL);
	g_autoptr(GString) back = g_string_new(NULL);
	PhAddress address;
	uint32_t kind = 0;
	size_t used = 0;

	text = ph_slice_from(text, 1);
	if (ph_address_parse_path(text, flags, &address, &used) == PH_ADDRESS_OK) {
		g_assert_cmpuint(used, <=, text.length);
		check_address(&address, flags);
	}
	if (ph_address_parse_mailbox(text, flags, &address) == PH_ADDRESS_OK)
		check_address(&address, flags);
	(void) ph_domain_parse(text, flags, &kind);
	(void) ph_xtext_decode(text, out);
	g_string_truncate(out, 0);
	ph_xtext_encode(text, out);
	g_assert_true(ph_xtext_decode(PH_SLICE(out->str, out->len), back));
	g_assert_true(ph_slice_equal(PH_SLICE(back->str, back->len), text));
	check_list(text);
	return 0;
}
