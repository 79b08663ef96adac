/* log.h: where log lines go, and who describes sections and sessions (core-internal)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_BASE_LOG_H
#define POSTHORN_BASE_LOG_H

#include <posthorn/log.h>

/* PhLogSink. */
typedef enum {
	PH_LOG_TO_TEXT = 0,     /* one line of text on stderr */
	PH_LOG_TO_JSON = 1,     /* one JSON object a line on stderr */
	PH_LOG_TO_JOURNALD = 2, /* its native socket; text on stderr when it cannot be reached */
} PhLogSink;

/* ph_log_open: chooses the sink and the most detailed level that is written. Before the first call
 * it is text at NOTICE. Thread: load or main. Returns: false when journald was asked for and its
 * socket is not there: text is then used. */
bool ph_log_open(uint32_t sink, uint32_t level);

/* ph_log_stderr_is_journal: is stderr the stream that systemd connected ($JOURNAL_STREAM)? */
bool ph_log_stderr_is_journal(void);

/* ph_log_set_fd: text and JSON go there instead of stderr; for tests. */
void ph_log_set_fd(int fd);

/* ph_log_set_journal_path: another socket than systemd's; for tests. NULL: the usual one. */
void ph_log_set_journal_path(const char *path);

/* Describers: set once at start by the layers that own the objects. The strings are borrowed and
 * live as long as the object. */
typedef void (*PhLogSessionDescriber)(PhSession *session,
                                      const char **id_out,
                                      const char **peer_out);
typedef const char *(*PhLogSectionDescriber)(PhSection *section);
void ph_log_set_session_describer(PhLogSessionDescriber func);
void ph_log_set_section_describer(PhLogSectionDescriber func);

/* ph_log_level_name: "warning". */
const char *ph_log_level_name(uint32_t level);

/* PhLogEvent: one line before it is formatted. */
typedef struct {
	PhTime time;
	uint32_t level;
	const char *event;
	const char *sentence;
	const char *section; /* (nullable) */
	const char *session; /* (nullable) */
	const char *peer;    /* (nullable) */
	const PhLogField *fields;
} PhLogEvent;

/* PhLogCatcher: sees each line that would be written. @section: (nullable). Returns: true when it
 * has told the line itself. */
typedef bool (*PhLogCatcher)(PhSection *section, const PhLogEvent *event, void *user_data);

/* ph_log_set_catcher: NULL takes it away. Thread: load. */
void ph_log_set_catcher(PhLogCatcher func, void *user_data);

/* The formats, without any I/O; log-format.c. */

/* ph_log_format_text: "TIME LEVEL event: sentence name=value ... [peer]\n". The address is last and
 * in brackets, where tools that ban hosts look for it. */
void ph_log_format_text(const PhLogEvent *event, GString *out);

/* ph_log_format_json: one object and a newline; numbers stay numbers. */
void ph_log_format_json(const PhLogEvent *event, GString *out);

/* ph_log_format_journal: the native protocol: MESSAGE, PRIORITY, EVENT and the fields with
 * upper-case names. */
void ph_log_format_journal(const PhLogEvent *event, GString *out);

#endif
