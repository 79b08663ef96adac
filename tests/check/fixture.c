/* fixture.c: a plugin with one offer for each thing that a config can get wrong
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>
#include <posthorn/error.h>
#include <posthorn/filter.h>
#include <posthorn/mechanism.h>
#include <posthorn/protocol.h>
#include <posthorn/store.h>
#include <posthorn/transport.h>

#ifndef FIXTURE_MAJOR
#define FIXTURE_MAJOR PH_ABI_MAJOR
#endif

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	*instance_out = section;
	return true;
}

static bool
create_broken(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	ph_error_set(error, PH_ERROR_TEMPORARY, "the moon is in the wrong house");
	return false;
}

static void
destroy(void *instance)
{
}

static PhNext
opened(PhSession *session)
{
	return PH_CLOSE;
}

static PhNext
line(PhSession *session, PhSlice octets, uint32_t flaws)
{
	return PH_CLOSE;
}

static void
closed(PhSession *session)
{
}

static PhStep
step(void *instance, void *state, PhExchange *exchange, const PhSlice *response, GError **error)
{
	return PH_STEP_FAILED;
}

static PhVerify
lookup(void *instance, const char *address, PhIdentity **identity_out, GError **error)
{
	return PH_VERIFY_UNKNOWN_USER;
}

/* No message ever comes to a fixture: what stands in the place of `ask` is not called. */
static void
ask(void)
{
}

static void
deliver(void *instance, PhDelivery *delivery)
{
}

static bool
open_account(void *instance, const PhIdentity *identity, void **account_out, GError **error)
{
	ph_error_set(error, PH_ERROR_UNSUPPORTED, "a fixture keeps nothing");
	return false;
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
	return true;
}

static bool
changes(void *account,
        const PhMailboxId *mailbox,
        const PhChangesQuery *query,
        PhChangesResult *result_out,
        GError **error)
{
	return true;
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
	return true;
}

static void
abandon(void *account, const PhBlobId *blob)
{
}

static bool
content(void *account,
        const PhMailboxId *mailbox,
        uint32_t uid,
        const PhBlobId *blob,
        PhContent **content_out,
        GError **error)
{
	return false;
}

static bool
commit(void *account, PhTransaction *const *batch, size_t n, GError **error)
{
	return false;
}

#define PROTOCOL(wants)                                                              \
	{                                                                            \
		.size = sizeof(PhProtocol), .needs = (wants), .create = create,      \
		.destroy = destroy, .opened = opened, .line = line, .closed = closed \
	}

static const PhProtocol chat = PROTOCOL(PH_NEEDS_STORE | PH_NEEDS_DIRECTORY | PH_NEEDS_MECHANISMS);
static const PhProtocol echo = PROTOCOL(0);
static const PhProtocol mx = PROTOCOL(PH_NEEDS_ROUTES);

static const PhMechanism token = { .size = sizeof token, .sasl_name = "TOKEN", .step = step };

static const PhMechanism showy = { .size = sizeof showy,
	                           .flags = PH_MECHANISM_SHOWS_PASSWORD,
	                           .sasl_name = "SHOWY",
	                           .step = step };
static const PhMechanism secretive = { .size = sizeof secretive,
	                               .flags = PH_MECHANISM_NEEDS_SECRET,
	                               .sasl_name = "SECRETIVE",
	                               .step = step };

static PhVerify
verify(void *instance,
       const char *user,
       const PhSecret *secret,
       PhIdentity **identity_out,
       GError **error)
{
	return PH_VERIFY_UNKNOWN_USER;
}

static const PhDirectory verifying = {
	.size = sizeof verifying,
	.create = create,
	.destroy = destroy,
	.lookup = lookup,
	.verify = verify,
};

static const PhDirectory directory = {
	.size = sizeof directory,
	.create = create,
	.destroy = destroy,
	.lookup = lookup,
};

static const PhDirectory broken = {
	.size = sizeof broken,
	.create = create_broken,
	.destroy = destroy,
	.lookup = lookup,
};

static const PhStore store = {
	.size = sizeof store,
	.create = create,
	.destroy = destroy,
	.open_account = open_account,
	.close_account = close_account,
	.mailboxes = mailboxes,
	.changes = changes,
	.values = values,
	.upload = upload,
	.abandon = abandon,
	.content = content,
	.commit = commit,
};

static const PhFilter nod = {
	.size = sizeof nod,
	.create = create,
	.destroy = destroy,
	.ask = (__typeof__(((PhFilter *) NULL)->ask)) ask,
};

