/* claims.c: which journal holds changes of a store's section
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/claims.h"

#include <posthorn/durable.h>
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>
#include <posthorn/store.h>

#include "journal/journal.h"
#include "server/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define CLAIM_NAME ".posthorn-journal"

enum {
	CLAIM_MODE = 0600,
	FOLDER_MODE = 0700,
	CLAIM_MAX = 4096,
};

typedef struct {
	char *folder;
	int folder_fd;
	int fd;
} Claim;

struct PhClaims {
	GArray *claims; /* of Claim */
};

static void
clear_claim(gpointer pointer)
{
	Claim *claim = pointer;

	if (claim->fd >= 0)
		(void) close(claim->fd);
	if (claim->folder_fd >= 0)
		(void) close(claim->folder_fd);
	g_free(claim->folder);
}

PhClaims *
ph_claims_new(void)
{
	PhClaims *claims = g_new0(PhClaims, 1);

	claims->claims = g_array_new(FALSE, FALSE, sizeof(Claim));
	g_array_set_clear_func(claims->claims, clear_claim);
	return claims;
}

void
ph_claims_free(PhClaims *claims, bool is_clean)
{
	if (claims == NULL)
		return;
	for (guint i = 0; is_clean && i < claims->claims->len; i++)
		(void) ph_durable_unlink(g_array_index(claims->claims, Claim, i).folder_fd,
		                         CLAIM_NAME, NULL);
	g_array_unref(claims->claims);
	g_free(claims);
}

/* --- one file --------------------------------------------------------------------------------- */

/* "JOURNAL-ID FOLDER\n". An empty one is nobody's. Returns: (owned, nullable) the folder of the journal
 * that it names. */
static char *
read_claim(int fd, uint64_t *id_out)
{
	char text[CLAIM_MAX + 1] = "";
	ssize_t n = pread(fd, text, CLAIM_MAX, 0);
	PhSlice rest = ph_slice(g_strchomp(text));
	g_autofree char *number = ph_slice_dup(ph_slice_split(&rest, ' '));

	if (n <= 0 || !g_ascii_string_to_unsigned(number, 16, 0, G_MAXUINT64, id_out, NULL))
		return NULL;
	return ph_slice_dup(rest);
}

/* Locked then, unless another process has it, or this one already. A copy of a store may bring the claim of
 * a journal that does not need it. */
static bool
is_free(int fd, const char *section, uint64_t id, GError **error)
{
	uint64_t found = 0;
	bool is_locked = flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	g_autofree char *owner = read_claim(fd, &found);

	if (owner != NULL && found == id)
		return true;
	if (is_locked)
		ph_error_set(error, PH_ERROR_TEMPORARY,
		             "[store %s] is used by another server, whose journal is in '%s'; two "
		             "servers cannot share it",
		             section, owner != NULL ? owner : "");
	else if (owner != NULL && ph_journal_holds(owner, found))
		ph_error_set(error, PH_ERROR_TEMPORARY,
		             "the journal in '%s' of another server may hold mail for [store %s]; "
		             "start that server and stop it cleanly, or remove '" CLAIM_NAME
		             "' from the store's folder when it is gone for good",
		             owner, section);
	else
		return true;
	return false;
}

static bool
write_claim(const Claim *claim, uint64_t id, const char *journal, GError **error)
{
	g_autofree char *text = g_strdup_printf("%016" G_GINT64_MODIFIER "x %s\n", id, journal);

	return ftruncate(claim->fd, 0) == 0 && lseek(claim->fd, 0, SEEK_SET) == 0
	       && ph_durable_write(claim->fd, ph_slice(text), error)
	       && ph_durable_sync(claim->fd, error)
	       && ph_durable_sync_folder(claim->folder_fd, error);
}

/* --- a section -------------------------------------------------------------------------------- */

static bool
has_claim(const PhClaims *claims, const char *folder)
{
	for (guint i = 0; i < claims->claims->len; i++)
		if (strcmp(g_array_index(claims->claims, Claim, i).folder, folder) == 0)
			return true;
	return false;
}

static bool
open_claim(Claim *claim, GError **error)
{
	if (!ph_durable_make_folder(claim->folder, FOLDER_MODE, error))
		return false;
	claim->folder_fd = open(claim->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (claim->folder_fd >= 0)
		claim->fd = openat(claim->folder_fd, CLAIM_NAME,
		                   O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, CLAIM_MODE);
	if (claim->fd >= 0)
		return true;
	ph_error_set_errno(error, errno, "cannot make '" CLAIM_NAME "' in '%s'", claim->folder);
	return false;
}

typedef struct {
	PhClaims *claims; /* (nullable) only looks */
	uint64_t id;
	const char *journal;
} Wanted;

static bool
take_folder(const Wanted *wanted, PhSection *section, const char *folder, GError **error)
{
	Claim claim = { .folder = g_strdup(folder), .folder_fd = -1, .fd = -1 };
	g_autoptr(GError) why = NULL;

	if (!open_claim(&claim, &why)) {
		/* a folder that is not ours alone: nothing can be said of other servers */
		ph_log_section(section, PH_LOG_NOTICE, "claim",
		               "nothing keeps another server from using this store",
		               PH_LOG_FAILURE(why), PH_LOG_END);
		clear_claim(&claim);
		return true;
	}
	if (is_free(claim.fd, ph_section_name(section), wanted->id, error)
	    && write_claim(&claim, wanted->id, wanted->journal, error)) {
		g_array_append_val(wanted->claims->claims, claim);
		return true;
	}
	clear_claim(&claim);
	return false;
}

static bool
look_at_folder(const Wanted *wanted, PhSection *section, const char *folder, GError **error)
{
	g_autofree char *path = g_build_filename(folder, CLAIM_NAME, NULL);
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	bool good = fd < 0 || is_free(fd, ph_section_name(section), wanted->id, error);

	if (fd >= 0)
		(void) close(fd);
	return good;
}

static bool
each_section(const PhConfig *config, const Wanted *wanted, GError **error)
{
	PhSection *const *sections = ph_config_sections(config);

	for (size_t i = 0; sections[i] != NULL; i++) {
		g_autofree char *folder = NULL;
		bool good = true;

		if (ph_section_kind(sections[i]) != PH_KIND_STORE
		    || ((const PhStore *) ph_section_table(sections[i]))->defer == NULL)
			continue;
		folder = ph_sandbox_folder_of(sections[i]);
		if (folder == NULL)
			continue;
		if (wanted->claims == NULL)
			good = look_at_folder(wanted, sections[i], folder, error);
		else if (!has_claim(wanted->claims, folder))
			good = take_folder(wanted, sections[i], folder, error);
		if (!good)
			return false;
	}
	return true;
}

bool
ph_claims_check(const PhConfig *config, uint64_t id, GError **error)
{
	const Wanted wanted = { .id = id };

	return each_section(config, &wanted, error);
}

bool
ph_claims_take(PhClaims *claims,
               const PhConfig *config,
               uint64_t id,
               const char *journal,
               GError **error)
{
	const Wanted wanted = { claims, id, journal };

	return each_section(config, &wanted, error);
}
