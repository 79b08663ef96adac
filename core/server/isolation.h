/* isolation.h: the worker's end of isolated plugins: asks the supervisor for their processes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_ISOLATION_H
#define PH_SERVER_ISOLATION_H

#include "isolate/isolate.h"
#include "net/channel.h"

/* ph_isolation_open: sections with `isolate` are isolated from now on. Thread: load. */
void ph_isolation_open(int channel);

/* ph_isolation_told: the supervisor said `isolated`. @message: its descriptor is taken. @wait: until
 * the plugin is there, for at most some seconds; a process that ends before does not count. Thread: main. */
void ph_isolation_told(PhChannelMessage *message, bool wait);

#endif
