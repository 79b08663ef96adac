/* user.h: what a directory found out about one user, and the answers that follow from it
 *
 * A helper for directory plugins. A directory that keeps its users as rows, entries or objects has to
 * write one function: fetch what is known of a name and fill it in, field by field. Passwords, the
 * canonical address, equal work for unknown users ([DIR-1], [DIR-2]) and identities come from here:
 *
 *	user = ph_user_new(instance->rules, name);
 *	found = look_up(ph_user_asked_address(user), user);       calls ph_user_set()
 *	return ph_user_verify(instance->rules, found ? user : NULL, secret, identity_out, error);
 *
 * Fields, by name:
 *   user      local part or address as it is to be spelt; else the name asked for, in lower case
 *   domain    when `user` is a local part of another domain than the section's
 *   password  a stored form, see ph_password_verify(); may be set several times, for several schemes
 *   name, home, quota (octets, or "2G"), messages (a number)
 *   groups, senders, aliases, targets   words separated by commas or blanks; each call adds
 *   disabled  "yes", "true" or "1": the user may not log in; "no", "false", "0" or "": may
 * Every other name is an attribute of the identity. `targets` is for ph_user_expand() alone; `result`,
 * `error` and `secret` are those of an answer in JSON.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_USER_H
#define POSTHORN_USER_H

#include <posthorn/directory.h>

G_BEGIN_DECLS

/* PhUserRules: what holds for all users of a section; made in `create`. Thread: any, for all. */
typedef struct PhUserRules PhUserRules;

/* ph_user_rules_new: @domain: (nullable) of names without one. Returns: (owned). */
PH_PUBLIC PhUserRules *ph_user_rules_new(const char *domain);
PH_PUBLIC void ph_user_rules_free(PhUserRules *rules);

/* PhUser: one answer under way; of one thread. Its strings are wiped when it is freed. */
typedef struct PhUser PhUser;

/* ph_user_new: @name: (borrowed) as a directory is asked for it. Returns: (owned). */
PH_PUBLIC PhUser *ph_user_new(const PhUserRules *rules, const char *name);
PH_PUBLIC void ph_user_free(PhUser *user);

/* What was asked for, in lower case, with the section's domain where the name had none: address,
 * its local part, its domain ("" for none). Borrowed from the user. */
PH_PUBLIC const char *ph_user_asked_address(const PhUser *user);
PH_PUBLIC const char *ph_user_asked_local(const PhUser *user);
PH_PUBLIC const char *ph_user_asked_domain(const PhUser *user);

/* ph_user_set: one field; NULL and "" say nothing and change nothing. At most 64 KiB in all. Errors:
 * INVALID for a quota that is no size and the like, LIMIT. */
PH_PUBLIC bool ph_user_set(PhUser *user, const char *field, const char *value, GError **error);

/* ph_user_set_json: the members of a JSON object: texts, numbers, booleans, lists of texts. Null
 * and objects inside are passed over. At most 64 KiB and 16 levels deep. Errors: INVALID. */
PH_PUBLIC bool ph_user_set_json(PhUser *user, PhSlice text, GError **error);

/* ph_user_question_json: a question for a program or a web service, one line without its end:
 * {"ask":"verify","user":"anna@example.org","local":"anna","domain":"example.org","password":"..."}.
 * @ask: the member of PhDirectory that asks. @name: (nullable) of one more member, with @value.
 * Returns: (owned) wipe it with ph_user_question_free. */
PH_PUBLIC GString *ph_user_question_json(const PhUser *user,
                                         const char *ask,
                                         const char *name,
                                         PhSlice value);
PH_PUBLIC void ph_user_question_free(GString *question);

/* ph_user_answer_json: its answer: {"result":"ok", ...fields...}. `result` is ok, wrong, unknown,
 * disabled or error (then `error` may say why). Returns: what it says, not looking at the fields; ERROR
 * with @error for what is no such answer. */
PH_PUBLIC PhVerify ph_user_answer_json(PhUser *user, PhSlice text, GError **error);

/* ph_user_get: a field as it was set last, NULL for none. Borrowed from the user. */
PH_PUBLIC const char *ph_user_get(const PhUser *user, const char *field);

/* Answers: what the members of PhDirectory with these names return. @user: (nullable) NULL: not
 * known here. A stored password that cannot be understood is logged and is WRONG. */
PH_PUBLIC PhVerify ph_user_verify(PhUserRules *rules,
                                  const PhUser *user,
                                  const PhSecret *secret,
                                  PhIdentity **identity_out,
                                  GError **error);
PH_PUBLIC PhVerify ph_user_lookup(const PhUser *user, PhIdentity **identity_out, GError **error);
PH_PUBLIC PhVerify ph_user_secret(const PhUser *user, const char *scheme, PhSecret **secret_out);
PH_PUBLIC PhVerify ph_user_expand(const PhUser *user, PhListFunc func, void *user_data);

/* ph_user_accept: OK or DISABLED for a user whose password was found right elsewhere, by a bind or
 * by a program. */
PH_PUBLIC PhVerify ph_user_accept(const PhUser *user, PhIdentity **identity_out, GError **error);

/* ph_user_pretend: what an unknown user costs: the work of a form like those seen before. */
PH_PUBLIC void ph_user_pretend(PhUserRules *rules, const PhSecret *secret);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhUser, ph_user_free)

G_END_DECLS

#endif
