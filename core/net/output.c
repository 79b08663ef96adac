/* output.c: what a session has still to send: octets and ranges of contents, in order
 *
 * A flush gathers pieces for one write: kept octets, contents in memory as they lie, and small
 * contents read into the worker's pump buffer. A large range of a file goes by sendfile where the
 * stream is a plain socket. A content that could not be sent as a whole is read again later: it
 * never changes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/output.h"

#include <posthorn/error.h>

#include <errno.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

enum {
	max_pieces = 32,
	copied_octets = 4096,    /* a content in memory up to this size is copied at once */
	sendfile_octets = 16384, /* a smaller range is cheaper to read and send with the rest */
};

struct PhChunk {
	PhChunk *next;
	PhContent *content; /* (owned) NULL: the octets behind the struct */
	uint64_t offset;
	uint64_t length; /* still to send */
	char octets[];
};

typedef struct {
	struct iovec pieces[max_pieces];
	int n_pieces;
	size_t pumped;
	bool more; /* something follows that did not fit */
} Batch;

static _Atomic size_t total;
static _Atomic size_t max_total = 256 * 1024 * 1024;

PhScratch *
ph_scratch_new(void)
{
	PhScratch *scratch = g_malloc(sizeof *scratch);

	scratch->out_used = 0;
	return scratch;
}

void
ph_scratch_free(PhScratch *scratch)
{
	g_free(scratch);
}

size_t
ph_output_total(void)
{
	return atomic_load_explicit(&total, memory_order_relaxed);
}

void
ph_output_set_max_total(size_t octets)
{
	atomic_store_explicit(&max_total, octets, memory_order_relaxed);
}

void
ph_output_init(PhOutput *output)
{
	*output = (PhOutput){ .first = NULL };
}

static void
append(PhOutput *output, PhChunk *chunk)
{
	chunk->next = NULL;
	if (output->first == NULL)
		output->last_link = &output->first;
	*output->last_link = chunk;
	output->last_link = &chunk->next;
	output->queued += chunk->length;
	if (chunk->content != NULL)
		output->n_contents++;
	else
		atomic_fetch_add_explicit(&total, chunk->length, memory_order_relaxed);
}

static void
append_octets(PhOutput *output, PhSlice octets)
{
	PhChunk *chunk = NULL;

	if (octets.length == 0)
		return;
	chunk = g_malloc(sizeof *chunk + octets.length);
	*chunk = (PhChunk){ .length = octets.length };
	memcpy(chunk->octets, octets.data, octets.length);
	append(output, chunk);
}

static void
drop_first(PhOutput *output)
{
	PhChunk *chunk = output->first;

	output->first = chunk->next;
	output->queued -= chunk->length;
	if (chunk->content != NULL) {
		output->n_contents--;
		ph_content_unref(chunk->content);
	} else {
		atomic_fetch_sub_explicit(&total, chunk->length, memory_order_relaxed);
	}
	g_free(chunk);
}

void
ph_output_clear(PhOutput *output)
{
	while (output->first != NULL)
		drop_first(output);
}

void
ph_output_keep(PhOutput *output, PhScratch *scratch)
{
	append_octets(output, PH_SLICE(scratch->out, scratch->out_used));
	scratch->out_used = 0;
}

void
ph_output_write(PhOutput *output, PhScratch *scratch, PhSlice octets)
{
	if (octets.length == 0 || output->broken)
		return;
	if (output->queued + octets.length > PH_OUTPUT_MAX_OCTETS && output->n_contents == 0) {
		output->broken = true;
		return;
	}
	if (octets.length > sizeof scratch->out - scratch->out_used) {
		ph_output_keep(output, scratch);
		if (octets.length > sizeof scratch->out) {
			append_octets(output, octets);
			return;
		}
	}
	memcpy(scratch->out + scratch->out_used, octets.data, octets.length);
	scratch->out_used += octets.length;
}

void
ph_output_write_content(PhOutput *output,
                        PhScratch *scratch,
                        PhContent *content,
                        uint64_t offset,
                        uint64_t length)
{
	PhSlice octets = PH_SLICE_EMPTY;
	PhChunk *chunk = NULL;

	offset = MIN(offset, ph_content_length(content));
	length = MIN(length, ph_content_length(content) - offset);
	if (length == 0 || output->broken)
		return;
	if (length <= copied_octets && ph_content_peek(content, &octets)) {
		ph_output_write(output, scratch, PH_SLICE(octets.data + offset, length));
		return;
	}
	ph_output_keep(output, scratch);
	chunk = g_malloc(sizeof *chunk);
	*chunk =
		(PhChunk){ .content = ph_content_ref(content), .offset = offset, .length = length };
	append(output, chunk);
}

size_t
ph_output_pending(const PhOutput *output, const PhScratch *scratch)
{
	return output->queued + (scratch != NULL ? scratch->out_used : 0);
}

bool
ph_output_full(const PhOutput *output, const PhScratch *scratch)
{
	if (output->n_contents >= PH_OUTPUT_MAX_CONTENTS)
		return true;
	if (ph_output_pending(output, scratch) >= PH_OUTPUT_HIGH_WATER)
		return true;
	return output->first != NULL
	       && ph_output_total() > atomic_load_explicit(&max_total, memory_order_relaxed);
}

static void
add_piece(Batch *batch, const char *octets, size_t length)
{
	union {
		const char *octets;
		void *base;
	} cast = { octets };

	batch->pieces[batch->n_pieces++] = (struct iovec){ cast.base, length };
}

