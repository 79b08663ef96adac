/* protocol.h: a protocol speaks to clients over sessions
 *
 * One instance serves all sessions of one listener section. The core accepts, limits, reads the
 * PROXY header, decrypts and frames; the protocol answers. Each callback returns a PhNext.
 *
 * Order of calls for one session: `opened` once; then `line`, `octets`, `step`, `resumed`,
 * `notified`, `tls_started` and `timeout` in any order that the protocol itself asked for, never
 * two at once; `closed` once, last, whatever happened.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_PROTOCOL_H
#define POSTHORN_PROTOCOL_H

#include <posthorn/plugin.h>
#include <posthorn/session.h>

G_BEGIN_DECLS

/* PhLineFlaws: what is wrong with a line; 0 for a clean one. */
enum {
	PH_LINE_TOO_LONG = 1U << 0, /* the slice holds the part that fitted */
	PH_LINE_BARE_LF = 1U << 1,  /* ended by LF without CR */
	PH_LINE_BARE_CR = 1U << 2,  /* CR in the middle */
	PH_LINE_NUL = 1U << 3,
};

/* PhProtocolNeeds: what a listener of this protocol cannot do without; `posthorn check` asks. */
enum {
	PH_NEEDS_STORE = 1U << 0,
	PH_NEEDS_DIRECTORY = 1U << 1,
	PH_NEEDS_MECHANISMS = 1U << 2,
	PH_NEEDS_ROUTES = 1U << 3,
	PH_SPEAKS_FIRST = 1U << 4, /* the server greets: input before the greeting is an offence */
	PH_ASKS_FILTERS = 1U << 5, /* a listener may name filters: they will be asked */
};

struct PhProtocol {
	size_t size;    /* sizeof(PhProtocol) */
	uint32_t needs; /* PH_NEEDS_* */
	uint32_t reserved;

	/* create: an instance for one listener section.
	 * @settings: (borrowed for the life of the instance) as the rows describe.
	 * Required. Thread: load. Blocks: briefly. Errors: stop the start, with the section's line. */
	bool (*create)(PhSection *section,
	               const void *settings,
	               void **instance_out,
	               GError **error);

	/* destroy: no session uses it any more. Required. Thread: main. */
	void (*destroy)(void *instance);

	/* opened: a client is there (after the handshake with implicit TLS): make the session's
	 * state, ph_session_set_data(), write the greeting.
	 * Required. Thread: session. */
	PhNext (*opened)(PhSession *session);

	/* line: one line without its line end. @line: (borrowed). @flaws: PH_LINE_*.
	 * Required. Thread: session. Blocks: yes. */
	PhNext (*line)(PhSession *session, PhSlice line, uint32_t flaws);

	/* octets: a piece of what read_octets or read_data asked for. @final: the last one (it may
	 * be empty). The protocol bounds what it keeps.
	 * Optional: only called when asked for. Thread: session. Blocks: yes. */
	PhNext (*octets)(PhSession *session, PhSlice piece, bool final);

	/* step: the next part of long work, after PH_MORE. Optional. Thread: session. */
	PhNext (*step)(PhSession *session);

	/* resumed: the wake of ph_session_park() was completed. Optional. Thread: session. */
	PhNext (*resumed)(PhSession *session);

	/* notified: ph_session_notify() was called for it. Return PH_DONE when there is nothing to
	 * do, also in the middle of a command. Optional. Thread: session. */
	PhNext (*notified)(PhSession *session);

	/* tls_started: the handshake after ph_session_start_tls() has ended well.
	 * Optional: required of a protocol that calls it. Thread: session. */
	PhNext (*tls_started)(PhSession *session);

	/* timeout: the deadline has passed: say goodbye, PH_CLOSE. Optional (default: close).
	 * Thread: session. */
	PhNext (*timeout)(PhSession *session);

	/* drain: the server stops or reloads and the session is idle: say goodbye, PH_CLOSE.
	 * PH_DONE keeps the session until its next command. Optional (default: close).
	 * Thread: session. */
	PhNext (*drain)(PhSession *session);

	/* refused: a connection that is over a limit: the line to send before closing, or NULL. The
	 * core adds CRLF to a line without it. Nothing is sent where TLS comes first.
	 * Static text. Optional. */
	const char *refused;

	/* closed: the connection is gone: free the state. An operation that was under way goes on
	 * without the session. Required. Thread: session. */
	void (*closed)(PhSession *session);

	/* settings_need: what a listener with these settings cannot do without, besides `needs`; for
	 * `posthorn check`. Optional (default: nothing). Thread: load. Blocks: no.
	 * Returns: PH_NEEDS_*. */
	uint32_t (*settings_need)(const void *settings);
};

G_END_DECLS

#endif
