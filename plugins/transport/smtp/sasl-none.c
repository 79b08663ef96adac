/* sasl-none.c: a build without GNU SASL
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "sasl.h"

SaslLibrary *
sasl_library_open(void)
{
	return NULL;
}

void
sasl_library_close(SaslLibrary *library)
{
}

Sasl *
sasl_new(SaslLibrary *library, const char *mechanism, const char *user, PhSlice password)
{
	return NULL;
}

void
sasl_free(Sasl *sasl)
{
}

bool
sasl_step(Sasl *sasl, PhSlice challenge, GString *answer)
{
	return false;
}

bool
sasl_is_done(const Sasl *sasl)
{
	return false;
}
