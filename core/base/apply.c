/* apply.c: what every store does alike when it applies transactions
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/apply.h>
#include <posthorn/error.h>

#include "base/clock.h"

enum {
	USUAL_KEYWORDS = 64,
	USUAL_KEYWORD_LENGTH = 100,
	SECOND_US = 1000000,
};

/* --- operations -------------------------------------------------------------------------------- */

static bool
is_transfer(const PhOp *op)
{
	return op->kind == PH_OP_COPY || op->kind == PH_OP_MOVE;
}

PhUidSet *
ph_op_targets(PhOp *op, const PhUidSet *there, GError **error)
{
	const PhUidSet *asked = is_transfer(op) && op->has_given ? op->from_uids : op->uids;
	PhUidSet *found = ph_uid_set_copy(asked);
	g_autoptr(PhUidSet) missing = ph_uid_set_copy(asked);

	ph_uid_set_remove_set(missing, there);
	ph_uid_set_remove_set(found, missing);
	if (op->missing != NULL)
		ph_uid_set_add_set(op->missing, missing);
	if (!op->must_exist || ph_uid_set_is_empty(missing))
		return found;
	ph_uid_set_free(found);
	ph_error_set(error, PH_ERROR_NOT_FOUND, "a message is not there");
	return NULL;
}

bool
ph_op_is_refused(PhOp *op, uint32_t uid, uint64_t change, uint64_t own_change)
{
	if (!op->has_unchanged_since || change <= op->unchanged_since || change == own_change)
		return false;
	if (op->refused != NULL)
		ph_uid_set_add(op->refused, uid);
	return true;
}

static bool
has_word(const char *const *words, const char *word)
{
	for (; words != NULL && *words != NULL; words++)
		if (g_ascii_strcasecmp(*words, word) == 0)
			return true;
	return false;
}

/* Words of @from that are in @others, or those that are not, at the end of @to. */
static void
add_words(GPtrArray *to, const char *const *from, const char *const *others, bool in)
{
	for (; from != NULL && *from != NULL; from++)
		if (has_word(others, *from) == in)
			g_ptr_array_add(to, g_strdup(*from));
}

static bool
alter_keywords(const PhOp *op, char ***keywords)
{
	const char *const *old = (const char *const *) *keywords;
	GPtrArray *words = g_ptr_array_new();
	guint n_old = old != NULL ? g_strv_length(*keywords) : 0;
	guint n_kept = 0;

	if (op->flags_mode == PH_FLAGS_ADD)
		add_words(words, old, NULL, false);
	else
		add_words(words, old, op->keywords, op->flags_mode == PH_FLAGS_REPLACE);
	n_kept = words->len;
	if (op->flags_mode != PH_FLAGS_REMOVE)
		add_words(words, op->keywords, old, false);
	g_ptr_array_add(words, NULL);
	if (n_kept == n_old && words->len - 1 == n_kept) {
		g_strfreev((char **) g_ptr_array_free(words, FALSE));
		return false;
	}
	g_strfreev(*keywords);
	*keywords = (char **) g_ptr_array_free(words, FALSE);
	return true;
}

bool
ph_op_alter(const PhOp *op, uint32_t *flags, char ***keywords)
{
	uint32_t now = op->flags;
	bool altered = false;

	if (op->flags_mode == PH_FLAGS_ADD)
		now |= *flags;
	else if (op->flags_mode == PH_FLAGS_REMOVE)
		now = *flags & ~now;
	altered = now != *flags;
	*flags = now;
	return alter_keywords(op, keywords) || altered;
}

uint64_t
ph_op_next_change(const PhOp *op, uint64_t last)
{
	return op->has_given && op->given_change > last ? op->given_change : last + 1;
}

bool
ph_uid_take(uint32_t *uidnext, uint32_t given, uint32_t *uid_out, GError **error)
{
	uint32_t uid = given != 0 ? given : *uidnext;

	if (uid < *uidnext) {
		ph_error_set(error, PH_ERROR_INVALID, "uid %u is below the next one", uid);
		return false;
	}
	if (uid == UINT32_MAX) {
		ph_error_set(error, PH_ERROR_LIMIT, "the mailbox has used all uids");
		return false;
	}
	*uidnext = uid + 1;
	*uid_out = uid;
	return true;
}

