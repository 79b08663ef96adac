/* kit-read.c: what the store under test says, copied, and as texts to compare
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

enum {
	PIECE = 40000, /* read at once; no divisor of anything */
	CELL = 64,     /* generated octets repeat no sooner than their number changes */
};

/* --- records ------------------------------------------------------------------------------------- */

static int
compare_words(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

static char *
sorted_keywords(const char *const *keywords)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);

	for (; keywords != NULL && *keywords != NULL; keywords++)
		g_ptr_array_add(words, g_ascii_strdown(*keywords, -1));
	g_ptr_array_sort(words, compare_words);
	g_ptr_array_add(words, NULL);
	return g_strjoinv(" ", (char **) words->pdata);
}

static bool
copy_record(const PhRecord *record, void *user_data)
{
	PhKitReading *reading = user_data;
	PhKitRecord copy = { .record = *record };

	KIT_CHECK(record->uid > reading->last_uid, "changes: uid %u after uid %u: not in order",
	          record->uid, reading->last_uid);
	KIT_CHECK(reading->uids == NULL || ph_uid_set_contains(reading->uids, record->uid),
	          "changes: uid %u was not asked for", record->uid);
	reading->last_uid = record->uid;
	copy.keywords = sorted_keywords(record->keywords);
	copy.structure = g_strndup(record->structure.data != NULL ? record->structure.data : "",
	                           record->structure.length);
	copy.record.keywords = NULL;
	g_array_append_val(reading->records, copy);
	return reading->stop_after == 0 || reading->records->len < reading->stop_after;
}

static void
copy_expunged(uint32_t first, uint32_t last, void *user_data)
{
	PhKitReading *reading = user_data;

	KIT_CHECK(first != 0 && first <= last, "changes: expunged range %u:%u", first, last);
	KIT_CHECK(reading->since > 0, "changes: expunges were told for since 0");
	ph_uid_set_add_range(reading->expunged, first, last);
}

static void
clear_record(void *data)
{
	PhKitRecord *record = data;

	g_free(record->keywords);
	g_free(record->structure);
}

bool
ph_kit_try_read(PhKitAccount *a,
                const PhMailboxId *mailbox,
                PhKitReading *reading,
                uint32_t fields,
                GError **error)
{
	PhChangesQuery query = { .since = reading->since,
		                 .uids = reading->uids,
		                 .fields = fields,
		                 .record = copy_record,
		                 .expunged = copy_expunged,
		                 .user_data = reading };

	reading->records = g_array_new(FALSE, FALSE, sizeof(PhKitRecord));
	reading->expunged = ph_uid_set_new();
	g_array_set_clear_func(reading->records, clear_record);
	return ph_kit.table->changes(a->handle, mailbox, &query, &reading->result, error);
}

PhKitReading *
ph_kit_read(PhKitAccount *a,
            const PhMailboxId *mailbox,
            uint64_t since,
            const char *uids,
            uint32_t fields)
{
	g_autoptr(GError) error = NULL;
	PhKitReading *reading = g_new0(PhKitReading, 1);
	g_autoptr(PhUidSet) set =
		uids != NULL ? ph_uid_set_parse(ph_slice(uids), 0, SIZE_MAX) : NULL;

	reading->since = since;
	reading->uids = set;
	if (!ph_kit_try_read(a, mailbox, reading, fields, &error))
		ph_kit_fail("changes: %s", error != NULL ? error->message : "no error given");
	reading->uids = NULL;
	for (guint i = 0; i < reading->records->len; i++) {
		const PhRecord *record = &g_array_index(reading->records, PhKitRecord, i).record;

		KIT_CHECK(record->change > 0, "uid %u has change number 0", record->uid);
		KIT_CHECK(reading->result.full || record->change > since,
		          "changes: uid %u was altered before what was asked for", record->uid);
		KIT_CHECK(record->change <= reading->result.complete_to,
		          "changes: uid %u was altered after complete_to", record->uid);
	}
	return reading;
}

void
ph_kit_reading_free(PhKitReading *reading)
{
	g_array_unref(reading->records);
	ph_uid_set_free(reading->expunged);
	g_free(reading);
}

