/* body.c: a message as it goes out: what the peer must be able to take, line ends, dots, chunks
 *
 * What we send never has a CR or LF alone, whatever the message has: they become line ends, in DATA
 * and in BDAT alike. Only what was announced as binary goes out as it is.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "downgrade.h"
#include "hop.h"

#include <string.h>

enum {
	PIECE = 64 * 1024,
	SMALL = 32 * 1024, /* goes with the envelope: not much is lost when nobody takes it */
};

/* --- what the peer must be able to take ------------------------------------------------------- */

bool
body_is_ascii(const char *text)
{
	return ph_slice_is_ascii(ph_slice(text));
}

typedef struct {
	uint32_t state; /* of ph_session_scan_flaws() */
	bool in_body;
	bool has_8bit_header;
} Scan;

/* The first empty line of the piece; NULL when there is none. Nothing behind it is looked at. */
static const char *
find_empty_line(PhSlice piece)
{
	const char *end = piece.data + piece.length;
	const char *at = piece.data;

	while (at < end && (at = memchr(at, '\n', (size_t) (end - at))) != NULL) {
		const char *next = at + 1;

		if (next < end && *next == '\r')
			next++;
		if (next < end && *next == '\n')
			return at;
		at++;
	}
	return NULL;
}

/* Looks for the empty line as long as the header lasts. */
static void
scan_header(Scan *scan, PhSlice piece)
{
	const char *end = find_empty_line(piece);
	size_t length = piece.length;

	if (end != NULL) {
		scan->in_body = true;
		length = (size_t) (end - piece.data);
	}
	if (!ph_slice_is_ascii(PH_SLICE(piece.data, length)))
		scan->has_8bit_header = true;
}

static bool
scan_piece(PhSlice piece, void *user_data, GError **error)
{
	Scan *scan = user_data;

	if (!scan->in_body && !scan->has_8bit_header)
		scan_header(scan, piece);
	scan->state = ph_session_scan_flaws(scan->state, piece, false);
	return true;
}

static PhContent *
whole_content(const PhMail *mail)
{
	PhSlice head = ph_mail_prepended(mail);
	PhContent *parts[2] = { NULL, ph_mail_content(mail) };
	PhContent *whole = NULL;

	if (head.length == 0)
		return ph_content_ref(parts[1]);
	parts[0] = ph_content_new_copy(head);
	whole = ph_content_new_joined(parts, G_N_ELEMENTS(parts));
	ph_content_unref(parts[0]);
	return whole;
}

static bool
has_flag(const Hop *hop, uint32_t flag)
{
	return (hop->caps.flags & flag) != 0;
}

static bool
needs_utf8(const Hop *hop, const Scan *scan)
{
	const PhMail *mail = ph_delivery_mail(hop->job->delivery);

	return !body_is_ascii(ph_mail_sender(mail))
	       || (ph_mail_parameter(mail, "SMTPUTF8") != NULL && scan->has_8bit_header);
}

static bool
check_size(Hop *hop)
{
	const Caps *caps = &hop->caps;

	if (caps->size == 0 || hop->sending.length <= caps->size)
		return true;
	failure_set(&hop->failure, 552, "5.3.4",
	            "the message has %" G_GUINT64_FORMAT " octets; '%s' takes %" G_GUINT64_FORMAT,
	            hop->sending.length, path_host(&hop->path), caps->size);
	return false;
}

static bool
check_requiretls(Hop *hop)
{
	if (!hop->job->requires_tls
	    || (hop->is_tls && has_flag(hop, CAP_REQUIRETLS)
	        && (hop->path.is_secure || !hop->path.has_mx)))
		return true;
	failure_set(&hop->failure, 550, "5.7.30", "REQUIRETLS support required, and '%s' %s",
	            path_host(&hop->path),
	            has_flag(hop, CAP_REQUIRETLS) ? "is not named by a signed record"
	                                          : "does not offer it");
	return false;
}

