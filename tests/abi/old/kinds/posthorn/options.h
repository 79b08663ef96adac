/* options.h: how a plugin describes its options, and how values reach it
 *
 * A plugin writes one row for each key that its config section may hold. From that one table come
 * parsing, validation with file and line, the nearest valid name in an error message, the output
 * of `posthorn plugin NAME`, the reference manual and the man page. Nothing is parsed by hand.
 *
 * The macro names a member of the plugin's settings struct; the key is the member's name with '-'
 * for '_'. The member's C type is checked by the compiler. The core allocates the struct (zeroed),
 * fills it before `create`, keeps it unchanged for as long as the instance lives, and frees it,
 * strings and arrays included. A settings struct is immutable: a reload makes a new one.
 *
 *	typedef struct {
 *		const char *path;
 *		PhDuration refresh;
 *	} Settings;
 *
 *	static const PhOption options[] = {
 *		PH_OPTION_PATH(Settings, path, PH_REQUIRED, "passwd-style file that lists the users"),
 *		PH_OPTION_DURATION(Settings, refresh, "60s", "how long a parsed file stays fresh"),
 *		PH_OPTIONS_END,
 *	};
 *
 * How values are written in a config file:
 *   string    text; surrounding blanks are removed; {data}, {hostname} are replaced
 *   path      absolute, or relative to the config file's folder; {data} is replaced
 *   template  like path, but {user}, {domain}, {address} stay and are filled in for each account
 *   size      digits and K, M, G, T (powers of 1024; B may follow): 50M
 *   duration  digits and us, ms, s, min, h, d, w: 30s, 5min
 *   boolean   yes, no (also true, false, on, off)
 *   integer   decimal digits with optional sign, inside the row's bounds
 *   choice    one of the row's words
 *   list      words separated by commas
 *   secret    text, redacted wherever it is shown; `file:/path` reads the first line of a file
 *   section   the name of another section, or of a plugin that needs no options
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_OPTIONS_H
#define POSTHORN_OPTIONS_H

#include <posthorn/types.h>

G_BEGIN_DECLS

/* PhOptionType: values are part of the ABI. The C type of the member stands beside each. */
typedef enum {
	PH_OPTION_TYPE_STRING = 1,    /* const char * (NULL when absent) */
	PH_OPTION_TYPE_PATH = 2,      /* const char * (NULL when absent) */
	PH_OPTION_TYPE_TEMPLATE = 3,  /* const char * (NULL when absent) */
	PH_OPTION_TYPE_SIZE = 4,      /* PhSize */
	PH_OPTION_TYPE_DURATION = 5,  /* PhDuration */
	PH_OPTION_TYPE_BOOLEAN = 6,   /* bool */
	PH_OPTION_TYPE_INTEGER = 7,   /* int64_t */
	PH_OPTION_TYPE_CHOICE = 8,    /* uint32_t: index into the row's words */
	PH_OPTION_TYPE_LIST = 9,      /* const char *const *: NULL-terminated, NULL when absent */
	PH_OPTION_TYPE_SECRET = 10,   /* const PhSecret * (NULL when absent) */
	PH_OPTION_TYPE_SECTION = 11,  /* PhSection * (NULL when absent): created before this one */
	PH_OPTION_TYPE_SECTIONS = 12, /* PhSection *const *: NULL-terminated list, NULL when absent */
} PhOptionType;

typedef struct PhSecret PhSecret;

/* PhOptionFlags. */
enum {
	PH_OPTION_IS_ALIAS = 1U << 0,   /* older name of the row above it; has no member of its own */
	PH_OPTION_IS_REMOVED = 1U << 1, /* accepted and ignored, with a warning; `help` says why */
};

/* PhOption: one row. Rows are walked with the stride that the plugin was built with, so members
 * may be added at the end. Fill rows only through the macros below. */
typedef struct {
	const char *key;            /* the member's name: the file has '-' for its '_' */
	const char *help;           /* one line for people; required and checked */
	const char *default_text;   /* as it would be written in the file; PH_ABSENT, PH_REQUIRED */
	const char *const *choices; /* CHOICE: NULL-terminated words */
	int64_t minimum;            /* INTEGER: bounds, both included; SIZE and DURATION: in octets, us */
	int64_t maximum;
	uint32_t type;              /* PhOptionType */
	uint32_t flags;             /* PH_OPTION_IS_* */
	uint32_t offset;            /* of the member */
	uint32_t member_size;       /* sizeof the member: checked against the type */
	uint32_t struct_size;       /* sizeof the settings struct: the same in all rows */
	uint32_t kind;              /* SECTION, SECTIONS: PhKind that the name refers to */
} PhOption;