const PhKitRecord *
ph_kit_record_full(const PhKitReading *reading, uint32_t uid)
{
	for (guint i = 0; i < reading->records->len; i++) {
		const PhKitRecord *record = &g_array_index(reading->records, PhKitRecord, i);

		if (record->record.uid == uid)
			return record;
	}
	ph_kit_fail("changes: uid %u is not there", uid);
}

const PhRecord *
ph_kit_record(const PhKitReading *reading, uint32_t uid)
{
	return &ph_kit_record_full(reading, uid)->record;
}

/* --- texts ------------------------------------------------------------------------------------------ */

static void
append_record(GString *out, const PhKitRecord *record)
{
	static const char letters[] = "SAFTD";
	uint32_t flags = record->record.flags;

	g_string_append_printf(out, "%s%u:%s", out->len > 0 ? " " : "", record->record.uid,
	                       flags == 0 && record->keywords[0] == '\0' ? "-" : "");
	for (size_t i = 0; letters[i] != '\0'; i++)
		if ((flags >> i & 1) != 0)
			g_string_append_c(out, letters[i]);
	if (record->keywords[0] != '\0')
		g_string_append_printf(out, "+%s", record->keywords);
}

static char *
text_of(const PhKitReading *reading)
{
	GString *out = g_string_new(NULL);

	for (guint i = 0; i < reading->records->len; i++)
		append_record(out, &g_array_index(reading->records, PhKitRecord, i));
	return g_string_free(out, FALSE);
}

char *
ph_kit_messages(PhKitAccount *a, const PhMailboxId *mailbox)
{
	g_autoptr(PhKitReading) reading = ph_kit_read(a, mailbox, 0, NULL, PH_FIELD_FLAGS);

	return text_of(reading);
}

void
ph_kit_same_messages(PhKitAccount *a, const PhMailboxId *mailbox, const char *expected)
{
	g_autofree char *actual = ph_kit_messages(a, mailbox);

	ph_kit_same_text("messages", actual, expected);
}

/* Members up to @top: ranges of expunged uids may hold numbers that were never used. */
static char *
gone_text(const PhUidSet *expunged, uint32_t top)
{
	g_autoptr(PhUidSet) cut = ph_uid_set_new();

	for (uint32_t uid = 1; uid <= top; uid++)
		if (ph_uid_set_contains(expunged, uid))
			ph_uid_set_add(cut, uid);
	return ph_kit_set(cut);
}

char *
ph_kit_changed(PhKitAccount *a, const PhMailboxId *mailbox, uint64_t since, uint32_t top)
{
	g_autoptr(PhKitReading) reading = ph_kit_read(a, mailbox, since, NULL, PH_FIELD_FLAGS);
	g_autofree char *text = text_of(reading);
	g_autofree char *gone = gone_text(reading->expunged, top);

	KIT_CHECK(!reading->result.full, "changes: the history was trimmed already");
	return g_strdup_printf("%s%sgone %s", text, text[0] != '\0' ? " " : "", gone);
}

char *
ph_kit_set(const PhUidSet *set)
{
	GString *out = g_string_new(NULL);

	ph_uid_set_append_text(set, out);
	return g_string_free(out, FALSE);
}

static bool
add_name(const PhMailboxInfo *info, void *user_data)
{
	g_ptr_array_add(user_data, g_strdup(info->name));
	return true;
}

char *
ph_kit_names(PhKitAccount *a, uint64_t *list_change_out)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) error = NULL;
	uint64_t change = 0;

	if (!ph_kit.table->mailboxes(a->handle, add_name, names, &change, &error))
		ph_kit_fail("mailboxes: %s", error != NULL ? error->message : "no error given");
	if (list_change_out != NULL)
		*list_change_out = change;
	g_ptr_array_sort(names, compare_words);
	g_ptr_array_add(names, NULL);
	return g_strjoinv(" ", (char **) names->pdata);
}

typedef struct {
	GString *text;
	char *last;
} Values;

