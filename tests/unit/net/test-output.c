/* test-output.c: what is queued arrives once and in order, whatever the stream takes at a time
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "net/output.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
	PhOutput output;
	PhScratch *scratch;
	GByteArray *expected;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
	ph_output_init(&fixture->output);
	fixture->scratch = ph_scratch_new();
	fixture->expected = g_byte_array_new();
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
	ph_output_clear(&fixture->output);
	g_assert_cmpuint(ph_output_total(), ==, 0);
	ph_scratch_free(fixture->scratch);
	g_byte_array_unref(fixture->expected);
}

static char *
make_octets(size_t n)
{
	char *octets = g_malloc(n + 1);

	for (size_t i = 0; i < n; i++)
		octets[i] = (char) g_test_rand_int_range(0, 256);
	return octets;
}

static PhContent *
make_file(const char *octets, size_t n)
{
	g_autofree char *name = NULL;
	int fd = g_file_open_tmp("posthorn-XXXXXX", &name, NULL);

	g_assert_cmpint(write(fd, octets, n), ==, (ssize_t) n);
	unlink(name);
	return ph_content_new_file(fd, 0, n);
}

static void
queue_something(Fixture *fixture)
{
	size_t n = (size_t) g_test_rand_int_range(0, 60000);
	g_autofree char *octets = NULL;
	g_autoptr(PhContent) content = NULL;
	size_t from = 0;

	if (g_test_rand_int_range(0, 2) == 0)
		n %= 100;
	from = n / 3;
	octets = make_octets(n);
	switch (g_test_rand_int_range(0, 3)) {
	case 0:
		ph_output_write(&fixture->output, fixture->scratch, PH_SLICE(octets, n));
		from = 0;
		break;
	case 1:
		content = ph_content_new_copy(PH_SLICE(octets, n));
		break;
	default:
		content = make_file(octets, n);
		break;
	}
	if (content != NULL)
		ph_output_write_content(&fixture->output, fixture->scratch, content, from,
		                        UINT64_MAX);
	g_byte_array_append(fixture->expected, (const guint8 *) octets + from, (guint) (n - from));
}

static void
test_in_order(Fixture *fixture, gconstpointer data)
{
	PhStream *memory = ph_stream_new_memory();
	PhFlush result = PH_FLUSH_DONE;

	for (int round = 0; round < 60; round++) {
		size_t sent = 0;

		for (int i = g_test_rand_int_range(0, 5); i > 0; i--)
			queue_something(fixture);
		ph_stream_memory_limit(memory, (size_t) g_test_rand_int_range(0, 90000));
		result = ph_output_flush(&fixture->output, fixture->scratch, memory, &sent, NULL);
		g_assert_cmpint(result, !=, PH_FLUSH_FAILED);
		g_assert_cmpuint(fixture->scratch->out_used, ==, 0);
	}
	ph_stream_memory_limit(memory, SIZE_MAX);
	do {
		size_t sent = 0;

		result = ph_output_flush(&fixture->output, fixture->scratch, memory, &sent, NULL);
		g_assert_cmpuint(sent, <=, PH_OUTPUT_TURN + 64 * 1024 * 32);
	} while (result == PH_FLUSH_TURN);
	g_assert_cmpint(result, ==, PH_FLUSH_DONE);
	g_assert_cmpuint(ph_output_pending(&fixture->output, fixture->scratch), ==, 0);
	g_assert_cmpmem(ph_stream_memory_output(memory)->data, ph_stream_memory_output(memory)->len,
	                fixture->expected->data, fixture->expected->len);
	memory->table->free(memory);
}

typedef struct {
	int fd;
	GByteArray *got;
} Reader;

static gpointer
read_all(gpointer data)
{
	Reader *reader = data;
	guint8 buffer[10000];
	ssize_t n = 0;

	while ((n = read(reader->fd, buffer, sizeof buffer)) > 0)
		g_byte_array_append(reader->got, buffer, (guint) n);
	return NULL;
}

/* Over a socket, where large files go by sendfile. */
static void
test_sendfile(Fixture *fixture, gconstpointer data)
{
	Reader reader = { .got = g_byte_array_new() };
	PhStream plain;
	GThread *thread = NULL;
	int fds[2];

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
	reader.fd = fds[1];
	ph_stream_init_plain(&plain, fds[0]);
	for (int i = 0; i < 30; i++)
		queue_something(fixture);
	thread = g_thread_new("reader", read_all, &reader);
	while (ph_output_pending(&fixture->output, fixture->scratch) > 0) {
		size_t sent = 0;
		g_autoptr(GError) error = NULL;
		PhFlush result =
			ph_output_flush(&fixture->output, fixture->scratch, &plain, &sent, &error);

		g_assert_no_error(error);
		g_assert_cmpint(result, !=, PH_FLUSH_FAILED);
	}
	close(fds[0]);
	g_thread_join(thread);
	g_assert_cmpmem(reader.got->data, reader.got->len, fixture->expected->data,
	                fixture->expected->len);
	g_byte_array_unref(reader.got);
	close(fds[1]);
}

static void
test_bounds(Fixture *fixture, gconstpointer data)
{
	g_autofree char *octets = make_octets(100000);
	g_autoptr(PhContent) content = make_file(octets, 100000);
	PhStream *memory = ph_stream_new_memory();
	size_t sent = 0;

	for (int i = 0; i < PH_OUTPUT_MAX_CONTENTS; i++) {
		g_assert_false(fixture->output.n_contents >= PH_OUTPUT_MAX_CONTENTS);
		ph_output_write_content(&fixture->output, fixture->scratch, content, 0, 10000);
	}
	g_assert_true(ph_output_full(&fixture->output, fixture->scratch));
	ph_output_clear(&fixture->output);
	g_assert_false(ph_output_full(&fixture->output, fixture->scratch));
	for (int i = 0; i < 200; i++)
		ph_output_write(&fixture->output, fixture->scratch, PH_SLICE(octets, 100000));
	g_assert_cmpuint(ph_output_total(), <=, PH_OUTPUT_MAX_OCTETS);
	g_assert_cmpint(ph_output_flush(&fixture->output, fixture->scratch, memory, &sent, NULL),
	                ==, PH_FLUSH_FAILED);
	memory->table->free(memory);
}

#define ADD(name, func) g_test_add("/net/output/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("everything-arrives-in-order", test_in_order);
	ADD("files-arrive-over-sockets", test_sendfile);
	ADD("output-is-bounded", test_bounds);
	return g_test_run();
}
