/* directory.h: who exists: verify a password, look up a user, change one
 *
 * Directories are asked in the order of the listener's `directory` list until one knows the user.
 * Verification, lookup and provisioning are separate abilities: a member that is NULL is not
 * offered. A wrong password and an unknown user are results, not errors; an unreachable server is
 * an error.
 *
 * Threads: members are called on workers, at once for different sessions, and may block.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_DIRECTORY_H
#define POSTHORN_DIRECTORY_H

#include <posthorn/identity.h>
#include <posthorn/plugin.h>
#include <posthorn/secret.h>

G_BEGIN_DECLS

/* PhVerify: what a directory says. Who logs in sees WRONG, UNKNOWN_USER and DISABLED alike (535 5.7.8,
 * NO [AUTHENTICATIONFAILED], -ERR [AUTH]), ERROR as 454 4.7.0, NO [UNAVAILABLE], -ERR [SYS/TEMP]. A
 * sender sees 250, 550 5.1.1 (UNKNOWN_USER), 550 5.2.1 (DISABLED) or 451 4.3.0 (ERROR) to RCPT. */
typedef enum {
	PH_VERIFY_OK = 1,           /* @identity_out is set */
	PH_VERIFY_WRONG = 2,        /* the user is known here, the password is not right: stop */
	PH_VERIFY_UNKNOWN_USER = 3, /* not known here: ask the next directory */
	PH_VERIFY_DISABLED = 4,     /* known, right password, and locked: stop */
	PH_VERIFY_ERROR = 5,        /* @error is set: stop, temporary failure */
} PhVerify;

/* PhListFunc: called for each name; false stops. */
typedef bool (*PhListFunc)(const char *address, void *user_data);

/* PhDirectoryFlags. */
enum {
	PH_DIRECTORY_WRITES =
		1U << 0, /* writes below the folders of its path options, not only in tools */
	PH_DIRECTORY_UNKEPT = 1U << 1, /* an answer holds once: none is kept (one-time passwords) */
	/* Reads what only root may. Never runs in the server's process: it is isolated whether its
	 * section says so or not, and its processes stay root (without capabilities, in a sandbox)
	 * when the supervisor is. The plugin's file must be root's. */
	PH_DIRECTORY_PRIVILEGED = 1U << 2,
	/* `set` hashes by itself (an LDAP server does): tools that were told no scheme give it the
	 * password as "{PLAIN}...". */
	PH_DIRECTORY_HASHES = 1U << 3,
};

/* PhQuestion: one that a directory answers later; see `begin`. */
typedef struct PhQuestion PhQuestion;

struct PhDirectory {
	size_t size;
	uint32_t flags; /* PH_DIRECTORY_* */
	uint32_t reserved;

	/* create, destroy. Required. Thread: load / main. create may read files but must not
	 * connect: the worker process starts later. Errors: stop the start. */
	bool (*create)(PhSection *section,
	               const void *settings,
	               void **instance_out,
	               GError **error);
	void (*destroy)(void *instance);

	/* verify: is this secret the user's?
	 * @user: (borrowed) as prepared by the core: UTF-8, no NUL, at most 320 octets; with or
	 * without "@domain".  @secret: (borrowed) wiped by the core on return.
	 * @identity_out: (out, owned) set only for PH_VERIFY_OK.
	 * Optional: without it the directory is lookup only. Thread: worker, concurrently. Blocks:
	 * yes, at most the section's `timeout`. Errors: PH_ERROR_TEMPORARY (the client sees a
	 * temporary failure; no attempt is counted).
	 * [DIR-1] WRONG and UNKNOWN_USER take the same time for a hash of the same cost: use
	 * ph_password_verify() with a NULL hash for unknown users. */
	PhVerify (*verify)(void *instance,
	                   const char *user,
	                   const PhSecret *secret,
	                   PhIdentity **identity_out,
	                   GError **error);

	/* lookup: the user's identity, for delivery and after mechanisms that verify by themselves.
	 * Returns: PH_VERIFY_OK, UNKNOWN_USER, DISABLED or ERROR. Required. Thread: worker. Blocks:
	 * yes. [DIR-2] lookup and verify return the same canonical address. */
	PhVerify (*lookup)(void *instance,
	                   const char *address,
	                   PhIdentity **identity_out,
	                   GError **error);

	/* secret: the stored form in @scheme, without its braces, see ph_exchange_secret().
	 * @user: as for verify. @secret_out: (out, owned) set only for PH_VERIFY_OK.
	 * Returns: OK; WRONG when the user is known but has none in that scheme, or is locked;
	 * UNKNOWN_USER; ERROR. The client sees no difference between WRONG and UNKNOWN_USER.
	 * Optional. Thread: worker. Blocks: yes. */
	PhVerify (*secret)(void *instance,
	                   const char *user,
	                   const char *scheme,
	                   PhSecret **secret_out,
	                   GError **error);

