/* message/mime-value.h: Content-Type and Content-Disposition, parameter by parameter
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef MESSAGE_MIME_VALUE_H
#define MESSAGE_MIME_VALUE_H

#include <posthorn/header.h>

#define PH_MIME_PARAMETERS_MAX 100

/* PhMimeParam: one parameter as written: RFC 2231 marks in the name, value dequoted. */
typedef struct {
	PhSlice name;
	PhSlice value;
} PhMimeParam;

/* ph_mime_type: "type/subtype" at the start of @rest. False: it is not a type. */
bool ph_mime_type(PhSlice *rest, PhSlice *type_out, PhSlice *subtype_out);

/* ph_mime_token: the token at the start of @rest, after blanks and comments; empty for none. */
PhSlice ph_mime_token(PhSlice *rest);

/* ph_mime_param_next: the next parameter. @scratch is overwritten when a value holds escapes; slices
 * are good until the next call. False: no more. The caller counts. */
bool ph_mime_param_next(PhSlice *rest, GString *scratch, PhMimeParam *param_out);

#endif
