/* bench-queue.c: fills a queue and opens it again
 *
 *	bench-queue fill FOLDER MAILS OCTETS DESTINATIONS
 *	bench-queue open FOLDER
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "base/clock.h"
#include "base/lock.h"
#include "queue/list.h"

#include <stdio.h>
#include <string.h>

enum {
	UNDER_WAY = 1000, /* mails that are being added at once */
	ID = 24,
	ADDRESS = 64,
};

static const PhDuration curve[] = { { 300000000 } };
static PhLock lock = PH_LOCK_INIT;
static PhSignal room;
static uint32_t n_under_way;
static uint32_t n_failed;

static void
begin(PhQueueTask *task, void *user_data)
{
}

static PhQueueParams
params_of(const char *folder, bool writes)
{
	return (PhQueueParams){ .folder = folder,
		                .writes = writes,
		                .settings = { .curve = curve,
		                              .n_curve = 1,
		                              .lifetime = { UINT64_C(432000000000) },
		                              .concurrency = 1,
		                              .concurrency_each = 1,
		                              .recipients_each = 1,
		                              .failures = 1,
		                              .file_octets = 64 << 20 },
		                .begin = begin };
}

static void
added(const GError *error, void *user_data)
{
	PH_LOCKED(&lock);
	n_under_way--;
	n_failed += error != NULL;
	ph_signal_one(&room);
}

static void
add(PhQueue *queue, uint32_t number, uint32_t n_destinations, PhContent *content)
{
	char id[ID];
	char address[ADDRESS];
	char domain[ADDRESS];
	PhEnvelopeRecipient recipient = { .address = address,
		                          .route = "out",
		                          .destination = domain };
	PhEnvelope envelope = { .id = id,
		                .arrived = ph_clock_wall_us(),
		                .sender = "sender@example.org",
		                .recipients = &recipient,
		                .n_recipients = 1 };
	PhQueueNew mail = { .envelope = &envelope, .content = content, .added = added };

	g_snprintf(id, sizeof id, "%022u", number);
	g_snprintf(domain, sizeof domain, "host%u.example", number % n_destinations);
	g_snprintf(address, sizeof address, "user%u@%s", number, domain);
	ph_lock_take(&lock);
	while (n_under_way >= UNDER_WAY)
		ph_signal_wait(&room, &lock);
	n_under_way++;
	ph_lock_drop(&lock);
	ph_queue_add(queue, &mail);
}

static void
tell(const char *what, uint64_t start_us, uint32_t n)
{
	double seconds = (double) (ph_clock_us() - start_us) / 1e6;

	printf("%s: %u in %.3f s, %.0f/s\n", what, n, seconds, n / seconds);
}

static uint32_t
number_of(const char *text)
{
	uint32_t number = 0;

	return ph_slice_to_u32(ph_slice(text), G_MAXINT32, &number) ? number : 0;
}

static int
fill(const char *folder, uint32_t n, uint32_t octets, uint32_t n_destinations)
{
	PhQueueParams params = params_of(folder, true);
	g_autofree char *text = g_strnfill(octets, 'x');
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice(text));
	g_autoptr(GError) error = NULL;
	PhQueue *queue = ph_queue_open(&params, &error);
	uint64_t start_us = ph_clock_us();

	if (queue == NULL) {
		fprintf(stderr, "%s\n", error->message);
		return 1;
	}
	for (uint32_t i = 0; i < n; i++)
		add(queue, i, MAX(n_destinations, 1), content);
	ph_lock_take(&lock);
	while (n_under_way > 0)
		ph_signal_wait(&room, &lock);
	ph_lock_drop(&lock);
	tell("added", start_us, n);
	ph_queue_close(queue);
	return n_failed > 0;
}

static bool
first(const PhQueueItem *item, void *user_data)
{
	return false;
}

static int
open_again(const char *folder)
{
	PhQueueParams params = params_of(folder, true);
	PhQueueFilter filter = { 0 };
	uint64_t start_us = ph_clock_us();
	PhQueue *queue = ph_queue_open(&params, NULL);
	PhQueueStats stats;

	if (queue == NULL)
		return 1;
	ph_queue_stats(queue, &stats);
	tell("opened", start_us, (uint32_t) stats.n_mails);
	start_us = ph_clock_us();
	ph_queue_each(queue, &filter, first, NULL);
	tell("first line", start_us, 1);
	printf("rows take %.1f MB\n", (double) stats.memory / 1e6);
	(void) fflush(stdout);
	ph_queue_close(queue);
	return 0;
}

int
main(int argc, char **argv)
{
	ph_signal_init(&room);
	if (argc == 6 && strcmp(argv[1], "fill") == 0)
		return fill(argv[2], number_of(argv[3]), number_of(argv[4]), number_of(argv[5]));
	if (argc == 3 && strcmp(argv[1], "open") == 0)
		return open_again(argv[2]);
	fprintf(stderr, "bench-queue fill FOLDER MAILS OCTETS DESTINATIONS | open FOLDER\n");
	return 2;
}
