/* test-channel.c: messages keep their boundaries and carry descriptors
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/channel.h"
#include "net/socket.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void
test_messages(void)
{
	int ends[2];
	PhChannelMessage message = { .fd = -1 };

	g_assert_true(ph_channel_open(ends, NULL));
	g_assert_cmpint(ph_channel_receive(ends[1], &message), ==, PH_CHANNEL_EMPTY);
	g_assert_true(ph_channel_send(ends[0], "listener", "mx\n*:25", ends[0]));
	g_assert_true(ph_channel_send(ends[0], "go", NULL, -1));
	g_assert_cmpint(ph_channel_receive(ends[1], &message), ==, PH_CHANNEL_MESSAGE);
	g_assert_true(ph_channel_message_is(&message, "listener"));
	g_assert_cmpstr(message.text, ==, "mx\n*:25");
	g_assert_cmpint(message.fd, >=, 0);
	ph_channel_message_clear(&message);
	g_assert_cmpint(ph_channel_receive(ends[1], &message), ==, PH_CHANNEL_MESSAGE);
	g_assert_true(ph_channel_message_is(&message, "go"));
	g_assert_cmpstr(message.text, ==, "");
	g_assert_cmpint(message.fd, ==, -1);
	ph_channel_message_clear(&message);
	close(ends[0]);
	g_assert_cmpint(ph_channel_receive(ends[1], &message), ==, PH_CHANNEL_CLOSED);
	g_assert_false(ph_channel_send(ends[1], "gone", NULL, -1));
	close(ends[1]);
}

static void
test_long_text_is_cut(void)
{
	int ends[2];
	g_autofree char *text = g_strnfill(PH_CHANNEL_TEXT_MAX + 100, 'x');
	g_auto(PhChannelMessage) message = { .fd = -1 };

	g_assert_true(ph_channel_open(ends, NULL));
	g_assert_true(ph_channel_send(ends[0], "failed", text, -1));
	g_assert_cmpint(ph_channel_receive(ends[1], &message), ==, PH_CHANNEL_MESSAGE);
	g_assert_cmpuint(strlen(message.text), ==, PH_CHANNEL_TEXT_MAX);
	close(ends[0]);
	close(ends[1]);
}

static void
test_nonsense_closes(void)
{
	int ends[2];
	PhChannelMessage message = { .fd = -1 };

	g_assert_true(ph_channel_open(ends, NULL));
	g_assert_cmpint(send(ends[0], "no end of the verb here, and far too long", 40, 0), ==, 40);
	g_assert_cmpint(ph_channel_receive(ends[1], &message), ==, PH_CHANNEL_CLOSED);
	close(ends[0]);
	close(ends[1]);
}

static void
test_full_channel_does_not_wait(void)
{
	int ends[2];
	unsigned n = 0;

	g_assert_true(ph_channel_open(ends, NULL));
	while (n < 100000 && ph_channel_send(ends[0], "ping", NULL, -1))
		n++;
	g_assert_cmpuint(n, <, 100000);
	close(ends[0]);
	close(ends[1]);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/net/channel/messages-keep-boundaries-and-descriptors", test_messages);
	g_test_add_func("/net/channel/long-text-is-cut", test_long_text_is_cut);
	g_test_add_func("/net/channel/nonsense-closes", test_nonsense_closes);
	g_test_add_func("/net/channel/a-full-channel-does-not-wait",
	                test_full_channel_does_not_wait);
	return g_test_run();
}
