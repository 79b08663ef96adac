/* dnsbl.c: the dnsbl filter: asks lists of the DNS about clients and senders
 *
 * All lists are asked at once when the first recipient is named, and no thread waits for them. What
 * they said holds for the session, as long as what was asked is the same. A list that does not
 * answer says nothing.
 *
 * Answers may come when nobody waits any more, so the state of a session is counted: one reference
 * is the session's, one each question's.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/address.h>
#include <posthorn/error.h>
#include <posthorn/filter.h>
#include <posthorn/resolver.h>
#include <posthorn/slice.h>
#include <posthorn/wake.h>

#include "list.h"

typedef struct {
	const char *const *list; /* pairs of key and text */
	int64_t reject;
	int64_t temporary;
	const char *header;        /* (nullable) */
	const char *const *exempt; /* (nullable) */
} Settings;

/* Dnsbl: one section. Counted: questions outlive a reload. */
typedef struct {
	gint refs;
	PhSection *section;
	const Settings *settings;
	GPtrArray *lists; /* of List */
} Dnsbl;

/* Asked: one session's. */
typedef struct {
	gint refs;
	Dnsbl *dnsbl;
	GMutex lock; /* guards the rest */
	char *about; /* (nullable) what was asked about: the answers hold for that */
	unsigned n_pending;
	int score;
	GString *zones;             /* that list it, with blanks between */
	PhFilterQuestion *question; /* (nullable) that waits */
	PhWake *wake;               /* of @question */
} Asked;

/* Ask: one list's answer that is awaited. */
typedef struct {
	Asked *asked;
	const List *list;
} Ask;

static const PhOption options[] = {
	PH_OPTION_KEYS(
		Settings,
		list,
		"ZONE [of client|helo|sender] [weight N] [for 127.0.0.2 127.0.0.4-127.0.0.7 ...]"),
	PH_OPTION_INTEGER(Settings,
	                  reject,
	                  "1",
	                  0,
	                  1000000,
	                  "sum of weights from which mail is refused; 0 for never"),
	PH_OPTION_INTEGER(Settings,
	                  temporary,
	                  "0",
	                  0,
	                  1000000,
	                  "sum of weights from which the client shall try later; 0 for never"),
	PH_OPTION_STRING(Settings,
	                 header,
	                 PH_ABSENT,
	                 "field that is added to mail of listed clients that is taken: X-Listed"),
	PH_OPTION_LIST(Settings,
	               exempt,
	               "postmaster, abuse",
	               "names or addresses that everybody may write to"),
	PH_OPTIONS_END,
};

/* --- the section ------------------------------------------------------------------------------ */

static void
free_list(gpointer list)
{
	list_free(list);
}

static void
unref_section(Dnsbl *dnsbl)
{
	if (!g_atomic_int_dec_and_test(&dnsbl->refs))
		return;
	g_ptr_array_unref(dnsbl->lists);
	g_free(dnsbl);
}

static void
destroy(void *instance)
{
	unref_section(instance);
}

static bool
create(PhSection *section, const void *settings_pointer, void **instance_out, GError **error)
{
	const Settings *settings = settings_pointer;
	Dnsbl *dnsbl = g_new0(Dnsbl, 1);

	dnsbl->refs = 1;
	dnsbl->section = section;
	dnsbl->settings = settings;
	dnsbl->lists = g_ptr_array_new_with_free_func(free_list);
	for (size_t i = 0; settings->list != NULL && settings->list[i] != NULL; i += 2) {
		List *list = list_parse(settings->list[i], settings->list[i + 1], error);

		if (list == NULL) {
			destroy(dnsbl);
			return false;
		}
		g_ptr_array_add(dnsbl->lists, list);
	}
	if (dnsbl->lists->len == 0) {
		ph_error_set(error, PH_ERROR_INVALID,
		             "there is no list; write one such as list-1 = bl.example.org");
		destroy(dnsbl);
		return false;
	}
	*instance_out = dnsbl;
	return true;
}

/* --- the session ------------------------------------------------------------------------------ */

