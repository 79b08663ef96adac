/* tally.c: how much somebody has used of what is allowed in a time
 *
 * A file is "posthorn tally 1" and a line an entry: the moment in microseconds, a blank, the key with
 * everything but printable ASCII escaped. What has been paid off is not written.
 *
 * The processes before and after a reload have a table each and one file. Whoever writes it takes in first
 * what the other has written meanwhile, under a lock, so that nothing is lost that way.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/tally.h"

#include <posthorn/durable.h>
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "base/lock.h"
#include "net/net.h"
#include "net/reactor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	KEY_MAX = 512,
	LINE_MAX_OCTETS = 3 * KEY_MAX + 32,
	FILE_MAX = 64 << 20,
	DEBT_MAX = 16 /* times what may be open */
};

#define SAVE_EVERY_US (G_GINT64_CONSTANT(30) * G_USEC_PER_SEC)

static const char lock_name[] = "~lock"; /* no tally's */
static const char head[] = "posthorn tally 1";

typedef struct {
	char *key;
	PhTime until; /* everything is paid off */
	bool is_cut;  /* the clock was set back: what was written of it is too late */
	GList link;   /* in the order of use */
} Entry;

struct PhTally {
	char *folder; /* (nullable) */
	char *name;
	size_t most;
	gint refs;      /* under the lock of all: users */
	PhLock writing; /* one writes at a time; taken before the other; guards wrote */
	struct stat wrote;
	PhLock lock; /* guards the rest */
	GHashTable *by_key;
	GQueue order; /* the head was used longest ago */
	bool is_loaded;
	bool is_changed;
	bool is_saving;
	PhTime saved;
};

static PhLock all_lock = PH_LOCK_INIT; /* guards the one below, and refs */
static GPtrArray *all;                 /* of PhTally, borrowed: their users own them */

/* --- entries ---------------------------------------------------------------------------------- */

static void
free_entry(gpointer data)
{
	Entry *entry = data;

	g_free(entry->key);
	g_free(entry);
}

static void
forget_oldest(PhTally *tally)
{
	GList *link = g_queue_pop_head_link(&tally->order);

	g_hash_table_remove(tally->by_key, ((Entry *) link->data)->key);
}

/* The entry, as the one that was used last. */
static Entry *
use(PhTally *tally, const char *key, PhTime now)
{
	g_autofree char *cut = g_strndup(key, KEY_MAX);
	Entry *entry = g_hash_table_lookup(tally->by_key, cut);

	if (entry != NULL) {
		g_queue_unlink(&tally->order, &entry->link);
	} else {
		while (g_hash_table_size(tally->by_key) >= tally->most)
			forget_oldest(tally);
		entry = g_new0(Entry, 1);
		entry->key = g_steal_pointer(&cut);
		entry->until = now;
		entry->link.data = entry;
		g_hash_table_insert(tally->by_key, entry->key, entry);
	}
	g_queue_push_tail_link(&tally->order, &entry->link);
	return entry;
}

/* --- charging --------------------------------------------------------------------------------- */

static uint64_t
debt_max(const PhTallyCharge *charge)
{
	return charge->per_us > (uint64_t) G_MAXINT64 / (2 * DEBT_MAX) ? (uint64_t) G_MAXINT64 / 2
	                                                               : charge->per_us * DEBT_MAX;
}

/* What is open of it. A clock that was set back does not make it grow. */
static uint64_t
open_of(Entry *entry, const PhTallyCharge *charge, PhTime now)
{
	uint64_t most = debt_max(charge);

	entry->until = MAX(entry->until, now);
	if ((uint64_t) (entry->until - now) > most) {
		entry->until = now + (PhTime) most;
		entry->is_cut = true;
	}
	return (uint64_t) (entry->until - now);
}

static bool
has_room(PhTally *tally, const PhTallyCharge *charge, PhTime now, uint64_t *wait_us_out)
{
	uint64_t least = charge->least_us > 0 ? charge->least_us : charge->cost_us;
	uint64_t open = open_of(use(tally, charge->key, now), charge, now);

	if (least <= charge->per_us && open <= charge->per_us - least)
		return true;
	*wait_us_out = open + MIN(least, charge->per_us) - charge->per_us;
	return false;
}

