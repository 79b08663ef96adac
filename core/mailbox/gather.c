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
	PhCrew *crew;
	uint32_t fields;
	const PhGatherWork *work;
	void *user_data;
};

static void *
begin(void *user_data)
{
	const PhGather *gather = user_data;

	return gather->work->begin(gather->user_data);
}

static bool
look(void *user_data, void *gathered, uint32_t number, const PhRecord *record, GError **error)
{
	const PhGather *gather = user_data;
	g_autoptr(PhStructure) structure = NULL;
	g_autoptr(GError) failure = NULL;
	PhMessageInfo info = { .size = 0 };

	if ((gather->fields & PH_FIELD_STRUCTURE) != 0
	    && !ph_structure_blob_info(record->structure, &info)) {
		structure = ph_view_structure(gather->view, record, &failure);
		if (structure == NULL && g_error_matches(failure, PH_ERROR, PH_ERROR_GONE))
			return true;
		if (structure == NULL) {
			g_propagate_error(error, g_steal_pointer(&failure));
			return false;
		}
		info = *ph_structure_info(structure);
	}
	gather->work->take(gather->user_data, gathered, number, record, &info);
	return true;
}

static void
merge(void *user_data, void *gathered)
{
	const PhGather *gather = user_data;

	gather->work->merge(gather->user_data, gathered);
}

PhGather *
ph_gather_new(PhView *view,
              const PhUidSet *numbers,
              uint32_t fields,
              const PhGatherWork *work,
              void *user_data)
{
	static const PhCrewWork crew_work = { begin, look, merge };
	PhGather *gather = g_new0(PhGather, 1);

	gather->view = view;
	gather->fields = fields;
	gather->work = work;
	gather->user_data = user_data;
	gather->crew =
		ph_crew_new(view, ph_view_uids(view, numbers, NULL), fields, &crew_work, gather);
	return gather;
}

void
ph_gather_free(PhGather *gather)
{
	if (gather == NULL)
		return;
	ph_crew_free(gather->crew);
	g_free(gather);
}

bool
ph_gather_step(PhGather *gather, PhSession *session, bool *failed_out, GError **error)
{
	return ph_crew_step(gather->crew, session, failed_out, error);
}

PhTime
ph_sent_time(const PhRecord *record, const PhMessageInfo *info)
{
	return info->has_date ? info->date.time : record->internal_date;
}

char *
ph_upper(PhSlice text)
{
	if (ph_slice_is_ascii(text))
		return g_ascii_strup(text.length > 0 ? text.data : "", (gssize) text.length);
	return g_utf8_strup(text.data, (gssize) text.length);
}

char *
ph_base_subject(const PhMessageInfo *info, bool *is_reply_out)
{
	g_autoptr(GString) base = g_string_sized_new(info->subject.length);

	ph_subject_base(info->subject, base, is_reply_out);
	return ph_upper(PH_SLICE(base->str, base->len));
}
