/* sasl-gnu.c: mechanisms of GNU SASL, as a client
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "sasl.h"

#include <gsasl.h>
#include <string.h>

enum {
	/* A thread works on it; OWASP recommends 600,000 to who stores such passwords. */
	ITERATIONS_MAX = 1000 * 1000,
};

struct SaslLibrary {
	Gsasl *gsasl;
};

struct Sasl {
	Gsasl_session *session;
	bool is_scram;
	bool is_done;
};

SaslLibrary *
sasl_library_open(void)
{
	SaslLibrary *library = g_new0(SaslLibrary, 1);

	if (gsasl_init(&library->gsasl) == GSASL_OK)
		return library;
	g_free(library);
	return NULL;
}

void
sasl_library_close(SaslLibrary *library)
{
	if (library == NULL)
		return;
	gsasl_done(library->gsasl);
	g_free(library);
}

Sasl *
sasl_new(SaslLibrary *library, const char *mechanism, const char *user, PhSlice password)
{
	Sasl *sasl = g_new0(Sasl, 1);

	sasl->is_scram = g_str_has_prefix(mechanism, "SCRAM-");
	if (library != NULL
	    && gsasl_client_start(library->gsasl, mechanism, &sasl->session) == GSASL_OK
	    && gsasl_property_set(sasl->session, GSASL_AUTHID, user) == GSASL_OK
	    && gsasl_property_set_raw(sasl->session, GSASL_PASSWORD, password.data, password.length)
	               == GSASL_OK)
		return sasl;
	sasl_free(sasl);
	return NULL;
}

void
sasl_free(Sasl *sasl)
{
	if (sasl == NULL)
		return;
	gsasl_finish(sasl->session);
	g_free(sasl);
}

/* RFC 5802 section 5.1: "r=...,s=...,i=4096". */
static bool
is_cheap(PhSlice challenge)
{
	while (challenge.length > 0) {
		PhSlice value = ph_slice_split(&challenge, ',');
		uint32_t iterations = 0;

		if (ph_slice_starts_nocase(value, "i=")
		    && !ph_slice_to_u32(ph_slice_from(value, 2), ITERATIONS_MAX, &iterations))
			return false;
	}
	return true;
}

bool
sasl_step(Sasl *sasl, PhSlice challenge, GString *answer)
{
	char *output = NULL;
	size_t length = 0;
	int result = 0;

	if (sasl->is_done || (sasl->is_scram && !is_cheap(challenge)))
		return false;
	result = gsasl_step(sasl->session, challenge.data, challenge.length, &output, &length);
	if (result == GSASL_OK || result == GSASL_NEEDS_MORE)
		g_string_append_len(answer, output != NULL ? output : "", (gssize) length);
	gsasl_free(output);
	sasl->is_done = result == GSASL_OK;
	return result == GSASL_OK || result == GSASL_NEEDS_MORE;
}

bool
sasl_is_done(const Sasl *sasl)
{
	return sasl->is_done;
}
