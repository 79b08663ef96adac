/* cmd-send.c: submits a message from standard input; also the program called as `sendmail`
 *
 * The server is found by asking the listeners of the config in turn: the one that greets with 220
 * takes the message. So this file knows no plugin's name.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/address.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "cli/commands.h"
#include "cli/compose.h"
#include "cli/submit.h"
#include "config/keyfile.h"
#include "config/listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	INPUT_MAX = 1024 * 1024 * 1024,
	RECIPIENTS_MAX = 10000,
	SYSEXIT_USAGE = 64,
	SYSEXIT_NO_USER = 67,
	SYSEXIT_UNAVAILABLE = 69,
	SYSEXIT_IO = 74,
	SYSEXIT_TEMPORARY = 75
};

/* Letter: what was asked for; strings are borrowed. */
typedef struct {
	const char *config;
	const char *server; /* (nullable) "127.0.0.1:25" */
	const char *sender; /* (nullable) */
	const char *full_name;
	const char *notify; /* (nullable) "never", "delay,failure": of sendmail */
	const char *ret;    /* (nullable) */
	const char *envid;  /* (nullable) */
	bool take_recipients;
	bool dot_ends;
	GPtrArray *recipients; /* of owned strings */
} Letter;

/* --- where to ------------------------------------------------------------------------------- */

typedef struct {
	PhListenAddress *list;
	size_t n;
	char *hostname;
	GString *tried; /* their names, for people */
	char *fault;    /* (nullable) why the config says nothing */
} Servers;

static void
clear_servers(Servers *servers)
{
	g_free(servers->list);
	g_free(servers->hostname);
	g_free(servers->fault);
	if (servers->tried != NULL)
		g_string_free(servers->tried, TRUE);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Servers, clear_servers)

/* Somebody who listens everywhere is reached on loopback. */
static void
add_server(Servers *servers, const char *text)
{
	g_autoptr(GString) problem = g_string_new(NULL);
	PhListenAddress address;
	struct sockaddr_in *v4 = (struct sockaddr_in *) &address.socket;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) &address.socket;

	if (!ph_listen_parse(text, &address, problem) || address.socket.ss_family == AF_UNSPEC)
		return;
	if (address.socket.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr)) {
		uint16_t port = v6->sin6_port;

		memset(&address.socket, 0, sizeof address.socket);
		v4->sin_family = AF_INET;
		v4->sin_port = port;
		address.length = sizeof *v4;
	}
	if (address.socket.ss_family == AF_INET && v4->sin_addr.s_addr == htonl(INADDR_ANY))
		v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	servers->list = g_renew(PhListenAddress, servers->list, servers->n + 1);
	servers->list[servers->n++] = address;
	if (servers->tried == NULL)
		servers->tried = g_string_new(NULL);
	g_string_append_printf(servers->tried, "%s%s", servers->tried->len > 0 ? ", " : "", text);
}

static void
add_listener(Servers *servers, const PhKeyfileSection *section)
{
	const PhKeyfileKey *tls = ph_keyfile_key(section, "tls");
	const PhKeyfileKey *service = ph_keyfile_key(section, "service");
	const PhKeyfileKey *address = ph_keyfile_key(section, "address");
	g_auto(GStrv) words = g_strsplit(address != NULL ? address->value : "", ",", -1);

	/* Those are for users who log in. */
	if ((tls != NULL && strcmp(tls->value, "implicit") == 0)
	    || (service != NULL && strcmp(service->value, "submission") == 0))
		return;
	for (size_t i = 0; words[i] != NULL; i++)
		add_server(servers, g_strstrip(words[i]));
}

/* The listeners of the config, or the usual port when nobody but the server may read it. */
static void
find_servers(const Letter *letter, Servers *servers)
{
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new(letter->config);
	g_autoptr(PhKeyfile) keyfile = ph_keyfile_read(letter->config, mistakes);

	for (guint i = 0; keyfile != NULL && i < keyfile->sections->len; i++) {
		const PhKeyfileSection *section = keyfile->sections->pdata[i];
		const PhKeyfileKey *name = ph_keyfile_key(section, "hostname");

		if (strcmp(section->kind, "server") == 0 && name != NULL)
			servers->hostname = g_strdup(name->value);
		if (strcmp(section->kind, "listener") == 0 && letter->server == NULL)
			add_listener(servers, section);
	}
	if (keyfile == NULL && letter->server == NULL && ph_mistakes_get(mistakes, 0) != NULL)
		servers->fault = g_strdup_printf("; %s: %s", letter->config,
		                                 ph_mistakes_get(mistakes, 0)->text);
	if (letter->server != NULL)
		add_server(servers, letter->server);
	else if (servers->n == 0)
		add_server(servers, "127.0.0.1:25");
	if (servers->hostname == NULL)
		servers->hostname = g_strdup(g_get_host_name());
}

