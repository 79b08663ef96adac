/* address.c: the paths of MAIL and RCPT
 *
 *	Reverse-path  = Path / "<>"
 *	Forward-path  = Path / "<Postmaster>"
 *	Path          = "<" [ A-d-l ":" ] Mailbox ">"
 *	A-d-l         = At-domain *( "," At-domain )      ; accepted, ignored
 *	At-domain     = "@" Domain
 *	Mailbox       = Local-part "@" ( Domain / address-literal )
 *	Local-part    = Dot-string / Quoted-string
 *	Dot-string    = Atom *("." Atom)
 *	Quoted-string = DQUOTE *( %d32-33 / %d35-91 / %d93-126 / "\" %d32-126 ) DQUOTE
 *
 * (RFC 5321 section 4.1.2); RFC 6531 section 3.3 adds well-formed UTF-8 to Atom, Quoted-string and
 * sub-domain. The grammar is read first and lengths are judged after it, so that a caller can
 * tell "too long" from "makes no sense".
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/address.h>

#include "message/address-literal.h"
#include "message/lex.h"

/* What was read, as slices of the text. */
typedef struct {
	PhSlice local; /* as written */
	PhSlice domain;
	uint32_t domain_kind;
	bool too_long;
} Scan;

static bool
is_atom_octet(char c)
{
	return ph_lex_is(c, PH_LEX_ATEXT) || ph_lex_is_8bit(c);
}

/* Octets of the Dot-string, 0 when there is none. */
static size_t
scan_dot_string(PhSlice text)
{
	size_t n = 0;

	for (;;) {
		size_t start = n;

		while (n < text.length && is_atom_octet(text.data[n]))
			n++;
		if (n == start)
			return 0;
		if (n == text.length || text.data[n] != '.')
			return n;
		n++;
	}
}

static bool
is_quotable(char c)
{
	return (c >= ' ' && c <= '~') || ph_lex_is_8bit(c);
}

/* Octets of the Quoted-string with its quotes, 0 when it is not one. */
static size_t
scan_quoted_string(PhSlice text)
{
	for (size_t i = 1; i < text.length; i++) {
		if (text.data[i] == '"')
			return i + 1;
		if (text.data[i] == '\\') {
			i++;
			if (i == text.length || ph_lex_is_8bit(text.data[i]))
				return 0;
		}
		if (!is_quotable(text.data[i]))
			return 0;
	}
	return 0;
}

static PhAddressResult
scan_local(PhSlice *text, Scan *scan)
{
	bool quoted = text->length > 0 && text->data[0] == '"';
	size_t n = quoted ? scan_quoted_string(*text) : scan_dot_string(*text);

	if (n == 0)
		return PH_ADDRESS_SYNTAX;
	scan->local = PH_SLICE(text->data, n);
	if (!ph_slice_is_utf8(scan->local))
		return PH_ADDRESS_SYNTAX;
	scan->too_long |= n > PH_LOCAL_PART_MAX;
	ph_lex_skip(text, n);
	return PH_ADDRESS_OK;
}

static bool
take(PhSlice *text, char c)
{
	if (text->length == 0 || text->data[0] != c)
		return false;
	ph_lex_skip(text, 1);
	return true;
}

static PhAddressResult
scan_mailbox(PhSlice *text, Scan *scan)
{
	PhAddressResult result = scan_local(text, scan);
	size_t n = 0;

	if (result != PH_ADDRESS_OK)
		return result;
	if (!take(text, '@'))
		return PH_ADDRESS_SYNTAX;
	result = ph_domain_scan(*text, &n, &scan->domain_kind);
	if (result == PH_ADDRESS_SYNTAX)
		return result;
	scan->too_long |= result == PH_ADDRESS_TOO_LONG;
	scan->domain = PH_SLICE(text->data, n);
	ph_lex_skip(text, n);
	return PH_ADDRESS_OK;
}

/* "@a,@b:" before the mailbox. */
static PhAddressResult
skip_route(PhSlice *text)
{
	if (text->length == 0 || text->data[0] != '@')
		return PH_ADDRESS_OK;
	do {
		size_t n = 0;
		uint32_t kind = PH_DOMAIN_NONE;

		if (!take(text, '@') || ph_domain_scan(*text, &n, &kind) == PH_ADDRESS_SYNTAX
		    || kind != PH_DOMAIN_NAME)
			return PH_ADDRESS_SYNTAX;
		ph_lex_skip(text, n);
	} while (take(text, ','));
	return take(text, ':') ? PH_ADDRESS_OK : PH_ADDRESS_SYNTAX;
}

static void
copy_local(PhSlice local, PhAddress *address)
{
	size_t n = 0;
	bool quoted = local.length > 0 && local.data[0] == '"';

	for (size_t i = quoted ? 1 : 0; i < local.length - (quoted ? 1 : 0); i++) {
		if (quoted && local.data[i] == '\\')
			i++;
		address->local[n++] = local.data[i];
	}
	address->local[n] = '\0';
	address->local_length = (uint16_t) n;
}

