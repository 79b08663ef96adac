/* invent.h: what unknown users are shown instead of their own salt
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_LOGIN_INVENT_H
#define PH_LOGIN_INVENT_H

#include <posthorn/types.h>

enum {
	PH_LOGIN_KEY_SIZE = 32,
	PH_INVENT_MAX = 64,
};

/* ph_login_key_load: the server's key, from "login.key" in @data, where it is made when it is not
 * there. Errors: the file cannot be read or written; @key is random then. Blocks: on the disk. */
bool ph_login_key_load(const char *data, uint8_t *key, GError **error);

/* ph_invent: @n octets (at most PH_INVENT_MAX) that only depend on the three. Pure. */
void ph_invent(const uint8_t *key, const char *purpose, PhSlice user, uint8_t *octets, size_t n);

#endif
