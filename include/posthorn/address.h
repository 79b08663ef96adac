/* address.h: mail addresses: the paths of SMTP, the lists of header fields, and xtext
 *
 * Two grammars that must not be mixed live here. The *path* of RFC 5321 is what MAIL and RCPT
 * carry; it is parsed to the letter, because it decides where mail goes. The *address list* of
 * RFC 5322 stands in From, To and the like; it is parsed leniently, because it is only shown.
 *
 * A PhAddress is canonical: the local part without quotes and escapes (case kept), the domain in
 * lower case. Two spellings of one mailbox are therefore equal octet by octet. Nothing in it can
 * hold NUL or an ASCII control character. It owns no memory and may be copied as a struct.
 *
 * Thread: any, for everything here. Nothing blocks, nothing keeps a pointer.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_ADDRESS_H
#define POSTHORN_ADDRESS_H

#include <posthorn/types.h>

G_BEGIN_DECLS

#define PH_LOCAL_PART_MAX 64  /* octets, as on the wire (RFC 5321 section 4.5.3.1.1) */
#define PH_DOMAIN_MAX     255 /* octets (4.5.3.1.2) */
#define PH_PATH_MAX       256 /* octets with the angle brackets (4.5.3.1.3) */

/* PhAddressResult: what became of a text. With the reply that SMTP gives for it. */
typedef enum {
	PH_ADDRESS_OK = 0,
	PH_ADDRESS_SYNTAX = 1,     /* not in the grammar: 501 5.1.7 (MAIL) or 5.1.3 (RCPT) */
	PH_ADDRESS_TOO_LONG = 2,   /* local part, domain, label or path: same codes, says so */
	PH_ADDRESS_NEEDS_UTF8 = 3, /* fine with SMTPUTF8, which was not asked for: 553 5.6.7 */
} PhAddressResult;

/* PhAddressKind: which of the three things a path can be. */
typedef enum {
	PH_ADDRESS_MAILBOX = 1,    /* local@domain */
	PH_ADDRESS_NULL = 2,       /* <>, the reverse path of bounces; both strings empty */
	PH_ADDRESS_POSTMASTER = 3, /* <Postmaster>; local is "postmaster", domain empty */
} PhAddressKind;

/* PhDomainKind: what the domain is. Literals keep their brackets in PhAddress.domain. */
typedef enum {
	PH_DOMAIN_NONE = 0,    /* PH_ADDRESS_NULL and PH_ADDRESS_POSTMASTER */
	PH_DOMAIN_NAME = 1,    /* example.org */
	PH_DOMAIN_IPV4 = 2,    /* [192.0.2.1] */
	PH_DOMAIN_IPV6 = 3,    /* [ipv6:2001:db8::1] */
	PH_DOMAIN_GENERAL = 4, /* [tag:content] with another tag */
} PhDomainKind;

/* What a caller allows. A null path needs NULL, <Postmaster> needs POSTMASTER. */
typedef enum {
	PH_ADDRESS_ALLOW_NULL = 1 << 0,
	PH_ADDRESS_ALLOW_POSTMASTER = 1 << 1,
	PH_ADDRESS_ALLOW_UTF8 = 1 << 2, /* RFC 6531: UTF-8 local parts and U-labels */
} PhAddressFlags;

/* PhAddress: one canonical address; both strings are NUL-terminated. */
typedef struct {
	uint32_t kind;        /* PhAddressKind */
	uint32_t domain_kind; /* PhDomainKind */
	uint16_t local_length;
	uint16_t domain_length;
	bool is_utf8;                      /* holds octets above 127: needs SMTPUTF8 onward */
	char local[PH_LOCAL_PART_MAX + 1]; /* without quotes */
	char domain[PH_DOMAIN_MAX + 1];    /* lower case */
} PhAddress;