	/* expand: what an alias or list stands for, one address a call of @func, borrowed for the
	 * call; the core looks for circles and doubles. When @func returns false: stop, return OK.
	 * Returns: PH_VERIFY_OK, UNKNOWN_USER when it is no alias, or ERROR (the sender sees 451).
	 * Optional. Thread: worker. Blocks: yes. */
	PhVerify (*expand)(void *instance,
	                   const char *address,
	                   PhListFunc func,
	                   void *user_data,
	                   GError **error);

	/* list: every user's address, for tools. NAME/LABEL is no user but something of NAME, who is in
	 * the list as well. In any order; false of @func stops and is no error. Optional.
	 * Thread: worker. Blocks: yes. */
	bool (*list)(void *instance, PhListFunc func, void *user_data, GError **error);

	/* set: adds a user or changes the password. @hash: "{SCHEME}..." or crypt(3) form.
	 * @create: true: EXISTS when known; false: NOT_FOUND when unknown. Durable on return.
	 * Optional. Thread: worker. Blocks: yes. */
	bool (*set)(void *instance,
	            const char *address,
	            const char *hash,
	            bool create,
	            GError **error);

	/* remove: NOT_FOUND when unknown. Durable on return. Optional. Thread: worker.
	 * Blocks: yes. */
	bool (*remove)(void *instance, const char *address, GError **error);

	/* version: a number that is another one as soon as an answer could be: answers that the core
	 * has kept from before are then asked for again. Called before each use of a kept answer:
	 * must cost microseconds and no round trip. 0: not known at this moment.
	 * Optional: without it kept answers are used for the section's `cache` time. Thread: worker. */
	uint64_t (*version)(void *instance);

	/* gives: may `secret` find something in this scheme for some user? Decides whether challenge
	 * mechanisms are offered at all; asked at each greeting, so answer from memory. Optional:
	 * without it a directory with `secret` may. Thread: worker. Blocks: briefly. */
	bool (*gives)(void *instance, const char *scheme);

	/* begin: asks like verify (or like lookup, when the question has no secret) and returns at
	 * once; ph_question_answer() follows exactly once, from any thread, before this returns or
	 * later. For directories that wait for a server: logins then hold no thread meanwhile.
	 * Optional; verify and lookup must be there as well. Thread: worker, concurrently. Blocks: as
	 * long as it takes to send the question. */
	void (*begin)(void *instance, PhQuestion *question);
};

/* What is asked; borrowed until it is answered. ph_question_secret: NULL: who is the user?
 * ph_question_deadline: when nobody waits any more, in us of g_get_monotonic_time(). Thread: any. */
PH_PUBLIC const char *ph_question_user(const PhQuestion *question);
PH_PUBLIC const PhSecret *ph_question_secret(const PhQuestion *question);
PH_PUBLIC int64_t ph_question_deadline(const PhQuestion *question);

/* ph_question_answer: @question: (owned) gone afterwards. @identity: (owned) for OK. @error: (owned)
 * for ERROR. Thread: any. Never blocks. */
PH_PUBLIC void ph_question_answer(PhQuestion *question,
                                  PhVerify result,
                                  PhIdentity *identity,
                                  GError *error);

/* --- helpers for directory plugins --------------------------------------------------------- */

/* ph_password_verify: does the secret fit the stored form? Understands crypt(3) and the forms that
 * Dovecot writes: {PLAIN} {CLEARTEXT} {CRYPT} {BLF-CRYPT} {SHA512-CRYPT} {SHA256-CRYPT} {MD5-CRYPT}
 * {SSHA} {SSHA256} {SSHA512} {SHA} {SHA256} {SHA512} {PBKDF2} {ARGON2I} {ARGON2ID} {SCRAM-SHA-1}
 * {SCRAM-SHA-256} {MD5} {PLAIN-MD5} {LDAP-MD5} {SMD5} {ARGON2}, with .b64 and .hex suffixes. A form
 * without braces is crypt(3).
 * @stored: (nullable) NULL does the work of the preferred scheme and returns false.
 * Thread: worker. Blocks: yes, for as long as the hash takes; at most a bounded number run at once.
 * Errors: CORRUPT for a stored form that cannot be understood (wrong password for the client). */
PH_PUBLIC bool ph_password_verify(const char *stored, const PhSecret *secret, GError **error);

/* ph_password_hash: a new stored form. @scheme: without braces; NULL for the preferred one.
 * Returns: (owned) "{SCHEME}..."; UNSUPPORTED for an unknown scheme. */
PH_PUBLIC char *ph_password_hash(const char *scheme, const PhSecret *secret, GError **error);

G_END_DECLS

#endif
