/* transport.h: a message with its envelope, and the plugins that take it onward
 *
 * PhMail is a message under way: sender, recipients, parameters, octets. A protocol fills it and
 * submits it; the router finds a route for each recipient; the route's transport delivers. A
 * recipient's result is one of three: delivered (durably), failed for good, try later.
 *
 * Where every route's transport commits at once (PH_TRANSPORT_COMMITS) the submitter waits for all
 * recipients; those that fail temporarily are put into the queue. Mail with another recipient is
 * written to the queue first, for all of them, and delivered from there.
 *
 * Without a queue the submitter waits for all recipients: it answers positively only when every
 * one was delivered. When some were delivered and others must be tried later the answer is
 * temporary, and a retry of the same message (same sender, same octets) is not stored a second
 * time where it already is.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_TRANSPORT_H
#define POSTHORN_TRANSPORT_H

#include <posthorn/content.h>
#include <posthorn/identity.h>
#include <posthorn/plugin.h>
#include <posthorn/session.h>

G_BEGIN_DECLS

/* --- a mail: filled by a protocol ----------------------------------------------------------- */

/* ph_mail_new: an empty one that came by this session (nullable for tools). Returns: (owned). */
PH_PUBLIC PhMail *ph_mail_new(PhSession *session);
PH_PUBLIC PhMail *ph_mail_ref(PhMail *mail);
PH_PUBLIC void ph_mail_unref(PhMail *mail);

/* ph_mail_id: 22 characters of [A-Za-z0-9_-], unique for ever: in Received, logs and queue. */
PH_PUBLIC const char *ph_mail_id(const PhMail *mail);

/* ph_mail_set_sender: "" for the null reverse-path; otherwise canonical. Copied. */
PH_PUBLIC void ph_mail_set_sender(PhMail *mail, PhSlice address);
PH_PUBLIC const char *ph_mail_sender(const PhMail *mail);

/* ph_mail_set_user: who submitted it, when authenticated. Referenced. */
PH_PUBLIC void ph_mail_set_user(PhMail *mail, const PhIdentity *user);
PH_PUBLIC const PhIdentity *ph_mail_user(const PhMail *mail);

/* Parameters that travel with a mail: names as in ESMTP, upper case ("BODY", "RET", "ENVID"); a flag
 * has the value "". Values are as they came, in their checked form: xtext stays encoded. */
PH_PUBLIC void ph_mail_set_parameter(PhMail *mail, const char *name, PhSlice value);
PH_PUBLIC const char *ph_mail_parameter(const PhMail *mail, const char *name);

/* PhRcpt: what the router says of a recipient. */
typedef enum {
	PH_RCPT_OK = 1,
	PH_RCPT_UNKNOWN = 2,   /* 550 5.1.1: the domain is ours, the user does not exist */
	PH_RCPT_NO_ROUTE = 3,  /* 550 5.7.1: we do not take mail for that domain */
	PH_RCPT_TEMPORARY = 4, /* 451 4.3.0: a directory is away */
	PH_RCPT_TOO_MANY = 5,  /* 452 4.5.3 */
	PH_RCPT_DISABLED = 6,  /* 550 5.2.1 */
	PH_RCPT_OVER_QUOTA =
		7,         /* 452 4.2.2, 552 5.2.2 when the quota is smaller than the message */
	PH_RCPT_LATER = 8, /* not known yet: of ph_mail_try_recipient() alone */
} PhRcpt;

/* ph_mail_add_recipient: routes the address and adds it when the answer is PH_RCPT_OK. The same
 * address twice is delivered once. @address: canonical local@domain, or "postmaster".
 * Thread: session. Blocks: yes (directory). */
PH_PUBLIC PhRcpt ph_mail_add_recipient(PhMail *mail, PhSlice address);

/* ph_mail_try_recipient: the same without holding the thread while a directory thinks. PH_RCPT_LATER: the
 * session was parked: return PH_WAIT, and call this again with the same address when it is resumed.
 * @session: (borrowed) whose callback this is. Thread: session. Blocks: in directories that do. */
PH_PUBLIC PhRcpt ph_mail_try_recipient(PhMail *mail, PhSession *session, PhSlice address);
PH_PUBLIC size_t ph_mail_n_recipients(const PhMail *mail);
PH_PUBLIC const char *ph_mail_recipient(const PhMail *mail, size_t index);

/* ph_mail_allow_relay: its submitter is trusted: recipients of routes that take mail from trusted
 * submitters alone (`accept-from`) are taken from now on, too. A mail without a session is trusted. */
PH_PUBLIC void ph_mail_allow_relay(PhMail *mail);

