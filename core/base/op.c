/* op.c: an operation that owns what it points to
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/op.h"

#include <posthorn/uidset.h>

void
ph_op_clear(PhOp *op)
{
	ph_uid_set_free((PhUidSet *) (uintptr_t) op->uids);
	g_strfreev((char **) (uintptr_t) op->keywords);
	g_free((char *) (uintptr_t) op->name);
	g_free((char *) (uintptr_t) op->key);
	g_free((char *) (uintptr_t) op->value.data);
	g_free((char *) (uintptr_t) op->structure.data);
	ph_uid_set_free(op->refused);
	ph_uid_set_free(op->missing);
	ph_uid_set_free(op->from_uids);
	ph_uid_set_free(op->to_uids);
}
