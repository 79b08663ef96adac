/* mail.h: the inside of a message under way, for mail.c and delivery.c
 *
 * Recipients are what the client said; targets are who gets it: an alias has several targets, and
 * two recipients may share one. Both lists only grow until the mail is submitted; afterwards only
 * the results change, each by its completer.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_MAIL_H
#define PH_SERVER_MAIL_H

#include <posthorn/transport.h>

#include "server/mail-edit.h"
#include "server/router.h"

/* PhTarget: one account or next hop that gets the mail once. */
typedef struct {
	const PhRoute *route; /* borrowed from the mail's router */
	PhIdentity *identity; /* (nullable) */
	char *address;
	GError *error; /* why not; NULL: delivered */
	PhDetour detour;
	uint8_t transaction[16];
	uint32_t recipient; /* index of the first that led to it: its parameters count */
	bool was_served;    /* by an earlier submission: see partial.h */
	/* kept for mail from the queue */
	uint32_t result_flags; /* PH_DELIVERED_* */
	uint32_t not_before;   /* seconds */
	char *remote_mta;      /* (nullable) */
	char *reply;           /* (nullable) */
	char *hold;            /* (nullable) why it waits in the queue for a person now */
	bool is_released;      /* by that person: the route's filters are not asked again */
} PhTarget;

typedef struct {
	char *name;
	char *value;
} PhMailParameter;

/* PhRecipient: one address as the client gave it. */
typedef struct {
	char *address;
	uint32_t *targets; /* indexes */
	uint32_t n_targets;
	uint32_t flags;     /* PH_RECIPIENT_* */
	GArray *parameters; /* (nullable) PhMailParameter */
} PhRecipient;

struct PhMail {
	gint refs;
	gint n_pending; /* deliveries that are not finished, and the submitter itself */
	char id[24];
	uint8_t random[16];
	PhTime arrived;
	PhRouter *router; /* (nullable) */
	char *sender;
	PhIdentity *user;
	GArray *parameters; /* (nullable) PhMailParameter */
	GArray *recipients; /* PhRecipient */
	GArray *targets;    /* PhTarget */
	PhAsks *asks;       /* (nullable) of the recipient that is being tried */
	GHashTable *known;  /* (nullable) target keys, when there are many */
	PhContent *content;
	GString *prepended;
	PhWake *wake;
	void (*finished)(PhMail *mail, void *user_data); /* (nullable) instead of the wake */
	void *finished_data;
	GDestroyNotify keeper_free; /* (nullable) */
	void *keeper;               /* what the router needs as long as the mail lives */
	uint32_t attempt;           /* from the queue: 1 and up; 0: not from there */
	uint32_t partial_hint;
	bool was_partial;  /* some recipients had it already */
	bool is_asked;     /* filters are: what is added now is added by them */
	bool is_suspect;   /* it was under way when the server crashed: see base/attempt.h */
	bool is_discarded; /* a filter says: deliver nothing */
	bool is_filtered;  /* the route's filters have passed it */
	bool is_redirected; /* a filter has said where all of it goes, before there were recipients */
	uint32_t n_made;    /* targets, those that were removed too */
	PhMailEdit *edit;   /* (owned, nullable) */
	bool is_guest; /* nobody vouches for the submitter: routes for trusted ones are closed */
	bool is_part;  /* of another mail, which remembers who was served: split.c */
	/* What a filter has put in quarantine (both owned, nullable): why, as the queue shows it; and
	 * the mailbox, where that is possible. */
	char *hold;
	char *aside;
	/* (nullable) in the process of an isolated filter: routes are elsewhere */
	PhRcpt (*add_elsewhere)(PhMail *mail, PhSlice address);
};

static inline PhTarget *
ph_mail_target(const PhMail *mail, size_t index)
{
	return &g_array_index(mail->targets, PhTarget, index);
}

/* ph_target_name: what makes a target the same as another: route, identity or address, and the
 * detail (nullable). Returns: (owned). */
char *ph_target_name(const PhRoute *route,
                     const PhIdentity *identity,
                     const char *address,
                     const char *detail);

/* ph_mail_new_routed: as ph_mail_new, for tools and tests. @router: (nullable, referenced) */
PhMail *ph_mail_new_routed(PhRouter *router);

/* ph_mail_new_part: a mail of the same octets, user, parameters and time, without recipients, that
 * is submitted in place of @mail for some of them. Its sender and id are its own. */
PhMail *ph_mail_new_part(const PhMail *mail);

/* ph_mail_copy_parameters: of one recipient or mail to another. @from: (nullable). Returns: (owned,
 * nullable). */
GArray *ph_mail_copy_parameters(const GArray *from);

/* ph_mail_submit_whole: as ph_mail_submit, for a mail that goes to all its targets in one form. */
void ph_mail_submit_whole(PhMail *mail, PhWake *wake);

/* ph_mail_keep: @keeper: (owned) until the mail is gone. */
void ph_mail_keep(PhMail *mail, void *keeper, GDestroyNotify keeper_free);

/* ph_mail_deliver: hands mail from the queue to the transports; @finished is called when every target
 * has a result, on any thread. */
void ph_mail_deliver(PhMail *mail,
                     void (*finished)(PhMail *mail, void *user_data),
                     void *user_data);

/* ph_delivery_hold: what its result, an error, is about: it waits in the queue until somebody releases
 * it. Before the result. */
void ph_delivery_hold(PhDelivery *delivery, size_t index, const char *why);

/* ph_mail_finish: every result is there: tells the submitter. */
void ph_mail_finish(PhMail *mail);

/* ph_mail_recall: marks the targets that an earlier submission of this message has served. */
void ph_mail_recall(PhMail *mail);

/* ph_mail_settle: every result is there: remembers or withdraws what was served in part. */
void ph_mail_settle(PhMail *mail);

#endif