/* Returns: (owned) a line without its end. */
static char *
nobody_answers(const Servers *servers)
{
	return g_strdup_printf("no server answers at %s; is it running?%s",
	                       servers->tried != NULL ? servers->tried->str : "that address",
	                       servers->fault != NULL ? servers->fault : "");
}

/* --- what ----------------------------------------------------------------------------------- */

static GString *
read_input(GError **error)
{
	g_autoptr(GString) input = g_string_new(NULL);
	char buffer[65536];
	ssize_t n = 0;

	while ((n = read(STDIN_FILENO, buffer, sizeof buffer)) > 0) {
		if (input->len > INPUT_MAX) {
			g_set_error(error, PH_ERROR, PH_ERROR_TOO_LARGE,
			            "the message is larger than 1 GB");
			return NULL;
		}
		g_string_append_len(input, buffer, n);
	}
	if (n == 0)
		return g_steal_pointer(&input);
	g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "cannot read standard input");
	return NULL;
}

/* An address with the server's domain when it has none. Returns: (owned) NULL for nonsense. */
static char *
complete_address(const char *text, const char *hostname)
{
	const uint32_t flags = PH_ADDRESS_ALLOW_UTF8;
	g_autofree char *full =
		strchr(text, '@') != NULL ? g_strdup(text) : g_strconcat(text, "@", hostname, NULL);
	PhAddress address;
	size_t length = strlen(full);

	if (length > 2 && full[0] == '<' && full[length - 1] == '>') {
		full[length - 1] = '\0';
		return complete_address(full + 1, hostname);
	}
	if (ph_address_parse_mailbox(ph_slice(full), flags, &address) != PH_ADDRESS_OK)
		return NULL;
	return ph_address_dup(&address);
}

static char *
default_sender(const char *hostname)
{
	const struct passwd *user = getpwuid(getuid());

	return g_strconcat(user != NULL ? user->pw_name : "root", "@", hostname, NULL);
}

/* Completes every recipient; NULL with an error that names the bad one. */
static GPtrArray *
complete_recipients(const GPtrArray *given, const char *hostname, GError **error)
{
	g_autoptr(GPtrArray) complete = g_ptr_array_new_with_free_func(g_free);

	if (given->len == 0 || given->len > RECIPIENTS_MAX) {
		g_set_error(error, PH_ERROR, PH_ERROR_INVALID, "%s",
		            given->len == 0 ? "no recipient is given"
		                            : "there are too many recipients");
		return NULL;
	}
	for (guint i = 0; i < given->len; i++) {
		char *address = complete_address(given->pdata[i], hostname);

		if (address == NULL) {
			g_set_error(error, PH_ERROR, PH_ERROR_INVALID, "'%s' is not an address",
			            (const char *) given->pdata[i]);
			return NULL;
		}
		g_ptr_array_add(complete, address);
	}
	return g_steal_pointer(&complete);
}

/* --- sending -------------------------------------------------------------------------------- */

static PhSubmitResult
submit_to_any(const Servers *servers, const PhSubmission *submission)
{
	PhSubmitResult result = PH_SUBMIT_LOST;
	g_autoptr(GString) problems = g_string_new(NULL);
	g_autofree char *told = nobody_answers(servers);

	for (size_t i = 0; i < servers->n; i++) {
		const PhListenAddress *address = &servers->list[i];

		g_string_truncate(problems, 0);
		result = ph_submit((const struct sockaddr *) &address->socket, address->length,
		                   submission, problems);
		if (result != PH_SUBMIT_NOT_SMTP && (result != PH_SUBMIT_LOST || problems->len > 0))
			break;
	}
	if (problems->len > 0)
		fprintf(stderr, "%s", problems->str);
	else if (result == PH_SUBMIT_LOST || result == PH_SUBMIT_NOT_SMTP)
		fprintf(stderr, "posthorn: %s\n", told);
	return result;
}

