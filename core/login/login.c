/* login.c: one exchange, from the protocol's request to an identity
 *
 * The answer to a failure is held back so that it comes a fixed time after the attempt began,
 * whatever the directories needed: unknown users and wrong passwords take the same time. The
 * session is parked meanwhile. Each failure is logged once, here. RFC 4422 section 3.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "login/login.h"

#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "login/exchange.h"
#include "login/prepare.h"
#include "login/service.h"

enum {
	MAX_STEPS = 16,
};

struct PhLogin {
	PhSession *session; /* borrowed: a login never outlives its session */
	const PhLoginParams *params;
	PhSection *section; /* the mechanism's; NULL for a plain password */
	void *state;
	PhExchange exchange;
	uint64_t started_us;
	uint32_t outcome; /* PhLoginOutcome, as told after a delay */
	uint32_t steps;
	PhTicket ticket; /* of a mechanism that blocks */
	PhSecret *held;  /* (nullable) the response that waits for room in it */
	bool holds;      /* ... and whether one waits at all */
	bool asks;       /* a directory is at its limit: the session is parked until it has room */
};

static PhLoginService *
service_of(PhSession *session)
{
	const PhServices *services = ph_session_services(session);

	return services != NULL ? services->login : NULL;
}

const char *const *
ph_login_mechanisms(PhSession *session)
{
	static const char *const none[] = { NULL };
	PhLoginService *service = service_of(session);
	if (service == NULL)
		return none;

	PhLoginConnection connection = ph_login_connection(service, session);
	return ph_offered_names(service, &connection);
}

bool
ph_login_plaintext_allowed(PhSession *session)
{
	const PhLoginService *service = service_of(session);

	return service != NULL && ph_takes_passwords(service) && ph_plaintext_ok(service, session);
}

/* --- how an exchange ends ---------------------------------------------------------------------- */

static const char *
mechanism_name(const PhLogin *login)
{
	if (login->section == NULL)
		return "password";
	return ((const PhMechanism *) ph_section_table(login->section))->sasl_name;
}

static void
log_login(const PhLogin *login, uint32_t level, const char *event, const GError *error)
{
	if (!ph_log_wants(level))
		return;

	const char *acts_as = level == PH_LOG_INFO && login->exchange.stage == PH_EXCHANGE_OTHER
	                              ? ph_identity_address(login->exchange.identity)
	                              : NULL;
	/* The address in brackets comes last: log watchers look for it there. */
	g_autofree char *sentence = g_strdup_printf(
		"%s [%s]", level == PH_LOG_INFO ? "logged in" : "authentication failed",
		ph_session_peer(login->session));
	ph_log_session(login->session, level, event, sentence,
	               PH_LOG_TEXT("user", login->exchange.user),
	               PH_LOG_TEXT("mechanism", mechanism_name(login)),
	               error != NULL     ? PH_LOG_FAILURE(error)
	               : acts_as != NULL ? PH_LOG_TEXT("acts-as", acts_as)
	                                 : PH_LOG_END,
	               PH_LOG_END);
}

static PhLoginOutcome
succeed(PhLogin *login)
{
	if (login->params->backoff != NULL)
		ph_backoff_succeeded(login->params->backoff, login->exchange.user);
	log_login(login, PH_LOG_INFO, "login", NULL);
	return PH_LOGIN_DONE;
}

/* Holds the answer back until the delay, counted from the start of the attempt, is over. */
static PhLoginOutcome
fail(PhLogin *login)
{
	login->outcome = login->exchange.disabled ? PH_LOGIN_DISABLED : PH_LOGIN_FAILED;
	log_login(login, PH_LOG_WARNING,
	          login->exchange.disabled ? "login-disabled" : "login-failed", NULL);
	(void) ph_session_count_login_failure(login->session);
	if (login->params->backoff == NULL)
		return login->outcome;

	uint64_t now_us = ph_clock_us();
	PhDuration delay =
		ph_backoff_failed(login->params->backoff, ph_session_peer(login->session),
	                          login->exchange.user, now_us);
	uint64_t spent_us = now_us - login->started_us;
	if (delay.us <= spent_us)
		return login->outcome;
	ph_session_delay(login->session, (PhDuration){ delay.us - spent_us });
	return PH_LOGIN_WAIT;
}

static PhLoginOutcome
unavailable(PhLogin *login, const GError *error)
{
	log_login(login, PH_LOG_ERROR, "login-unavailable", error);
	return PH_LOGIN_UNAVAILABLE;
}

static PhLoginOutcome judge(PhLogin *login, PhStep step, const GError *error);

/* Asks the directories; where one is at its limit, or answers later, the session waits without a
 * thread. */
static PhLoginOutcome
ask(PhLogin *login)
{
	PhChainWalk *walk = &login->exchange.walk;
	g_autoptr(GError) error = NULL;
	PhStep step = ph_exchange_ask(&login->exchange, &error);

	login->asks = step == PH_STEP_ASKED;
	if (!login->asks)
		return judge(login, step, error);
	ph_chain_walk_wake(walk, ph_session_park_for(login->session, ph_chain_walk_patience(walk)));
	return PH_LOGIN_WAIT;
}

