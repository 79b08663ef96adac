/* imap.c: the IMAP4rev1 plugin: descriptor, options, and the life of a session
 *
 * The session calls land here and go to whoever is responsible at that moment: input.c for
 * commands, the function that a command left for its continuation, or the command's work.
 * RFC 3501; the extensions stand in the README beside this file.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "imap.h"

static const PhOption options[] = {
	PH_OPTION_SIZE(Settings, line_limit_before_login, "8K", "longest line before login"),
	PH_OPTION_SIZE(Settings, line_limit, "64K", "longest line after login"),
	PH_OPTION_SIZE(Settings,
	               command_limit_before_login,
	               "16K",
	               "longest command with its literals before login"),
	PH_OPTION_SIZE(Settings,
	               command_limit,
	               "256K",
	               "longest command with its literals, messages not counted"),
	PH_OPTION_SIZE(Settings, message_limit, "50M", "largest message that APPEND takes"),
	PH_OPTION_DURATION(Settings, login_timeout, "3min", "time to log in before the goodbye"),
	PH_OPTION_DURATION(Settings,
	                   idle_timeout,
	                   "30min",
	                   "time without a command before the goodbye"),
	PH_OPTION_INTEGER(Settings, max_errors, "20", 1, 10000, "bad commands before the goodbye"),
	PH_OPTIONS_END,
};

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	/* The settings are all that an instance is; no one writes to them. */
	*instance_out = g_memdup2(settings, sizeof(Settings));
	return true;
}

static void
destroy(void *instance)
{
	g_free(instance);
}

static void
wait_for_command(Imap *imap)
{
	if (imap->state != IMAP_GREETED)
		ph_session_set_deadline(imap->session, imap->settings->idle_timeout);
}

static PhNext
opened(PhSession *session)
{
	Imap *imap = g_new0(Imap, 1);

	imap->session = session;
	imap->settings = ph_session_instance(session);
	imap->state = IMAP_GREETED;
	ph_session_set_data(session, imap);
	ph_session_limit_line(session, imap->settings->line_limit_before_login.octets);
	ph_session_set_deadline(session, imap->settings->login_timeout);
	ph_session_write_text(session, "* OK [CAPABILITY ");
	imap_write_capabilities(imap);
	ph_session_write_text(session, "] ");
	ph_session_write_text(session, ph_session_hostname(session));
	ph_session_write_text(session, " ready.\r\n");
	return PH_DONE;
}

static PhNext
line(PhSession *session, PhSlice text, uint32_t flaws)
{
	Imap *imap = ph_session_data(session);

	wait_for_command(imap);
	if (imap->on_line != NULL)
		return imap->on_line(imap, text, flaws);
	return imap_input_line(imap, text, flaws);
}

static PhNext
octets(PhSession *session, PhSlice piece, bool final)
{
	Imap *imap = ph_session_data(session);

	return imap->on_octets(imap, piece, final);
}

static PhNext
step(PhSession *session)
{
	Imap *imap = ph_session_data(session);

	return imap->work->step(imap);
}

static PhNext
resumed(PhSession *session)
{
	Imap *imap = ph_session_data(session);

	return imap->login != NULL ? imap_login_resumed(imap) : imap->work->resumed(imap);
}

static PhNext
notified(PhSession *session)
{
	Imap *imap = ph_session_data(session);

	return imap->idling ? imap_idle_notified(imap) : PH_DONE;
}

static PhNext
tls_started(PhSession *session)
{
	Imap *imap = ph_session_data(session);

	/* Nothing of what the client said is kept: there is only the count of its errors. */
	imap_input_clear(imap);
	return PH_DONE;
}

static PhNext
timeout(PhSession *session)
{
	Imap *imap = ph_session_data(session);

	return imap_bye(imap, imap->state == IMAP_GREETED ? "Time to log in is over."
	                                                  : "Idle for too long.");
}

static PhNext
drain(PhSession *session)
{
	return imap_bye(ph_session_data(session),
	                "[UNAVAILABLE] The server is going down, come back soon.");
}

static void
closed(PhSession *session)
{
	Imap *imap = ph_session_data(session);

	if (imap == NULL)
		return;
	imap_work_end(imap);
	imap_input_clear(imap);
	g_clear_pointer(&imap->login, ph_login_free);
	g_clear_pointer(&imap->view, ph_view_close);
	g_clear_pointer(&imap->account, ph_account_unref);
	g_free(imap);
}

static const PhProtocol protocol = {
	.size = sizeof protocol,
	.needs = PH_NEEDS_STORE | PH_NEEDS_DIRECTORY | PH_NEEDS_MECHANISMS | PH_SPEAKS_FIRST,
	.create = create,
	.destroy = destroy,
	.opened = opened,
	.line = line,
	.octets = octets,
	.step = step,
	.resumed = resumed,
	.notified = notified,
	.tls_started = tls_started,
	.timeout = timeout,
	.drain = drain,
	.refused = "* BYE [LIMIT] Too many connections.\r\n",
	.closed = closed,
};

static const PhOffer offers[] = { PH_OFFER_PROTOCOL("imap", &protocol), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "imap",
	.version = "0.1",
	.licence = "LGPL-2.1-or-later",
	.summary = "mailboxes for mail programs: IMAP4rev1 and its usual extensions",
	.options = options,
	.offers = offers,
};
