/* connection.c: one connection to the LDAP server
 *
 * Certificates are always verified. Referrals are not followed: a password goes to the server that the
 * config names and to no other.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "directory.h"

#include <poll.h>
#include <sys/socket.h>

enum {
	MESSAGE_MAX = 1 << 20
};

bool
fail_ldap(const char *what, int code, GError **error)
{
	ph_error_set(error, PH_ERROR_TEMPORARY, "%s: %s", what, ldap_err2string(code));
	return false;
}

static bool
set_options(LDAP *ld, const Settings *settings)
{
	const int version = LDAP_VERSION3;
	const int demand = LDAP_OPT_X_TLS_HARD;
	const int as_client = 0;
	const struct timeval limit = {
		.tv_sec = (time_t) (settings->answer_timeout.us / G_USEC_PER_SEC),
		.tv_usec = (suseconds_t) (settings->answer_timeout.us % G_USEC_PER_SEC),
	};
	int status = ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version);

	status |= ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &limit);
	status |= ldap_set_option(ld, LDAP_OPT_TIMEOUT, &limit);
	status |= ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
	status |= ldap_set_option(ld, LDAP_OPT_RESTART, LDAP_OPT_ON);
	status |= ldap_set_option(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand);
	if (settings->ca_file != NULL)
		status |= ldap_set_option(ld, LDAP_OPT_X_TLS_CACERTFILE, settings->ca_file);
	if (settings->starttls || g_str_has_prefix(settings->uri, "ldaps:"))
		status |= ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &as_client);
	return status == LDAP_OPT_SUCCESS;
}

/* Connects now, so that the descriptor is known, and begins TLS where it is wanted. */
static int
begin_tls(LDAP *ld, const Settings *settings)
{
	int code = ldap_connect(ld);

	if (code == LDAP_SUCCESS && settings->starttls)
		code = ldap_start_tls_s(ld, NULL, NULL);
	return code;
}

/* What one message may be long. */
static void
limit_messages(LDAP *ld)
{
	ber_len_t most = MESSAGE_MAX;
	Sockbuf *buffer = NULL;

	if (ldap_get_option(ld, LDAP_OPT_SOCKBUF, &buffer) == LDAP_OPT_SUCCESS && buffer != NULL)
		(void) ber_sockbuf_ctrl(buffer, LBER_SB_OPT_SET_MAX_INCOMING, &most);
}

bool
connection_open(const Settings *settings, Connection *out, GError **error)
{
	Connection connection = { .fd = -1 };
	int code = ldap_initialize(&connection.ld, settings->uri);

	if (code == LDAP_SUCCESS && !set_options(connection.ld, settings))
		code = LDAP_LOCAL_ERROR;
	if (code == LDAP_SUCCESS)
		code = begin_tls(connection.ld, settings);
	if (code == LDAP_SUCCESS
	    && ldap_get_option(connection.ld, LDAP_OPT_DESC, &connection.fd) != LDAP_OPT_SUCCESS)
		code = LDAP_CONNECT_ERROR;
	if (code != LDAP_SUCCESS) {
		connection_close(&connection);
		return fail_ldap("cannot connect to the LDAP server", code, error);
	}
	limit_messages(connection.ld);
	connection.is_service = settings->bind_dn == NULL;
	*out = connection;
	return true;
}

void
connection_close(Connection *connection)
{
	if (connection->ld != NULL)
		(void) ldap_unbind_ext(connection->ld, NULL, NULL);
	*connection = (Connection){ .fd = -1 };
}

bool
connection_is_alive(const Connection *connection)
{
	struct pollfd polled = { .fd = connection->fd, .events = POLLIN };

	return poll(&polled, 1, 0) == 0;
}

int
bind_request(LDAP *ld, const char *dn, PhSlice password)
{
	struct berval credentials = { .bv_len = password.length,
		                      .bv_val = (char *) (uintptr_t) password.data };
	int message = -1;

	if (ldap_sasl_bind(ld, dn, LDAP_SASL_SIMPLE, &credentials, NULL, NULL, &message)
	    != LDAP_SUCCESS)
		return -1;
	return message;
}
