/* plugin-flaky.c: a transport that fails on command, for the end-to-end tests of the queue
 *
 * What becomes of a recipient is in its local part: "fail" is refused with a reply, "later2" is put
 * off twice with a reply, "silent" is never answered, "gone" is refused without a reply, "relay" is
 * handed to a server that will not report, "slow" takes `delay`; all others are delivered. A
 * delivery is one line in the file `ledger`: "attempt recipient(s) X-Ledger". While the file
 * `ledger`.down is there nobody answers.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>
#include <posthorn/transport.h>

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
	const char *ledger;
	PhDuration delay;
} Settings;

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	*instance_out = (void *) (uintptr_t) settings;
	return true;
}

/* The value of X-Ledger, which is the first field of what the tests send. */
static char *
name_of(PhMail *mail)
{
	char head[256] = { 0 };
	ssize_t n = ph_content_read(ph_mail_content(mail), 0, head, sizeof head - 1, NULL);

	if (n > 10 && strncmp(head, "X-Ledger: ", 10) == 0)
		return g_strndup(head + 10, strcspn(head + 10, "\r\n"));
	return g_strdup("-");
}

static void
note(const Settings *settings, const PhDelivery *delivery, const char *recipients)
{
	g_autofree char *name = name_of(ph_delivery_mail(delivery));
	g_autofree char *line =
		g_strdup_printf("%u %s %s\n", ph_delivery_attempt(delivery), recipients, name);
	int fd = open(settings->ledger, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0)
		return;
	(void) !write(fd, line, strlen(line));
	(void) close(fd);
}

/* Returns: (owned, nullable) the error. */
static GError *
judge(const PhDelivery *delivery, size_t index, PhDeliveryResult *result)
{
	const char *address = ph_delivery_recipient(delivery, index);

	if (g_str_has_prefix(address, "fail")) {
		result->reply = "550 5.1.1 no such user here";
		result->remote_mta = "flaky.example.net";
		return g_error_new_literal(PH_ERROR, PH_ERROR_NOT_FOUND, "refused");
	}
	if (g_str_has_prefix(address, "later")
	    && ph_delivery_attempt(delivery) <= (uint32_t) (address[5] - '0')) {
		result->reply = "451 4.7.1 come back later";
		result->remote_mta = "flaky.example.net";
		return g_error_new_literal(PH_ERROR, PH_ERROR_TEMPORARY, "put off");
	}
	if (g_str_has_prefix(address, "silent"))
		return g_error_new_literal(PH_ERROR, PH_ERROR_TEMPORARY, "nobody answers");
	if (g_str_has_prefix(address, "gone"))
		return g_error_new_literal(PH_ERROR, PH_ERROR_PERMANENT, "it has gone");
	if (g_str_has_prefix(address, "relay"))
		result->flags = PH_DELIVERED_RELAYED_NO_DSN;
	return NULL;
}

static void
deliver(void *instance, PhDelivery *delivery)
{
	const Settings *settings = instance;
	g_autofree char *down = g_strconcat(settings->ledger, ".down", NULL);
	bool is_down = access(down, F_OK) == 0;
	g_autoptr(GString) taken = g_string_new(NULL);
	size_t n = ph_delivery_n_recipients(delivery);
	g_autofree PhDeliveryResult *results = g_new0(PhDeliveryResult, n);

	for (size_t i = 0; i < n; i++) {
		const char *address = ph_delivery_recipient(delivery, i);

		results[i].size = sizeof results[i];
		if (g_str_has_prefix(address, "slow"))
			(void) poll(NULL, 0, (int) (settings->delay.us / 1000));
		results[i].error =
			is_down ? g_error_new_literal(PH_ERROR, PH_ERROR_TEMPORARY, "it is down")
				: judge(delivery, i, &results[i]);
		if (results[i].error == NULL)
			g_string_append_printf(taken, "%s%s", taken->len > 0 ? "," : "", address);
	}
	if (taken->len > 0)
		note(settings, delivery, taken->str);
	for (size_t i = 0; i < n; i++) {
		GError *error = (GError *) (uintptr_t) results[i].error;

		ph_delivery_complete_with(delivery, i, &results[i]);
		g_clear_error(&error);
	}
}

static const PhOption options[] = {
	PH_OPTION_PATH(Settings, ledger, PH_REQUIRED, "where deliveries are written down"),
	PH_OPTION_DURATION(Settings, delay, "100ms", "how long a slow recipient takes"),
	PH_OPTIONS_END,
};

static const PhTransport transport = {
	.size = sizeof transport,
	.create = create,
	.deliver = deliver,
};

static const PhOffer offers[] = { PH_OFFER_TRANSPORT("plugin-flaky", &transport), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "plugin-flaky",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "fails on command, for tests",
	.options = options,
	.offers = offers,
};
