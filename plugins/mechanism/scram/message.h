/* message.h: the messages of SCRAM as they stand on the wire (RFC 5802 section 7)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef SCRAM_MESSAGE_H
#define SCRAM_MESSAGE_H

#include <posthorn/slice.h>

enum {
	SCRAM_MESSAGE_MAX = 4096, /* octets of one message of the client */
	SCRAM_NONCE_MAX = 256,    /* of the client's part */
	SCRAM_NAME_MAX = 1024,    /* of a name as it is written */
};

/* ScramFirst: the client's first message. Slices are borrowed from it. */
typedef struct {
	char flag;            /* 'n': no binding, 'y': none offered, it believes; 'p': bound */
	PhSlice binding_name; /* of 'p' */
	PhSlice header;       /* GS2 header, with its last comma */
	PhSlice bare;         /* what stands behind it */
	PhSlice nonce;
	char *authzid; /* (owned) decoded; "" for none */
	char *user;    /* (owned) decoded */
} ScramFirst;

/* scram_first_parse: pure; linear. False when it breaks the syntax, has an extension that must be
 * understood ("m="), or a NUL. @first: to be cleared in either case. */
bool scram_first_parse(PhSlice message, ScramFirst *first);
void scram_first_clear(ScramFirst *first);

/* ScramFinal: the client's final message. Slices are borrowed from it. */
typedef struct {
	PhSlice without_proof; /* all before ",p=" */
	PhSlice nonce;
	GString *binding; /* (owned) decoded "c=" */
	GString *proof;   /* (owned) decoded "p=" */
} ScramFinal;

/* scram_final_parse: the same. */
bool scram_final_parse(PhSlice message, ScramFinal *final);
void scram_final_clear(ScramFinal *final);

/* ScramStored: what a directory keeps (RFC 5803): "iterations,salt,stored-key,server-key". */
typedef struct {
	uint32_t iterations;
	GString *salt; /* (owned), as the other two */
	GString *stored_key;
	GString *server_key;
} ScramStored;

/* scram_stored_parse: @key_length: of the digest. False when it cannot be understood. */
bool scram_stored_parse(PhSlice text, size_t key_length, ScramStored *stored);
void scram_stored_clear(ScramStored *stored);

#endif
