/* attempt.c: what each thread is about to do that has crashed servers before
 *
 * The table is shared memory without locks. A thread writes its own row only: first the note, then
 * the depth. The list of what is held is written by the supervisor, its length last when it grows
 * and first when it shrinks; keys are compared before anything is refused, so that a half-written
 * row refuses nothing.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/attempt.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	ROWS = 256,
	LEVELS = 2,
	TAIL_MAX = 4096
};

typedef struct {
	_Atomic uint32_t is_taken;
	_Atomic uint32_t depth; /* may be more than LEVELS: then the last ones are not noted */
	_Atomic uint32_t has_crashed;
	uint32_t reserved;
	PhAttemptNote notes[LEVELS];
} Row;

struct PhAttemptTable {
	_Atomic uint32_t n_held;
	_Atomic uint32_t is_marked; /* a thread has crashed, and said so if it noted anything */
	PhAttemptNote held[PH_ATTEMPT_HELD_MAX];
	Row rows[ROWS];
};

static PhAttemptTable *used; /* NULL: nothing is noted */

/* Found by a signal handler: must not be allocated at first use. */
static _Thread_local Row *this_row __attribute__((tls_model("initial-exec")));

static void
give_row_back(void *data)
{
	Row *row = data;

	this_row = NULL;
	atomic_store(&row->depth, 0);
	atomic_store(&row->is_taken, 0);
}

static GPrivate row_holder = G_PRIVATE_INIT(give_row_back);

/* The thread's own row; NULL when there are too many threads. */
static Row *
take_row(void)
{
	for (size_t i = 0; i < ROWS; i++) {
		Row *row = &used->rows[i];

		if (atomic_load_explicit(&row->is_taken, memory_order_relaxed) != 0
		    || atomic_exchange(&row->is_taken, 1) != 0)
			continue;
		g_private_set(&row_holder, row);
		return this_row = row;
	}
	return NULL;
}

/* --- keys --- */

