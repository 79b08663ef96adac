/* mail-edit.h: what filters change of a mail, until it is put together again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_MAIL_EDIT_H
#define PH_SERVER_MAIL_EDIT_H

#include <posthorn/filter.h>

typedef struct PhMailEdit PhMailEdit;

/* ph_mail_apply_edits: ph_mail_content() has the edits from now on. */
void ph_mail_apply_edits(PhMail *mail);

/* ph_mail_edits: what was changed and not applied yet; false: nothing. @body_out: (borrowed,
 * nullable) NULL when the body is the same. */
bool ph_mail_edits(const PhMail *mail, PhSlice *header_out, PhContent **body_out);

/* ph_mail_replace_header: the whole block, with its empty line. Errors: those of the other edits. */
bool ph_mail_replace_header(PhMail *mail, PhSlice block, GError **error);

/* ph_mail_end_early: the content of the header that was shown is there. False: none was.
 * ph_mail_early_header: the header while its content is still coming; else empty. Borrowed. */
bool ph_mail_end_early(PhMail *mail, const PhContent *content);
PhSlice ph_mail_early_header(const PhMail *mail);

/* ph_mail_forget_edits: the content is another one. */
void ph_mail_forget_edits(PhMail *mail);

/* ph_mail_copy_facts: those of @from, as far as @to has none. */
void ph_mail_copy_facts(PhMail *to, const PhMail *from);

/* ph_mail_drop_recipient: as if it had not been added. */
void ph_mail_drop_recipient(PhMail *mail, size_t index);

#endif
