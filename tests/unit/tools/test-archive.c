/* test-archive.c: what is written into an archive is read from it; what is odd is refused
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "tools/archive.h"
#include "tools/tar.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Told: what was read, as text. */
static bool
tell_begin(const char *id, GHashTable *values, void *user_data, GError **error)
{
	GBytes *value = g_hash_table_lookup(values, "subscription/A \"b\"");

	g_string_append_printf(user_data, "id %s, %u values, %.*s\n", id, g_hash_table_size(values),
	                       (int) g_bytes_get_size(value),
	                       (const char *) g_bytes_get_data(value, NULL));
	return true;
}

static bool
tell_mailbox(const PhArchiveMailbox *mailbox, void *user_data, GError **error)
{
	g_string_append_printf(user_data, "mailbox %s %u %u %" G_GUINT64_FORMAT " use %u id %d\n",
	                       mailbox->name, mailbox->uidvalidity, mailbox->uidnext,
	                       mailbox->change, mailbox->special_use,
	                       mailbox->has_id ? mailbox->id.octets[15] : -1);
	return true;
}

static bool
tell_message(const PhRecord *record, PhContent *content, void *user_data, GError **error)
{
	char octets[64] = "";

	(void) ph_content_read(content, 0, octets, sizeof octets - 1, NULL);
	g_string_append_printf(user_data,
	                       "%u %" G_GUINT64_FORMAT " flags %u %s|%s date %" G_GINT64_FORMAT
	                       " %d %" G_GINT64_FORMAT " id %u: %s\n",
	                       record->uid, record->change, record->flags, record->keywords[0],
	                       record->keywords[1], record->internal_date, record->internal_zone,
	                       record->save_date, record->message_id[0], octets);
	return true;
}

static bool
read_all(int fd, GString *told, GError **error)
{
	const PhArchiveEvents events = {
		.begin = tell_begin,
		.mailbox = tell_mailbox,
		.message = tell_message,
		.user_data = told,
	};

	g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
	return ph_archive_read(fd, 1000, &events, error);
}

static void
write_sample(PhArchiveWriter *writer, size_t message_length)
{
	static const char *const keywords[] = { "$Work", "sp\"ecial", NULL };
	g_autoptr(GHashTable) values = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
	                                                     (GDestroyNotify) g_bytes_unref);
	g_autofree char *octets = g_strnfill(message_length, 'm');
	g_autoptr(PhContent) content = ph_content_new_copy(PH_SLICE(octets, message_length));
	g_autoptr(GString) records = g_string_new(NULL);
	const PhArchiveMailbox mailbox = {
		.name = (char *) (uintptr_t) "Entw\303\274rfe/x",
		.has_id = true,
		.id.octets = { [15] = 9 },
		.uidvalidity = 4000000000,
		.uidnext = 8,
		.change = 77,
		.special_use = PH_USE_DRAFTS,
	};
	const PhRecord record = {
		.uid = 7,
		.change = 76,
		.flags = PH_FLAG_SEEN | PH_FLAG_DRAFT,
		.keywords = keywords,
		.internal_date = -5,
		.internal_zone = -330,
		.save_date = 6,
		.message_id = { 200 },
	};

	(void) g_hash_table_insert(values, (gpointer) (uintptr_t) "subscription/A \"b\"",
	                           g_bytes_new_static("1", 1));
	g_assert_true(ph_archive_begin(writer, "the id", values, NULL));
	g_assert_true(ph_archive_put_mailbox(writer, &mailbox, NULL));
	ph_archive_append_record(records, &record);
	g_assert_true(ph_archive_put_piece(writer, PH_SLICE(records->str, records->len), NULL));
	g_assert_true(ph_archive_put_message(writer, content, NULL));
	g_assert_true(ph_archive_finish(writer, NULL));
}

static void
test_round(void)
{
	PhArchiveWriter writer = { .fd = memfd_create("archive", MFD_CLOEXEC) };
	g_autoptr(GString) told = g_string_new(NULL);
	g_autoptr(GError) error = NULL;

	write_sample(&writer, 3);
	g_assert_true(read_all(writer.fd, told, &error));
	g_assert_no_error(error);
	g_assert_cmpstr(told->str, ==,
	                "id the id, 1 values, 1\n"
	                "mailbox Entw\303\274rfe/x 4000000000 8 77 use 4 id 9\n"
	                "7 76 flags 17 $Work|sp\"ecial date -5 -330 6 id 200: mmm\n");
	close(writer.fd);
}

static void
test_cut(void)
{
	PhArchiveWriter writer = { .fd = memfd_create("archive", MFD_CLOEXEC) };
	off_t end = 0;

	write_sample(&writer, 3);
	end = lseek(writer.fd, 0, SEEK_END);
	for (off_t length = 0; length < end - PH_TAR_BLOCK; length += 100) {
		int fd = memfd_create("cut", MFD_CLOEXEC);
		g_autofree char *octets = g_malloc((size_t) end);
		g_autoptr(GString) told = g_string_new(NULL);
		g_autoptr(GError) error = NULL;

		g_assert_cmpint(pread(writer.fd, octets, (size_t) end, 0), ==, end);
		g_assert_cmpint(write(fd, octets, (size_t) length), ==, length);
		g_assert_false(read_all(fd, told, &error));
		g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
		close(fd);
	}
	close(writer.fd);
}

static void
test_large(void)
{
	PhArchiveWriter writer = { .fd = memfd_create("archive", MFD_CLOEXEC) };
	g_autoptr(GString) told = g_string_new(NULL);
	g_autoptr(GError) error = NULL;

	write_sample(&writer, 1001);
	g_assert_false(read_all(writer.fd, told, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
	close(writer.fd);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tools/archive/what-is-written-is-read", test_round);
	g_test_add_func("/tools/archive/one-that-is-cut-off-is-refused", test_cut);
	g_test_add_func("/tools/archive/a-message-that-is-too-large-is-refused", test_large);
	return g_test_run();
}
