/* instance.c: creates, shares and destroys instances; the public functions of a section
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plugin/instance.h"

#include <posthorn/error.h>
#include <posthorn/plugin.h>
#include <posthorn/store.h>

#include "base/lock.h"
#include "base/log.h"
#include "config/bind.h"
#include "config/expand.h"
#include "plugin/adopt.h"
#include "plugin/calls.h"
#include "plugin/figures.h"

#include <stdatomic.h>

struct PhInstance {
	atomic_uint n_refs;
	PhSection *origin;
	PhConfig *config; /* the origin's */
	void *instance;
	PhCalls *calls;
	GPtrArray *below; /* PhInstance: what it stands on */
	bool is_isolated; /* the instance is the isolator's */
};

static const PhIsolator *isolator;

void
ph_instances_set_isolator(const PhIsolator *given)
{
	isolator = given;
}

static void
unref_instance(gpointer data)
{
	PhInstance *held = data;

	if (atomic_fetch_sub(&held->n_refs, 1) > 1)
		return;
	if (held->is_isolated)
		isolator->destroy(held->instance);
	else
		ph_adopt_destroy(held->origin->offer, held->instance);
	ph_figures_forget(held->origin);
	held->origin->instance = NULL;
	held->origin->calls = NULL;
	ph_calls_unref(held->calls);
	g_ptr_array_unref(held->below);
	ph_config_unref(held->config);
	g_free(held);
}

static PhInstance *
ref_instance(PhInstance *held)
{
	atomic_fetch_add(&held->n_refs, 1);
	return held;
}

static void
hold(PhSection *section, PhInstance *held)
{
	section->held = held;
	section->instance = held->instance;
	section->calls = held->calls;
}

/* Loads the code's own things once; a failed load is tried again by the next config. */
static bool
load_once(const PhOfferInfo *offer, GError **error)
{
	static PhLock lock = PH_LOCK_INIT;
	static GHashTable *loaded;
	PH_LOCKED(&lock);

	if (offer->load == NULL)
		return true;
	if (loaded == NULL)
		loaded = g_hash_table_new(g_str_hash, g_str_equal);
	if (g_hash_table_contains(loaded, offer->path))
		return true;
	if (!offer->load(error))
		return false;
	return g_hash_table_add(loaded, (gpointer) (uintptr_t) offer->path);
}

static GPtrArray *
instances_below(const PhSection *section)
{
	GPtrArray *below = g_ptr_array_new_with_free_func(unref_instance);

	for (guint i = 0; i < section->uses->len; i++) {
		const PhSection *used = section->uses->pdata[i];

		if (used->held != NULL)
			g_ptr_array_add(below, ref_instance(used->held));
	}
	return below;
}

/* A store that stands on others offers what they can: the section has a table of its own then. */
static bool
narrow(PhSection *section, void *instance, GError **error)
{
	const PhStore *table = section->kind == PH_KIND_STORE ? section->offer->table : NULL;
	PhStore copy;

	if (table == NULL || table->narrow == NULL)
		return true;
	copy = *table;
	table->narrow(instance, &copy);
	copy.size = table->size;
	g_free(section->narrowed);
	section->narrowed = ph_adopt_table(PH_KIND_STORE, &copy, error);
	return section->narrowed != NULL;
}

static bool
create_here(PhSection *section, void **instance_out, GError **error)
{
	if (!load_once(section->offer, error)
	    || !ph_adopt_create(section->offer, section, section->settings, instance_out, error))
		return false;
	if (narrow(section, *instance_out, error))
		return true;
	ph_adopt_destroy(section->offer, *instance_out);
	return false;
}

static bool
create_elsewhere(PhSection *section, void **instance_out, GError **error)
{
	void *table = NULL;

	if (!isolator->create(section, instance_out, &table, error))
		return false;
	g_free(section->narrowed);
	section->narrowed = table;
	return true;
}

