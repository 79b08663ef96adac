/* op.h: an operation that owns what it points to, as those are that wait or were read back
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_BASE_OP_H
#define POSTHORN_BASE_OP_H

#include <posthorn/store.h>

/* Frees what `op` points to, its results too, not `op` itself. */
void
ph_op_clear(PhOp *op);

#endif
