/* conform-exchange.h: exchanges for the conformance kit, with a directory of two users behind them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CLI_CONFORM_EXCHANGE_H
#define POSTHORN_CLI_CONFORM_EXCHANGE_H

#include "conform/conform.h"

/* ph_conform_exchange_set_up: whom the directory knows; borrowed for the life of the process. Fills in
 * begin, step and end of @mechanism. Thread: load. */
void ph_conform_exchange_set_up(PhConformMechanism *mechanism);

#endif
