/* plugin-faulty.c: plugins that do everything wrong, for the tests of isolation
 *
 * In the directory everybody exists and has the password "correct horse". Whoever's name says so
 * makes the plugin crash, hang, take memory without end, or answer without end (as an alias). The
 * mechanism takes a name, and then the password that is stored for it. The filter does what the
 * words of the subject say.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>
#include <posthorn/error.h>
#include <posthorn/filter.h>
#include <posthorn/header.h>
#include <posthorn/mechanism.h>
#include <posthorn/slice.h>
#include <posthorn/wake.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
	bool refuse;
} Settings;

enum {
	PIECE = 1 << 20
};

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	const Settings *given = settings;

	*instance_out = (void *) (uintptr_t) settings;
	if (given->refuse)
		ph_error_set(error, PH_ERROR_INVALID, "it was told to refuse");
	return !given->refuse;
}

static void
destroy(void *instance)
{
}

static void
hang(void)
{
	for (;;)
		(void) poll(NULL, 0, -1);
}

static void
grow(void)
{
	for (;;)
		memset(g_malloc(PIECE), 1, PIECE);
}

static void
misbehave(const char *address)
{
	static const struct {
		const char *name;
		void (*how)(void);
	} faults[] = { { "crash", abort }, { "hang", hang }, { "grow", grow } };

	for (size_t i = 0; i < G_N_ELEMENTS(faults); i++)
		if (g_str_has_prefix(address, faults[i].name))
			faults[i].how();
}

static PhVerify
lookup(void *instance, const char *address, PhIdentity **identity_out, GError **error)
{
	PhSlice domain = ph_slice(address);
	PhSlice user = ph_slice_split(&domain, '@');
	g_autofree char *name = ph_slice_dup(user);
	g_autofree char *pid = g_strdup_printf("%d", (int) getpid());
	const char *const groups[] = { "staff", pid, NULL };
	const char *const attributes[] = { "pid", pid, NULL };
	const PhIdentityValues values = {
		.size = sizeof values,
		.user = name,
		.domain = "example.org",
		.full_name = "Somebody",
		.quota_octets = 1 << 30,
		.groups = groups,
		.attributes = attributes,
	};

	misbehave(address);
	if (g_str_has_prefix(address, "nobody") || g_str_has_prefix(address, "endless"))
		return PH_VERIFY_UNKNOWN_USER;
	if (g_str_has_prefix(address, "away")) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "the back end is away");
		return PH_VERIFY_ERROR;
	}
	*identity_out = ph_identity_new(&values, error);
	return *identity_out != NULL ? PH_VERIFY_OK : PH_VERIFY_UNKNOWN_USER;
}

static PhVerify
verify(void *instance,
       const char *user,
       const PhSecret *secret,
       PhIdentity **identity_out,
       GError **error)
{
	if (ph_slice_is(ph_secret_slice(secret), "correct horse"))
		return lookup(instance, user, identity_out, error);
	misbehave(user);
	return PH_VERIFY_WRONG;
}

static PhVerify
expand(void *instance, const char *address, PhListFunc func, void *user_data, GError **error)
{
	if (g_str_has_prefix(address, "team"))
		return func("anna@example.org", user_data) && func("ben@example.org", user_data)
		               ? PH_VERIFY_OK
		               : PH_VERIFY_ERROR;
	if (!g_str_has_prefix(address, "endless"))
		return PH_VERIFY_UNKNOWN_USER;
	while (func("anna@example.org", user_data))
		;
	hang();
	return PH_VERIFY_OK;
}

static bool
list(void *instance, PhListFunc func, void *user_data, GError **error)
{
	for (unsigned int i = 0; i < 5000; i++) {
		g_autofree char *address = g_strdup_printf("user%u@example.org", i);

		if (!func(address, user_data))
			break;
	}
	return true;
}

/* --- the mechanism --- */

typedef struct {
	char *user;
} Exchange;

static void *
begin(void *instance, PhExchange *exchange)
{
	return g_new0(Exchange, 1);
}

static void
end(void *instance, void *state)
{
	Exchange *kept = state;

	g_free(kept->user);
	g_free(kept);
}

/* Without an end: questions, or octets of one challenge. */
static void
never_end(PhExchange *exchange, const char *user)
{
	const size_t large = 64 * 1024 * 1024;
	bool asks = g_str_has_prefix(user, "endless");

	while (asks)
		(void) ph_exchange_gives(exchange, "PLAIN");
	if (g_str_has_prefix(user, "flood")) {
		g_autofree char *octets = g_strnfill(large, 'x');

		ph_exchange_challenge(exchange, PH_SLICE(octets, large));
	}
}

static PhStep
step(void *instance, void *state, PhExchange *exchange, const PhSlice *response, GError **error)
{
	Exchange *kept = state;
	g_autoptr(PhSecret) secret = NULL;

	if (kept->user == NULL) {
		kept->user = ph_slice_dup(*response);
		ph_exchange_challenge(exchange, ph_slice(ph_exchange_hostname(exchange)));
		return PH_STEP_CHALLENGE;
	}
	misbehave(kept->user);
	never_end(exchange, kept->user);
	if (g_str_has_prefix(kept->user, "flood"))
		return PH_STEP_CHALLENGE;
	if (g_str_has_prefix(kept->user, "verify"))
		return ph_exchange_verify(exchange, PH_SLICE_EMPTY, ph_slice("anna@example.org"),
		                          *response, error);
	secret = ph_exchange_secret(exchange, ph_slice(kept->user), "PLAIN", error);
	if (secret == NULL || !ph_exchange_gives(exchange, "PLAIN")
	    || !ph_secret_equal(ph_secret_slice(secret), *response))
		return PH_STEP_FAILED;
	return ph_exchange_accept(exchange, PH_SLICE_EMPTY, ph_slice(kept->user), error);
}

