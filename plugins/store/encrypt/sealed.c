/* sealed.c: a message as chunks that are sealed one by one, and back at any offset
 *
 * Sealing reads the message once and keeps nothing of it; what is sealed goes into a spool when it
 * is long. Opening checks the last chunk before a length is told, so a message that was cut off is
 * never begun.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/secret.h>

#include "encrypt.h"

#include <string.h>

enum {
	MAGIC = 8,
	AT_KEY_ID = MAGIC,
	AT_CONTENT_ID = AT_KEY_ID + KEY_ID,
	AT_CHUNK_BITS = AT_CONTENT_ID + RANDOM,
};

static const char magic[MAGIC] = { '\xff', '\0', 'P', 'H', 'E', 'N', 'C', 1 };

static bool
fail(GError **error, const char *what)
{
	ph_error_set(error, PH_ERROR_CORRUPT, "an encrypted message %s", what);
	return false;
}

bool
sealed_is(PhSlice header)
{
	return header.length >= MAGIC && memcmp(header.data, magic, MAGIC) == 0;
}

PhSlice
sealed_key_id(PhSlice header)
{
	return PH_SLICE(header.data + AT_KEY_ID, KEY_ID);
}

bool
sealed_layout(PhSlice header, uint64_t stored, Layout *layout_out)
{
	static const char zeros[HEADER - AT_CHUNK_BITS - 1];
	uint64_t body = stored - HEADER;
	Layout layout = { 0 };
	uint64_t whole = 0;
	uint64_t last = 0;

	if (header.length != HEADER || stored < HEADER + TAG || stored > INT64_MAX
	    || !sealed_is(header)
	    || memcmp(header.data + AT_CHUNK_BITS + 1, zeros, sizeof zeros) != 0)
		return false;
	layout.chunk_bits = (uint8_t) header.data[AT_CHUNK_BITS];
	if (layout.chunk_bits < MIN_CHUNK_BITS || layout.chunk_bits > MAX_CHUNK_BITS)
		return false;
	whole = ((uint64_t) 1 << layout.chunk_bits) + TAG;
	layout.n_chunks = (body - 1) / whole + 1;
	last = body - (layout.n_chunks - 1) * whole;
	/* only a message without octets has a chunk without octets */
	if (last < TAG || (last == TAG && layout.n_chunks > 1))
		return false;
	layout.length = body - layout.n_chunks * TAG;
	*layout_out = layout;
	return true;
}

/* A box for one chunk. */
static Box
chunk_box(const uint8_t *key, PhSlice header, uint64_t number, bool is_last)
{
	Box box = { .key = key, .bound = header };
	uint64_t big = GUINT64_TO_BE(number);

	memcpy(box.nonce, &big, sizeof big);
	box.nonce[sizeof big] = is_last ? 1 : 0;
	return box;
}

static void
derive_content(const Key *key, const char *address, PhSlice header, uint8_t *out)
{
	crypto_derive(key->key, "content", address, PH_SLICE(header.data + AT_CONTENT_ID, RANDOM),
	              out);
}

/* --- sealing -------------------------------------------------------------------------------------- */

typedef struct {
	uint8_t key[KEY];
	PhSlice header;
	uint64_t chunk;
	char *plain;  /* (nullable) room for one chunk, when the message is not in memory */
	char *sealed; /* room for one */
} Sealing;

static bool
read_chunk(Sealing *sealing, PhContent *content, PhSlice *plain_out, GError **error)
{
	uint64_t offset = sealing->chunk << CHUNK_BITS;
	size_t length = (size_t) MIN(ph_content_length(content) - offset, (uint64_t) CHUNK);
	PhSlice whole = PH_SLICE_EMPTY;
	ssize_t got = 0;

	if (ph_content_peek(content, &whole)) {
		*plain_out = PH_SLICE(whole.data + offset, length);
		return true;
	}
	if (sealing->plain == NULL)
		sealing->plain = g_malloc(CHUNK);
	got = ph_content_read(content, offset, sealing->plain, length, error);
	if (got >= 0 && (size_t) got < length)
		ph_error_set(error, PH_ERROR_TEMPORARY, "a message is shorter than announced");
	*plain_out = PH_SLICE(sealing->plain, length);
	return got == (ssize_t) length;
}

