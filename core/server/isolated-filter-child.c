/* isolated-filter-child.c: questions to a filter, asked of its plugin in this process
 *
 * The plugin gets a mail of our own with what the question brought. What it changed is found by
 * comparing when it has answered. A filter that parks is waited for: this process does one call at a
 * time, and the server ends it when it takes too long.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/header.h>
#include <posthorn/slice.h>
#include <posthorn/wake.h>

#include "base/lock.h"
#include "server/isolated-filter.h"
#include "server/mail.h"

#include <string.h>
#include <unistd.h>

enum {
	FLAGS_MOST = 0xffff
};

/* State: of one session. */
typedef struct {
	void *state;        /* the plugin's */
	bool is_begun;      /* it has one */
	PhContent *content; /* (nullable) of the last question */
} State;

/* Parked: the one question that this process may be waiting with. */
static struct {
	PhLock lock; /* guards the other two */
	PhSignal changed;
	bool is_answered;
} parked = { .lock = PH_LOCK_INIT };

static const PhFilter *
table_of(const PhIsolateChild *child)
{
	return child->section->offer->table;
}

/* --- parking ----------------------------------------------------------------------------------- */

static void
answered(void *user_data)
{
	PH_LOCKED(&parked.lock);

	parked.is_answered = true;
	ph_signal_all(&parked.changed);
}

PhWake *
ph_isolated_filter_park(PhFilterQuestion *question)
{
	question->is_pending = true;
	parked.is_answered = false;
	return ph_wake_new_func(answered, NULL);
}

static void
wait_for_answer(void)
{
	PH_LOCKED(&parked.lock);

	while (!parked.is_answered)
		ph_signal_wait(&parked.changed, &parked.lock);
}

/* --- the mail ---------------------------------------------------------------------------------- */

static void
read_parameters(PhPacketReader *reader, PhMail *mail)
{
	uint64_t n = ph_read_number(reader, PH_PACKET_LIST_MAX);

	for (uint64_t i = 0; i < n && !reader->bad; i++) {
		g_autofree char *name = ph_read_text(reader);
		g_autofree char *value = ph_read_text(reader);

		if (name != NULL && value != NULL)
			ph_mail_set_parameter(mail, name, ph_slice(value));
	}
}

static void
append_recipient(PhMail *mail, PhSlice address, uint32_t flags)
{
	PhRecipient row = { .address = ph_slice_dup(address), .flags = flags };

	g_array_append_val(mail->recipients, row);
}

static void
read_recipients(PhPacketReader *reader, PhMail *mail)
{
	uint64_t n = ph_read_number(reader, PH_PACKET_MAX);

	for (uint64_t i = 0; i < n && !reader->bad; i++) {
		g_autofree char *address = ph_read_text(reader);
		uint32_t flags = (uint32_t) ph_read_number(reader, FLAGS_MOST);
		uint64_t n_parameters = ph_read_number(reader, PH_PACKET_LIST_MAX);

		if (address != NULL)
			append_recipient(mail, ph_slice(address), flags);
		for (uint64_t p = 0; p < n_parameters && !reader->bad; p++) {
			g_autofree char *name = ph_read_text(reader);
			g_autofree char *value = ph_read_text(reader);

			if (name != NULL && value != NULL)
				ph_mail_set_recipient_parameter(mail, mail->recipients->len - 1,
				                                name, ph_slice(value));
		}
	}
}

/* The octets of the message, as the packet says where they are. */
static void
read_content(PhIsolateChild *child, State *state)
{
	PhSlice octets;

	switch (ph_read_number(&child->reader, PH_OCTETS_PASSED)) {
	case PH_OCTETS_SAME:
		return;
	case PH_OCTETS_HERE:
		octets = ph_read_octets(&child->reader, PH_FILTER_INLINE_MAX);
		g_clear_pointer(&state->content, ph_content_unref);
		state->content = ph_content_new_copy(octets);
		return;
	case PH_OCTETS_PASSED:
		g_clear_pointer(&state->content, ph_content_unref);
		state->content = ph_content_new_file(child->passed, 0,
		                                     ph_read_number(&child->reader, G_MAXINT64));
		child->reader.bad = child->reader.bad || child->passed < 0;
		child->passed = -1;
		return;
	default:
		g_clear_pointer(&state->content, ph_content_unref);
		return;
	}
}

