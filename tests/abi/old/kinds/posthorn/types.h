/* types.h: the few types that every other header uses
 *
 * Peer data travels as PhSlice (pointer and length), never as a C string: it may hold NUL, and it
 * is not terminated. Times are microseconds. Sizes are octets. Enumerations that stand in structs
 * are stored as uint32_t so that their width never depends on a compiler.
 *
 * Thread words used in all headers: *session* (serial for that session, on changing threads),
 * *worker* (any worker thread, concurrently), *main* (the control loop, must not block), *load*
 * (once, alone, while the server starts). Ownership words: *borrowed* (valid until the call
 * returns unless said otherwise), *owned* (the receiver frees it), *out*, *nullable*.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_TYPES_H
#define POSTHORN_TYPES_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* PH_PUBLIC marks what libposthorn exports; PH_EXPORT the one symbol that a plugin exports. */
#define PH_PUBLIC extern __attribute__((visibility("default")))
#define PH_EXPORT __attribute__((visibility("default")))

G_BEGIN_DECLS

/* PhSlice: octets that belong to somebody else. data may be NULL only when length is 0. */
typedef struct {
	const char *data;
	size_t length;
} PhSlice;

#define PH_SLICE(pointer, n)  ((PhSlice){ (pointer), (n) })
#define PH_SLICE_LITERAL(text) ((PhSlice){ (text), sizeof(text) - 1 })
#define PH_SLICE_EMPTY        ((PhSlice){ NULL, 0 })

/* PhDuration: microseconds. PhSize: octets. PhTime: microseconds since 1970-01-01T00:00:00Z.
 * Each has a name of its own so that option rows can demand the right one. */
typedef struct {
	uint64_t us;
} PhDuration;

typedef struct {
	uint64_t octets;
} PhSize;

typedef int64_t PhTime;

/* PhKind: the six kinds of plugin. Values are part of the ABI. */
typedef enum {
	PH_KIND_PROTOCOL = 1,
	PH_KIND_MECHANISM = 2,
	PH_KIND_DIRECTORY = 3,
	PH_KIND_STORE = 4,
	PH_KIND_FILTER = 5,
	PH_KIND_TRANSPORT = 6,
} PhKind;

/* Core objects that plugins only ever hold by pointer. */
typedef struct PhSection PhSection;   /* one config section in use: plugin.h */
typedef struct PhSession PhSession;   /* one client connection: session.h */
typedef struct PhWake PhWake;         /* the right to resume a parked session once: wake.h */
typedef struct PhContent PhContent;   /* immutable octets: content.h */
typedef struct PhIdentity PhIdentity; /* one user, as a directory describes them: identity.h */
typedef struct PhLogin PhLogin;       /* one authentication exchange: login.h */
typedef struct PhAccount PhAccount;   /* one user's mail: mailbox.h */
typedef struct PhView PhView;         /* one selected mailbox as one client sees it: mailbox.h */
typedef struct PhMail PhMail;         /* a message under way with its envelope: transport.h */
typedef struct PhStructure PhStructure; /* the scanned MIME structure of a message: message.h */

G_END_DECLS

#endif
