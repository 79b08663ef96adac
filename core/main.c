/* main.c: the posthorn program; everything is in libposthorn
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/program.h>

int
main(int argc, char **argv)
{
	return ph_program_main(argc, argv);
}
