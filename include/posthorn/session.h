/* session.h: what a protocol may ask of its session
 *
 * A session is one client connection, framed and decrypted by the core. A protocol plugin never
 * sees a file descriptor: it is given input, it writes output, and it returns from each callback
 * what should happen next. All callbacks of a session are serial, on changing threads; all
 * functions here are for use inside that session's callbacks unless they say otherwise.
 *
 * Input. The core cuts it into lines, counted octets or dot-stuffed data. A mode change takes
 * effect at the next octet that was not yet delivered. Nothing is read while a session is parked
 * or has unsent output above its high water.
 *
 * Output. Writes are queued and flushed when the callback has returned; a queued content range is
 * read when the socket has room. Nothing is ever sent from inside a callback.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_SESSION_H
#define POSTHORN_SESSION_H

#include <posthorn/content.h>
#include <posthorn/wake.h>

G_BEGIN_DECLS

/* PhNext: what a callback wants. */
typedef enum {
	PH_DONE = 0,  /* go on with the next input */
	PH_WAIT = 1,  /* parked: a wake from ph_session_park() was handed out; `resumed` follows */
	PH_MORE = 2,  /* call `step` in turn, or when output has drained below its high water */
	PH_CLOSE = 3, /* send what is queued, then close (TLS close_notify included) */
	PH_ABORT = 4, /* close at once, dropping queued output */
} PhNext;

/* --- input ------------------------------------------------------------------------------- */

/* ph_session_limit_line: the longest line accepted, without its CRLF, from now on. A longer one is
 * skipped to its end (bounded) and reported by `line` with PH_LINE_TOO_LONG. */
PH_PUBLIC void ph_session_limit_line(PhSession *session, size_t octets);

/* ph_session_read_octets: deliver the next @n octets, then go back to lines. With @n up to 64 KiB
 * and @buffered true they come as one `octets` call; otherwise in pieces as they arrive.
 * Thread: session. @n may be 0: then `octets` is called once with an empty final piece. */
PH_PUBLIC void ph_session_read_octets(PhSession *session, uint64_t n, bool buffered);

/* ph_session_read_data: dot-stuffed data (RFC 5321 4.5.2) comes as `octets` pieces, unstuffed, until
 * CR LF . CR LF; nothing else ends it. Bare CR, bare LF and NUL are passed on and counted: ask
 * ph_session_data_flaws() at the final piece. */
PH_PUBLIC void ph_session_read_data(PhSession *session);

/* PhDataFlaws: bits over the data delivered since the last read_octets or read_data. */
enum {
	PH_FLAW_BARE_CR = 1U << 0,
	PH_FLAW_BARE_LF = 1U << 1,
	PH_FLAW_NUL = 1U << 2,
	PH_FLAW_8BIT = 1U << 3,
	PH_FLAW_LONG_LINE = 1U << 4, /* more than 998 octets before CRLF (RFC 5321 4.5.3.1.6) */
};

PH_PUBLIC uint32_t ph_session_data_flaws(const PhSession *session);

/* ph_session_scan_flaws: adds the flaws of one more piece to a running @state (start with 0; its
 * upper bits carry what the next piece needs). For octets that arrive in counted form. Pure. */
PH_PUBLIC uint32_t ph_session_scan_flaws(uint32_t state, PhSlice piece, bool final);

/* ph_session_has_input: is unread input already buffered (a pipelining client)? */
PH_PUBLIC bool ph_session_has_input(const PhSession *session);

/* --- output ------------------------------------------------------------------------------ */

