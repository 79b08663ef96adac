/* report-text.h: hostile texts made fit for a report: cleaned, folded, encoded
 *
 * Thread: any, for everything here. Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_QUEUE_REPORT_TEXT_H
#define PH_QUEUE_REPORT_TEXT_H

#include <posthorn/types.h>

/* ph_report_clean: appends at most @max octets of @text as one line: line ends and blanks as one
 * blank, controls (also C1, and those that turn the direction of writing) and what is not UTF-8 as
 * "?"; with @ascii everything above 127 as "?" too. No blank at either end. */
void ph_report_clean(const char *text, size_t max, bool ascii, GString *out);

/* ph_report_field: appends "@name: @value" and CRLF, folded at blanks where a line would pass 76
 * octets. @value: clean. */
void ph_report_field(const char *name, const char *value, GString *out);

/* ph_report_paragraph: appends @text in lines of at most 72 octets where blanks allow it, each
 * behind @n_indent blanks and ended by CRLF. @text: clean. */
void ph_report_paragraph(const char *text, unsigned n_indent, GString *out);

/* ph_report_quote: appends quoted-printable of @octets (RFC 2045 section 6.7); CRLF in it are its
 * line ends, a CR or LF alone is encoded. */
void ph_report_quote(PhSlice octets, GString *out);

/* ph_report_append_address: appends the canonical "local@domain" as it goes on the wire, quoted
 * where the grammar needs it. */
void ph_report_append_address(const char *address, GString *out);

/* ph_report_append_unicode: appends the octets of an address as the 7-bit form of the address type
 * UTF-8 (RFC 6533 section 3). @address: clean UTF-8. */
void ph_report_append_unicode(const char *address, GString *out);

/* PhReportShape: what octets need to be sent as they are. */
typedef struct {
	bool has_8bit; /* octets above 127 */
	bool is_utf8;  /* and those are UTF-8 */
	bool is_unfit; /* NUL, CR or LF alone, or a line above 998 octets */
} PhReportShape;

PhReportShape ph_report_shape(PhSlice octets);

#endif