static PhLoginOutcome
judge(PhLogin *login, PhStep step, const GError *error)
{
	switch (step) {
	case PH_STEP_CHALLENGE:
		return ++login->steps > MAX_STEPS ? PH_LOGIN_MALFORMED : PH_LOGIN_CHALLENGE;
	case PH_STEP_DONE:
		return login->exchange.identity != NULL ? succeed(login) : fail(login);
	case PH_STEP_FAILED:
		return fail(login);
	case PH_STEP_MALFORMED:
		return PH_LOGIN_MALFORMED;
	case PH_STEP_ASKED:
		return ask(login);
	case PH_STEP_ERROR:
		break;
	}
	return unavailable(login, error);
}

/* --- beginning and going on ---------------------------------------------------------------------- */

PhLogin *
ph_login_new(PhSession *session)
{
	const PhLoginService *service = service_of(session);
	PhLogin *login = g_new0(PhLogin, 1);

	login->session = session;
	login->started_us = ph_clock_us();
	login->exchange.session = session;
	if (service != NULL) {
		login->params = ph_login_service_params(service);
		login->exchange.directories = login->params->directories;
		login->exchange.masters = login->params->masters;
		login->exchange.master_separator = login->params->master_separator;
		login->exchange.proxy_groups = login->params->proxy_groups;
		login->exchange.key = login->params->key;
	}
	return login;
}

static bool
failed_too_often(PhSession *session, const PhLoginService *service)
{
	uint32_t limit = ph_login_service_params(service)->max_failures;

	return limit > 0 && ph_session_login_failures(session) >= limit;
}

/* May this exchange begin at all? PH_LOGIN_DONE: yes. */
static PhLoginOutcome
admit(PhLogin *login, const PhLoginService *service, PhSlice mechanism, bool is_command)
{
	if (service == NULL)
		return PH_LOGIN_NOT_OFFERED;
	if (failed_too_often(login->session, service))
		return PH_LOGIN_TOO_MANY;

	PhOfferedMechanism found = { NULL };
	PhLoginConnection connection = ph_login_connection(service, login->session);
	PhOffered offered = ph_offered_find(service, mechanism, &connection, is_command, &found);
	login->section = found.section;
	login->exchange.is_plus = found.is_plus;
	login->exchange.offers_plus = found.offers_plus;
	if (offered == PH_OFFERED_NEEDS_TLS)
		return PH_LOGIN_NEEDS_TLS;
	return offered == PH_OFFERED_YES ? PH_LOGIN_DONE : PH_LOGIN_NOT_OFFERED;
}

/* The mechanism is at its limit: the response is kept, and the session waits without a thread. */
static PhLoginOutcome
hold_step(PhLogin *login, const PhSlice *response)
{
	PhTicket *ticket = &login->ticket;

	if (!login->holds && response != NULL)
		login->held = ph_secret_new(*response);
	login->holds = true;
	ph_ticket_wake(ticket, ph_session_park_for(login->session, ph_ticket_patience(ticket)));
	return PH_LOGIN_WAIT;
}

/* Within the limits of the mechanism's section. */
static PhLoginOutcome
run_blocking_step(PhLogin *login, const PhSlice *response)
{
	const PhMechanism *table = ph_section_table(login->section);
	g_autoptr(GError) error = NULL;
	PhStep step = PH_STEP_ERROR;
	PhCall call;

	switch (ph_call_enter(&call, &login->ticket, login->section, &error)) {
	case PH_ENTRY_QUEUED:
		return hold_step(login, response);
	case PH_ENTRY_GO:
		step = table->step(ph_section_instance(login->section), login->state,
		                   &login->exchange, response, &error);
		ph_call_end(&call, step != PH_STEP_ERROR);
		break;
	case PH_ENTRY_REFUSED:
		break;
	}
	login->holds = false;
	if (step == PH_STEP_ERROR)
		g_prefix_error(&error, "mechanism '%s': ", ph_section_name(login->section));
	return judge(login, step, error);
}

static PhLoginOutcome
run_step(PhLogin *login, const PhSlice *response)
{
	const PhMechanism *table = ph_section_table(login->section);
	g_autoptr(GError) error = NULL;

	if ((table->flags & PH_MECHANISM_BLOCKS) != 0)
		return run_blocking_step(login, response);

	PhStep step = table->step(ph_section_instance(login->section), login->state,
	                          &login->exchange, response, &error);
	return judge(login, step, error);
}

/* The mechanism may have room now. */
static PhLoginOutcome
run_held_step(PhLogin *login)
{
	PhSecret *held = g_steal_pointer(&login->held);
	PhSlice response = held != NULL ? ph_secret_slice(held) : PH_SLICE_EMPTY;

	login->holds = false;
	PhLoginOutcome outcome = run_step(login, held != NULL ? &response : NULL);
	ph_secret_free(held);
	return outcome;
}

