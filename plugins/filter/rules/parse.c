/* parse.c: reads a rule
 *
 * Word by word; each complaint names the word and what could stand there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "rule.h"

#include <arpa/inet.h>
#include <string.h>

enum {
	WORD_MAX = 500,
	PERCENT_MAX = 100,
	BITS_AN_OCTET = 8
};

typedef struct {
	const char *name;
	uint32_t value;
} Word;

static const Word stages[] = {
	{ "connect", PH_STAGE_CONNECT },
	{ "helo", PH_STAGE_HELO },
	{ "sender", PH_STAGE_SENDER },
	{ "recipient", PH_STAGE_RECIPIENT },
	{ "data", PH_STAGE_DATA },
	{ "header", PH_STAGE_HEADER },
	{ "message", PH_STAGE_MESSAGE },
	{ "delivery", PH_STAGE_DELIVERY },
	{ NULL, 0 },
};

static const Word facts[] = {
	{ "client", FACT_CLIENT },
	{ "helo", FACT_HELO },
	{ "user", FACT_USER },
	{ "tls", FACT_TLS },
	{ "listener", FACT_LISTENER },
	{ "sender", FACT_SENDER },
	{ "recipient", FACT_RECIPIENT },
	{ "header", FACT_HEADER },
	{ "size", FACT_SIZE },
	{ "recipients", FACT_RECIPIENTS },
	{ NULL, 0 },
};

static const Word operations[] = {
	{ "is", TEST_IS }, { "matches", TEST_MATCHES }, { "exists", TEST_EXISTS },
	{ "in", TEST_IN }, { "over", TEST_OVER },       { "under", TEST_UNDER },
	{ NULL, 0 },
};

typedef enum {
	DO_ACCEPT = 0,
	DO_REJECT = 1,
	DO_TEMPORARY = 2,
	DO_DROP = 3,
	DO_DISCARD = 4,
	DO_QUARANTINE = 5,
	DO_REDIRECT = 6,
	DO_DELAY = 7,
	DO_ADD = 8,
	DO_DELETE = 9,
} Doing;

static const Word doings[] = {
	{ "accept", DO_ACCEPT },
	{ "reject", DO_REJECT },
	{ "temporary", DO_TEMPORARY },
	{ "drop", DO_DROP },
	{ "discard", DO_DISCARD },
	{ "quarantine", DO_QUARANTINE },
	{ "redirect", DO_REDIRECT },
	{ "delay", DO_DELAY },
	{ "add", DO_ADD },
	{ "delete", DO_DELETE },
	{ NULL, 0 },
};

/* Reader: what is left of a rule, and the word that was read last. */
typedef struct {
	const char *key;
	PhSlice rest;
	char word[WORD_MAX + 1]; /* empty at the end */
	bool is_quoted;
	GError **error;
} Reader;

static bool
complain(Reader *reader, const char *wanted)
{
	if (reader->word[0] == '\0' && !reader->is_quoted)
		ph_error_set(reader->error, PH_ERROR_INVALID, "'%s' ends where %s is expected",
		             reader->key, wanted);
	else
		ph_error_set(reader->error, PH_ERROR_INVALID, "'%s' has '%s' where %s is expected",
		             reader->key, reader->word, wanted);
	return false;
}

static void
next(Reader *reader)
{
	PhSlice rest = ph_slice_trim(reader->rest);
	PhSlice word;

	reader->is_quoted = rest.length > 1 && rest.data[0] == '"'
	                    && memchr(rest.data + 1, '"', rest.length - 1) != NULL;
	if (reader->is_quoted)
		rest = ph_slice_from(rest, 1);
	word = ph_slice_split(&rest, reader->is_quoted ? '"' : ' ');
	reader->rest = ph_slice_trim(rest);
	word.length = MIN(word.length, (size_t) WORD_MAX);
	memcpy(reader->word, word.data != NULL ? word.data : "", word.length);
	reader->word[word.length] = '\0';
}

static bool
is_word(const Reader *reader, const char *text)
{
	return !reader->is_quoted && g_ascii_strcasecmp(reader->word, text) == 0;
}

/* Is this what comes next? Then it is read. */
static bool
skip(Reader *reader, const char *text)
{
	Reader ahead = *reader;

	next(&ahead);
	if (!is_word(&ahead, text))
		return false;
	*reader = ahead;
	return true;
}

