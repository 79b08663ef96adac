/* route-queue.c: what a session may ask of the queue: is there one, and a try for a destination
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/address.h>
#include <posthorn/slice.h>

#include "net/services.h"
#include "queue/list.h"
#include "server/mail.h"
#include "server/queue-run.h"

static PhQueueRun *
queue_of(const PhSession *session)
{
	const PhServices *services = ph_session_services(session);

	if (services == NULL || services->router == NULL)
		return NULL;
	return ph_router_queue(services->router);
}

bool
ph_route_has_queue(PhSession *session)
{
	return queue_of(session) != NULL;
}

static uint64_t
retry_by(PhQueue *queue, const PhQueueFilter *filter)
{
	PhQueueActed acted = { 0 };

	ph_queue_act(queue, filter, PH_QUEUE_RETRY, &acted);
	return acted.n_changed + acted.n_busy;
}

/* Destinations lie in memory; where they are not domains (a smart host) the mails are read. */
static uint64_t
retry(PhQueue *queue, const char *domain)
{
	const PhQueueFilter by_destination = { .destination = domain, .tried = true };
	const PhQueueFilter by_domain = { .domain = domain, .tried = true };
	uint64_t n = retry_by(queue, &by_destination);

	return n > 0 ? n : retry_by(queue, &by_domain);
}

/* Names of domains hold no sign that means something in a pattern. */
int64_t
ph_route_retry(PhSession *session, PhSlice destination)
{
	PhQueueRun *run = queue_of(session);
	bool has_below = destination.length > 0 && destination.data[0] == '@';
	g_autofree char *domain = ph_slice_dup(ph_slice_from(destination, has_below ? 1 : 0));
	g_autofree char *below = g_strconcat("*.", domain, NULL);
	g_autoptr(PhQueue) queue = run != NULL ? ph_queue_run_queue(run) : NULL;
	uint64_t n = 0;

	if (queue == NULL || ph_domain_parse(ph_slice(domain), 0, NULL) != PH_ADDRESS_OK)
		return -1;
	n = retry(queue, domain);
	if (has_below)
		n += retry(queue, below);
	return (int64_t) MIN(n, (uint64_t) INT64_MAX);
}
