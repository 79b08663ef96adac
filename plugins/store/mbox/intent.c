/* intent.c: what is about to be appended, noted so that a crash in between is known as such
 *
 * Between the octets in the mbox and the transaction in the index lies a moment in which a crash
 * leaves messages that nobody was told of, the last one perhaps torn. Before octets are written, a
 * small file beside the index says where they begin and which uids they get; it is not synced: it
 * serves the crash of a process. If the index has not given out those uids and all that lies there
 * is ours, it is cut off again; in any doubt it stays and becomes new mail.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "fields.h"
#include "mbox.h"

#include <fcntl.h>
#include <unistd.h>

enum {
	MODE = 0600,
	MOST = 1 << 20,    /* mailboxes that have a slot */
	STUB_OCTETS = 400, /* of a From_ line and metadata at most */
};

static const uint64_t magic = UINT64_C(0x3274657874655450);

/* Slot: a mailbox's place in the file, by its number: only who holds that mailbox's lock writes it,
 * so that what a crash left in one mailbox is still known when others get mail. */
typedef struct {
	uint64_t magic;
	Intent intent;
} Slot;

static char *
path_of(const Account *account)
{
	return g_strconcat(account->path, ".intent", NULL);
}

static void
write_slot(int fd, const Intent *intent)
{
	Slot slot = { .magic = magic, .intent = *intent };

	/* half a slot is none: the magic number of none is a last resort */
	if (pwrite(fd, &slot, sizeof slot, intent->no * (off_t) sizeof slot)
	    == (ssize_t) sizeof slot)
		return;
	slot.magic = 0;
	(void) !pwrite(fd, &slot.magic, sizeof slot.magic, intent->no * (off_t) sizeof slot);
}

void
intent_write(const Account *account, const Intent *intents, size_t n)
{
	g_autofree char *path = path_of(account);
	int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, MODE);

	if (fd < 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (intents[i].no > 0 && intents[i].no < MOST)
			write_slot(fd, &intents[i]);
	(void) close(fd);
}

static bool
read_intent(const Account *account, int64_t no, Intent *intent)
{
	g_autofree char *path = path_of(account);
	Slot slot = { .magic = 0 };
	int fd = no < MOST ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
	ssize_t got = fd >= 0 ? pread(fd, &slot, sizeof slot, no * (off_t) sizeof slot) : -1;

	if (fd >= 0)
		(void) close(fd);
	*intent = slot.intent;
	return got == (ssize_t) sizeof slot && slot.magic == magic && slot.intent.no == no;
}

/* Is @text the beginning of what is written behind the From_ line for that uid? */
static bool
is_stub(const Box *box, uint32_t uid, PhSlice text)
{
	g_autoptr(GString) plain = g_string_new(NULL);
	g_autofree char *based = NULL;

	g_string_append_printf(plain, "X-UID: %u\nX-Posthorn: %u", uid, box->uidvalidity);
	based = g_strdup_printf("X-IMAPbase: %u %010u\n%s", box->uidvalidity, uid, plain->str);
	return g_str_has_prefix(plain->str, text.data) || g_str_has_prefix(based, text.data);
}

/* A last message that is torn before its X-UID. */
static bool
is_torn(const Box *box, File *file, const Message *message, uint32_t uid)
{
	char text[STUB_OCTETS] = "";
	uint64_t length = message->length - MIN(message->length, message->from);
	ssize_t got = 0;

	if (length >= sizeof text)
		return false;
	got = file_read(file, message->offset + message->from, text, (size_t) length, NULL);
	return got == (ssize_t) length && is_stub(box, uid, PH_SLICE(text, (size_t) length));
}

/* A From_ line that is torn itself. */
static bool
is_torn_from(File *file, const Intent *intent, uint64_t size)
{
	char text[STUB_OCTETS] = "";
	uint64_t length = size - intent->start;

	return length < sizeof text
	       && file_read(file, intent->start, text, (size_t) length, NULL) >= 0
	       && g_str_has_prefix(text, "From ") && strchr(text, '\n') == NULL;
}

/* Is everything from the start on ours, with uids that nobody has seen? */
static bool
is_all_ours(const Account *account, const Box *box, File *file, const Intent *intent)
{
	uint64_t size = (uint64_t) file->status.st_size;
	Scan scan;
	Message message;
	bool found = true;
	bool ours = true;
	uint32_t n = 0;

	scan_init(&scan, &file->source, (Variant) account->settings.variant, intent->start, size);
	while (ours && scan_next(&scan, &message, &found, NULL) && found) {
		uint32_t uid = intent->first_uid + n++;

		ours = n <= intent->n
		       && ((message.uid == uid && message.validity == box->uidvalidity)
		           || (message.offset + message.length == size
		               && is_torn(box, file, &message, uid)));
	}
	scan_clear(&scan);
	return ours && !found && (n > 0 || is_torn_from(file, intent, size));
}

bool
intent_recover(const Account *account, const Box *box, File *file, GError **error)
{
	Intent intent;
	uint64_t size = file->fd >= 0 ? (uint64_t) file->status.st_size : 0;

	if (box->no == 0 || !file->writes || size <= box->look.size
	    || !read_intent(account, box->no, &intent) || intent.start < box->look.size
	    || intent.start >= size || intent.start > box->look.size + 2
	    || intent.first_uid < box->uidnext || !is_all_ours(account, box, file, &intent))
		return true;
	ph_log_section(account->section, PH_LOG_NOTICE, "mbox-append-undone",
	               "an append that a crash had interrupted was undone",
	               PH_LOG_TEXT("mailbox", box->name),
	               PH_LOG_NUMBER("octets", size - intent.start), PH_LOG_END);
	return file_cut(file, intent.start, error);
}