/* Seals the next chunk. Returns: its octets, empty with @error. */
static PhSlice
seal_chunk(Sealing *sealing, PhContent *content, GError **error)
{
	uint64_t end = (sealing->chunk + 1) << CHUNK_BITS;
	Box box = chunk_box(sealing->key, sealing->header, sealing->chunk,
	                    end >= ph_content_length(content));
	PhSlice plain = PH_SLICE_EMPTY;

	if (!read_chunk(sealing, content, &plain, error))
		return PH_SLICE_EMPTY;
	crypto_seal(&box, plain, sealing->sealed);
	sealing->chunk++;
	return PH_SLICE(sealing->sealed, plain.length + TAG);
}

/* A message of one chunk stays in memory. */
static PhContent *
seal_small(Sealing *sealing, PhContent *content, GError **error)
{
	size_t length = HEADER + ph_content_length(content) + TAG;
	char *out = g_malloc(length);

	memcpy(out, sealing->header.data, HEADER);
	sealing->sealed = out + HEADER;
	if (seal_chunk(sealing, content, error).length > 0)
		return ph_content_new_take(out, length);
	g_free(out);
	return NULL;
}

static PhContent *
seal_large(Sealing *sealing, PhContent *content, GError **error)
{
	g_autoptr(PhSpool) spool = ph_spool_new();
	g_autofree char *room = g_malloc(CHUNK + TAG);

	sealing->sealed = room;
	if (!ph_spool_write(spool, sealing->header, error))
		return NULL;
	while (sealing->chunk << CHUNK_BITS < ph_content_length(content)) {
		PhSlice sealed = seal_chunk(sealing, content, error);

		if (sealed.length == 0 || !ph_spool_write(spool, sealed, error))
			return NULL;
	}
	return ph_spool_finish(g_steal_pointer(&spool), error);
}

PhContent *
sealed_make(PhContent *content, const Key *key, const char *address, GError **error)
{
	char header[HEADER] = { 0 };
	Sealing sealing = { .header = PH_SLICE(header, HEADER) };
	bool small = ph_content_length(content) <= CHUNK;
	PhContent *sealed = NULL;

	memcpy(header, magic, MAGIC);
	memcpy(header + AT_KEY_ID, key->id, KEY_ID);
	ph_secret_random(header + AT_CONTENT_ID, RANDOM);
	header[AT_CHUNK_BITS] = CHUNK_BITS;
	derive_content(key, address, sealing.header, sealing.key);
	sealed = (small ? seal_small : seal_large)(&sealing, content, error);
	ph_secret_wipe(sealing.key, KEY);
	if (sealing.plain != NULL)
		ph_secret_wipe(sealing.plain, CHUNK);
	g_free(sealing.plain);
	return sealed;
}

/* --- opening -------------------------------------------------------------------------------------- */

/* Opened: a message of several chunks that is being read. */
typedef struct {
	PhContent *stored; /* (owned) a reference */
	Layout layout;
	char header[HEADER];
	uint8_t key[KEY];
	char *plain; /* (owned, nullable) octets of one chunk */
	uint64_t chunk;
} Opened;

static size_t
chunk_length(const Layout *layout, uint64_t chunk)
{
	return (size_t) MIN(layout->length - (chunk << layout->chunk_bits),
	                    (uint64_t) 1 << layout->chunk_bits);
}

