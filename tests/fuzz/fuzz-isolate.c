/* fuzz-isolate.c: packets from a child that was taken over, and to one
 *
 * The first octet says which end is tried; each packet has its length in two octets before it. What a
 * child says answers a lookup, an expansion and a stored secret; what it hears is asked of the plugin.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "people.h"

#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static PhSlice input;

static void
send_all(int fd)
{
	PhSlice rest = input;

	while (rest.length > 2) {
		size_t n = (uint8_t) rest.data[0] * 256U + (uint8_t) rest.data[1];
		PhSlice packet;

		rest = ph_slice_from(rest, 2);
		packet = PH_SLICE(rest.data, MIN(n, rest.length));
		rest = ph_slice_from(rest, packet.length);
		if (packet.length > 0 && !ph_link_send(fd, packet))
			return;
	}
}

/* The other end closes at once: what was sent can still be read. */
static void
reply(int fd)
{
	send_all(fd);
	close(fd);
}

static bool
pass(const char *address, void *user_data)
{
	uint32_t *n = user_data;

	return ++*n < 100000;
}

static void
try_worker(uint8_t which)
{
	PhConfig *config = NULL;
	PhSection *section = people_section("isolate = 1\ntimeout = 1ms\n", &config);
	const PhDirectory *table = ph_section_table(section);
	void *instance = ph_section_instance(section);
	PhIdentity *identity = NULL;
	PhSecret *secret = NULL;
	uint32_t n = 0;

	if (which % 3 == 0 && table->lookup(instance, "anna", &identity, NULL) == PH_VERIFY_OK)
		ph_identity_unref(identity);
	else if (which % 3 == 1)
		(void) table->expand(instance, "team", pass, &n, NULL);
	else if (which % 3 == 2
	         && table->secret(instance, "anna", "PLAIN", &secret, NULL) == PH_VERIFY_OK)
		ph_secret_free(secret);
	people_clear(section, config);
}

static void
try_child(void)
{
	PhConfig *config = NULL;
	PhSection *section = people_section("", &config);
	int ends[2];

	g_assert_true(ph_link_open(ends, NULL));
	send_all(ends[0]);
	(void) shutdown(ends[0], SHUT_WR);
	(void) ph_isolate_serve(section, ends[1]);
	close(ends[0]);
	close(ends[1]);
	people_clear(section, config);
}

/* The users of people.h who make the plugin itself wait, hang or die. */
static bool
asks_for_trouble(const uint8_t *data, size_t size)
{
	static const char *const users[] = { "slow", "hang", "crash" };

	for (size_t i = 0; i < G_N_ELEMENTS(users); i++)
		if (memmem(data, size, users[i], strlen(users[i])) != NULL)
			return true;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || asks_for_trouble(data, size))
		return 0;
	input = PH_SLICE((const char *) data + 1, size - 1);
	people.replies = reply;
	if ((data[0] & 0x80) != 0)
		try_child();
	else
		try_worker(data[0]);
	return 0;
}
