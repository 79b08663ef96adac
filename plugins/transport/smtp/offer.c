/* offer.c: a delivery into jobs, one for each destination
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "offer.h"

#include <posthorn/slice.h>

#include <string.h>

void
offer_destroy(void *instance)
{
	relay_close(instance);
}

/* The domain begins behind the last '@', unless that stands inside an address literal. Returns:
 * (owned) in lower case. */
static char *
domain_of(const char *address)
{
	const char *literal = g_strrstr(address, "@[");
	const char *at =
		g_str_has_suffix(address, "]") && literal != NULL ? literal : strrchr(address, '@');

	return g_ascii_strdown(at != NULL ? at + 1 : "", -1);
}

size_t
offer_destination(void *instance, const char *address, char *buffer, size_t size)
{
	g_autofree char *domain = domain_of(address);
	g_autoptr(GString) key = g_string_new(NULL);

	relay_key(instance, domain, key);
	return g_strlcpy(buffer, key->str, size);
}

/* Gathering: recipients of one destination. */
typedef struct {
	char *domain;
	GArray *indexes; /* of uint32_t */
} Gathering;

static void
free_gathering(gpointer pointer)
{
	Gathering *gathering = pointer;

	g_free(gathering->domain);
	g_array_unref(gathering->indexes);
	g_free(gathering);
}

static Job *
make_job(PhDelivery *delivery, const GArray *indexes, guint from, guint n)
{
	Job *job = g_malloc0(sizeof *job + n * sizeof job->recipients[0]);

	job->delivery = delivery;
	job->requires_tls = ph_mail_parameter(ph_delivery_mail(delivery), "REQUIRETLS") != NULL;
	job->n_recipients = n;
	job->n_left = n;
	for (guint i = 0; i < n; i++)
		job->recipients[i].index = g_array_index(indexes, uint32_t, from + i);
	return job;
}

/* By the key of the destination. Returns: (owned) */
static GHashTable *
gather(const Relay *relay, PhDelivery *delivery)
{
	GHashTable *all = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, free_gathering);
	size_t n = ph_delivery_n_recipients(delivery);

	for (uint32_t i = 0; i < n; i++) {
		g_autofree char *domain = domain_of(ph_delivery_recipient(delivery, i));
		GString *key = g_string_new(NULL);
		Gathering *gathering = NULL;

		relay_key(relay, domain, key);
		gathering = g_hash_table_lookup(all, key->str);
		if (gathering == NULL) {
			gathering = g_new0(Gathering, 1);
			gathering->domain = g_steal_pointer(&domain);
			gathering->indexes = g_array_new(FALSE, FALSE, sizeof(uint32_t));
			g_hash_table_insert(all, g_string_free(key, FALSE), gathering);
		} else {
			g_string_free(key, TRUE);
		}
		g_array_append_val(gathering->indexes, i);
	}
	return all;
}

/* Only when the last job is handed over may the delivery end. */
void
offer_begin(void *instance, PhDelivery *delivery)
{
	Relay *relay = instance;
	g_autoptr(GHashTable) all = gather(relay, delivery);
	guint most = (guint) relay->settings->max_recipients;
	g_autoptr(GPtrArray) jobs = g_ptr_array_new();
	g_autoptr(GPtrArray) domains = g_ptr_array_new();
	GHashTableIter iter;
	gpointer value = NULL;

	g_hash_table_iter_init(&iter, all);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const Gathering *gathering = value;

		for (guint at = 0; at < gathering->indexes->len; at += most) {
			guint n = MIN(most, gathering->indexes->len - at);

			g_ptr_array_add(jobs, make_job(delivery, gathering->indexes, at, n));
			g_ptr_array_add(domains, gathering->domain);
		}
	}
	for (guint i = 0; i < jobs->len; i++)
		pool_submit(relay, domains->pdata[i], jobs->pdata[i]);
}