PH_PUBLIC void ph_session_write(PhSession *session, PhSlice octets);
PH_PUBLIC void ph_session_write_text(PhSession *session, const char *text);
PH_PUBLIC void ph_session_printf(PhSession *session, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* ph_session_write_content: a range of a content; referenced until it is sent. If a read fails the
 * connection is closed, because a length was announced. */
PH_PUBLIC void ph_session_write_content(PhSession *session,
                                        PhContent *content,
                                        uint64_t offset,
                                        uint64_t length);

/* ph_session_output_full: queued output is above the high water (256 KiB or 8 content ranges):
 * a step should return PH_MORE. */
PH_PUBLIC bool ph_session_output_full(const PhSession *session);

/* ph_session_should_yield: this step has run for 5 ms, or the output is full: return PH_MORE. */
PH_PUBLIC bool ph_session_should_yield(const PhSession *session);

/* ph_session_cancelled: the client is gone, the deadline passed, or the server stops: long code
 * may give up. Thread: any, also from inside a store. */
PH_PUBLIC bool ph_session_cancelled(const PhSession *session);

/* --- waiting ------------------------------------------------------------------------------ */

/* ph_session_park: a wake for this session (owned). The callback must then return PH_WAIT.
 * At most one at a time. */
PH_PUBLIC PhWake *ph_session_park(PhSession *session);

/* ph_session_delay: like park, but the core completes it after @delay: return PH_WAIT. Used for
 * the delays that slow down guessing. */
PH_PUBLIC void ph_session_delay(PhSession *session, PhDuration delay);

/* ph_session_set_deadline: `timeout` is called when this much time has passed without a new call
 * of this function; 0 takes it away. The protocol sets one for each command it waits for. */
PH_PUBLIC void ph_session_set_deadline(PhSession *session, PhDuration from_now);

/* ph_session_notify: makes the core call the session's `notified` soon, when it is not running,
 * parked or waiting in the middle of data; several become one. Thread: any, through a PhSessionRef,
 * because the session may be gone. */
typedef struct {
	uint64_t slot;
	uint64_t generation;
} PhSessionRef;

PH_PUBLIC PhSessionRef ph_session_ref(const PhSession *session);
PH_PUBLIC void ph_session_notify(PhSessionRef ref);

/* --- the connection ---------------------------------------------------------------------- */

/* ph_session_id: short text, unique for the life of the process, in every log line. Borrowed. */
PH_PUBLIC const char *ph_session_id(const PhSession *session);

/* ph_session_peer: "192.0.2.1", "2001:db8::1" or "unix"; after a PROXY header the real client's.
 * ph_session_peer_port: 0 for unix. ph_session_local: "address:port" that was connected to. */
PH_PUBLIC const char *ph_session_peer(const PhSession *session);
PH_PUBLIC uint16_t ph_session_peer_port(const PhSession *session);
PH_PUBLIC const char *ph_session_local(const PhSession *session);
PH_PUBLIC bool ph_session_peer_is_loopback(const PhSession *session);

/* ph_session_set_client: who the peer speaks for, told by a peer that may say so (XCLIENT): replaces
 * its address in logs, trace fields and ph_session_peer(). @address: "192.0.2.1" or "2001:db8::1".
 * False when it is none. Connection limits go on counting the peer itself. */
PH_PUBLIC bool ph_session_set_client(PhSession *session, const char *address, uint16_t port);

/* PhNetworks: immutable set of IP networks as an option lists them: "192.0.2.1", "2001:db8::/32",
 * "unix" for local sockets. Thread: any.
 * ph_networks_new: @texts: (nullable) NULL-terminated. Returns: (owned); INVALID names the bad word.
 * ph_session_is_from: is the peer, as ph_session_peer() tells it, in one of them? */
typedef struct PhAddressList PhNetworks;

PH_PUBLIC PhNetworks *ph_networks_new(const char *const *texts, GError **error);
PH_PUBLIC void ph_networks_free(PhNetworks *networks);
PH_PUBLIC bool ph_session_is_from(const PhSession *session, const PhNetworks *networks);

/* ph_session_hostname: the server's name for greetings. Borrowed. */
PH_PUBLIC const char *ph_session_hostname(const PhSession *session);

/* ph_session_section: the listener's section. ph_session_instance: what the protocol's `create`
 * returned. ph_session_data: the protocol's own state, set in `opened`. */
PH_PUBLIC PhSection *ph_session_section(const PhSession *session);
PH_PUBLIC void *ph_session_instance(const PhSession *session);
PH_PUBLIC void ph_session_set_data(PhSession *session, void *data);
PH_PUBLIC void *ph_session_data(const PhSession *session);

/* ph_session_tls_available: may STARTTLS be offered now (configured, and not yet in TLS)? */
PH_PUBLIC bool ph_session_tls_available(const PhSession *session);
PH_PUBLIC bool ph_session_is_tls(const PhSession *session);

/* ph_session_start_tls: after the queued output (the positive answer) is sent the handshake begins.
 * When anything was received behind the command the connection is closed instead. Afterwards
 * `tls_started` is called: forget everything the client said before (RFC 3207 4.2). */
PH_PUBLIC void ph_session_start_tls(PhSession *session);

/* ph_session_tls_description: "TLSv1.3 TLS_AES_256_GCM_SHA384", or NULL. Borrowed.
 * ph_session_tls_binding: channel binding octets; @type "tls-exporter" (RFC 9266) or
 * "tls-server-end-point" (RFC 5929). false when there is none. */
PH_PUBLIC const char *ph_session_tls_description(const PhSession *session);
PH_PUBLIC bool ph_session_tls_binding(const PhSession *session, const char *type, GByteArray *out);

/* ph_session_tls_certificate: appends the peer's certificate (DER) when it showed one that was
 * verified; of a client only where the listener has `client-ca`. @out: (nullable) */
PH_PUBLIC bool ph_session_tls_certificate(const PhSession *session, GByteArray *out);

/* ph_session_tls_version: 0x0303 or 0x0304; 0 without TLS. */
PH_PUBLIC uint32_t ph_session_tls_version(const PhSession *session);

/* ph_session_charge: takes @octets of the session's memory budget (16 MiB); false: answer with a
 * temporary failure instead of allocating. ph_session_refund gives them back. */
PH_PUBLIC bool ph_session_charge(PhSession *session, size_t octets);
PH_PUBLIC void ph_session_refund(PhSession *session, size_t octets);

/* ph_session_is_draining: the server stops or this generation ends: say goodbye (421, BYE) at the
 * next command boundary and return PH_CLOSE. */
PH_PUBLIC bool ph_session_is_draining(const PhSession *session);

/* ph_session_trace: appends the "Received:" field for a message taken by this session to @out:
 * from, by, with, id, for, date (RFC 5321 4.4). @with: "ESMTPS" and so on; @helo: what the client
 * called itself; @recipient: (nullable) only for a single one. Lines end in CRLF. */
PH_PUBLIC void ph_session_trace(const PhSession *session,
                                PhSlice helo,
                                const char *with,
                                const char *message_id,
                                PhSlice recipient,
                                GString *out);

G_END_DECLS

#endif
