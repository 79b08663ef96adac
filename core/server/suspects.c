/* suspects.c: what was under way when worker processes crashed, in the supervisor's memory
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/suspects.h"

#include <posthorn/log.h>

#include <string.h>

static PhAttemptNote *
find(PhSuspects *suspects, const PhAttemptNote *note)
{
	for (size_t i = 0; i < suspects->n; i++)
		if (suspects->notes[i].key == note->key && suspects->notes[i].kind == note->kind)
			return &suspects->notes[i];
	return NULL;
}

/* The oldest that is not held makes room; else the oldest. */
static void
make_room(PhSuspects *suspects)
{
	size_t at = 0;

	if (suspects->n < PH_ATTEMPT_HELD_MAX)
		return;
	for (size_t i = suspects->n; i > 0; i--)
		if (suspects->notes[i - 1].crashes < PH_ATTEMPT_CRASHES)
			at = i - 1;
	suspects->n--;
	memmove(&suspects->notes[at], &suspects->notes[at + 1],
	        (suspects->n - at) * sizeof suspects->notes[0]);
}

static PhAttemptNote *
add(PhSuspects *suspects, const PhAttemptNote *note)
{
	PhAttemptNote *added = NULL;

	make_room(suspects);
	added = &suspects->notes[suspects->n++];
	*added = *note;
	added->crashes = 0;
	added->name[PH_ATTEMPT_NAME - 1] = '\0';
	return added;
}

void
ph_suspects_add(PhSuspects *suspects, const PhAttemptTable *table, int fatal_signal)
{
	PhAttemptNote seen[PH_ATTEMPT_HELD_MAX];
	size_t n = ph_attempt_table_suspects(table, fatal_signal, seen, G_N_ELEMENTS(seen));

	for (size_t i = 0; i < n; i++) {
		PhAttemptNote *note = find(suspects, &seen[i]);

		if (note == NULL)
			note = add(suspects, &seen[i]);
		note->crashes++;
		ph_log(PH_LOG_ERROR,
		       note->crashes < PH_ATTEMPT_CRASHES ? "attempt-crashed" : "attempt-held",
		       note->crashes < PH_ATTEMPT_CRASHES
		               ? "this was under way when the worker process crashed"
		               : "this was under way at several crashes: held until a reload",
		       PH_LOG_TEXT("what", note->name), PH_LOG_NUMBER("crashes", note->crashes),
		       PH_LOG_END);
	}
}

void
ph_suspects_hold(const PhSuspects *suspects, PhAttemptTable *table)
{
	PhAttemptNote held[PH_ATTEMPT_HELD_MAX];
	size_t n = 0;

	for (size_t i = 0; i < suspects->n; i++)
		if (suspects->notes[i].crashes >= PH_ATTEMPT_CRASHES)
			held[n++] = suspects->notes[i];
	ph_attempt_table_hold(table, held, n);
}

size_t
ph_suspects_release(PhSuspects *suspects)
{
	size_t n_held = 0;

	for (size_t i = 0; i < suspects->n; i++)
		n_held += suspects->notes[i].crashes >= PH_ATTEMPT_CRASHES;
	suspects->n = 0;
	return n_held;
}
