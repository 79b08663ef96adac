/* isolated-filter.c: the table of a filter whose plugin runs in children
 *
 * The child gets a copy of what is known of the mail; what it changed of it is done here, to the mail
 * itself. A child that died takes its states with it: the next question begins anew in another.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/isolated-filter.h"

#include <posthorn/error.h>
#include <posthorn/header.h>
#include <posthorn/plugin.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "plugin/adopt.h"
#include "server/isolated-filter-packet.h"
#include "server/mail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	CALLS_MAX = PH_ROUTE_MEMBERS_MAX, /* recipients that one answer may add */
	PIECE = 64 << 10
};

/* State: of one session, at this end. */
typedef struct {
	PhPool *pool;
	uint64_t serial; /* of the link to the child that has it; 0: none */
	uint64_t number;
	PhContent *sent; /* (nullable) what the child has */
} State;

static _Atomic uint64_t last_number;

static void *
begin(void *instance, PhMail *mail)
{
	State *state = g_new0(State, 1);

	state->pool = instance;
	return state;
}

/* The child has no state of that number any more, or never had. */
static void
forget(State *state)
{
	if (state->serial > 0)
		ph_pool_end_state(state->pool, state->serial, state->number);
	state->serial = 0;
	g_clear_pointer(&state->sent, ph_content_unref);
}

static void
end(void *instance, void *pointer)
{
	forget(pointer);
	g_free(pointer);
}

/* --- the question ----------------------------------------------------------------------------- */

static void
write_parameters(PhPacket *packet, const GArray *parameters)
{
	guint n = parameters != NULL ? parameters->len : 0;

	ph_packet_number(packet, n);
	for (guint i = 0; i < n; i++) {
		const PhMailParameter *row = &g_array_index(parameters, PhMailParameter, i);

		ph_packet_text(packet, row->name);
		ph_packet_text(packet, row->value);
	}
}

static void
write_recipients(PhPacket *packet, const PhMail *mail)
{
	ph_packet_number(packet, mail->recipients->len);
	for (guint i = 0; i < mail->recipients->len; i++) {
		const PhRecipient *row = &g_array_index(mail->recipients, PhRecipient, i);

		ph_packet_text(packet, row->address);
		ph_packet_number(packet, row->flags);
		write_parameters(packet, row->parameters);
	}
}

static bool
write_piece(PhSlice piece, void *user_data, GError **error)
{
	const int *fd = user_data;

	while (piece.length > 0) {
		ssize_t n = write(*fd, piece.data, piece.length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			ph_error_set_errno(error, errno, "cannot hand over a message");
			return false;
		}
		piece = ph_slice_from(piece, (size_t) n);
	}
	return true;
}