size_t
ph_tally_charge_at(PhTally *tally,
                   const PhTallyCharge *charges,
                   size_t n,
                   PhTime now,
                   uint64_t *wait_us_out)
{
	PH_LOCKED(&tally->lock);

	for (size_t i = 0; i < n; i++)
		if (!has_room(tally, &charges[i], now, wait_us_out))
			return i;
	for (size_t i = 0; i < n; i++) {
		Entry *entry = use(tally, charges[i].key, now);
		uint64_t cost = MIN(charges[i].cost_us, debt_max(&charges[i]));

		entry->until = MAX(entry->until, now) + (PhTime) cost;
		tally->is_changed = true;
	}
	return n;
}

size_t
ph_tally_count(PhTally *tally)
{
	PH_LOCKED(&tally->lock);
	return g_hash_table_size(tally->by_key);
}

/* --- the file --------------------------------------------------------------------------------- */

GString *
ph_tally_text(PhTally *tally, PhTime now)
{
	GString *text = g_string_new(head);
	PH_LOCKED(&tally->lock);

	g_string_append_c(text, '\n');
	for (const GList *link = tally->order.head; link != NULL; link = link->next) {
		Entry *entry = link->data;

		entry->is_cut = false;
		if (entry->until <= now)
			continue;
		g_string_append_printf(text, "%" G_GINT64_FORMAT " ", (gint64) entry->until);
		g_string_append_uri_escaped(text, entry->key, "/:@+", FALSE);
		g_string_append_c(text, '\n');
	}
	tally->is_changed = false;
	return text;
}

/* What was written of a key that is known here counts when it is more. Others drive out nobody who was used
 * here. */
static void
take_in(PhTally *tally, const char *key, PhTime until, PhTime now)
{
	Entry *entry = g_hash_table_lookup(tally->by_key, key);

	if (entry == NULL && tally->is_loaded && g_hash_table_size(tally->by_key) >= tally->most)
		return;
	if (entry == NULL)
		entry = use(tally, key, now);
	if (!entry->is_cut)
		entry->until = MAX(entry->until, until);
}

static void
parse_line(PhTally *tally, PhSlice line, PhTime now)
{
	uint64_t until = 0;
	g_autofree char *escaped = NULL;
	g_autofree char *key = NULL;

	if (line.length > LINE_MAX_OCTETS
	    || !ph_slice_to_u64(ph_slice_split(&line, ' '), G_MAXINT64 / 2, &until)
	    || (PhTime) until <= now || line.length == 0)
		return;
	escaped = ph_slice_dup(line);
	key = g_uri_unescape_string(escaped, NULL);
	if (key != NULL)
		take_in(tally, key, (PhTime) until, now);
}

void
ph_tally_parse(PhTally *tally, PhSlice text, PhTime now)
{
	PH_LOCKED(&tally->lock);

	if (!ph_slice_is(ph_slice_split(&text, '\n'), head))
		return;
	while (text.length > 0)
		parse_line(tally, ph_slice_split(&text, '\n'), now);
}

static bool
is_as_written(const PhTally *tally, const struct stat *info)
{
	return info->st_ino == tally->wrote.st_ino && info->st_size == tally->wrote.st_size
	       && info->st_mtim.tv_sec == tally->wrote.st_mtim.tv_sec
	       && info->st_mtim.tv_nsec == tally->wrote.st_mtim.tv_nsec;
}

/* What is in the file, unless this table was the last to write it. */
static void
load(PhTally *tally, PhTime now)
{
	g_autofree char *path = g_build_filename(tally->folder, tally->name, NULL);
	struct stat info;
	g_autofree char *text = NULL;
	gsize length = 0;

	if (stat(path, &info) != 0 || is_as_written(tally, &info) || info.st_size > FILE_MAX
	    || !g_file_get_contents(path, &text, &length, NULL))
		return;
	ph_tally_parse(tally, PH_SLICE(text, length), now);
}

