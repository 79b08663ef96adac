/* kinds-old.c: the other five kinds of plugins, as a stranger built them against frozen headers
 *
 * Tables end where members were added since, or may have been missing then.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/filter.h>
#include <posthorn/mechanism.h>
#include <posthorn/protocol.h>
#include <posthorn/slice.h>
#include <posthorn/store.h>
#include <posthorn/transport.h>

#include <string.h>

typedef struct {
	const char *word;
} Settings;

static const PhOption options[] = {
	PH_OPTION_STRING(Settings, word, "hello", "what it says"),
	PH_OPTIONS_END,
};

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	*instance_out = g_strdup("old");
	return true;
}

static void
destroy(void *instance)
{
	g_free(instance);
}

/* --- protocol --------------------------------------------------------------------------------- */

static PhNext
opened(PhSession *session)
{
	ph_session_write_text(session, "+ hello\r\n");
	return PH_DONE;
}

static PhNext
line(PhSession *session, PhSlice text, uint32_t flaws)
{
	ph_session_printf(session, "+ %.*s\r\n", (int) text.length, text.data);
	return flaws == 0 ? PH_DONE : PH_CLOSE;
}

static void
closed(PhSession *session)
{
}

static const PhProtocol protocol = {
	.size = sizeof protocol,
	.create = create,
	.destroy = destroy,
	.opened = opened,
	.line = line,
	.closed = closed,
};

/* --- mechanism -------------------------------------------------------------------------------- */

static PhStep
step(void *instance, void *state, PhExchange *exchange, const PhSlice *response, GError **error)
{
	if (response == NULL) {
		ph_exchange_challenge(exchange, PH_SLICE_LITERAL("who"));
		return PH_STEP_CHALLENGE;
	}
	return ph_exchange_accept(exchange, PH_SLICE_EMPTY, *response, error);
}

static const PhMechanism mechanism = {
	.size = sizeof mechanism,
	.sasl_name = "OLD",
	.step = step,
};

/* --- filter ----------------------------------------------------------------------------------- */

static bool
ask(void *instance, void *state, PhFilterQuestion *question, GError **error)
{
	question->verdict.result = PH_VERDICT_REJECT;
	return true;
}

static const PhFilter filter = {
	.size = offsetof(PhFilter, cancel),
	.stages = 1U << PH_STAGE_MESSAGE,
	.create = create,
	.destroy = destroy,
	.ask = ask,
};

/* --- transport -------------------------------------------------------------------------------- */

static void
deliver(void *instance, PhDelivery *delivery)
{
	for (size_t i = 0, n = ph_delivery_n_recipients(delivery); i < n; i++)
		ph_delivery_complete(delivery, i, NULL);
}

static const PhTransport transport = {
	.size = sizeof transport,
	.create = create,
	.destroy = destroy,
	.deliver = deliver,
};

/* --- store ------------------------------------------------------------------------------------ */

static bool
open_account(void *instance, const PhIdentity *identity, void **account_out, GError **error)
{
	*account_out = instance;
	return true;
}

static void
close_account(void *account)
{
}

static bool
mailboxes(void *account,
          PhMailboxInfoFunc func,
          void *user_data,
          uint64_t *list_change_out,
          GError **error)
{
	*list_change_out = 7;
	return true;
}

static bool
changes(void *account,
        const PhMailboxId *mailbox,
        const PhChangesQuery *query,
        PhChangesResult *result_out,
        GError **error)
{
	ph_error_set(error, PH_ERROR_GONE, "there is none");
	return false;
}

static bool
values(void *account,
       const PhMailboxId *mailbox,
       const char *prefix,
       PhValueFunc func,
       void *user_data,
       GError **error)
{
	return true;
}

static bool
upload(void *account, PhContent *content, bool durable, PhBlobId *blob_out, GError **error)
{
	ph_error_set(error, PH_ERROR_TEMPORARY, "nothing is kept");
	return false;
}

static void
abandon(void *account, const PhBlobId *blob)
{
}

static bool
content_of(void *account,
           const PhMailboxId *mailbox,
           uint32_t uid,
           const PhBlobId *blob,
           PhContent **content_out,
           GError **error)
{
	ph_error_set(error, PH_ERROR_GONE, "there is none");
	return false;
}

static bool
commit(void *account, PhTransaction *const *batch, size_t n, GError **error)
{
	ph_error_set(error, PH_ERROR_TEMPORARY, "nothing is kept");
	return false;
}

static const PhStore store = {
	.size = offsetof(PhStore, outcome),
	.create = create,
	.destroy = destroy,
	.open_account = open_account,
	.close_account = close_account,
	.mailboxes = mailboxes,
	.changes = changes,
	.values = values,
	.upload = upload,
	.abandon = abandon,
	.content = content_of,
	.commit = commit,
};

static const PhOffer offers[] = {
	PH_OFFER_PROTOCOL("old", &protocol), PH_OFFER_MECHANISM("old", &mechanism),
	PH_OFFER_FILTER("old", &filter),     PH_OFFER_TRANSPORT("old", &transport),
	PH_OFFER_STORE("old", &store),       PH_OFFERS_END,
};

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "old",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "one of each of the other kinds",
	.options = options,
	.offers = offers,
};