static bool
expect(Reader *reader, const char *text)
{
	g_autofree char *wanted = g_strdup_printf("'%s'", text);

	next(reader);
	return is_word(reader, text) || complain(reader, wanted);
}

static bool
choose(Reader *reader, const Word *words, uint32_t *value_out)
{
	g_autoptr(GString) wanted = g_string_new("one of");

	next(reader);
	for (size_t i = 0; words[i].name != NULL; i++) {
		if (is_word(reader, words[i].name)) {
			*value_out = words[i].value;
			return true;
		}
		g_string_append_printf(wanted, "%s %s", i > 0 ? "," : "", words[i].name);
	}
	return complain(reader, wanted->str);
}

static bool
read_word(Reader *reader, const char *wanted, char **out)
{
	next(reader);
	if (reader->word[0] == '\0' && !reader->is_quoted)
		return complain(reader, wanted);
	*out = g_strdup(reader->word);
	return true;
}

/* --- numbers ---------------------------------------------------------------------------------- */

typedef struct {
	const char *name;
	uint64_t factor;
} Unit;

static const Unit size_units[] = { { "", 1 },
	                           { "K", UINT64_C(1) << 10 },
	                           { "M", UINT64_C(1) << 20 },
	                           { "G", UINT64_C(1) << 30 },
	                           { NULL, 0 } };
static const Unit time_units[] = { { "us", 1 },
	                           { "ms", 1000 },
	                           { "s", 1000000 },
	                           { "min", UINT64_C(60000000) },
	                           { "h", UINT64_C(3600000000) },
	                           { NULL, 0 } };
static const Unit no_units[] = { { "", 1 }, { NULL, 0 } };

static bool
read_number(Reader *reader, const Unit *units, const char *wanted, uint64_t *out)
{
	const uint64_t most = UINT64_C(1) << 40;
	size_t n = 0;
	uint64_t value = 0;

	next(reader);
	n = strspn(reader->word, "0123456789");
	if (!ph_slice_to_u64(PH_SLICE(reader->word, n), most, &value))
		return complain(reader, wanted);
	for (; units->name != NULL; units++)
		if (g_ascii_strcasecmp(reader->word + n, units->name) == 0)
			break;
	if (units->name == NULL || value > most / units->factor)
		return complain(reader, wanted);
	*out = value * units->factor;
	return true;
}

bool
network_parse(const char *text, Network *out)
{
	const char *slash = strchr(text, '/');
	g_autofree char *address =
		slash != NULL ? g_strndup(text, (gsize) (slash - text)) : g_strdup(text);
	uint32_t bits = 0;

	*out = (Network){ .length = strchr(address, ':') != NULL ? 16 : 4 };
	if (inet_pton(out->length == 4 ? AF_INET : AF_INET6, address, out->octets) != 1)
		return false;
	out->bits = (uint8_t) (out->length * BITS_AN_OCTET);
	if (slash == NULL)
		return true;
	if (!ph_slice_to_u32(ph_slice(slash + 1), out->bits, &bits))
		return false;
	out->bits = (uint8_t) bits;
	return true;
}

/* --- tests ------------------------------------------------------------------------------------ */

static bool
fits(const Test *test)
{
	bool is_number = test->fact == FACT_SIZE || test->fact == FACT_RECIPIENTS;

	if (test->operation == TEST_IN)
		return test->fact == FACT_CLIENT;
	return is_number == (test->operation == TEST_OVER || test->operation == TEST_UNDER);
}

static bool
read_operand(Reader *reader, Test *test)
{
	switch (test->operation) {
	case TEST_IS:
	case TEST_MATCHES:
		return read_word(reader, "a word to compare with", &test->word);
	case TEST_OVER:
	case TEST_UNDER:
		return read_number(reader, test->fact == FACT_SIZE ? size_units : no_units,
		                   "a number such as 10 or, for the size, 10M", &test->number);
	case TEST_IN:
		next(reader);
		return network_parse(reader->word, &test->network)
		       || complain(reader, "a network such as 192.0.2.0/24");
	case TEST_EXISTS:
		break;
	}
	return true;
}

