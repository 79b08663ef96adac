/* protocol-clock.c: a whole protocol of lines: it greets, tells the time and says goodbye
 *
 * To read before writing one of your own: the core owns the connection, TLS and lines; the protocol
 * sees lines and writes answers. What belongs to a session hangs at it (ph_session_set_data).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/protocol.h>
#include <posthorn/session.h>
#include <posthorn/slice.h>

typedef struct {
	PhDuration patience;
} Settings;

/* State: of one session. */
typedef struct {
	uint32_t n_commands;
} State;

static const PhOption options[] = {
	PH_OPTION_DURATION(Settings, patience, "1min", "how long a client may say nothing"),
	PH_OPTIONS_END,
};

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	*instance_out = (void *) (uintptr_t) settings;
	return true;
}

static void
destroy(void *instance)
{
}

static void
wait_for_command(PhSession *session)
{
	const Settings *settings = ph_session_instance(session);

	ph_session_set_deadline(session, settings->patience);
}

static PhNext
opened(PhSession *session)
{
	ph_session_set_data(session, g_new0(State, 1));
	ph_session_printf(session, "+ %s clock\r\n", ph_session_hostname(session));
	wait_for_command(session);
	return PH_DONE;
}

static void
closed(PhSession *session)
{
	g_free(ph_session_data(session));
}

static PhNext
tell_time(PhSession *session)
{
	ph_session_printf(session, "+ %" G_GINT64_FORMAT "\r\n",
	                  g_get_real_time() / G_USEC_PER_SEC);
	return PH_DONE;
}

static PhNext
tell_count(PhSession *session)
{
	const State *state = ph_session_data(session);

	ph_session_printf(session, "+ %u commands\r\n", state->n_commands);
	return PH_DONE;
}

static PhNext
quit(PhSession *session)
{
	ph_session_write_text(session, "+ goodbye\r\n");
	return PH_CLOSE;
}

static PhNext
line(PhSession *session, PhSlice text, uint32_t flaws)
{
	static const struct {
		const char *name;
		PhNext (*run)(PhSession *session);
	} commands[] = { { "TIME", tell_time }, { "COUNT", tell_count }, { "QUIT", quit } };

	State *state = ph_session_data(session);

	state->n_commands++;
	wait_for_command(session);
	for (size_t i = 0; flaws == 0 && i < G_N_ELEMENTS(commands); i++)
		if (ph_slice_is_nocase(text, commands[i].name))
			return commands[i].run(session);
	ph_session_write_text(session, "- TIME, COUNT or QUIT\r\n");
	return PH_DONE;
}

static PhNext
timeout(PhSession *session)
{
	ph_session_write_text(session, "- too slow\r\n");
	return PH_CLOSE;
}

static const PhProtocol protocol = {
	.size = sizeof protocol,
	.needs = PH_SPEAKS_FIRST,
	.create = create,
	.destroy = destroy,
	.opened = opened,
	.line = line,
	.timeout = timeout,
	.closed = closed,
	.refused = "- too many connections\r\n",
};

static const PhOffer offers[] = {
	PH_OFFER_PROTOCOL("clock", &protocol),
	PH_OFFERS_END,
};

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "clock",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "tells the time",
	.options = options,
	.offers = offers,
};
