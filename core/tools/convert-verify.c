/* convert-verify.c: is the target what the source is?
 *
 * Octets are compared by a digest of every message on both sides, each once in a run: they never
 * change. The rest is compared while the source is held.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tools/convert.h"

#include <string.h>

enum {
	CHUNK = 500 /* messages whose records are held on each side */
};

static bool
differ(PhConvert *convert, GError **error, const char *what, const char *mailbox, uint32_t uid)
{
	ph_error_set(error, PH_ERROR_CORRUPT,
	             "%s differs in mailbox '%s' uid %u; the user was not moved", what, mailbox,
	             uid);
	return false;
}

/* --- octets --------------------------------------------------------------------------------------- */

static bool
gather(const PhRecord *record, void *user_data)
{
	g_ptr_array_add(user_data, ph_record_dup(record));
	return ((GPtrArray *) user_data)->len < CHUNK;
}

static GPtrArray *
read_chunk(PhAccount *account, const PhMailboxId *mailbox, uint32_t first, GError **error)
{
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(first, UINT32_MAX);
	g_autoptr(GPtrArray) records =
		g_ptr_array_new_with_free_func((GDestroyNotify) ph_record_free);

	if (!ph_read_records(account, mailbox, uids, gather, records, error))
		return NULL;
	return g_steal_pointer(&records);
}

static bool
digest_of(PhAccount *account,
          const PhMailboxId *mailbox,
          const PhRecord *record,
          uint8_t digest[PH_DIGEST_OCTETS],
          GError **error)
{
	g_autoptr(PhContent) content = ph_read_content(account, mailbox, record, error);

	return content != NULL && ph_content_digest(content, digest, error);
}

static bool
same_octets(PhConvert *convert,
            const PhMailboxInfo *info,
            const PhRecord *from,
            const PhRecord *to,
            GError **error)
{
	uint8_t left[PH_DIGEST_OCTETS];
	uint8_t right[PH_DIGEST_OCTETS];
	g_autoptr(GError) why = NULL;

	if (!digest_of(convert->from, &info->id, from, left, &why)) {
		if (g_error_matches(why, PH_ERROR, PH_ERROR_GONE))
			return true;
		g_propagate_error(error, g_steal_pointer(&why));
		return false;
	}
	if (!digest_of(convert->to, &info->id, to, right, error))
		return false;
	return memcmp(left, right, sizeof left) == 0
	       || differ(convert, error, "a message", info->name, from->uid);
}

static uint32_t
verified_to(const PhConvert *convert, const PhMailboxId *mailbox)
{
	return GPOINTER_TO_UINT(g_hash_table_lookup(convert->verified, mailbox));
}

/* The records of both sides from a uid on that both have. */
static bool
verify_pairs(PhConvert *convert,
             const PhMailboxInfo *info,
             const GPtrArray *from,
             const GPtrArray *to,
             GError **error)
{
	guint j = 0;

	for (guint i = 0; i < from->len; i++) {
		const PhRecord *record = from->pdata[i];

		while (j < to->len && ((const PhRecord *) to->pdata[j])->uid < record->uid)
			j++;
		if (j == to->len)
			return true;
		if (((const PhRecord *) to->pdata[j])->uid != record->uid)
			continue;
		if (!ph_job_go_on(convert->job, error)
		    || !same_octets(convert, info, record, to->pdata[j], error))
			return false;
		if (ph_job_progress(convert->job))
			ph_job_print(convert->job, PH_JOB_PROGRESS, "%s: compared '%s' up to %u",
			             convert->address, info->name, record->uid);
		(void) g_hash_table_replace(convert->verified,
		                            g_memdup2(&info->id, sizeof info->id),
		                            GUINT_TO_POINTER(record->uid));
	}
	return true;
}

static bool
verify_mailbox(PhConvert *convert, const PhMailboxInfo *info, GError **error)
{
	uint32_t before = 0;

	do {
		g_autoptr(GPtrArray) from = NULL;
		g_autoptr(GPtrArray) to = NULL;

		before = verified_to(convert, &info->id);
		if (before == UINT32_MAX)
			return true;
		from = read_chunk(convert->from, &info->id, before + 1, error);
		to = from != NULL ? read_chunk(convert->to, &info->id, before + 1, error) : NULL;
		if (to == NULL || !verify_pairs(convert, info, from, to, error))
			return false;
	} while (verified_to(convert, &info->id) != before);
	return true;
}