int
ph_isolated_octets(PhSlice head, PhContent *content, GError **error)
{
	int fd = memfd_create("posthorn-mail", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0) {
		ph_error_set_errno(error, errno, "cannot hand over a message");
		return -1;
	}
	if (write_piece(head, &fd, error)
	    && (content == NULL
	        || ph_content_each(content, 0, ph_content_length(content), write_piece, &fd, error))
	    && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool
write_inline(PhPacket *packet, PhContent *content, GError **error)
{
	char octets[PH_FILTER_INLINE_MAX];
	size_t length = (size_t) ph_content_length(content);
	ssize_t n = ph_content_read(content, 0, octets, length, error);

	if (n < 0)
		return false;
	ph_packet_number(packet, PH_OCTETS_HERE);
	ph_packet_octets(packet, PH_SLICE(octets, (size_t) n));
	return true;
}

static bool
write_content(State *state, PhIsolateCall *call, PhContent *content, GError **error)
{
	PhPacket *packet = &call->link->packet;

	if (content == NULL || content == state->sent) {
		ph_packet_number(packet, content != NULL ? PH_OCTETS_SAME : PH_OCTETS_NONE);
		return true;
	}
	g_clear_pointer(&state->sent, ph_content_unref);
	state->sent = ph_content_ref(content);
	if (ph_content_length(content) <= PH_FILTER_INLINE_MAX)
		return write_inline(packet, content, error);
	call->pass = ph_isolated_octets(PH_SLICE_EMPTY, content, error);
	ph_packet_number(packet, PH_OCTETS_PASSED);
	ph_packet_number(packet, ph_content_length(content));
	return call->pass >= 0;
}

static bool
write_shown(State *state, PhIsolateCall *call, const PhMail *mail, GError **error)
{
	PhSlice header = ph_mail_early_header(mail);
	g_autoptr(PhContent) content = NULL;

	ph_packet_number(&call->link->packet,
	                 header.length > 0 ? PH_SHOWN_HEADER : PH_SHOWN_MESSAGE);
	if (header.length == 0)
		return write_content(state, call, mail->content, error);
	content = ph_content_new_copy(header);
	return write_content(state, call, content, error);
}

static bool
write_question(State *state, PhIsolateCall *call, const PhFilterQuestion *question, GError **error)
{
	PhPacket *packet = &call->link->packet;
	const PhMail *mail = question->mail;

	ph_packet_number(packet, state->number);
	ph_packet_number(packet, question->stage);
	ph_packet_number(packet, question->recipient);
	ph_packet_text(packet, ph_mail_id(mail));
	ph_packet_text(packet, mail->sender);
	ph_packet_number(packet, mail->user != NULL ? 1 : 0);
	if (mail->user != NULL)
		ph_packet_identity(packet, mail->user);
	write_parameters(packet, mail->parameters);
	write_recipients(packet, mail);
	ph_packet_octets(packet, ph_mail_prepended(mail));
	return write_shown(state, call, mail, error);
}

/* --- the answer ------------------------------------------------------------------------------- */

/* What the packet says is done to the mail when all of it is good. */
static bool
apply_answer(const PhFilterAnswer *answer, PhFilterQuestion *question)
{
	PhMail *mail = question->mail;

	for (guint i = 0; i < answer->removed->len; i++)
		if (g_array_index(answer->removed, uint64_t, i) >= mail->recipients->len)
			return false;
	question->verdict = answer->verdict;
	for (guint i = 0; i < answer->removed->len; i++)
		ph_mail_remove_recipient(mail, g_array_index(answer->removed, uint64_t, i));
	for (guint i = 0; i < answer->parameters->len; i++) {
		const PhMailParameter *row = &g_array_index(answer->parameters, PhMailParameter, i);

		ph_mail_set_parameter(mail, row->name, ph_slice(row->value));
	}
	if (answer->sender != NULL)
		ph_mail_set_sender(mail, ph_slice(answer->sender));
	if (answer->prepended.length > 0)
		ph_mail_prepend(mail, answer->prepended);
	return true;
}

/* @length octets from @offset of a file that belongs to the child: it may be shorter by now. */
static bool
read_file(int fd, uint64_t offset, uint64_t length, PhSpool *spool, GError **error)
{
	g_autofree char *buffer = g_malloc(PIECE);

	while (length > 0) {
		ssize_t n = pread(fd, buffer, MIN(length, (uint64_t) PIECE), (off_t) offset);

		if (n <= 0) {
			ph_error_set(error, PH_ERROR_TEMPORARY,
			             "what the filter made is not there");
			return false;
		}
		if (!ph_spool_write(spool, PH_SLICE(buffer, (size_t) n), error))
			return false;
		offset += (uint64_t) n;
		length -= (uint64_t) n;
	}
	return true;
}

/* A range of what the child passed, as content of our own. Returns: (owned) */
static PhContent *
take_range(int fd, uint64_t offset, uint64_t length, GError **error)
{
	PhSpool *spool = ph_spool_new();

	if (read_file(fd, offset, length, spool, error))
		return ph_spool_finish(spool, error);
	ph_spool_free(spool);
	return NULL;
}

static bool
take_header(PhMail *mail, PhContent *header, GError **error)
{
	g_autoptr(GString) block = g_string_new(NULL);
	ssize_t n = 0;

	g_string_set_size(block, (size_t) ph_content_length(header));
	n = ph_content_read(header, 0, block->str, block->len, error);
	return n >= 0 && ph_mail_replace_header(mail, PH_SLICE(block->str, (size_t) n), error);
}

/* The new header, and the new body behind it. */
static bool
take_edits(const PhFilterAnswer *answer, PhMail *mail, int passed, GError **error)
{
	uint64_t length = answer->header_mark > 0 ? answer->header_mark - 1 : 0;
	g_autoptr(PhContent) header = NULL;
	g_autoptr(PhContent) body = NULL;

	if (answer->header_mark == 0)
		return true;
	header = take_range(passed, 0, length, error);
	if (header == NULL || !take_header(mail, header, error))
		return false;
	if (answer->body_mark == 0)
		return true;
	body = take_range(passed, length, answer->body_mark - 1, error);
	return body != NULL && ph_mail_replace_body(mail, body, error);
}

PhFilterReading
ph_isolated_filter_read(PhPacketReader *reader,
                        int passed,
                        uint64_t most,
                        PhFilterQuestion *question,
                        GError **error)
{
	g_auto(PhFilterAnswer) answer = { .sender = NULL };

	if (!ph_filter_answer_read(reader, most, &answer) || (answer.header_mark > 0 && passed < 0))
		return PH_FILTER_NONSENSE;
	if (answer.error != NULL) {
		g_propagate_error(error, g_steal_pointer(&answer.error));
		return PH_FILTER_FAILED;
	}
	if (!apply_answer(&answer, question))
		return PH_FILTER_NONSENSE;
	return take_edits(&answer, question->mail, passed, error) ? PH_FILTER_ANSWERED
	                                                          : PH_FILTER_FAILED;
}

/* --- asking ------------------------------------------------------------------------------------ */

static bool
answer_recipient(PhIsolateCall *call, PhMail *mail)
{
	uint64_t which = ph_read_number(&call->reply, PH_CALL_ADD_RECIPIENT);
	g_autofree char *address = ph_read_text(&call->reply);
	uint64_t began_us = ph_clock_us();
	PhRcpt result = PH_RCPT_TEMPORARY;

	if (which == 0 || address == NULL || !ph_read_is_done(&call->reply))
		return false;
	result = ph_mail_add_recipient(mail, ph_slice(address));
	call->link->packet.length = 0;
	ph_packet_number(&call->link->packet, result);
	call->deadline_us += ph_clock_us() - began_us;
	return true;
}

static bool
converse(PhIsolateCall *call, PhMail *mail, GError **error)
{
	for (size_t i = 0; i < CALLS_MAX; i++) {
		uint64_t reply = ph_isolate_ask(call, error);

		if (reply == 0 || reply == PH_REPLY_DONE)
			return reply == PH_REPLY_DONE;
		if (reply != PH_REPLY_CALL || !answer_recipient(call, mail))
			break;
	}
	ph_isolate_nonsense(call, error);
	return false;
}

/* A link for the state: the one that it had, as long as that lives. */
static bool
enter(State *state, PhIsolateCall *call, void *instance, GError **error)
{
	if (state->serial > 0
	    && ph_isolate_begin(call, instance, state->serial, PH_ASK_QUESTION, NULL))
		return true;
	forget(state);
	if (!ph_isolate_begin(call, instance, 0, PH_ASK_QUESTION, error))
		return false;
	state->serial = call->link->serial;
	state->number = atomic_fetch_add(&last_number, 1) + 1;
	return true;
}

static bool
ask(void *instance, void *pointer, PhFilterQuestion *question, GError **error)
{
	State *state = pointer;
	PhIsolateCall call;
	uint64_t most = ph_section_message_size_limit(ph_pool_section(instance));
	PhFilterReading reading = PH_FILTER_FAILED;
	bool good = false;

	if (!enter(state, &call, instance, error))
		return false;
	if (write_question(state, &call, question, error)
	    && converse(&call, question->mail, error)) {
		reading = ph_isolated_filter_read(&call.reply, call.passed, most, question, error);
		if (reading == PH_FILTER_NONSENSE)
			ph_isolate_nonsense(&call, error);
	}
	good = reading == PH_FILTER_ANSWERED;
	if (!good && error != NULL && *error == NULL)
		ph_error_set(error, PH_ERROR_TEMPORARY, "it failed and did not say why");
	if (!good)
		forget(state);
	ph_isolate_end(&call);
	return good;
}

static bool
create_nothing(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	return false;
}

static void
destroy_nothing(void *instance)
{
}

void *
ph_isolated_filter_table(const void *real)
{
	const PhFilter *has = real;
	const PhFilter table = {
		.size = sizeof table,
		.stages = has->stages,
		.create = create_nothing,
		.destroy = destroy_nothing,
		.begin = begin,
		.end = end,
		.ask = ask,
	};

	return ph_adopt_table(PH_KIND_FILTER, &table, NULL);
}