static bool
add_value(const char *key, PhSlice value, void *user_data)
{
	Values *values = user_data;

	KIT_CHECK(values->last == NULL || strcmp(values->last, key) < 0,
	          "values: key '%s' after '%s': not in order", key, values->last);
	g_free(values->last);
	values->last = g_strdup(key);
	g_string_append_printf(values->text, "%s%s=%.*s", values->text->len > 0 ? " " : "", key,
	                       (int) MIN(value.length, 40), value.data);
	return true;
}

char *
ph_kit_values(PhKitAccount *a, const PhMailboxId *mailbox, const char *prefix)
{
	Values values = { g_string_new(NULL), NULL };
	g_autoptr(GError) error = NULL;

	if (!ph_kit.table->values(a->handle, mailbox, prefix, add_value, &values, &error))
		ph_kit_fail("values: %s", error != NULL ? error->message : "no error given");
	g_free(values.last);
	return g_string_free(values.text, FALSE);
}

/* --- mailboxes -------------------------------------------------------------------------------------- */

typedef struct {
	PhMailboxInfo info;
	bool found;
} Search;

static bool
find_info(const PhMailboxInfo *info, void *user_data)
{
	Search *search = user_data;

	if (memcmp(&info->id, &search->info.id, sizeof info->id) != 0)
		return true;
	search->info = *info;
	search->info.name = NULL;
	search->found = true;
	return false;
}

bool
ph_kit_info(PhKitAccount *a, const PhMailboxId *mailbox, PhMailboxInfo *info_out)
{
	Search search = { .info = { .id = *mailbox } };
	g_autoptr(GError) error = NULL;

	if (!ph_kit.table->mailboxes(a->handle, find_info, &search, NULL, &error))
		ph_kit_fail("mailboxes: %s", error != NULL ? error->message : "no error given");
	*info_out = search.info;
	return search.found;
}

PhMailboxInfo
ph_kit_must_info(PhKitAccount *a, const PhMailboxId *mailbox)
{
	PhMailboxInfo info = { .name = NULL };

	KIT_CHECK(ph_kit_info(a, mailbox, &info), "the mailbox is not listed");
	return info;
}

static bool
add_info(const PhMailboxInfo *info, void *user_data)
{
	PhMailboxInfo copy = *info;

	copy.name = NULL;
	g_array_append_val((GArray *) user_data, copy);
	return true;
}

static void
check_counts_of(PhKitAccount *a, const PhMailboxInfo *info)
{
	g_autoptr(PhKitReading) all =
		ph_kit_read(a, &info->id, 0, NULL, PH_FIELD_FLAGS | PH_FIELD_OCTETS);
	PhMailboxInfo scan = { .n_messages = 0 };

	for (guint i = 0; i < all->records->len; i++)
		ph_mailbox_info_count(&scan, &g_array_index(all->records, PhKitRecord, i).record,
		                      1);
	ph_kit_same("messages listed for a mailbox", info->n_messages, scan.n_messages);
	ph_kit_same("unseen listed for a mailbox", info->n_unseen, scan.n_unseen);
	ph_kit_same("deleted listed for a mailbox", info->n_deleted, scan.n_deleted);
	ph_kit_same("octets listed for a mailbox", info->octets, scan.octets);
	KIT_CHECK(info->uidnext > all->last_uid, "uidnext is %u and uid %u is there", info->uidnext,
	          all->last_uid);
	KIT_CHECK(info->change <= all->result.complete_to,
	          "the list knows a change that changes does not");
}

void
ph_kit_check_counts(PhKitAccount *a)
{
	g_autoptr(GArray) infos = g_array_new(FALSE, FALSE, sizeof(PhMailboxInfo));
	g_autoptr(GError) error = NULL;

	if (!ph_kit.table->mailboxes(a->handle, add_info, infos, NULL, &error))
		ph_kit_fail("mailboxes: %s", error != NULL ? error->message : "no error given");
	for (guint i = 0; i < infos->len; i++)
		check_counts_of(a, &g_array_index(infos, PhMailboxInfo, i));
}

/* --- octets ------------------------------------------------------------------------------------------ */

