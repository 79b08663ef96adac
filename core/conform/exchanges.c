/* exchanges.c: rules of a mechanism: what must hold in every exchange, good or bad
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit-mechanism.h"

#include <malloc.h>
#include <pthread.h>

enum {
	ROUNDS = 20000, /* that leave nothing behind: so many, or what fits in the time */
	ROUNDS_LEAST = 2000,
	ROUNDS_SECONDS = 1,
	KEPT_MAX = 256 * 1024, /* octets */
	CHANGES_FIXED = 400,   /* of one response */
	CHANGES_PROGRAM = 12,
	ENDLESS = 2000,
	THREADS = 4,
};

static const char *
word_of(PhStep step)
{
	static const char *const words[] = { "nothing",   "CHALLENGE", "DONE", "FAILED",
		                             "MALFORMED", "ERROR",     "ASKED" };

	return (size_t) step < G_N_ELEMENTS(words) ? words[step] : "?";
}

/* --- itself --- */

static void
describes_itself(void)
{
	const PhMechanism *table = ph_kit_mechanism.table;
	const char *name = table->sasl_name;
	size_t length = strlen(name);

	/* RFC 4422 section 3.1 */
	KIT_CHECK(length >= 1 && length <= 20, "the SASL name has %zu characters", length);
	for (size_t i = 0; i < length; i++)
		KIT_CHECK(g_ascii_isupper(name[i]) || g_ascii_isdigit(name[i]) || name[i] == '-'
		                  || name[i] == '_',
		          "the SASL name '%s' has a character that names do not have", name);
	KIT_CHECK((table->flags & PH_MECHANISM_HAS_PLUS) == 0
	                  || (length <= 15 && !g_str_has_suffix(name, "-PLUS")),
	          "'%s' has HAS_PLUS: the core adds -PLUS to its name", name);
	KIT_CHECK((table->flags & PH_MECHANISM_NEEDS_SECRET) != 0 || table->schemes == NULL,
	          "it has 'schemes' without NEEDS_SECRET");
	KIT_CHECK(table->schemes == NULL || table->schemes[0] != NULL, "'schemes' is empty");
	KIT_CHECK((table->begin == NULL) <= (table->end == NULL), "it has 'end' without 'begin'");
}

/* --- good and wrong --- */

static void
good_login(void)
{
	g_autoptr(PhKitTalk) talk = ph_kit_talk(PH_CONFORM_KNOWN, NULL, NULL);

	KIT_CHECK(talk->last == PH_STEP_DONE, "a good client ends with %s", word_of(talk->last));
	KIT_CHECK(talk->is_user, "a good client becomes '%s' instead of '%s'",
	          talk->identity != NULL ? talk->identity : "nobody", ph_kit_mechanism.user);
}

static void
wrong_password(void)
{
	bool needs_secret = (ph_kit_mechanism.table->flags & PH_MECHANISM_NEEDS_SECRET) != 0;
	g_autoptr(PhKitTalk) talk = ph_kit_talk(PH_CONFORM_PASSWORD, NULL, NULL);

	if (!talk->asked_password && !needs_secret)
		ph_kit_skip("the mechanism asks no directory about a password");
	KIT_CHECK(talk->last == PH_STEP_FAILED, "a wrong password ends with %s",
	          word_of(talk->last));
}

/* What somebody sees who does not know whether there is such a user. */
static void
same_shape(const PhKitTalk *a, const PhKitTalk *b)
{
	KIT_CHECK(a->last == b->last, "a wrong password ends with %s, an unknown user with %s",
	          word_of(a->last), word_of(b->last));
	KIT_CHECK(a->challenges->len == b->challenges->len,
	          "a wrong password sees %u challenges, an unknown user %u", a->challenges->len,
	          b->challenges->len);
	for (guint i = 0; i < a->challenges->len; i++) {
		const GByteArray *one = a->challenges->pdata[i];
		const GByteArray *other = b->challenges->pdata[i];

		KIT_CHECK(
			one->len == other->len,
			"challenge %u has %u octets for a wrong password and %u for an unknown user",
			i + 1, one->len, other->len);
	}
}

