/* content.c: rules about octets: upload, abandon, reading
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

#include <fcntl.h>
#include <unistd.h>

enum {
	KIB = 1024,
	MIB = 1024 * 1024,
	LARGE_MIB = 100,
	ALLOWED_GROWTH_MIB = 24, /* of a process that stores and reads one large message */
};

/* Uploads and appends. */
static uint32_t
append_content(PhKitAccount *a, PhContent *content, bool durable)
{
	g_autoptr(PhKitTx) tx = ph_kit_tx();
	g_autoptr(GError) error = NULL;
	PhOp *op = ph_kit_add(tx, PH_OP_APPEND, &a->inbox);

	if (!ph_kit.table->upload(a->handle, content, durable, &op->blob, &error))
		ph_kit_fail("upload of %" G_GUINT64_FORMAT " octets: %s",
		            ph_content_length(content),
		            error != NULL ? error->message : "no error given");
	op->octets = ph_content_length(content);
	op->structure = PH_SLICE_LITERAL("kit");
	KIT_CHECK(ph_kit_commit(a, tx), "append failed: %s", tx->public.error->message);
	return op->uid;
}

static void
content_sizes(void)
{
	static const uint64_t sizes[] = {
		0,     1,      2,      63,     4095,   4096,    16383, 65535,   65536,
		65537, 131072, 262143, 262144, 262145, MIB - 1, MIB,   MIB + 1, 3 * MIB + 17,
	};
	g_auto(PhKitAccount) a = { .handle = NULL };
	uint32_t uids[G_N_ELEMENTS(sizes)] = { 0 };

	ph_kit_open(&a, "sizes");
	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		g_autoptr(PhContent) content = ph_kit_generated(i, sizes[i]);

		uids[i] = append_content(&a, content, i % 2 == 0);
	}
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
			g_autoptr(PhContent) content = ph_kit_content(&a, &a.inbox, uids[i]);

			ph_kit_check_generated(content, i, sizes[i]);
		}
		ph_kit_reopen(&a);
	}
}

static void
content_kinds(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autofree char *text = g_strnfill(200 * KIB, 'm');
	g_autoptr(PhContent) memory = ph_content_new_copy(PH_SLICE(text, 200 * KIB));
	g_autoptr(PhContent) file = NULL;
	g_autoptr(PhContent) range = NULL;
	g_autoptr(PhContent) joined = NULL;
	g_autofree char *name = NULL;
	int fd = g_file_open_tmp("posthorn-conform-XXXXXX", &name, NULL);
	PhContent *parts[3] = { NULL };

	if (fd < 0 || write(fd, text, 200 * KIB) != 200 * KIB)
		ph_kit_skip("no temporary file can be made");
	(void) unlink(name);
	file = ph_content_new_file(fd, 7, 100 * KIB);
	range = ph_content_new_range(memory, 5, 70000);
	parts[0] = range;
	parts[1] = file;
	parts[2] = memory;
	joined = ph_content_new_joined(parts, 3);
	ph_kit_open(&a, "kinds");
	ph_kit_check_octets(&a, &a.inbox, append_content(&a, file, false),
	                    PH_SLICE(text, 100 * KIB));
	ph_kit_check_octets(&a, &a.inbox, append_content(&a, range, false), PH_SLICE(text, 70000));
	{
		g_autoptr(PhContent) read =
			ph_kit_content(&a, &a.inbox, append_content(&a, joined, false));

		ph_kit_same("octets of a joined content", ph_content_length(read),
		            70000 + 100 * KIB + 200 * KIB);
	}
}