static PhLoginOutcome
begin(PhLogin *login, const PhSlice *initial)
{
	const PhMechanism *table = ph_section_table(login->section);

	if (table->begin != NULL)
		login->state = table->begin(ph_section_instance(login->section), &login->exchange);
	if (initial == NULL && (table->flags & PH_MECHANISM_CLIENT_FIRST) != 0) {
		ph_exchange_challenge(&login->exchange, PH_SLICE_EMPTY);
		return PH_LOGIN_CHALLENGE;
	}
	return run_step(login, initial);
}

PhLogin *
ph_login_start(PhSession *session,
               PhSlice mechanism,
               const PhSlice *initial,
               PhLoginOutcome *outcome_out)
{
	const PhLoginService *service = service_of(session);
	PhLogin *login = ph_login_new(session);
	PhLoginOutcome outcome = admit(login, service, mechanism, false);

	*outcome_out = outcome == PH_LOGIN_DONE ? begin(login, initial) : outcome;
	return login;
}

PhLogin *
ph_login_start_command(PhSession *session, const char *command, PhLoginOutcome *outcome_out)
{
	const PhLoginService *service = service_of(session);
	PhLogin *login = ph_login_new(session);
	PhLoginOutcome outcome = admit(login, service, ph_slice(command), true);

	*outcome_out = outcome == PH_LOGIN_DONE ? begin(login, NULL) : outcome;
	return login;
}

static PhLoginOutcome
verify_password(PhLogin *login, const PhLoginService *service, PhSlice user, PhSlice password)
{
	if (service == NULL)
		return PH_LOGIN_NOT_OFFERED;
	if (failed_too_often(login->session, service))
		return PH_LOGIN_TOO_MANY;
	if (!ph_takes_passwords(service))
		return PH_LOGIN_NOT_OFFERED;
	if (!ph_plaintext_ok(service, login->session))
		return PH_LOGIN_NEEDS_TLS;

	g_autoptr(GError) error = NULL;
	PhStep step = ph_exchange_verify(&login->exchange, PH_SLICE_EMPTY, user, password, &error);
	return judge(login, step, error);
}

PhLogin *
ph_login_password(PhSession *session, PhSlice user, PhSlice password, PhLoginOutcome *outcome_out)
{
	const PhLoginService *service = service_of(session);
	PhLogin *login = ph_login_new(session);

	*outcome_out = verify_password(login, service, user, password);
	return login;
}

PhLoginOutcome
ph_login_answer(PhLogin *login, PhSlice response)
{
	g_return_val_if_fail(login->section != NULL, PH_LOGIN_MALFORMED);
	login->started_us = ph_clock_us();
	return run_step(login, &response);
}

PhSlice
ph_login_challenge(const PhLogin *login)
{
	const GByteArray *challenge = login->exchange.challenge;
	if (challenge == NULL)
		return PH_SLICE_EMPTY;

	return PH_SLICE((const char *) challenge->data, challenge->len);
}

PhLoginOutcome
ph_login_outcome(PhLogin *login)
{
	if (login->holds)
		return run_held_step(login);
	return login->asks ? ask(login) : (PhLoginOutcome) login->outcome;
}

const PhIdentity *
ph_login_identity(const PhLogin *login)
{
	return login->exchange.identity;
}

void
ph_login_free(PhLogin *login)
{
	if (login == NULL)
		return;
	if (login->section != NULL) {
		const PhMechanism *table = ph_section_table(login->section);
		if (table->end != NULL)
			table->end(ph_section_instance(login->section), login->state);
	}
	ph_ticket_clear(&login->ticket);
	ph_secret_free(login->held);
	ph_exchange_clear(&login->exchange);
	g_free(login);
}

/* --- who exists --------------------------------------------------------------------------------- */

static PhLookup
judge_lookup(PhSession *session, PhVerify result, const GError *error)
{
	if (result == PH_VERIFY_OK)
		return PH_LOOKUP_FOUND;
	if (result != PH_VERIFY_ERROR)
		return PH_LOOKUP_UNKNOWN;
	ph_log_session(session, PH_LOG_ERROR, "lookup-unavailable", "a directory did not answer",
	               PH_LOG_FAILURE(error), PH_LOG_END);
	return PH_LOOKUP_UNAVAILABLE;
}

static PhChain
chain_of(PhSession *session)
{
	const PhLoginService *service = service_of(session);

	return service != NULL ? ph_login_service_params(service)->directories : NULL;
}

PhLookup
ph_login_lookup(PhSession *session, PhSlice address, PhIdentity **identity_out)
{
	g_autofree char *name = ph_prepare_name(address);
	if (name == NULL)
		return PH_LOOKUP_UNKNOWN;

	g_autoptr(GError) error = NULL;
	PhVerify result = ph_chain_lookup(chain_of(session), name, identity_out, &error);
	return judge_lookup(session, result, error);
}

PhLookup
ph_login_expand(PhSession *session, PhSlice address, PhListFunc func, void *user_data)
{
	g_autofree char *name = ph_prepare_name(address);
	if (name == NULL)
		return PH_LOOKUP_UNKNOWN;

	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) members = NULL;
	PhVerify result = ph_chain_expand(chain_of(session), name, &members, &error);

	for (guint i = 0; members != NULL && i < members->len; i++)
		if (!func(members->pdata[i], user_data))
			break;
	return judge_lookup(session, result, error);
}
