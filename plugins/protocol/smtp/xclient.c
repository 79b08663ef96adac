/* xclient.c: XCLIENT: a proxy in front of us says who the client is
 *
 * Postfix's extension, as its XCLIENT_README has it. Only peers in `xclient-networks` may; what they
 * say replaces the client's address, name and login in logs, trace fields and questions to filters.
 * The session begins anew then: the greeting is sent again and the client says hello again.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>

#include "parameters.h"
#include "smtp.h"

/* Told: what one command said. Slices are borrowed from @octets. */
typedef struct {
	char *address; /* (owned, nullable) */
	char *hello;   /* (owned, nullable) */
	char *login;   /* (owned, nullable); "": none */
	uint32_t port;
	bool is_hello_unknown;
} Told;

static void
clear_told(Told *told)
{
	g_free(told->address);
	g_free(told->hello);
	g_free(told->login);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Told, clear_told)

static bool
is_unknown(const char *value)
{
	return g_ascii_strcasecmp(value, "[UNAVAILABLE]") == 0
	       || g_ascii_strcasecmp(value, "[TEMPUNAVAIL]") == 0;
}

static bool
is_printable(const GString *value)
{
	for (gsize i = 0; i < value->len; i++)
		if ((uint8_t) value->str[i] <= ' ' || value->str[i] == 127)
			return false;
	return ph_slice_is_utf8(PH_SLICE(value->str, value->len));
}

static bool
take_address(Told *told, const char *value)
{
	if (is_unknown(value))
		return true;
	if (g_ascii_strncasecmp(value, "IPV6:", 5) == 0)
		value += 5;
	g_free(told->address);
	told->address = g_strdup(value);
	return true;
}

static bool
take_hello(Told *told, const char *value)
{
	g_clear_pointer(&told->hello, g_free);
	told->is_hello_unknown = is_unknown(value);
	if (!told->is_hello_unknown)
		told->hello = g_strdup(value);
	return strlen(value) <= PH_DOMAIN_MAX;
}

static bool
take_login(Told *told, const char *value)
{
	g_free(told->login);
	told->login = g_strdup(is_unknown(value) ? "" : value);
	return true;
}

static bool
take_port(Told *told, const char *value)
{
	return is_unknown(value) || ph_slice_to_u32(ph_slice(value), UINT16_MAX, &told->port);
}

/* What is true of the client but of no use here. */
static bool
take_nothing(Told *told, const char *value)
{
	return true;
}

static const struct {
	const char *name;
	bool (*take)(Told *told, const char *value);
} attributes[] = {
	{ "NAME", take_nothing },     { "ADDR", take_address },     { "PORT", take_port },
	{ "PROTO", take_nothing },    { "HELO", take_hello },       { "LOGIN", take_login },
	{ "DESTADDR", take_nothing }, { "DESTPORT", take_nothing },
};

static bool
take_attribute(Told *told, PhSlice word)
{
	PhSlice value = word;
	PhSlice name = ph_slice_split(&value, '=');
	g_autoptr(GString) text = g_string_new(NULL);

	if (!ph_slice_is_ascii(value) || !ph_xtext_decode(value, text) || text->len == 0
	    || !is_printable(text))
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(attributes); i++)
		if (ph_slice_is_nocase(name, attributes[i].name))
			return attributes[i].take(told, text->str);
	return false;
}

static bool
parse(PhSlice argument, Told *told)
{
	while (argument.length > 0) {
		PhSlice word = ph_slice_split(&argument, ' ');

		if (word.length > 0 && !take_attribute(told, word))
			return false;
	}
	return true;
}

/* The login was checked by the proxy; here the user only has to exist. */
static bool
set_user(PhSession *session, const char *login)
{
	Client *client = ph_session_data(session);

	g_clear_pointer(&client->user, ph_identity_unref);
	if (login[0] == '\0')
		return true;
	return ph_login_lookup(session, ph_slice(login), &client->user) == PH_LOOKUP_FOUND;
}

PhNext
smtp_xclient(PhSession *session, PhSlice argument)
{
	Client *client = ph_session_data(session);
	g_auto(Told) told = { 0 };

	if (!client->may_xclient)
		return smtp_refuse(session, "550 5.7.0 XCLIENT is not for you");
	if (client->envelope != NULL)
		return smtp_refuse(session, "503 5.5.1 not inside a mail transaction");
	if (!parse(argument, &told))
		return smtp_refuse(session, "501 5.5.4 syntax: XCLIENT attribute=value ...");
	if (told.address != NULL
	    && !ph_session_set_client(session, told.address, (uint16_t) told.port))
		return smtp_refuse(session, "501 5.5.4 that is not an address");
	if (told.login != NULL && !set_user(session, told.login))
		return smtp_refuse(session, "501 5.5.4 that user is not known here");
	if (told.hello != NULL || told.is_hello_unknown) {
		g_free(client->told_hello);
		client->told_hello = g_steal_pointer(&told.hello);
	}
	g_clear_pointer(&client->hello, g_free);
	client->is_extended = false;
	smtp_weigh(session);
	ph_log_session(session, PH_LOG_INFO, "xclient", "a proxy speaks for this client",
	               PH_LOG_TEXT("hello", client->told_hello != NULL ? client->told_hello : ""),
	               PH_LOG_END);
	/* The filters meet another client. */
	ph_filters_free(client->filters);
	client->filters = ph_filters_new(session);
	return smtp_ask(session, PH_STAGE_CONNECT, smtp_greet);
}