static void
unref_asked(Asked *asked)
{
	if (!g_atomic_int_dec_and_test(&asked->refs))
		return;
	g_mutex_clear(&asked->lock);
	g_string_free(asked->zones, TRUE);
	g_free(asked->about);
	unref_section(asked->dnsbl);
	g_free(asked);
}

static void *
begin(void *instance, PhMail *mail)
{
	Dnsbl *dnsbl = instance;
	Asked *asked = g_new0(Asked, 1);

	g_atomic_int_inc(&dnsbl->refs);
	asked->refs = 1;
	asked->dnsbl = dnsbl;
	asked->zones = g_string_new(NULL);
	g_mutex_init(&asked->lock);
	return asked;
}

static void
end(void *instance, void *state)
{
	unref_asked(state);
}

/* The verdict for a recipient. Under the lock. */
static void
judge(const Asked *asked, PhFilterQuestion *question)
{
	const Settings *settings = asked->dnsbl->settings;
	PhVerdict *verdict = &question->verdict;

	if (settings->reject > 0 && asked->score >= settings->reject)
		verdict->result = PH_VERDICT_REJECT;
	else if (settings->temporary > 0 && asked->score >= settings->temporary)
		verdict->result = PH_VERDICT_TEMPORARY;
	else
		return;
	g_strlcpy(verdict->status, verdict->result == PH_VERDICT_REJECT ? "5.7.1" : "4.7.1",
	          sizeof verdict->status);
	g_snprintf(verdict->text, sizeof verdict->text, "Mail is not taken: listed by %s",
	           asked->zones->str);
}

/* Takes the waiting question out. Under the lock. Returns: (owned, nullable) its wake. */
static PhWake *
answer_waiting(Asked *asked, bool may_judge)
{
	PhFilterQuestion *question = asked->question;

	asked->question = NULL;
	if (question != NULL && may_judge && ph_filter_claim(question))
		judge(asked, question);
	return g_steal_pointer(&asked->wake);
}

static void
cancel(void *instance, void *state)
{
	Asked *asked = state;
	PhWake *wake = NULL;

	g_mutex_lock(&asked->lock);
	wake = answer_waiting(asked, false);
	g_mutex_unlock(&asked->lock);
	if (wake != NULL)
		ph_wake_complete(wake);
}

/* --- asking ----------------------------------------------------------------------------------- */

static bool
lists(const List *list, const PhResolverAnswer *answer)
{
	if (answer->status != PH_RESOLVER_OK)
		return false;
	for (size_t i = 0; i < answer->n_records; i++)
		if (list_counts(list, answer->records[i].text))
			return true;
	return false;
}

static void
answered(const PhResolverAnswer *answer, void *user_data)
{
	Ask *ask = user_data;
	Asked *asked = ask->asked;
	PhWake *wake = NULL;

	g_mutex_lock(&asked->lock);
	if (lists(ask->list, answer)) {
		asked->score += ask->list->weight;
		g_string_append_printf(asked->zones, "%s%s", asked->zones->len > 0 ? " " : "",
		                       ask->list->zone);
	}
	asked->n_pending--;
	if (asked->n_pending == 0)
		wake = answer_waiting(asked, true);
	g_mutex_unlock(&asked->lock);
	if (wake != NULL)
		ph_wake_complete(wake);
	unref_asked(asked);
	g_free(ask);
}

/* The name to ask a list about. Returns: false when there is nothing to ask. */
static bool
make_name(const List *list, const PhMail *mail, GString *name)
{
	const char *client = ph_mail_fact(mail, "client-address");
	const char *helo = ph_mail_fact(mail, "helo");
	const char *at = strrchr(ph_mail_sender(mail), '@');
	const char *domain = NULL;
	uint32_t kind = 0;

	if (list->of == LIST_OF_CLIENT)
		return client != NULL && ph_resolver_reverse_name(client, list->zone, name);
	if (list->of == LIST_OF_HELO)
		domain = helo;
	else if (at != NULL)
		domain = at + 1;
	if (domain == NULL || ph_domain_parse(ph_slice(domain), 0, &kind) != PH_ADDRESS_OK
	    || kind != PH_DOMAIN_NAME)
		return false;
	g_string_append_printf(name, "%s.%s", domain, list->zone);
	return true;
}

