/* fuzz-smtp.c: the parsers of the smtp, lmtp and pop3 plugins
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "fields.h"
#include "hops.h"
#include "parameters.h"
#include "stuff.h"
#include "surrogate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_parameters(PhSlice text)
{
	MailParameters mail;
	RcptParameters rcpt;
	Parameter parameter;
	PhSlice rest = text;
	size_t octets = 0;

	while (parameter_next(&rest, &parameter) == PARAMETER_FOUND)
		octets += parameter.keyword.length + parameter.value.length;
	g_assert_cmpuint(octets, <=, text.length);
	for (uint32_t offered = 0; offered <= OFFER_ALL; offered += OFFER_ALL) {
		(void) mail_parameters_parse(text, offered, &mail);
		g_assert_cmpint(mail.by_seconds, <=, 999999999);
		g_assert_cmpint(ABS(mail.priority), <=, 9);
		(void) rcpt_parameters_parse(text, offered, &rcpt);
		g_assert_cmpuint(rcpt.orcpt.length, <=, text.length);
	}
}

/* However the octets are cut, the count is the same. */
static void
check_hops(PhSlice text, size_t step)
{
	Hops whole = { 0 };
	Hops cut = { 0 };

	hops_scan(&whole, text);
	for (size_t at = 0; at < text.length; at += step)
		hops_scan(&cut, PH_SLICE(text.data + at, MIN(step, text.length - at)));
	g_assert_cmpuint(whole.n_received, ==, cut.n_received);
}

/* What a submitted message becomes, fed in pieces of @step. */
static GString *
completed(PhSlice text, size_t step)
{
	const FieldsFor whose = { .hostname = "h", .id = "i", .author = "a@h" };
	g_autoptr(GPtrArray) authors = g_ptr_array_new_with_free_func(g_free);
	GString *out = g_string_new(NULL);
	const char *problem = NULL;
	Fields fields = { 0 };
	bool is_done = false;

	for (size_t at = 0; at < text.length && problem == NULL; at += step) {
		PhSlice piece = PH_SLICE(text.data + at, MIN(step, text.length - at));

		if (!is_done && (fields_take(&fields, &piece) || at + step >= text.length)) {
			problem = fields_complete(&fields, &whose, out, authors);
			is_done = true;
		}
		g_string_append_len(out, piece.data, (gssize) piece.length);
	}
	fields_clear(&fields);
	if (problem != NULL)
		g_string_assign(out, problem);
	return out;
}

/* Pieces make no difference, and what was completed once is complete. */
static void
check_fields(PhSlice text, size_t step)
{
	GString *whole = completed(text, text.length + 1);
	GString *cut = completed(text, step);

	g_assert_cmpmem(whole->str, whole->len, cut->str, cut->len);
	g_string_free(whole, TRUE);
	g_string_free(cut, TRUE);
}

static void
gather(PhSlice octets, void *user_data)
{
	g_string_append_len(user_data, octets.data, (gssize) octets.length);
}

static GString *
stuffed(PhSlice text, size_t step, bool is_limited, uint64_t n_lines)
{
	GString *out = g_string_new(NULL);
	Stuff stuff;

	stuff_begin(&stuff, is_limited, n_lines);
	for (size_t at = 0; at < text.length; at += step)
		if (!stuff_piece(&stuff, PH_SLICE(text.data + at, MIN(step, text.length - at)),
		                 gather, out))
			break;
	stuff_end(&stuff, gather, out);
	return out;
}

/* Pieces make no difference, and the only line that is a lone dot is the last one. */
static void
check_stuff(PhSlice text, size_t step, bool is_limited)
{
	GString *whole = stuffed(text, text.length + 1, is_limited, step);
	GString *cut = stuffed(text, step, is_limited, step);

	g_assert_cmpmem(whole->str, whole->len, cut->str, cut->len);
	if (whole->len > 3) {
		g_assert_null(memmem(whole->str, whole->len - 3, "\n.\r\n", 4));
		g_assert_null(memmem(whole->str, whole->len - 3, "\n.\n", 3));
	}
	g_string_free(whole, TRUE);
	g_string_free(cut, TRUE);
}

/* Whatever a header is, its surrogate is ASCII, and a surrogate of that is the same; one that has no room
 * ends soon after it. */
static void
check_surrogate(PhSlice text)
{
	GString *once = g_string_new(NULL);
	GString *twice = g_string_new(NULL);

	g_assert_true(surrogate_header(text, G_MAXSIZE, once));
	g_assert_true(ph_slice_is_ascii(PH_SLICE(once->str, once->len)));
	g_assert_true(surrogate_header(PH_SLICE(once->str, once->len), G_MAXSIZE, twice));
	g_assert_cmpmem(once->str, once->len, twice->str, twice->len);
	g_string_truncate(twice, 0);
	if (once->len > 0)
		g_assert_false(surrogate_header(text, once->len - 1, twice));
	g_string_free(once, TRUE);
	g_string_free(twice, TRUE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PhSlice text = PH_SLICE((const char *) data, size);
	size_t step = size > 0 ? 1 + data[0] % 16 : 1;

	check_parameters(text);
	check_hops(text, step);
	check_fields(text, step);
	check_stuff(text, step, false);
	check_stuff(text, step, true);
	check_surrogate(text);
	return 0;
}