static bool
downgrade(Hop *hop, uint32_t what)
{
	PhContent *made = NULL;

	switch (downgrade_message(hop->sending.content, what, &made)) {
	case DOWNGRADED:
		ph_content_unref(hop->sending.content);
		hop->sending.content = made;
		hop->sending.length = ph_content_length(made);
		hop->sending.is_8bit = hop->sending.is_8bit && (what & DOWNGRADE_8BIT) == 0;
		return true;
	case DOWNGRADE_IMPOSSIBLE:
		failure_set(&hop->failure, 554, "5.6.3",
		            "'%s' does not take 8-bit messages, and this one cannot be converted",
		            path_host(&hop->path));
		return false;
	case DOWNGRADE_FAILED:
		break;
	}
	failure_set(&hop->failure, 451, "4.3.0", "the message could not be converted");
	return false;
}

/* RFC 2852: a mail that is to come back when it is late does not go to a host that needs longer. */
static bool
check_deliver_by(Hop *hop, const PhMail *mail)
{
	const char *value = ph_mail_parameter(mail, "BY");
	PhTime arrived = ph_delivery_arrived(hop->job->delivery);
	int64_t elapsed = (g_get_real_time() - arrived) / G_USEC_PER_SEC;
	Sending *sending = &hop->sending;

	if (value == NULL
	    || !by_left(ph_slice(value), elapsed, &sending->by_seconds, &sending->by_mode)
	    || g_ascii_toupper(sending->by_mode.data[0]) != 'R' || !has_flag(hop, CAP_DELIVERBY)
	    || sending->by_seconds > (int64_t) hop->caps.min_deliver_by)
		return true;
	failure_set(&hop->failure, 554, "5.4.7", "'%s' cannot deliver it in time",
	            path_host(&hop->path));
	return false;
}

/* Decides what to say of the body. */
static bool
check_octets(Hop *hop, const Scan *scan, const char *body)
{
	Sending *sending = &hop->sending;
	bool is_binary = body != NULL && g_ascii_strcasecmp(body, "BINARYMIME") == 0;
	bool is_long = (scan->state & PH_FLAW_LONG_LINE) != 0;
	uint32_t what = 0;

	sending->is_8bit = (scan->state & PH_FLAW_8BIT) != 0
	                   || (body != NULL && g_ascii_strcasecmp(body, "8BITMIME") == 0);
	sending->is_binary =
		is_binary && has_flag(hop, CAP_BINARYMIME) && has_flag(hop, CAP_CHUNKING);
	if (sending->is_binary)
		return true;
	if (is_long && hop->relay->settings->long_lines == LINES_REFUSE) {
		failure_set(&hop->failure, 554, "5.6.3",
		            "the message has lines of more than 998 octets, which are not sent");
		return false;
	}
	if (is_binary)
		what |= DOWNGRADE_BINARY;
	if ((is_binary || (scan->state & PH_FLAW_8BIT) != 0) && !has_flag(hop, CAP_8BITMIME))
		what |= DOWNGRADE_8BIT;
	if (is_long && hop->relay->settings->long_lines == LINES_ENCODE)
		what |= DOWNGRADE_LINES;
	return what == 0 || downgrade(hop, what);
}

bool
body_prepare(Hop *hop)
{
	const PhMail *mail = ph_delivery_mail(hop->job->delivery);
	Sending *sending = &hop->sending;
	Scan scan = { .state = 0 };
	g_autoptr(GError) error = NULL;

	sending_clear(sending);
	sending->content = whole_content(mail);
	sending->length = ph_content_length(sending->content);
	if (!check_size(hop) || !check_requiretls(hop) || !check_deliver_by(hop, mail))
		return false;
	if (!ph_content_each(sending->content, 0, sending->length, scan_piece, &scan, &error)) {
		failure_set(&hop->failure, 451, "4.3.0", "the message could not be read");
		return false;
	}
	if (needs_utf8(hop, &scan) && !has_flag(hop, CAP_SMTPUTF8)) {
		failure_set(&hop->failure, 550, "5.6.7", "'%s' does not take such addresses",
		            path_host(&hop->path));
		return false;
	}
	sending->is_utf8 =
		has_flag(hop, CAP_SMTPUTF8)
		&& (needs_utf8(hop, &scan) || ph_mail_parameter(mail, "SMTPUTF8") != NULL);
	if (!check_octets(hop, &scan, ph_mail_parameter(mail, "BODY")))
		return false;
	sending->by_bdat = sending->is_binary
	                   || (has_flag(hop, CAP_CHUNKING) && hop->relay->settings->chunking);
	sending->is_small = sending->length <= SMALL;
	sending->state = sending->by_bdat ? 0 : BODY_DOTS;
	return true;
}

