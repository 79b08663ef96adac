/* describe.h: an offer and its options as text, JSON, markdown and man page, from its rows
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_PLUGIN_DESCRIBE_H
#define PH_PLUGIN_DESCRIBE_H

#include "config/section.h"
#include "config/sections.h"

typedef enum {
	PH_DESCRIBE_TEXT = 0,
	PH_DESCRIBE_JSON = 1,
	PH_DESCRIBE_MARKDOWN = 2,
	PH_DESCRIBE_MAN = 3,
} PhDescribeFormat;

/* ph_describe_offer: with the core's keys of its kind of section behind the plugin's own.
 * Returns: (owned). */
char *ph_describe_offer(const PhOfferInfo *offer, PhDescribeFormat format);

/* ph_describe_section: a kind of section with the core's keys: [server], [tls], ... */
char *ph_describe_section(const PhSectionKind *kind, PhDescribeFormat format);

#endif
