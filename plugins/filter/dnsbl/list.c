/* list.c: one list of the DNS, as an option describes it
 *
 * Lists answer with addresses of 127.0.0.0/8 (RFC 5782). Those of 127.255.255.0/24 say that the
 * question was not allowed, and any other address that somebody owns a domain that was a list once:
 * neither means that anybody is listed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "list.h"

#include <posthorn/address.h>
#include <posthorn/error.h>

#include <arpa/inet.h>

/* Reading: the words of one option that are not read yet. */
typedef struct {
	const char *key;
	PhSlice rest;
} Reading;

static PhSlice
next_word(Reading *reading)
{
	PhSlice word;

	reading->rest = ph_slice_trim(reading->rest);
	word = ph_slice_split(&reading->rest, ' ');
	return ph_slice_trim(word);
}

static bool
complain(const Reading *reading, PhSlice word, const char *wanted, GError **error)
{
	g_autofree char *shown = ph_slice_dup(PH_SLICE(word.data, MIN(word.length, (size_t) 80)));

	if (word.length == 0)
		ph_error_set(error, PH_ERROR_INVALID, "'%s' ends where %s is expected",
		             reading->key, wanted);
	else
		ph_error_set(error, PH_ERROR_INVALID, "'%s' has '%s' where %s is expected",
		             reading->key, shown, wanted);
	return false;
}

static bool
read_address(PhSlice text, uint32_t *address_out)
{
	char buffer[INET_ADDRSTRLEN] = "";
	struct in_addr address;

	if (text.length >= sizeof buffer)
		return false;
	memcpy(buffer, text.data, text.length);
	if (inet_pton(AF_INET, buffer, &address) != 1)
		return false;
	*address_out = ntohl(address.s_addr);
	return true;
}

static bool
read_zone(Reading *reading, List *list, GError **error)
{
	PhSlice word = next_word(reading);
	uint32_t kind = 0;

	if (ph_domain_parse(word, 0, &kind) != PH_ADDRESS_OK || kind != PH_DOMAIN_NAME)
		return complain(reading, word, "the name of a list such as bl.example.org", error);
	list->zone = ph_slice_dup(word);
	return true;
}

static bool
read_of(Reading *reading, List *list, GError **error)
{
	PhSlice word = next_word(reading);

	if (ph_slice_is(word, "client"))
		list->of = LIST_OF_CLIENT;
	else if (ph_slice_is(word, "helo"))
		list->of = LIST_OF_HELO;
	else if (ph_slice_is(word, "sender"))
		list->of = LIST_OF_SENDER;
	else
		return complain(reading, word, "client, helo or sender", error);
	return true;
}

static bool
read_weight(Reading *reading, List *list, GError **error)
{
	PhSlice word = next_word(reading);
	bool is_negative = word.length > 0 && word.data[0] == '-';
	uint32_t weight = 0;

	if (!ph_slice_to_u32(ph_slice_from(word, is_negative ? 1 : 0), LIST_WEIGHT_MAX, &weight))
		return complain(reading, word, "a weight from -1000 to 1000", error);
	list->weight = is_negative ? -(int) weight : (int) weight;
	return true;
}

static bool
read_range(Reading *reading, List *list, GError **error)
{
	PhSlice word = next_word(reading);
	PhSlice last = word;
	PhSlice first = ph_slice_split(&last, '-');
	Range range;

	if (!read_address(first, &range.first)
	    || !read_address(last.length > 0 ? last : first, &range.last)
	    || range.first > range.last)
		return complain(reading, word, "an answer such as 127.0.0.2 or 127.0.0.4-127.0.0.7",
		                error);
	if (list->n_ranges == LIST_RANGES_MAX)
		return complain(reading, word, "the end: at most 16 answers", error);
	list->ranges[list->n_ranges++] = range;
	return true;
}

/* As many as there are: another part begins with a letter. */
static bool
read_ranges(Reading *reading, List *list, GError **error)
{
	bool goes_on = true;

	while (goes_on) {
		if (!read_range(reading, list, error))
			return false;
		reading->rest = ph_slice_trim(reading->rest);
		goes_on = reading->rest.length > 0 && g_ascii_isdigit(reading->rest.data[0]);
	}
	return true;
}

static bool
read_part(Reading *reading, List *list, GError **error)
{
	PhSlice word = next_word(reading);

	if (ph_slice_is(word, "of"))
		return read_of(reading, list, error);
	if (ph_slice_is(word, "weight"))
		return read_weight(reading, list, error);
	if (ph_slice_is(word, "for"))
		return read_ranges(reading, list, error);
	return complain(reading, word, "'of', 'weight' or 'for'", error);
}

List *
list_parse(const char *key, const char *text, GError **error)
{
	Reading reading = { .key = key, .rest = ph_slice(text) };
	List *list = g_new0(List, 1);
	bool ok = false;

	list->weight = 1;
	ok = read_zone(&reading, list, error);
	while (ok && ph_slice_trim(reading.rest).length > 0)
		ok = read_part(&reading, list, error);
	if (ok)
		return list;
	list_free(list);
	return NULL;
}

void
list_free(List *list)
{
	if (list == NULL)
		return;
	g_free(list->zone);
	g_free(list);
}

bool
list_counts(const List *list, PhSlice text)
{
	const uint32_t answers = UINT32_C(0x7f000000);  /* 127.0.0.0/8 */
	const uint32_t refusals = UINT32_C(0x7fffff00); /* 127.255.255.0/24 */
	uint32_t address = 0;

	if (!read_address(text, &address))
		return false;
	if (list->n_ranges == 0)
		return (address & 0xff000000) == answers && (address & 0xffffff00) != refusals;
	for (size_t i = 0; i < list->n_ranges; i++)
		if (address >= list->ranges[i].first && address <= list->ranges[i].last)
			return true;
	return false;
}
