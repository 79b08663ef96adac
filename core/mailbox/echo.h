/* echo.h: tells other processes of this server which accounts were changed
 *
 * While two workers are there, after a reload, both serve the same accounts. Each writes down what it
 * has committed to, in a ring in memory that they share, and reads now and then what the others wrote:
 * a hint, so that sessions that wait are told. Nothing is lost when one of them dies.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_ECHO_H
#define PH_MAILBOX_ECHO_H

#include <posthorn/types.h>

/* ph_echo_make: the ring, for the process that starts the others. Returns: a descriptor; -1. */
int ph_echo_make(GError **error);

/* ph_echo_use: this process has its part in it from now on. @fd: borrowed. */
bool ph_echo_use(int fd, GError **error);

/* ph_echo_key: what stands for an account. */
uint64_t ph_echo_key(const char *name);

/* ph_echo_say: the account was changed. Thread: any. Never blocks. */
void ph_echo_say(uint64_t key);

/* ph_echo_hear: @func for each account that another process has changed since the last call, perhaps
 * twice; with 0 when it is not known which. Thread: one. */
void ph_echo_hear(void (*func)(uint64_t key, void *user_data), void *user_data);

#endif
