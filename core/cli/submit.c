/* submit.c: hands one message to a server by SMTP, as a program on the same machine does
 *
 * The server's replies are bounded: lines of 4 KiB, 500 of them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cli/submit.h"

#include <posthorn/address.h>
#include <posthorn/slice.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum {
	REPLY_LINES_MAX = 500,
	REPLY_OCTETS_MAX = 4096,
	GREETING_SECONDS = 10, /* who waits for us to speak first does not speak SMTP */
	PATIENCE_SECONDS = 600,
	CODE_UNKNOWN = 500,
	CODE_NEEDS_LOGIN = 530,
};

typedef struct {
	int fd;
	GString *input; /* received and not yet used */
	GString *reply; /* text of the last reply */
	bool has_8bitmime;
	bool has_smtputf8;
	bool has_size;
	bool has_dsn;
} Dialogue;

static bool
send_all(Dialogue *d, PhSlice octets)
{
	while (octets.length > 0) {
		ssize_t n = send(d->fd, octets.data, octets.length, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		octets = ph_slice_from(octets, (size_t) n);
	}
	return true;
}

static bool
read_line(Dialogue *d, GString *line)
{
	char *end = NULL;

	while ((end = memchr(d->input->str, '\n', d->input->len)) == NULL) {
		char buffer[1024];
		ssize_t n = read(d->fd, buffer, sizeof buffer);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || d->input->len > REPLY_OCTETS_MAX)
			return false;
		g_string_append_len(d->input, buffer, n);
	}
	g_string_truncate(line, 0);
	g_string_append_len(line, d->input->str, end - d->input->str);
	g_string_erase(d->input, 0, end - d->input->str + 1);
	if (line->len > 0 && line->str[line->len - 1] == '\r')
		g_string_truncate(line, line->len - 1);
	return true;
}

static void
note_extension(Dialogue *d, PhSlice line)
{
	PhSlice word = ph_slice_split(&line, ' ');

	d->has_8bitmime |= ph_slice_is_nocase(word, "8BITMIME");
	d->has_smtputf8 |= ph_slice_is_nocase(word, "SMTPUTF8");
	d->has_size |= ph_slice_is_nocase(word, "SIZE");
	d->has_dsn |= ph_slice_is_nocase(word, "DSN");
}

/* One reply of any number of lines. Returns: its code, 0 when there was none. */
static uint32_t
read_reply(Dialogue *d)
{
	g_autoptr(GString) line = g_string_new(NULL);
	uint32_t code = 0;

	g_string_truncate(d->reply, 0);
	for (int i = 0; i < REPLY_LINES_MAX; i++) {
		if (!read_line(d, line) || line->len < 3
		    || !ph_slice_to_u32(PH_SLICE(line->str, 3), 599, &code) || code < 200)
			return 0;
		g_string_append_printf(d->reply, "%s%s", d->reply->len > 0 ? " / " : "", line->str);
		if (line->len == 3 || line->str[3] != '-')
			return code;
		note_extension(d, PH_SLICE(line->str + 4, line->len - 4));
	}
	return 0;
}

G_GNUC_PRINTF(2, 3)

static uint32_t
command(Dialogue *d, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	return send_all(d, ph_slice(text)) ? read_reply(d) : 0;
}

static PhSubmitResult
classify(uint32_t code)
{
	if (code == 0)
		return PH_SUBMIT_LOST;
	return code >= 500 ? PH_SUBMIT_REFUSED : PH_SUBMIT_LATER;
}

static PhSubmitResult
fail(Dialogue *d, uint32_t code, const char *what, GString *problems)
{
	if (code == 0)
		g_string_append_printf(problems, "%s: the server broke the connection\n", what);
	else
		g_string_append_printf(problems, "%s: %s\n", what, d->reply->str);
	return classify(code);
}

/* The message with its dots stuffed and the final dot. */
static bool
send_message(Dialogue *d, PhSlice message)
{
	g_autoptr(GString) stuffed = g_string_sized_new(message.length + 64);
	bool at_start = true;

	for (size_t i = 0; i < message.length; i++) {
		if (at_start && message.data[i] == '.')
			g_string_append_c(stuffed, '.');
		g_string_append_c(stuffed, message.data[i]);
		at_start = message.data[i] == '\n';
	}
	if (!at_start)
		g_string_append(stuffed, "\r\n");
	g_string_append(stuffed, ".\r\n");
	return send_all(d, PH_SLICE(stuffed->str, stuffed->len));
}

static uint32_t
begin_mail(Dialogue *d, const PhSubmission *s)
{
	g_autoptr(GString) line = g_string_new(NULL);
	bool utf8 = !g_str_is_ascii(s->sender);

	for (size_t i = 0; i < s->n_recipients; i++)
		utf8 |= !g_str_is_ascii(s->recipients[i]);
	g_string_append_printf(line, "MAIL FROM:<%s>", s->sender);
	if (d->has_size)
		g_string_append_printf(line, " SIZE=%zu", s->message.length);
	if (d->has_8bitmime && !ph_slice_is_ascii(s->message))
		g_string_append(line, " BODY=8BITMIME");
	if (d->has_smtputf8 && utf8)
		g_string_append(line, " SMTPUTF8");
	if (d->has_dsn && s->ret != NULL)
		g_string_append_printf(line, " RET=%s", s->ret);
	if (d->has_dsn && s->envid != NULL) {
		g_string_append(line, " ENVID=");
		ph_xtext_encode(ph_slice(s->envid), line);
	}
	return command(d, "%s\r\n", line->str);
}

