/* store.c: the store transport plugin: final delivery into the users' inboxes
 *
 * For each recipient one transaction in that user's account: the accounts' lanes gather them into
 * batches, so nothing here waits for a commit. The octets are the same for all recipients of a
 * mail: Return-Path (RFC 5321 section 4.4, added here because this is where the mail ends), the
 * trace fields, and what was received. A filter may want it in another mailbox than the inbox.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/address.h>
#include <posthorn/error.h>
#include <posthorn/filter.h>
#include <posthorn/mailbox.h>
#include <posthorn/message.h>
#include <posthorn/slice.h>
#include <posthorn/transport.h>

#include <string.h>

enum {
	WHOLE_MAX = 128 << 10 /* octets that are worth copying into one piece */
};

/* Job: one recipient, from the upload to the result. */
typedef struct {
	PhDelivery *delivery;
	size_t index;
	PhAccount *account;
	PhTransaction *transaction;
	const PhStructure *structure; /* (nullable) until it is begun */
	bool makes_mailbox;
} Job;

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	*instance_out = section;
	return true;
}

static void
destroy(void *instance)
{
}

/* The sender is canonical, without quotes: on paper the local part may need them again. The domain
 * begins behind the last '@', unless that stands inside an address literal. */
static void
append_path(const char *sender, GString *out)
{
	PhAddress address = { .kind = PH_ADDRESS_NULL };
	const char *literal = g_strrstr(sender, "@[");
	const char *at =
		g_str_has_suffix(sender, "]") && literal != NULL ? literal : strrchr(sender, '@');

	if (at != NULL && (size_t) (at - sender) < sizeof address.local) {
		address.kind = PH_ADDRESS_MAILBOX;
		address.domain_kind = PH_DOMAIN_NAME;
		address.local_length = (uint16_t) (at - sender);
		memcpy(address.local, sender, address.local_length);
		address.domain_length =
			(uint16_t) g_strlcpy(address.domain, at + 1, sizeof address.domain);
	}
	ph_address_append_path(&address, out);
}

static GString *
make_head(const PhMail *mail)
{
	PhSlice trace = ph_mail_prepended(mail);
	const char *sender = ph_mail_sender(mail);
	GString *head = g_string_sized_new(trace.length + strlen(sender) + 32);

	g_string_append(head, "Return-Path: ");
	append_path(sender, head);
	g_string_append(head, "\r\n");
	g_string_append_len(head, trace.data, (gssize) trace.length);
	return head;
}

/* Small messages lie in memory: one piece spares the store a walk over parts. */
static PhContent *
make_content(const PhMail *mail)
{
	GString *head = make_head(mail);
	PhContent *parts[2] = { NULL, ph_mail_content(mail) };
	PhContent *whole = NULL;
	PhSlice octets;

	if (ph_content_length(parts[1]) <= WHOLE_MAX && ph_content_peek(parts[1], &octets)) {
		size_t length = head->len + octets.length;

		g_string_append_len(head, octets.data, (gssize) octets.length);
		return ph_content_new_take(g_string_free(head, FALSE), length);
	}
	parts[0] = ph_content_new_take(head->str, head->len);
	g_string_free(head, FALSE);
	whole = ph_content_new_joined(parts, G_N_ELEMENTS(parts));
	ph_content_unref(parts[0]);
	return whole;
}

static void
finish(Job *job, const GError *error)
{
	ph_delivery_complete(job->delivery, job->index, error);
	ph_transaction_free(job->transaction);
	ph_account_unref(job->account);
	g_free(job);
}

static void
committed(void *user_data)
{
	Job *job = user_data;
	g_autoptr(GError) unknown = NULL;

	if (job->transaction->done) {
		finish(job, NULL);
		return;
	}
	/* Another delivery was faster to make it: the next attempt finds it. */
	if (job->makes_mailbox
	    && g_error_matches(job->transaction->error, PH_ERROR, PH_ERROR_EXISTS))
		unknown = g_error_new_literal(PH_ERROR, PH_ERROR_TEMPORARY,
		                              "the mailbox was made meanwhile");
	else if (job->transaction->error == NULL)
		unknown = g_error_new_literal(PH_ERROR, PH_ERROR_TEMPORARY,
		                              "the store gave no reason");
	finish(job, unknown != NULL ? unknown : job->transaction->error);
}

/* What can never fit is refused for good; what does not fit now may be tried later (RFC 9208
 * section 5: a full mailbox gets room again). */
