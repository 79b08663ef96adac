/* index-pages.c: finds, walks over and saves the pages of a mailbox
 *
 * A page's key is its mailbox's number and a uid that is not above its first one; pages never
 * overlap. The newest messages are not in the table but in the mailbox's row, until they fill a
 * page.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/index-op.h"

static bool
damaged(const PhIndexMailbox *mailbox, GError **error)
{
	ph_error_set(error, PH_ERROR_CORRUPT, "a page of mailbox %d is damaged", (int) mailbox->no);
	return false;
}

/* --- the newest messages -------------------------------------------------------------------- */

PhIndexPage *
ph_index_tail(PhIndexMailbox *mailbox, GError **error)
{
	const GByteArray *tail = mailbox->tail;
	PhSlice packed = PH_SLICE_EMPTY;

	if (mailbox->page != NULL)
		return mailbox->page;
	if (tail != NULL)
		packed = PH_SLICE((const char *) tail->data, tail->len);
	mailbox->page = g_malloc(sizeof *mailbox->page);
	if (ph_page_read(mailbox->page, packed, PH_PAGE_ALL))
		return mailbox->page;
	g_clear_pointer(&mailbox->page, g_free);
	(void) damaged(mailbox, error);
	return NULL;
}

void
ph_index_pack_tail(PhIndexMailbox *mailbox)
{
	if (mailbox->page != NULL && mailbox->tail_dirty) {
		if (mailbox->tail == NULL)
			mailbox->tail = g_byte_array_new();
		g_byte_array_set_size(mailbox->tail, PH_PAGE_OCTETS);
		g_byte_array_set_size(mailbox->tail,
		                      (guint) ph_page_write(mailbox->page, mailbox->tail->data));
	}
	g_clear_pointer(&mailbox->page, g_free);
}

static bool
write_page(PhIndexConnection *connection,
           PhSql which,
           int64_t key,
           const PhIndexPage *page,
           GError **error)
{
	uint8_t packed[PH_PAGE_OCTETS];
	sqlite3_stmt *row = ph_index_sql(connection, which, error);

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, key);
	(void) sqlite3_bind_int64(row, 2, (int64_t) ph_page_change(page));
	(void) sqlite3_bind_blob(row, 3, packed, (int) ph_page_write(page, packed), SQLITE_STATIC);
	return ph_index_done(connection, row, "write a page", error);
}

bool
ph_index_push(PhIndexConnection *connection,
              PhIndexMailbox *mailbox,
              const uint64_t message[PH_COLUMNS],
              GError **error)
{
	PhIndexPage *tail = ph_index_tail(mailbox, error);

	if (tail == NULL)
		return false;
	if (tail->n == PH_PAGE_MESSAGES) {
		int64_t key = ph_index_key(mailbox->no, ph_page_uid(tail, 0));

		if (!write_page(connection, PH_SQL_PAGE_ADD, key, tail, error))
			return false;
		ph_page_begin(tail);
	}
	ph_page_push(tail, message);
	mailbox->dirty = true;
	mailbox->tail_dirty = true;
	return true;
}

/* --- looking for a page ----------------------------------------------------------------------- */

static uint32_t
last_uid(const PhIndexPage *page)
{
	return ph_page_uid(page, page->n - 1);
}

static void
stop_walking(PhIndexPages *pages)
{
	if (pages->is_walking)
		(void) sqlite3_reset(pages->connection->own[PH_SQL_PAGES]);
	pages->is_walking = false;
}

/* Takes the row that a statement stands at. @found_out: (out) it stands at one. */
static bool
take_row(PhIndexPages *pages, sqlite3_stmt *row, int status, bool *found_out, GError **error)
{
	PhSlice packed = PH_SLICE_EMPTY;

	*found_out = status == SQLITE_ROW;
	if (status != SQLITE_ROW)
		return status == SQLITE_DONE
		       || ph_index_fail(pages->connection, "read a page", error);
	pages->key = sqlite3_column_int64(row, 0);
	packed = PH_SLICE(sqlite3_column_blob(row, 1), (size_t) sqlite3_column_bytes(row, 1));
	if (packed.length == 0 || !ph_page_read(pages->own, packed, pages->columns))
		return damaged(pages->mailbox, error);
	pages->page = pages->own;
	pages->is_tail = false;
	return true;
}

