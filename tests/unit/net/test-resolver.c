/* test-resolver.c: questions to a name server of the test's own
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "base/lock.h"
#include "config/name-server.h"
#include "net/resolver.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- a name server ---------------------------------------------------------------------------- */

enum {
	MANY = 200,
	HEADER = 12,
	TTL = 60,
};

typedef struct {
	int fd;
	uint16_t port;
	GThread *thread;
} Server;

static void
put16(GByteArray *out, unsigned value)
{
	const uint8_t octets[] = { (uint8_t) (value >> 8), (uint8_t) value };

	g_byte_array_append(out, octets, sizeof octets);
}

static void
put_record(GByteArray *out, unsigned type, const void *data, size_t n)
{
	put16(out, 0xc000 | HEADER);
	put16(out, type);
	put16(out, 1);
	put16(out, 0);
	put16(out, TTL);
	put16(out, (unsigned) n);
	g_byte_array_append(out, data, (guint) n);
}

static char *
read_name(const uint8_t *query, size_t n, size_t *end_out)
{
	GString *name = g_string_new(NULL);
	size_t at = HEADER;

	while (at < n && query[at] != 0) {
		g_string_append_len(name, (const char *) query + at + 1, query[at]);
		g_string_append_c(name, '.');
		at += (size_t) query[at] + 1;
	}
	*end_out = at + 5;
	return g_string_free(name, FALSE);
}

/* Returns: the number of records; -1 for a name that there is not. */
static int
put_answer(GByteArray *out, const char *name, unsigned type)
{
	static const uint8_t v4[] = { 192, 0, 2, 7 };
	static const char mx[] = "\0\012\004MaiL\007example\003org";

	if (strcmp(name, "mx.example.") == 0 && type == PH_DNS_MX) {
		put_record(out, type, mx, sizeof mx);
		return 1;
	}
	if (strcmp(name, "null.example.") == 0 && type == PH_DNS_MX) {
		put_record(out, type, "\0\0\0", 3);
		return 1;
	}
	if (strcmp(name, "many.example.") == 0 && type == PH_DNS_A) {
		for (unsigned i = 0; i < MANY; i++) {
			const uint8_t address[] = { 10, 0, 0, (uint8_t) i };

			put_record(out, type, address, sizeof address);
		}
		return MANY;
	}
	if (strcmp(name, "a.example.") == 0 && type == PH_DNS_A) {
		put_record(out, type, v4, sizeof v4);
		return 1;
	}
	return strcmp(name, "a.example.") == 0 ? 0 : -1;
}

static void
respond(int fd, const uint8_t *query, size_t n, const struct sockaddr_in *from)
{
	size_t end = 0;
	g_autofree char *name = read_name(query, n, &end);
	g_autoptr(GByteArray) records = g_byte_array_new();
	g_autoptr(GByteArray) out = g_byte_array_new();
	int n_records = put_answer(records, name, (unsigned) query[end - 4] << 8 | query[end - 3]);

	if (strcmp(name, "silent.example.") == 0)
		return;
	g_byte_array_append(out, query, 2);
	put16(out, n_records < 0 ? 0x8583 : 0x8580);
	put16(out, 1);
	put16(out, (unsigned) MAX(n_records, 0));
	put16(out, 0);
	put16(out, 0);
	g_byte_array_append(out, query + HEADER, (guint) (end - HEADER));
	g_byte_array_append(out, records->data, records->len);
	(void) !sendto(fd, out->data, out->len, 0, (const struct sockaddr *) from, sizeof *from);
}

static gpointer
serve(gpointer user_data)
{
	const Server *server = user_data;
	uint8_t query[512];

	for (;;) {
		struct sockaddr_in from;
		socklen_t length = sizeof from;
		ssize_t n = recvfrom(server->fd, query, sizeof query, 0, (struct sockaddr *) &from,
		                     &length);

		if (n == 1)
			return NULL;
		if (n > HEADER)
			respond(server->fd, query, (size_t) n, &from);
	}
}

