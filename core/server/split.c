/* split.c: submits a mail in parts where not everybody gets it in the same form
 *
 * A list's members get it from the list's owner; who is reached by forwarding gets it with the
 * Delivered-To of the address that forwards, and from a sender that this server answers for (SRS).
 * Each form is a mail of its own with its own place in the queue; the submitted one gathers the
 * results. A forwarded mail that was here before is refused (RFC 5321 section 6.3).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/header.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>
#include <posthorn/wake.h>

#include "base/error.h"
#include "server/mail.h"
#include "server/success.h"

#include <string.h>

enum {
	HEADER_SEEN = 256 * 1024, /* octets of a header that are searched for Delivered-To */
};

/* Split: a mail whose parts are under way. */
typedef struct {
	PhMail *mail;
	PhWake *wake;
	GPtrArray *parts;
	PhMail *report; /* (nullable) of success */
	gint n_pending; /* parts, and the one who begins them */
} Split;

/* Part: one form of the mail. */
typedef struct {
	Split *split;
	PhMail *mail;
	char *via;      /* (nullable) */
	GArray *origin; /* guint: the target of the whole mail behind each of its own */
} Part;

static bool
is_uniform(const PhMail *mail)
{
	for (guint i = 0; i < mail->targets->len; i++) {
		const PhDetour *detour = &ph_mail_target(mail, i)->detour;

		if (detour->sender != NULL || detour->via != NULL)
			return false;
	}
	for (guint i = 0; i < mail->recipients->len; i++) {
		const PhRecipient *recipient = &g_array_index(mail->recipients, PhRecipient, i);

		if (recipient->n_targets > 1 && ph_success_is_wanted(recipient))
			return false;
	}
	return true;
}

/* --- loops ------------------------------------------------------------------------------------ */

static GString *
read_header(const PhMail *mail)
{
	uint64_t length = MIN(ph_content_length(mail->content), HEADER_SEEN);
	GString *header = g_string_new(NULL);
	uint64_t done = 0;

	g_string_set_size(header, length);
	while (done < length) {
		ssize_t n = ph_content_read(mail->content, done, header->str + done, length - done,
		                            NULL);

		if (n <= 0)
			break;
		done += (uint64_t) n;
	}
	g_string_truncate(header, done);
	return header;
}

/* Was this mail forwarded by this address before? */
static bool
was_here(const GString *header, const char *via)
{
	PhSlice rest = PH_SLICE(header->str, header->len);
	PhHeaderField field;
	size_t offset = 0;

	while (ph_header_next(&rest, &offset, &field))
		if (ph_slice_is_nocase(field.name, "Delivered-To")
		    && ph_slice_is_nocase(ph_slice_trim(field.value), via))
			return true;
	return false;
}

static void
refuse_loops(PhMail *mail)
{
	g_autoptr(GString) header = NULL;

	for (guint i = 0; i < mail->targets->len; i++) {
		PhTarget *target = ph_mail_target(mail, i);

		if (target->detour.via == NULL || target->was_served)
			continue;
		if (header == NULL)
			header = read_header(mail);
		if (was_here(header, target->detour.via))
			ph_error_set(&target->error, PH_ERROR_LOOP,
			             "mail loop: '%s' has forwarded this mail before",
			             target->detour.via);
	}
}

/* --- parts ------------------------------------------------------------------------------------ */

static void
free_part(void *data)
{
	Part *part = data;

	ph_mail_unref(part->mail);
	g_array_unref(part->origin);
	g_free(part->via);
	g_free(part);
}

/* All is done; what is told of it does not change the result. */
static void
end_split(void *user_data)
{
	Split *split = user_data;
	PhMail *mail = split->mail;
	PhWake *wake = split->wake;

	g_ptr_array_unref(split->parts);
	ph_mail_unref(split->report);
	g_free(split);
	ph_mail_unref(mail);
	ph_wake_complete(wake);
}

static void
finish_split(Split *split)
{
	PhMail *mail = split->mail;

	if (!g_atomic_int_dec_and_test(&split->n_pending))
		return;
	for (guint i = 0; i < split->parts->len; i++) {
		const Part *part = split->parts->pdata[i];

		for (guint t = 0; t < part->origin->len; t++) {
			const GError *error = ph_mail_target(part->mail, t)->error;
			guint origin = g_array_index(part->origin, guint, t);

			if (error != NULL)
				ph_mail_target(mail, origin)->error = g_error_copy(error);
		}
	}
	ph_mail_settle(mail);
	split->report = ph_success_report(mail);
	if (split->report != NULL)
		ph_mail_submit(split->report, ph_wake_new_func(end_split, split));
	else
		end_split(split);
}

static void
part_done(void *user_data)
{
	const Part *part = user_data;

	finish_split(part->split);
}

static char *
sender_for(const PhMail *mail, const PhTarget *target)
{
	const char *sender = ph_mail_sender(mail);

	/* The null sender stays: there is never a report about a report. */
	if (sender[0] == '\0')
		return g_strdup("");
	if (target->detour.sender != NULL)
		return g_strdup(target->detour.sender);
	return ph_router_forward_sender(mail->router, &target->detour, sender);
}

/* A list is a new beginning: what its sender wants to know of the delivery ends there (RFC 3461
 * section 5.2.7.3). */
