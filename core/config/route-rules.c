/* route-rules.c: values of a [route] section that are more than words
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config/route-rules.h"

#include <posthorn/address.h>
#include <posthorn/slice.h>

#include <string.h>

static bool
is_domain(PhSlice text)
{
	uint32_t kind = 0;

	return ph_domain_parse(text, PH_ADDRESS_ALLOW_UTF8, &kind) == PH_ADDRESS_OK
	       && kind == PH_DOMAIN_NAME;
}

bool
ph_route_rule_domain(const char *text, char **from_out, char **to_out)
{
	const char *arrow = strstr(text, "->");
	PhSlice from = PH_SLICE(text, arrow != NULL ? (size_t) (arrow - text) : 0);
	PhSlice to = ph_slice_trim(ph_slice(arrow != NULL ? arrow + 2 : NULL));

	from = ph_slice_trim(from);
	if (!is_domain(from) || !is_domain(to))
		return false;
	*from_out = g_ascii_strdown(from.data, (gssize) from.length);
	*to_out = g_ascii_strdown(to.data, (gssize) to.length);
	return true;
}
