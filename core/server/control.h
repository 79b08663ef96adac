/* control.h: the socket that `posthorn status`, `reload` and `store` speak to, in the worker
 *
 * One request a connection: a line such as {"command":"status"}. The answer is one JSON line;
 * with "as":"text" it is text for people until the end of the connection. Only root and the
 * server's own user are heard. Lives on the main loop.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_CONTROL_H
#define PH_SERVER_CONTROL_H

#include <posthorn/types.h>

typedef struct PhControl PhControl;

/* PhControlTable: what can be asked for. Thread: main, for all. */
typedef struct {
	/* status: appends the answer. */
	void (*status)(bool as_text, GString *out, void *user_data);
	/* reload: begins one; ph_control_result() follows. false: not now. */
	bool (*reload)(void *user_data);
	void (*stop)(void *user_data);
	/* store: begins a tool of `posthorn store` or `queue`: jobs.h. @fd, @stream: (owned). */
	void (*store)(PhSlice request, int fd, int stream, void *user_data);
} PhControlTable;

/* ph_control_new: @fd: (owned) listening socket. */
PhControl *ph_control_new(int fd, const PhControlTable *table, void *user_data);

/* ph_control_result: answers everybody who waits for a reload. @result: "ok\nTEXT" or
 * "failed\nTEXT". */
void ph_control_result(PhControl *control, const char *result);
void ph_control_free(PhControl *control);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhControl, ph_control_free)

#endif
