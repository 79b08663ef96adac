/* trace.c: the Received field of a message that a session takes (RFC 5321 section 4.4)
 *
 * The peer's own words (HELO, recipient) are written with every octet that does not belong into a
 * header field replaced. The date is formatted once a second and thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/date.h>

#include "base/clock.h"
#include "net/session.h"

#include <string.h>

enum {
	longest_word = 255,
	date_octets = 48,
};

static void
append_date(GString *out)
{
	static _Thread_local PhTime cached_second = -1;
	static _Thread_local char cached[date_octets];
	PhTime now = ph_clock_wall_us();

	if (now / G_USEC_PER_SEC != cached_second) {
		g_autoptr(GString) text = g_string_sized_new(date_octets);

		ph_date_append_mail(ph_date_local(now), text);
		g_strlcpy(cached, text->str, sizeof cached);
		cached_second = now / G_USEC_PER_SEC;
	}
	g_string_append(out, cached);
}

/* Visible ASCII without what would end or nest a comment, and UTF-8 octets as they are. */
static void
append_word(GString *out, PhSlice word)
{
	size_t n = MIN(word.length, (size_t) longest_word);

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char) word.data[i];

		g_string_append_c(out,
		                  c <= ' ' || c == 0x7f || strchr("()<>\\;", c) ? '?' : (char) c);
	}
}

static void
append_peer(GString *out, const PhSession *session, PhSlice helo)
{
	g_string_append(out, "Received: from ");
	if (helo.length > 0)
		append_word(out, helo);
	else
		g_string_append(out, "unknown");
	if (!session->peer.is_ip)
		g_string_append(out, " (local)");
	else
		g_string_append_printf(out, " ([%s%s])", session->peer.is_v6 ? "IPv6:" : "",
		                       session->peer_text);
}

void
ph_session_trace(const PhSession *session,
                 PhSlice helo,
                 const char *with,
                 const char *message_id,
                 PhSlice recipient,
                 GString *out)
{
	const char *tls = ph_session_tls_description(session);

	append_peer(out, session, helo);
	if (tls != NULL)
		g_string_append_printf(out, "\r\n\t(using %s)", tls);
	g_string_append(out, "\r\n\tby ");
	g_string_append(out, session->endpoint->hostname);
	g_string_append(out, " with ");
	g_string_append(out, with);
	g_string_append(out, " id ");
	g_string_append(out, message_id);
	if (recipient.length > 0) {
		g_string_append(out, "\r\n\tfor <");
		append_word(out, recipient);
		g_string_append_c(out, '>');
	}
	g_string_append(out, ";\r\n\t");
	append_date(out);
	g_string_append(out, "\r\n");
}