static int
status_of(PhSubmitResult result)
{
	switch (result) {
	case PH_SUBMIT_DONE:
		return PH_EXIT_OK;
	case PH_SUBMIT_PARTLY:
		return SYSEXIT_NO_USER;
	case PH_SUBMIT_REFUSED:
		return SYSEXIT_UNAVAILABLE;
	case PH_SUBMIT_LATER:
	case PH_SUBMIT_NOT_SMTP:
	case PH_SUBMIT_LOST:
	default:
		return SYSEXIT_TEMPORARY;
	}
}

static int
complain(const GError *error)
{
	fprintf(stderr, "posthorn: %s\n", error->message);
	if (g_error_matches(error, PH_ERROR, PH_ERROR_TEMPORARY))
		return SYSEXIT_IO;
	return SYSEXIT_USAGE;
}

/* Returns: an exit status of sysexits. */
static int
send_letter(Letter *letter)
{
	g_auto(Servers) servers = { .list = NULL };
	g_autoptr(GString) message = g_string_new(NULL);
	g_autoptr(GString) input = NULL;
	g_autoptr(GPtrArray) recipients = NULL;
	g_autofree char *sender = NULL;
	g_autoptr(GError) error = NULL;
	PhCompose compose = { .full_name = letter->full_name };
	PhSubmission submission = { .sender = NULL };

	find_servers(letter, &servers);
	sender = letter->sender != NULL ? g_strdup(letter->sender)
	                                : default_sender(servers.hostname);
	input = read_input(&error);
	if (input == NULL)
		return complain(error);
	compose.sender = sender;
	compose.hostname = servers.hostname;
	compose.take_recipients = letter->take_recipients;
	compose.dot_ends = letter->dot_ends;
	ph_compose(PH_SLICE(input->str, input->len), &compose, message, letter->recipients);
	recipients = complete_recipients(letter->recipients, servers.hostname, &error);
	if (recipients == NULL)
		return complain(error);
	submission.hostname = servers.hostname;
	submission.sender = strcmp(sender, "<>") == 0 ? "" : sender;
	submission.recipients = (const char *const *) recipients->pdata;
	submission.n_recipients = recipients->len;
	submission.message = PH_SLICE(message->str, message->len);
	submission.notify = letter->notify;
	submission.ret = letter->ret;
	submission.envid = letter->envid;
	return status_of(submit_to_any(&servers, &submission));
}

/* `sendmail -bs`. Returns: an exit status of sysexits. */
static int
speak(Letter *letter)
{
	g_auto(Servers) servers = { .list = NULL };
	g_autofree char *told = NULL;

	find_servers(letter, &servers);
	for (size_t i = 0; i < servers.n; i++) {
		const PhListenAddress *address = &servers.list[i];

		if (ph_submit_pass((const struct sockaddr *) &address->socket, address->length,
		                   STDIN_FILENO, STDOUT_FILENO)
		    == PH_SUBMIT_DONE)
			return PH_EXIT_OK;
	}
	told = nobody_answers(&servers);
	printf("421 4.3.0 %s\r\n", told);
	return SYSEXIT_TEMPORARY;
}

/* --- the two command lines ------------------------------------------------------------------ */

static int
run(const PhArguments *arguments)
{
	g_autoptr(GPtrArray) recipients = g_ptr_array_new_with_free_func(g_free);
	Letter letter = {
		.config = ph_arguments_config(arguments),
		.server = ph_arguments_get(arguments, "server"),
		.sender = ph_arguments_get(arguments, "from"),
		.full_name = ph_arguments_get(arguments, "name"),
		.take_recipients = ph_arguments_has(arguments, "take-recipients"),
		.recipients = recipients,
	};
	const char *const *rest = ph_arguments_rest(arguments);
	int status = 0;

	for (size_t i = 0; rest[i] != NULL; i++)
		g_ptr_array_add(recipients, g_strdup(rest[i]));
	status = send_letter(&letter);
	if (status == SYSEXIT_TEMPORARY || status == PH_EXIT_OK)
		return status;
	return status == SYSEXIT_USAGE ? PH_EXIT_USAGE : PH_EXIT_FAILED;
}

