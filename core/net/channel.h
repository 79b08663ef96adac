/* channel.h: messages between supervisor and worker: a verb, a text, and perhaps a descriptor
 *
 * A socket pair that keeps message boundaries. Neither end waits for the other: a message that
 * finds no room means that the other end hangs, and counts as a failure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_CHANNEL_H
#define PH_NET_CHANNEL_H

#include <posthorn/types.h>

enum {
	PH_CHANNEL_TEXT_MAX = 60000, /* octets of a text; a longer one is cut */
	PH_CHANNEL_VERB_MAX = 31
};

/* PhChannelMessage: one received message. @fd is -1 or the receiver's to close. */
typedef struct {
	char verb[PH_CHANNEL_VERB_MAX + 1];
	char *text; /* (owned) "" for none */
	int fd;
} PhChannelMessage;

typedef enum {
	PH_CHANNEL_MESSAGE = 1,
	PH_CHANNEL_EMPTY = 2,  /* nothing there now */
	PH_CHANNEL_CLOSED = 3, /* the other end is gone, or speaks nonsense */
} PhChannelResult;

/* ph_channel_open: both ends, close-on-exec. */
bool ph_channel_open(int ends_out[2], GError **error);

/* ph_channel_send: @text: (nullable). @fd: (borrowed) -1 for none. Returns: false when the other
 * end is gone or hangs. */
bool ph_channel_send(int channel, const char *verb, const char *text, int fd);

/* ph_channel_receive: does not wait. @message_out: written for PH_CHANNEL_MESSAGE only; clear it
 * with ph_channel_message_clear(), which closes a descriptor that was not taken (set to -1). */
PhChannelResult ph_channel_receive(int channel, PhChannelMessage *message_out);
void ph_channel_message_clear(PhChannelMessage *message);
bool ph_channel_message_is(const PhChannelMessage *message, const char *verb);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PhChannelMessage, ph_channel_message_clear)

#endif
