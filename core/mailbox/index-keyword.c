/* index-keyword.c: keywords of a mailbox as bits
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/index-op.h"

static bool
add_keyword(PhIndexRun *run,
            PhIndexMailbox *mailbox,
            const char *name,
            uint32_t *bit_out,
            GError **error)
{
	PhIndexConnection *connection = run->connection;
	sqlite3_stmt *row = NULL;

	if (mailbox->n_keywords >= run->index->max_keywords) {
		ph_error_set(error, PH_ERROR_LIMIT, "a mailbox holds at most %u keywords",
		             run->index->max_keywords);
		return false;
	}
	if (name[0] == '\0' || strlen(name) > PH_INDEX_KEYWORD_LENGTH) {
		ph_error_set(error, PH_ERROR_LIMIT, "a keyword has 1 to %d octets",
		             PH_INDEX_KEYWORD_LENGTH);
		return false;
	}
	row = ph_index_sql(connection, PH_SQL_KEYWORD_ADD, error);
	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, mailbox->no);
	(void) sqlite3_bind_int64(row, 2, mailbox->n_keywords);
	(void) sqlite3_bind_text(row, 3, name, -1, SQLITE_STATIC);
	if (!ph_index_done(connection, row, "add a keyword", error))
		return false;
	mailbox->keywords[mailbox->n_keywords] = g_strdup(name);
	*bit_out = mailbox->n_keywords++;
	return true;
}

static uint32_t
find_keyword(const PhIndexMailbox *mailbox, const char *name)
{
	uint32_t bit = 0;

	while (bit < mailbox->n_keywords
	       && (mailbox->keywords[bit] == NULL
	           || g_ascii_strcasecmp(mailbox->keywords[bit], name) != 0))
		bit++;
	return bit;
}

static bool
keyword_bits(PhIndexRun *run,
             PhIndexMailbox *mailbox,
             const char *const *names,
             bool must_add,
             uint64_t *bits_out,
             GError **error)
{
	*bits_out = 0;
	if (names == NULL || names[0] == NULL)
		return true;
	if (!ph_index_load_keywords(run->connection, mailbox, error))
		return false;
	for (; *names != NULL; names++) {
		uint32_t bit = find_keyword(mailbox, *names);
		bool is_new = bit == mailbox->n_keywords;

		if (is_new && must_add && !add_keyword(run, mailbox, *names, &bit, error))
			return false;
		if (!is_new || must_add)
			*bits_out |= UINT64_C(1) << bit;
	}
	return true;
}

bool
ph_index_keyword_bits(PhIndexRun *run,
                      PhIndexMailbox *mailbox,
                      const char *const *names,
                      uint64_t *bits_out,
                      GError **error)
{
	return keyword_bits(run, mailbox, names, true, bits_out, error);
}

bool
ph_index_known_keyword_bits(PhIndexRun *run,
                            PhIndexMailbox *mailbox,
                            const char *const *names,
                            uint64_t *bits_out,
                            GError **error)
{
	return keyword_bits(run, mailbox, names, false, bits_out, error);
}