static bool
create_section(PhSection *section, GError **error)
{
	bool elsewhere = isolator != NULL && ph_section_isolate(section) > 0;
	void *instance = NULL;
	PhInstance *held = NULL;
	uint32_t concurrency = 0;
	PhDuration timeout = { 0 };

	if (elsewhere ? !create_elsewhere(section, &instance, error)
	              : !create_here(section, &instance, error))
		return false;
	ph_section_limits(section, &concurrency, &timeout);
	held = g_new0(PhInstance, 1);
	held->is_isolated = elsewhere;
	atomic_init(&held->n_refs, 1);
	held->origin = section;
	held->config = ph_config_ref(section->config);
	held->instance = instance;
	held->calls = ph_calls_new(concurrency, timeout);
	held->below = instances_below(section);
	hold(section, held);
	return true;
}

/* Does the key reach the plugin? Of the core's own keys only where it runs changes an instance. */
static bool
reaches_plugin(const PhSection *section, const char *key)
{
	const PhSectionKind *kind = ph_section_kind_find(section->word);

	return ph_bind_find(kind->rows, key) == NULL || strcmp(key, kind->plugin_key) == 0
	       || g_str_has_prefix(key, "isolate");
}

/* Has @b every key of @a that reaches the plugin, with the same value? */
static bool
has_keys_of(const PhSection *a, const PhSection *b)
{
	for (guint i = 0; a->keys != NULL && i < a->keys->keys->len; i++) {
		const PhKeyfileKey *left = &g_array_index(a->keys->keys, PhKeyfileKey, i);
		const PhKeyfileKey *right =
			b->keys != NULL ? ph_keyfile_key(b->keys, left->key) : NULL;

		if (!reaches_plugin(a, left->key))
			continue;
		/* what a file holds may have changed */
		if (right == NULL || strcmp(left->value, right->value) != 0
		    || g_str_has_prefix(left->value, "file:"))
			return false;
	}
	return true;
}

static bool
has_same_keys(const PhSection *a, const PhSection *b)
{
	return has_keys_of(a, b) && has_keys_of(b, a);
}

/* What the instance stands on: where the core alone sends a store's users is nothing to it. */
static GPtrArray *
stands_on(const PhSection *section)
{
	const PhSection *aside =
		section->kind == PH_KIND_STORE ? ph_section_plugin(section)->moves_to : NULL;
	GPtrArray *uses = g_ptr_array_new();

	for (guint i = 0; i < section->uses->len; i++)
		if (section->uses->pdata[i] != aside)
			g_ptr_array_add(uses, section->uses->pdata[i]);
	return uses;
}

static bool
is_same(const PhSection *section, const PhSection *old)
{
	g_autoptr(GPtrArray) uses = NULL;
	g_autoptr(GPtrArray) old_uses = NULL;

	if (old == NULL || old->offer != section->offer || !has_same_keys(section, old))
		return false;
	uses = stands_on(section);
	old_uses = stands_on(old);
	if (uses->len != old_uses->len)
		return false;
	for (guint i = 0; i < uses->len; i++) {
		const PhSection *used = uses->pdata[i];
		const PhSection *old_used = old_uses->pdata[i];

		if (strcmp(used->word, "transport") == 0) {
			if (!has_same_keys(used, old_used))
				return false;
		} else if (used->held == NULL || used->held != old_used->held) {
			return false;
		}
	}
	return true;
}

static bool
is_same_server(const PhConfig *config, const PhConfig *previous)
{
	const PhServerSettings *a = ph_config_server(config);
	const PhServerSettings *b = previous != NULL ? ph_config_server(previous) : NULL;

	return b != NULL && strcmp(a->hostname, b->hostname) == 0 && strcmp(a->data, b->data) == 0
	       && a->message_size_limit.octets == b->message_size_limit.octets
	       && strcmp(ph_config_folder(config), ph_config_folder(previous)) == 0;
}