static void
content_offsets(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhContent) content = ph_kit_generated(5, 700000);
	g_autofree char *whole = g_malloc(700000);
	g_autofree char *buffer = g_malloc(200000);
	g_autoptr(PhContent) read = NULL;
	g_autoptr(GError) error = NULL;

	ph_kit_open(&a, "offsets");
	read = ph_kit_content(&a, &a.inbox, append_content(&a, content, false));
	(void) ph_content_read(content, 0, whole, 700000, NULL);
	for (int i = 0; i < 300; i++) {
		uint64_t at = ph_kit_random() % 700100;
		size_t length = ph_kit_random() % (i % 3 == 0 ? 200000 : 5000);
		size_t wanted = at < 700000 ? MIN(length, 700000 - at) : 0;
		ssize_t got = ph_content_read(read, at, buffer, length, &error);

		KIT_CHECK(got >= 0, "reading at %" G_GUINT64_FORMAT " failed: %s", at,
		          error != NULL ? error->message : "no error given");
		ph_kit_same("octets read", (uint64_t) got, wanted);
		KIT_CHECK(wanted == 0 || memcmp(buffer, whole + at, wanted) == 0,
		          "octets at %" G_GUINT64_FORMAT " are others", at);
	}
}

static const PhSlice odd_messages[] = {
	{ "a\nb\n", 4 },
	{ "a\rb\r", 4 },
	{ "a\r\n\n\r\r\n", 7 },
	{ "a\0b\0\0", 5 },
	{ "\xff\xfe\x80\x00\xc3", 5 },
	{ "no end", 6 },
	{ "From me\r\nFrom you\r\n>From him\r\n>>From\r\n", 38 },
	{ "\r\nFrom here\r\n", 13 },
	{ ".\r\n..\r\n", 7 },
	{ "\n", 1 },
	{ "\r", 1 },
	{ "\r\n", 2 },
	{ "\r\n\r\n\r\n", 6 },
	{ "a\r\n\r\nFrom a@b Thu Jan  1 00:00:00 1970\r\n\r\nc", 43 },
	{ "Status: RO\r\nX-Status: A\r\nX-UID: 7\r\nContent-Length: 3\r\n\r\nbody\r\n", 62 },
};

static void
content_octets(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autofree char *all = g_malloc(256 * 300);

	if (ph_kit_is(PH_STORE_MENDS_LINES))
		ph_kit_skip("the store says that it makes CRLF of a bare CR or LF");
	ph_kit_open(&a, "octetsodd");
	for (size_t i = 0; i < G_N_ELEMENTS(odd_messages); i++)
		ph_kit_same("uid", ph_kit_append(&a, &a.inbox, odd_messages[i]), i + 1);
	for (size_t i = 0; i < 256 * 300; i++)
		all[i] = (char) (i % 257 * 7);
	(void) ph_kit_append(&a, &a.inbox, PH_SLICE(all, 256 * 300));
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < G_N_ELEMENTS(odd_messages); i++)
			ph_kit_check_octets(&a, &a.inbox, (uint32_t) i + 1, odd_messages[i]);
		ph_kit_check_octets(&a, &a.inbox, G_N_ELEMENTS(odd_messages) + 1,
		                    PH_SLICE(all, 256 * 300));
		ph_kit_reopen(&a);
	}
}

/* Mail as it is: CRLF line ends, eight bits, lines that look like separators. */
static void
content_mail(void)
{
	static const PhSlice mails[] = {
		{ "A: b\r\n\r\nc\r\n", 11 },
		{ "A: b\r\n\r\n", 8 },
		{ "A: b\r\n\r\n\r\n\r\n\r\n", 14 },
		{ "A: \xc3\xa4\r\n\r\n\xff\x80 8 bit\r\n", 19 },
		{ "A: b\r\n\r\nFrom x\r\n>From y\r\n>>From z\r\n", 35 },
		{ "A: b\r\n\r\n\r\nFrom a@b Thu Jan  1 00:00:00 1970\r\n\r\n", 47 },
		{ "Status: O\r\nX-UID: 99\r\n\r\nc\r\n", 27 },
	};
	g_auto(PhKitAccount) a = { .handle = NULL };

	ph_kit_open(&a, "mail");
	for (size_t i = 0; i < G_N_ELEMENTS(mails); i++)
		ph_kit_same("uid", ph_kit_append(&a, &a.inbox, mails[i]), i + 1);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < G_N_ELEMENTS(mails); i++)
			ph_kit_check_octets(&a, &a.inbox, (uint32_t) i + 1, mails[i]);
		ph_kit_reopen(&a);
	}
}

