/* login.h: one exchange (inside core/login)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_LOGIN_LOGIN_H
#define PH_LOGIN_LOGIN_H

#include <posthorn/login.h>

/* ph_login_new: an exchange that is over before it began: only to be freed. Returns: (owned). */
PhLogin *ph_login_new(PhSession *session);

#endif
