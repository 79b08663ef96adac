/* macros.c: what a milter is told besides the commands themselves
 *
 * Each command has a set of its own; a milter may name others for it when it is connected (what is
 * written before that holds all, and is cut to its wishes when it goes out).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "talk.h"

#include <string.h>

/* Source: how a value is found. */
typedef enum {
	FROM_FACT = 0, /* `fact` */
	FROM_HOSTNAME,
	FROM_PRODUCT,
	FROM_CLIENT, /* name [address] */
	FROM_CLIENT_NAME,
	FROM_ID,
	FROM_TLS_VERSION,
	FROM_CIPHER,
	FROM_USER,
	FROM_MAIL_ADDRESS,
	FROM_MAIL_HOST,
	FROM_MAIL_MAILER,
	FROM_RCPT_ADDRESS,
	FROM_RCPT_HOST,
	FROM_RCPT_MAILER,
} Source;

typedef struct {
	const char *name;
	Source source;
	const char *fact;
} Macro;

static const Macro macros[] = {
	{ "j", FROM_HOSTNAME, NULL },
	{ "v", FROM_PRODUCT, NULL },
	{ "_", FROM_CLIENT, NULL },
	{ "i", FROM_ID, NULL },
	{ "{daemon_name}", FROM_FACT, "listener" },
	{ "{daemon_addr}", FROM_FACT, "local-address" },
	{ "{client_addr}", FROM_FACT, "client-address" },
	{ "{client_name}", FROM_CLIENT_NAME, NULL },
	{ "{client_ptr}", FROM_CLIENT_NAME, NULL },
	{ "{client_port}", FROM_FACT, "client-port" },
	{ "{tls_version}", FROM_TLS_VERSION, NULL },
	{ "{cipher}", FROM_CIPHER, NULL },
	{ "{cert_subject}", FROM_FACT, "tls-subject" },
	{ "{cert_issuer}", FROM_FACT, "tls-issuer" },
	{ "{auth_type}", FROM_FACT, "auth-mechanism" },
	{ "{auth_authen}", FROM_USER, NULL },
	{ "{auth_author}", FROM_USER, NULL },
	{ "{mail_addr}", FROM_MAIL_ADDRESS, NULL },
	{ "{mail_host}", FROM_MAIL_HOST, NULL },
	{ "{mail_mailer}", FROM_MAIL_MAILER, NULL },
	{ "{rcpt_addr}", FROM_RCPT_ADDRESS, NULL },
	{ "{rcpt_host}", FROM_RCPT_HOST, NULL },
	{ "{rcpt_mailer}", FROM_RCPT_MAILER, NULL },
};

/* Set: what a command has when the milter names nothing for it; its place in the negotiation (SMFIM_*). */
typedef struct {
	char command;
	uint32_t stage;
	const char *names;
} Set;

static const Set sets[] = {
	{ SAY_CONNECT, 0,
	  "j v _ {daemon_name} {daemon_addr} {client_addr} {client_name} {client_ptr} "
	  "{client_port}" },
	{ SAY_HELO, 1, "{tls_version} {cipher} {cert_subject} {cert_issuer}" },
	{ SAY_MAIL, 2,
	  "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer}" },
	{ SAY_RCPT, 3, "{rcpt_addr} {rcpt_host} {rcpt_mailer}" },
	{ SAY_DATA, 4, "i" },
	{ SAY_END, 5, "i" },
	{ SAY_EOH, 6, "i" },
};

static const Set *
set_of(char command)
{
	for (size_t i = 0; i < G_N_ELEMENTS(sets); i++)
		if (sets[i].command == command)
			return &sets[i];
	return NULL;
}

/* "{x}" and "x" are the same. */
static PhSlice
bare(PhSlice name)
{
	if (name.length > 2 && name.data[0] == '{' && name.data[name.length - 1] == '}')
		return PH_SLICE(name.data + 1, name.length - 2);
	return name;
}

static bool
names_it(PhSlice names, PhSlice wanted)
{
	PhSlice rest = names;

	wanted = bare(wanted);
	while (rest.length > 0) {
		PhSlice name = bare(ph_slice_split(&rest, ' '));

		if (name.length == wanted.length && name.length > 0
		    && memcmp(name.data, wanted.data, name.length) == 0)
			return true;
	}
	return false;
}

static bool
is_wanted(const Talk *talk, const Set *set, const char *name)
{
	const char *named = talk->macros[set->stage];

	return names_it(ph_slice(named != NULL ? named : set->names), ph_slice(name));
}

/* --- values ----------------------------------------------------------------------------------- */

char *
macros_client_name(const PhMail *mail)
{
	const char *name = ph_mail_fact(mail, "client-name");
	const char *address = ph_mail_fact(mail, "client-address");

	return name != NULL ? g_strdup(name)
	                    : g_strdup_printf("[%s]", address != NULL ? address : "unknown");
}

static char *
client_of(const PhMail *mail)
{
	const char *address = ph_mail_fact(mail, "client-address");
	g_autofree char *name = macros_client_name(mail);

	return g_strdup_printf("%s [%s]", name, address != NULL ? address : "");
}

/* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
static char *
tls_word(const PhMail *mail, bool is_second)
{
	PhSlice rest = ph_slice(ph_mail_fact(mail, "tls"));
	PhSlice word = ph_slice_split(&rest, ' ');

	return ph_slice_dup(is_second ? rest : word);
}

static char *
host_of(const char *address)
{
	const char *at = address != NULL ? strrchr(address, '@') : NULL;

	return g_strdup(at != NULL ? at + 1 : "");
}

static const char *
recipient_of(const PhFilterQuestion *question)
{
	if (question->recipient >= ph_mail_n_recipients(question->mail))
		return NULL;
	return ph_mail_recipient(question->mail, question->recipient);
}

/* A recipient that was refused: its reply stands in the place of the address. */
static char *
rcpt_value(Source source, const PhFilterQuestion *question)
{
	bool is_refused = question->stage == PH_STAGE_REFUSED;

	if (source == FROM_RCPT_MAILER)
		return g_strdup(is_refused ? "error" : "local");
	if (source == FROM_RCPT_HOST)
		return is_refused ? g_strdup("5.0.0") : host_of(recipient_of(question));
	return g_strdup(is_refused ? ph_mail_fact(question->mail, "refused-reply")
	                           : recipient_of(question));
}

/* Returns: (owned, nullable). */
static char *
value_of(const Talk *talk, const Macro *macro, const PhFilterQuestion *question)
{
	const PhMail *mail = question->mail;

	switch (macro->source) {
	case FROM_FACT:
		return g_strdup(ph_mail_fact(mail, macro->fact));
	case FROM_HOSTNAME:
		return g_strdup(ph_section_hostname(talk->milter->section));
	case FROM_PRODUCT:
		return g_strdup("Posthorn");
	case FROM_CLIENT:
		return client_of(mail);
	case FROM_CLIENT_NAME:
		return macros_client_name(mail);
	case FROM_ID:
		return question->stage <= PH_STAGE_HELO ? NULL : g_strdup(ph_mail_id(mail));
	case FROM_TLS_VERSION:
	case FROM_CIPHER:
		return tls_word(mail, macro->source == FROM_CIPHER);
	case FROM_USER:
		return ph_mail_user(mail) != NULL
		               ? g_strdup(ph_identity_address(ph_mail_user(mail)))
		               : NULL;
	case FROM_MAIL_ADDRESS:
		return g_strdup(ph_mail_sender(mail));
	case FROM_MAIL_HOST:
		return host_of(ph_mail_sender(mail));
	case FROM_MAIL_MAILER:
		return g_strdup(question->stage <= PH_STAGE_HELO ? NULL : "smtp");
	case FROM_RCPT_ADDRESS:
	case FROM_RCPT_HOST:
	case FROM_RCPT_MAILER:
		return rcpt_value(macro->source, question);
	}
	return NULL;
}

/* --- writing ---------------------------------------------------------------------------------- */

void
macros_add(const Talk *talk, GString *out, char command, const PhFilterQuestion *question)
{
	const Set *set = set_of(command);
	size_t begun = 0;
	size_t empty = 0;

	if (set == NULL)
		return;
	begun = packet_begin(out, SAY_MACROS);
	g_string_append_c(out, command);
	empty = out->len;
	for (size_t i = 0; i < G_N_ELEMENTS(macros); i++) {
		g_autofree char *value = NULL;

		if (talk->knows_macros && !is_wanted(talk, set, macros[i].name))
			continue;
		value = value_of(talk, &macros[i], question);
		if (value == NULL || value[0] == '\0')
			continue;
		packet_text(out, ph_slice(macros[i].name));
		packet_text(out, ph_slice(value));
	}
	if (out->len == empty)
		g_string_truncate(out, begun);
	else
		packet_end(out, begun);
}

static PhSlice
take_text(PhSlice *rest)
{
	size_t length = strnlen(rest->data, rest->length);
	PhSlice text = PH_SLICE(rest->data, length);

	*rest = ph_slice_from(*rest, MIN(length + 1, rest->length));
	return text;
}

void
macros_cut(const Talk *talk, PhSlice packet, GString *out)
{
	PhSlice rest = ph_slice_from(packet, MILTER_LENGTH + 2);
	char command = packet.data[MILTER_LENGTH + 1];
	const Set *set = set_of(command);
	size_t begun = packet_begin(out, SAY_MACROS);
	size_t empty = 0;

	g_string_append_c(out, command);
	empty = out->len;
	while (rest.length > 0) {
		PhSlice name = take_text(&rest);
		PhSlice value = take_text(&rest);
		g_autofree char *text = ph_slice_dup(name);

		if (set == NULL || !is_wanted(talk, set, text))
			continue;
		packet_text(out, name);
		packet_text(out, value);
	}
	if (out->len == empty)
		g_string_truncate(out, begun);
	else
		packet_end(out, begun);
}

void
macros_learn(Talk *talk, const PhSlice *lists)
{
	for (size_t i = 0; i < MILTER_STAGES; i++) {
		g_clear_pointer(&talk->macros[i], g_free);
		if (lists[i].data != NULL)
			talk->macros[i] = ph_slice_dup(lists[i]);
	}
	talk->knows_macros = true;
}

void
macros_forget(Talk *talk)
{
	for (size_t i = 0; i < MILTER_STAGES; i++)
		g_clear_pointer(&talk->macros[i], g_free);
	talk->knows_macros = false;
}