static bool
goes_by_sendfile(const PhChunk *chunk, const PhStream *stream)
{
	int fd = -1;
	uint64_t offset = 0;

	return stream->can_sendfile && chunk->content != NULL && chunk->length >= sendfile_octets
	       && ph_content_file(chunk->content, &fd, &offset);
}

/* Reads from a content into the rest of the pump buffer. false with @error, or (without) when
 * there is no room. */
static bool
pump(Batch *batch, const PhChunk *chunk, PhScratch *scratch, GError **error)
{
	size_t room = sizeof scratch->pump - batch->pumped;
	char *at = scratch->pump + batch->pumped;
	size_t wanted = (size_t) MIN((uint64_t) room, chunk->length);
	ssize_t n = 0;

	if (wanted == 0)
		return false;
	n = ph_content_read(chunk->content, chunk->offset, at, wanted, error);
	if (n < 0)
		return false;
	if (n == 0) {
		g_set_error(error, PH_ERROR, PH_ERROR_CORRUPT, "content ended before its length");
		return false;
	}
	add_piece(batch, at, (size_t) n);
	batch->pumped += (size_t) n;
	return (uint64_t) n == chunk->length;
}

/* Adds one chunk. false: no further chunk fits behind it, or an error. */
static bool
gather(Batch *batch, const PhChunk *chunk, PhScratch *scratch, GError **error)
{
	PhSlice whole = PH_SLICE_EMPTY;

	if (chunk->content == NULL) {
		add_piece(batch, chunk->octets + chunk->offset, chunk->length);
		return true;
	}
	if (ph_content_peek(chunk->content, &whole)) {
		add_piece(batch, whole.data + chunk->offset, chunk->length);
		return true;
	}
	return pump(batch, chunk, scratch, error);
}

static bool
fill(Batch *batch,
     const PhOutput *output,
     PhScratch *scratch,
     const PhStream *stream,
     GError **error)
{
	GError *failure = NULL;
	const PhChunk *chunk = output->first;

	for (; chunk != NULL && batch->n_pieces < max_pieces; chunk = chunk->next) {
		if (goes_by_sendfile(chunk, stream))
			break;
		if (!gather(batch, chunk, scratch, &failure))
			break;
	}
	if (failure != NULL && batch->n_pieces == 0) {
		g_propagate_error(error, failure);
		return false;
	}
	g_clear_error(&failure);
	batch->more = chunk != NULL;
	if (chunk == NULL && scratch->out_used > 0 && batch->n_pieces < max_pieces)
		add_piece(batch, scratch->out, scratch->out_used);
	return true;
}

static void
advance(PhOutput *output, PhScratch *scratch, size_t n)
{
	while (n > 0 && output->first != NULL) {
		PhChunk *chunk = output->first;
		size_t part = (size_t) MIN((uint64_t) n, chunk->length);

		chunk->offset += part;
		chunk->length -= part;
		output->queued -= part;
		if (chunk->content == NULL)
			atomic_fetch_sub_explicit(&total, part, memory_order_relaxed);
		n -= part;
		if (chunk->length == 0)
			drop_first(output);
	}
	if (n > 0) {
		scratch->out_used -= n;
		memmove(scratch->out, scratch->out + n, scratch->out_used);
	}
}

static ssize_t
send_file(PhChunk *chunk, PhStream *stream, GError **error)
{
	int fd = -1;
	uint64_t start = 0;
	off_t offset = 0;
	ssize_t n = 0;

	ph_content_file(chunk->content, &fd, &start);
	offset = (off_t) (start + chunk->offset);
	do {
		n = sendfile(stream->fd, fd, &offset,
		             (size_t) MIN(chunk->length, (uint64_t) PH_OUTPUT_TURN));
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return n;
	if (n < 0 && errno == EAGAIN)
		return PH_STREAM_WANT_WRITE;
	if (n == 0)
		g_set_error(error, PH_ERROR, PH_ERROR_CORRUPT,
		            "content's file is shorter than its recorded length");
	return PH_STREAM_FAILED;
}

static ssize_t
send_some(PhOutput *output, PhScratch *scratch, PhStream *stream, GError **error)
{
	Batch batch = { .n_pieces = 0 };

	if (output->first != NULL && goes_by_sendfile(output->first, stream))
		return send_file(output->first, stream, error);
	if (!fill(&batch, output, scratch, stream, error))
		return PH_STREAM_FAILED;
	return ph_stream_write(stream, batch.pieces, batch.n_pieces, batch.more);
}

PhFlush
ph_output_flush(PhOutput *output,
                PhScratch *scratch,
                PhStream *stream,
                size_t *sent_out,
                GError **error)
{
	size_t sent = 0;
	PhFlush result = output->broken ? PH_FLUSH_FAILED : PH_FLUSH_DONE;

	output->wants_read = false;
	while (result == PH_FLUSH_DONE && ph_output_pending(output, scratch) > 0) {
		ssize_t n = sent < PH_OUTPUT_TURN ? send_some(output, scratch, stream, error) : 0;

		if (n > 0) {
			advance(output, scratch, (size_t) n);
			sent += (size_t) n;
		} else if (n == 0) {
			result = PH_FLUSH_TURN;
		} else if (n == PH_STREAM_FAILED) {
			result = PH_FLUSH_FAILED;
		} else {
			output->wants_read = n == PH_STREAM_WANT_READ;
			result = PH_FLUSH_BLOCKED;
		}
	}
	if (result == PH_FLUSH_FAILED)
		scratch->out_used = 0;
	ph_output_keep(output, scratch);
	*sent_out = sent;
	return result;
}
