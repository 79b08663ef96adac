/* error.h: the closed list of ways the world can fail, and what each client then sees
 *
 * A plugin chooses the class, the core chooses the words on the wire. Errors are GErrors of the
 * one domain PH_ERROR. Messages are for the operator's log: lower case, no full stop, no newline,
 * the object's name in single quotes. They are never sent to a peer.
 *
 * Normal outcomes (a wrong password, an unknown user) are not errors: they are enum results.
 *
 * | code            | SMTP        | IMAP                  | POP3         |
 * |-----------------|-------------|-----------------------|--------------|
 * | TEMPORARY       | 451 4.3.0   | NO [UNAVAILABLE]      | [SYS/TEMP]   |
 * | PERMANENT       | 554 5.0.0   | NO [CANNOT]           | [SYS/PERM]   |
 * | NOT_FOUND       | 550 5.1.1   | NO [NONEXISTENT]      | [SYS/PERM]   |
 * | EXISTS          | 554 5.0.0   | NO [ALREADYEXISTS]    | [SYS/PERM]   |
 * | DENIED          | 550 5.7.1   | NO [NOPERM]           | [SYS/PERM]   |
 * | OVER_QUOTA      | 452 4.2.2   | NO [OVERQUOTA]        | [SYS/TEMP]   |
 * | TOO_LARGE       | 552 5.3.4   | NO [LIMIT]            | [SYS/PERM]   |
 * | LIMIT           | 452 4.5.3   | NO [LIMIT]            | [SYS/TEMP]   |
 * | INVALID         | 501 5.5.4   | BAD                   | (none)       |
 * | UNSUPPORTED     | 504 5.5.4   | NO [CANNOT]           | [SYS/PERM]   |
 * | GONE            | 451 4.3.0   | NO [EXPUNGEISSUED]    | [SYS/TEMP]   |
 * | CORRUPT         | 451 4.3.0   | NO [CORRUPTION]       | [SYS/TEMP]   |
 * | OUTCOME_UNKNOWN | 451 4.3.0   | NO [UNAVAILABLE]      | [SYS/TEMP]   |
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_ERROR_H
#define POSTHORN_ERROR_H

#include <posthorn/types.h>

G_BEGIN_DECLS

/* PhError: values are part of the ABI. */
typedef enum {
	PH_ERROR_TEMPORARY = 1,        /* a back end is away, the disk is full: try later */
	PH_ERROR_PERMANENT = 2,        /* it will not work however often it is tried */
	PH_ERROR_NOT_FOUND = 3,        /* no such user, mailbox, file */
	PH_ERROR_EXISTS = 4,           /* the name is taken */
	PH_ERROR_DENIED = 5,           /* the caller may not */
	PH_ERROR_OVER_QUOTA = 6,       /* the account's limit would be passed */
	PH_ERROR_TOO_LARGE = 7,        /* one object is larger than is taken */
	PH_ERROR_LIMIT = 8,            /* too many of something */
	PH_ERROR_INVALID = 9,          /* the request itself makes no sense */
	PH_ERROR_UNSUPPORTED = 10,     /* understood, but not offered here */
	PH_ERROR_GONE = 11,            /* it was there and was removed */
	PH_ERROR_CORRUPT = 12,         /* stored data is not what was stored */
	PH_ERROR_OUTCOME_UNKNOWN = 13, /* the engine cannot say whether a commit happened */
} PhError;

#define PH_ERROR ph_error_quark()

PH_PUBLIC GQuark ph_error_quark(void);

/* PhErrorReply: what the three protocols say for an error class. Strings are static. */
typedef struct {
	uint32_t code;            /* PhError */
	uint32_t smtp_code;       /* 451 */
	const char *smtp_status;  /* "4.3.0" (RFC 3463) */
	const char *smtp_text;    /* a sentence for a person */
	const char *imap_reply;   /* "NO" or "BAD" */
	const char *imap_code;    /* "UNAVAILABLE" (RFC 5530), NULL for none */
	const char *pop3_code;    /* "SYS/TEMP" (RFC 3206), NULL for none */
	const char *text;         /* sentence for IMAP and POP3, without markup */
} PhErrorReply;

/* ph_error_reply: the row for an error; TEMPORARY for NULL and for foreign domains.
 * @error: (borrowed, nullable). Thread: any. Never NULL. */
PH_PUBLIC const PhErrorReply *ph_error_reply(const GError *error);

/* ph_error_is_temporary: would a later attempt make sense? Thread: any. */
PH_PUBLIC bool ph_error_is_temporary(const GError *error);

/* ph_error_set: g_set_error in the domain PH_ERROR. @error: (out, nullable). Thread: any. */
PH_PUBLIC void ph_error_set(GError **error, uint32_t code, const char *format, ...)
	G_GNUC_PRINTF(3, 4);

/* ph_error_set_errno: the same for a failed system call: ENOENT is NOT_FOUND, EEXIST is EXISTS,
 * EACCES and EPERM are DENIED, EDQUOT is OVER_QUOTA, EFBIG is TOO_LARGE, ENAMETOOLONG is INVALID,
 * all others (ENOSPC, EIO, EMFILE, ...) are TEMPORARY. ": " and the system's text for @errnum are
 * appended to the message. Thread: any. */
PH_PUBLIC void ph_error_set_errno(GError **error, int errnum, const char *format, ...)
	G_GNUC_PRINTF(3, 4);

G_END_DECLS

#endif