/* The page whose key is the highest that is not above that of @uid. */
static bool
seek(PhIndexPages *pages, uint32_t uid, bool *found_out, GError **error)
{
	sqlite3_stmt *row = ph_index_sql(pages->connection, PH_SQL_PAGE_AT, error);
	bool good = false;

	stop_walking(pages);
	pages->key = ph_index_key(pages->mailbox->no, 0);
	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, ph_index_key(pages->mailbox->no, 0));
	(void) sqlite3_bind_int64(row, 2, ph_index_key(pages->mailbox->no, uid));
	good = take_row(pages, row, sqlite3_step(row), found_out, error);
	(void) sqlite3_reset(row);
	return good;
}

/* The page after the one whose key is known. */
static bool
step(PhIndexPages *pages, bool *found_out, GError **error)
{
	sqlite3_stmt *row = ph_index_sql(pages->connection, PH_SQL_PAGES, error);
	bool good = false;

	if (row == NULL)
		return false;
	if (!pages->is_walking) {
		(void) sqlite3_bind_int64(row, 1, pages->key);
		(void) sqlite3_bind_int64(row, 2, ph_index_key(pages->mailbox->no, UINT32_MAX));
		pages->is_walking = true;
	}
	good = take_row(pages, row, sqlite3_step(row), found_out, error);
	if (pages->writes || !good || !*found_out)
		stop_walking(pages);
	return good;
}

/* Does the tail begin at or below @uid, or is there nothing else? */
static bool
look_into_tail(PhIndexPages *pages, uint32_t uid, bool is_last, bool *found_out, GError **error)
{
	const PhIndexPage *tail = NULL;

	*found_out = false;
	if (pages->mailbox->page == NULL
	    && (pages->mailbox->tail == NULL || pages->mailbox->tail->len == 0))
		return true;
	tail = ph_index_tail(pages->mailbox, error);
	if (tail == NULL)
		return false;
	if (tail->n == 0 || (!is_last && ph_page_uid(tail, 0) > uid) || last_uid(tail) < uid)
		return true;
	stop_walking(pages);
	pages->page = pages->mailbox->page;
	pages->is_tail = true;
	*found_out = true;
	return true;
}

/* Looks in the table, then in the tail. */
static bool
look(PhIndexPages *pages, uint32_t uid, bool goes_on, bool *found_out, GError **error)
{
	if (!goes_on && !seek(pages, uid, found_out, error))
		return false;
	if (goes_on)
		*found_out = false;
	while (!*found_out || last_uid(pages->page) < uid) {
		if (!step(pages, found_out, error))
			return false;
		if (!*found_out)
			return look_into_tail(pages, uid, true, found_out, error);
	}
	return true;
}

bool
ph_index_pages_find(PhIndexPages *pages, uint32_t uid, PhIndexPage **page_out, GError **error)
{
	PhIndexPage *page = pages->page;
	bool goes_on = false;
	bool found = false;

	*page_out = NULL;
	if (pages->own == NULL)
		pages->own = g_malloc(sizeof *pages->own);
	if (page != NULL && page->n > 0 && uid >= pages->from && last_uid(page) >= uid) {
		*page_out = page;
		return true;
	}
	goes_on = page != NULL && !pages->is_tail && page->n > 0 && uid - last_uid(page) == 1;
	pages->page = NULL;
	if (!goes_on && !look_into_tail(pages, uid, false, &found, error))
		return false;
	if (!found && !look(pages, uid, goes_on, &found, error))
		return false;
	pages->from = uid;
	if (found)
		*page_out = pages->page;
	else
		pages->page = NULL;
	return true;
}

bool
ph_index_pages_save(PhIndexPages *pages, GError **error)
{
	sqlite3_stmt *row = NULL;

	if (pages->is_tail) {
		pages->mailbox->dirty = true;
		pages->mailbox->tail_dirty = true;
		return true;
	}
	if (pages->page->n > 0) {
		ph_page_need(pages->page, 1U << PH_COLUMN_CHANGE);
		return write_page(pages->connection, PH_SQL_PAGE_SET, pages->key, pages->page,
		                  error);
	}
	row = ph_index_sql(pages->connection, PH_SQL_PAGE_REMOVE, error);
	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, pages->key);
	return ph_index_done(pages->connection, row, "remove a page", error);
}

void
ph_index_pages_end(PhIndexPages *pages)
{
	stop_walking(pages);
	g_clear_pointer(&pages->own, g_free);
	pages->page = NULL;
}
