/* mail.c: a message under way: who sent it, who gets it, what became of it
 *
 * Envelope and results; the ways to the accounts are delivery.c's. Ids are 128 random bits, and
 * transaction ids are made from them, so that nothing else has to be drawn for a message.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/mail.h"

#include <posthorn/error.h>
#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "mailbox/account.h"

#include <string.h>

enum {
	LINEAR_MAX = 16, /* targets that are compared one by one */
	POOL_OCTETS = 512,
};

static void
clear_target(void *data)
{
	PhTarget *target = data;

	g_clear_pointer(&target->identity, ph_identity_unref);
	g_clear_pointer(&target->address, g_free);
	g_clear_pointer(&target->remote_mta, g_free);
	g_clear_pointer(&target->reply, g_free);
	g_clear_pointer(&target->hold, g_free);
	g_clear_error(&target->error);
	ph_detour_clear(&target->detour);
}

static void
clear_recipient(void *data)
{
	PhRecipient *recipient = data;

	g_clear_pointer(&recipient->address, g_free);
	g_clear_pointer(&recipient->targets, g_free);
	g_clear_pointer(&recipient->parameters, g_array_unref);
}

static void
clear_parameter(void *data)
{
	PhMailParameter *parameter = data;

	g_clear_pointer(&parameter->name, g_free);
	g_clear_pointer(&parameter->value, g_free);
}

/* Random octets are drawn for many ids at once: one system call for each would be felt. What was
 * given out is wiped. */
static void
draw_random(uint8_t *octets_out, size_t n)
{
	static _Thread_local uint8_t pool[POOL_OCTETS];
	static _Thread_local size_t n_left;

	if (n_left < n) {
		ph_secret_random(pool, sizeof pool);
		n_left = sizeof pool;
	}
	n_left -= n;
	memcpy(octets_out, pool + n_left, n);
	ph_secret_wipe(pool + n_left, n);
}

/* base64url without padding: 16 octets are 22 characters. */
static void
make_id(PhMail *mail)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const unsigned n_digits = 22;
	uint32_t bits = 0;
	unsigned n_bits = 0;
	size_t at = 0;

	draw_random(mail->random, sizeof mail->random);
	for (unsigned i = 0; i < n_digits; i++) {
		if (n_bits < 6) {
			uint32_t next = at < sizeof mail->random ? mail->random[at++] : 0;

			bits = (bits << 8) | next;
			n_bits += 8;
		}
		n_bits -= 6;
		mail->id[i] = digits[(bits >> n_bits) & 63];
	}
	mail->id[n_digits] = '\0';
}

PhMail *
ph_mail_new_routed(PhRouter *router)
{
	PhMail *mail = g_new0(PhMail, 1);

	mail->refs = 1;
	mail->arrived = ph_clock_wall_us();
	make_id(mail);
	mail->router = router != NULL ? ph_router_ref(router) : NULL;
	mail->recipients = g_array_sized_new(FALSE, TRUE, sizeof(PhRecipient), 1);
	mail->targets = g_array_sized_new(FALSE, TRUE, sizeof(PhTarget), 1);
	g_array_set_clear_func(mail->recipients, clear_recipient);
	g_array_set_clear_func(mail->targets, clear_target);
	return mail;
}

PhMail *
ph_mail_new(PhSession *session)
{
	const PhServices *services = session != NULL ? ph_session_services(session) : NULL;

	PhMail *mail = ph_mail_new_routed(services != NULL ? services->router : NULL);

	mail->is_guest = session != NULL;
	return mail;
}

GArray *
ph_mail_copy_parameters(const GArray *from)
{
	GArray *to = NULL;

	if (from == NULL)
		return NULL;
	to = g_array_new(FALSE, FALSE, sizeof(PhMailParameter));
	g_array_set_clear_func(to, clear_parameter);
	for (guint i = 0; i < from->len; i++) {
		const PhMailParameter *row = &g_array_index(from, PhMailParameter, i);
		PhMailParameter copy = { g_strdup(row->name), g_strdup(row->value) };

		g_array_append_val(to, copy);
	}
	return to;
}

