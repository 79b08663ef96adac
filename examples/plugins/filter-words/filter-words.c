/* filter-words.c: a whole filter: mail with certain words in its subject is refused, other marked
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/filter.h>
#include <posthorn/header.h>
#include <posthorn/slice.h>

#include <string.h>

typedef struct {
	const char *const *words; /* NULL behind the last; NULL for none */
	const char *mark;
} Settings;

static const PhOption options[] = {
	PH_OPTION_LIST(Settings, words, PH_ABSENT, "subjects with one of these are refused"),
	PH_OPTION_STRING(Settings,
	                 mark,
	                 "X-Words",
	                 "the field that says that a message was looked at"),
	PH_OPTIONS_END,
};

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	*instance_out = (void *) (uintptr_t) settings;
	return true;
}

static void
destroy(void *instance)
{
}

/* The word that is in the subject, whatever its case and encoding; NULL for none. */
static const char *
find_word(const Settings *settings, PhSlice header)
{
	g_autoptr(GString) subject = g_string_new(NULL);
	g_autofree char *folded = NULL;
	PhHeaderField field;

	if (!ph_header_find(header, "Subject", &field))
		return NULL;
	ph_header_decode(field.value, subject);
	folded = g_utf8_casefold(subject->str, (gssize) subject->len);
	for (size_t i = 0; settings->words != NULL && settings->words[i] != NULL; i++) {
		g_autofree char *word = g_utf8_casefold(settings->words[i], -1);

		if (strstr(folded, word) != NULL)
			return settings->words[i];
	}
	return NULL;
}

/* Asked when all octets are there. What fails is told with an error: the section's `on-failure` says
 * what happens then. */
static bool
ask(void *instance, void *state, PhFilterQuestion *question, GError **error)
{
	const Settings *settings = instance;
	const char *word = NULL;
	PhSlice header;

	if (!ph_mail_header(question->mail, &header, error))
		return false;
	word = find_word(settings, header);
	if (word == NULL)
		return ph_mail_header_add(question->mail, settings->mark,
		                          PH_SLICE_LITERAL("looked at"), error);
	question->verdict.result = PH_VERDICT_REJECT;
	(void) g_snprintf(question->verdict.text, sizeof question->verdict.text,
	                  "the subject has the word %s", word);
	return true;
}

static const PhFilter filter = {
	.size = sizeof filter,
	.stages = 1U << PH_STAGE_MESSAGE,
	.create = create,
	.destroy = destroy,
	.ask = ask,
};

static const PhOffer offers[] = {
	PH_OFFER_FILTER("words", &filter),
	PH_OFFERS_END,
};

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "words",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "refuses mail by words in its subject",
	.options = options,
	.offers = offers,
};
