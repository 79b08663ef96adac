/* spool.h: where the files of PhSpool lie (the spool itself is in <posthorn/content.h>)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_BASE_SPOOL_H
#define PH_BASE_SPOOL_H

#include <posthorn/content.h>

/* ph_spool_set_directory: a directory on the data file system; before that the spool's files are
 * made in the system's directory for temporary files. Thread: load. */
void ph_spool_set_directory(const char *path);

/* ph_content_new_lent: as ph_content_new_take, of piece number @i of a spool in the common memory,
 * which goes back with the content. ph_spool_return: gives it back. ph_spool_lent: octets of the common
 * memory that are in use. Thread: any. */
PhContent *ph_content_new_lent(char *piece, size_t i, size_t length);
void ph_spool_return(char *piece, size_t i);
size_t ph_spool_lent(void);

#endif
