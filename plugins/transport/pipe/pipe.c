/* pipe.c: the pipe transport: gives each message to a program
 *
 * The program reads the message from its standard input and says by its exit status what became of
 * it. One run for each recipient.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/process.h>
#include <posthorn/slice.h>
#include <posthorn/transport.h>

#include "command.h"

#include <string.h>

enum {
	LINE_ENDS_LF = 0,
	LINE_ENDS_CRLF = 1,
};

typedef struct {
	const char *command;
	PhDuration run_time;
	PhSize max_output;
	uint32_t line_ends;
	bool return_path;
} Settings;

static const char *const line_end_words[] = { "lf", "crlf", NULL };

static const PhOption options[] = {
	PH_OPTION_STRING(Settings,
	                 command,
	                 PH_REQUIRED,
	                 "the program's absolute path and its words; {recipient}, {sender}, "
	                 "{user}, {detail}, {domain} and {id} are filled in"),
	PH_OPTION_DURATION(Settings,
	                   run_time,
	                   "1min",
	                   "most time for one run; then it is killed and tried again later"),
	PH_OPTION_SIZE(Settings, max_output, "64K", "most that it may write; more kills it"),
	PH_OPTION_CHOICE(Settings,
	                 line_ends,
	                 "lf",
	                 line_end_words,
	                 "how lines of the message end for it"),
	PH_OPTION_BOOLEAN(Settings,
	                  return_path,
	                  "yes",
	                  "put a Return-Path field with the sender in front"),
	PH_OPTIONS_END,
};

typedef struct {
	PhSection *section;
	const Settings *settings;
	char **words;
} Pipe;

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	const Settings *own = settings;
	char **words = command_split(own->command, error);
	Pipe *self = NULL;

	if (words == NULL)
		return false;
	self = g_new0(Pipe, 1);
	self->section = section;
	self->settings = own;
	self->words = words;
	*instance_out = self;
	return true;
}

static void
destroy(void *instance)
{
	Pipe *self = instance;

	g_strfreev(self->words);
	g_free(self);
}

/* --- the message ------------------------------------------------------------------------------ */

typedef struct {
	PhSpool *spool;
	bool cr; /* the piece before ended in one */
} Unix;

/* Line ends of LF alone; a CR that is no part of one stays. */
static bool
add_piece(PhSlice piece, void *user_data, GError **error)
{
	Unix *out = user_data;
	const char *at = piece.data;
	const char *end = at + piece.length;

	while (at < end) {
		const char *cr = memchr(at, '\r', (size_t) (end - at));
		const char *stop = cr != NULL ? cr : end;

		if (out->cr && *at != '\n'
		    && !ph_spool_write(out->spool, PH_SLICE_LITERAL("\r"), error))
			return false;
		out->cr = cr != NULL;
		if (!ph_spool_write(out->spool, PH_SLICE(at, (size_t) (stop - at)), error))
			return false;
		at = cr != NULL ? cr + 1 : end;
	}
	return true;
}

static bool
add_all(const Pipe *self, const PhMail *mail, Unix *out, GError **error)
{
	PhContent *content = ph_mail_content(mail);
	g_autofree char *path = g_strdup_printf("Return-Path: <%s>\r\n", ph_mail_sender(mail));
	PhSlice trace = ph_mail_prepended(mail);

	if (self->settings->return_path && !add_piece(ph_slice(path), out, error))
		return false;
	return (trace.length == 0 || add_piece(trace, out, error))
	       && ph_content_each(content, 0, ph_content_length(content), add_piece, out, error)
	       && (!out->cr || ph_spool_write(out->spool, PH_SLICE_LITERAL("\r"), error));
}

static PhContent *
as_unix(const Pipe *self, const PhMail *mail, GError **error)
{
	Unix out = { .spool = ph_spool_new() };

	if (add_all(self, mail, &out, error))
		return ph_spool_finish(out.spool, error);
	ph_spool_free(out.spool);
	return NULL;
}

static PhContent *
as_it_is(const Pipe *self, const PhMail *mail)
{
	g_autoptr(GString) head = g_string_new(NULL);
	PhSlice trace = ph_mail_prepended(mail);
	PhContent *parts[2] = { NULL, ph_mail_content(mail) };
	PhContent *whole = NULL;

	if (self->settings->return_path)
		g_string_append_printf(head, "Return-Path: <%s>\r\n", ph_mail_sender(mail));
	g_string_append_len(head, trace.data, (gssize) trace.length);
	parts[0] = ph_content_new_copy(PH_SLICE(head->str, head->len));
	whole = ph_content_new_joined(parts, G_N_ELEMENTS(parts));
	ph_content_unref(parts[0]);
	return whole;
}

