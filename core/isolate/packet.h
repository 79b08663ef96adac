/* packet.h: the octets that cross the boundary to an isolated plugin, written and read
 *
 * One packet is one message of a socket that keeps boundaries; numbers are in the machine's order,
 * texts and octets have their length before them. Both forms are sticky: after the first fault
 * nothing more is written or read and `bad` says so once, at the end. What is read comes from a
 * process that may have been taken over: every length is compared with what is there before it is
 * used. Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_ISOLATE_PACKET_H
#define PH_ISOLATE_PACKET_H

#include <posthorn/identity.h>
#include <posthorn/secret.h>

enum {
	PH_PACKET_MAX = 131072,      /* octets of one packet */
	PH_PACKET_TEXT_MAX = 32768,  /* of one text in it */
	PH_PACKET_LIST_MAX = 4096,   /* texts of one list */
	PH_PACKET_SECRET_MAX = 16384 /* octets of a password or stored form */
};

/* PhPacket: being written; @octets has room for PH_PACKET_MAX. */
typedef struct {
	char *octets;
	size_t length;
	bool bad; /* it did not fit */
} PhPacket;

void ph_packet_number(PhPacket *packet, uint64_t value);
void ph_packet_octets(PhPacket *packet, PhSlice octets);

/* ph_packet_text: @text: (nullable) NULL and "" stay different. */
void ph_packet_text(PhPacket *packet, const char *text);

/* ph_packet_list: @list: (nullable) NULL-terminated. */
void ph_packet_list(PhPacket *packet, const char *const *list);
void ph_packet_identity(PhPacket *packet, const PhIdentity *identity);

/* ph_packet_error: @error: (nullable). */
void ph_packet_error(PhPacket *packet, const GError *error);

/* PhPacketReader: @rest is what was not read yet. */
typedef struct {
	PhSlice rest;
	bool bad;
} PhPacketReader;

/* ph_read_number: 0 when it is larger than @most, or not there. */
uint64_t ph_read_number(PhPacketReader *reader, uint64_t most);

/* ph_read_octets: borrowed from the packet; empty when they are not there or too many. */
PhSlice ph_read_octets(PhPacketReader *reader, size_t most);

/* ph_read_text: Returns: (owned, nullable) text without NUL inside. */
char *ph_read_text(PhPacketReader *reader);

/* ph_read_list: Returns: (owned, nullable) g_strfreev. */
char **ph_read_list(PhPacketReader *reader);

/* ph_read_identity: Returns: (owned) NULL when the packet is bad or the values are no identity. */
PhIdentity *ph_read_identity(PhPacketReader *reader);

/* ph_read_error: what crossed, as an error of PH_ERROR; nothing is set when there was none. */
void ph_read_error(PhPacketReader *reader, GError **error);

/* ph_read_is_done: was all well, and nothing is left over? */
bool ph_read_is_done(const PhPacketReader *reader);

#endif
