/* link.c: one packet there, one packet back, over a socket that keeps boundaries
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "isolate/link.h"

#include <posthorn/error.h>

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

bool
ph_link_open(int ends_out[2], GError **error)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends_out) == 0)
		return true;
	ph_error_set_errno(error, errno, "cannot make a socket pair");
	return false;
}

typedef union {
	struct cmsghdr header;
	char octets[CMSG_SPACE(sizeof(int))];
} Control;

bool
ph_link_send(int fd, PhSlice octets)
{
	return ph_link_send_with(fd, octets, -1);
}

bool
ph_link_send_with(int fd, PhSlice octets, int passed)
{
	struct iovec piece = { (char *) (uintptr_t) octets.data, octets.length };
	Control control = { .octets = { 0 } };
	struct msghdr packet = { .msg_iov = &piece, .msg_iovlen = 1 };
	ssize_t n = 0;

	if (passed >= 0) {
		packet.msg_control = control.octets;
		packet.msg_controllen = sizeof control.octets;
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof passed);
		memcpy(CMSG_DATA(&control.header), &passed, sizeof passed);
	}
	do {
		n = sendmsg(fd, &packet, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n >= 0 && (size_t) n == octets.length;
}

static int
passed_with(struct msghdr *packet)
{
	const struct cmsghdr *header = CMSG_FIRSTHDR(packet);
	int fd = -1;

	if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS
	    && header->cmsg_len == CMSG_LEN(sizeof fd))
		memcpy(&fd, CMSG_DATA(header), sizeof fd);
	return fd;
}

/* Without @passed_out a descriptor that comes is dropped by the kernel. */
static ssize_t
take(int fd, PhPacket *packet, int *passed_out)
{
	struct iovec piece = { packet->octets, PH_PACKET_MAX };
	Control control;
	struct msghdr taken = { .msg_iov = &piece, .msg_iovlen = 1 };
	ssize_t n = 0;

	if (passed_out != NULL) {
		taken.msg_control = control.octets;
		taken.msg_controllen = sizeof control.octets;
	}
	n = recvmsg(fd, &taken, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
	if (n > 0 && passed_out != NULL)
		*passed_out = passed_with(&taken);
	return n;
}

/* Waits for something to read. */
static PhLinkResult
wait_for(int fd, uint64_t deadline_us)
{
	struct pollfd polled = { .fd = fd, .events = POLLIN };

	for (;;) {
		uint64_t now_us = deadline_us > 0 ? ph_clock_us() : 0;
		bool is_late = deadline_us > 0 && now_us >= deadline_us;
		int timeout = -1;

		if (deadline_us > 0 && !is_late)
			timeout = (int) MIN((deadline_us - now_us) / 1000 + 1, 1000000);
		if (poll(&polled, 1, is_late ? 0 : timeout) > 0)
			return PH_LINK_PACKET;
		if (is_late)
			return PH_LINK_LATE;
	}
}

PhLinkResult
ph_link_receive(int fd, PhPacket *packet, uint64_t deadline_us, int *passed_out)
{
	ssize_t n = -1;

	packet->length = 0;
	packet->bad = false;
	if (passed_out != NULL)
		*passed_out = -1;
	while (n < 0) {
		PhLinkResult result = wait_for(fd, deadline_us);

		if (result != PH_LINK_PACKET)
			return result;
		n = take(fd, packet, passed_out);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return PH_LINK_GONE;
	}
	if (n == 0)
		return PH_LINK_GONE;
	/* One that was cut is read as one that ends too early. */
	packet->bad = n > PH_PACKET_MAX;
	packet->length = MIN((size_t) n, (size_t) PH_PACKET_MAX);
	return PH_LINK_PACKET;
}

PhPacketReader
ph_link_reader(const PhPacket *packet)
{
	return (PhPacketReader){ .rest = PH_SLICE(packet->octets, packet->length),
		                 .bad = packet->bad };
}
