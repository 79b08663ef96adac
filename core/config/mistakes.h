/* mistakes.h: everything that is wrong with a config, collected instead of only the first
 *
 * A mistake is one sentence: what is wrong, and after a semicolon what to do. Mistakes are shown in
 * the order of the file.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFIG_MISTAKES_H
#define POSTHORN_CONFIG_MISTAKES_H

#include <posthorn/types.h>

typedef struct PhMistakes PhMistakes;

typedef struct {
	unsigned int line; /* 0: the file as a whole */
	bool is_warning;   /* the server starts all the same */
	const char *text;
} PhMistake;

/* ph_mistakes_new: for the config file @file, as the operator wrote its name. */
PhMistakes *ph_mistakes_new(const char *file);
void ph_mistakes_free(PhMistakes *mistakes);

void ph_mistakes_add(PhMistakes *mistakes, unsigned int line, const char *format, ...)
	G_GNUC_PRINTF(3, 4);
void ph_mistakes_warn(PhMistakes *mistakes, unsigned int line, const char *format, ...)
	G_GNUC_PRINTF(3, 4);

const char *ph_mistakes_file(const PhMistakes *mistakes);
size_t ph_mistakes_n_errors(const PhMistakes *mistakes);
size_t ph_mistakes_n_warnings(const PhMistakes *mistakes);

/* ph_mistakes_get: number @index in the order of lines; NULL behind the last. Borrowed. */
const PhMistake *ph_mistakes_get(PhMistakes *mistakes, size_t index);

/* ph_mistakes_text: "FILE:LINE: [warning: ]TEXT\n" for each. Returns: (owned). */
char *ph_mistakes_text(PhMistakes *mistakes);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhMistakes, ph_mistakes_free)

#endif
