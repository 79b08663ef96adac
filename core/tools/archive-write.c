/* archive-write.c: an account as a file: what is written
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "base/json.h"
#include "tools/archive.h"
#include "tools/tar.h"

static const char *const uses[] = { "\\All",  "\\Archive", "\\Drafts", "\\Flagged",
	                            "\\Junk", "\\Sent",    "\\Trash" };
static const char *const flags[] = { "\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft" };

void
ph_archive_mailbox_clear(PhArchiveMailbox *mailbox)
{
	g_free(mailbox->name);
	if (mailbox->values != NULL)
		g_hash_table_unref(mailbox->values);
	*mailbox = (PhArchiveMailbox){ .name = NULL };
}

static void
append_hex(GString *out, const uint8_t *octets, size_t length)
{
	g_string_append_c(out, '"');
	for (size_t i = 0; i < length; i++)
		g_string_append_printf(out, "%02x", octets[i]);
	g_string_append_c(out, '"');
}

static void
append_word(GString *out, const char *word, bool *first)
{
	if (!*first)
		g_string_append_c(out, ',');
	*first = false;
	ph_json_string(out, ph_slice(word));
}

static void
append_bits(GString *out, uint32_t bits, const char *const *words, size_t n)
{
	bool first = true;

	g_string_append_c(out, '[');
	for (size_t i = 0; i < n; i++)
		if ((bits & 1U << i) != 0)
			append_word(out, words[i], &first);
	g_string_append_c(out, ']');
}

/* Values are octets: in base64. */
static void
append_values(GString *out, GHashTable *values)
{
	GHashTableIter iter;
	gpointer key = NULL;
	gpointer value = NULL;
	const char *comma = "";

	g_string_append(out, ",\"values\":{");
	if (values != NULL) {
		g_hash_table_iter_init(&iter, values);
		while (g_hash_table_iter_next(&iter, &key, &value)) {
			gsize length = 0;
			const guchar *data = g_bytes_get_data(value, &length);
			g_autofree char *text = g_base64_encode(data, length);

			g_string_append(out, comma);
			ph_json_string(out, ph_slice(key));
			g_string_append_printf(out, ":\"%s\"", text);
			comma = ",";
		}
	}
	g_string_append_c(out, '}');
}

void
ph_archive_append_record(GString *out, const PhRecord *record)
{
	bool first = true;

	g_string_append_printf(out,
	                       "{\"uid\":%u,\"change\":%" G_GUINT64_FORMAT
	                       ",\"octets\":%" G_GUINT64_FORMAT
	                       ",\"internal_date\":%" G_GINT64_FORMAT
	                       ",\"zone\":%d,\"save_date\":%" G_GINT64_FORMAT ",\"flags\":",
	                       record->uid, record->change, record->octets, record->internal_date,
	                       record->internal_zone, record->save_date);
	append_bits(out, record->flags, flags, G_N_ELEMENTS(flags));
	g_string_append(out, ",\"keywords\":[");
	for (const char *const *k = record->keywords; k != NULL && *k != NULL; k++)
		append_word(out, *k, &first);
	g_string_append(out, "],\"message_id\":");
	append_hex(out, record->message_id, sizeof record->message_id);
	g_string_append_c(out, '}');
}

bool
ph_archive_begin(PhArchiveWriter *writer, const char *id, GHashTable *values, GError **error)
{
	g_autoptr(GString) out = g_string_new("{\"format\":\"posthorn-archive\",\"version\":1,");

	ph_json_member(out, "id", id);
	append_values(out, values);
	g_string_append(out, "}\n");
	return ph_tar_put(writer->fd, "posthorn.json", PH_SLICE(out->str, out->len), error);
}

bool
ph_archive_put_mailbox(PhArchiveWriter *writer, const PhArchiveMailbox *mailbox, GError **error)
{
	g_autoptr(GString) out = g_string_new("{");
	g_autofree char *entry = g_strdup_printf("%u/mailbox.json", ++writer->mailbox);

	writer->piece = 0;
	writer->message = 0;
	ph_json_member(out, "name", mailbox->name);
	g_string_append_printf(out,
	                       ",\"uidvalidity\":%u,\"uidnext\":%u,\"change\":%" G_GUINT64_FORMAT
	                       ",\"special_use\":",
	                       mailbox->uidvalidity, mailbox->uidnext, mailbox->change);
	append_bits(out, mailbox->special_use, uses, G_N_ELEMENTS(uses));
	if (mailbox->has_id) {
		g_string_append(out, ",\"id\":");
		append_hex(out, mailbox->id.octets, sizeof mailbox->id.octets);
	}
	append_values(out, mailbox->values);
	g_string_append(out, "}\n");
	return ph_tar_put(writer->fd, entry, PH_SLICE(out->str, out->len), error);
}

bool
ph_archive_put_piece(PhArchiveWriter *writer, PhSlice records, GError **error)
{
	g_autofree char *entry =
		g_strdup_printf("%u/messages-%u.json", writer->mailbox, ++writer->piece);
	g_autoptr(GString) out = g_string_sized_new(records.length + 32);

	g_string_append(out, "{\"messages\":[");
	g_string_append_len(out, records.data, (gssize) records.length);
	g_string_append(out, "]}\n");
	return ph_tar_put(writer->fd, entry, PH_SLICE(out->str, out->len), error);
}

bool
ph_archive_put_message(PhArchiveWriter *writer, PhContent *content, GError **error)
{
	g_autofree char *entry = g_strdup_printf("%u/%u.eml", writer->mailbox, ++writer->message);

	return ph_tar_put_content(writer->fd, entry, content, error);
}

bool
ph_archive_finish(PhArchiveWriter *writer, GError **error)
{
	return ph_tar_end(writer->fd, error);
}
