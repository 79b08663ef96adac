/* match.c: does a rule hold for a question?
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/header.h>

#include "rule.h"

#include <arpa/inet.h>
#include <string.h>

enum {
	BITS_AN_OCTET = 8
};

/* Behind a star that matched too little one octet more is taken; stars before it never again. */
bool
glob_match(const char *pattern, PhSlice text)
{
	const char *star = NULL;
	size_t mark = 0;
	size_t at = 0;

	while (at < text.length) {
		if (*pattern == '*') {
			star = pattern++;
			mark = at;
		} else if (*pattern != '\0'
		           && (*pattern == '?'
		               || g_ascii_tolower(*pattern) == g_ascii_tolower(text.data[at]))) {
			pattern++;
			at++;
		} else if (star != NULL) {
			pattern = star + 1;
			at = ++mark;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

bool
network_has(const Network *network, const char *address)
{
	Network other;
	unsigned whole = network->bits / BITS_AN_OCTET;
	unsigned rest = network->bits % BITS_AN_OCTET;
	uint8_t mask = (uint8_t) (0xff << (BITS_AN_OCTET - rest));

	if (!network_parse(address, &other) || other.length != network->length
	    || memcmp(other.octets, network->octets, whole) != 0)
		return false;
	return rest == 0 || ((other.octets[whole] ^ network->octets[whole]) & mask) == 0;
}

static bool
compare(const Test *test, const char *text)
{
	switch (test->operation) {
	case TEST_IS:
		return text != NULL && g_ascii_strcasecmp(text, test->word) == 0;
	case TEST_MATCHES:
		return text != NULL && glob_match(test->word, ph_slice(text));
	case TEST_EXISTS:
		return text != NULL && text[0] != '\0';
	case TEST_IN:
		return text != NULL && network_has(&test->network, text);
	case TEST_OVER:
	case TEST_UNDER:
		break;
	}
	return false;
}

static bool
measure(const Test *test, uint64_t number)
{
	return test->operation == TEST_OVER ? number > test->number : number < test->number;
}

/* One of the fields of that name is enough. */
static bool
test_header(const Test *test, PhMail *mail, GError **error)
{
	PhHeaderField field;
	PhSlice rest;
	size_t offset = 0;

	if (!ph_mail_header(mail, &rest, error))
		return false;
	while (ph_header_next(&rest, &offset, &field)) {
		g_autoptr(GString) value = NULL;

		if (!ph_slice_is_nocase(field.name, test->header))
			continue;
		if (test->operation == TEST_EXISTS)
			return true;
		value = g_string_new(NULL);
		ph_header_decode(field.value, value);
		if (compare(test, value->str))
			return true;
	}
	return false;
}

/* At its own stage the one that is asked about, later one of them. */
static bool
test_recipient(const Test *test, const PhFilterQuestion *question)
{
	size_t n = ph_mail_n_recipients(question->mail);

	if (question->stage == PH_STAGE_RECIPIENT)
		return compare(test, ph_mail_recipient(question->mail, question->recipient));
	for (size_t i = 0; i < n; i++)
		if ((ph_mail_recipient_flags(question->mail, i) & PH_RECIPIENT_REMOVED) == 0
		    && compare(test, ph_mail_recipient(question->mail, i)))
			return true;
	return false;
}

static bool
test_fact(const Test *test, const PhFilterQuestion *question, GError **error)
{
	PhMail *mail = question->mail;
	const PhIdentity *user = ph_mail_user(mail);

	switch (test->fact) {
	case FACT_CLIENT:
		return compare(test, ph_mail_fact(mail, "client-address"));
	case FACT_HELO:
		return compare(test, ph_mail_fact(mail, "helo"));
	case FACT_USER:
		return compare(test, user != NULL ? ph_identity_address(user) : NULL);
	case FACT_TLS:
		return compare(test, ph_mail_fact(mail, "tls"));
	case FACT_LISTENER:
		return compare(test, ph_mail_fact(mail, "listener"));
	case FACT_SENDER:
		return compare(test, ph_mail_sender(mail));
	case FACT_RECIPIENT:
		return test_recipient(test, question);
	case FACT_HEADER:
		return test_header(test, mail, error);
	case FACT_SIZE:
		return ph_mail_content(mail) != NULL
		       && measure(test, ph_content_length(ph_mail_content(mail)));
	case FACT_RECIPIENTS:
		return measure(test, ph_mail_n_recipients(mail));
	}
	return false;
}

bool
rule_holds(const Rule *rule, const PhFilterQuestion *question, GError **error)
{
	if (rule->stage != question->stage)
		return false;
	for (guint i = 0; i < rule->tests->len; i++) {
		const Test *test = &g_array_index(rule->tests, Test, i);
		g_autoptr(GError) failure = NULL;
		bool holds = test_fact(test, question, &failure);

		if (failure != NULL) {
			g_propagate_error(error, g_steal_pointer(&failure));
			return false;
		}
		if (holds == test->is_not)
			return false;
	}
	return true;
}
