/* adopt.c: copies vtables and rows, demands required members, fills in defaults
 *
 * What each kind requires and what the core puts in an empty place stands in the tables below; the
 * code only walks them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plugin/adopt.h"

#include <posthorn/directory.h>
#include <posthorn/error.h>
#include <posthorn/filter.h>
#include <posthorn/mechanism.h>
#include <posthorn/protocol.h>
#include <posthorn/store.h>
#include <posthorn/transport.h>

#include "base/limits.h"
#include "config/bind.h"
#include "config/sections.h"

#include <string.h>

typedef void (*Function)(void);

/* One member of a vtable. */
typedef struct {
	const char *name;
	size_t offset;
	Function fallback; /* NULL: required */
} Member;

static PhNext
next_done(PhSession *session)
{
	return PH_DONE;
}

static PhNext
next_close(PhSession *session)
{
	return PH_CLOSE;
}

static PhNext
octets_abort(PhSession *session, PhSlice piece, bool final)
{
	return PH_ABORT;
}

static bool
create_nothing(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	*instance_out = NULL;
	return true;
}

static void
destroy_nothing(void *instance)
{
}

static void *
begin_exchange(void *instance, PhExchange *exchange)
{
	return NULL;
}

static void *
begin_mail(void *instance, PhMail *mail)
{
	return NULL;
}

static void
end_nothing(void *instance, void *state)
{
}

static bool
refresh_nothing(void *account, const PhMailboxId *mailbox, GError **error)
{
	return true;
}

static bool
account_nothing(void *account, GError **error)
{
	return true;
}

/* All that its table names. */
static uint32_t
want_all(void *instance)
{
	return UINT32_MAX;
}

static void
cancel_nothing(void *instance, void *state)
{
}

static void
forget_nothing(void *account, PhTime before)
{
}

/* The domain, in lower case. */
static size_t
domain_destination(void *instance, const char *address, char *buffer, size_t size)
{
	const char *at = strrchr(address, '@');
	size_t length = g_strlcpy(buffer, at != NULL ? at + 1 : address, size);

	for (char *c = buffer; size > 0 && *c != '\0'; c++)
		*c = g_ascii_tolower(*c);
	return MIN(length, size > 0 ? size - 1 : 0);
}

#define REQUIRED(S, member)                        \
	{                                          \
#member, offsetof(S, member), NULL \
	}
#define FALLBACK(S, member, function)                               \
	{                                                           \
#member, offsetof(S, member), (Function) (function) \
	}
#define MEMBERS_END           \
	{                     \
		NULL, 0, NULL \
	}

static const Member protocol_members[] = {
	REQUIRED(PhProtocol, create),
	REQUIRED(PhProtocol, destroy),
	REQUIRED(PhProtocol, opened),
	REQUIRED(PhProtocol, line),
	REQUIRED(PhProtocol, closed),
	FALLBACK(PhProtocol, octets, octets_abort),
	FALLBACK(PhProtocol, step, next_done),
	FALLBACK(PhProtocol, resumed, next_done),
	FALLBACK(PhProtocol, notified, next_done),
	FALLBACK(PhProtocol, tls_started, next_done),
	FALLBACK(PhProtocol, timeout, next_close),
	FALLBACK(PhProtocol, drain, next_close),
	MEMBERS_END,
};

static const Member mechanism_members[] = {
	REQUIRED(PhMechanism, sasl_name),
	REQUIRED(PhMechanism, step),
	FALLBACK(PhMechanism, create, create_nothing),
	FALLBACK(PhMechanism, destroy, destroy_nothing),
	FALLBACK(PhMechanism, begin, begin_exchange),
	FALLBACK(PhMechanism, end, end_nothing),
	MEMBERS_END,
};

static const Member directory_members[] = {
	REQUIRED(PhDirectory, create),
	REQUIRED(PhDirectory, destroy),
	REQUIRED(PhDirectory, lookup),
	MEMBERS_END,
};

static const Member store_members[] = {
	REQUIRED(PhStore, create),
	REQUIRED(PhStore, destroy),
	REQUIRED(PhStore, open_account),
	REQUIRED(PhStore, close_account),
	REQUIRED(PhStore, mailboxes),
	REQUIRED(PhStore, changes),
	REQUIRED(PhStore, values),
	REQUIRED(PhStore, upload),
	REQUIRED(PhStore, abandon),
	REQUIRED(PhStore, content),
	REQUIRED(PhStore, commit),
	FALLBACK(PhStore, refresh, refresh_nothing),
	FALLBACK(PhStore, sync, account_nothing),
	FALLBACK(PhStore, compact, account_nothing),
	FALLBACK(PhStore, forget, forget_nothing),
	MEMBERS_END,
};