static void
forget_parameters(PhMail *mail)
{
	GArray *rows = mail->parameters;

	for (guint i = rows != NULL ? rows->len : 0; i-- > 0;) {
		const char *name = g_array_index(rows, PhMailParameter, i).name;

		if (strcmp(name, "RET") == 0 || strcmp(name, "ENVID") == 0)
			g_array_remove_index(rows, i);
	}
}

/* The part that is as it was sent is found under the name that the sender was told. */
static void
take_id(PhMail *part, const PhMail *mail)
{
	memcpy(part->id, mail->id, sizeof part->id);
	memcpy(part->random, mail->random, sizeof part->random);
}

static Part *
new_part(Split *split, const char *sender, const char *via, bool is_list)
{
	Part *part = g_new0(Part, 1);

	part->split = split;
	part->mail = ph_mail_new_part(split->mail);
	part->via = g_strdup(via);
	part->origin = g_array_new(FALSE, FALSE, sizeof(guint));
	ph_mail_set_sender(part->mail, ph_slice(sender));
	if (via == NULL && strcmp(sender, ph_mail_sender(split->mail)) == 0)
		take_id(part->mail, split->mail);
	if (is_list)
		forget_parameters(part->mail);
	if (via != NULL) {
		g_autofree char *field = g_strdup_printf("Delivered-To: %s\r\n", via);

		ph_mail_prepend(part->mail, ph_slice(field));
	}
	g_ptr_array_add(split->parts, part);
	return part;
}

static Part *
part_for(Split *split, const PhTarget *target)
{
	g_autofree char *sender = sender_for(split->mail, target);
	const char *via = target->detour.via;

	for (guint i = 0; i < split->parts->len; i++) {
		Part *part = split->parts->pdata[i];

		if (g_strcmp0(part->via, via) == 0
		    && strcmp(ph_mail_sender(part->mail), sender) == 0)
			return part;
	}
	return new_part(split, sender, via, target->detour.sender != NULL);
}

static void
move_target(Part *part, guint index)
{
	const PhTarget *from = ph_mail_target(part->split->mail, index);
	PhTarget to = { .route = from->route,
		        .identity = from->identity != NULL ? ph_identity_ref(from->identity) : NULL,
		        .address = g_strdup(from->address) };

	memcpy(to.transaction, from->transaction, sizeof to.transaction);
	to.detour.detail = g_strdup(from->detour.detail);
	g_array_append_val(part->mail->targets, to);
	g_array_append_val(part->origin, index);
}

/* The recipients that lead to the part's targets. */
static void
add_recipients(Part *part)
{
	const PhMail *whole = part->split->mail;
	PhMail *mail = part->mail;

	for (guint i = 0; i < mail->targets->len; i++) {
		PhTarget *target = ph_mail_target(mail, i);
		const PhTarget *origin =
			ph_mail_target(whole, g_array_index(part->origin, guint, i));
		const PhRecipient *from =
			&g_array_index(whole->recipients, PhRecipient, origin->recipient);
		PhRecipient to = { .address = g_strdup(from->address),
			           .targets = g_new(uint32_t, 1),
			           .n_targets = 1 };

		to.targets[0] = i;
		if (origin->detour.sender == NULL)
			to.parameters = ph_mail_copy_parameters(from->parameters);
		if (ph_success_ends(whole, from))
			ph_success_strip(to.parameters);
		target->recipient = mail->recipients->len;
		g_array_append_val(mail->recipients, to);
	}
}

static void
log_part(const PhMail *whole, const Part *part)
{
	ph_log(PH_LOG_INFO, "forward", "goes on in another form", PH_LOG_TEXT("id", whole->id),
	       PH_LOG_TEXT("as", part->mail->id), PH_LOG_TEXT("via", part->via),
	       PH_LOG_TEXT("from", ph_mail_sender(part->mail)), PH_LOG_END);
}

static void
submit_parts(Split *split)
{
	split->n_pending = (gint) split->parts->len + 1;
	for (guint i = 0; i < split->parts->len; i++) {
		Part *part = split->parts->pdata[i];

		add_recipients(part);
		if (part->via != NULL
		    || strcmp(ph_mail_sender(part->mail), ph_mail_sender(split->mail)) != 0)
			log_part(split->mail, part);
		ph_mail_submit_whole(part->mail, ph_wake_new_func(part_done, part));
	}
	finish_split(split);
}

void
ph_mail_submit(PhMail *mail, PhWake *wake)
{
	Split *split = NULL;

	g_return_if_fail(mail->content != NULL && mail->wake == NULL);
	if (mail->targets->len == 0 || is_uniform(mail)) {
		ph_mail_submit_whole(mail, wake);
		return;
	}
	ph_mail_recall(mail);
	refuse_loops(mail);
	split = g_new0(Split, 1);
	split->mail = ph_mail_ref(mail);
	split->wake = wake;
	split->parts = g_ptr_array_new_with_free_func(free_part);
	for (guint i = 0; i < mail->targets->len; i++) {
		const PhTarget *target = ph_mail_target(mail, i);

		if (!target->was_served && target->error == NULL)
			move_target(part_for(split, target), i);
	}
	submit_parts(split);
}