static bool
read_test(Reader *reader, Rule *rule)
{
	Test test = { .fact = FACT_CLIENT };
	Test *place = NULL;
	uint32_t value = 0;

	g_array_append_val(rule->tests, test);
	place = &g_array_index(rule->tests, Test, rule->tests->len - 1);
	place->is_not = skip(reader, "not");
	if (!choose(reader, facts, &value))
		return false;
	place->fact = value;
	if (place->fact == FACT_HEADER
	    && !read_word(reader, "the name of a header field", &place->header))
		return false;
	if (!choose(reader, operations, &value))
		return false;
	place->operation = value;
	if (!fits(place))
		return complain(reader, "another comparison for this fact");
	return read_operand(reader, place);
}

/* What a test needs is not known before its stage. */
static const char *
too_early(const Rule *rule)
{
	bool has_content = rule->stage == PH_STAGE_HEADER || rule->stage == PH_STAGE_MESSAGE
	                   || rule->stage == PH_STAGE_DELIVERY;

	for (guint i = 0; i < rule->tests->len; i++) {
		Fact fact = g_array_index(rule->tests, Test, i).fact;

		if (!has_content && fact == FACT_HEADER)
			return "the header is known at header, message and delivery";
		if (fact == FACT_SIZE && (!has_content || rule->stage == PH_STAGE_HEADER))
			return "the size is known at message and delivery";
		if (rule->stage <= PH_STAGE_SENDER
		    && (fact == FACT_RECIPIENT || fact == FACT_RECIPIENTS))
			return "recipients are known at recipient and later";
		if (rule->stage <= PH_STAGE_HELO && fact == FACT_SENDER)
			return "the sender is known at sender and later";
	}
	if (rule->action != ACTION_VERDICT && rule->action != ACTION_DELAY && !has_content)
		return "a header can be changed at header, message and delivery";
	return NULL;
}

static bool
read_condition(Reader *reader, Rule *rule)
{
	uint64_t number = 0;

	if (skip(reader, "if"))
		do {
			if (!read_test(reader, rule))
				return false;
		} while (skip(reader, "and"));
	if (skip(reader, "with")) {
		static const Unit percent[] = { { "%", 1 }, { NULL, 0 } };

		if (!read_number(reader, percent, "a percentage such as 30%", &number))
			return false;
		if (number > PERCENT_MAX)
			return complain(reader, "at most 100%");
		rule->percent = (uint32_t) number;
	} else if (skip(reader, "every")) {
		if (!read_number(reader, no_units, "a number such as 3", &number))
			return false;
		if (number == 0 || number > G_MAXINT32)
			return complain(reader, "a number from 1");
		rule->every = (uint32_t) number;
	}
	return true;
}

/* --- actions ---------------------------------------------------------------------------------- */

static void
read_text(Reader *reader, PhVerdict *verdict)
{
	PhSlice text = ph_slice_trim(reader->rest);

	if (text.length > 1 && text.data[0] == '"' && text.data[text.length - 1] == '"')
		text = PH_SLICE(text.data + 1, text.length - 2);
	text.length = MIN(text.length, sizeof verdict->text - 1);
	memcpy(verdict->text, text.data != NULL ? text.data : "", text.length);
	verdict->text[text.length] = '\0';
	reader->rest = PH_SLICE_EMPTY;
}

static bool
is_status(const char *word)
{
	return g_ascii_isdigit(word[0]) && word[1] == '.' && strlen(word) < 10
	       && strspn(word, "0123456789.") == strlen(word);
}

/* [ code ] [ status ] [ text ] */
static bool
read_reply(Reader *reader, char class, PhVerdict *verdict)
{
	Reader ahead = *reader;
	uint32_t code = 0;

	next(&ahead);
	if (strlen(ahead.word) == 3 && ph_slice_to_u32(ph_slice(ahead.word), 999, &code)) {
		if (ahead.word[0] != class)
			return complain(&ahead, class == '5' ? "a code from 500 to 599"
			                                     : "a code from 400 to 499");
		verdict->smtp_code = code;
		*reader = ahead;
		next(&ahead);
	}
	if (is_status(ahead.word)) {
		if (ahead.word[0] != class)
			return complain(&ahead, class == '5' ? "a status of class 5"
			                                     : "a status of class 4");
		g_strlcpy(verdict->status, ahead.word, sizeof verdict->status);
		*reader = ahead;
	}
	read_text(reader, verdict);
	return true;
}

