/* fuzz-isolated-filter.c: packets from an isolated filter that was taken over, and to one
 *
 * The first octet says which end is tried. What a filter answers is done to a mail, with what stands
 * behind an octet 255 as what it has passed; of what a filter hears each packet has its length in two
 * octets before it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "isolate/child.h"
#include "server/isolated-filter.h"
#include "server/mail.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static PhMail *
make_mail(void)
{
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice("A: b\r\n\r\nbody"));
	PhMail *mail = ph_mail_new_routed(NULL);
	const PhRecipient row = { .address = g_strdup("anna@example.org") };

	g_array_append_val(mail->recipients, row);
	ph_mail_set_content(mail, content);
	return mail;
}

static void
try_worker(PhSlice input)
{
	g_autoptr(PhMail) mail = make_mail();
	g_autoptr(GError) error = NULL;
	PhFilterQuestion question = { .stage = PH_STAGE_MESSAGE, .mail = mail };
	PhPacketReader reader = { .rest = input };
	const char *mark = input.length > 0 ? memchr(input.data, 0xff, input.length) : NULL;
	g_autoptr(PhContent) octets = NULL;
	int passed = -1;

	if (mark != NULL) {
		reader.rest = PH_SLICE(input.data, (size_t) (mark - input.data));
		octets =
			ph_content_new_copy(ph_slice_from(input, (size_t) (mark - input.data) + 1));
		passed = ph_isolated_octets(PH_SLICE_EMPTY, octets, NULL);
	}
	if (ph_isolated_filter_read(&reader, passed, 1 << 20, &question, &error)
	    != PH_FILTER_NONSENSE)
		g_assert_true(ph_read_is_done(&reader));
	ph_mail_apply_edits(mail);
	if (passed >= 0)
		close(passed);
}

/* A filter that looks at everything, and changes a little. */
static bool
ask(void *instance, void *state, PhFilterQuestion *question, GError **error)
{
	PhSlice block;

	if (ph_mail_header(question->mail, &block, NULL)
	    && !ph_mail_header_add(question->mail, "X-Seen", ph_slice("yes"), error))
		return false;
	for (size_t i = 0; i < ph_mail_n_recipients(question->mail); i++)
		if (ph_mail_recipient(question->mail, i)[0] == 'x')
			ph_mail_remove_recipient(question->mail, i);
	question->verdict.result = PH_VERDICT_REJECT;
	return true;
}

static void *
begin(void *instance, PhMail *mail)
{
	return NULL;
}

static void
end(void *instance, void *state)
{
}

static void
send_all(int fd, PhSlice rest)
{
	while (rest.length > 2) {
		size_t n = (uint8_t) rest.data[0] * 256U + (uint8_t) rest.data[1];
		PhSlice packet;

		rest = ph_slice_from(rest, 2);
		packet = PH_SLICE(rest.data, MIN(n, rest.length));
		rest = ph_slice_from(rest, packet.length);
		if (packet.length > 0
		    && send(fd, packet.data, packet.length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			return;
	}
}

static void
try_child(PhSlice input)
{
	static const PhFilter table = { .size = sizeof table,
		                        .begin = begin,
		                        .end = end,
		                        .ask = ask };
	static const PhOfferInfo offer = { .kind = PH_KIND_FILTER, .name = "x", .table = &table };
	PhSection section = { .kind = PH_KIND_FILTER,
		              .word = "filter",
		              .name = "x",
		              .offer = &offer };
	int ends[2];

	if (!ph_link_open(ends, NULL))
		return;
	send_all(ends[0], input);
	(void) shutdown(ends[0], SHUT_WR);
	(void) ph_isolate_serve(&section, ends[1]);
	close(ends[0]);
	close(ends[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool is_open;

	if (size == 0)
		return 0;
	if (!is_open)
		ph_isolated_filter_open();
	is_open = true;
	if ((data[0] & 1) != 0)
		try_worker(PH_SLICE((const char *) data + 1, size - 1));
	else
		try_child(PH_SLICE((const char *) data + 1, size - 1));
	return 0;
}
