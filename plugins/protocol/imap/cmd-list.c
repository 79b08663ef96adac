/* cmd-list.c: LIST and LSUB
 *
 * The mailboxes and subscriptions of the account become one sorted list of entries, parents that
 * exist only through their children among them; then each entry is matched in turn, in steps.
 * RFC 3501 sections 6.3.8 and 6.3.9, RFC 5258 (LIST-EXTENDED), RFC 5819 (LIST-STATUS), RFC 6154.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "imap.h"
#include "list-match.h"
#include "list-parse.h"

typedef struct {
	char *name;
	PhMailboxInfo info; /* when it exists */
	bool exists;
	bool has_children; /* that exist */
	bool subscribed;
	bool subscribed_below;
} Entry;

typedef struct {
	ImapWork work;
	ListQuery query;
	GHashTable *by_name; /* name of the entry to the entry; owns both */
	GPtrArray *entries;  /* sorted, borrowed */
	guint at;
	bool lsub;
} List;

static void
free_entry(gpointer data)
{
	Entry *entry = data;

	g_free(entry->name);
	g_free(entry);
}

static void
free_list(void *data)
{
	List *list = data;

	imap_list_query_clear(&list->query);
	g_clear_pointer(&list->entries, g_ptr_array_unref);
	g_clear_pointer(&list->by_name, g_hash_table_unref);
	g_free(list);
}

static Entry *
entry_of(List *list, PhSlice name)
{
	g_autofree char *key = ph_slice_dup(name);
	Entry *entry = g_hash_table_lookup(list->by_name, key);

	if (entry != NULL)
		return entry;
	entry = g_new0(Entry, 1);
	entry->name = g_steal_pointer(&key);
	g_hash_table_insert(list->by_name, entry->name, entry);
	return entry;
}

/* Marks the parents; stops at the first that knows already, so all calls together are linear. */
static void
mark_parents(List *list, PhSlice name, bool exists)
{
	for (size_t i = name.length; i-- > 1;) {
		Entry *parent;
		bool *mark;

		if (name.data[i] != '/')
			continue;
		parent = entry_of(list, PH_SLICE(name.data, i));
		mark = exists ? &parent->has_children : &parent->subscribed_below;
		if (*mark)
			return;
		*mark = true;
	}
}

static bool
add_mailbox(const PhMailboxInfo *info, void *user_data)
{
	List *list = user_data;
	Entry *entry = entry_of(list, ph_slice(info->name));

	entry->info = *info;
	entry->info.name = NULL;
	entry->exists = true;
	mark_parents(list, ph_slice(info->name), true);
	return true;
}

static bool
add_subscription(const char *key, PhSlice value, void *user_data)
{
	List *list = user_data;
	PhSlice name = ph_slice(key + strlen(PH_KEY_SUBSCRIPTION));

	if (value.length == 0 || name.length == 0)
		return true;
	entry_of(list, name)->subscribed = true;
	mark_parents(list, name, false);
	return true;
}

static gint
compare(gconstpointer a, gconstpointer b)
{
	const Entry *left = *(Entry *const *) a;
	const Entry *right = *(Entry *const *) b;
	bool left_inbox = g_str_equal(left->name, "INBOX");

	if (left_inbox != g_str_equal(right->name, "INBOX"))
		return left_inbox ? -1 : 1;
	return strcmp(left->name, right->name);
}

static bool
gather(Imap *imap, List *list, GError **error)
{
	GHashTableIter iter;
	gpointer entry;

	list->by_name = g_hash_table_new_full(ph_str_hash, g_str_equal, NULL, free_entry);
	if (!ph_account_mailboxes(imap->account, add_mailbox, list, error))
		return false;
	if ((list->lsub || (list->query.select & LIST_SUBSCRIBED)
	     || (list->query.give & LIST_SUBSCRIBED))
	    && !ph_account_values(imap->account, NULL, PH_KEY_SUBSCRIPTION, add_subscription, list,
	                          error))
		return false;
	list->entries = g_ptr_array_sized_new(g_hash_table_size(list->by_name));
	g_hash_table_iter_init(&iter, list->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &entry))
		g_ptr_array_add(list->entries, entry);
	g_ptr_array_sort(list->entries, compare);
	return true;
}

