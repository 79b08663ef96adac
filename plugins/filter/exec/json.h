/* json.h: questions and answers of the exec filter as lines of JSON
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef EXEC_JSON_H
#define EXEC_JSON_H

#include <posthorn/filter.h>
#include <posthorn/slice.h>

typedef enum {
	SHOW_NOTHING = 0,
	SHOW_HEADER = 1,
	SHOW_WHOLE = 2,
} Show;

/* json_stage: its word, "recipient"; NULL when there is none. json_stage_find: 0: none. */
const char *json_stage(uint32_t stage);
uint32_t json_stage_find(const char *word);

/* json_question: Returns: (owned) one line without its end; NULL with @error. @most: octets of a
 * message that is shown whole. */
char *json_question(const PhFilterQuestion *question, Show show, uint64_t most, GError **error);

/* Answer: what was said, checked. */
typedef struct Answer Answer;

/* json_answer: Errors: INVALID. Returns: (owned). */
Answer *json_answer(PhSlice line, GError **error);
void json_answer_free(Answer *answer);
const PhVerdict *json_answer_verdict(const Answer *answer);

/* json_answer_apply: its edits. */
bool json_answer_apply(const Answer *answer, PhMail *mail, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Answer, json_answer_free)

#endif