uint32_t
ph_uidvalidity_next(uint32_t *last, uint32_t given)
{
	uint32_t now = (uint32_t) CLAMP(ph_clock_wall_us() / SECOND_US, 0, UINT32_MAX - 1);

	if (given != 0) {
		*last = MAX(*last, given);
		return given;
	}
	*last = MAX(*last, now) + 1;
	return *last;
}

static bool
is_known(const GPtrArray *known, const char *word)
{
	for (guint i = 0; i < known->len; i++)
		if (g_ascii_strcasecmp(g_ptr_array_index(known, i), word) == 0)
			return true;
	return false;
}

bool
ph_keywords_admit(GPtrArray *known,
                  const char *const *words,
                  uint32_t most,
                  uint32_t longest,
                  GError **error)
{
	for (; words != NULL && *words != NULL; words++) {
		size_t length = strlen(*words);

		if (is_known(known, *words))
			continue;
		if (length == 0 || length > (longest != 0 ? longest : USUAL_KEYWORD_LENGTH)) {
			ph_error_set(error, PH_ERROR_LIMIT, "a keyword is too long");
			return false;
		}
		if (known->len >= (most != 0 ? most : USUAL_KEYWORDS)) {
			ph_error_set(error, PH_ERROR_LIMIT, "a mailbox holds at most %u keywords",
			             known->len);
			return false;
		}
		g_ptr_array_add(known, g_strdup(*words));
	}
	return true;
}

void
ph_mailbox_info_count(PhMailboxInfo *info, const PhRecord *record, int by)
{
	uint32_t unseen = (record->flags & PH_FLAG_SEEN) == 0;
	uint32_t deleted = (record->flags & PH_FLAG_DELETED) != 0;

	info->n_messages += by < 0 ? UINT32_MAX : 1U;
	info->n_unseen += by < 0 ? 0 - unseen : unseen;
	info->n_deleted += by < 0 ? 0 - deleted : deleted;
	info->octets += by < 0 ? 0 - record->octets : record->octets;
}

/* --- copies ------------------------------------------------------------------------------------- */

PhRecord *
ph_apply_record_copy(const PhRecord *record)
{
	PhRecord *copy = g_memdup2(record, sizeof *record);

	copy->keywords = (const char *const *) g_strdupv((char **) (uintptr_t) record->keywords);
	copy->structure.data = g_memdup2(record->structure.data, record->structure.length);
	return copy;
}

void
ph_apply_record_free(PhRecord *record)
{
	if (record == NULL)
		return;
	g_strfreev((char **) (uintptr_t) record->keywords);
	g_free((char *) (uintptr_t) record->structure.data);
	g_free(record);
}

static void *
copy_word(const void *word, void *user_data)
{
	return g_strdup(word);
}

PhApplyMailbox *
ph_apply_mailbox_new(const PhMailboxInfo *info)
{
	PhApplyMailbox *mailbox = g_new0(PhApplyMailbox, 1);

	mailbox->info = *info;
	mailbox->info.name = g_strdup(info->name);
	mailbox->there = ph_uid_set_new();
	mailbox->keywords = g_ptr_array_new_with_free_func(g_free);
	return mailbox;
}

PhApplyMailbox *
ph_apply_mailbox_copy(const PhApplyMailbox *mailbox)
{
	PhApplyMailbox *copy = g_memdup2(mailbox, sizeof *mailbox);

	copy->info.name = g_strdup(mailbox->info.name);
	copy->there = ph_uid_set_copy(mailbox->there);
	copy->keywords = g_ptr_array_copy(mailbox->keywords, copy_word, NULL);
	g_ptr_array_set_free_func(copy->keywords, g_free);
	return copy;
}

void
ph_apply_mailbox_free(PhApplyMailbox *mailbox)
{
	if (mailbox == NULL)
		return;
	g_free((char *) (uintptr_t) mailbox->info.name);
	ph_uid_set_free(mailbox->there);
	g_ptr_array_unref(mailbox->keywords);
	g_free(mailbox);
}
