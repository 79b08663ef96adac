/* testing.h: sessions without sockets, for tests and fuzzers, and transcripts of dialogues
 *
 * A test session runs a protocol through the same framing, output and session code as a real one,
 * but in the calling thread and against memory: what is sent is a slice, what came back is a slice,
 * and time passes only when the test says so. A plugin's tests need nothing else:
 *
 *	PhTestOptions options = { .size = sizeof options, .protocol = &protocol };
 *	g_autoptr(PhTestSession) session = ph_test_session_new(&options);
 *	ph_test_session_send(session, PH_SLICE_LITERAL("NOOP\r\n"));
 *	ph_test_session_run(session);
 *	... ph_test_session_output(session) ...
 *
 * A transcript is a text file that says what the client sends and what the server must answer. Each
 * line begins with one of these:
 *
 *	# text        a comment; empty lines are comments too
 *	@ NAME        what follows is the connection NAME; the first time it is opened
 *	C: text       the client sends text and CR LF
 *	C- text       the client sends text without a line end
 *	C= text       the same, with \r \n \t \0 \\ and \xHH
 *	C!            the client ends its side; what it sent before is still answered
 *	S: text       the next line that the server sends, without its CR LF
 *	S= text       the next octets, with the escapes of C=, wherever lines end
 *	S...          any number of lines, up to one that the next S: matches
 *	S!            the server has closed the connection, and nothing is left to read
 *	T: 5min       so much time passes (us, ms, s, min, h)
 *	D!            the server starts to drain
 *
 * In S: {} stands for any octets of the line, and {name} for octets that are kept under that name;
 * {=name} stands for what was kept, in C: and S: alike. Any other brace is itself, so that {5} is
 * an IMAP literal. Output that no S line expects before the next C line is a mistake.
 *
 * Thread: one test session is used by one thread; a wake may come from any. Nothing here is for
 * servers: it checks with time limits of its own (10 s for work that was handed elsewhere).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_TESTING_H
#define POSTHORN_TESTING_H

#include <posthorn/protocol.h>

G_BEGIN_DECLS

typedef struct PhTestSession PhTestSession;

/* PhTestOptions: copied; what it points to must live as long as the session. */
typedef struct {
	size_t size; /* sizeof(PhTestOptions) */
	const PhProtocol *protocol;
	void *instance;       /* (nullable) what ph_session_instance() gives */
	PhSection *section;   /* (nullable) */
	const char *hostname; /* NULL: "mail.example.org" */
	const char *peer;     /* address; NULL: "192.0.2.1" */
	bool offer_tls;       /* STARTTLS succeeds, without any cryptography */
	bool start_in_tls;
} PhTestOptions;

/* ph_test_session_new: connects: `opened` was called when this returns. Returns: (owned). */
PH_PUBLIC PhTestSession *ph_test_session_new(const PhTestOptions *options);
PH_PUBLIC void ph_test_session_free(PhTestSession *session);

/* ph_test_session_send: @octets: copied; they are worked off by the next run. */
PH_PUBLIC void ph_test_session_send(PhTestSession *session, PhSlice octets);

/* ph_test_session_end: the client sends nothing more, but still reads. */
PH_PUBLIC void ph_test_session_end(PhTestSession *session);

/* ph_test_session_run: until the session waits for input or is closed. Delays pass at once; for
 * work that others complete it waits. Returns: false when that took longer than 10 s. */
PH_PUBLIC bool ph_test_session_run(PhTestSession *session);

/* ph_test_session_run_ready: the same without waiting for others: a session that is parked stays
 * parked unless its wake has come. */
PH_PUBLIC void ph_test_session_run_ready(PhTestSession *session);

/* ph_test_session_output: all that was sent and not yet dropped (borrowed until the next call). */
PH_PUBLIC PhSlice ph_test_session_output(const PhTestSession *session);
PH_PUBLIC void ph_test_session_drop_output(PhTestSession *session, size_t octets);

/* ph_test_session_limit_output: the peer's window: so many more octets are taken. */
PH_PUBLIC void ph_test_session_limit_output(PhTestSession *session, size_t octets);

PH_PUBLIC bool ph_test_session_is_closed(const PhTestSession *session);
PH_PUBLIC bool ph_test_session_is_parked(const PhTestSession *session);

/* ph_test_session_get: for ph_session_* questions; NULL when it is closed. */
PH_PUBLIC PhSession *ph_test_session_get(const PhTestSession *session);

/* ph_test_session_elapse: time passes for this session's deadline. */
PH_PUBLIC void ph_test_session_elapse(PhTestSession *session, PhDuration duration);

/* ph_test_session_drain: as when the server stops. */
PH_PUBLIC void ph_test_session_drain(PhTestSession *session);

/* PhTestConnectFunc: opens the connection that a transcript calls @name ("" without an @ line).
 * Returns: (owned); NULL with an error. */
typedef PhTestSession *(*PhTestConnectFunc)(const char *name, void *user_data, GError **error);

/* ph_test_transcript_run: @text: the transcript; @file: its name, for messages. Returns: false with
 * INVALID and "FILE:LINE: expected ... got ..." at the first difference. */
PH_PUBLIC bool ph_test_transcript_run(const char *file,
                                      PhSlice text,
                                      PhTestConnectFunc connect,
                                      void *user_data,
                                      GError **error);

/* PhTestServer: everything that a config brings to life, without sockets: plugins, stores, router,
 * logins (failures are answered at once). The addresses of its listeners are not opened. */
typedef struct PhTestServer PhTestServer;

/* ph_test_server_new: @config_text: (borrowed) a whole config file. @folder: (borrowed) relative
 * paths are below it. Returns: (owned); NULL with INVALID and every mistake, a line each. */
PH_PUBLIC PhTestServer *ph_test_server_new(const char *config_text,
                                           const char *folder,
                                           GError **error);

/* ph_test_server_free: all of its sessions must have been freed. */
PH_PUBLIC void ph_test_server_free(PhTestServer *server);

/* ph_test_server_connect: a PhTestConnectFunc with the server as its data: a session of the
 * listener whose name @name begins with ("imap2" of [listener imap]), of the first one for "". */
PH_PUBLIC PhTestSession *ph_test_server_connect(const char *name, void *server, GError **error);

/* ph_test_server_section: (borrowed, nullable) "store" and "mail" for [store mail]. */
PH_PUBLIC PhSection *ph_test_server_section(PhTestServer *server,
                                            const char *word,
                                            const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhTestSession, ph_test_session_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhTestServer, ph_test_server_free)

G_END_DECLS

#endif