void
sending_clear(Sending *sending)
{
	if (sending->content != NULL)
		ph_content_unref(sending->content);
	*sending = (Sending){ NULL };
}

/* --- sending ---------------------------------------------------------------------------------- */

typedef struct {
	uint32_t state;
	uint64_t n; /* octets that come out */
} Count;

static void
count(PhSlice octets, void *user_data)
{
	((Count *) user_data)->n += octets.length;
}

static bool
count_piece(PhSlice piece, void *user_data, GError **error)
{
	Count *counting = user_data;

	body_convert(&counting->state, piece, count, counting);
	return true;
}

static void
write_out(PhSlice octets, void *user_data)
{
	ph_session_write(user_data, octets);
}

static bool
send_piece(PhSlice piece, void *user_data, GError **error)
{
	Hop *hop = user_data;

	body_convert(&hop->sending.state, piece, write_out, hop->session);
	return true;
}

/* One chunk of @length octets of the message. */
static bool
send_chunk(Hop *hop, uint64_t length, bool is_last, GError **error)
{
	Sending *sending = &hop->sending;
	Count counting = { .state = sending->state };

	if (!ph_content_each(sending->content, sending->at, length, count_piece, &counting, error))
		return false;
	if (is_last)
		body_finish(&counting.state, count, &counting);
	sending->n_chunks++;
	ph_session_printf(hop->session, "BDAT %" G_GUINT64_FORMAT "%s\r\n", counting.n,
	                  is_last ? " LAST" : "");
	return ph_content_each(sending->content, sending->at, length, send_piece, hop, error);
}

static void
send_binary(Hop *hop)
{
	Sending *sending = &hop->sending;

	sending->n_chunks++;
	ph_session_printf(hop->session, "BDAT %" G_GUINT64_FORMAT " LAST\r\n", sending->length);
	ph_session_write_content(hop->session, sending->content, 0, sending->length);
	sending->at = sending->length;
	sending->is_whole = true;
}

static bool
send_some(Hop *hop, GError **error)
{
	Sending *sending = &hop->sending;
	uint64_t length = MIN(sending->length - sending->at, (uint64_t) PIECE);
	bool is_last = sending->at + length == sending->length;
	bool good = true;

	if (sending->is_binary) {
		send_binary(hop);
		return true;
	}
	if (sending->by_bdat)
		good = send_chunk(hop, length, is_last, error);
	else
		good = ph_content_each(sending->content, sending->at, length, send_piece, hop,
		                       error);
	sending->at += length;
	if (!is_last || !good)
		return good;
	sending->is_whole = true;
	body_finish(&sending->state, write_out, hop->session);
	if (!sending->by_bdat)
		ph_session_write_text(hop->session, ".\r\n");
	return true;
}

BodyResult
body_send(Hop *hop)
{
	g_autoptr(GError) error = NULL;

	do {
		if (send_some(hop, &error))
			continue;
		failure_set(&hop->failure, 451, "4.3.0", "the message could not be read");
		return BODY_FAILED;
	} while (hop->sending.at < hop->sending.length && !ph_session_should_yield(hop->session));
	return hop->sending.at < hop->sending.length ? BODY_MORE : BODY_SENT;
}