/* What the octets are. */
static void
show_content(PhIsolateChild *child, State *state, PhMail *mail)
{
	bool is_header = ph_read_number(&child->reader, PH_SHOWN_HEADER) == PH_SHOWN_HEADER;
	g_autoptr(GString) block = g_string_new(NULL);
	ssize_t n = 0;

	read_content(child, state);
	if (state->content == NULL)
		return;
	if (!is_header) {
		ph_mail_set_content(mail, state->content);
		return;
	}
	if (ph_content_length(state->content) > PH_HEADER_SUM_MAX) {
		child->reader.bad = true;
		return;
	}
	g_string_set_size(block, (size_t) ph_content_length(state->content));
	n = ph_content_read(state->content, 0, block->str, block->len, NULL);
	if (n >= 0)
		ph_mail_show_header(mail, PH_SLICE(block->str, (size_t) n));
	child->reader.bad = child->reader.bad || n < 0;
}

/* The routes are the server's. */
static PhRcpt
add_elsewhere(PhMail *mail, PhSlice address)
{
	PhIsolateChild *child = mail->keeper;
	PhRcpt result = PH_RCPT_TEMPORARY;
	g_autofree char *text = ph_slice_dup(address);

	ph_isolated_begin(child, PH_REPLY_CALL);
	ph_packet_number(&child->packet, PH_CALL_ADD_RECIPIENT);
	ph_packet_text(&child->packet, text);
	if (ph_isolated_ask(child))
		result = (PhRcpt) ph_read_number(&child->reader, PH_RCPT_OVER_QUOTA);
	if (result == PH_RCPT_OK)
		append_recipient(mail, address, PH_RECIPIENT_ADDED);
	return result;
}

/* The child outlives its mails. */
static void
let_go(void *keeper)
{
}

/* Returns: (owned) the mail of the question. */
static PhMail *
read_mail(PhIsolateChild *child, State *state)
{
	PhPacketReader *reader = &child->reader;
	PhMail *mail = ph_mail_new_routed(NULL);
	g_autofree char *id = ph_read_text(reader);
	g_autofree char *sender = ph_read_text(reader);
	PhSlice prepended;

	g_strlcpy(mail->id, id != NULL ? id : "", sizeof mail->id);
	if (sender != NULL)
		ph_mail_set_sender(mail, ph_slice(sender));
	if (ph_read_number(reader, 1) != 0)
		mail->user = ph_read_identity(reader);
	read_parameters(reader, mail);
	read_recipients(reader, mail);
	prepended = ph_read_octets(reader, PH_PACKET_MAX);
	if (prepended.length > 0)
		ph_mail_prepend(mail, prepended);
	show_content(child, state, mail);
	mail->is_asked = true;
	mail->add_elsewhere = add_elsewhere;
	ph_mail_keep(mail, child, let_go);
	return mail;
}

/* --- what was changed -------------------------------------------------------------------------- */

/* Before: what the mail was like when the filter was asked. */
typedef struct {
	char *sender; /* (nullable) */
	GArray *parameters;
	GArray *flags; /* uint32_t, of the recipients */
	size_t prepended;
} Before;

static void
note_before(const PhMail *mail, Before *before)
{
	before->sender = g_strdup(mail->sender);
	before->parameters = ph_mail_copy_parameters(mail->parameters);
	before->flags = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	before->prepended = ph_mail_prepended(mail).length;
	for (guint i = 0; i < mail->recipients->len; i++)
		g_array_append_val(before->flags,
		                   g_array_index(mail->recipients, PhRecipient, i).flags);
}

static void
clear_before(Before *before)
{
	g_free(before->sender);
	g_clear_pointer(&before->parameters, g_array_unref);
	g_array_unref(before->flags);
}

static bool
was_there(const GArray *parameters, const PhMailParameter *wanted)
{
	for (guint i = 0; parameters != NULL && i < parameters->len; i++) {
		const PhMailParameter *row = &g_array_index(parameters, PhMailParameter, i);

		if (strcmp(row->name, wanted->name) == 0)
			return strcmp(row->value, wanted->value) == 0;
	}
	return false;
}

static void
write_parameters(PhPacket *packet, const PhMail *mail, const Before *before)
{
	guint n = mail->parameters != NULL ? mail->parameters->len : 0;
	g_autoptr(GPtrArray) changed = g_ptr_array_new();

	for (guint i = 0; i < n; i++) {
		PhMailParameter *row = &g_array_index(mail->parameters, PhMailParameter, i);

		if (!was_there(before->parameters, row))
			g_ptr_array_add(changed, row);
	}
	ph_packet_number(packet, changed->len);
	for (guint i = 0; i < changed->len; i++) {
		ph_packet_text(packet, ((const PhMailParameter *) changed->pdata[i])->name);
		ph_packet_text(packet, ((const PhMailParameter *) changed->pdata[i])->value);
	}
}