PhMail *
ph_mail_new_part(const PhMail *mail)
{
	PhMail *part = ph_mail_new_routed(mail->router);

	part->is_part = true;
	part->arrived = mail->arrived;
	part->user = mail->user != NULL ? ph_identity_ref(mail->user) : NULL;
	part->parameters = ph_mail_copy_parameters(mail->parameters);
	part->content = ph_content_ref(mail->content);
	part->hold = g_strdup(mail->hold);
	if (mail->prepended != NULL)
		ph_mail_prepend(part, PH_SLICE(mail->prepended->str, mail->prepended->len));
	return part;
}

PhMail *
ph_mail_ref(PhMail *mail)
{
	g_atomic_int_inc(&mail->refs);
	return mail;
}

void
ph_mail_unref(PhMail *mail)
{
	if (mail == NULL || !g_atomic_int_dec_and_test(&mail->refs))
		return;
	g_array_unref(mail->recipients);
	g_array_unref(mail->targets);
	g_clear_pointer(&mail->parameters, g_array_unref);
	g_clear_pointer(&mail->known, g_hash_table_unref);
	g_clear_pointer(&mail->user, ph_identity_unref);
	ph_mail_forget_edits(mail);
	g_clear_pointer(&mail->content, ph_content_unref);
	if (mail->prepended != NULL)
		g_string_free(mail->prepended, TRUE);
	ph_asks_free(mail->asks);
	ph_router_unref(mail->router);
	g_free(mail->sender);
	g_free(mail->hold);
	g_free(mail->aside);
	if (mail->keeper != NULL)
		mail->keeper_free(mail->keeper);
	g_free(mail);
}

void
ph_mail_keep(PhMail *mail, void *keeper, GDestroyNotify keeper_free)
{
	mail->keeper = keeper;
	mail->keeper_free = keeper_free;
}

const char *
ph_mail_id(const PhMail *mail)
{
	return mail->id;
}

/* --- the envelope ----------------------------------------------------------------------------- */

void
ph_mail_set_sender(PhMail *mail, PhSlice address)
{
	g_free(mail->sender);
	mail->sender = ph_slice_dup(address);
}

const char *
ph_mail_sender(const PhMail *mail)
{
	return mail->sender != NULL ? mail->sender : "";
}

void
ph_mail_set_user(PhMail *mail, const PhIdentity *user)
{
	g_clear_pointer(&mail->user, ph_identity_unref);
	mail->user = ph_identity_ref((PhIdentity *) (uintptr_t) user);
}

const PhIdentity *
ph_mail_user(const PhMail *mail)
{
	return mail->user;
}

static PhMailParameter *
find_parameter(const GArray *parameters, const char *name)
{
	for (guint i = 0; parameters != NULL && i < parameters->len; i++) {
		PhMailParameter *row = &g_array_index(parameters, PhMailParameter, i);

		if (strcmp(row->name, name) == 0)
			return row;
	}
	return NULL;
}

static void
set_parameter(GArray **parameters, const char *name, PhSlice value)
{
	PhMailParameter *row = find_parameter(*parameters, name);
	PhMailParameter added;

	if (row != NULL) {
		g_free(row->value);
		row->value = ph_slice_dup(value);
		return;
	}
	if (*parameters == NULL) {
		*parameters = g_array_new(FALSE, FALSE, sizeof(PhMailParameter));
		g_array_set_clear_func(*parameters, clear_parameter);
	}
	added = (PhMailParameter){ g_strdup(name), ph_slice_dup(value) };
	g_array_append_val(*parameters, added);
}

void
ph_mail_set_parameter(PhMail *mail, const char *name, PhSlice value)
{
	set_parameter(&mail->parameters, name, value);
}