static bool
replace(PhTally *tally, int folder, PhTime now, GError **error)
{
	int lock = openat(folder, lock_name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	g_autoptr(GString) text = NULL;
	bool good = false;

	while (lock >= 0 && flock(lock, LOCK_EX) != 0 && errno == EINTR)
		;
	load(tally, now);
	text = ph_tally_text(tally, now);
	good = ph_durable_replace(folder, tally->name, PH_SLICE(text->str, text->len), 0600, error);
	if (!good || fstatat(folder, tally->name, &tally->wrote, 0) != 0)
		memset(&tally->wrote, 0, sizeof tally->wrote);
	if (lock >= 0)
		(void) close(lock);
	return good;
}

void
ph_tally_save(PhTally *tally, PhTime now)
{
	g_autoptr(GError) error = NULL;
	int folder = -1;
	PH_LOCKED(&tally->writing);

	(void) mkdir(tally->folder, 0700);
	folder = open(tally->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		ph_error_set_errno(&error, errno, "cannot open '%s'", tally->folder);
	else
		(void) replace(tally, folder, now, &error);
	if (folder >= 0)
		(void) close(folder);
	if (error != NULL)
		ph_log(PH_LOG_WARNING, "tally-failed", "what was used could not be written down",
		       PH_LOG_TEXT("name", tally->name), PH_LOG_FAILURE(error), PH_LOG_END);
}

/* --- life ------------------------------------------------------------------------------------- */

PhTally *
ph_tally_new(const char *folder, const char *name, size_t most, PhTime now)
{
	PhTally *tally = g_new0(PhTally, 1);

	tally->refs = 1;
	tally->folder = g_strdup(folder);
	tally->name = g_strdup(name);
	tally->most = MAX(most, 1);
	tally->saved = now;
	tally->by_key = g_hash_table_new_full(ph_str_hash, g_str_equal, NULL, free_entry);
	g_queue_init(&tally->order);
	ph_lock_init(&tally->lock);
	ph_lock_init(&tally->writing);
	if (folder != NULL)
		load(tally, now);
	tally->is_loaded = true;
	return tally;
}

void
ph_tally_free(PhTally *tally)
{
	g_hash_table_unref(tally->by_key);
	ph_lock_clear(&tally->writing);
	ph_lock_clear(&tally->lock);
	g_free(tally->folder);
	g_free(tally->name);
	g_free(tally);
}

static PhTally *
find(const char *folder, const char *name)
{
	for (guint i = 0; all != NULL && i < all->len; i++) {
		PhTally *tally = all->pdata[i];

		if (g_strcmp0(tally->folder, folder) == 0 && strcmp(tally->name, name) == 0)
			return tally;
	}
	return NULL;
}

PhTally *
ph_tally_open(PhSection *section, const char *name, size_t most)
{
	const char *data = ph_section_data(section);
	g_autofree char *folder = data != NULL ? g_build_filename(data, "tally", NULL) : NULL;
	PhTally *tally = NULL;
	PH_LOCKED(&all_lock);

	if (all == NULL)
		all = g_ptr_array_new();
	tally = find(folder, name);
	if (tally != NULL) {
		tally->refs++;
		ph_lock_take(&tally->lock);
		tally->most = MAX(tally->most, most);
		ph_lock_drop(&tally->lock);
		return tally;
	}
	tally = ph_tally_new(folder, name, most, ph_clock_wall_us());
	g_ptr_array_add(all, tally);
	return tally;
}

/* The last user is gone. */
void
ph_tally_close(PhTally *tally)
{
	bool is_last = false;

	if (tally == NULL)
		return;
	ph_lock_take(&all_lock);
	is_last = --tally->refs == 0;
	if (is_last)
		g_ptr_array_remove_fast(all, tally);
	/* Whoever opens it next reads what is written here. */
	if (is_last && tally->is_changed && tally->folder != NULL)
		ph_tally_save(tally, ph_clock_wall_us());
	ph_lock_drop(&all_lock);
	if (is_last)
		ph_tally_free(tally);
}

static void
save_now(void *user_data)
{
	PhTally *tally = user_data;

	ph_tally_save(tally, ph_clock_wall_us());
	ph_lock_take(&tally->lock);
	tally->is_saving = false;
	ph_lock_drop(&tally->lock);
	ph_tally_close(tally);
}

/* Is it time to write it? */
static bool
begin_saving(PhTally *tally, PhTime now)
{
	PH_LOCKED(&tally->lock);

	if (!tally->is_changed || tally->is_saving || now - tally->saved < SAVE_EVERY_US
	    || tally->folder == NULL || ph_reactor_default() == NULL)
		return false;
	tally->is_saving = true;
	tally->saved = now;
	return true;
}

size_t
ph_tally_charge(PhTally *tally, const PhTallyCharge *charges, size_t n, uint64_t *wait_us_out)
{
	PhTime now = ph_clock_wall_us();
	size_t refused = ph_tally_charge_at(tally, charges, n, now, wait_us_out);

	if (!begin_saving(tally, now))
		return refused;
	ph_lock_take(&all_lock);
	tally->refs++;
	ph_lock_drop(&all_lock);
	ph_workers_submit(ph_reactor_default(), save_now, tally);
	return refused;
}