static bool
matches(const List *list, const Entry *entry)
{
	for (guint i = 0; i < list->query.patterns->len; i++) {
		const char *pattern = list->query.patterns->pdata[i];

		if (imap_list_match(ph_slice(pattern), ph_slice(entry->name)))
			return true;
	}
	return false;
}

static bool
is_wanted(const List *list, const Entry *entry)
{
	uint32_t select = list->query.select;
	bool by_child =
		(select & LIST_RECURSIVE) != 0 || (list->lsub && list->query.ends_with_percent);

	if ((select & LIST_SPECIAL_USE) != 0 && entry->info.special_use == 0)
		return false;
	if (list->lsub || (select & LIST_SUBSCRIBED) != 0)
		return entry->subscribed || (by_child && entry->subscribed_below);
	return entry->exists || entry->has_children;
}

static void
append_attributes(const List *list, const Entry *entry, GString *out)
{
	gsize start = out->len;

	if (list->lsub) {
		g_string_append(out, entry->subscribed ? "" : "\\Noselect");
		return;
	}
	if (!entry->exists)
		g_string_append(out, list->query.extended ? " \\NonExistent" : " \\Noselect");
	g_string_append(out, entry->has_children ? " \\HasChildren" : " \\HasNoChildren");
	if (entry->subscribed && ((list->query.select | list->query.give) & LIST_SUBSCRIBED) != 0)
		g_string_append(out, " \\Subscribed");
	for (uint32_t i = 0; i < G_N_ELEMENTS(imap_use_names); i++)
		if (entry->info.special_use & 1U << i)
			g_string_append_printf(out, " %s", imap_use_names[i]);
	g_string_erase(out, (gssize) start, 1);
}

static void
append_entry(Imap *imap, const List *list, const Entry *entry, GString *out)
{
	g_string_append(out, list->lsub ? "* LSUB (" : "* LIST (");
	append_attributes(list, entry, out);
	g_string_append(out, ") \"/\"");
	imap_append_name(out, ph_slice(entry->name));
	if ((list->query.select & LIST_RECURSIVE) != 0 && entry->subscribed_below)
		g_string_append(out, " (\"CHILDINFO\" (\"SUBSCRIBED\"))");
	g_string_append(out, "\r\n");
	if (list->query.status != 0 && entry->exists)
		imap_append_status(imap, entry->name, &entry->info, list->query.status, out);
}

static PhNext
step(Imap *imap)
{
	List *list = (List *) imap->work;
	g_autoptr(GString) out = g_string_sized_new(512);

	while (list->at < list->entries->len) {
		const Entry *entry = list->entries->pdata[list->at++];

		if (!is_wanted(list, entry) || !matches(list, entry))
			continue;
		append_entry(imap, list, entry, out);
		if (out->len > 8192)
			break;
		if (ph_session_should_yield(imap->session))
			break;
	}
	ph_session_write(imap->session, PH_SLICE(out->str, out->len));
	return list->at < list->entries->len ? PH_MORE : imap_done(imap);
}

PhNext
imap_list(Imap *imap, Parser *parser)
{
	g_autoptr(GError) error = NULL;
	List *list = g_new0(List, 1);
	bool parsed;

	list->work.free = free_list;
	list->work.step = step;
	list->lsub = imap->command->name[1] == 'S';
	imap_work_begin(imap, list);
	parsed = imap_list_query_parse(parser, !list->lsub, &list->query);
	if (!parsed)
		return imap_parse_bad(imap, parser);
	if (list->query.root) {
		ph_session_write_text(imap->session,
		                      list->lsub ? "* LSUB (\\Noselect) \"/\" \"\"\r\n"
		                                 : "* LIST (\\Noselect) \"/\" \"\"\r\n");
		return imap_done(imap);
	}
	if (!gather(imap, list, &error))
		return imap_error(imap, error);
	return step(imap);
}