static void
unknown_user(void)
{
	g_autoptr(PhKitTalk) unknown = ph_kit_talk(PH_CONFORM_NOBODY, NULL, NULL);
	g_autoptr(PhKitTalk) wrong = ph_kit_talk(PH_CONFORM_PASSWORD, NULL, NULL);

	KIT_CHECK(unknown->last == PH_STEP_FAILED, "an unknown user ends with %s",
	          word_of(unknown->last));
	if (wrong->last != PH_STEP_DONE)
		same_shape(wrong, unknown);
}

static void
directory_away(void)
{
	g_autoptr(PhKitTalk) talk = ph_kit_talk(PH_CONFORM_AWAY, NULL, NULL);

	KIT_CHECK(talk->last == PH_STEP_ERROR,
	          "while the directory is away a good client ends with %s: the client would be "
	          "told that its password is wrong",
	          word_of(talk->last));
}

/* --- bad responses --- */

/* Whatever was said: only the user may have come in, and only by way of the directories. */
static void
nobody_else(const PhConformStep *step, const char *what)
{
	KIT_CHECK(step->step != PH_STEP_DONE
	                  || g_strcmp0(step->identity, ph_kit_mechanism.user) == 0,
	          "%s logs in as '%s'", what, step->identity != NULL ? step->identity : "");
}

static void
try_garbage(PhSlice garbage, const char *what)
{
	void *exchange = ph_kit_mechanism.begin(PH_CONFORM_NOBODY);
	bool client_first = (ph_kit_mechanism.table->flags & PH_MECHANISM_CLIENT_FIRST) != 0;
	PhConformStep step = { .step = PH_STEP_CHALLENGE };

	if (!client_first)
		ph_kit_say(exchange, NULL, &step);
	for (int i = 0; i < 4 && step.step == PH_STEP_CHALLENGE; i++)
		ph_kit_say(exchange, &garbage, &step);
	KIT_CHECK(step.step != PH_STEP_DONE, "%s logs in", what);
	ph_kit_mechanism.end(exchange);
}

static void
malformed(void)
{
	const size_t large = 1 << 20;
	g_autofree char *letters = g_strnfill(large, 'a');
	g_autofree char *commas = g_strnfill(large, ',');
	g_autofree char *zeros = g_malloc0(large);

	try_garbage(PH_SLICE_EMPTY, "an empty response");
	try_garbage(PH_SLICE_LITERAL("\0"), "a NUL");
	try_garbage(PH_SLICE_LITERAL("\0\0\0\0"), "NULs");
	try_garbage(PH_SLICE_LITERAL("\xff\xfe\xc0\x80"), "what is no UTF-8");
	try_garbage(PH_SLICE_LITERAL("*"), "an asterisk");
	try_garbage(PH_SLICE(letters, large), "a megabyte of letters");
	try_garbage(PH_SLICE(commas, large), "a megabyte of commas");
	try_garbage(PH_SLICE(zeros, large), "a megabyte of NULs");
	for (int i = 0; i < 2000; i++) {
		char octets[64];
		size_t length = g_random_int() % sizeof octets;

		for (size_t k = 0; k < length; k++)
			octets[k] = (char) g_random_int();
		try_garbage(PH_SLICE(octets, length), "random octets");
	}
}

static void
no_response(void)
{
	for (int place = 0; place < 3; place++) {
		void *exchange = ph_kit_mechanism.begin(PH_CONFORM_NOBODY);
		PhSlice something = PH_SLICE_LITERAL("x");
		PhConformStep step = { .step = PH_STEP_CHALLENGE };

		for (int i = 0; i <= place && step.step == PH_STEP_CHALLENGE; i++)
			ph_kit_say(exchange, i == place ? NULL : &something, &step);
		KIT_CHECK(step.step != PH_STEP_DONE, "no response at all logs in");
		ph_kit_mechanism.end(exchange);
	}
}

/* Change: of the response at a place. */
typedef struct {
	unsigned place;
	unsigned kind;
} Change;

