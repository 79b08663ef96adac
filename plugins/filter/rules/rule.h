/* rule.h: what a rule says, and how it is read
 *
 *	rule    = "at" stage *( ( "if" / "and" ) test ) [ "with" n "%" / "every" n ] "then" action
 *	test    = [ "not" ] ( fact ( "is" / "matches" ) word / fact "exists"
 *	          / "client in" network / "header" name ( "is" / "matches" ) word
 *	          / "header" name "exists" / "size" ( "over" / "under" ) size
 *	          / "recipients" ( "over" / "under" ) n )
 *	action  = "delay" duration [ "and" action ] / "accept" / "discard" / "quarantine" [ text ]
 *	          / ( "reject" / "temporary" ) [ code ] [ status ] [ text ] / "drop" [ text ]
 *	          / "redirect" address / "add header" name ":" value / "delete header" name
 *
 * Words are parted by blanks; one in double quotes may hold some.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef RULES_RULE_H
#define RULES_RULE_H

#include <posthorn/filter.h>
#include <posthorn/slice.h>

typedef enum {
	FACT_CLIENT = 0,
	FACT_HELO = 1,
	FACT_USER = 2,
	FACT_TLS = 3,
	FACT_LISTENER = 4,
	FACT_SENDER = 5,
	FACT_RECIPIENT = 6,
	FACT_HEADER = 7,
	FACT_SIZE = 8,
	FACT_RECIPIENTS = 9,
} Fact;

typedef enum {
	TEST_IS = 0,
	TEST_MATCHES = 1,
	TEST_EXISTS = 2,
	TEST_IN = 3,
	TEST_OVER = 4,
	TEST_UNDER = 5,
} Operation;

typedef struct {
	uint8_t octets[16];
	uint8_t length; /* of the address: 4 or 16 */
	uint8_t bits;
} Network;

typedef struct {
	Fact fact;
	Operation operation;
	bool is_not;
	char *header;    /* (nullable) its name */
	char *word;      /* (nullable) */
	uint64_t number; /* OVER, UNDER */
	Network network; /* IN */
} Test;

typedef enum {
	ACTION_VERDICT = 0,
	ACTION_DELAY = 1, /* goes on with the next rule */
	ACTION_ADD_HEADER = 2,
	ACTION_DELETE_HEADER = 3,
} Action;

typedef struct {
	char *key; /* "rule-1" */
	uint32_t stage;
	GArray *tests;    /* of Test */
	uint32_t percent; /* 100: always */
	uint32_t every;   /* 1: always */
	gint n_seen;      /* atomic: that `every` has counted */
	Action action;
	PhVerdict verdict; /* its delay holds with every action */
	char *name;        /* (nullable) of a header */
	char *value;       /* (nullable) */
} Rule;

/* rule_parse: Returns: (owned); NULL with INVALID: "'rule-1' ...". */
Rule *rule_parse(const char *key, const char *text, GError **error);
void rule_free(Rule *rule);

/* network_parse: "192.0.2.0/24", "2001:db8::/32", or one address. */
bool network_parse(const char *text, Network *out);
bool network_has(const Network *network, const char *address);

/* glob_match: '*' stands for any octets, '?' for one; ASCII case does not matter. Time: the product
 * of the pattern's length, which the config bounds, and the text's. */
bool glob_match(const char *pattern, PhSlice text);

/* rule_holds: all of its tests, at its stage. False with @error when the header cannot be read. */
bool rule_holds(const Rule *rule, const PhFilterQuestion *question, GError **error);

#endif