static void
start_server(Server *server, uint64_t timeout_us)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof address;
	g_autofree char *text = NULL;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server->fd = socket(AF_INET, SOCK_DGRAM, 0);
	g_assert_cmpint(bind(server->fd, (struct sockaddr *) &address, sizeof address), ==, 0);
	g_assert_cmpint(getsockname(server->fd, (struct sockaddr *) &address, &length), ==, 0);
	server->port = ntohs(address.sin_port);
	server->thread = g_thread_new("names", serve, server);
	text = g_strdup_printf("127.0.0.1:%u", server->port);
	ph_resolver_configure(&(PhResolverParams){
		.servers = (const char *const[]){ text, NULL },
		.timeout = { timeout_us },
	});
}

static void
stop_server(Server *server)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(server->port) };

	ph_resolver_stop();
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(void) !sendto(server->fd, "q", 1, 0, (struct sockaddr *) &address, sizeof address);
	g_thread_join(server->thread);
	(void) close(server->fd);
}

/* --- asking ----------------------------------------------------------------------------------- */

typedef struct {
	PhLock lock;
	PhSignal changed;
	GString *got; /* "STATUS name cut | preference text | ..." */
} Asked;

static void
take(const PhResolverAnswer *answer, void *user_data)
{
	Asked *asked = user_data;
	PH_LOCKED(&asked->lock);

	asked->got = g_string_new(NULL);
	g_string_append_printf(asked->got, "%u %s%s", answer->status, answer->name,
	                       answer->is_cut ? " cut" : "");
	for (size_t i = 0; answer->n_records <= 2 && i < answer->n_records; i++)
		g_string_append_printf(asked->got, " | %u %s", answer->records[i].preference,
		                       answer->records[i].text.data);
	if (answer->n_records > 2)
		g_string_append_printf(asked->got, " %zu records", answer->n_records);
	ph_signal_all(&asked->changed);
}

static void
expect(const char *name, uint32_t type, const char *wanted)
{
	Asked asked = { .got = NULL };

	ph_lock_init(&asked.lock);
	ph_signal_init(&asked.changed);
	ph_resolver_ask(NULL, name, type, take, &asked);
	ph_lock_take(&asked.lock);
	while (asked.got == NULL)
		ph_signal_wait(&asked.changed, &asked.lock);
	ph_lock_drop(&asked.lock);
	g_assert_cmpstr(asked.got->str, ==, wanted);
	g_string_free(asked.got, TRUE);
	ph_lock_clear(&asked.lock);
	ph_signal_clear(&asked.changed);
}

static void
test_answers(void)
{
	Server server = { .fd = -1 };

	start_server(&server, 5 * G_USEC_PER_SEC);
	expect("a.example", PH_DNS_A, "1 a.example | 0 192.0.2.7");
	expect("a.example.", PH_DNS_MX, "2 a.example");
	expect("mx.example", PH_DNS_MX, "1 mx.example | 10 mail.example.org");
	expect("null.example", PH_DNS_MX, "1 null.example | 0 ");
	expect("nobody.example", PH_DNS_A, "3 nobody.example");
	expect("many.example", PH_DNS_A, "1 many.example cut 100 records");
	expect("bad..example", PH_DNS_A, "4 bad..example");
	expect("", PH_DNS_A, "4 ");
	stop_server(&server);
}

static void
test_silence(void)
{
	Server server = { .fd = -1 };

	start_server(&server, G_USEC_PER_SEC / 5);
	expect("silent.example", PH_DNS_A, "6 silent.example");
	expect("a.example", PH_DNS_A, "1 a.example | 0 192.0.2.7");
	stop_server(&server);
}

/* --- records ---------------------------------------------------------------------------------- */

static char *
decode(uint32_t type, PhSlice data)
{
	g_autoptr(GString) text = g_string_new(NULL);
	PhDnsRecord record;

	if (!ph_dns_record_decode(type, data, &record, text))
		return g_strdup("malformed");
	g_assert_cmpuint(record.text.length + 1, ==, text->len);
	return g_strdup_printf("%u %u %u %s", record.preference, record.weight, record.port,
	                       text->str);
}