static bool
read_redirect(Reader *reader, PhVerdict *verdict)
{
	verdict->result = PH_VERDICT_REDIRECT;
	next(reader);
	if (strchr(reader->word, '@') == NULL)
		return complain(reader, "an address");
	g_strlcpy(verdict->text, reader->word, sizeof verdict->text);
	return true;
}

static bool
read_header(Reader *reader, Rule *rule, bool is_added)
{
	PhSlice name;

	rule->action = is_added ? ACTION_ADD_HEADER : ACTION_DELETE_HEADER;
	if (!expect(reader, "header"))
		return false;
	if (!is_added)
		return read_word(reader, "the name of a header field", &rule->name);
	name = ph_slice_trim(ph_slice_split(&reader->rest, ':'));
	if (name.length == 0 || ph_slice_find(name, ' ') >= 0 || reader->rest.length == 0) {
		next(reader);
		return complain(reader, "a header field such as X-Seen: yes");
	}
	rule->name = ph_slice_dup(name);
	rule->value = ph_slice_dup(ph_slice_trim(reader->rest));
	reader->rest = PH_SLICE_EMPTY;
	return true;
}

static bool
read_action(Reader *reader, Rule *rule)
{
	PhVerdict *verdict = &rule->verdict;
	uint32_t doing = 0;

	if (!choose(reader, doings, &doing))
		return false;
	rule->action = ACTION_VERDICT;
	switch ((Doing) doing) {
	case DO_ACCEPT:
		verdict->result = PH_VERDICT_ACCEPT;
		return true;
	case DO_REJECT:
		verdict->result = PH_VERDICT_REJECT;
		return read_reply(reader, '5', verdict);
	case DO_TEMPORARY:
		verdict->result = PH_VERDICT_TEMPORARY;
		return read_reply(reader, '4', verdict);
	case DO_DROP:
		verdict->result = PH_VERDICT_DROP;
		read_text(reader, verdict);
		return true;
	case DO_DISCARD:
		verdict->result = PH_VERDICT_DISCARD;
		return true;
	case DO_QUARANTINE:
		verdict->result = PH_VERDICT_QUARANTINE;
		read_text(reader, verdict);
		return true;
	case DO_REDIRECT:
		return read_redirect(reader, verdict);
	case DO_DELAY:
		return read_number(reader, time_units, "a time such as 2s", &verdict->delay.us);
	case DO_ADD:
		return read_header(reader, rule, true);
	case DO_DELETE:
		return read_header(reader, rule, false);
	}
	return false;
}

static bool
read_actions(Reader *reader, Rule *rule)
{
	if (!read_action(reader, rule))
		return false;
	if (rule->verdict.delay.us == 0)
		return true;
	rule->action = ACTION_DELAY;
	return !skip(reader, "and") || read_action(reader, rule);
}

static bool
read_rule(Reader *reader, Rule *rule)
{
	const char *problem = NULL;

	if (!expect(reader, "at") || !choose(reader, stages, &rule->stage)
	    || !read_condition(reader, rule) || !expect(reader, "then")
	    || !read_actions(reader, rule))
		return false;
	next(reader);
	if (reader->word[0] != '\0')
		return complain(reader, "the end");
	problem = too_early(rule);
	if (problem != NULL)
		ph_error_set(reader->error, PH_ERROR_INVALID, "'%s' asks too early: %s",
		             reader->key, problem);
	return problem == NULL;
}

Rule *
rule_parse(const char *key, const char *text, GError **error)
{
	Reader reader = { .key = key, .rest = ph_slice(text), .error = error };
	Rule *rule = g_new0(Rule, 1);

	rule->key = g_strdup(key);
	rule->tests = g_array_new(FALSE, TRUE, sizeof(Test));
	rule->percent = PERCENT_MAX;
	rule->every = 1;
	if (read_rule(&reader, rule))
		return rule;
	rule_free(rule);
	return NULL;
}

void
rule_free(Rule *rule)
{
	if (rule == NULL)
		return;
	for (guint i = 0; i < rule->tests->len; i++) {
		Test *test = &g_array_index(rule->tests, Test, i);

		g_free(test->header);
		g_free(test->word);
	}
	g_array_unref(rule->tests);
	g_free(rule->key);
	g_free(rule->name);
	g_free(rule->value);
	g_free(rule);
}
