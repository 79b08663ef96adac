/* file.h: mbox files, opened and locked, and where they lie
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MBOX_FILE_H
#define STORE_MBOX_FILE_H

#include "lines.h"

#include <sys/stat.h>

typedef struct Account Account;

/* Look: what a file looked like. */
typedef struct {
	uint64_t device;
	uint64_t inode;
	uint64_t size;
	int64_t mtime_ns;
	int64_t ctime_ns;
} Look;

/* File: an mbox that is open and locked. */
typedef struct {
	const Account *account;
	int folder_fd;
	char *base; /* name in the folder */
	int fd;     /* -1: there is none */
	bool writes;
	bool has_dot;
	uint64_t folder; /* inode */
	struct stat status;
	Source source;
} File;

typedef enum {
	FILE_READ,   /* shared lock */
	FILE_WRITE,  /* exclusive; a file that may not be written to is opened for reading */
	FILE_APPEND, /* exclusive, made when it is missing */
} FileMode;

/* file.c */
bool file_open(const Account *account, const char *name, FileMode mode, File *file, GError **error);
void file_close(File *file);
Look file_look(const struct stat *status);
bool file_same_look(const Look *a, const Look *b);
/* file_write, file_cut: @file->status is what the file looks like afterwards. */
bool file_write(File *file, uint64_t offset, PhSlice octets, GError **error);
bool file_cut(File *file, uint64_t size, GError **error);
bool file_sync(File *file, GError **error);
ssize_t file_read(void *file, uint64_t offset, char *buffer, size_t length, GError **error);
bool file_is_lock_word(const char *word);
/* file_lock_account: against other processes of the server. */
bool file_lock_account(Account *account, GError **error);
void file_unlock_account(Account *account);
/* file_touch_lock: during long work. */
void file_touch_lock(const File *file);

/* layout.c */
typedef struct {
	int folder_fd;
	char *base; /* (owned) */
} Where;

bool layout_find(const Account *account, const char *name, Where *where, GError **error);
/* layout_make: folders above it; a file in the way becomes a folder with the file in it. */
bool layout_make(const Account *account, const char *name, GError **error);
void layout_clear(Where *where);
typedef bool (*LayoutFunc)(const char *name, void *user_data, GError **error);
bool layout_each(const Account *account, LayoutFunc func, void *user_data, GError **error);
/* layout_escape: a component as a file name. layout_unescape: and back; false: not one of ours. */
void layout_escape(PhSlice component, GString *out);
bool layout_unescape(PhSlice file_name, GString *out);
/* layout_remove_empty: folders above the mailbox that hold nothing any more. */
void layout_remove_empty(const Account *account, const char *name);

/* layout_move: the file of one name gets another; what is there already stays. */
bool layout_move(const Account *account, const char *from, const char *to, GError **error);

#endif
