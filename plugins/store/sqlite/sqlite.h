/* sqlite.h: the inside of the sqlite store
 *
 * One database an account: PhIndex's tables and three for octets. Messages up to SMALL octets are
 * one row; larger ones are cut into pieces.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include <posthorn/error.h>
#include <posthorn/index.h>

#include <pthread.h>

enum {
	SMALL = 256 * 1024,
	PIECE = 64 * 1024,
};

typedef struct {
	const char *path;
	PhDuration grace;
	PhSize largest;
} Settings;

typedef struct {
	PhIndex *index; /* who has a reference to the index may use the account */
	const Settings *settings;
	pthread_mutex_t lock; /* guards uploads */
	GHashTable *uploads;  /* number -> PhContent: waiting for the commit that names them */
	uint64_t next_upload;
	GArray *used;      /* numbers of uploads that the running commit has stored */
	int64_t next_blob; /* belongs to the running commit; 0: not known */
} Account;

extern const PhIndexHooks octets_hooks;

void uploads_init(Account *account);
void uploads_clear(Account *account);

bool octets_upload(void *account,
                   PhContent *content,
                   bool durable,
                   PhBlobId *blob_out,
                   GError **error);
void octets_abandon(void *account, const PhBlobId *blob);
bool octets_content(void *account,
                    const PhMailboxId *mailbox,
                    uint32_t uid,
                    const PhBlobId *blob,
                    PhContent **content_out,
                    GError **error);

#endif