static uint64_t
mix(uint64_t state, uint64_t word)
{
	state = (state ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return state ^ (state >> 29);
}

static uint64_t
key_of(PhSlice octets)
{
	uint64_t state = 0;
	uint64_t word = 0;
	size_t at = 0;

	for (; at + sizeof word <= octets.length; at += sizeof word) {
		memcpy(&word, octets.data + at, sizeof word);
		state = mix(state, word);
	}
	word = 0;
	if (at < octets.length)
		memcpy(&word, octets.data + at, octets.length - at);
	return mix(state, word);
}

uint64_t
ph_attempt_key(const char *text)
{
	return key_of(ph_slice(text));
}

/* --- the worker --- */

static bool
is_held(PhAttemptKind kind, uint64_t key)
{
	uint32_t n = atomic_load_explicit(&used->n_held, memory_order_acquire);

	for (uint32_t i = 0; i < MIN(n, (uint32_t) PH_ATTEMPT_HELD_MAX); i++)
		if (used->held[i].key == key && used->held[i].kind == (uint32_t) kind)
			return true;
	return false;
}

bool
ph_attempt_begin(PhAttempt *attempt,
                 PhAttemptKind kind,
                 uint64_t key,
                 const char *name,
                 GError **error)
{
	Row *row = this_row;
	uint32_t depth = 0;

	attempt->noted = false;
	if (used == NULL)
		return true;
	if (is_held(kind, key)) {
		ph_error_set(error, PH_ERROR_TEMPORARY,
		             "%s is held, because the server crashed %u times over it; "
		             "`posthorn reload` lets it go",
		             name, (unsigned) PH_ATTEMPT_CRASHES);
		return false;
	}
	if (row == NULL && (row = take_row()) == NULL)
		return true;
	depth = atomic_load_explicit(&row->depth, memory_order_relaxed);
	if (depth < LEVELS) {
		row->notes[depth].key = key;
		row->notes[depth].kind = kind;
		g_strlcpy(row->notes[depth].name, name, PH_ATTEMPT_NAME);
	}
	atomic_store_explicit(&row->depth, depth + 1, memory_order_release);
	attempt->noted = true;
	return true;
}

void
ph_attempt_end(PhAttempt *attempt)
{
	if (attempt->noted)
		atomic_fetch_sub_explicit(&this_row->depth, 1, memory_order_release);
}

/* The largest power of two that fits twice: the same for lengths that differ a little. */
static size_t
tail_of(uint64_t length)
{
	size_t tail = TAIL_MAX;

	while (tail > 0 && tail > length / 2)
		tail /= 2;
	return tail;
}

bool
ph_attempt_begin_content(PhAttempt *attempt, PhAttemptKind kind, PhContent *content, GError **error)
{
	char buffer[TAIL_MAX];
	char name[PH_ATTEMPT_NAME];
	PhSlice octets = PH_SLICE_EMPTY;
	uint64_t length = ph_content_length(content);
	size_t tail = tail_of(length);
	ssize_t n = 0;

	attempt->noted = false;
	if (used == NULL)
		return true;
	if (ph_content_peek(content, &octets)) {
		octets = PH_SLICE(octets.data + octets.length - tail, tail);
	} else {
		n = ph_content_read(content, length - tail, buffer, tail, error);
		if (n < 0)
			return false;
		octets = PH_SLICE(buffer, (size_t) n);
	}
	g_snprintf(name, sizeof name, "a message of %" G_GUINT64_FORMAT " octets", length);
	return ph_attempt_begin(attempt, kind, key_of(octets), name, error);
}

bool
ph_attempt_begin_header(PhAttempt *attempt, PhSlice block, GError **error)
{
	char name[PH_ATTEMPT_NAME];

	attempt->noted = false;
	if (used == NULL)
		return true;
	g_snprintf(name, sizeof name, "a message with a header of %zu octets", block.length);
	return ph_attempt_begin(attempt, PH_ATTEMPT_MESSAGE, key_of(block), name, error);
}

size_t
ph_attempt_held(PhAttemptNote *notes_out, size_t n)
{
	size_t n_held = used != NULL ? atomic_load(&used->n_held) : 0;

	n_held = MIN(n_held, n);
	if (n_held > 0)
		memcpy(notes_out, used->held, n_held * sizeof notes_out[0]);
	return n_held;
}

/* --- crashes --- */

/* Anything under the address sanitizer's eyes is reported by it, with more to say. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const int marked_signals[] = { SIGABRT };
#else
static const int marked_signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
#endif

static bool
is_crash(int fatal_signal)
{
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP };

	for (size_t i = 0; i < G_N_ELEMENTS(crashes); i++)
		if (crashes[i] == fatal_signal)
			return true;
	return false;
}

/* The default action was set back before: raising again ends the process, with its core. */
static void
mark(int fatal_signal)
{
	if (this_row != NULL && atomic_load(&this_row->depth) > 0)
		atomic_store(&this_row->has_crashed, 1);
	atomic_store(&used->is_marked, 1);
	(void) raise(fatal_signal);
}

static void
watch_signals(void)
{
	struct sigaction action = { .sa_handler = mark,
		                    .sa_flags = (int) (SA_RESETHAND | SA_NODEFER) };

	for (size_t i = 0; i < G_N_ELEMENTS(marked_signals); i++)
		(void) sigaction(marked_signals[i], &action, NULL);
}

static PhAttemptTable *
map_table(int fd, GError **error)
{
	void *memory =
		mmap(NULL, sizeof(PhAttemptTable), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory != MAP_FAILED)
		return memory;
	ph_error_set(error, PH_ERROR_TEMPORARY, "cannot map the table of attempts: %s",
	             g_strerror(errno));
	return NULL;
}

bool
ph_attempt_use_table(int fd, GError **error)
{
	PhAttemptTable *table = map_table(fd, error);

	(void) close(fd);
	if (table == NULL)
		return false;
	used = table;
	watch_signals();
	return true;
}

/* --- the supervisor --- */

PhAttemptTable *
ph_attempt_table_new(int *fd_out, GError **error)
{
	PhAttemptTable *table = NULL;
	int fd = memfd_create("posthorn-attempts", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, sizeof *table) != 0) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "cannot make the table of attempts: %s",
		             g_strerror(errno));
		if (fd >= 0)
			(void) close(fd);
		return NULL;
	}
	table = map_table(fd, error);
	if (table == NULL)
		(void) close(fd);
	else
		*fd_out = fd;
	return table;
}

void
ph_attempt_table_free(PhAttemptTable *table)
{
	if (table != NULL)
		(void) munmap(table, sizeof *table);
}

void
ph_attempt_table_hold(PhAttemptTable *table, const PhAttemptNote *notes, size_t n)
{
	n = MIN(n, (size_t) PH_ATTEMPT_HELD_MAX);
	atomic_store(&table->n_held, 0);
	if (n > 0)
		memcpy(table->held, notes, n * sizeof notes[0]);
	atomic_store_explicit(&table->n_held, (uint32_t) n, memory_order_release);
}

static bool
has_note(const PhAttemptNote *notes, size_t n, const PhAttemptNote *note)
{
	for (size_t i = 0; i < n; i++)
		if (notes[i].key == note->key && notes[i].kind == note->kind)
			return true;
	return false;
}

size_t
ph_attempt_table_suspects(const PhAttemptTable *table,
                          int fatal_signal,
                          PhAttemptNote *notes_out,
                          size_t n)
{
	bool is_marked = atomic_load(&table->is_marked) != 0;
	size_t n_found = 0;

	for (size_t i = 0; is_crash(fatal_signal) && i < ROWS; i++) {
		const Row *row = &table->rows[i];
		uint32_t depth = MIN(atomic_load(&row->depth), (uint32_t) LEVELS);

		if (is_marked && atomic_load(&row->has_crashed) == 0)
			continue;
		for (uint32_t level = 0; level < depth && n_found < n; level++)
			if (!has_note(notes_out, n_found, &row->notes[level]))
				notes_out[n_found++] = row->notes[level];
	}
	return n_found;
}
