/* disk.h: a folder as it could be found after the power went
 *
 * Keeps what is in a folder, plays what tests/powerloss/powerloss.c wrote down of a process that
 * changed it, and then forgets what was not synced: of each write some sectors, of the changes to
 * names the end of their sequence. What was synced stays.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFORM_DISK_H
#define POSTHORN_CONFORM_DISK_H

#include <posthorn/slice.h>

typedef struct PhDisk PhDisk;

/* ph_disk_read: @folder as it is, all of it durable; absolute, without links. Returns: (owned). */
PhDisk *ph_disk_read(const char *folder, GError **error);
void ph_disk_free(PhDisk *disk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhDisk, ph_disk_free)

/* PhDiskEvents: how many of a trace. */
typedef struct {
	uint64_t n_writes;
	uint64_t n_syncs;
} PhDiskEvents;

/* ph_disk_play: what the trace says, up to a line that is torn. @trace: borrowed until the power is
 * lost. Errors: INVALID. */
bool ph_disk_play(PhDisk *disk, PhSlice trace, PhDiskEvents *events_out, GError **error);

/* ph_disk_lose_power: @survival: the share of what was not synced that is there all the same: 0 is the
 * strictest disk that keeps its promises. */
void ph_disk_lose_power(PhDisk *disk, double survival, uint32_t seed);

/* ph_disk_write: the folder becomes what is durable. */
bool ph_disk_write(const PhDisk *disk, GError **error);

#endif
