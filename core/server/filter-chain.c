/* filter-chain.c: the filters that a listener or a route names
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/filter-chain.h"

#include "config/config.h"

enum {
	longest_s = 3600
};

PhFilterChain *
ph_filter_chain_new(PhSection *const *sections)
{
	PhFilterChain *chain = NULL;
	size_t n = 0;

	while (sections != NULL && sections[n] != NULL)
		n++;
	chain = g_malloc0(sizeof *chain + n * sizeof chain->rows[0]);
	chain->n = n;
	for (size_t i = 0; i < n; i++) {
		const PhPluginSettings *settings = ph_section_plugin(sections[i]);
		PhFilterRow *row = &chain->rows[i];

		*row = (PhFilterRow){ .section = sections[i],
			              .table = ph_section_table(sections[i]),
			              .instance = ph_section_instance(sections[i]),
			              .timeout_us = settings->timeout.us,
			              .on_failure = settings->on_failure,
			              .quarantine = settings->quarantine };
		row->stages = row->table->stages & row->table->wants(row->instance);
		if (row->timeout_us == 0)
			row->timeout_us = (uint64_t) longest_s * G_USEC_PER_SEC;
		chain->stages |= row->stages;
	}
	return chain;
}

void
ph_filter_chain_free(PhFilterChain *chain)
{
	g_free(chain);
}
