/* route-rules.h: values of a [route] section that are more than words
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFIG_ROUTE_RULES_H
#define POSTHORN_CONFIG_ROUTE_RULES_H

#include <posthorn/types.h>

/* ph_route_rule_domain: takes "other.example -> example.org" apart; both in lower case.
 * @from_out, @to_out: (out, owned) only when it has that form. */
bool ph_route_rule_domain(const char *text, char **from_out, char **to_out);

#endif
