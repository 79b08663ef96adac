/* surrogate.c: a message for clients that know nothing but ASCII in header fields
 *
 * Most messages have no octet above 127 at all; only of the others is the structure looked at.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "surrogate.h"

#include <posthorn/message.h>
#include <posthorn/slice.h>

enum {
	SMALL_MAX = 64 * 1024 /* of a message that is read only once */
};

/* Making: the surrogate under way. */
typedef struct {
	PhContent *content;
	GPtrArray *pieces; /* PhContent */
	uint64_t at;       /* of the content, what is in pieces already */
	uint64_t n_read;   /* octets of headers that were rewritten, or tried */
	size_t n_made;     /* octets of memory in pieces */
} Making;

static bool
is_narrow(PhSlice piece, void *user_data, GError **error)
{
	return ph_slice_is_ascii(piece);
}

static bool
scan(PhSlice piece, void *user_data, GError **error)
{
	ph_structure_scanner_feed(user_data, piece);
	return true;
}

static PhStructure *
read_structure(PhContent *content, GError **error)
{
	g_autoptr(PhScanner) scanner = ph_structure_scanner_new();

	return ph_content_each(content, 0, UINT64_MAX, scan, scanner, error)
	               ? ph_structure_scanner_finish(scanner)
	               : NULL;
}

static void
keep_until(Making *making, uint64_t offset)
{
	if (offset > making->at)
		g_ptr_array_add(making->pieces, ph_content_new_range(making->content, making->at,
		                                                     offset - making->at));
	making->at = offset;
}

/* The header as it was. NULL with @error. */
static char *
read_header(const Making *making, const PhPart *part, PhSlice *header_out, GError **error)
{
	g_autofree char *octets = g_malloc(part->header_size + 1);
	ssize_t got = ph_content_read(making->content, part->header_offset, octets,
	                              part->header_size, error);

	if (got < 0)
		return NULL;
	*header_out = PH_SLICE(octets, (size_t) got);
	return g_steal_pointer(&octets);
}

static bool
replace(Making *making, const PhPart *part, GError **error)
{
	PhSlice header = PH_SLICE_EMPTY;
	g_autofree char *octets = read_header(making, part, &header, error);
	GString *made = NULL;
	gsize length = 0;

	if (octets == NULL)
		return false;
	made = g_string_new(NULL);
	if (!surrogate_header(header, SURROGATE_MADE_MAX - making->n_made, made)) {
		g_string_free(made, TRUE);
		return true;
	}
	keep_until(making, part->header_offset);
	length = made->len;
	making->n_made += length;
	g_ptr_array_add(making->pieces, ph_content_new_take(g_string_free(made, FALSE), length));
	making->at = part->header_offset + part->header_size;
	return true;
}

/* A header in ASCII counts for nothing. */
static bool
rewrite(Making *making, const PhPart *part, GError **error)
{
	g_autoptr(GError) failure = NULL;

	if (ph_content_each(making->content, part->header_offset, part->header_size, is_narrow,
	                    NULL, &failure))
		return true;
	if (failure != NULL) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	if (part->header_size > SURROGATE_READ_MAX - making->n_read)
		return true;
	making->n_read += part->header_size;
	return replace(making, part, error);
}

static PhContent *
make(PhContent *content, const PhStructure *structure, GError **error)
{
	g_autoptr(GPtrArray) pieces =
		g_ptr_array_new_with_free_func((GDestroyNotify) ph_content_unref);
	Making making = { .content = content, .pieces = pieces };
	const PhPart *part = NULL;

	for (uint32_t i = 0; i < ph_structure_info(structure)->n_parts; i++) {
		part = ph_structure_part(structure, i);
		if (part->header_offset >= making.at && part->header_size > 0
		    && !rewrite(&making, part, error))
			return NULL;
	}
	if (pieces->len == 0)
		return ph_content_ref(content);
	keep_until(&making, ph_content_length(content));
	return ph_content_new_joined((PhContent *const *) (void *) pieces->pdata, pieces->len);
}

/* A small one in memory; others as they are. */
static PhContent *
at_hand(PhContent *content, GError **error)
{
	uint64_t length = ph_content_length(content);
	g_autofree char *octets = NULL;
	PhSlice whole;
	ssize_t got = 0;

	if (length > SMALL_MAX || ph_content_peek(content, &whole))
		return ph_content_ref(content);
	octets = g_malloc(length + 1);
	got = ph_content_read(content, 0, octets, length, error);
	return got >= 0 ? ph_content_new_take(g_steal_pointer(&octets), (size_t) got) : NULL;
}

PhContent *
surrogate_new(PhContent *content, GError **error)
{
	g_autoptr(PhContent) whole = at_hand(content, error);
	g_autoptr(PhStructure) structure = NULL;
	g_autoptr(GError) failure = NULL;

	if (whole == NULL)
		return NULL;
	if (ph_content_each(whole, 0, UINT64_MAX, is_narrow, NULL, &failure))
		return g_steal_pointer(&whole);
	if (failure != NULL) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return NULL;
	}
	structure = read_structure(whole, error);
	return structure != NULL ? make(whole, structure, error) : NULL;
}