/* ph_address_parse_path: Reverse-path or Forward-path at the start of @text.
 * Source routes ("<@a,@b:user@host>") are accepted and ignored (appendix C).
 * @text: (borrowed) what follows "FROM:" or "TO:", parameters included
 * @flags: PhAddressFlags     @address_out: (out) written for OK only
 * @used_out: (out, nullable) octets of the path, for OK only: parameters begin there */
PH_PUBLIC PhAddressResult ph_address_parse_path(PhSlice text,
                                                uint32_t flags,
                                                PhAddress *address_out,
                                                size_t *used_out);

/* ph_address_parse_mailbox: all of @text is one Mailbox (local@domain) without brackets, as VRFY,
 * tables and option values have it. */
PH_PUBLIC PhAddressResult ph_address_parse_mailbox(PhSlice text,
                                                   uint32_t flags,
                                                   PhAddress *address_out);

/* ph_domain_parse: all of @text is a Domain or address-literal, as in EHLO.
 * @kind_out: (out, nullable) PhDomainKind for OK. The text is not folded. */
PH_PUBLIC PhAddressResult ph_domain_parse(PhSlice text, uint32_t flags, uint32_t *kind_out);

/* ph_address_equal: same mailbox: local parts octet by octet, domains as folded. */
PH_PUBLIC bool ph_address_equal(const PhAddress *a, const PhAddress *b);

/* ph_address_append: writes the address as it goes on the wire, the local part quoted where the
 * grammar needs it; nothing for the null address. */
PH_PUBLIC void ph_address_append(const PhAddress *address, GString *out);

/* ph_address_append_path: the same in angle brackets, "<>" for the null address. */
PH_PUBLIC void ph_address_append_path(const PhAddress *address, GString *out);

/* ph_address_dup: ph_address_append in a new string (owned). */
PH_PUBLIC char *ph_address_dup(const PhAddress *address);

/* xtext (RFC 3461 section 4), as in AUTH=, ENVID= and ORCPT=. Encoding appends to @out. Decoding
 * appends the octets, which may be anything, and returns false (with @out as it was) for text that
 * is not xtext; only upper-case hex digits are. */
PH_PUBLIC void ph_xtext_encode(PhSlice octets, GString *out);
PH_PUBLIC bool ph_xtext_decode(PhSlice text, GString *out);

/* PhListedKind: what stands next in an address list. */
typedef enum {
	PH_LISTED_MAILBOX = 1,
	PH_LISTED_GROUP_START = 2, /* name is the group's; the rest is empty */
	PH_LISTED_GROUP_END = 3,   /* all empty */
} PhListedKind;

/* PhListed: one item of an address list. Slices are borrowed until the next step of the iterator.
 * The name is dequoted, folds removed, encoded words left as they are (ph_header_decode decodes
 * them). A comment in brackets is the name when there is no other. What a broken address lacks is
 * empty: "joe" alone has local "joe" and no domain. */
typedef struct {
	uint32_t kind; /* PhListedKind */
	PhSlice name;
	PhSlice route; /* "@a,@b" of an obsolete source route */
	PhSlice local; /* dequoted */
	PhSlice domain;
} PhListed;

#define PH_ADDRESS_LIST_MAX 10000 /* items of one list that are looked at; the rest is not */

/* PhAddressIter: walks the value of an address field once, in linear time.
 *	PhAddressIter iter;
 *	PhListed item;
 *	ph_address_iter_init(&iter, value, scratch);
 *	while (ph_address_iter_next(&iter, &item))
 * Members are private. @value may hold folds; @scratch (borrowed while iterating) is overwritten. */
typedef struct {
	PhSlice rest;
	GString *scratch;
	uint32_t count;
	bool in_group;
} PhAddressIter;

PH_PUBLIC void ph_address_iter_init(PhAddressIter *iter, PhSlice value, GString *scratch);
PH_PUBLIC bool ph_address_iter_next(PhAddressIter *iter, PhListed *item_out);

G_END_DECLS

#endif