static void
apply_change(unsigned place, GByteArray *response, void *user_data)
{
	const Change *change = user_data;
	const guint8 extra = (guint8) g_random_int();

	if (place != change->place)
		return;
	if (change->kind % 4 == 0 || response->len == 0)
		g_byte_array_append(response, &extra, 1);
	else if (change->kind % 4 == 1)
		g_byte_array_set_size(response, g_random_int() % response->len);
	else
		response->data[g_random_int() % response->len] ^=
			(guint8) (1U << (change->kind % 8));
}

static void
changed_responses(void)
{
	g_autoptr(PhKitTalk) good = ph_kit_talk(PH_CONFORM_KNOWN, NULL, NULL);
	unsigned n = ph_kit_voice_is_fixed() ? CHANGES_FIXED : CHANGES_PROGRAM;

	for (unsigned place = 0; place < good->responses->len; place++)
		for (unsigned kind = 0; kind < n; kind++) {
			Change change = { place, kind };
			g_autoptr(PhKitTalk) talk =
				ph_kit_talk(PH_CONFORM_KNOWN, apply_change, &change);
			const PhConformStep step = { .step = talk->last,
				                     .identity = talk->identity };

			nobody_else(&step, "a changed response");
		}
}

static bool
same_challenges(const PhKitTalk *a, const PhKitTalk *b)
{
	for (guint i = 0; i < MIN(a->challenges->len, b->challenges->len); i++) {
		const GByteArray *one = a->challenges->pdata[i];
		const GByteArray *other = b->challenges->pdata[i];

		if (one->len != other->len || memcmp(one->data, other->data, one->len) != 0)
			return false;
	}
	return true;
}

static void
replayed(void)
{
	g_autoptr(PhKitTalk) good = ph_kit_talk(PH_CONFORM_KNOWN, NULL, NULL);
	g_autoptr(PhKitTalk) again = ph_kit_talk(PH_CONFORM_KNOWN, NULL, NULL);
	bool client_first = (ph_kit_mechanism.table->flags & PH_MECHANISM_CLIENT_FIRST) != 0;
	void *exchange = NULL;
	PhConformStep step = { .step = PH_STEP_CHALLENGE };

	if ((ph_kit_mechanism.table->flags & PH_MECHANISM_NEEDS_SECRET) == 0)
		ph_kit_skip("what the client says does not depend on challenges");
	KIT_CHECK(!same_challenges(good, again), "two exchanges have the same challenges");
	exchange = ph_kit_mechanism.begin(PH_CONFORM_KNOWN);
	if (!client_first)
		ph_kit_say(exchange, NULL, &step);
	for (guint i = 0; i < good->responses->len && step.step == PH_STEP_CHALLENGE; i++) {
		const GByteArray *octets = good->responses->pdata[i];
		PhSlice response = PH_SLICE((const char *) octets->data, octets->len);

		ph_kit_say(exchange, &response, &step);
	}
	KIT_CHECK(step.step != PH_STEP_DONE, "the responses of an earlier exchange log in");
	ph_kit_mechanism.end(exchange);
}

/* --- what is left behind --- */

static size_t
kept_now(void)
{
	struct mallinfo2 kept = mallinfo2();

	return kept.uordblks + kept.hblkhd;
}

static void
give_up(int steps)
{
	void *exchange = ph_kit_mechanism.begin(PH_CONFORM_NOBODY);
	bool client_first = (ph_kit_mechanism.table->flags & PH_MECHANISM_CLIENT_FIRST) != 0;
	PhSlice something = PH_SLICE_LITERAL("x");
	PhConformStep step = { .step = PH_STEP_CHALLENGE };

	for (int i = 0; i < steps && step.step == PH_STEP_CHALLENGE; i++)
		ph_kit_say(exchange, i == 0 && !client_first ? NULL : &something, &step);
	ph_kit_mechanism.end(exchange);
}