/* Asks what is not known yet. Under no lock: answers may come before this returns. */
static void
start(Asked *asked, GPtrArray *names)
{
	const Dnsbl *dnsbl = asked->dnsbl;

	for (guint i = 0; i < names->len; i++) {
		const char *name = names->pdata[i];
		Ask *ask = NULL;

		if (name == NULL)
			continue;
		ask = g_new0(Ask, 1);
		g_atomic_int_inc(&asked->refs);
		ask->asked = asked;
		ask->list = dnsbl->lists->pdata[i];
		ph_resolver_ask(dnsbl->section, name, PH_DNS_A, answered, ask);
	}
}

/* The names for all lists, NULL where there is nothing to ask; what they are about as one text. */
static GPtrArray *
make_names(const Asked *asked, const PhMail *mail, GString *about, unsigned *n_out)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

	*n_out = 0;
	for (guint i = 0; i < asked->dnsbl->lists->len; i++) {
		GString *name = g_string_new(NULL);

		if (make_name(asked->dnsbl->lists->pdata[i], mail, name)) {
			g_string_append_printf(about, "%s ", name->str);
			g_ptr_array_add(names, g_string_free(name, FALSE));
			(*n_out)++;
		} else {
			g_string_free(name, TRUE);
			g_ptr_array_add(names, NULL);
		}
	}
	return names;
}

/* A question while answers about another sender are under way cannot be: the session waits for
 * them, unless its time was over; then the old ones must not be counted for the new. */
static void
ask_recipient(Asked *asked, PhFilterQuestion *question)
{
	g_autoptr(GString) about = g_string_new(NULL);
	unsigned n = 0;
	g_autoptr(GPtrArray) names = make_names(asked, question->mail, about, &n);
	bool must_ask = false;

	g_mutex_lock(&asked->lock);
	must_ask = asked->n_pending == 0 && g_strcmp0(asked->about, about->str) != 0;
	if (must_ask) {
		g_free(asked->about);
		asked->about = g_strdup(about->str);
		asked->score = 0;
		g_string_truncate(asked->zones, 0);
		asked->n_pending = n;
	}
	if (asked->n_pending == 0) {
		judge(asked, question);
	} else {
		asked->question = question;
		asked->wake = ph_filter_park(question);
	}
	g_mutex_unlock(&asked->lock);
	if (must_ask)
		start(asked, names);
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

static bool
add_header(Asked *asked, PhMail *mail, GError **error)
{
	const char *name = asked->dnsbl->settings->header;
	g_autofree char *value = NULL;

	g_mutex_lock(&asked->lock);
	if (asked->n_pending == 0 && asked->zones->len > 0)
		value = g_strdup_printf("%s (%d)", asked->zones->str, asked->score);
	g_mutex_unlock(&asked->lock);
	return name == NULL || value == NULL
	       || ph_mail_header_add(mail, name, ph_slice(value), error);
}

static bool
ask(void *instance, void *state, PhFilterQuestion *question, GError **error)
{
	const Dnsbl *dnsbl = instance;

	if (ph_mail_user(question->mail) != NULL)
		return true;
	if (question->stage == PH_STAGE_MESSAGE)
		return add_header(state, question->mail, error);
	if (!is_exempt(dnsbl->settings, ph_mail_recipient(question->mail, question->recipient)))
		ask_recipient(state, question);
	return true;
}

static const PhFilter filter = {
	.size = sizeof filter,
	.stages = 1U << PH_STAGE_RECIPIENT | 1U << PH_STAGE_MESSAGE,
	.create = create,
	.destroy = destroy,
	.begin = begin,
	.end = end,
	.ask = ask,
	.cancel = cancel,
};

static const PhOffer offers[] = {
	{
		.kind = PH_KIND_FILTER,
		.name = "dnsbl",
		.filter = &filter,
		.not_isolated = "it asks the server's resolver",
	},
	PH_OFFERS_END,
};

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "dnsbl",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "refuses clients and senders that lists of the DNS name",
	.options = options,
	.offers = offers,
};