/* --- the filter --- */

typedef struct {
	uint32_t n; /* questions */
} Seat;

static void *
begin_seat(void *instance, PhMail *mail)
{
	return g_new0(Seat, 1);
}

static void
end_seat(void *instance, void *state)
{
	g_free(state);
}

static void
do_sender(PhMail *mail)
{
	ph_mail_set_sender(mail, PH_SLICE_LITERAL("other@example.net"));
}

static void
do_add(PhMail *mail)
{
	(void) ph_mail_add_recipient(mail, PH_SLICE_LITERAL("ben@example.org"));
}

static void
do_remove(PhMail *mail)
{
	ph_mail_remove_recipient(mail, 0);
}

static void
do_body(PhMail *mail)
{
	g_autoptr(PhContent) body = ph_content_new_copy(PH_SLICE_LITERAL("another body\r\n"));

	(void) ph_mail_replace_body(mail, body, NULL);
}

static void
do_fact(PhMail *mail)
{
	ph_mail_set_fact(mail, "mailbox", PH_SLICE_LITERAL("Sorted"));
}

static void
do_prepend(PhMail *mail)
{
	ph_mail_prepend(mail, PH_SLICE_LITERAL("X-Prepended: yes\r\n"));
}

static void
mark(PhMail *mail, const Seat *seat)
{
	PhContent *content = ph_mail_content(mail);
	const char *helo = ph_mail_fact(mail, "helo");
	g_autofree char *text = g_strdup_printf(
		"%u %s %s %zu %" G_GUINT64_FORMAT, seat->n, ph_mail_sender(mail),
		helo != NULL ? helo : "-", ph_mail_n_recipients(mail), ph_content_length(content));

	(void) ph_mail_header_add(mail, "X-Seen", ph_slice(text), NULL);
}

static void
obey(PhMail *mail, const char *subject)
{
	static const struct {
		const char *word;
		void (*act)(PhMail *mail);
	} acts[] = { { "sender", do_sender }, { "add", do_add },   { "remove", do_remove },
		     { "body", do_body },     { "fact", do_fact }, { "prepend", do_prepend } };

	for (size_t i = 0; i < G_N_ELEMENTS(acts); i++)
		if (strstr(subject, acts[i].word) != NULL)
			acts[i].act(mail);
}

static bool
ask(void *instance, void *state, PhFilterQuestion *question, GError **error)
{
	g_autoptr(GString) subject = g_string_new(NULL);
	PhHeaderField field;
	PhSlice header;
	Seat *seat = state;

	seat->n++;
	if (question->stage == PH_STAGE_RECIPIENT) {
		misbehave(ph_mail_recipient(question->mail, question->recipient));
		return true;
	}
	if (!ph_mail_header(question->mail, &header, error))
		return false;
	if (ph_header_find(header, "Subject", &field))
		ph_header_decode(field.value, subject);
	misbehave(subject->str);
	if (strstr(subject->str, "error") != NULL) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "told to fail");
		return false;
	}
	if (strstr(subject->str, "reject") != NULL) {
		question->verdict.result = PH_VERDICT_REJECT;
		g_strlcpy(question->verdict.text, "no such words", sizeof question->verdict.text);
	}
	mark(question->mail, seat);
	obey(question->mail, subject->str);
	if (strstr(subject->str, "park") != NULL)
		ph_wake_complete(ph_filter_park(question));
	return true;
}

static const PhOption options[] = {
	PH_OPTION_BOOLEAN(Settings, refuse, "no", "refuse to be created"),
	PH_OPTIONS_END,
};
static const PhDirectory directory = {
	.size = sizeof directory,
	.create = create,
	.destroy = destroy,
	.verify = verify,
	.lookup = lookup,
	.expand = expand,
	.list = list,
};
static const PhMechanism mechanism = {
	.size = sizeof mechanism,
	.flags = PH_MECHANISM_CLIENT_FIRST | PH_MECHANISM_NEEDS_SECRET,
	.sasl_name = "FAULTY",
	.create = create,
	.destroy = destroy,
	.begin = begin,
	.step = step,
	.end = end,
};
static const PhFilter filter = {
	.size = sizeof filter,
	.stages = 1U << PH_STAGE_RECIPIENT | 1U << PH_STAGE_MESSAGE,
	.create = create,
	.destroy = destroy,
	.begin = begin_seat,
	.end = end_seat,
	.ask = ask,
};
static const PhOffer offers[] = {
	PH_OFFER_DIRECTORY("faulty", &directory),
	PH_OFFER_FILTER("faulty", &filter),
	PH_OFFER_MECHANISM("faulty", &mechanism),
	PH_OFFERS_END,
};

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "faulty",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "plugins that crash, hang, grow and never end",
	.options = options,
	.offers = offers,
};