bool
ph_convert_verify_octets(PhConvert *convert, GError **error)
{
	g_autoptr(GArray) from = ph_read_mailboxes(convert->from, error);

	if (from == NULL)
		return false;
	for (guint i = 0; i < from->len; i++)
		if (!verify_mailbox(convert, &g_array_index(from, PhMailboxInfo, i), error))
			return false;
	return true;
}

/* --- everything else -------------------------------------------------------------------------------- */

static bool
same_keywords(const PhRecord *a, const PhRecord *b)
{
	guint n = g_strv_length((char **) (uintptr_t) a->keywords);

	if (n != g_strv_length((char **) (uintptr_t) b->keywords))
		return false;
	for (guint i = 0; i < n; i++) {
		guint j = 0;

		while (j < n && g_ascii_strcasecmp(a->keywords[i], b->keywords[j]) != 0)
			j++;
		if (j == n)
			return false;
	}
	return true;
}

/* What differs, or NULL. A change may have become higher: a client then only looks again. */
static const char *
difference(const PhRecord *a, const PhRecord *b)
{
	if (a->uid != b->uid)
		return "the uid";
	if (a->flags != b->flags)
		return "a flag";
	if (!same_keywords(a, b))
		return "a keyword";
	if (a->change > b->change)
		return "the change number";
	if (a->internal_date != b->internal_date || a->internal_zone != b->internal_zone)
		return "the internal date";
	if (a->save_date != b->save_date)
		return "the save date";
	if (a->octets != b->octets)
		return "the size";
	if (memcmp(a->message_id, b->message_id, sizeof a->message_id) != 0)
		return "the message id";
	return NULL;
}

static bool
compare_records(PhConvert *convert, const PhMailboxInfo *info, GError **error)
{
	uint32_t first = 1;

	for (;;) {
		g_autoptr(GPtrArray) from = read_chunk(convert->from, &info->id, first, error);
		g_autoptr(GPtrArray) to =
			from != NULL ? read_chunk(convert->to, &info->id, first, error) : NULL;

		if (to == NULL)
			return false;
		if (from->len != to->len)
			return differ(convert, error, "the number of messages", info->name, first);
		for (guint i = 0; i < from->len; i++) {
			const char *what = difference(from->pdata[i], to->pdata[i]);

			if (what != NULL)
				return differ(convert, error, what, info->name,
				              ((const PhRecord *) from->pdata[i])->uid);
		}
		if (from->len == 0)
			return true;
		first = ((const PhRecord *) from->pdata[from->len - 1])->uid;
		if (first == UINT32_MAX)
			return true;
		first++;
	}
}

static bool
compare_mailbox(PhConvert *convert,
                const PhMailboxInfo *from,
                const PhMailboxInfo *to,
                GError **error)
{
	if (to == NULL || strcmp(from->name, to->name) != 0)
		return differ(convert, error, "the name", from->name, 0);
	if (from->uidvalidity != to->uidvalidity)
		return differ(convert, error, "the uidvalidity", from->name, 0);
	if (from->uidnext > to->uidnext || from->change > to->change)
		return differ(convert, error, "a counter", from->name, from->uidnext);
	if (from->special_use != to->special_use)
		return differ(convert, error, "the special use", from->name, 0);
	return compare_records(convert, from, error);
}

bool
ph_convert_verify_all(PhConvert *convert, GError **error)
{
	g_autoptr(GArray) from = NULL;
	g_autoptr(GArray) to = NULL;

	if (!ph_convert_verify_octets(convert, error))
		return false;
	from = ph_read_mailboxes(convert->from, error);
	to = from != NULL ? ph_read_mailboxes(convert->to, error) : NULL;
	if (to == NULL)
		return false;
	if (from->len != to->len)
		return differ(convert, error, "the number of mailboxes", "INBOX", 0);
	for (guint i = 0; i < from->len; i++) {
		const PhMailboxInfo *info = &g_array_index(from, PhMailboxInfo, i);

		if (!compare_mailbox(convert, info, ph_mailbox_by_id(to, &info->id), error))
			return false;
	}
	return true;
}
