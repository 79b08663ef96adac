/* crash.h: a writer that is stopped at any moment, and what must be there afterwards
 *
 * The writer (role "write") tells each commit before and after it ("? ..." and "! ..."). The model
 * hears that; the account must be what the acknowledged commits made of it, with or without the one
 * that was under way.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFORM_CRASH_H
#define POSTHORN_CONFORM_CRASH_H

#include "conform/kit.h"

enum {
	PH_CRASH_LINE = 128,
};

/* PhCrashMessage: one that is there. */
typedef struct {
	uint64_t number;
	uint32_t uid;
	uint32_t flags;
} PhCrashMessage;

/* PhCrashModel: what the acknowledged commits made. */
typedef struct {
	GArray *inbox; /* of PhCrashMessage, by uid */
	GArray *other; /* by number of arrival */
	uint64_t value;
	uint64_t next;               /* number of a message that nobody wrote yet */
	char pending[PH_CRASH_LINE]; /* "a 7": told before, not after */
} PhCrashModel;

PhCrashModel *ph_crash_model_new(void);
void ph_crash_model_free(PhCrashModel *model);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhCrashModel, ph_crash_model_free)

/* ph_crash_length: octets of that message. ph_crash_other: the id of the mailbox "other", or zeros. */
uint64_t ph_crash_length(uint64_t number);
PhMailboxId ph_crash_other(PhKitAccount *a);

/* ph_crash_prepare: makes the account with that mailbox. */
void ph_crash_prepare(void);

/* ph_crash_hear: what the writer says, until it is killed after a random while. */
void ph_crash_hear(PhCrashModel *model, GPid pid, int output);

/* ph_crash_check: opens the account and compares; what was under way becomes part of the model. */
void ph_crash_check(PhCrashModel *model, bool after_power_loss);

/* ph_crash_text: the model in words, for another process. ph_crash_parse: and back. */
char *ph_crash_text(const PhCrashModel *model);
PhCrashModel *ph_crash_parse(const char *text);

#endif
