/* plugin-trouble.c: a directory that hangs, a transport and a filter that crash, for the tests
 *
 * In the directory everybody exists; the password is "correct horse"; every answer takes `hang`. The
 * transport takes all mail to nowhere, but a message that ends in "crash" ends the process, and one that
 * ends in "quiet" closes the process's line to the supervisor and stops it. The filter crashes over the
 * subject "fatal" while the body is still coming.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>
#include <posthorn/filter.h>
#include <posthorn/header.h>
#include <posthorn/slice.h>
#include <posthorn/transport.h>

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

typedef struct {
	PhDuration hang;
} Settings;

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	*instance_out = (void *) (uintptr_t) settings;
	return true;
}

static void
destroy(void *instance)
{
}

static PhVerify
lookup(void *instance, const char *address, PhIdentity **identity_out, GError **error)
{
	const Settings *settings = instance;
	PhSlice domain = ph_slice(address);
	PhSlice user = ph_slice_split(&domain, '@');
	g_autofree char *name = ph_slice_dup(user);
	const PhIdentityValues values = { .size = sizeof values,
		                          .user = name,
		                          .domain = "example.org" };

	(void) poll(NULL, 0, (int) (settings->hang.us / 1000));
	*identity_out = ph_identity_new(&values, error);
	return *identity_out != NULL ? PH_VERIFY_OK : PH_VERIFY_UNKNOWN_USER;
}

static PhVerify
verify(void *instance,
       const char *user,
       const PhSecret *secret,
       PhIdentity **identity_out,
       GError **error)
{
	if (ph_slice_is(ph_secret_slice(secret), "correct horse"))
		return lookup(instance, user, identity_out, error);
	return PH_VERIFY_WRONG;
}

/* --- the transport --- */

static void
hang_up(void)
{
	for (int fd = 3; fd < 100; fd++) {
		int type = 0;
		socklen_t size = sizeof type;

		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0
		    && type == SOCK_SEQPACKET)
			(void) shutdown(fd, SHUT_RDWR);
	}
	(void) raise(SIGSTOP);
}

static void
deliver(void *instance, PhDelivery *delivery)
{
	static const char last[] = "crash\r\n";
	PhContent *content = ph_mail_content(ph_delivery_mail(delivery));
	uint64_t length = ph_content_length(content);
	char end[sizeof last] = { 0 };

	if (length >= sizeof last - 1)
		(void) ph_content_read(content, length - (sizeof last - 1), end, sizeof last - 1,
		                       NULL);
	if (strcmp(end, last) == 0)
		abort();
	if (strcmp(end, "quiet\r\n") == 0)
		hang_up();
	for (size_t i = 0, n = ph_delivery_n_recipients(delivery); i < n; i++)
		ph_delivery_complete(delivery, i, NULL);
}

/* --- the filter --- */

static void *
begin_mail(void *instance, PhMail *mail)
{
	return NULL;
}

static void
end_mail(void *instance, void *state)
{
}

static bool
ask(void *instance, void *state, PhFilterQuestion *question, GError **error)
{
	PhHeaderField field;
	PhSlice header;

	if (!ph_mail_header(question->mail, &header, error))
		return false;
	if (ph_header_find(header, "Subject", &field)
	    && ph_slice_is(ph_slice_trim(field.value), "fatal"))
		abort();
	return true;
}

static const PhOption options[] = {
	PH_OPTION_DURATION(Settings, hang, "0s", "how long every answer takes"),
	PH_OPTIONS_END,
};
static const PhDirectory directory = {
	.size = sizeof directory,
	.create = create,
	.destroy = destroy,
	.verify = verify,
	.lookup = lookup,
};
static const PhTransport transport = {
	.size = sizeof transport,
	.flags = PH_TRANSPORT_COMMITS,
	.create = create,
	.destroy = destroy,
	.deliver = deliver,
};
static const PhFilter filter = {
	.size = sizeof filter,
	.stages = 1U << PH_STAGE_HEADER,
	.create = create,
	.destroy = destroy,
	.begin = begin_mail,
	.end = end_mail,
	.ask = ask,
};
static const PhOffer offers[] = {
	PH_OFFER_DIRECTORY("trouble", &directory),
	PH_OFFER_TRANSPORT("trouble", &transport),
	PH_OFFER_FILTER("trouble", &filter),
	PH_OFFERS_END,
};

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "trouble",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "a directory that hangs, a transport and a filter that crash",
	.options = options,
	.offers = offers,
};