static bool
open_chunk(const Opened *opened, uint64_t chunk, char *out, GError **error)
{
	size_t length = chunk_length(&opened->layout, chunk) + TAG;
	uint64_t begin = HEADER + chunk * (((uint64_t) 1 << opened->layout.chunk_bits) + TAG);
	Box box = chunk_box(opened->key, PH_SLICE(opened->header, HEADER), chunk,
	                    chunk + 1 == opened->layout.n_chunks);
	g_autofree char *copy = NULL;
	PhSlice sealed = PH_SLICE_EMPTY;
	ssize_t got = 0;

	if (ph_content_peek(opened->stored, &sealed)) {
		sealed = PH_SLICE(sealed.data + begin, length);
	} else {
		copy = g_malloc(length);
		got = ph_content_read(opened->stored, begin, copy, length, error);
		if (got < 0)
			return false;
		sealed = PH_SLICE(copy, (size_t) got);
	}
	return (sealed.length == length && crypto_open(&box, sealed, out))
	       || fail(error, "was altered");
}

/* Octets of one chunk from @offset on; a whole one goes straight to @buffer. Returns: how many, 0
 * with @error. */
static size_t
read_from_chunk(void *handle, uint64_t offset, char *buffer, size_t length, GError **error)
{
	Opened *opened = handle;
	uint64_t chunk = offset >> opened->layout.chunk_bits;
	size_t inside = (size_t) (offset - (chunk << opened->layout.chunk_bits));
	size_t whole = chunk_length(&opened->layout, chunk);
	size_t n = MIN(length, whole - inside);

	if (n == whole)
		return open_chunk(opened, chunk, buffer, error) ? n : 0;
	if (opened->plain == NULL) {
		opened->plain = g_malloc((size_t) 1 << opened->layout.chunk_bits);
		opened->chunk = opened->layout.n_chunks;
	}
	if (opened->chunk != chunk) {
		opened->chunk = opened->layout.n_chunks;
		if (!open_chunk(opened, chunk, opened->plain, error))
			return 0;
		opened->chunk = chunk;
	}
	memcpy(buffer, opened->plain + inside, n);
	return n;
}

static ssize_t
opened_read(void *handle, uint64_t offset, char *buffer, size_t length, GError **error)
{
	Opened *opened = handle;

	if (offset >= opened->layout.length)
		return 0;
	length = (size_t) MIN((uint64_t) length, opened->layout.length - offset);
	return ph_content_read_blocks(read_from_chunk, opened, offset, buffer, length, error);
}

static void
opened_free(void *handle)
{
	Opened *opened = handle;

	ph_content_unref(opened->stored);
	ph_secret_wipe(opened->key, KEY);
	if (opened->plain != NULL)
		ph_secret_wipe(opened->plain, (size_t) 1 << opened->layout.chunk_bits);
	g_free(opened->plain);
	g_free(opened);
}

static const PhContentTable opened_table = {
	.size = sizeof opened_table,
	.read = opened_read,
	.free = opened_free,
};

static PhContent *
open_small(const Opened *opened, GError **error)
{
	size_t length = (size_t) opened->layout.length;
	g_autofree char *plain = g_malloc(length + 1);

	if (!open_chunk(opened, 0, plain, error))
		return NULL;
	return ph_content_new_take(g_steal_pointer(&plain), length);
}

/* The last chunk tells whether all are there. */
static PhContent *
open_large(Opened *opened, GError **error)
{
	uint64_t last = opened->layout.n_chunks - 1;

	opened->plain = g_malloc((size_t) 1 << opened->layout.chunk_bits);
	opened->chunk = last;
	if (!open_chunk(opened, last, opened->plain, error))
		return NULL;
	return ph_content_new_custom(&opened_table, opened, opened->layout.length);
}

PhContent *
sealed_open(PhContent *stored, PhSlice header, const Key *key, const char *address, GError **error)
{
	Opened *opened = NULL;
	PhContent *content = NULL;
	Layout layout;

	if (!sealed_layout(header, ph_content_length(stored), &layout)) {
		(void) fail(error, "is damaged");
		return NULL;
	}
	opened = g_new0(Opened, 1);
	opened->stored = ph_content_ref(stored);
	opened->layout = layout;
	memcpy(opened->header, header.data, HEADER);
	derive_content(key, address, header, opened->key);
	if (layout.n_chunks > 1)
		content = open_large(opened, error);
	else
		content = open_small(opened, error);
	if (content == NULL || layout.n_chunks == 1)
		opened_free(opened);
	return content;
}
