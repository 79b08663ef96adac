/* testing.h: test sessions for a listener that the server has made
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_TESTING_H
#define PH_NET_TESTING_H

#include <posthorn/testing.h>

#include "net/net.h"

/* ph_test_session_new_listener: a test session of that generation: its protocol, instance, section
 * and services. TLS, when the mode is not PH_TLS_NONE, is pretended. `release` is called as for a
 * listener, when the session is freed. @peer: (nullable). */
PhTestSession *ph_test_session_new_listener(const PhListenerParams *params, const char *peer);

/* ph_test_session_refuse_writes: the next @n writes to the client find no room. */
void ph_test_session_refuse_writes(PhTestSession *test, unsigned n);

#endif