PhContent *
ph_kit_content(PhKitAccount *a, const PhMailboxId *mailbox, uint32_t uid)
{
	g_autofree char *uids = g_strdup_printf("%u", uid);
	g_autoptr(PhKitReading) reading =
		ph_kit_read(a, mailbox, 0, uids, PH_FIELD_BLOB | PH_FIELD_OCTETS);
	const PhRecord *record = ph_kit_record(reading, uid);
	g_autoptr(GError) error = NULL;
	PhContent *content = NULL;

	if (!ph_kit.table->content(a->handle, mailbox, uid, &record->blob, &content, &error))
		ph_kit_fail("content of uid %u: %s", uid,
		            error != NULL ? error->message : "no error given");
	ph_kit_same("length of a content and octets of its record", ph_content_length(content),
	            record->octets);
	return content;
}

void
ph_kit_same_octets(PhContent *content, PhSlice octets)
{
	g_autofree char *buffer = g_malloc(PIECE);
	g_autoptr(GError) error = NULL;

	ph_kit_same("length of a content", ph_content_length(content), octets.length);
	for (size_t at = 0; at <= octets.length;) {
		size_t wanted = MIN(octets.length - at, PIECE);
		ssize_t got = ph_content_read(content, at, buffer, PIECE, &error);

		KIT_CHECK(got >= 0, "reading octets failed: %s",
		          error != NULL ? error->message : "no error given");
		KIT_CHECK((size_t) got == wanted && memcmp(buffer, octets.data + at, wanted) == 0,
		          "octets at %" G_GSIZE_FORMAT " of %" G_GSIZE_FORMAT
		          " are not what was appended",
		          at, octets.length);
		at += MAX(wanted, 1);
	}
}

void
ph_kit_check_octets(PhKitAccount *a, const PhMailboxId *mailbox, uint32_t uid, PhSlice octets)
{
	g_autoptr(PhContent) content = ph_kit_content(a, mailbox, uid);

	ph_kit_same_octets(content, octets);
}

/* Generated: octets that follow from seed and offset. */
typedef struct {
	uint64_t seed;
	uint64_t length;
} Generated;

static char
octet_at(const Generated *generated, uint64_t at)
{
	uint64_t cell = at / CELL;
	uint64_t mixed = (cell + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ generated->seed;

	if (at + 2 >= generated->length || at % CELL >= CELL - 2)
		return (at + 2 == generated->length || at % CELL == CELL - 2) ? '\r' : '\n';
	mixed ^= mixed >> 29;
	return (char) ('a' + (mixed + at % CELL * 7) % 26);
}

static ssize_t
generated_read(void *handle, uint64_t offset, char *buffer, size_t length, GError **error)
{
	const Generated *generated = handle;
	size_t n = offset < generated->length ? MIN(length, generated->length - offset) : 0;

	for (size_t i = 0; i < n; i++)
		buffer[i] = octet_at(generated, offset + i);
	return (ssize_t) n;
}

static const PhContentTable generated_table = {
	.size = sizeof generated_table,
	.read = generated_read,
	.free = g_free,
};

PhContent *
ph_kit_generated(uint64_t seed, uint64_t length)
{
	Generated *generated = g_new0(Generated, 1);

	generated->seed = seed;
	generated->length = length;
	return ph_content_new_custom(&generated_table, generated, length);
}

void
ph_kit_check_generated(PhContent *content, uint64_t seed, uint64_t length)
{
	Generated wanted = { seed, length };
	g_autofree char *buffer = g_malloc(PIECE);
	g_autofree char *expected = g_malloc(PIECE);
	g_autoptr(GError) error = NULL;

	ph_kit_same("length of a content", ph_content_length(content), length);
	for (uint64_t at = 0; at < length; at += PIECE) {
		ssize_t got = ph_content_read(content, at, buffer, PIECE, &error);

		KIT_CHECK(got >= 0, "reading octets failed: %s",
		          error != NULL ? error->message : "no error given");
		ph_kit_same("octets read", (uint64_t) got,
		            (uint64_t) generated_read(&wanted, at, expected, PIECE, NULL));
		KIT_CHECK(memcmp(buffer, expected, (size_t) got) == 0,
		          "octets at %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
		          " are not what was appended",
		          at, length);
	}
}
