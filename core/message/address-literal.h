/* message/address-literal.h: the domains and address literals of RFC 5321
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef MESSAGE_ADDRESS_LITERAL_H
#define MESSAGE_ADDRESS_LITERAL_H

#include <posthorn/address.h>

/* ph_domain_scan: the Domain or address-literal at the start of @text.
 * @used_out: its octets     @kind_out: PhDomainKind. Both for OK and TOO_LONG. UTF-8 is accepted
 * when well formed. */
PhAddressResult ph_domain_scan(PhSlice text, size_t *used_out, uint32_t *kind_out);

#endif
