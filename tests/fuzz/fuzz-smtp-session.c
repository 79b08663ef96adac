/* fuzz-smtp-session.c: whole SMTP sessions: what a client sends, cut anywhere
 *
 * The real plugin and the real session code, a directory and a transport in memory. The first
 * octet says which service it is and how the input is cut into packets.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/testing.h"
#include "routing.h"
#include "smtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const PhPlugin ph_plugin;

static const Settings settings = {
	.message_size_limit = { 4096 },
	.command_length = { 512 },
	.auth_length = { 1024 },
	.max_recipients = 5,
	.max_errors = 50,
	.delay_errors = 40,
	.max_hops = 5,
	.command_timeout = { 300 * G_USEC_PER_SEC },
	.data_timeout = { 180 * G_USEC_PER_SEC },
	.commit_timeout = { 600 * G_USEC_PER_SEC },
	.vrfy = SHOW_YES,
	.expn = SHOW_YES,
	.early_input = 1,
	.hello_strict = true,
};

static Server servers[] = {
	{ .settings = &settings, .greeting = (char *) (uintptr_t) "220 mail", .size_limit = 4096 },
	{ .settings = &settings,
	  .greeting = (char *) (uintptr_t) "220 mail",
	  .size_limit = 4096,
	  .service = SERVICE_SUBMISSION },
	{ .settings = &settings,
	  .greeting = (char *) (uintptr_t) "220 mail",
	  .size_limit = 4096,
	  .service = SERVICE_LMTP },
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FakeTransport *fake = fake_transport_new();
	PhRouter *router = fake_router(NULL, fake, NULL);
	PhServices services = { .router = router };
	PhListenerParams params = {
		.section = fake_section(),
		.protocol = ph_plugin.offers[0].protocol,
		.instance = &servers[size > 0 ? data[0] % G_N_ELEMENTS(servers) : 0],
		.services = &services,
		.hostname = "mail.example.org"
	};
	PhTestSession *session = ph_test_session_new_listener(&params, NULL);
	size_t step = size > 0 ? 1 + data[0] : 1;

	for (size_t at = 1; at < size && !ph_test_session_is_closed(session); at += step) {
		ph_test_session_send(session,
		                     PH_SLICE((const char *) data + at, MIN(step, size - at)));
		ph_test_session_run(session);
		ph_test_session_drop_output(session, ph_test_session_output(session).length);
	}
	ph_test_session_free(session);
	ph_router_unref(router);
	fake_transport_free(fake);
	return 0;
}
