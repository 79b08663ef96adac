/* tar.h: the few tar entries (ustar, regular files) that an archive of mail consists of
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_TOOLS_TAR_H
#define PH_TOOLS_TAR_H

#include <posthorn/content.h>
#include <posthorn/error.h>

enum {
	PH_TAR_BLOCK = 512,
	PH_TAR_NAME = 100
};

/* ph_tar_put: one entry. @name: at most 99 octets. Blocks: yes. */
bool ph_tar_put(int fd, const char *name, PhSlice octets, GError **error);
bool ph_tar_put_content(int fd, const char *name, PhContent *content, GError **error);

/* ph_tar_end: the two empty blocks. */
bool ph_tar_end(int fd, GError **error);

/* PhTarReader: reads entries one after the other. Zeroed but for fd. */
typedef struct {
	int fd;
	char name[PH_TAR_NAME + 1]; /* of the present entry */
	uint64_t size;
	uint64_t left; /* octets of it that were not read */
} PhTarReader;

/* ph_tar_next: the next regular file; *found_out false at the end. Errors: INVALID for what is no
 * such archive or is cut off. */
bool ph_tar_next(PhTarReader *reader, bool *found_out, GError **error);

/* ph_tar_read: some octets of the entry; 0 at its end, -1 with @error. */
ssize_t ph_tar_read(PhTarReader *reader, char *buffer, size_t length, GError **error);

#endif