static const PhTransport drop = { .size = sizeof drop, .create = create, .deliver = deliver };
static const PhTransport into_store = {
	.size = sizeof into_store,
	.needs = PH_ROUTE_NEEDS_STORE | PH_ROUTE_NEEDS_DIRECTORY,
	.create = create,
	.deliver = deliver,
};

typedef struct {
	const char *text;
	const char *path;
	const char *pattern;
	PhSize size;
	PhDuration wait;
	bool eager;
	int64_t digit;
	uint32_t colour;
	const char *const *words;
	const PhSecret *token;
	PhSection *below;
	PhSection *const *friends;
} Typed;

static const char *const colours[] = { "red", "green", "blue", NULL };

static const PhOption typed_options[] = {
	PH_OPTION_STRING(Typed, text, "some", "any text"),
	PH_OPTION_PATH(Typed, path, PH_ABSENT, "any path"),
	PH_OPTION_TEMPLATE(Typed, pattern, "{data}/{user}", "any template"),
	PH_OPTION_SIZE(Typed, size, "1M", "any size"),
	PH_OPTION_DURATION(Typed, wait, "5s", "any duration"),
	PH_OPTION_BOOLEAN(Typed, eager, "no", "yes or no"),
	PH_OPTION_INTEGER(Typed, digit, "5", -1, 9, "a digit"),
	PH_OPTION_CHOICE(Typed, colour, "red", colours, "a colour"),
	PH_OPTION_LIST(Typed, words, PH_ABSENT, "several words"),
	PH_OPTION_ALIAS("terms"),
	PH_OPTION_SECRET(Typed, token, PH_ABSENT, "a secret"),
	PH_OPTION_SECTION(Typed, below, PH_ABSENT, PH_KIND_STORE, "a store"),
	PH_OPTION_SECTIONS(Typed, friends, PH_ABSENT, PH_KIND_DIRECTORY, "other directories"),
	PH_OPTION_REMOVED("speed", "it is always fast now"),
	PH_OPTIONS_END,
};

typedef struct {
	const char *path;
	PhSection *below;
} Box;

static const PhOption box_options[] = {
	PH_OPTION_TEMPLATE(Box, path, PH_REQUIRED, "where an account lies"),
	PH_OPTION_SECTION(Box, below, PH_ABSENT, PH_KIND_STORE, "the store under this one"),
	PH_OPTIONS_END,
};

typedef struct {
	PhDuration timeout;
} Greedy;

static const PhOption greedy_options[] = {
	PH_OPTION_DURATION(Greedy, timeout, "1s", "takes the server's key"),
	PH_OPTIONS_END,
};

static const PhOption no_options[] = { PH_OPTIONS_END };

#define OFFER(k, n, member, vtable, rows)                                       \
	{                                                                       \
		.kind = (k), .name = (n), .member = (vtable), .options = (rows) \
	}

static const PhOffer offers[] = {
	OFFER(PH_KIND_PROTOCOL, "chat", protocol, &chat, no_options),
	OFFER(PH_KIND_PROTOCOL, "echo", protocol, &echo, no_options),
	OFFER(PH_KIND_PROTOCOL, "mx", protocol, &mx, no_options),
	OFFER(PH_KIND_MECHANISM, "token", mechanism, &token, no_options),
	OFFER(PH_KIND_MECHANISM, "showy", mechanism, &showy, no_options),
	OFFER(PH_KIND_MECHANISM, "secretive", mechanism, &secretive, no_options),
	OFFER(PH_KIND_DIRECTORY, "verifying", directory, &verifying, no_options),
	OFFER(PH_KIND_DIRECTORY, "open", directory, &directory, no_options),
	OFFER(PH_KIND_DIRECTORY, "typed", directory, &directory, typed_options),
	OFFER(PH_KIND_DIRECTORY, "greedy", directory, &directory, greedy_options),
	OFFER(PH_KIND_DIRECTORY, "broken", directory, &broken, no_options),
	OFFER(PH_KIND_STORE, "memory", store, &store, no_options),
	OFFER(PH_KIND_STORE, "box", store, &store, box_options),
	OFFER(PH_KIND_FILTER, "nod", filter, &nod, no_options),
	OFFER(PH_KIND_TRANSPORT, "drop", transport, &drop, no_options),
	OFFER(PH_KIND_TRANSPORT, "into-store", transport, &into_store, no_options),
	PH_OFFERS_END,
};

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = { PH_ABI_MAGIC, FIXTURE_MAJOR, PH_ABI_MINOR, sizeof(PhPlugin), sizeof(PhOffer),
	         sizeof(PhOption), 0 },
	.name = "fixture",
	.version = "1",
	.licence = "LGPL-2.1-or-later",
	.summary = "everything that a config can get wrong",
	.options = no_options,
	.offers = offers,
};