/* Parameters of one recipient ("NOTIFY", "ORCPT"), which whoever gets the mail in its place has too.
 * Of one that has none by that name: NULL. */
PH_PUBLIC void ph_mail_set_recipient_parameter(PhMail *mail,
                                               size_t index,
                                               const char *name,
                                               PhSlice value);
PH_PUBLIC const char *ph_mail_recipient_parameter(const PhMail *mail,
                                                  size_t index,
                                                  const char *name);

/* ph_mail_set_content: the octets that were received, without our trace. Referenced.
 * ph_mail_prepend: header fields to stand before them, each ending in CRLF: the newest first. */
PH_PUBLIC void ph_mail_set_content(PhMail *mail, PhContent *content);
PH_PUBLIC PhContent *ph_mail_content(const PhMail *mail);
PH_PUBLIC void ph_mail_prepend(PhMail *mail, PhSlice fields);
PH_PUBLIC PhSlice ph_mail_prepended(const PhMail *mail);

/* ph_mail_submit: hands the mail to the routes' transports. @wake: (owned) completed when every
 * recipient has a result; ask ph_mail_outcome() then. Thread: session. */
PH_PUBLIC void ph_mail_submit(PhMail *mail, PhWake *wake);

/* PhMailOutcome: for all recipients together. */
typedef struct {
	uint32_t n_delivered;
	uint32_t n_temporary;
	uint32_t n_failed;
	const GError *error; /* (borrowed from the mail, nullable) the most important one */
} PhMailOutcome;

PH_PUBLIC void ph_mail_outcome(const PhMail *mail, PhMailOutcome *outcome_out);

/* ph_mail_recipient_error: NULL when that recipient was delivered (LMTP answers one by one). */
PH_PUBLIC const GError *ph_mail_recipient_error(const PhMail *mail, size_t index);

/* --- who would get it: VRFY and EXPN --------------------------------------------------------- */

#define PH_ROUTE_MEMBERS_MAX 1000 /* final recipients that one address may stand for */

/* PhRouteMemberFunc: one member of a list; false stops. */
typedef bool (*PhRouteMemberFunc)(const char *address, void *user_data);

/* ph_route_verify: what ph_mail_add_recipient() would say of @address, which may also be a user's
 * name alone. @identity_out: (out, owned, nullable) set for PH_RCPT_OK when it is exactly one local
 * user. Thread: session. Blocks: yes. */
PH_PUBLIC PhRcpt ph_route_verify(PhSession *session, PhSlice address, PhIdentity **identity_out);

/* ph_route_has_queue: can mail wait here, so that reports and delays may be promised? Thread: session. */
PH_PUBLIC bool ph_route_has_queue(PhSession *session);

/* ph_route_retry: asks the queue to try mail for a destination at once (ETRN). @destination: a domain;
 * "@example.org" is the domain and those below it. Returns: messages that wait for it; -1 when the
 * queue cannot say. Thread: session. */
PH_PUBLIC int64_t ph_route_retry(PhSession *session, PhSlice destination);

/* ph_route_leads_to: is @user one of those who get mail for @address? PH_RCPT_OK when so (an alias or
 * list of which they are a member counts), PH_RCPT_UNKNOWN when not, PH_RCPT_TEMPORARY.
 * Thread: session. Blocks: yes. */
PH_PUBLIC PhRcpt ph_route_leads_to(PhSession *session, PhSlice address, const PhIdentity *user);

/* ph_route_expand: the members of an alias or list, one level deep; PH_RCPT_UNKNOWN when it is
 * none. Thread: session. Blocks: yes. */
PH_PUBLIC PhRcpt ph_route_expand(PhSession *session,
                                 PhSlice address,
                                 PhRouteMemberFunc func,
                                 void *user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhMail, ph_mail_unref)

/* --- a transport ---------------------------------------------------------------------------- */

/* PhDelivery: some recipients of one mail that one transport is asked to take. The transport gives
 * each a result, in any order, from any thread. */
typedef struct PhDelivery PhDelivery;

PH_PUBLIC PhMail *ph_delivery_mail(const PhDelivery *delivery);
PH_PUBLIC size_t ph_delivery_n_recipients(const PhDelivery *delivery);
PH_PUBLIC const char *ph_delivery_recipient(const PhDelivery *delivery, size_t index);

/* ph_delivery_identity: the local user behind the recipient (borrowed), NULL when the route has no
 * directory. */
PH_PUBLIC const PhIdentity *ph_delivery_identity(const PhDelivery *delivery, size_t index);

/* ph_delivery_recipient_parameter: of the recipient that led to this one: see above. */
PH_PUBLIC const char *ph_delivery_recipient_parameter(const PhDelivery *delivery,
                                                      size_t index,
                                                      const char *name);

