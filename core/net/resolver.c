/* resolver.c: asks the DNS through libunbound and hands out its answers
 *
 * libunbound works in a thread of its own and says by a descriptor that it has answers. One thread
 * here waits for that, for the first deadline, and for the end; it makes all calls back. A config
 * that asks otherwise gets another such pair; the old one ends when its last question is answered.
 * Questions stand in the order of their deadlines, because all of one pair have the same time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/resolver.h"

#include <posthorn/log.h>

#include "base/lock.h"
#include "config/config.h"
#include "config/name-server.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unbound.h>
#include <unistd.h>

enum {
	DEFAULT_TIMEOUT_US = 10 * 1000 * 1000,
	DEFAULT_MAX_QUESTIONS = 1000,
	CLASS_IN = 1,
	RECORD_OCTETS_MAX = 64 * 1024,
	RCODE_NAME_ERROR = 3,
};

typedef struct {
	char **servers; /* (nullable) as libunbound writes them */
	char *trust_anchor;
	char *hosts;
	int64_t timeout_us;
	uint32_t max_questions;
} Settings;

typedef struct Resolver Resolver;

typedef struct {
	Resolver *resolver;
	PhConfig *config; /* (nullable) of who asks: its plugin's settings must stay */
	char *name;
	uint32_t type;
	PhResolverFunc func;
	void *user_data;
	int64_t deadline_us;
	int id;          /* libunbound's; 0: it was not asked */
	uint32_t status; /* PhResolverStatus, when it was not asked */
	const char *why;
	GList link;
} Question;

struct Resolver {
	PhLock lock; /* guards questions and is_ending */
	GQueue questions;
	bool is_ending;
	Settings settings;
	struct ub_ctx *ctx; /* NULL: it could not be set up */
	int poke_fd;
	GThread *thread;
};

static PhLock present_lock = PH_LOCK_INIT; /* guards both; taken before a resolver's own */
static Resolver *present;
static Settings wanted;

/* --- settings --------------------------------------------------------------------------------- */

static void
clear_settings(Settings *settings)
{
	g_strfreev(settings->servers);
	g_free(settings->trust_anchor);
	g_free(settings->hosts);
	*settings = (Settings){ NULL };
}

static Settings
copy_settings(const Settings *settings)
{
	return (Settings){
		.servers = g_strdupv(settings->servers),
		.trust_anchor = g_strdup(settings->trust_anchor),
		.hosts = g_strdup(settings->hosts),
		.timeout_us = settings->timeout_us,
		.max_questions = settings->max_questions,
	};
}

static Settings
make_settings(const PhResolverParams *params)
{
	Settings settings = {
		.trust_anchor = g_strdup(params->trust_anchor),
		.hosts = g_strdup(params->hosts),
		.timeout_us = params->timeout.us > 0 ? (int64_t) MIN(params->timeout.us,
		                                                     (uint64_t) G_MAXINT32 * 1000)
		                                     : DEFAULT_TIMEOUT_US,
		.max_questions =
			params->max_questions > 0 ? params->max_questions : DEFAULT_MAX_QUESTIONS,
	};
	g_autoptr(GPtrArray) servers = g_ptr_array_new();

	for (size_t i = 0; params->servers != NULL && params->servers[i] != NULL; i++) {
		char *server = ph_name_server_parse(params->servers[i]);

		if (server != NULL)
			g_ptr_array_add(servers, server);
	}
	if (servers->len > 0) {
		g_ptr_array_add(servers, NULL);
		settings.servers = (char **) g_ptr_array_free(g_steal_pointer(&servers), FALSE);
	}
	return settings;
}

static bool
are_equal(const Settings *a, const Settings *b)
{
	if ((a->servers == NULL) != (b->servers == NULL))
		return false;
	if (a->servers != NULL
	    && !g_strv_equal((const char *const *) a->servers, (const char *const *) b->servers))
		return false;
	return g_strcmp0(a->trust_anchor, b->trust_anchor) == 0
	       && g_strcmp0(a->hosts, b->hosts) == 0 && a->timeout_us == b->timeout_us
	       && a->max_questions == b->max_questions;
}

/* --- libunbound ------------------------------------------------------------------------------- */

/* Options that every context gets. A server that was away is tried again soon. */
static const char *const options[][2] = {
	{ "do-not-query-localhost:", "no" }, { "outgoing-range:", "256" },
	{ "outgoing-num-tcp:", "16" },       { "infra-host-ttl:", "30" },
	{ "infra-keep-probing:", "yes" },    { "cache-max-negative-ttl:", "900" },
	{ "serve-expired:", "no" },
};