static bool
could_fit(PhAccount *account, PhContent *content, GError **error)
{
	uint64_t limit = ph_identity_quota_octets(ph_account_identity(account));

	if (limit == 0 || ph_content_length(content) <= limit)
		return true;
	g_set_error_literal(error, PH_ERROR, PH_ERROR_TOO_LARGE,
	                    "the message is larger than the user's whole quota");
	return false;
}

/* A filter may want it in a mailbox, which is made when it is missing. */
static bool
find_or_make(Job *job, const char *name, PhMailboxId *id_out, GError **error)
{
	g_autoptr(GError) failure = NULL;

	if (ph_account_find_id(job->account, ph_slice(name), id_out, &failure))
		return true;
	if (!g_error_matches(failure, PH_ERROR, PH_ERROR_NOT_FOUND)) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	job->makes_mailbox = true;
	*id_out = ph_transaction_create(job->transaction, ph_slice(name), 0)->mailbox;
	return true;
}

/* The mailbox that a filter or else the recipient's address names, when the user has it; else the
 * inbox. */
static bool
find_mailbox(Job *job, PhMailboxId *id_out, GError **error)
{
	const char *wanted = ph_mail_fact(ph_delivery_mail(job->delivery), "mailbox");
	const char *detail = ph_delivery_detail(job->delivery, job->index);

	if (wanted != NULL)
		return find_or_make(job, wanted, id_out, error);
	if (detail != NULL && ph_account_find_id(job->account, ph_slice(detail), id_out, NULL))
		return true;
	return ph_account_find_id(job->account, PH_SLICE_LITERAL("INBOX"), id_out, error);
}

/* Uploads for one recipient and submits; false when that failed already. */
static bool
start(Job *job, PhSection *store, PhContent *content, GError **error)
{
	const PhIdentity *identity = ph_delivery_identity(job->delivery, job->index);
	PhAppendOptions options = { .size = sizeof options, .structure = job->structure };
	PhMailboxId mailbox;

	if (store == NULL || identity == NULL) {
		g_set_error_literal(error, PH_ERROR, PH_ERROR_PERMANENT,
		                    "the route has no store or no directory to find the user in");
		return false;
	}
	job->account = ph_account_open(store, identity, error);
	if (job->account == NULL || !could_fit(job->account, content, error))
		return false;
	job->transaction = ph_transaction_new(job->account,
	                                      ph_delivery_transaction(job->delivery, job->index));
	return find_mailbox(job, &mailbox, error)
	       && ph_transaction_append(job->transaction, &mailbox, content, &options, error)
	                  != NULL;
}

static bool
feed(PhSlice piece, void *user_data, GError **error)
{
	ph_structure_scanner_feed(user_data, piece);
	return true;
}

/* For several recipients the message is parsed once. NULL: each append does it, and tells what is
 * wrong. */
static PhStructure *
scan(PhContent *content)
{
	g_autoptr(PhScanner) scanner = ph_structure_scanner_new();

	if (!ph_content_each(content, 0, ph_content_length(content), feed, scanner, NULL))
		return NULL;
	return ph_structure_scanner_finish(scanner);
}

static void
begin(void *instance, PhDelivery *delivery)
{
	PhSection *store = ph_delivery_store(delivery);
	size_t n = ph_delivery_n_recipients(delivery);
	g_autoptr(PhContent) content = make_content(ph_delivery_mail(delivery));
	g_autoptr(PhStructure) structure = n > 1 ? scan(content) : NULL;

	/* The delivery may be gone with its last result, so nothing is asked of it after that. */
	for (size_t i = 0; i < n; i++) {
		g_autoptr(GError) error = NULL;
		Job *job = g_new0(Job, 1);

		job->delivery = delivery;
		job->index = i;
		job->structure = structure;
		if (start(job, store, content, &error))
			ph_transaction_submit(job->transaction, ph_wake_new_func(committed, job));
		else
			finish(job, error);
	}
}

static const PhTransport transport = {
	.size = sizeof transport,
	.needs = PH_ROUTE_NEEDS_STORE | PH_ROUTE_NEEDS_DIRECTORY,
	.flags = PH_TRANSPORT_COMMITS,
	.create = create,
	.destroy = destroy,
	.begin = begin,
};

static const PhOption options[] = { PH_OPTIONS_END };

static const PhOffer offers[] = { PH_OFFER_TRANSPORT("store", &transport), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "store",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "delivers mail into the users' inboxes",
	.options = options,
	.offers = offers,
};