#define EXPECT_RECORD(type, octets, wanted)                                       \
	do {                                                                      \
		g_autofree char *got_ = decode((type), PH_SLICE_LITERAL(octets)); \
		g_assert_cmpstr(got_, ==, (wanted));                              \
	} while (0)

static void
test_records(void)
{
	EXPECT_RECORD(PH_DNS_A, "\300\0\2\1", "0 0 0 192.0.2.1");
	EXPECT_RECORD(PH_DNS_A, "\300\0\2", "malformed");
	EXPECT_RECORD(PH_DNS_AAAA, "\040\001\015\270\0\0\0\0\0\0\0\0\0\0\0\1", "0 0 0 2001:db8::1");
	EXPECT_RECORD(PH_DNS_PTR, "\001A\002bc\0", "0 0 0 a.bc");
	EXPECT_RECORD(PH_DNS_PTR, "\001A\002b.\0", "0 0 0 a.b\\046");
	EXPECT_RECORD(PH_DNS_PTR, "\001A\300\014", "malformed");
	EXPECT_RECORD(PH_DNS_PTR, "\001A", "malformed");
	EXPECT_RECORD(PH_DNS_PTR, "\001A\0trailing", "malformed");
	EXPECT_RECORD(PH_DNS_PTR, "", "malformed");
	EXPECT_RECORD(PH_DNS_MX, "\1\2\001a\0", "258 0 0 a");
	EXPECT_RECORD(PH_DNS_MX, "\1\2", "malformed");
	EXPECT_RECORD(PH_DNS_SRV, "\0\1\0\2\0\031\001a\0", "1 2 25 a");
	EXPECT_RECORD(PH_DNS_TXT, "\003abc\001d", "0 0 0 abcd");
	EXPECT_RECORD(PH_DNS_TXT, "\011abc", "malformed");
	EXPECT_RECORD(PH_DNS_TLSA, "\3\1\1x", "0 0 0 ");
}

static void
expect_reverse(const char *address, const char *zone, const char *wanted)
{
	g_autoptr(GString) out = g_string_new(NULL);

	g_assert_cmpint(ph_resolver_reverse_name(address, zone, out), ==, wanted != NULL);
	g_assert_cmpstr(out->str, ==, wanted != NULL ? wanted : "");
}

static void
test_reverse(void)
{
	expect_reverse("192.0.2.1", NULL, "1.2.0.192.in-addr.arpa");
	expect_reverse("192.0.2.1", "bl.example", "1.2.0.192.bl.example");
	expect_reverse("2001:db8::1", NULL,
	               "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
	expect_reverse("unix", NULL, NULL);
}

static void
expect_server(const char *text, const char *wanted)
{
	g_autofree char *got = ph_name_server_parse(text);

	g_assert_cmpstr(got, ==, wanted);
}

static void
test_servers(void)
{
	expect_server("127.0.0.1", "127.0.0.1@53");
	expect_server("127.0.0.1:5353", "127.0.0.1@5353");
	expect_server("::1", "::1@53");
	expect_server("[::1]:54", "::1@54");
	expect_server("[::1]", "::1@53");
	expect_server("[::1]54", NULL);
	expect_server("127.0.0.1:0", NULL);
	expect_server("127.0.0.1:65536", NULL);
	expect_server("ns.example.org", NULL);
	expect_server("", NULL);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/net/resolver/answers-come-decoded-and-bounded", test_answers);
	g_test_add_func("/net/resolver/silence-ends-in-time", test_silence);
	g_test_add_func("/net/resolver/records-that-are-malformed-are-seen", test_records);
	g_test_add_func("/net/resolver/addresses-have-reverse-names", test_reverse);
	g_test_add_func("/net/resolver/servers-are-addresses", test_servers);
	return g_test_run();
}
