/* log.h: one event a line, with named fields
 *
 * An event has a level, a stable name ("delivered", "login-failed"), a sentence and fields. The
 * sinks (journald, stderr as text or JSON lines) escape control characters, C1 and invalid UTF-8
 * in every value and cap its length, so peer octets may be passed as they are. Log where an
 * operation ends, once; return errors everywhere else.
 *
 *	ph_log_session(session, PH_LOG_INFO, "delivered", "message stored",
 *	               PH_LOG_TEXT("user", name), PH_LOG_NUMBER("octets", size), PH_LOG_END);
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_LOG_H
#define POSTHORN_LOG_H

#include <posthorn/types.h>

#include <string.h>

G_BEGIN_DECLS

/* PhLogLevel: syslog severities. */
typedef enum {
	PH_LOG_ERROR = 3,   /* something is broken and a person must look */
	PH_LOG_WARNING = 4, /* it works, but not as it should */
	PH_LOG_NOTICE = 5,  /* rare and normal: started, reloaded, stopped */
	PH_LOG_INFO = 6,    /* one line for each operation */
	PH_LOG_DEBUG = 7,   /* for the developer; off by default */
} PhLogLevel;

/* PhLogField: built by the macros; values are borrowed for the call. */
typedef struct {
	const char *name; /* lower case, '-' between words; NULL ends the list */
	const char *text; /* data of a text or slice; NULL for a number */
	size_t length;
	int64_t number;
} PhLogField;

#define PH_LOG_TEXT(n, value)                                                                    \
	((PhLogField){ (n), (value) != NULL ? (value) : "", (value) != NULL ? strlen(value) : 0, \
	               0 })
#define PH_LOG_SLICE(n, value) \
	((PhLogField){ (n), (value).data != NULL ? (value).data : "", (value).length, 0 })
#define PH_LOG_NUMBER(n, value) ((PhLogField){ (n), NULL, 0, (int64_t) (value) })
#define PH_LOG_FAILURE(e)       PH_LOG_TEXT("error", (e) != NULL ? (e)->message : "")
#define PH_LOG_END              ((PhLogField){ NULL, NULL, 0, 0 })

/* ph_log_fields: the one way in; use the macros below. @fields ends with PH_LOG_END.
 * @section and @session: (borrowed, nullable) add their fields (section name; session id, peer).
 * Thread: any. Does not block on a slow reader for longer than a write to stderr takes. */
PH_PUBLIC void ph_log_fields(PhSection *section,
                             PhSession *session,
                             uint32_t level,
                             const char *event,
                             const char *sentence,
                             const PhLogField *fields);

#define ph_log(level, event, sentence, ...) \
	ph_log_fields(NULL, NULL, (level), (event), (sentence), (const PhLogField[]){ __VA_ARGS__ })
#define ph_log_section(section, level, event, sentence, ...)         \
	ph_log_fields((section), NULL, (level), (event), (sentence), \
	              (const PhLogField[]){ __VA_ARGS__ })
#define ph_log_session(session, level, event, sentence, ...)         \
	ph_log_fields(NULL, (session), (level), (event), (sentence), \
	              (const PhLogField[]){ __VA_ARGS__ })

/* ph_log_wants: is this level written at all? To avoid costly arguments. Thread: any. */
PH_PUBLIC bool ph_log_wants(uint32_t level);

G_END_DECLS

#endif