static const Member filter_members[] = {
	REQUIRED(PhFilter, create),
	REQUIRED(PhFilter, destroy),
	REQUIRED(PhFilter, ask),
	FALLBACK(PhFilter, begin, begin_mail),
	FALLBACK(PhFilter, end, end_nothing),
	FALLBACK(PhFilter, cancel, cancel_nothing),
	FALLBACK(PhFilter, wants, want_all),
	MEMBERS_END,
};

static const Member transport_members[] = {
	REQUIRED(PhTransport, create),
	FALLBACK(PhTransport, destroy, destroy_nothing),
	FALLBACK(PhTransport, destination, domain_destination),
	MEMBERS_END,
};

typedef struct {
	size_t size; /* of the table in this core */
	const Member *members;
	size_t create;
	size_t destroy;
} Kind;

static const Kind kinds[] = {
	[PH_KIND_PROTOCOL] = { sizeof(PhProtocol), protocol_members, offsetof(PhProtocol, create),
	                       offsetof(PhProtocol, destroy) },
	[PH_KIND_MECHANISM] = { sizeof(PhMechanism), mechanism_members,
	                        offsetof(PhMechanism, create), offsetof(PhMechanism, destroy) },
	[PH_KIND_DIRECTORY] = { sizeof(PhDirectory), directory_members,
	                        offsetof(PhDirectory, create), offsetof(PhDirectory, destroy) },
	[PH_KIND_STORE] = { sizeof(PhStore), store_members, offsetof(PhStore, create),
	                    offsetof(PhStore, destroy) },
	[PH_KIND_FILTER] = { sizeof(PhFilter), filter_members, offsetof(PhFilter, create),
	                     offsetof(PhFilter, destroy) },
	[PH_KIND_TRANSPORT] = { sizeof(PhTransport), transport_members,
	                        offsetof(PhTransport, create), offsetof(PhTransport, destroy) },
};

static Function
member_get(const void *table, size_t offset)
{
	Function value = NULL;

	memcpy(&value, (const char *) table + offset, sizeof value);
	return value;
}

static void
member_set(void *table, size_t offset, Function value)
{
	memcpy((char *) table + offset, &value, sizeof value);
}

static bool
complete(uint32_t kind, void *table, GError **error)
{
	for (const Member *member = kinds[kind].members; member->name != NULL; member++) {
		if (member_get(table, member->offset) != NULL)
			continue;
		if (member->fallback == NULL) {
			ph_error_set(error, PH_ERROR_INVALID,
			             "its %s table lacks the required member '%s'",
			             ph_kind_name(kind), member->name);
			return false;
		}
		member_set(table, member->offset, member->fallback);
	}
	if (kind == PH_KIND_TRANSPORT) {
		const PhTransport *transport = table;

		if (transport->begin == NULL && transport->deliver == NULL) {
			ph_error_set(error, PH_ERROR_INVALID,
			             "its transport table has neither 'begin' nor 'deliver'");
			return false;
		}
	}
	return true;
}

void *
ph_adopt_table(uint32_t kind, const void *table, GError **error)
{
	g_autofree void *copy = NULL;
	size_t given = 0;

	if (kind == 0 || kind >= G_N_ELEMENTS(kinds) || table == NULL) {
		ph_error_set(error, PH_ERROR_UNSUPPORTED,
		             "it makes an offer of a kind that this server does not know");
		return NULL;
	}
	memcpy(&given, table, sizeof given);
	if (given < sizeof given || given > PH_KIB(64)) {
		ph_error_set(error, PH_ERROR_INVALID, "its %s table has no size",
		             ph_kind_name(kind));
		return NULL;
	}
	copy = g_malloc0(kinds[kind].size);
	memcpy(copy, table, MIN(given, kinds[kind].size));
	memcpy(copy, &kinds[kind].size, sizeof kinds[kind].size);
	return complete(kind, copy, error) ? g_steal_pointer(&copy) : NULL;
}

static bool
is_name(const char *name)
{
	size_t n = name != NULL ? strlen(name) : 0;

	for (size_t i = 0; i < n; i++)
		if (!g_ascii_islower(name[i]) && !g_ascii_isdigit(name[i]) && name[i] != '-')
			return false;
	return n > 0 && n <= PH_LIMIT_NAME;
}

/* Options in this core's stride; one empty row for NULL. */
static PhOption *
copy_options(const PhPlugin *plugin, const PhOption *options, GError **error)
{
	const char *at = (const char *) options;
	g_autoptr(GArray) rows = g_array_new(TRUE, TRUE, sizeof(PhOption));
	PhOption row = PH_OPTIONS_END;

	for (; at != NULL; at += plugin->abi.option_size) {
		memcpy(&row, at, sizeof row);
		if (row.key == NULL)
			break;
		if (rows->len >= PH_LIMIT_PLUGIN_OPTIONS) {
			ph_error_set(
				error, PH_ERROR_INVALID,
				"it describes more than %d options (is PH_OPTIONS_END missing?)",
				PH_LIMIT_PLUGIN_OPTIONS);
			return NULL;
		}
		g_array_append_val(rows, row);
	}
	/* zero_terminated: a row whose key is NULL stands behind the last */
	g_array_set_size(rows, rows->len);
	if (!ph_bind_check((const PhOption *) (void *) rows->data, error))
		return NULL;
	return (PhOption *) (void *) g_array_free(g_steal_pointer(&rows), FALSE);
}