static PhAddressResult
accept_mailbox(const Scan *scan, uint32_t flags, PhAddress *address_out)
{
	bool utf8 = !ph_slice_is_ascii(scan->local) || !ph_slice_is_ascii(scan->domain);

	if (scan->too_long)
		return PH_ADDRESS_TOO_LONG;
	if (utf8 && (flags & PH_ADDRESS_ALLOW_UTF8) == 0)
		return PH_ADDRESS_NEEDS_UTF8;
	address_out->kind = PH_ADDRESS_MAILBOX;
	address_out->domain_kind = scan->domain_kind;
	address_out->is_utf8 = utf8;
	copy_local(scan->local, address_out);
	for (size_t i = 0; i < scan->domain.length; i++)
		address_out->domain[i] = g_ascii_tolower(scan->domain.data[i]);
	address_out->domain[scan->domain.length] = '\0';
	address_out->domain_length = (uint16_t) scan->domain.length;
	return PH_ADDRESS_OK;
}

static void
set_special(PhAddress *address, PhAddressKind kind, const char *local)
{
	address->kind = kind;
	address->domain_kind = PH_DOMAIN_NONE;
	address->is_utf8 = false;
	address->local_length = (uint16_t) strlen(local);
	address->domain_length = 0;
	address->domain[0] = '\0';
	memcpy(address->local, local, (size_t) address->local_length + 1);
}

/* The two paths that are no mailbox; the number of their octets, or 0. */
static size_t
scan_special(PhSlice text, uint32_t flags, PhAddress *address_out)
{
	if ((flags & PH_ADDRESS_ALLOW_NULL) != 0 && ph_slice_starts_nocase(text, "<>")) {
		set_special(address_out, PH_ADDRESS_NULL, "");
		return strlen("<>");
	}
	if ((flags & PH_ADDRESS_ALLOW_POSTMASTER) != 0
	    && ph_slice_starts_nocase(text, "<Postmaster>")) {
		set_special(address_out, PH_ADDRESS_POSTMASTER, "postmaster");
		return strlen("<Postmaster>");
	}
	return 0;
}

PhAddressResult
ph_address_parse_path(PhSlice text, uint32_t flags, PhAddress *address_out, size_t *used_out)
{
	Scan scan = { .domain_kind = PH_DOMAIN_NONE };
	PhSlice rest = text;
	size_t used = scan_special(text, flags, address_out);
	PhAddressResult result = PH_ADDRESS_OK;

	if (used == 0) {
		if (!take(&rest, '<') || skip_route(&rest) != PH_ADDRESS_OK
		    || scan_mailbox(&rest, &scan) != PH_ADDRESS_OK || !take(&rest, '>'))
			return PH_ADDRESS_SYNTAX;
		used = text.length - rest.length;
		scan.too_long |= used > PH_PATH_MAX;
		result = accept_mailbox(&scan, flags, address_out);
	}
	if (result == PH_ADDRESS_OK && used_out != NULL)
		*used_out = used;
	return result;
}

PhAddressResult
ph_address_parse_mailbox(PhSlice text, uint32_t flags, PhAddress *address_out)
{
	Scan scan = { .domain_kind = PH_DOMAIN_NONE };
	PhSlice rest = text;

	if (scan_mailbox(&rest, &scan) != PH_ADDRESS_OK || rest.length > 0)
		return PH_ADDRESS_SYNTAX;
	scan.too_long |= text.length + 2 > PH_PATH_MAX;
	return accept_mailbox(&scan, flags, address_out);
}

PhAddressResult
ph_domain_parse(PhSlice text, uint32_t flags, uint32_t *kind_out)
{
	size_t n = 0;
	uint32_t kind = PH_DOMAIN_NONE;
	PhAddressResult result = ph_domain_scan(text, &n, &kind);

	if (result == PH_ADDRESS_SYNTAX || n != text.length)
		return PH_ADDRESS_SYNTAX;
	if (result == PH_ADDRESS_TOO_LONG)
		return result;
	if ((flags & PH_ADDRESS_ALLOW_UTF8) == 0 && !ph_slice_is_ascii(text))
		return PH_ADDRESS_NEEDS_UTF8;
	if (kind_out != NULL)
		*kind_out = kind;
	return PH_ADDRESS_OK;
}

bool
ph_address_equal(const PhAddress *a, const PhAddress *b)
{
	return a->kind == b->kind && a->local_length == b->local_length
	       && a->domain_length == b->domain_length
	       && memcmp(a->local, b->local, a->local_length) == 0
	       && memcmp(a->domain, b->domain, a->domain_length) == 0;
}

void
ph_address_append(const PhAddress *address, GString *out)
{
	PhSlice local = PH_SLICE(address->local, address->local_length);

	if (address->kind == PH_ADDRESS_NULL)
		return;
	if (scan_dot_string(local) == local.length && local.length > 0) {
		ph_lex_append(out, local);
	} else {
		g_string_append_c(out, '"');
		for (size_t i = 0; i < local.length; i++) {
			if (local.data[i] == '"' || local.data[i] == '\\')
				g_string_append_c(out, '\\');
			g_string_append_c(out, local.data[i]);
		}
		g_string_append_c(out, '"');
	}
	if (address->kind == PH_ADDRESS_MAILBOX) {
		g_string_append_c(out, '@');
		ph_lex_append(out, PH_SLICE(address->domain, address->domain_length));
	}
}

void
ph_address_append_path(const PhAddress *address, GString *out)
{
	g_string_append_c(out, '<');
	ph_address_append(address, out);
	g_string_append_c(out, '>');
}

char *
ph_address_dup(const PhAddress *address)
{
	GString *out =
		g_string_sized_new((gsize) address->local_length + address->domain_length + 4);

	ph_address_append(address, out);
	return g_string_free(out, FALSE);
}
