/* frame.c: one zstd frame in, one out; contexts are kept for the next caller
 *
 * A context is some hundred kilobytes; making one takes longer than packing a small message. At most
 * KEPT of each sort are kept in the process.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "compress.h"

#include <pthread.h>
#include <zstd.h>

enum {
	KEPT = 8,
};

typedef struct {
	pthread_mutex_t lock; /* guards the rest */
	void *idle[KEPT];
	unsigned n;
} Kept;

static Kept packers = { .lock = PTHREAD_MUTEX_INITIALIZER };
static Kept unpackers = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void *
take(Kept *kept)
{
	void *context = NULL;

	(void) pthread_mutex_lock(&kept->lock);
	if (kept->n > 0)
		context = kept->idle[--kept->n];
	(void) pthread_mutex_unlock(&kept->lock);
	return context;
}

/* Returns: it was kept; otherwise the caller frees it. */
static bool
give_back(Kept *kept, void *context)
{
	bool has_room = false;

	(void) pthread_mutex_lock(&kept->lock);
	has_room = kept->n < KEPT;
	if (has_room)
		kept->idle[kept->n++] = context;
	(void) pthread_mutex_unlock(&kept->lock);
	return has_room;
}

size_t
frame_bound(size_t length)
{
	return ZSTD_compressBound(length);
}

size_t
frame_pack(PhSlice plain, int level, char *out)
{
	ZSTD_CCtx *context = take(&packers);
	size_t n = 0;

	if (context == NULL)
		context = ZSTD_createCCtx();
	g_assert(context != NULL);
	(void) ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
	(void) ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
	n = ZSTD_compress2(context, out, ZSTD_compressBound(plain.length), plain.data,
	                   plain.length);
	/* with that much room there is no way to fail but without memory */
	g_assert(!ZSTD_isError(n));
	if (!give_back(&packers, context))
		(void) ZSTD_freeCCtx(context);
	return n;
}

bool
frame_unpack(PhSlice packed, char *out, size_t length)
{
	ZSTD_DCtx *context = take(&unpackers);
	size_t n = 0;

	if (context == NULL)
		context = ZSTD_createDCtx();
	g_assert(context != NULL);
	n = ZSTD_decompressDCtx(context, out, length, packed.data, packed.length);
	if (!give_back(&unpackers, context))
		(void) ZSTD_freeDCtx(context);
	return !ZSTD_isError(n) && n == length;
}
