/* gather.c: collects what SORT and THREAD compare, message by message, in slices
 *
 * A message that is gone when its structure is needed is left out.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/gather.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

struct PhGather {
	PhView *view;
	PhUidSet *uids;
	PhCursor *cursor;
	uint32_t fields;
	PhGatherFunc func;
	void *user_data;
};

PhGather *
ph_gather_new(PhView *view,
              const PhUidSet *numbers,
              uint32_t fields,
              PhGatherFunc func,
              void *user_data)
{
	PhGather *gather = g_new0(PhGather, 1);

	gather->view = view;
	gather->uids = ph_view_uids(view, numbers, NULL);
	gather->fields = fields;
	gather->cursor = ph_cursor_new(view, gather->uids, fields);
	gather->func = func;
	gather->user_data = user_data;
	return gather;
}

void
ph_gather_free(PhGather *gather)
{
	if (gather == NULL)
		return;
	ph_cursor_free(gather->cursor);
	ph_uid_set_free(gather->uids);
	g_free(gather);
}

static bool
take(PhGather *gather, const PhRecord *record, GError **error)
{
	uint32_t number = ph_view_number(gather->view, record->uid);
	g_autoptr(PhStructure) structure = NULL;
	if (number == 0)
		return true;

	if ((gather->fields & PH_FIELD_STRUCTURE) != 0) {
		g_autoptr(GError) failure = NULL;
		structure = ph_view_structure(gather->view, record, &failure);
		if (structure == NULL && g_error_matches(failure, PH_ERROR, PH_ERROR_GONE))
			return true;
		if (structure == NULL) {
			g_propagate_error(error, g_steal_pointer(&failure));
			return false;
		}
	}
	gather->func(number, record, structure, gather->user_data);
	return true;
}

bool
ph_gather_step(PhGather *gather, PhSession *session, bool *failed_out, GError **error)
{
	g_autoptr(GError) failure = NULL;
	const PhRecord *record;

	while ((record = ph_cursor_next(gather->cursor, &failure)) != NULL) {
		if (!take(gather, record, &failure))
			break;
		if (session != NULL
		    && (ph_session_should_yield(session) || ph_session_cancelled(session)))
			return false;
	}
	if (failure != NULL) {
		*failed_out = true;
		g_propagate_error(error, g_steal_pointer(&failure));
	}
	return true;
}

PhTime
ph_sent_time(const PhRecord *record, const PhStructure *structure)
{
	const PhMessageInfo *info = ph_structure_info(structure);

	return info->has_date ? info->date.time : record->internal_date;
}

char *
ph_base_subject(const PhStructure *structure, bool *is_reply_out)
{
	g_autoptr(GString) base = g_string_new(NULL);

	ph_subject_base(ph_structure_info(structure)->subject, base, is_reply_out);
	return g_utf8_strup(base->str, (gssize) base->len);
}