/* ph_delivery_detail: what stood behind the separator of user+detail, when the route wants it kept
 * (`detail-mailbox`); else NULL. Of a peer. */
PH_PUBLIC const char *ph_delivery_detail(const PhDelivery *delivery, size_t index);

/* ph_delivery_transaction: 16 octets to commit with: the same when this delivery is a retry of one
 * that was interrupted. */
PH_PUBLIC const uint8_t *ph_delivery_transaction(const PhDelivery *delivery, size_t index);

/* ph_delivery_store: the store of the delivery's route; NULL when the route has none. */
PH_PUBLIC PhSection *ph_delivery_store(const PhDelivery *delivery);

/* ph_delivery_attempt: 1 for the first time that these recipients are tried. ph_delivery_arrived: when
 * the mail was taken over. */
PH_PUBLIC uint32_t ph_delivery_attempt(const PhDelivery *delivery);
PH_PUBLIC PhTime ph_delivery_arrived(const PhDelivery *delivery);

/* ph_delivery_complete: one recipient's result. @error: (borrowed, nullable) NULL: delivered,
 * durably. Errors of a kind that is temporary (ph_error_is_temporary()) are tried again when the
 * mail lies in the queue; all others are final and reported to the sender. After the last
 * recipient's result the delivery is gone. Thread: any. */
PH_PUBLIC void ph_delivery_complete(PhDelivery *delivery, size_t index, const GError *error);

/* What a next hop has taken over, for reports that the sender has asked for (RFC 3461). */
enum {
	PH_DELIVERED_RELAYED_NO_DSN = 1U
	                              << 0, /* by a host that will not report: we do, "relayed" */
	PH_DELIVERED_FINAL = 1U << 1,       /* where the mail ends: we report "delivered" */
	PH_DELIVERY_AWAY = 1U << 2, /* failed: who answered takes nothing from anybody now, so that
	                             * it counts as a destination that is not there */
};

/* PhDeliveryResult: one recipient's result with what the next hop said. All borrowed for the call. */
typedef struct {
	size_t size;         /* sizeof(PhDeliveryResult) */
	const GError *error; /* (nullable) NULL: delivered, durably */
	const char
		*remote_mta; /* (nullable) the host that answered: "mx1.example.net"; without one a
	                         * temporary failure counts as a destination that is not there */
	const char *reply;   /* (nullable) its last reply: "550 5.1.1 no such user" */
	uint32_t flags;      /* PH_DELIVERED_* */
	uint32_t not_before; /* seconds until the next attempt at the earliest; 0: as configured */
} PhDeliveryResult;

/* ph_delivery_complete_with: as ph_delivery_complete, with more to tell. Thread: any. */
PH_PUBLIC void ph_delivery_complete_with(PhDelivery *delivery,
                                         size_t index,
                                         const PhDeliveryResult *result);

/* PhTransportNeeds: which keys of a [route] this transport cannot do without. */
enum {
	PH_ROUTE_NEEDS_STORE = 1U << 0,
	PH_ROUTE_NEEDS_DIRECTORY = 1U << 1,
};

/* PhTransportFlags. */
enum {
	/* A delivery that succeeds is durable here and does not wait for another host: mail for such
	 * recipients alone is not written to the queue first. */
	PH_TRANSPORT_COMMITS = 1U << 0,
};

struct PhTransport {
	size_t size;
	uint32_t needs; /* PH_ROUTE_NEEDS_* */
	uint32_t flags; /* PH_TRANSPORT_* */

	/* create: for one route section. Required. Thread: load. */
	bool (*create)(PhSection *section,
	               const void *settings,
	               void **instance_out,
	               GError **error);
	void (*destroy)(void *instance);

	/* begin: takes the delivery and returns at once; results come by ph_delivery_complete().
	 * Required unless `deliver` is there. Thread: worker. Blocks: no. */
	void (*begin)(void *instance, PhDelivery *delivery);

	/* deliver: the blocking form, run on the delivery pool: gives every recipient a result
	 * before it returns. Optional. Thread: worker. Blocks: yes. */
	void (*deliver)(void *instance, PhDelivery *delivery);

	/* destination: the key under which deliveries share concurrency, back-off and connections: for
	 * the recipient at @address, written to @buffer with its NUL, cut at @size. Two recipients of
	 * one mail with the same key may come in one delivery. Optional; without it the address's
	 * domain in lower case. Thread: any. Blocks: no. Returns: its length. */
	size_t (*destination)(void *instance, const char *address, char *buffer, size_t size);
};

G_END_DECLS

#endif