static void
content_large(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	uint64_t length = (uint64_t) ph_kit_scaled(LARGE_MIB, 8) * MIB + 12345;
	g_autoptr(PhContent) content = ph_kit_generated(77, length);
	g_autoptr(PhContent) read = NULL;
	uint64_t limit = ph_kit.memory_limit != 0 ? ph_kit.memory_limit
	                                          : (uint64_t) ALLOWED_GROWTH_MIB * MIB;
	uint64_t before = 0;
	uint64_t grown = 0;

	ph_kit_open(&a, "large");
	(void) ph_kit_append(&a, &a.inbox, PH_SLICE_EMPTY);
	before = ph_kit_peak();
	read = ph_kit_content(&a, &a.inbox, append_content(&a, content, false));
	ph_kit_check_generated(read, 77, length);
	grown = ph_kit_peak();
	grown = grown > before ? grown - before : 0;
	ph_kit_note("%" G_GUINT64_FORMAT " MiB, memory grew by %" G_GUINT64_FORMAT " KiB",
	            length / MIB, grown / KIB);
	if (!ph_kit_is(PH_STORE_VOLATILE))
		KIT_CHECK(grown <= limit,
		          "a message of %" G_GUINT64_FORMAT " MiB took %" G_GUINT64_FORMAT
		          " MiB of memory, more than %" G_GUINT64_FORMAT,
		          length / MIB, grown / MIB, limit / MIB);
}

static void
content_expunged(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autofree char *octets = g_strnfill(300000, 'e');
	g_autoptr(PhContent) held = NULL;
	g_autoptr(PhContent) later = NULL;
	g_autoptr(PhKitReading) reading = NULL;
	g_autoptr(GError) error = NULL;
	const PhRecord *record = NULL;
	uint32_t uid = 0;

	ph_kit_open(&a, "graces");
	uid = ph_kit_append(&a, &a.inbox, PH_SLICE(octets, 300000));
	held = ph_kit_content(&a, &a.inbox, uid);
	reading = ph_kit_read(&a, &a.inbox, 0, NULL, PH_FIELD_BLOB);
	record = ph_kit_record(reading, uid);
	(void) ph_kit_expunge(&a, &a.inbox, "1");
	ph_kit_same_octets(held, PH_SLICE(octets, 300000));
	if (!ph_kit.table->content(a.handle, &a.inbox, uid, &record->blob, &later, &error))
		ph_kit_fail("a message that was just expunged cannot be read: %s", error->message);
	ph_kit_same_octets(later, PH_SLICE(octets, 300000));
}

static void
content_outlives(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhContent) small = NULL;
	g_autoptr(PhContent) large = NULL;
	g_autoptr(PhContent) generated = ph_kit_generated(3, 900000);
	uint32_t uid = 0;

	ph_kit_open(&a, "outlives");
	uid = ph_kit_append(&a, &a.inbox, PH_SLICE_EMPTY);
	small = ph_kit_content(&a, &a.inbox, uid);
	large = ph_kit_content(&a, &a.inbox, append_content(&a, generated, false));
	(void) ph_kit_expunge(&a, &a.inbox, "1:2");
	ph_kit_close(&a);
	ph_kit_same_octets(small, ph_kit_small());
	ph_kit_check_generated(large, 3, 900000);
}

