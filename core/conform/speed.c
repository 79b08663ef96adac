/* speed.c: figures of a store, checkpoints included; asked for with --speed
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

enum {
	ACCOUNTS = 10,
	SECOND_US = 1000000,
};

static double
seconds_since(uint64_t began)
{
	return (double) MAX(ph_kit_now_us() - began, 1) / SECOND_US;
}

typedef struct {
	const char *who;
	uint32_t n;
} Load;

static void *
append_one_by_one(void *data)
{
	const Load *load = data;
	g_auto(PhKitAccount) a = { .handle = NULL };

	ph_kit_open(&a, load->who);
	for (uint32_t i = 0; i < load->n; i++)
		(void) ph_kit_append(&a, &a.inbox, PH_SLICE_EMPTY);
	return NULL;
}

static void
speed_append(void)
{
	uint32_t n = ph_kit_scaled(20000, 100);
	Load one = { "alone", n };
	Load loads[ACCOUNTS];
	GThread *threads[ACCOUNTS];
	uint64_t began = ph_kit_now_us();

	(void) append_one_by_one(&one);
	ph_kit_note("one account: %.0f durable appends/s", (double) n / seconds_since(began));
	began = ph_kit_now_us();
	for (size_t i = 0; i < ACCOUNTS; i++) {
		loads[i] = (Load){ g_strdup_printf("a%u", (unsigned) i), n / ACCOUNTS };
		threads[i] = g_thread_new("append", append_one_by_one, &loads[i]);
	}
	for (size_t i = 0; i < ACCOUNTS; i++)
		(void) g_thread_join(threads[i]);
	ph_kit_note("ten accounts: %.0f/s", (double) n / seconds_since(began));
	for (size_t i = 0; i < ACCOUNTS; i++)
		g_free((char *) (uintptr_t) loads[i].who);
}

static void
speed_whole(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	uint32_t n = ph_kit_scaled(100000, 1000);
	uint64_t began = 0;
	PhMailboxId target;

	ph_kit_open(&a, "whole");
	ph_kit_create(&a, "target", &target);
	began = ph_kit_now_us();
	ph_kit_fill(&a, &a.inbox, n);
	ph_kit_note("%u messages: batches %.0f/s", n, (double) n / seconds_since(began));
	began = ph_kit_now_us();
	ph_kit_reading_free(ph_kit_read(&a, &a.inbox, 0, NULL, PH_FIELD_FLAGS));
	ph_kit_note("changes of all %.1f ms", seconds_since(began) * 1000);
	began = ph_kit_now_us();
	(void) ph_kit_set_flags(&a, &a.inbox, "1:4294967295", PH_FLAGS_ADD, PH_FLAG_SEEN, NULL);
	ph_kit_note("flags of all %.1f ms", seconds_since(began) * 1000);
	began = ph_kit_now_us();
	(void) ph_kit_transfer(&a, PH_OP_COPY, &a.inbox, "1:4294967295", &target);
	ph_kit_note("copy of all %.1f ms", seconds_since(began) * 1000);
	began = ph_kit_now_us();
	(void) ph_kit_expunge(&a, &a.inbox, "1:4294967295");
	ph_kit_note("expunge of all %.1f ms", seconds_since(began) * 1000);
}

static void
speed_cold(void)
{
	uint32_t n = ph_kit_scaled(1000, 20);
	uint64_t began = ph_kit_now_us();

	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < n; i++) {
			g_autofree char *who = g_strdup_printf("cold%u", i);
			g_auto(PhKitAccount) a = { .handle = NULL };

			ph_kit_open(&a, who);
			(void) ph_kit_append(&a, &a.inbox, PH_SLICE_EMPTY);
		}
		ph_kit_note("%s accounts: %.0f opened, appended to and closed/s",
		            round == 0 ? "new" : "cold", (double) n / seconds_since(began));
		began = ph_kit_now_us();
	}
}

const PhConformRule ph_conform_speed[] = {
	{ "speed-append", "figures", "durable appends, one at a time", speed_append, true },
	{ "speed-whole", "figures", "a mailbox of 100,000 times scale", speed_whole, true },
	{ "speed-cold", "figures", "accounts that nobody has open", speed_cold, true },
	{ NULL },
};
