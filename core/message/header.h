/* message/header.h: the steps of ph_header_next, for a scanner that sees pieces
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef MESSAGE_HEADER_H
#define MESSAGE_HEADER_H

#include <posthorn/header.h>

/* ph_header_field_length: octets of the field at the start of @text, folds included.
 * @complete_out: false: @text ends before it is certain that the field does. */
size_t ph_header_field_length(PhSlice text, bool *complete_out);

/* ph_header_is_end: does @line begin with the empty line? */
bool ph_header_is_end(PhSlice line);

/* ph_header_split: name and value of a whole field; leaves the offset alone. */
void ph_header_split(PhSlice whole, PhHeaderField *field_out);

#endif