const char *
ph_mail_parameter(const PhMail *mail, const char *name)
{
	const PhMailParameter *row = find_parameter(mail->parameters, name);

	return row != NULL ? row->value : NULL;
}

/* --- recipients ------------------------------------------------------------------------------- */

char *
ph_target_name(const PhRoute *route,
               const PhIdentity *identity,
               const char *address,
               const char *detail)
{
	return g_strdup_printf("%s %s%s%s", route->domains[0] != NULL ? route->domains[0] : "",
	                       identity != NULL ? ph_identity_address(identity) : address,
	                       detail != NULL ? " " : "", detail != NULL ? detail : "");
}

static bool
is_same(const PhTarget *target, const PhResolved *resolved)
{
	if (target->route != resolved->route
	    || (target->identity == NULL) != (resolved->identity == NULL))
		return false;
	if (target->identity == NULL)
		return strcmp(target->address, resolved->address) == 0;
	return strcmp(ph_identity_address(target->identity),
	              ph_identity_address(resolved->identity))
	               == 0
	       && g_strcmp0(target->detour.detail, resolved->detour.detail) == 0;
}

static void
note_known(PhMail *mail, guint index)
{
	const PhTarget *target = ph_mail_target(mail, index);

	g_hash_table_insert(mail->known,
	                    ph_target_name(target->route, target->identity, target->address,
	                                   target->detour.detail),
	                    GUINT_TO_POINTER(index + 1));
}

/* Index + 1 of the target that is the same, 0 when there is none. */
static guint
find_target(PhMail *mail, const PhResolved *resolved)
{
	g_autofree char *name = NULL;

	if (mail->targets->len < LINEAR_MAX) {
		for (guint i = 0; i < mail->targets->len; i++)
			if (is_same(ph_mail_target(mail, i), resolved))
				return i + 1;
		return 0;
	}
	if (mail->known == NULL) {
		mail->known = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, NULL);
		for (guint i = 0; i < mail->targets->len; i++)
			note_known(mail, i);
	}
	name = ph_target_name(resolved->route, resolved->identity, resolved->address,
	                      resolved->detour.detail);
	return GPOINTER_TO_UINT(g_hash_table_lookup(mail->known, name));
}

/* Moves the resolved one into a target, unless there is one already. Returns its index. */
static guint
add_target(PhMail *mail, PhResolved *resolved)
{
	guint found = find_target(mail, resolved);
	guint index = mail->targets->len;
	PhTarget target = { 0 };

	if (found > 0)
		return found - 1;
	target.route = resolved->route;
	target.identity = g_steal_pointer(&resolved->identity);
	target.address = g_steal_pointer(&resolved->address);
	target.detour = resolved->detour;
	resolved->detour = (PhDetour){ NULL };
	target.recipient = mail->recipients->len;
	memcpy(target.transaction, mail->random, sizeof target.transaction);
	for (unsigned i = 0; i < 4; i++)
		target.transaction[12 + i] ^= (uint8_t) (mail->n_made >> (8 * i));
	mail->n_made++;
	g_array_append_val(mail->targets, target);
	if (mail->known != NULL)
		note_known(mail, index);
	return index;
}

static void
add_recipient(PhMail *mail, PhSlice address, GArray *found)
{
	PhRecipient recipient = { .address = ph_slice_dup(address),
		                  .targets = g_new(uint32_t, found->len),
		                  .n_targets = found->len,
		                  .flags = mail->is_asked ? PH_RECIPIENT_ADDED : 0 };

	for (guint i = 0; i < found->len; i++)
		recipient.targets[i] = add_target(mail, &g_array_index(found, PhResolved, i));
	g_array_append_val(mail->recipients, recipient);
}

/* Is it one user whose account can take nothing more? An account that cannot be asked is none: the
 * delivery will say why. */
