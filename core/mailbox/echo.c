/* echo.c: tells other processes of this server which accounts were changed
 *
 * A place of the ring is taken by counting, and written afterwards; so what was new at one reading is
 * read once more at the next, when it was certainly written.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/echo.h"

#include <posthorn/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	PLACES = 8192, /* a power of two */
	WRITER_BITS = 24,
};

typedef struct {
	_Atomic uint64_t n; /* ever written */
	_Atomic uint64_t places[PLACES];
} Ring;

static struct {
	Ring *ring; /* (nullable) */
	uint64_t writer;
	uint64_t read;   /* everything before was read */
	uint64_t reread; /* and, what lies before this, twice */
} echo;

int
ph_echo_make(GError **error)
{
	int fd = memfd_create("posthorn-echo", MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, sizeof(Ring)) == 0)
		return fd;
	ph_error_set_errno(error, errno, "cannot make memory to share");
	if (fd >= 0)
		(void) close(fd);
	return -1;
}

bool
ph_echo_use(int fd, GError **error)
{
	void *map = mmap(NULL, sizeof(Ring), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED) {
		ph_error_set_errno(error, errno, "cannot share memory");
		return false;
	}
	echo.ring = map;
	echo.writer = (uint64_t) getpid() & ((UINT64_C(1) << WRITER_BITS) - 1);
	echo.read = echo.reread = atomic_load(&echo.ring->n);
	return true;
}

/* FNV-1a: the same in every process. */
uint64_t
ph_echo_key(const char *name)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (const char *at = name; *at != '\0'; at++)
		hash = (hash ^ (uint8_t) *at) * UINT64_C(1099511628211);
	return MAX(hash >> WRITER_BITS, 1);
}

void
ph_echo_say(uint64_t key)
{
	uint64_t place = 0;

	if (echo.ring == NULL)
		return;
	place = atomic_fetch_add(&echo.ring->n, 1);
	atomic_store(&echo.ring->places[place % PLACES], key << WRITER_BITS | echo.writer);
}

void
ph_echo_hear(void (*func)(uint64_t key, void *user_data), void *user_data)
{
	uint64_t end = 0;

	if (echo.ring == NULL)
		return;
	end = atomic_load(&echo.ring->n);
	if (end - echo.reread > PLACES)
		func(0, user_data);
	for (uint64_t at = MAX(echo.reread, end > PLACES ? end - PLACES : 0); at < end; at++) {
		uint64_t entry = atomic_load(&echo.ring->places[at % PLACES]);

		if ((entry & ((UINT64_C(1) << WRITER_BITS) - 1)) != echo.writer && entry != 0)
			func(entry >> WRITER_BITS, user_data);
	}
	echo.reread = echo.read;
	echo.read = end;
}