static void
write_removed(PhPacket *packet, const PhMail *mail, const Before *before)
{
	g_autoptr(GArray) removed = g_array_new(FALSE, FALSE, sizeof(uint64_t));

	for (guint i = 0; i < mail->recipients->len; i++) {
		uint32_t had =
			i < before->flags->len ? g_array_index(before->flags, uint32_t, i) : 0;
		uint32_t has = g_array_index(mail->recipients, PhRecipient, i).flags;
		uint64_t index = i;

		if ((has & ~had & PH_RECIPIENT_REMOVED) != 0)
			g_array_append_val(removed, index);
	}
	ph_packet_number(packet, removed->len);
	for (guint i = 0; i < removed->len; i++)
		ph_packet_number(packet, g_array_index(removed, uint64_t, i));
}

static void
write_edits(PhIsolateChild *child, const PhMail *mail)
{
	PhSlice header = PH_SLICE_EMPTY;
	PhContent *body = NULL;
	bool changed = ph_mail_edits(mail, &header, &body);

	ph_packet_number(&child->packet, changed ? header.length + 1 : 0);
	ph_packet_number(&child->packet, body != NULL ? ph_content_length(body) + 1 : 0);
	if (!changed)
		return;
	child->pass = ph_isolated_octets(header, body, NULL);
	child->packet.bad = child->packet.bad || child->pass < 0;
}

static void
write_answer(PhIsolateChild *child,
             const PhMail *mail,
             const Before *before,
             const PhVerdict *verdict)
{
	PhPacket *packet = &child->packet;
	PhSlice prepended = ph_mail_prepended(mail);

	ph_packet_number(packet, 1);
	ph_packet_number(packet, verdict->result);
	ph_packet_number(packet, verdict->smtp_code);
	ph_packet_text(packet, verdict->status);
	ph_packet_text(packet, verdict->text);
	ph_packet_number(packet, verdict->delay.us);
	ph_packet_text(packet, g_strcmp0(mail->sender, before->sender) != 0 ? mail->sender : NULL);
	write_parameters(packet, mail, before);
	write_removed(packet, mail, before);
	ph_packet_octets(packet, PH_SLICE(prepended.data, prepended.length - before->prepended));
	write_edits(child, mail);
}

/* --- asking ------------------------------------------------------------------------------------ */

static State *
find_state(PhIsolateChild *child, uint64_t number)
{
	State *state = g_hash_table_lookup(child->states, &number);

	if (state != NULL)
		return state;
	state = g_new0(State, 1);
	g_hash_table_insert(child->states, g_memdup2(&number, sizeof number), state);
	return state;
}

static void
ask(PhIsolateChild *child, State *state, PhFilterQuestion *question)
{
	const PhFilter *table = table_of(child);
	Before before = { .sender = NULL };
	g_autoptr(GError) error = NULL;
	bool good = false;

	if (!state->is_begun)
		state->state = table->begin(child->section->instance, question->mail);
	state->is_begun = true;
	note_before(question->mail, &before);
	good = table->ask(child->section->instance, state->state, question, &error);
	if (question->is_pending)
		wait_for_answer();
	ph_isolated_begin(child, PH_REPLY_DONE);
	if (good || question->is_pending) {
		write_answer(child, question->mail, &before, &question->verdict);
	} else {
		ph_packet_number(&child->packet, 0);
		ph_packet_error(&child->packet, error);
	}
	clear_before(&before);
}

static bool
serve(PhIsolateChild *child, uint64_t operation)
{
	uint64_t number = ph_read_number(&child->reader, UINT64_MAX);
	PhFilterQuestion question = { .core = NULL };
	State *state = NULL;
	bool good = false;

	if (operation != PH_ASK_QUESTION || child->reader.bad)
		return false;
	question.stage = (uint32_t) ph_read_number(&child->reader, PH_STAGE_UNKNOWN);
	question.recipient = ph_read_number(&child->reader, G_MAXUINT32);
	state = find_state(child, number);
	question.mail = read_mail(child, state);
	good = ph_read_is_done(&child->reader);
	if (good)
		ask(child, state, &question);
	ph_mail_unref(question.mail);
	return good;
}

static void
end(PhIsolateChild *child, void *pointer)
{
	State *state = pointer;

	if (state->is_begun)
		table_of(child)->end(child->section->instance, state->state);
	if (state->content != NULL)
		ph_content_unref(state->content);
	g_free(state);
}

static const PhIsolatedKind filter_kind = { serve, end };

void
ph_isolated_filter_open(void)
{
	ph_signal_init(&parked.changed);
	ph_isolated_set_filter(&filter_kind);
}
