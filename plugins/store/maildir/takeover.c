/* takeover.c: what a Dovecot server left: uids and keywords
 *
 * dovecot-uidlist: version 3: "3 V<uidvalidity> N<next uid> ...", then "<uid> ... :<name>"; version
 * 1: "1 <uidvalidity> <next uid>", then "<uid> <name>". dovecot-keywords: "<number> <keyword>".
 *
 * All are read once, when a folder is met first; dovecot-keywords goes on being kept, because the
 * letters in file names mean nothing without it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/mailbox.h>

#include "scan.h"
#include "uidlist.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	LINE_MAX_OCTETS = 4096,
	WINDOW = 50000,
	CHANGES_A_SECOND = 1024, /* more than there ever were on average */
};

static const char *const no_keywords[] = { NULL };

static FILE *
open_file(const Account *account, const char *path, const char *name)
{
	g_autofree char *where = g_strconcat(path, path[0] != '\0' ? "/" : "", name, NULL);
	int fd = openat(account->root_fd, where, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	FILE *file = NULL;
	struct stat info;

	if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
		file = fdopen(fd, "r");
	if (fd >= 0 && file == NULL)
		(void) close(fd);
	return file;
}

/* A line without its end; over-long ones are skipped. */
static bool
read_line(FILE *file, char *line, PhSlice *line_out)
{
	while (fgets(line, LINE_MAX_OCTETS, file) != NULL) {
		size_t length = strlen(line);

		if (length > 0 && line[length - 1] == '\n') {
			*line_out = PH_SLICE(line, length - 1);
			return true;
		}
		if (length + 1 < LINE_MAX_OCTETS) { /* the last one, without an end */
			*line_out = PH_SLICE(line, length);
			return length > 0;
		}
	}
	return false;
}

/* --- dovecot-uidlist ------------------------------------------------------------------------------ */

/* The first line. Returns: the version; 0: it is none. */
unsigned
takeover_parse_header(PhSlice line, uint32_t *uidvalidity_out, uint32_t *uidnext_out)
{
	PhSlice version = ph_slice_split(&line, ' ');
	uint32_t uidvalidity = 0;
	uint32_t uidnext = 0;

	if (ph_slice_is(version, "1")) {
		PhSlice first = ph_slice_split(&line, ' ');

		(void) ph_slice_to_u32(first, UINT32_MAX, &uidvalidity);
		(void) ph_slice_to_u32(ph_slice_split(&line, ' '), UINT32_MAX, &uidnext);
	} else if (ph_slice_is(version, "3")) {
		while (line.length > 0) {
			PhSlice word = ph_slice_split(&line, ' ');

			if (word.length > 1 && word.data[0] == 'V')
				(void) ph_slice_to_u32(ph_slice_from(word, 1), UINT32_MAX,
				                       &uidvalidity);
			if (word.length > 1 && word.data[0] == 'N')
				(void) ph_slice_to_u32(ph_slice_from(word, 1), UINT32_MAX,
				                       &uidnext);
		}
	}
	*uidvalidity_out = uidvalidity;
	*uidnext_out = uidnext;
	if (uidvalidity == 0)
		return 0;
	return ph_slice_is(version, "1") ? 1 : 3;
}

/* One message: uid and base name. */
bool
takeover_parse_line(PhSlice line, unsigned version, uint32_t *uid_out, PhSlice *base_out)
{
	PhSlice uid = ph_slice_split(&line, ' ');

	while (version == 3 && line.length > 0 && line.data[0] != ':')
		(void) ph_slice_split(&line, ' ');
	if (version == 3)
		line = ph_slice_from(line, 1);
	*base_out = ph_slice_split(&line, ':');
	return ph_slice_to_u32(uid, UINT32_MAX - 1, uid_out) && *uid_out > 0
	       && base_out->length > 0;
}

/* Into a table that grows. */
static Known *
add_known(Known *known, GArray *all, PhSlice base, uint32_t uid)
{
	uint64_t pair[2] = { known_hash(base), uid };

	(void) g_array_append_vals(all, pair, 2);
	return known;
}

/* The list from this uid on as a table: name to uid. */
static Known *
read_uidlist(Account *account,
             const char *path,
             uint32_t from,
             uint32_t *uidnext_out,
             size_t *n_out)
{
	FILE *file = open_file(account, path, "dovecot-uidlist");
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	char text[LINE_MAX_OCTETS];
	PhSlice line = PH_SLICE_EMPTY;
	uint32_t uidvalidity = 0;
	unsigned version = 0;
	Known *known = NULL;

	if (file == NULL)
		return NULL;
	if (read_line(file, text, &line))
		version = takeover_parse_header(line, &uidvalidity, uidnext_out);
	while (version != 0 && read_line(file, text, &line)) {
		PhSlice base = PH_SLICE_EMPTY;
		uint32_t uid = 0;

		if (!takeover_parse_line(line, version, &uid, &base))
			continue;
		*uidnext_out = MAX(*uidnext_out, uid + 1);
		if (uid >= from)
			known = add_known(known, all, base, uid);
	}
	(void) fclose(file);
	*n_out = all->len / 2;
	known = known_new(*n_out + 1);
	for (guint i = 0; i + 1 < all->len; i += 2)
		known_add(known, g_array_index(all, uint64_t, i),
		          (uint32_t) g_array_index(all, uint64_t, i + 1));
	return known;
}

bool
takeover_knows(Scan *scan, PhSlice base)
{
	uint32_t uid = 0;
	Found found = { .letters = scan->part == IN_NEW ? LETTERS_PRESENT | LETTERS_NEW : 0 };

	if (scan->takeover == NULL)
		return false;
	uid = known_find(scan->takeover, known_hash(base));
	if (uid == 0 && scan->is_return)
		return false;
	if (uid < scan->window[0] || uid > scan->window[1])
		return true;
	if (scan->part == IN_CUR) {
		bool odd = false;

		(void) file_name_split(base.data, &found.letters, &odd);
	}
	found.uid = uid;
	found.name = g_strdup(base.data);
	(void) g_array_append_val(scan->fresh, found);
	return true;
}

static bool
take_window(Account *account, Folder *folder, Known **known, const uint32_t *window, GError **error)
{
	Scan scan;
	bool good = false;

	scan_init(&scan, account, folder, error);
	scan.takeover = g_steal_pointer(known);
	scan.window[0] = window[0];
	scan.window[1] = window[1];
	scan.read[IN_NEW] = scan.read[IN_CUR] = true;
	good = scan_read(&scan, error) && scan_adopt(&scan, error);
	*known = g_steal_pointer(&scan.takeover);
	scan_clear(&scan);
	folder->seen[IN_NEW] = folder->seen[IN_CUR] = 0;
	return good;
}

static bool
raise_to(Account *account, const Folder *folder, uint32_t uidnext, uint64_t change, GError **error)
{
	PhOp op = {
		.kind = PH_OP_RAISE,
		.mailbox = folder->id,
		.keywords = no_keywords,
		.has_given = true,
		.given_uid = uidnext,
		.given_change = change,
	};
	PhOp *ops[1] = { &op };

	return commit_ops(account, ops, 1, error);
}

bool
takeover_raise(Account *account, const Folder *folder, uint32_t uidnext, GError **error)
{
	return uidnext == 0 || raise_to(account, folder, uidnext, 0, error);
}

/* Above all change numbers that clients may hold: another server's, or those of an index that was
 * lost. They hear of every message's flags once, and of what is gone. */
static bool
raise_change(Account *account, const Folder *folder, GError **error)
{
	uint64_t seconds = (uint64_t) g_get_real_time() / 1000000;

	return raise_to(account, folder, 0, seconds * CHANGES_A_SECOND, error);
}

static bool
note_adopted(Account *account, Folder *folder, GError **error)
{
	PhIndexConnection *connection = ph_index_begin_write(account->index, error);
	sqlite3_stmt *row = NULL;
	bool good = false;

	if (connection == NULL)
		return false;
	row = sql_once(connection, "UPDATE folder SET adopted = 1 WHERE no = ?1", error);
	if (row != NULL) {
		(void) sqlite3_bind_int64(row, 1, folder->no);
		good = sql_done(connection, row, "note a takeover", error);
	}
	(void) sqlite3_finalize(row);
	folder->is_adopted = good;
	return ph_index_end_write(account->index, connection, good, error);
}

bool
takeover_return(Scan *scan, uint32_t *uidnext_out)
{
	g_autofree char *path = folder_dir(scan->account, scan->folder);
	size_t n = 0;

	scan->window[0] = scan->uidnext;
	scan->window[1] = UINT32_MAX - 1;
	scan->is_return = true;
	scan->takeover = read_uidlist(scan->account, path, scan->uidnext, uidnext_out, &n);
	return scan->takeover != NULL;
}

bool
takeover_folder(Account *account, Folder *folder, GError **error)
{
	uint32_t uidnext = 0;
	size_t n = 0;
	g_autofree char *path = folder_dir(account, folder);
	Known *known = read_uidlist(account, path, 1, &uidnext, &n);
	uint32_t window[2] = { 1, n > WINDOW ? WINDOW : UINT32_MAX - 1 };
	bool good = true;
	bool ours = folder->list.digits_at != 0;

	folder->list.is_newer = false;
	if (known != NULL)
		good = raise_change(account, folder, error);
	while (known != NULL && n > 0 && good && window[0] < MAX(uidnext, 2)) {
		good = take_window(account, folder, &known, window, error);
		if (window[1] > UINT32_MAX - 1 - WINDOW)
			break;
		window[0] += WINDOW;
		window[1] += WINDOW;
	}
	known_free(known);
	/* a list of ours may lack its last lines: their uids are not given again */
	if (ours && uidnext < UINT32_MAX - UIDLIST_GAP)
		uidnext += UIDLIST_GAP;
	return good && takeover_raise(account, folder, uidnext, error)
	       && note_adopted(account, folder, error);
}

/* --- dovecot-keywords ----------------------------------------------------------------------------- */

void
takeover_keywords(Account *account, Folder *folder)
{
	g_autofree char *where = folder_dir(account, folder);
	g_autofree char *path = folder_below(account, folder, "dovecot-keywords");
	int64_t changed = stat_ns(account->root_fd, path);
	char text[LINE_MAX_OCTETS];
	PhSlice line = PH_SLICE_EMPTY;
	FILE *file = NULL;

	if (changed == folder->keywords_seen)
		return;
	file = open_file(account, where, "dovecot-keywords");
	(void) pthread_mutex_lock(&account->lock);
	folder->keywords_seen = changed;
	while (file != NULL && read_line(file, text, &line)) {
		uint32_t number = 0;
		PhSlice first = ph_slice_split(&line, ' ');

		if (ph_slice_to_u32(first, KEYWORD_LETTERS - 1, &number) && line.length > 0
		    && line.length <= 100 && ph_slice_is_ascii(line)) {
			g_autofree char *name = ph_slice_dup(line);

			folder->keywords[number] = g_intern_string(name);
		}
	}
	(void) pthread_mutex_unlock(&account->lock);
	if (file != NULL)
		(void) fclose(file);
}

static void
save_keywords(Account *account, Folder *folder)
{
	g_autofree char *path = g_strconcat(folder->path, folder->path[0] != '\0' ? "/" : "",
	                                    "dovecot-keywords", NULL);
	g_autoptr(GString) text = g_string_new("");

	for (int i = 0; i < KEYWORD_LETTERS; i++)
		if (folder->keywords[i] != NULL)
			g_string_append_printf(text, "%d %s\n", i, folder->keywords[i]);
	(void) ph_durable_replace(account->root_fd, path, PH_SLICE(text->str, text->len), 0600,
	                          NULL);
	folder->keywords_seen = stat_ns(account->root_fd, path);
}

int
keyword_letter(Account *account, Folder *folder, const char *keyword, bool make)
{
	int unused = -1;
	int found = -1;

	if (folder->keywords_seen == 0)
		takeover_keywords(account, folder);
	(void) pthread_mutex_lock(&account->lock);
	for (int i = 0; i < KEYWORD_LETTERS && found < 0; i++) {
		if (folder->keywords[i] == NULL)
			unused = unused < 0 ? i : unused;
		else if (g_ascii_strcasecmp(folder->keywords[i], keyword) == 0)
			found = i;
	}
	if (found < 0 && make && unused >= 0) {
		found = unused;
		folder->keywords[found] = g_intern_string(keyword);
		save_keywords(account, folder);
	}
	(void) pthread_mutex_unlock(&account->lock);
	return found;
}
