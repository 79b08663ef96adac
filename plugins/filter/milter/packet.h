/* packet.h: the milter protocol, version 6, as octets: pure functions, nothing is kept
 *
 *	packet = length(4, big-endian, of what follows) command(1) data
 *
 * What a milter sends is parsed to the letter: a string that is not ended, a reply that was not
 * negotiated or stands at the wrong place is nonsense.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef MILTER_PACKET_H
#define MILTER_PACKET_H

#include <posthorn/slice.h>

enum {
	MILTER_VERSION = 6,
	MILTER_OLDEST = 2,
	MILTER_LENGTH = 4,     /* octets before each packet */
	MILTER_PACKET = 65536, /* largest with its command */
	MILTER_CHUNK = 65535,  /* of a body */
	MILTER_STAGES = 7      /* that macros can be named for (SMFIM_*) */
};

/* What a milter may do (SMFIF_*). */
enum {
	MAY_ADD_HEADERS = 1U << 0,
	MAY_CHANGE_BODY = 1U << 1,
	MAY_ADD_RECIPIENTS = 1U << 2,
	MAY_DELETE_RECIPIENTS = 1U << 3,
	MAY_CHANGE_HEADERS = 1U << 4,
	MAY_QUARANTINE = 1U << 5,
	MAY_CHANGE_SENDER = 1U << 6,
	MAY_ADD_RECIPIENTS_WITH_PARAMETERS = 1U << 7,
	MAY_NAME_MACROS = 1U << 8,
	MAY_ALL = (1U << 9) - 1,
};

/* What it does not want, or does not answer (SMFIP_*). */
enum {
	NO_CONNECT = 1U << 0,
	NO_HELO = 1U << 1,
	NO_MAIL = 1U << 2,
	NO_RCPT = 1U << 3,
	NO_BODY = 1U << 4,
	NO_HEADERS = 1U << 5,
	NO_EOH = 1U << 6,
	SILENT_HEADER = 1U << 7,
	NO_UNKNOWN = 1U << 8,
	NO_DATA = 1U << 9,
	KNOWS_SKIP = 1U << 10,
	WANTS_REFUSED = 1U << 11,
	SILENT_CONNECT = 1U << 12,
	SILENT_HELO = 1U << 13,
	SILENT_MAIL = 1U << 14,
	SILENT_RCPT = 1U << 15,
	SILENT_DATA = 1U << 16,
	SILENT_UNKNOWN = 1U << 17,
	SILENT_EOH = 1U << 18,
	SILENT_BODY = 1U << 19,
	WANTS_BLANK = 1U << 20, /* header values with the blank behind the colon */
	PROTOCOL_ALL = (1U << 21) - 1,
};

/* Commands (SMFIC_*). */
enum {
	SAY_OPTIONS = 'O',
	SAY_MACROS = 'D',
	SAY_CONNECT = 'C',
	SAY_HELO = 'H',
	SAY_MAIL = 'M',
	SAY_RCPT = 'R',
	SAY_DATA = 'T',
	SAY_HEADER = 'L',
	SAY_EOH = 'N',
	SAY_BODY = 'B',
	SAY_END = 'E',
	SAY_ABORT = 'A',
	SAY_QUIT = 'Q',
	SAY_UNKNOWN = 'U',
};

/* Replies (SMFIR_*). */
enum {
	REPLY_ADD_RECIPIENT = '+',
	REPLY_DELETE_RECIPIENT = '-',
	REPLY_ADD_RECIPIENT_PARAMETERS = '2',
	REPLY_SHUTDOWN = '4',
	REPLY_ACCEPT = 'a',
	REPLY_BODY = 'b',
	REPLY_CONTINUE = 'c',
	REPLY_DISCARD = 'd',
	REPLY_SENDER = 'e',
	REPLY_CONNECTION_FAILED = 'f',
	REPLY_ADD_HEADER = 'h',
	REPLY_INSERT_HEADER = 'i',
	REPLY_CHANGE_HEADER = 'm',
	REPLY_PROGRESS = 'p',
	REPLY_QUARANTINE = 'q',
	REPLY_REJECT = 'r',
	REPLY_SKIP = 's',
	REPLY_TEMPORARY = 't',
	REPLY_CODE = 'y',
};

/* Reply: slices are borrowed from the packet. */
typedef struct {
	char kind;
	uint32_t index; /* INSERT_HEADER, CHANGE_HEADER */
	PhSlice first;  /* name, address, reason, text, octets of a body */
	PhSlice second; /* value, parameters */
} Reply;

typedef struct {
	uint32_t version;
	uint32_t actions;
	uint32_t protocol;
} Options;

/* packet_length: of the 4 octets. 0: nonsense. */
size_t packet_length(PhSlice octets);

/* packet_options: @packet: with its command. @macros_out: the names that are wanted for each stage,
 * borrowed from the packet; its data is NULL where nothing is said. False: nonsense, or more than was
 * offered. */
bool packet_options(PhSlice packet, Options *out, PhSlice macros_out[MILTER_STAGES]);

/* packet_reply: @actions: as negotiated. False: nonsense. */
bool packet_reply(PhSlice packet, uint32_t actions, Reply *out);

/* packet_code: "550 5.7.1 text", also in several lines "550-5.7.1 ...".
 * @text_out: appended, lines parted by '\n'. False: nonsense. */
bool packet_code(PhSlice reply, uint32_t *code_out, char status_out[16], GString *text_out);

/* Writing: begin notes where a packet starts, end fills in its length. */
size_t packet_begin(GString *out, char command);
void packet_end(GString *out, size_t begun);
void packet_text(GString *out, PhSlice text); /* with its NUL; NULs inside are left out */
void packet_number(GString *out, uint32_t number);
void packet_plain(GString *out, char command);

/* packet_header: one field; its folds as LF and blank. */
void packet_header(GString *out, PhSlice name, PhSlice value, bool keeps_blank);

#endif
