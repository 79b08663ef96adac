/* content.h: immutable octets that can be read at any offset
 *
 * A message is octets with CRLF line ends as it goes over the wire. Whoever needs it holds a
 * counted PhContent; where the octets live (memory, a spool file, a range of a store's file, a
 * store's own rows) is the content's business. Sizes are what the wire sees.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONTENT_H
#define POSTHORN_CONTENT_H

#include <posthorn/types.h>

G_BEGIN_DECLS

/* PhContentTable: a store's own kind of content. */
typedef struct {
	size_t size; /* sizeof(PhContentTable) */
	/* read: copies up to @length octets from @offset to @buffer.
	 * Required. Thread: any worker, one call at a time for one content. Blocks: on the disk.
	 * Returns: octets copied, short only at the end; -1 with @error (GONE after the grace time,
	 * CORRUPT, TEMPORARY); the client's connection is then closed if a length was announced. */
	ssize_t (*read)(void *handle, uint64_t offset, char *buffer, size_t length, GError **error);
	/* free: the last reference is gone. Required. Thread: any. */
	void (*free)(void *handle);
} PhContentTable;

/* Thread: any, for all constructors and getters. Constructors return one owned reference. */

/* ph_content_new_copy: a copy of the octets in memory. */
PH_PUBLIC PhContent *ph_content_new_copy(PhSlice octets);

/* ph_content_new_take: takes over memory made by g_malloc. @data: (owned). */
PH_PUBLIC PhContent *ph_content_new_take(char *data, size_t length);

/* ph_content_new_file: a range of a file; goes out by sendfile where the connection allows.
 * @fd: (owned) closed with the content; must be readable by pread and never shrink. */
PH_PUBLIC PhContent *ph_content_new_file(int fd, uint64_t offset, uint64_t length);

/* ph_content_new_custom: @table and @handle: (owned until free). @length: octets on the wire. */
PH_PUBLIC PhContent *ph_content_new_custom(const PhContentTable *table,
                                           void *handle,
                                           uint64_t length);

/* ph_content_new_range: part of another content, clamped to its end. */
PH_PUBLIC PhContent *ph_content_new_range(PhContent *content, uint64_t offset, uint64_t length);

/* ph_content_new_joined: @n contents one after another (a trace header before a message). The
 * parts are referenced. */
PH_PUBLIC PhContent *ph_content_new_joined(PhContent *const *parts, size_t n);

PH_PUBLIC PhContent *ph_content_ref(PhContent *content);
PH_PUBLIC void ph_content_unref(PhContent *content);

PH_PUBLIC uint64_t ph_content_length(const PhContent *content);

/* ph_content_read: as the table's read. Blocks: perhaps. */
PH_PUBLIC ssize_t
ph_content_read(PhContent *content, uint64_t offset, char *buffer, size_t length, GError **error);

/* ph_content_peek: the octets without a copy when they lie in memory as one piece.
 * Returns: false when they do not; then use read. The slice lives as long as the content. */
PH_PUBLIC bool ph_content_peek(const PhContent *content, PhSlice *octets_out);

/* ph_content_file: descriptor and range when the content is exactly one range of a file. The
 * descriptor stays the content's. */
PH_PUBLIC bool ph_content_file(const PhContent *content, int *fd_out, uint64_t *offset_out);

/* PhContentBlockFunc: copies what one block holds from @offset on, at least one octet and at most
 * @length. Returns: 0 with @error. */
typedef size_t (*PhContentBlockFunc)(void *handle,
                                     uint64_t offset,
                                     char *buffer,
                                     size_t length,
                                     GError **error);

/* ph_content_read_blocks: a table's read of content that lies in blocks (compressed frames, sealed
 * chunks): asks @block until @length octets are copied, which must be there. */
PH_PUBLIC ssize_t ph_content_read_blocks(PhContentBlockFunc block,
                                         void *handle,
                                         uint64_t offset,
                                         char *buffer,
                                         size_t length,
                                         GError **error);

/* PhContentFunc: one piece in order. Returns false with an error to stop. */
typedef bool (*PhContentFunc)(PhSlice piece, void *user_data, GError **error);

/* ph_content_each: passes the whole range in pieces of at most 64 KiB (one piece when in memory). */
PH_PUBLIC bool ph_content_each(PhContent *content,
                               uint64_t offset,
                               uint64_t length,
                               PhContentFunc func,
                               void *user_data,
                               GError **error);

/* PhSpool: gathers octets of unknown length: up to 64 KiB in memory, up to 4 MiB while all spools
 * together hold less than 32 MiB above that, then in an unnamed file under the data directory. Not
 * safe for use by two threads at once. */
typedef struct PhSpool PhSpool;

PH_PUBLIC PhSpool *ph_spool_new(void);

/* ph_spool_write: TEMPORARY when the disk is full. */
PH_PUBLIC bool ph_spool_write(PhSpool *spool, PhSlice octets, GError **error);
PH_PUBLIC uint64_t ph_spool_length(const PhSpool *spool);

/* ph_spool_finish: the gathered octets as content. @spool: (owned) gone afterwards. */
PH_PUBLIC PhContent *ph_spool_finish(PhSpool *spool, GError **error);
PH_PUBLIC void ph_spool_free(PhSpool *spool);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhContent, ph_content_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhSpool, ph_spool_free)

G_END_DECLS

#endif
