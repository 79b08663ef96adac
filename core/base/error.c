/* error.c: the error domain and what the three protocols say for each class
 *
 * The table below is the one in <posthorn/error.h>, with the core's own behind it. Texts are for a
 * person at the other end: they never hold anything from the GError's message, which is for the
 * operator.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/error.h"

#include <errno.h>

static const PhErrorReply replies[] = {
	{ PH_ERROR_TEMPORARY, 451, "4.3.0", "Temporary failure, please try again later", "NO",
	  "UNAVAILABLE", "SYS/TEMP", "Temporary failure, please try again later" },
	{ PH_ERROR_PERMANENT, 554, "5.0.0", "This cannot be done", "NO", "CANNOT", "SYS/PERM",
	  "This cannot be done" },
	{ PH_ERROR_NOT_FOUND, 550, "5.1.1", "No such user here", "NO", "NONEXISTENT", "SYS/PERM",
	  "It does not exist" },
	{ PH_ERROR_EXISTS, 554, "5.0.0", "It exists already", "NO", "ALREADYEXISTS", "SYS/PERM",
	  "It exists already" },
	{ PH_ERROR_DENIED, 550, "5.7.1", "Not allowed", "NO", "NOPERM", "SYS/PERM", "Not allowed" },
	{ PH_ERROR_OVER_QUOTA, 452, "4.2.2", "The mailbox is full", "NO", "OVERQUOTA", "SYS/TEMP",
	  "The mailbox is full" },
	{ PH_ERROR_TOO_LARGE, 552, "5.3.4", "Too large", "NO", "LIMIT", "SYS/PERM", "Too large" },
	{ PH_ERROR_LIMIT, 452, "4.5.3", "Too many, please try again later", "NO", "LIMIT",
	  "SYS/TEMP", "A limit was reached" },
	{ PH_ERROR_INVALID, 501, "5.5.4", "Not valid", "BAD", NULL, NULL, "Not valid" },
	{ PH_ERROR_UNSUPPORTED, 504, "5.5.4", "Not supported here", "NO", "CANNOT", "SYS/PERM",
	  "Not supported here" },
	{ PH_ERROR_GONE, 451, "4.3.0", "It is no longer there, please try again later", "NO",
	  "EXPUNGEISSUED", "SYS/TEMP", "It is no longer there" },
	{ PH_ERROR_CORRUPT, 451, "4.3.0", "Stored data is damaged, please try again later", "NO",
	  "CORRUPTION", "SYS/TEMP", "Stored data is damaged" },
	{ PH_ERROR_OUTCOME_UNKNOWN, 451, "4.3.0", "Temporary failure, please try again later", "NO",
	  "UNAVAILABLE", "SYS/TEMP", "Temporary failure, please try again later" },
	{ PH_ERROR_LOOP, 554, "5.4.6", "The message goes round in a circle", "NO", "CANNOT",
	  "SYS/PERM", "It goes round in a circle" },
};

GQuark
ph_error_quark(void)
{
	return g_quark_from_static_string("ph-error");
}

const PhErrorReply *
ph_error_reply(const GError *error)
{
	if (error == NULL || error->domain != PH_ERROR)
		return &replies[0];
	for (size_t i = 0; i < G_N_ELEMENTS(replies); i++)
		if (replies[i].code == (uint32_t) error->code)
			return &replies[i];
	return &replies[0];
}

bool
ph_error_is_temporary(const GError *error)
{
	const PhErrorReply *reply = ph_error_reply(error);

	return reply->smtp_code < 500;
}

static void
set_with(GError **error, uint32_t code, int errnum, const char *format, va_list args)
{
	g_autofree char *message = g_strdup_vprintf(format, args);

	if (errnum == 0)
		g_set_error_literal(error, PH_ERROR, (int) code, message);
	else
		g_set_error(error, PH_ERROR, (int) code, "%s: %s", message, g_strerror(errnum));
}

void
ph_error_set(GError **error, uint32_t code, const char *format, ...)
{
	va_list args;

	if (error == NULL)
		return;
	va_start(args, format);
	set_with(error, code, 0, format, args);
	va_end(args);
}

static uint32_t
code_of(int errnum)
{
	switch (errnum) {
	case ENOENT:
		return PH_ERROR_NOT_FOUND;
	case EEXIST:
		return PH_ERROR_EXISTS;
	case EACCES:
	case EPERM:
		return PH_ERROR_DENIED;
	case EDQUOT:
		return PH_ERROR_OVER_QUOTA;
	case EFBIG:
		return PH_ERROR_TOO_LARGE;
	case ENAMETOOLONG:
		return PH_ERROR_INVALID;
	default:
		return PH_ERROR_TEMPORARY;
	}
}

void
ph_error_set_errno(GError **error, int errnum, const char *format, ...)
{
	va_list args;

	if (error == NULL)
		return;
	va_start(args, format);
	set_with(error, code_of(errnum), errnum, format, args);
	va_end(args);
}