static const PhCommandOption options[] = {
	PH_COMMAND_CONFIG,
	{ "from", 'f', "ADDRESS", "the sender, for bounces; \"<>\" for none" },
	{ "name", 'F', "NAME", "the sender's full name, for a missing From field" },
	{ "take-recipients", 't', NULL, "send to the addresses of To, Cc and Bcc" },
	{ "server", 's', "ADDRESS", "IP:PORT or unix:/path instead of the config's listeners" },
	PH_COMMAND_END,
};

const PhCommand ph_command_send = {
	.name = "send",
	.synopsis = "[RECIPIENT...]",
	.summary = "Send a message from standard input",
	.details = "The message is handed to the running server by SMTP. Missing Date, From and "
		   "Message-ID fields\nare added, line ends are made right. Called as `sendmail` "
		   "the program understands the options\nof that one.",
	.options = options,
	.max_rest = RECIPIENTS_MAX,
	.run = run,
};

/* Options of sendmail(8) that take a value, in the same word or the next. */
static const char with_value[] = "fFrBCDdhLNopqRVXO";

typedef struct {
	Letter letter;
	bool has_mode; /* -bp and others that we do not have */
	bool speaks;   /* -bs: SMTP on standard input and output */
	bool ignore_dots;
	bool runs_queue; /* -q: the server does that by itself */
} SendmailLine;

static void
take_mode(SendmailLine *line, char mode)
{
	line->speaks |= mode == 's';
	line->has_mode |= mode != 'm' && mode != 's';
}

static void
take_sendmail_option(SendmailLine *line, char letter, const char *value)
{
	switch (letter) {
	case 'f':
	case 'r':
		line->letter.sender = value;
		break;
	case 'F':
		line->letter.full_name = value;
		break;
	case 'C':
		line->letter.config = value;
		break;
	case 't':
		line->letter.take_recipients = true;
		break;
	case 'i':
		line->ignore_dots = true;
		break;
	case 'o':
		line->ignore_dots |= value[0] == 'i';
		break;
	case 'b':
		take_mode(line, value[0]);
		break;
	case 'q':
		line->runs_queue = true;
		break;
	case 'N':
		line->letter.notify = value;
		break;
	case 'R':
		line->letter.ret = value;
		break;
	case 'V':
		line->letter.envid = value;
		break;
	default:
		break;
	}
}

/* Takes the word at argv[at]. Returns: how many words were used; 0: a value is missing. */
static int
take_sendmail_word(SendmailLine *line, int argc, char **argv, int at)
{
	const char *word = argv[at];
	bool joined = word[2] != '\0';

	if (word[1] == 'b' || strchr("odqB", word[1]) != NULL) {
		take_sendmail_option(line, word[1], word + 2);
		return 1;
	}
	if (strchr(with_value, word[1]) == NULL) {
		for (const char *p = word + 1; *p != '\0'; p++)
			take_sendmail_option(line, *p, "");
		return 1;
	}
	if (!joined && at + 1 >= argc)
		return 0;
	take_sendmail_option(line, word[1], joined ? word + 2 : argv[at + 1]);
	return joined ? 1 : 2;
}

int
ph_sendmail_main(int argc, char **argv)
{
	g_autoptr(GPtrArray) recipients = g_ptr_array_new_with_free_func(g_free);
	SendmailLine line = { .letter = {
				      .config = PH_SYSCONF_DIR "/posthorn/posthorn.conf",
				      .recipients = recipients,
			      } };
	int at = 1;

	while (at < argc && argv[at][0] == '-' && argv[at][1] != '\0') {
		int used = 0;

		if (strcmp(argv[at], "--") == 0) {
			at++;
			break;
		}
		used = take_sendmail_word(&line, argc, argv, at);
		if (used == 0) {
			fprintf(stderr, "sendmail: a value is missing after '%s'\n", argv[at]);
			return SYSEXIT_USAGE;
		}
		at += used;
	}
	if (line.has_mode) {
		fprintf(stderr, "sendmail: only -bm, sending a message, and -bs are known here\n");
		return SYSEXIT_USAGE;
	}
	if (line.speaks)
		return speak(&line.letter);
	for (; at < argc; at++)
		g_ptr_array_add(recipients, g_strdup(argv[at]));
	if (line.runs_queue && recipients->len == 0 && !line.letter.take_recipients)
		return PH_EXIT_OK;
	line.letter.dot_ends = !line.ignore_dots;
	return send_letter(&line.letter);
}