static bool
share_section(PhSection *section, PhConfig *previous)
{
	PhSection *old = ph_config_section(previous, section->word, section->name);
	uint32_t concurrency = 0;
	PhDuration timeout = { 0 };

	if (old == NULL || old->held == NULL || !is_same(section, old))
		return false;
	hold(section, ref_instance(old->held));
	if (old->narrowed != NULL)
		section->narrowed = g_memdup2(old->narrowed, ph_adopt_size(old->kind));
	ph_section_limits(section, &concurrency, &timeout);
	ph_calls_limit(section->calls, concurrency, timeout);
	return true;
}

static const char *
describe(PhSection *section)
{
	return section->name;
}

/* Is everything there that the section stands on? What is missing has been told. */
static bool
stands(const PhSection *section)
{
	for (guint i = 0; i < section->uses->len; i++) {
		const PhSection *used = section->uses->pdata[i];

		if (used->held == NULL && strcmp(used->word, "transport") != 0)
			return false;
	}
	return true;
}

/* A complaint that begins with a key's name in quotes is about that key. */
static unsigned int
line_of(const PhSection *section, const GError *error)
{
	g_auto(GStrv) parts = NULL;

	if (error == NULL || error->message[0] != '\'')
		return section->line;
	parts = g_strsplit(error->message, "'", 3);
	return parts[1] != NULL ? ph_section_key_line(section, parts[1]) : section->line;
}

bool
ph_instances_create(PhConfig *config, PhConfig *previous, PhMistakes *mistakes)
{
	PhSection *const *sections = ph_config_sections(config);
	bool may_share = is_same_server(config, previous);
	bool good = true;

	ph_log_set_section_describer(describe);
	for (size_t i = 0; sections[i] != NULL; i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *title = ph_section_title(sections[i]);

		if (may_share && share_section(sections[i], previous))
			continue;
		if (!stands(sections[i]) || create_section(sections[i], &error)) {
			good = good && stands(sections[i]);
			continue;
		}
		good = false;
		ph_mistakes_add(mistakes, line_of(sections[i], error), "%s (plugin '%s'): %s",
		                title, sections[i]->offer->name,
		                error != NULL ? error->message : "it failed and did not say why");
	}
	if (!good)
		ph_instances_release(config);
	return good;
}

void
ph_instances_release(PhConfig *config)
{
	PhSection *const *sections = ph_config_sections(config);
	size_t n = 0;

	while (sections[n] != NULL)
		n++;
	while (n-- > 0) {
		PhInstance *held = sections[n]->held;

		sections[n]->held = NULL;
		if (held != NULL)
			unref_instance(held);
	}
}

bool
ph_instances_create_one(PhSection *section, GError **error)
{
	if (section->held != NULL || strcmp(section->word, "transport") == 0)
		return true;
	for (guint i = 0; i < section->uses->len; i++) {
		if (ph_instances_create_one(section->uses->pdata[i], error))
			continue;
		ph_instances_release_one(section);
		return false;
	}
	return create_section(section, error);
}

void
ph_instances_release_one(PhSection *section)
{
	PhInstance *held = section->held;

	section->held = NULL;
	if (held != NULL)
		unref_instance(held);
	for (guint i = 0; i < section->uses->len; i++)
		ph_instances_release_one(section->uses->pdata[i]);
}

PhSection *
ph_section_origin(PhSection *section)
{
	return section->held != NULL ? section->held->origin : section;
}

bool
ph_section_is_shared(const PhSection *section)
{
	return section->held != NULL && section->held->origin != section;
}

const char *
ph_section_name(PhSection *section)
{
	return section->name;
}

uint32_t
ph_section_kind(PhSection *section)
{
	return section->kind;
}

void *
ph_section_instance(PhSection *section)
{
	return section->instance;
}

const void *
ph_section_table(PhSection *section)
{
	return section->narrowed != NULL ? section->narrowed : section->offer->table;
}

const char *
ph_section_hostname(PhSection *section)
{
	return ph_config_server(section->config)->hostname;
}

const char *
ph_section_data(PhSection *section)
{
	return ph_config_server(section->config)->data;
}

char *
ph_section_expand(const char *path_template, const PhIdentity *identity)
{
	return ph_expand_template(path_template, identity);
}