static bool
is_full(const GArray *found)
{
	const PhResolved *resolved = &g_array_index(found, PhResolved, 0);
	PhSection *store = found->len == 1 ? resolved->route->params.store : NULL;
	g_autoptr(PhAccount) account = NULL;
	PhLimits limits;
	PhQuota quota;

	if (store == NULL || resolved->identity == NULL)
		return false;
	limits = ph_account_limits(store, resolved->identity);
	if (limits.octets == 0 && limits.messages == 0)
		return false;
	account = ph_account_open(store, resolved->identity, NULL);
	return account != NULL && ph_account_quota(account, &quota, NULL)
	       && ph_quota_is_full(&quota);
}

static bool
may_add(const PhMail *mail, PhSlice address)
{
	return mail->router != NULL
	       && (!mail->is_guest || mail->is_asked || ph_router_is_open(mail->router, address));
}

/* Adds whom the address has led to. */
static PhRcpt
add_found(PhMail *mail, PhSlice address, GArray *found)
{
	if (mail->targets->len + found->len > 10 * (guint) PH_ROUTE_MEMBERS_MAX)
		return PH_RCPT_TOO_MANY;
	if (is_full(found))
		return PH_RCPT_OVER_QUOTA;
	add_recipient(mail, address, found);
	return PH_RCPT_OK;
}

PhRcpt
ph_mail_add_recipient(PhMail *mail, PhSlice address)
{
	g_autoptr(GArray) found = NULL;
	PhRcpt result = PH_RCPT_NO_ROUTE;

	if (mail->add_elsewhere != NULL)
		return mail->add_elsewhere(mail, address);
	if (!may_add(mail, address))
		return PH_RCPT_NO_ROUTE;
	found = ph_resolved_array_new();
	result = ph_router_resolve(mail->router, address, found);
	return result == PH_RCPT_OK ? add_found(mail, address, found) : result;
}

PhRcpt
ph_mail_try_recipient(PhMail *mail, PhSession *session, PhSlice address)
{
	g_autoptr(GArray) found = NULL;
	PhRcpt result = PH_RCPT_NO_ROUTE;

	if (mail->add_elsewhere != NULL)
		return mail->add_elsewhere(mail, address);
	if (!may_add(mail, address))
		return PH_RCPT_NO_ROUTE;
	if (mail->asks == NULL)
		mail->asks = ph_asks_new();
	found = ph_resolved_array_new();
	result = ph_router_resolve_later(mail->router, address, found, mail->asks);
	if (result == PH_RCPT_LATER) {
		ph_asks_wake(mail->asks,
		             ph_session_park_for(session, ph_asks_patience(mail->asks)));
		return result;
	}
	ph_asks_clear(mail->asks);
	return result == PH_RCPT_OK ? add_found(mail, address, found) : result;
}

void
ph_mail_allow_relay(PhMail *mail)
{
	mail->is_guest = false;
}

size_t
ph_mail_n_recipients(const PhMail *mail)
{
	return mail->recipients->len;
}

const char *
ph_mail_recipient(const PhMail *mail, size_t index)
{
	g_return_val_if_fail(index < mail->recipients->len, "");
	return g_array_index(mail->recipients, PhRecipient, index).address;
}

void
ph_mail_set_recipient_parameter(PhMail *mail, size_t index, const char *name, PhSlice value)
{
	g_return_if_fail(index < mail->recipients->len);
	set_parameter(&g_array_index(mail->recipients, PhRecipient, index).parameters, name, value);
}

const char *
ph_mail_recipient_parameter(const PhMail *mail, size_t index, const char *name)
{
	const PhMailParameter *row = NULL;

	g_return_val_if_fail(index < mail->recipients->len, NULL);
	row = find_parameter(g_array_index(mail->recipients, PhRecipient, index).parameters, name);
	return row != NULL ? row->value : NULL;
}

