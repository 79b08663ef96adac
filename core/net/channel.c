/* channel.c: messages between supervisor and worker: a verb, a text, and perhaps a descriptor
 *
 * On the wire: the verb, NUL, the text without NUL.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/channel.h"

#include <posthorn/error.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef union {
	struct cmsghdr header;
	char octets[CMSG_SPACE(sizeof(int))];
} Control;

bool
ph_channel_open(int ends_out[2], GError **error)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends_out) == 0)
		return true;
	g_set_error(error, PH_ERROR, PH_ERROR_LIMIT, "cannot make a socket pair: %s",
	            g_strerror(errno));
	return false;
}

static void
attach(struct msghdr *packet, Control *control, int fd)
{
	packet->msg_control = control->octets;
	packet->msg_controllen = sizeof control->octets;
	control->header.cmsg_level = SOL_SOCKET;
	control->header.cmsg_type = SCM_RIGHTS;
	control->header.cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(&control->header), &fd, sizeof fd);
}

bool
ph_channel_send(int channel, const char *verb, const char *text, int fd)
{
	size_t n_verb = strlen(verb) + 1;
	size_t n_text = text != NULL ? strnlen(text, PH_CHANNEL_TEXT_MAX) : 0;
	g_autofree char *octets = g_malloc(n_verb + n_text);
	struct iovec piece = { octets, n_verb + n_text };
	Control control = { .octets = { 0 } };
	struct msghdr packet = { .msg_iov = &piece, .msg_iovlen = 1 };
	ssize_t n = 0;

	g_assert(n_verb - 1 <= PH_CHANNEL_VERB_MAX);
	memcpy(octets, verb, n_verb);
	if (n_text > 0)
		memcpy(octets + n_verb, text, n_text);
	if (fd >= 0)
		attach(&packet, &control, fd);
	do {
		n = sendmsg(channel, &packet, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t) (n_verb + n_text);
}

static int
attached(struct msghdr *packet)
{
	const struct cmsghdr *header = CMSG_FIRSTHDR(packet);
	int fd = -1;

	if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS
	    && header->cmsg_len == CMSG_LEN(sizeof fd))
		memcpy(&fd, CMSG_DATA(header), sizeof fd);
	return fd;
}

static bool
decode(const char *octets, size_t length, PhChannelMessage *out)
{
	size_t n_verb = strnlen(octets, length);

	if (n_verb == length || n_verb > PH_CHANNEL_VERB_MAX)
		return false;
	memcpy(out->verb, octets, n_verb + 1);
	out->text = g_strndup(octets + n_verb + 1, length - n_verb - 1);
	return true;
}

PhChannelResult
ph_channel_receive(int channel, PhChannelMessage *message_out)
{
	const size_t room = PH_CHANNEL_VERB_MAX + 1 + PH_CHANNEL_TEXT_MAX;
	g_autofree char *octets = g_malloc(room);
	struct iovec piece = { octets, room };
	Control control;
	struct msghdr packet = {
		.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = control.octets,
		.msg_controllen = sizeof control.octets,
	};
	PhChannelMessage message = { .fd = -1 };
	ssize_t n = recvmsg(channel, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return PH_CHANNEL_EMPTY;
	if (n <= 0)
		return PH_CHANNEL_CLOSED;
	message.fd = attached(&packet);
	if ((packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0
	    || !decode(octets, (size_t) n, &message)) {
		ph_channel_message_clear(&message);
		return PH_CHANNEL_CLOSED;
	}
	*message_out = message;
	return PH_CHANNEL_MESSAGE;
}

void
ph_channel_message_clear(PhChannelMessage *message)
{
	g_clear_pointer(&message->text, g_free);
	if (message->fd >= 0)
		close(message->fd);
	message->fd = -1;
}

bool
ph_channel_message_is(const PhChannelMessage *message, const char *verb)
{
	return strcmp(message->verb, verb) == 0;
}