/* --- one run ---------------------------------------------------------------------------------- */

static void
complete(PhDelivery *delivery, size_t index, unsigned code, const char *reply)
{
	GError error = { .domain = PH_ERROR,
		         .code = code >= 500 ? PH_ERROR_PERMANENT : PH_ERROR_TEMPORARY,
		         .message = (char *) (uintptr_t) reply };
	PhDeliveryResult result = { .size = sizeof result,
		                    .error = code == 250 ? NULL : &error,
		                    .reply = reply,
		                    .flags = code == 250 ? PH_DELIVERED_FINAL : 0 };

	ph_delivery_complete_with(delivery, index, &result);
}

static void
judge(PhDelivery *delivery, size_t index, const PhProcessResult *result)
{
	gsize size = 0;
	const char *data = g_bytes_get_data(result->output, &size);
	PhSlice output = PH_SLICE(data, size);
	g_autoptr(GString) reply = g_string_new(NULL);
	char status[12] = "";
	unsigned code = command_judge(result->exit_status, output, status);

	if (result->timed_out || result->overflowed) {
		g_string_printf(reply, "451 4.3.0 the program %s",
		                result->timed_out ? "took too long" : "wrote too much");
		complete(delivery, index, 451, reply->str);
		return;
	}
	g_string_printf(reply, "%u %s ", code, status);
	command_text(output, reply);
	if (code != 250 && g_str_has_suffix(reply->str, " "))
		g_string_append_printf(reply, "the program ended with status %d",
		                       result->exit_status);
	complete(delivery, index, code, reply->str);
}

/* "user", "detail" and "domain" of a recipient. */
static void
split(const PhDelivery *delivery, size_t index, CommandValues *values, char **user_out)
{
	const char *address = ph_delivery_recipient(delivery, index);
	const PhIdentity *identity = ph_delivery_identity(delivery, index);
	const char *at = strrchr(address, '@');
	const char *detail = ph_delivery_detail(delivery, index);

	values->recipient = address;
	values->domain = at != NULL ? at + 1 : "";
	values->detail = detail != NULL ? detail : "";
	*user_out = at != NULL ? g_strndup(address, (gsize) (at - address)) : g_strdup(address);
	values->user = identity != NULL ? ph_identity_user(identity) : *user_out;
}

static void
run_for(const Pipe *self, PhDelivery *delivery, size_t index, PhContent *content)
{
	const PhMail *mail = ph_delivery_mail(delivery);
	CommandValues values = { .sender = ph_mail_sender(mail), .id = ph_mail_id(mail) };
	g_autofree char *user = NULL;
	g_auto(GStrv) words = NULL;
	g_autoptr(GError) error = NULL;
	PhProcessResult result = { .output = NULL };
	PhProcessOptions run = {
		.size = sizeof run,
		.timeout = self->settings->run_time,
		.max_output = self->settings->max_output.octets,
		.content = content,
	};

	split(delivery, index, &values, &user);
	words = command_fill(self->words, &values);
	run.argv = (const char *const *) words;
	if (!ph_process_run(self->section, &run, &result, &error)) {
		complete(delivery, index, 451, "451 4.3.5 the program could not be run");
		return;
	}
	judge(delivery, index, &result);
	ph_process_result_clear(&result);
}

static void
deliver(void *instance, PhDelivery *delivery)
{
	const Pipe *self = instance;
	const PhMail *mail = ph_delivery_mail(delivery);
	size_t n = ph_delivery_n_recipients(delivery);
	g_autoptr(GError) error = NULL;
	g_autoptr(PhContent) content = self->settings->line_ends == LINE_ENDS_LF
	                                       ? as_unix(self, mail, &error)
	                                       : as_it_is(self, mail);

	for (size_t i = 0; i < n; i++)
		if (content != NULL)
			run_for(self, delivery, i, content);
		else
			ph_delivery_complete(delivery, i, error);
}

static const PhTransport transport = {
	.size = sizeof transport,
	.create = create,
	.destroy = destroy,
	.deliver = deliver,
};

static const PhOffer offers[] = { PH_OFFER_TRANSPORT("pipe", &transport), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "pipe",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "gives messages to a program",
	.options = options,
	.offers = offers,
};