static void
upload_abandon(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhContent) content = ph_kit_generated(4, 400000);
	g_autoptr(GError) error = NULL;
	PhBlobId blob;

	ph_kit_open(&a, "abandon");
	for (int i = 0; i < 5; i++) {
		if (!ph_kit.table->upload(a.handle, content, i % 2 == 0, &blob, &error))
			ph_kit_fail("upload: %s", error->message);
		ph_kit.table->abandon(a.handle, &blob);
	}
	ph_kit_check_octets(&a, &a.inbox, ph_kit_append(&a, &a.inbox, PH_SLICE_EMPTY),
	                    ph_kit_small());
}

static void
on_line(const char *line, void *user_data)
{
	ph_kit_fail("verify reports: %s", line);
}

/* The core abandons every upload in the end, those that a commit has named too. */
static void
abandon_committed(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhMailboxId target;

	ph_kit_open(&a, "committed");
	ph_kit_create(&a, "target", &target);
	for (uint64_t i = 1; i <= 3; i++) {
		g_autoptr(PhKitTx) tx = ph_kit_tx();
		g_autoptr(PhContent) content = ph_kit_generated(i, i * 90000);
		g_autoptr(GError) error = NULL;
		PhOp *op = ph_kit_add(tx, PH_OP_APPEND, &a.inbox);
		PhBlobId blob;

		if (!ph_kit.table->upload(a.handle, content, false, &op->blob, &error))
			ph_kit_fail("upload: %s", error->message);
		blob = op->blob;
		op->octets = i * 90000;
		KIT_CHECK(ph_kit_commit(&a, tx), "append failed: %s", tx->public.error->message);
		ph_kit.table->abandon(a.handle, &blob);
	}
	(void) ph_kit_transfer(&a, PH_OP_COPY, &a.inbox, "1", &target);
	for (int round = 0; round < 2; round++) {
		for (uint32_t uid = 1; uid <= 3; uid++) {
			g_autoptr(PhContent) read = ph_kit_content(&a, &a.inbox, uid);

			ph_kit_check_generated(read, uid, (uint64_t) uid * 90000);
		}
		ph_kit_reopen(&a);
	}
}

/* What nobody names goes by itself, and is no finding. */
static void
upload_orphans(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhContent) content = ph_kit_generated(9, 300000);
	g_autoptr(GError) error = NULL;
	PhBlobId blob;

	ph_kit_open(&a, "orphans");
	ph_kit_fill(&a, &a.inbox, 2);
	for (int i = 0; i < 3; i++)
		if (!ph_kit.table->upload(a.handle, content, true, &blob, &error))
			ph_kit_fail("upload: %s", error->message);
	ph_kit_reopen(&a);
	ph_kit_same_messages(&a, &a.inbox, "1:- 2:-");
	if (ph_kit.table->verify != NULL
	    && !ph_kit.table->verify(a.handle, false, on_line, NULL, &error))
		ph_kit_fail("verify: %s", error->message);
}

const PhConformRule ph_conform_content[] = {
	{ "content-sizes", "STORE-2",
	  "0 octets to 3 MiB around every boundary, also after reopening", content_sizes },
	{ "content-kinds", "contract", "octets from memory, a file, a range and several joined",
	  content_kinds },
	{ "content-offsets", "contract", "reading anywhere, beyond the end included",
	  content_offsets },
	{ "content-mail", "STORE-2", "messages with CRLF come back octet for octet", content_mail },
	{ "content-octets", "STORE-2", "bare CR and LF, NUL, 8 bit: octet for octet",
	  content_octets },
	{ "content-large", "STORE-8", "a message of 100 MiB times scale in little memory",
	  content_large },
	{ "content-grace", "STORE-6", "a message can be read after it was expunged",
	  content_expunged },
	{ "content-outlives", "STORE-6", "an open content outlives expunge and account",
	  content_outlives },
	{ "upload-abandon", "contract", "an abandoned upload leaves the account as it was",
	  upload_abandon },
	{ "abandon-committed", "STORE-2",
	  "an upload abandoned after its commit: the message keeps its octets", abandon_committed },
	{ "upload-orphans", "STORE-1", "uploads that nobody named leave no finding behind",
	  upload_orphans },
	{ NULL },
};
