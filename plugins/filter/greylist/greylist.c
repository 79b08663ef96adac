/* greylist.c: the greylist filter: whoever is unknown shall come again
 *
 * Asked for each recipient. Users who are logged in, and clients that came by a local socket, pass.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/filter.h>
#include <posthorn/slice.h>

#include "memory.h"

#include <string.h>

typedef struct {
	const char *path; /* (nullable) */
	PhDuration delay;
	PhDuration window;
	PhDuration lifetime;
	int64_t allow;
	int64_t limit;
	const char *const *exempt; /* (nullable) */
} Settings;

typedef struct {
	const Settings *settings;
	char *path;
	Memory *memory;
} Greylist;

static const PhOption options[] = {
	PH_OPTION_PATH(Settings,
	               path,
	               "{data}/greylist.sqlite",
	               "where it is kept who has tried; one file for each section"),
	PH_OPTION_DURATION(Settings, delay, "5min", "how long a first try is turned away"),
	PH_OPTION_DURATION(Settings, window, "2d", "in which time it must be repeated"),
	PH_OPTION_DURATION(Settings, lifetime, "35d", "how long a success is remembered"),
	PH_OPTION_INTEGER(Settings,
	                  allow,
	                  "10",
	                  0,
	                  1000000,
	                  "successes after which a client's network always passes; 0 for never"),
	PH_OPTION_INTEGER(Settings,
	                  limit,
	                  "1000000",
	                  1000,
	                  100000000,
	                  "most rows that are kept; the oldest go"),
	PH_OPTION_LIST(Settings,
	               exempt,
	               "postmaster, abuse",
	               "names or addresses that everybody may write to at once"),
	PH_OPTIONS_END,
};

static int64_t
seconds(PhDuration duration)
{
	return (int64_t) ((duration.us + G_USEC_PER_SEC - 1) / G_USEC_PER_SEC);
}

static void
destroy(void *instance)
{
	Greylist *greylist = instance;

	memory_free(greylist->memory);
	g_free(greylist->path);
	g_free(greylist);
}

static bool
create(PhSection *section, const void *settings_pointer, void **instance_out, GError **error)
{
	const Settings *settings = settings_pointer;
	Greylist *greylist = g_new0(Greylist, 1);
	MemoryRules rules = { .delay = seconds(settings->delay),
		              .window = seconds(settings->window),
		              .lifetime = seconds(settings->lifetime),
		              .allow = settings->allow,
		              .limit = settings->limit };

	greylist->settings = settings;
	greylist->path = g_strdup(settings->path);
	rules.path = greylist->path;
	greylist->memory = memory_new(&rules);
	*instance_out = greylist;
	return true;
}

static bool
is_exempt(const Settings *settings, const char *recipient)
{
	PhSlice whole = ph_slice(recipient);
	PhSlice rest = whole;
	PhSlice local = ph_slice_split(&rest, '@');

	for (size_t i = 0; settings->exempt != NULL && settings->exempt[i] != NULL; i++)
		if (ph_slice_is_nocase(local, settings->exempt[i])
		    || ph_slice_is_nocase(whole, settings->exempt[i]))
			return true;
	return false;
}

static void
turn_away(PhVerdict *verdict, int64_t wait)
{
	verdict->result = PH_VERDICT_TEMPORARY;
	g_strlcpy(verdict->status, "4.7.1", sizeof verdict->status);
	g_snprintf(verdict->text, sizeof verdict->text,
	           "Greylisted, please try again in %" G_GINT64_FORMAT " seconds", wait);
}

static bool
ask(void *instance, void *state, PhFilterQuestion *question, GError **error)
{
	const Greylist *greylist = instance;
	const PhMail *mail = question->mail;
	const char *client = ph_mail_fact(mail, "client-address");
	const char *recipient = ph_mail_recipient(mail, question->recipient);
	g_autoptr(GString) network = g_string_new(NULL);
	g_autofree char *sender = g_ascii_strdown(ph_mail_sender(mail), -1);
	g_autofree char *to = g_ascii_strdown(recipient, -1);
	Triplet triplet = { .sender = sender, .recipient = to };
	int64_t wait = 0;

	if (ph_mail_user(mail) != NULL || client == NULL || strcmp(client, "unix") == 0
	    || is_exempt(greylist->settings, recipient))
		return true;
	memory_network(client, network);
	triplet.network = network->str;
	if (!memory_ask(greylist->memory, &triplet, g_get_real_time() / G_USEC_PER_SEC, &wait,
	                error))
		return false;
	if (wait > 0)
		turn_away(&question->verdict, wait);
	return true;
}

static const PhFilter filter = {
	.size = sizeof filter,
	.stages = 1U << PH_STAGE_RECIPIENT,
	.create = create,
	.destroy = destroy,
	.ask = ask,
};

static const PhOffer offers[] = { PH_OFFER_FILTER("greylist", &filter), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "greylist",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "lets unknown clients come again before their mail is taken",
	.options = options,
	.offers = offers,
};
