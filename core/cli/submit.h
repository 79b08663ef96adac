/* submit.h: hands one message to a server by SMTP, as a program on the same machine does
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_CLI_SUBMIT_H
#define PH_CLI_SUBMIT_H

#include <posthorn/types.h>

#include <sys/socket.h>

/* PhSubmission: strings are borrowed. */
typedef struct {
	const char *hostname; /* for EHLO */
	const char *sender;   /* "" for the null path */
	const char *const *recipients;
	size_t n_recipients;
	PhSlice message;    /* with CRLF line ends */
	const char *notify; /* (nullable) RFC 3461; left out where the server has no DSN */
	const char *ret;    /* (nullable) */
	const char *envid;  /* (nullable) as it is, not in xtext */
} PhSubmission;

/* PhSubmitResult: how it went. */
typedef enum {
	PH_SUBMIT_DONE = 0,
	PH_SUBMIT_PARTLY = 1,  /* some recipients were refused; the others have it */
	PH_SUBMIT_REFUSED = 2, /* for good */
	PH_SUBMIT_LATER = 3,   /* the server says: try again later */
	PH_SUBMIT_NOT_SMTP =
		4,          /* whoever listens there speaks something else, or only with users */
	PH_SUBMIT_LOST = 5, /* no connection, or it broke */
} PhSubmitResult;

/* ph_submit: connects, submits and ends the session. @problems: a sentence for each thing that went
 * wrong, with the server's own words. Blocks: up to minutes. */
PhSubmitResult ph_submit(const struct sockaddr *server,
                         socklen_t length,
                         const PhSubmission *submission,
                         GString *problems);

/* ph_submit_pass: for `sendmail -bs`: connects; once the server has greeted by SMTP, passes on what
 * @input_fd gives, and the server's answers to @output_fd, until the server ends.
 * Blocks: as long as both talk. */
PhSubmitResult ph_submit_pass(const struct sockaddr *server,
                              socklen_t length,
                              int input_fd,
                              int output_fd);

#endif
