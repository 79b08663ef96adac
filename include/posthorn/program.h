/* program.h: the whole of the posthorn program, as one function of libposthorn
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_PROGRAM_H
#define POSTHORN_PROGRAM_H

#include <posthorn/types.h>

G_BEGIN_DECLS

/* ph_program_main: runs the command that the arguments name; argv[0] may be `sendmail`.
 * Thread: load. Returns: the exit status: 0 done, 1 it failed, 2 the command line is wrong,
 * 75 try again later (sysexits.h). */
PH_PUBLIC int ph_program_main(int argc, char **argv);

G_END_DECLS

#endif