static PhSubmitResult
transfer(Dialogue *d, const PhSubmission *s, size_t n_accepted, GString *problems)
{
	uint32_t code = command(d, "DATA\r\n");

	if (code != 354)
		return fail(d, code, "the server does not take the message", problems);
	if (!send_message(d, s->message))
		return fail(d, 0, "the message", problems);
	code = read_reply(d);
	if (code < 200 || code > 299)
		return fail(d, code, "the server refused the message", problems);
	return n_accepted == s->n_recipients ? PH_SUBMIT_DONE : PH_SUBMIT_PARTLY;
}

static PhSubmitResult
name_recipients(Dialogue *d, const PhSubmission *s, GString *problems)
{
	PhSubmitResult worst = PH_SUBMIT_REFUSED;
	size_t n_accepted = 0;

	for (size_t i = 0; i < s->n_recipients; i++) {
		bool asks = d->has_dsn && s->notify != NULL;
		uint32_t code = command(d, "RCPT TO:<%s>%s%s\r\n", s->recipients[i],
		                        asks ? " NOTIFY=" : "", asks ? s->notify : "");

		if (code >= 200 && code <= 299) {
			n_accepted++;
			continue;
		}
		if (fail(d, code, s->recipients[i], problems) != PH_SUBMIT_REFUSED)
			worst = classify(code);
		if (code == 0)
			return PH_SUBMIT_LOST;
	}
	return n_accepted > 0 ? transfer(d, s, n_accepted, problems) : worst;
}

static void
be_patient(const Dialogue *d, int seconds)
{
	const struct timeval patience = { seconds, 0 };

	(void) setsockopt(d->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	(void) setsockopt(d->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

static PhSubmitResult
converse(Dialogue *d, const PhSubmission *s, GString *problems)
{
	PhSubmitResult result = PH_SUBMIT_LOST;
	uint32_t code = 0;

	be_patient(d, GREETING_SECONDS);
	code = read_reply(d);
	if (code == 0)
		return PH_SUBMIT_NOT_SMTP;
	be_patient(d, PATIENCE_SECONDS);
	if (code != 220)
		return fail(d, code, "the server greets with", problems);
	code = command(d, "EHLO %s\r\n", s->hostname);
	if (code == CODE_UNKNOWN) /* LMTP greets like this, too */
		return PH_SUBMIT_NOT_SMTP;
	if (code != 250)
		return fail(d, code, "EHLO", problems);
	code = begin_mail(d, s);
	if (code == CODE_NEEDS_LOGIN) { /* a listener for users; another one may take it */
		(void) command(d, "QUIT\r\n");
		return PH_SUBMIT_NOT_SMTP;
	}
	if (code != 250)
		return fail(d, code, "the server does not take mail from the sender", problems);
	result = name_recipients(d, s, problems);
	(void) command(d, "QUIT\r\n");
	return result;
}

static int
open_connection(const struct sockaddr *server, socklen_t length)
{
	int fd = socket(server->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, server, length) == 0)
		return fd;
	close(fd);
	return -1;
}

PhSubmitResult
ph_submit(const struct sockaddr *server,
          socklen_t length,
          const PhSubmission *submission,
          GString *problems)
{
	g_autoptr(GString) input = g_string_new(NULL);
	g_autoptr(GString) reply = g_string_new(NULL);
	Dialogue d = { .input = input, .reply = reply };
	PhSubmitResult result = PH_SUBMIT_LOST;

	d.fd = open_connection(server, length);
	if (d.fd < 0)
		return PH_SUBMIT_LOST;
	result = converse(&d, submission, problems);
	close(d.fd);
	return result;
}

/* --- passing on ----------------------------------------------------------------------------- */

static bool
write_all(int fd, const char *octets, size_t length)
{
	while (length > 0) {
		ssize_t n = write(fd, octets, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		octets += n;
		length -= (size_t) n;
	}
	return true;
}

/* Moves what is there; false at the end of @from or when @to takes no more. */
static bool
move(int from, int to)
{
	char buffer[16384];
	ssize_t n = read(from, buffer, sizeof buffer);

	return (n < 0 && errno == EINTR) || (n > 0 && write_all(to, buffer, (size_t) n));
}

static void
pass(int fd, int input_fd, int output_fd)
{
	struct pollfd ends[2] = { { .fd = fd, .events = POLLIN },
		                  { .fd = input_fd, .events = POLLIN } };

	while (poll(ends, G_N_ELEMENTS(ends), -1) > 0 || errno == EINTR) {
		if (ends[0].revents != 0 && !move(fd, output_fd))
			return;
		if (ends[1].revents != 0 && !move(input_fd, fd)) {
			ends[1].fd = -1;
			(void) shutdown(fd, SHUT_WR);
		}
	}
}

PhSubmitResult
ph_submit_pass(const struct sockaddr *server, socklen_t length, int input_fd, int output_fd)
{
	g_autoptr(GString) input = g_string_new(NULL);
	g_autoptr(GString) greeting = g_string_new(NULL);
	Dialogue d = { .input = input };
	PhSubmitResult result = PH_SUBMIT_NOT_SMTP;

	d.fd = open_connection(server, length);
	if (d.fd < 0)
		return PH_SUBMIT_LOST;
	be_patient(&d, GREETING_SECONDS);
	if (read_line(&d, greeting) && g_str_has_prefix(greeting->str, "220 ")
	    && strstr(greeting->str, "ESMTP") != NULL) {
		g_string_append(greeting, "\r\n");
		g_string_append_len(greeting, d.input->str, (gssize) d.input->len);
		if (write_all(output_fd, greeting->str, greeting->len))
			pass(d.fd, input_fd, output_fd);
		result = PH_SUBMIT_DONE;
	}
	close(d.fd);
	return result;
}
