/* test-envelope.c: an envelope is read as it was written, or not at all
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "queue/envelope.h"

#include <string.h>

static const PhEnvelopeParameter parameters[] = { { "BODY", "8BITMIME" }, { "ENVID", "a=b" } };
static const PhEnvelopeParameter asked[] = { { "NOTIFY", "NEVER" } };
static const PhEnvelopeRecipient recipients[] = {
	{ .address = "joe@example.net",
	  .original = "joseph@example.org",
	  .route = "out",
	  .destination = "example.net",
	  .transaction = { 1, 2, 3 },
	  .parameters = asked,
	  .n_parameters = 1 },
	{ .address = "anna+x@example.org",
	  .user = "anna@example.org",
	  .detail = "x",
	  .route = "local",
	  .destination = "example.org" },
};
static const PhEnvelope sample = { .id = "0123456789012345678901",
	                           .arrived = 1000000,
	                           .not_before = 2000000,
	                           .by = 3000000,
	                           .priority = -3,
	                           .sender = "",
	                           .user = "anna@example.org",
	                           .parameters = parameters,
	                           .n_parameters = 2,
	                           .recipients = recipients,
	                           .n_recipients = 2,
	                           .prepended = { "Received: x\r\n", 13 } };

static void
test_reads_what_was_written(void)
{
	g_autoptr(GByteArray) out = g_byte_array_new();
	g_autoptr(PhEnvelope) read = NULL;

	g_assert_true(ph_queue_envelope_append(&sample, out));
	read = ph_queue_envelope_parse(PH_SLICE((const char *) out->data, out->len));
	g_assert_nonnull(read);
	g_assert_cmpstr(read->id, ==, sample.id);
	g_assert_cmpstr(read->sender, ==, "");
	g_assert_cmpstr(read->user, ==, "anna@example.org");
	g_assert_cmpint(read->arrived, ==, 1000000);
	g_assert_cmpint(read->not_before, ==, 2000000);
	g_assert_cmpint(read->by, ==, 3000000);
	g_assert_cmpint(read->priority, ==, -3);
	g_assert_true(ph_slice_is(read->prepended, "Received: x\r\n"));
	g_assert_cmpuint(read->n_parameters, ==, 2);
	g_assert_cmpstr(ph_queue_envelope_parameter(read->parameters, 2, "ENVID"), ==, "a=b");
	g_assert_null(ph_queue_envelope_parameter(read->parameters, 2, "RET"));
	g_assert_cmpuint(read->n_recipients, ==, 2);
	g_assert_cmpstr(read->recipients[0].original, ==, "joseph@example.org");
	g_assert_null(read->recipients[0].user);
	g_assert_cmpmem(read->recipients[0].transaction, 16, recipients[0].transaction, 16);
	g_assert_cmpuint(read->recipients[0].n_parameters, ==, 1);
	g_assert_cmpstr(read->recipients[0].parameters[0].value, ==, "NEVER");
	g_assert_cmpstr(read->recipients[1].original, ==, "anna+x@example.org");
	g_assert_cmpstr(read->recipients[1].detail, ==, "x");
	g_assert_cmpstr(read->recipients[1].route, ==, "local");
	g_assert_cmpuint(read->recipients[1].n_parameters, ==, 0);
}

static void
test_refuses_every_shorter_form(void)
{
	g_autoptr(GByteArray) out = g_byte_array_new();

	g_assert_true(ph_queue_envelope_append(&sample, out));
	for (guint length = 0; length < out->len; length++) {
		g_autofree char *cut = g_memdup2(out->data, length + 1);
		g_autoptr(PhEnvelope) read = ph_queue_envelope_parse(PH_SLICE(cut, length));

		/* a cut between two texts of the last recipient may leave a whole one */
		if (read != NULL)
			g_assert_cmpuint(read->n_recipients, <=, 2);
		else
			g_assert_null(read);
	}
}

static void
test_refuses_what_has_no_recipient(void)
{
	g_autoptr(GByteArray) out = g_byte_array_new();
	PhEnvelope none = sample;

	none.n_recipients = 0;
	g_assert_false(ph_queue_envelope_append(&none, out));
	g_assert_cmpuint(out->len, ==, 0);
}

static void
test_a_changed_length_is_noticed(void)
{
	g_autoptr(GByteArray) out = g_byte_array_new();
	g_autoptr(PhEnvelope) read = NULL;

	g_assert_true(ph_queue_envelope_append(&sample, out));
	out->data[1]++;
	read = ph_queue_envelope_parse(PH_SLICE((const char *) out->data, out->len));
	g_assert_null(read);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/queue/envelope/reads-what-was-written", test_reads_what_was_written);
	g_test_add_func("/queue/envelope/refuses-every-shorter-form",
	                test_refuses_every_shorter_form);
	g_test_add_func("/queue/envelope/refuses-what-has-no-recipient",
	                test_refuses_what_has_no_recipient);
	g_test_add_func("/queue/envelope/a-changed-length-is-noticed",
	                test_a_changed_length_is_noticed);
	return g_test_run();
}
