/* stacks-read.h: reads back what a stack holds, and has it verified, for tests
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TEST_PLUGINS_STACKS_READ_H
#define TEST_PLUGINS_STACKS_READ_H

#include "stacks.h"

typedef struct {
	PhRecord record; /* without keywords */
	GByteArray *structure;
	unsigned n;
} StackRecord;

static inline bool
stack_take_record(const PhRecord *record, void *user_data)
{
	StackRecord *found = user_data;

	found->record = *record;
	found->n++;
	if (found->structure != NULL)
		(void) g_byte_array_append(found->structure,
		                           (const guint8 *) record->structure.data,
		                           (guint) record->structure.length);
	return true;
}

/* The record of a uid. */
static inline bool
stack_record(Stack *stack, uint32_t uid, StackRecord *found)
{
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(uid, uid);
	g_autoptr(GError) error = NULL;
	PhChangesResult result = { 0 };
	PhChangesQuery query = {
		.uids = uids,
		.fields = PH_FIELD_FLAGS | PH_FIELD_OCTETS | PH_FIELD_BLOB | PH_FIELD_DATES
		          | PH_FIELD_STRUCTURE,
		.record = stack_take_record,
		.user_data = found,
	};

	(void) stack->store->changes(stack->account, &stack->inbox, &query, &result, &error);
	g_assert_no_error(error);
	return found->n == 1;
}

static inline PhContent *
stack_content(Stack *stack, uint32_t uid, GError **error)
{
	StackRecord found = { .n = 0 };
	PhContent *content = NULL;

	g_assert_true(stack_record(stack, uid, &found));
	if (!stack->store->content(stack->account, &stack->inbox, uid, &found.record.blob, &content,
	                           error))
		return NULL;
	return content;
}

/* All octets of a content (owned); NULL with @error. */
static inline GByteArray *
stack_read(PhContent *content, GError **error)
{
	uint64_t length = ph_content_length(content);
	GByteArray *octets = g_byte_array_new();

	(void) g_byte_array_set_size(octets, (guint) length);
	if (ph_content_read(content, 0, (char *) octets->data, length, error) == (ssize_t) length)
		return octets;
	g_byte_array_unref(octets);
	return NULL;
}

static inline void
stack_assert_octets(Stack *stack, uint32_t uid, PhSlice expected)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(PhContent) content = stack_content(stack, uid, &error);
	g_autoptr(GByteArray) octets = NULL;

	g_assert_no_error(error);
	g_assert_cmpuint(ph_content_length(content), ==, expected.length);
	octets = stack_read(content, &error);
	g_assert_no_error(error);
	g_assert_true(expected.length == 0
	              || memcmp(octets->data, expected.data, expected.length) == 0);
}

static inline void
stack_count_line(const char *line, void *user_data)
{
	g_test_message("%s", line);
	++*(unsigned *) user_data;
}

/* Findings of verify. */
static inline unsigned
stack_verify(Stack *stack, bool repair)
{
	g_autoptr(GError) error = NULL;
	unsigned n = 0;

	(void) stack->store->verify(stack->account, repair, stack_count_line, &n, &error);
	g_assert_no_error(error);
	return n;
}

#endif
