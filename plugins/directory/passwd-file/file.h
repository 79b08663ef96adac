/* file.h: a text file that is read again when it has changed
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PASSWD_FILE_FILE_H
#define PASSWD_FILE_FILE_H

#include <posthorn/plugin.h>

/* WatchedFile: what a file's text was parsed to. Thread: any. */
typedef struct WatchedFile WatchedFile;

/* Parsed: how to make, share and drop what a text is parsed to. */
typedef struct {
	void *(*parse)(PhSlice text, PhSection *section, const char *path);
	void *(*ref)(void *parsed);
	void (*unref)(void *parsed);
} Parsed;

/* watched_file_new: @path: copied. The file is read at the first use. */
WatchedFile *watched_file_new(PhSection *section, const char *path, const Parsed *parsed);
void watched_file_free(WatchedFile *file);

/* watched_file_check: reads the file for the first time, when the section is made. A file that is
 * not there is told with @missing, a sentence for the log. Errors: it is no regular file, everybody
 * can write it, or it cannot be read. */
bool watched_file_check(WatchedFile *file, const char *missing, GError **error);

/* watched_file_get: a reference to what the file holds now; one stat() when it is unchanged. A
 * missing file counts as an empty one. Errors: TEMPORARY when it cannot be read and never was;
 * afterwards the last good state is kept and the failure is logged once. */
void *watched_file_get(WatchedFile *file, GError **error);

/* watched_file_version: another number as soon as the file is another one; 0 when that cannot be
 * seen. One stat(). */
uint64_t watched_file_version(const WatchedFile *file);

#endif