static uint32_t
needs_of(uint32_t kind, const void *table)
{
	if (kind == PH_KIND_PROTOCOL)
		return ((const PhProtocol *) table)->needs;
	if (kind == PH_KIND_TRANSPORT)
		return ((const PhTransport *) table)->needs;
	return 0;
}

static bool
adopt_offer(const PhAdopted *adopted, const PhOffer *offer, PhOfferInfo *info_out, GError **error)
{
	const PhPlugin *plugin = &adopted->plugin;
	const PhOption *options = offer->options != NULL ? offer->options : plugin->options;
	PhOfferInfo info = { .kind = offer->kind,
		             .name = offer->name,
		             .plugin_name = plugin->name,
		             .version = plugin->version != NULL ? plugin->version : "",
		             .licence = plugin->licence != NULL ? plugin->licence : "",
		             .summary = plugin->summary != NULL ? plugin->summary : "",
		             .path = adopted->path,
		             .load = plugin->load,
		             .not_isolated = offer->not_isolated };

	if (!is_name(offer->name)) {
		ph_error_set(error, PH_ERROR_INVALID, "it makes an offer with a bad name");
		return false;
	}
	info.table = ph_adopt_table(offer->kind, offer->table, error);
	if (info.table == NULL)
		return false;
	info.options = copy_options(plugin, options, error);
	if (info.options == NULL) {
		g_free((void *) (uintptr_t) info.table);
		return false;
	}
	info.needs = needs_of(info.kind, info.table);
	*info_out = info;
	return true;
}

static void
clear_info(gpointer data)
{
	const PhOfferInfo *info = data;

	g_free((void *) (uintptr_t) info->table);
	g_free((void *) (uintptr_t) info->options);
}

static bool
adopt_offers(PhAdopted *adopted, GError **error)
{
	const char *at = (const char *) adopted->plugin.offers;
	g_autoptr(GArray) infos = g_array_new(FALSE, FALSE, sizeof(PhOfferInfo));
	size_t offer_size = MIN(adopted->plugin.abi.offer_size, sizeof(PhOffer));
	PhOffer offer = PH_OFFERS_END;

	g_array_set_clear_func(infos, clear_info);
	for (; at != NULL; at += adopted->plugin.abi.offer_size) {
		PhOfferInfo info;

		memcpy(&offer, at, offer_size);
		if (offer.kind == 0)
			break;
		if (infos->len >= PH_LIMIT_PLUGIN_OFFERS) {
			ph_error_set(error, PH_ERROR_INVALID,
			             "it makes more than %d offers (is PH_OFFERS_END missing?)",
			             PH_LIMIT_PLUGIN_OFFERS);
			return false;
		}
		if (!adopt_offer(adopted, &offer, &info, error))
			return false;
		g_array_append_val(infos, info);
	}
	if (infos->len == 0) {
		ph_error_set(error, PH_ERROR_INVALID, "it makes no offer");
		return false;
	}
	adopted->n_offers = infos->len;
	adopted->offers = (PhOfferInfo *) (void *) g_array_free(g_steal_pointer(&infos), FALSE);
	return true;
}

PhAdopted *
ph_adopt(const PhPlugin *plugin, const char *path, GError **error)
{
	PhAdopted *adopted = g_new0(PhAdopted, 1);

	memcpy(&adopted->plugin, plugin, MIN(plugin->abi.plugin_size, sizeof adopted->plugin));
	adopted->path = g_strdup(path);
	if (is_name(adopted->plugin.name) && adopt_offers(adopted, error))
		return adopted;
	if (!is_name(adopted->plugin.name))
		ph_error_set(error, PH_ERROR_INVALID,
		             "its name must be lower-case letters, digits and '-'");
	g_prefix_error(error, "the plugin '%s' is refused: ", path);
	g_free(adopted->path);
	g_free(adopted);
	return NULL;
}

bool
ph_adopt_create(const PhOfferInfo *offer,
                PhSection *section,
                const void *settings,
                void **instance_out,
                GError **error)
{
	bool (*create)(PhSection *, const void *, void **, GError **) = NULL;

	memcpy(&create, (const char *) offer->table + kinds[offer->kind].create, sizeof create);
	return create(section, settings, instance_out, error);
}

void
ph_adopt_destroy(const PhOfferInfo *offer, void *instance)
{
	void (*destroy)(void *) = NULL;

	memcpy(&destroy, (const char *) offer->table + kinds[offer->kind].destroy, sizeof destroy);
	destroy(instance);
}

size_t
ph_adopt_size(uint32_t kind)
{
	return kinds[kind].size;
}