PhRcpt
ph_route_verify(PhSession *session, PhSlice address, PhIdentity **identity_out)
{
	const PhServices *services = ph_session_services(session);
	GArray *found = NULL;
	PhRcpt result;

	if (services == NULL || services->router == NULL)
		return PH_RCPT_NO_ROUTE;
	found = ph_resolved_array_new();
	result = ph_router_resolve(services->router, address, found);
	if (result == PH_RCPT_OK && found->len == 1)
		*identity_out = g_steal_pointer(&g_array_index(found, PhResolved, 0).identity);
	g_array_unref(found);
	return result;
}

PhRcpt
ph_route_leads_to(PhSession *session, PhSlice address, const PhIdentity *user)
{
	const PhServices *services = ph_session_services(session);
	const char *wanted = ph_identity_address(user);
	g_autoptr(GArray) found = NULL;
	PhRcpt result;

	if (services == NULL || services->router == NULL)
		return PH_RCPT_UNKNOWN;
	found = ph_resolved_array_new();
	result = ph_router_resolve(services->router, address, found);
	if (result == PH_RCPT_TEMPORARY)
		return result;
	for (guint i = 0; i < found->len; i++) {
		const PhResolved *resolved = &g_array_index(found, PhResolved, i);

		if (resolved->identity != NULL
		    && strcmp(ph_identity_address(resolved->identity), wanted) == 0)
			return PH_RCPT_OK;
	}
	return PH_RCPT_UNKNOWN;
}

PhRcpt
ph_route_expand(PhSession *session, PhSlice address, PhRouteMemberFunc func, void *user_data)
{
	const PhServices *services = ph_session_services(session);

	if (services == NULL || services->router == NULL)
		return PH_RCPT_NO_ROUTE;
	return ph_router_members(services->router, address, func, user_data);
}

/* --- octets ----------------------------------------------------------------------------------- */

void
ph_mail_set_content(PhMail *mail, PhContent *content)
{
	bool was_early = ph_mail_end_early(mail, content);

	ph_content_ref(content);
	if (!was_early)
		ph_mail_forget_edits(mail);
	g_clear_pointer(&mail->content, ph_content_unref);
	mail->content = content;
	if (was_early)
		ph_mail_apply_edits(mail);
}

PhContent *
ph_mail_content(const PhMail *mail)
{
	return mail->content;
}

void
ph_mail_prepend(PhMail *mail, PhSlice fields)
{
	if (mail->prepended == NULL)
		mail->prepended = g_string_sized_new(fields.length + 1);
	g_string_prepend_len(mail->prepended, fields.data, (gssize) fields.length);
}

PhSlice
ph_mail_prepended(const PhMail *mail)
{
	if (mail->prepended == NULL)
		return PH_SLICE_EMPTY;
	return PH_SLICE(mail->prepended->str, mail->prepended->len);
}

/* --- results ---------------------------------------------------------------------------------- */

/* Temporary before permanent: then a later attempt may still reach everybody. */
static const GError *
worse(const GError *a, const GError *b)
{
	if (a == NULL || b == NULL)
		return a == NULL ? b : a;
	return !ph_error_is_temporary(a) && ph_error_is_temporary(b) ? b : a;
}

const GError *
ph_mail_recipient_error(const PhMail *mail, size_t index)
{
	const PhRecipient *recipient = NULL;
	const GError *error = NULL;

	g_return_val_if_fail(index < mail->recipients->len, NULL);
	recipient = &g_array_index(mail->recipients, PhRecipient, index);
	for (uint32_t i = 0; i < recipient->n_targets; i++)
		error = worse(error, ph_mail_target(mail, recipient->targets[i])->error);
	return error;
}

void
ph_mail_outcome(const PhMail *mail, PhMailOutcome *outcome_out)
{
	PhMailOutcome outcome = { 0 };

	for (guint i = 0; i < mail->recipients->len; i++) {
		const GError *error = ph_mail_recipient_error(mail, i);

		if (error == NULL)
			outcome.n_delivered++;
		else if (ph_error_is_temporary(error))
			outcome.n_temporary++;
		else
			outcome.n_failed++;
		outcome.error = worse(outcome.error, error);
	}
	*outcome_out = outcome;
}
