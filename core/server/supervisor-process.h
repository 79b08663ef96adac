/* supervisor-process.h: what the supervisor asks of the kernel for itself
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_SUPERVISOR_PROCESS_H
#define PH_SERVER_SUPERVISOR_PROCESS_H

/* ph_supervisor_raise_limits: as many descriptors as this process may have, for all it starts. */
void ph_supervisor_raise_limits(void);

/* ph_supervisor_signals: a descriptor that the signals of interest are read from. */
int ph_supervisor_signals(void);

#endif