/* PH_REQUIRED stands where a default would: the key must be given. PH_ABSENT: no default. */
#define PH_REQUIRED "\001"
#define PH_ABSENT   NULL

static inline bool
ph_option_is_required(const PhOption *row)
{
	return row->default_text != NULL && row->default_text[0] == '\001';
}

#define PH_OPTION_ROW_(S, member, ctype, t, def, text, ...)                                        \
	{                                                                                          \
		.key = #member, .help = (text),                                                    \
		.default_text = (def), .type = (t),                                                \
		.offset = offsetof(S, member)                                                      \
		          + 0 * sizeof(char[_Generic(((S *) 0)->member, ctype: 1)]),               \
		.member_size = sizeof(((S *) 0)->member), .struct_size = sizeof(S), __VA_ARGS__    \
	}

#define PH_OPTION_STRING(S, member, def, help_text)                                                \
	PH_OPTION_ROW_(S, member, const char *, PH_OPTION_TYPE_STRING, def, help_text, .maximum = 0)
#define PH_OPTION_PATH(S, member, def, help_text)                                                  \
	PH_OPTION_ROW_(S, member, const char *, PH_OPTION_TYPE_PATH, def, help_text, .maximum = 0)
#define PH_OPTION_TEMPLATE(S, member, def, help_text)                                              \
	PH_OPTION_ROW_(S, member, const char *, PH_OPTION_TYPE_TEMPLATE, def, help_text, .maximum = 0)
#define PH_OPTION_SIZE(S, member, def, help_text)                                                  \
	PH_OPTION_ROW_(S, member, PhSize, PH_OPTION_TYPE_SIZE, def, help_text, .maximum = INT64_MAX)
#define PH_OPTION_DURATION(S, member, def, help_text)                                              \
	PH_OPTION_ROW_(S, member, PhDuration, PH_OPTION_TYPE_DURATION, def, help_text, .maximum = INT64_MAX)
#define PH_OPTION_BOOLEAN(S, member, def, help_text)                                               \
	PH_OPTION_ROW_(S, member, bool, PH_OPTION_TYPE_BOOLEAN, def, help_text, .maximum = 0)
#define PH_OPTION_INTEGER(S, member, def, low, high, help_text)                                    \
	PH_OPTION_ROW_(S, member, int64_t, PH_OPTION_TYPE_INTEGER, def, help_text, .minimum = (low), .maximum = (high))
#define PH_OPTION_CHOICE(S, member, def, words, help_text)                                         \
	PH_OPTION_ROW_(S, member, uint32_t, PH_OPTION_TYPE_CHOICE, def, help_text, .choices = (words))
#define PH_OPTION_LIST(S, member, def, help_text)                                                  \
	PH_OPTION_ROW_(S, member, const char *const *, PH_OPTION_TYPE_LIST, def, help_text, .maximum = 0)
#define PH_OPTION_SECRET(S, member, def, help_text)                                                \
	PH_OPTION_ROW_(S, member, const PhSecret *, PH_OPTION_TYPE_SECRET, def, help_text, .maximum = 0)
#define PH_OPTION_SECTION(S, member, def, k, help_text)                                            \
	PH_OPTION_ROW_(S, member, PhSection *, PH_OPTION_TYPE_SECTION, def, help_text, .kind = (k))
#define PH_OPTION_SECTIONS(S, member, def, k, help_text)                                           \
	PH_OPTION_ROW_(S, member, PhSection *const *, PH_OPTION_TYPE_SECTIONS, def, help_text, .kind = (k))
/* PH_OPTION_ALIAS: an older name of the row above it, still understood.
 * PH_OPTION_REMOVED: a key that is accepted and ignored with a warning; the text says why. */
#define PH_OPTION_ALIAS(old_key)          { .key = (old_key), .flags = PH_OPTION_IS_ALIAS }
#define PH_OPTION_REMOVED(old_key, why)                                                            \
	{                                                                                          \
		.key = (old_key), .help = (why), .flags = PH_OPTION_IS_REMOVED                     \
	}
#define PH_OPTIONS_END { .key = NULL }

G_END_DECLS

#endif
