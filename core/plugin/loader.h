/* loader.h: opens a plugin's file, once, after checking who could have written it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_PLUGIN_LOADER_H
#define PH_PLUGIN_LOADER_H

#include <posthorn/plugin.h>

#include <sys/types.h>

/* ph_loader_open: the descriptor of the plugin in the file, whose `abi` was checked and nothing
 * else. The code stays for the life of the process. @user: who besides root may own the file and
 * the folders above it. Thread: load or main. Errors: one sentence that names the file:
 * NOT_FOUND, DENIED (owner, mode), UNSUPPORTED (built for another ABI), INVALID (no plugin). */
const PhPlugin *ph_loader_open(const char *path, uid_t user, GError **error);

/* ph_loader_check_abi: may the rest of the descriptor be read? @path: for the sentence. Pure. */
bool ph_loader_check_abi(const PhAbi *abi, const char *path, GError **error);

#endif