/* Names that libunbound answers by itself (RFC 6761 and others). Whoever names servers of his own
 * means them for these too. */
static const char *const own_zones[] = {
	"test.", "invalid.", "10.in-addr.arpa.", "168.192.in-addr.arpa.", "127.in-addr.arpa.",
};

static int
use_servers(struct ub_ctx *ctx, const Settings *settings)
{
	int failed = 0;

	if (settings->servers == NULL)
		return ub_ctx_resolvconf(ctx, NULL);
	for (size_t i = 0; settings->servers[i] != NULL && failed == 0; i++)
		failed = ub_ctx_set_fwd(ctx, settings->servers[i]);
	return failed;
}

/* After the first of these nothing else can be set any more. */
static int
give_up_own_zones(struct ub_ctx *ctx, const Settings *settings)
{
	int failed = 0;

	for (size_t i = 0; settings->servers != NULL && i < G_N_ELEMENTS(own_zones) && failed == 0;
	     i++)
		failed = ub_ctx_zone_add(ctx, own_zones[i], "nodefault");
	return failed;
}

static int
set_up(struct ub_ctx *ctx, const Settings *settings)
{
	int failed = ub_ctx_async(ctx, 1);

	(void) ub_ctx_debugout(ctx, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
		(void) ub_ctx_set_option(ctx, options[i][0], options[i][1]);
	if (failed == 0)
		failed = use_servers(ctx, settings);
	if (failed == 0 && settings->trust_anchor != NULL)
		failed = ub_ctx_add_ta_file(ctx, settings->trust_anchor);
	/* A machine may be without that file. */
	if (settings->hosts != NULL)
		(void) ub_ctx_hosts(ctx, settings->hosts);
	return failed == 0 ? give_up_own_zones(ctx, settings) : failed;
}

static struct ub_ctx *
open_context(const Settings *settings)
{
	struct ub_ctx *ctx = ub_ctx_create();
	int failed = ctx != NULL ? set_up(ctx, settings) : UB_NOMEM;

	if (failed == 0)
		return ctx;
	ph_log(PH_LOG_ERROR, "resolver-failed", "cannot ask the DNS; look at [resolver]",
	       PH_LOG_TEXT("error", ub_strerror(failed)), PH_LOG_END);
	ub_ctx_delete(ctx);
	return NULL;
}

/* --- answers ---------------------------------------------------------------------------------- */

static int64_t
now_us(void)
{
	struct timespec now = { 0, 0 };

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

static void
free_question(Question *question)
{
	ph_config_unref(question->config);
	g_free(question->name);
	g_free(question);
}

/* @question: (owned), and in no list. */
static void
answer(Question *question, PhResolverAnswer *what)
{
	what->size = sizeof *what;
	if (what->name == NULL)
		what->name = question->name;
	question->func(what, question->user_data);
	free_question(question);
}

static void
answer_status(Question *question, uint32_t status, const char *why)
{
	PhResolverAnswer what = { .status = status, .why = why };

	answer(question, &what);
}

static void
decode_records(const struct ub_result *result, GArray *records, GString *text, bool *is_cut_out)
{
	for (size_t i = 0; result->data[i] != NULL; i++) {
		int length = result->len[i];
		PhDnsRecord record = { .preference = 0 };

		if (records->len >= PH_RESOLVER_RECORDS_MAX || text->len > RECORD_OCTETS_MAX) {
			*is_cut_out = true;
			return;
		}
		if (length >= 0
		    && ph_dns_record_decode((uint32_t) result->qtype,
		                            PH_SLICE(result->data[i], (size_t) length), &record,
		                            text))
			g_array_append_val(records, record);
	}
}

/* The text has stopped growing: now it has an address. */
static void
place_texts(GArray *records, const GString *text)
{
	size_t at = 0;

	for (guint i = 0; i < records->len; i++) {
		PhDnsRecord *record = &g_array_index(records, PhDnsRecord, i);

		record->text.data = text->str + at;
		at += record->text.length + 1;
	}
}

static uint32_t
status_of(const struct ub_result *result, guint n_records)
{
	if (result->bogus)
		return PH_RESOLVER_BOGUS;
	if (result->rcode == RCODE_NAME_ERROR || result->nxdomain)
		return PH_RESOLVER_NO_NAME;
	if (result->rcode != 0)
		return PH_RESOLVER_FAILED;
	return n_records > 0 ? PH_RESOLVER_OK : PH_RESOLVER_NO_DATA;
}

/* libunbound writes the last dot. */
static char *
name_of(const struct ub_result *result)
{
	char *name =
		g_ascii_strdown(result->canonname != NULL ? result->canonname : result->qname, -1);
	size_t length = strlen(name);

	if (length > 1 && name[length - 1] == '.')
		name[length - 1] = '\0';
	return name;
}

static void
answer_result(Question *question, const struct ub_result *result)
{
	g_autoptr(GArray) records = g_array_new(FALSE, FALSE, sizeof(PhDnsRecord));
	g_autoptr(GString) text = g_string_new(NULL);
	g_autofree char *name = name_of(result);
	PhResolverAnswer what = {
		.rcode = (uint32_t) result->rcode,
		.ttl = result->ttl > 0 ? (uint32_t) result->ttl : 0,
		.is_secure = result->secure != 0,
		.name = name,
		.why = result->why_bogus,
	};

	if (result->havedata && !result->bogus)
		decode_records(result, records, text, &what.is_cut);
	place_texts(records, text);
	what.status = status_of(result, records->len);
	if (what.status == PH_RESOLVER_FAILED)
		what.why = "no name server gave a usable answer";
	what.records = (const PhDnsRecord *) (void *) records->data;
	what.n_records = records->len;
	answer(question, &what);
}

/* libunbound's callback, on our thread. */
static void
take_result(void *user_data, int failed, struct ub_result *result)
{
	Question *question = user_data;
	Resolver *resolver = question->resolver;

	ph_lock_take(&resolver->lock);
	g_queue_unlink(&resolver->questions, &question->link);
	ph_lock_drop(&resolver->lock);
	if (failed != 0 || result == NULL)
		answer_status(question, PH_RESOLVER_FAILED, ub_strerror(failed));
	else
		answer_result(question, result);
	ub_resolve_free(result);
}

/* --- the thread ------------------------------------------------------------------------------- */

/* The first question if its time is over; not in the list any more. */
static Question *
take_late(Resolver *resolver, int64_t now)
{
	Question *question = NULL;
	PH_LOCKED(&resolver->lock);

	if (resolver->questions.head == NULL)
		return NULL;
	question = resolver->questions.head->data;
	if (question->id != 0 && question->deadline_us > now)
		return NULL;
	g_queue_unlink(&resolver->questions, &question->link);
	return question;
}

/* Results are only passed on by this thread, so that none can come for what is cancelled here. */
static void
give_up(Resolver *resolver)
{
	int64_t now = now_us();
	Question *question = NULL;

	while ((question = take_late(resolver, now)) != NULL) {
		if (question->id != 0)
			(void) ub_cancel(resolver->ctx, question->id);
		if (question->status != 0)
			answer_status(question, question->status, question->why);
		else
			answer_status(question, PH_RESOLVER_TIMEOUT,
			              "no name server answered in time");
	}
}

/* How long nothing needs to be done; -1: for ever. */
static int
time_to_wait(Resolver *resolver, bool *is_over_out)
{
	const Question *first = NULL;
	int64_t left = 0;
	PH_LOCKED(&resolver->lock);

	*is_over_out = resolver->is_ending && resolver->questions.length == 0;
	if (resolver->questions.head == NULL)
		return -1;
	first = resolver->questions.head->data;
	left = first->id == 0 ? 0 : first->deadline_us - now_us();
	return left <= 0 ? 0 : (int) MIN(left / 1000 + 1, G_MAXINT32);
}

static void
free_resolver(Resolver *resolver)
{
	ub_ctx_delete(resolver->ctx);
	(void) close(resolver->poke_fd);
	clear_settings(&resolver->settings);
	ph_lock_clear(&resolver->lock);
	g_free(resolver);
}

static void *
work(void *user_data)
{
	Resolver *resolver = user_data;
	struct pollfd fds[] = {
		{ .fd = resolver->poke_fd, .events = POLLIN },
		{ .fd = resolver->ctx != NULL ? ub_fd(resolver->ctx) : -1, .events = POLLIN },
	};
	uint64_t pokes = 0;
	bool is_over = false;

	for (;;) {
		int timeout = time_to_wait(resolver, &is_over);

		if (is_over)
			break;
		(void) poll(fds, G_N_ELEMENTS(fds), timeout);
		(void) !read(resolver->poke_fd, &pokes, sizeof pokes);
		if (fds[1].revents != 0)
			(void) ub_process(resolver->ctx);
		give_up(resolver);
	}
	free_resolver(resolver);
	return NULL;
}

static void
poke(const Resolver *resolver)
{
	const uint64_t one = 1;

	(void) !write(resolver->poke_fd, &one, sizeof one);
}

static Resolver *
start(void)
{
	Resolver *resolver = g_new0(Resolver, 1);

	ph_lock_init(&resolver->lock);
	g_queue_init(&resolver->questions);
	resolver->settings = copy_settings(&wanted);
	resolver->ctx = open_context(&resolver->settings);
	resolver->poke_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	resolver->thread = g_thread_new("resolver", work, resolver);
	return resolver;
}

/* Returns: the thread to wait for (owned), or NULL. The caller holds the lock of `present`. */
static GThread *
let_go(void)
{
	Resolver *resolver = g_steal_pointer(&present);
	GThread *thread = NULL;
	PH_LOCKED(&resolver->lock);

	thread = resolver->thread;
	resolver->is_ending = true;
	poke(resolver);
	return thread;
}

void
ph_resolver_configure(const PhResolverParams *params)
{
	Settings settings = make_settings(params);
	PH_LOCKED(&present_lock);

	if (present != NULL && !are_equal(&settings, &wanted))
		g_thread_unref(let_go());
	clear_settings(&wanted);
	wanted = settings;
}

void
ph_resolver_stop(void)
{
	GThread *thread = NULL;

	ph_lock_take(&present_lock);
	if (present != NULL) {
		ph_lock_take(&present->lock);
		for (GList *link = present->questions.head; link != NULL; link = link->next)
			((Question *) link->data)->deadline_us = 0;
		ph_lock_drop(&present->lock);
		thread = let_go();
	}
	ph_lock_drop(&present_lock);
	if (thread != NULL)
		(void) g_thread_join(thread);
}

/* --- asking ----------------------------------------------------------------------------------- */

static const char *
refusal(const Resolver *resolver, const Question *question, uint32_t *status_out)
{
	if (!ph_dns_name_is_valid(question->name)) {
		*status_out = PH_RESOLVER_INVALID;
		return "that is no name of the DNS";
	}
	if (resolver->ctx == NULL) {
		*status_out = PH_RESOLVER_FAILED;
		return "the resolver could not be set up";
	}
	if (resolver->questions.length >= resolver->settings.max_questions) {
		*status_out = PH_RESOLVER_LIMIT;
		return "too many questions to the DNS are under way";
	}
	return NULL;
}

/* What cannot be asked stands first, with its answer, and is passed on by the thread. */
static void
put_aside(Resolver *resolver, Question *question)
{
	question->id = 0;
	g_queue_push_head_link(&resolver->questions, &question->link);
}

static void
put(Resolver *resolver, Question *question)
{
	int failed = 0;
	PH_LOCKED(&resolver->lock);

	question->resolver = resolver;
	question->why = refusal(resolver, question, &question->status);
	if (question->why == NULL) {
		question->deadline_us = now_us() + resolver->settings.timeout_us;
		failed = ub_resolve_async(resolver->ctx, question->name, (int) question->type,
		                          CLASS_IN, question, take_result, &question->id);
		if (failed != 0) {
			question->status = PH_RESOLVER_FAILED;
			question->why = ub_strerror(failed);
		}
	}
	if (question->why != NULL)
		put_aside(resolver, question);
	else
		g_queue_push_tail_link(&resolver->questions, &question->link);
	if (question->why != NULL || resolver->questions.length == 1)
		poke(resolver);
}

void
ph_resolver_ask(PhSection *section,
                const char *name,
                uint32_t type,
                PhResolverFunc func,
                void *user_data)
{
	Question *question = g_new0(Question, 1);

	if (section != NULL && section->config != NULL)
		question->config = ph_config_ref(section->config);
	question->name = g_strdup(name);
	question->type = type;
	question->func = func;
	question->user_data = user_data;
	question->link.data = question;
	PH_LOCKED(&present_lock);
	if (wanted.timeout_us == 0) {
		wanted.timeout_us = DEFAULT_TIMEOUT_US;
		wanted.max_questions = DEFAULT_MAX_QUESTIONS;
	}
	if (present == NULL)
		present = start();
	put(present, question);
}
