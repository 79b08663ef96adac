/* address-literal.c: the domains and address literals of RFC 5321
 *
 *	Domain          = sub-domain *("." sub-domain)
 *	sub-domain      = Let-dig [Ldh-str]                     / U-label (RFC 6531)
 *	address-literal = "[" ( IPv4 / "IPv6:" IPv6 / Ldh-str ":" 1*dcontent ) "]"
 *	dcontent        = %d33-90 / %d94-126
 *	IPv6            = full, with "::" for at least two groups, or either ending in IPv4
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "message/address-literal.h"

#include "message/lex.h"

#define LABEL_MAX 63 /* RFC 1035 section 2.3.4 */

static bool
is_label_octet(char c)
{
	return ph_lex_is(c, PH_LEX_ALNUM) || ph_lex_is_8bit(c);
}

/* One sub-domain. 0: there is none. */
static size_t
scan_label(PhSlice text)
{
	size_t n = 0;

	if (text.length == 0 || !is_label_octet(text.data[0]))
		return 0;
	while (n < text.length && (is_label_octet(text.data[n]) || text.data[n] == '-'))
		n++;
	return text.data[n - 1] == '-' ? 0 : n;
}

static PhAddressResult
scan_name(PhSlice text, size_t *used_out)
{
	size_t at = 0;
	bool long_label = false;

	for (;;) {
		size_t n = scan_label(ph_slice_from(text, at));

		if (n == 0)
			return PH_ADDRESS_SYNTAX;
		long_label |= n > LABEL_MAX;
		at += n;
		if (at == text.length || text.data[at] != '.')
			break;
		at++;
	}
	if (!ph_slice_is_utf8(PH_SLICE(text.data, at)))
		return PH_ADDRESS_SYNTAX;
	*used_out = at;
	return long_label || at > PH_DOMAIN_MAX ? PH_ADDRESS_TOO_LONG : PH_ADDRESS_OK;
}

/* Snum 3("." Snum), all of @text. */
static bool
is_ipv4(PhSlice text)
{
	for (int i = 0; i < 4; i++) {
		PhSlice number = i < 3 ? ph_slice_split(&text, '.') : text;
		uint32_t value = 0;

		if (number.length > 3 || !ph_slice_to_u32(number, 255, &value))
			return false;
	}
	return true;
}

static bool
is_group(PhSlice text)
{
	if (text.length == 0 || text.length > 4)
		return false;
	for (size_t i = 0; i < text.length; i++)
		if (ph_lex_hex(text.data[i]) < 0)
			return false;
	return true;
}

/* Groups of 16 bits in "a:b:c", where the last may be IPv4 if @tail; -1 when it is not that. */
static int
count_groups(PhSlice text, bool tail)
{
	int groups = 0;

	if (text.length == 0)
		return 0;
	for (;;) {
		bool last = ph_slice_find(text, ':') < 0;
		PhSlice group = ph_slice_split(&text, ':');

		if (last && tail && is_ipv4(group))
			return groups + 2;
		if (!is_group(group) || ++groups > 8)
			return -1;
		if (last)
			return groups;
	}
}

static bool
is_ipv6(PhSlice text)
{
	const char *gap = text.length > 1 ? memmem(text.data, text.length, "::", 2) : NULL;
	size_t before = 0;
	int left = 0;
	int right = 0;

	if (gap == NULL)
		return count_groups(text, true) == 8;
	before = (size_t) (gap - text.data);
	left = count_groups(PH_SLICE(text.data, before), false);
	right = count_groups(ph_slice_from(text, before + 2), true);
	return left >= 0 && right >= 0 && left + right <= 6;
}

static bool
is_general(PhSlice text)
{
	PhSlice rest = text;
	PhSlice tag = ph_slice_split(&rest, ':');

	if (tag.length == 0 || rest.length == 0
	    || !ph_lex_is(tag.data[tag.length - 1], PH_LEX_ALNUM))
		return false;
	for (size_t i = 0; i < tag.length; i++)
		if (!ph_lex_is(tag.data[i], PH_LEX_ALNUM) && tag.data[i] != '-')
			return false;
	for (size_t i = 0; i < rest.length; i++)
		if (rest.data[i] < '!' || rest.data[i] > '~' || rest.data[i] == '['
		    || rest.data[i] == '\\')
			return false;
	return true;
}

static PhAddressResult
scan_literal(PhSlice text, size_t *used_out, uint32_t *kind_out)
{
	ssize_t end = ph_slice_find(text, ']');
	PhSlice content = { NULL, 0 };

	if (end < 0)
		return PH_ADDRESS_SYNTAX;
	content = PH_SLICE(text.data + 1, (size_t) end - 1);
	if (is_ipv4(content))
		*kind_out = PH_DOMAIN_IPV4;
	else if (ph_slice_starts_nocase(content, "IPv6:"))
		*kind_out = is_ipv6(ph_slice_from(content, 5)) ? PH_DOMAIN_IPV6 : PH_DOMAIN_NONE;
	else
		*kind_out = is_general(content) ? PH_DOMAIN_GENERAL : PH_DOMAIN_NONE;
	if (*kind_out == PH_DOMAIN_NONE)
		return PH_ADDRESS_SYNTAX;
	*used_out = (size_t) end + 1;
	return *used_out > PH_DOMAIN_MAX ? PH_ADDRESS_TOO_LONG : PH_ADDRESS_OK;
}

PhAddressResult
ph_domain_scan(PhSlice text, size_t *used_out, uint32_t *kind_out)
{
	if (text.length > 0 && text.data[0] == '[')
		return scan_literal(text, used_out, kind_out);
	*kind_out = PH_DOMAIN_NAME;
	return scan_name(text, used_out);
}