/* Returns: how many rounds there were. */
static int
give_up_often(int steps)
{
	gint64 ends_us = g_get_monotonic_time() + ROUNDS_SECONDS * G_USEC_PER_SEC;
	int n = 0;

	while (n < ROUNDS && (n < ROUNDS_LEAST || g_get_monotonic_time() < ends_us)) {
		give_up(steps);
		n++;
	}
	return n;
}

static void
given_up(void)
{
	for (int steps = 0; steps < 3; steps++) {
		size_t before = 0;
		int n = 0;

		for (int i = 0; i < ROUNDS_LEAST; i++)
			give_up(steps);
		before = kept_now();
		n = give_up_often(steps);
		KIT_CHECK(kept_now() < before + KEPT_MAX,
		          "%d exchanges that were given up after %d steps left %zu octets behind",
		          n, steps, kept_now() - before);
	}
}

static void
endless(void)
{
	void *exchange = ph_kit_mechanism.begin(PH_CONFORM_NOBODY);
	bool client_first = (ph_kit_mechanism.table->flags & PH_MECHANISM_CLIENT_FIRST) != 0;
	g_autofree char *letters = g_strnfill(4096, 'a');
	PhSlice response = PH_SLICE(letters, 4096);
	PhConformStep step = { .step = PH_STEP_CHALLENGE };
	size_t before = kept_now();

	if (!client_first)
		ph_kit_say(exchange, NULL, &step);
	for (int i = 0; i < ENDLESS && step.step == PH_STEP_CHALLENGE; i++)
		ph_kit_say(exchange, &response, &step);
	KIT_CHECK(kept_now() < before + KEPT_MAX,
	          "a client that never ends makes the state grow: %zu octets after %d steps",
	          kept_now() - before, ENDLESS);
	ph_kit_mechanism.end(exchange);
}

/* --- many at once --- */

static void *
log_in_often(void *user_data)
{
	int n = ph_kit_voice_is_fixed() ? 500 : 3;

	for (int i = 0; i < n; i++) {
		g_autoptr(PhKitTalk) good = ph_kit_talk(PH_CONFORM_KNOWN, NULL, NULL);
		g_autoptr(PhKitTalk) bad = ph_kit_talk(PH_CONFORM_NOBODY, NULL, NULL);

		KIT_CHECK(good->last == PH_STEP_DONE && good->is_user,
		          "beside others a good client ends with %s", word_of(good->last));
		KIT_CHECK(bad->last != PH_STEP_DONE, "beside others an unknown user logs in");
	}
	return NULL;
}

static void
together(void)
{
	pthread_t threads[THREADS];

	ph_kit_voice_free(ph_kit_voice());
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, log_in_often, NULL) != 0)
			ph_kit_fail("cannot make a thread");
	for (int i = 0; i < THREADS; i++)
		(void) pthread_join(threads[i], NULL);
}

const PhConformRule ph_conform_exchanges[] = {
	{ "describes-itself", "contract", "SASL name, flags and schemes fit together",
	  describes_itself, false },
	{ "good-login", "contract", "a good client becomes the user", good_login, false },
	{ "wrong-password", "contract", "a wrong password is FAILED", wrong_password, false },
	{ "unknown-user", "contract",
	  "an unknown user sees as many challenges, as long, as a wrong password", unknown_user,
	  false },
	{ "directory-away", "contract", "a directory that is away is an error, no wrong password",
	  directory_away, false },
	{ "malformed", "contract", "garbage of every length and kind never logs in", malformed,
	  false },
	{ "no-response", "contract", "a step without a response, at any place", no_response,
	  false },
	{ "changed-responses", "contract", "a good response with a change makes nobody else",
	  changed_responses, false },
	{ "replayed", "contract", "challenges change, and old answers do not fit", replayed,
	  false },
	{ "given-up", "contract", "an exchange that is given up leaves nothing behind", given_up,
	  false },
	{ "endless", "contract", "a client that never ends does not make the state grow", endless,
	  false },
	{ "together", "contract", "many exchanges at once on several threads", together, false },
	{ NULL, NULL, NULL, NULL, false },
};

const PhConformRule *const ph_conform_mechanism_themes[] = { ph_conform_exchanges, NULL };
