/* search-key.c: the tree of a search, and search strings in the client's charset
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/search.h>
#include <posthorn/slice.h>

PhSearchKey *
ph_search_key_new(uint32_t kind)
{
	PhSearchKey *key = g_new0(PhSearchKey, 1);

	key->kind = kind;
	return key;
}

void
ph_search_key_add(PhSearchKey *parent, PhSearchKey *child)
{
	/* Room for a power of two: grows when the count reaches one. */
	uint32_t n = parent->n_children;
	if ((n & (n - 1)) == 0)
		parent->children = g_renew(PhSearchKey *, parent->children, n == 0 ? 1 : n * 2);
	parent->children[n] = child;
	parent->n_children = n + 1;
}

/* The builder bounds the depth (50), so that recursion is safe here and in the evaluation. */
void
ph_search_key_free(PhSearchKey *key)
{
	if (key == NULL)
		return;
	for (uint32_t i = 0; i < key->n_children; i++)
		ph_search_key_free(key->children[i]);
	g_free(key->children);
	ph_uid_set_free(key->set);
	g_free(key->name);
	g_free(key->text);
	g_free(key);
}

char *
ph_charset_to_utf8(PhSlice text, PhSlice charset, bool *known_out)
{
	*known_out = true;
	if (charset.length == 0 || ph_slice_is_nocase(charset, "US-ASCII"))
		return ph_slice_is_ascii(text) ? ph_slice_dup(text) : NULL;
	if (ph_slice_is_nocase(charset, "UTF-8"))
		return ph_slice_is_utf8(text) ? ph_slice_dup(text) : NULL;
	if (!ph_charset_known(charset)) {
		*known_out = false;
		return NULL;
	}

	GString *out = g_string_new(NULL);
	(void) ph_charset_append(charset, text, out);
	return g_string_free(out, FALSE);
}
