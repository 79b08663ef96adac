/* fuzz-imap-session.c: IMAP sessions before login: lines, literals of all kinds, refusals
 *
 * The real plugin and the real session code without a directory: nobody can log in. The first octet
 * says how the input is cut into packets.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "imap.h"
#include "net/testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const PhPlugin ph_plugin;

static Settings settings = {
	.line_limit_before_login = { 256 },
	.line_limit = { 512 },
	.command_limit_before_login = { 1024 },
	.command_limit = { 2048 },
	.message_limit = { 4096 },
	.login_timeout = { 180 * G_USEC_PER_SEC },
	.idle_timeout = { 1800 * G_USEC_PER_SEC },
	.max_errors = 50,
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PhServices services = { .login = NULL };
	PhListenerParams params = { .protocol = ph_plugin.offers[0].protocol,
		                    .instance = &settings,
		                    .services = &services,
		                    .hostname = "mail.example.org" };
	PhTestSession *session = ph_test_session_new_listener(&params, NULL);
	size_t step = size > 0 ? 1 + data[0] : 1;

	for (size_t at = 1; at < size && !ph_test_session_is_closed(session); at += step) {
		ph_test_session_send(session,
		                     PH_SLICE((const char *) data + at, MIN(step, size - at)));
		ph_test_session_run(session);
		ph_test_session_drop_output(session, ph_test_session_output(session).length);
	}
	ph_test_session_free(session);
	return 0;
}
