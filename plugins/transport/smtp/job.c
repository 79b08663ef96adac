/* job.c: some recipients of one mail on their way to one destination, and their results
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "relay.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	FIRST_PERMANENT = 500,
};

static uint32_t
class_of(unsigned smtp_code)
{
	return smtp_code >= FIRST_PERMANENT ? PH_ERROR_PERMANENT : PH_ERROR_TEMPORARY;
}

void
failure_set(Failure *failure, unsigned smtp_code, const char *status, const char *format, ...)
{
	va_list arguments;
	int n = 0;

	failure->code = class_of(smtp_code);
	failure->mta[0] = '\0';
	failure->is_away = false;
	n = g_snprintf(failure->reply, sizeof failure->reply, "%u %s ", smtp_code, status);
	va_start(arguments, format);
	(void) g_vsnprintf(failure->reply + n, sizeof failure->reply - (size_t) n, format,
	                   arguments);
	va_end(arguments);
}

void
job_complete(Job *job, size_t at, const PhDeliveryResult *result)
{
	Recipient *recipient = &job->recipients[at];

	if (recipient->is_done)
		return;
	recipient->is_done = true;
	job->n_left--;
	/* With the last one of all the delivery is gone. */
	ph_delivery_complete_with(job->delivery, recipient->index, result);
}

void
job_fail_one(Job *job, size_t at, const Failure *failure)
{
	GError error = { .domain = PH_ERROR,
		         .code = (int) failure->code,
		         .message = (char *) (uintptr_t) failure->reply };
	PhDeliveryResult result = {
		.size = sizeof result,
		.error = &error,
		.remote_mta = failure->mta[0] != '\0' ? failure->mta : NULL,
		.reply = failure->reply,
		.flags = failure->is_away ? PH_DELIVERY_AWAY : 0,
	};

	job_complete(job, at, &result);
}

void
job_fail(Job *job, const Failure *failure)
{
	for (size_t i = 0; i < job->n_recipients; i++)
		job_fail_one(job, i, failure);
}

void
job_put_off(Job *job, size_t at, const Failure *failure)
{
	Recipient *recipient = &job->recipients[at];

	if (recipient->is_done)
		return;
	if (recipient->put_off == NULL)
		recipient->put_off = g_new(Failure, 1);
	*recipient->put_off = *failure;
	recipient->is_put_off = true;
}

void
job_fail_rest(Job *job, const Failure *failure)
{
	for (size_t i = 0; i < job->n_recipients; i++) {
		const Failure *put_off = job->recipients[i].put_off;

		/* Who was accepted may have the message. */
		if (put_off == NULL || job->recipients[i].is_accepted)
			put_off = failure;
		job_fail_one(job, i, put_off);
	}
}

void
job_shrink(Job *job)
{
	size_t n = 0;

	for (size_t i = 0; i < job->n_recipients; i++) {
		if (job->recipients[i].is_done) {
			g_free(job->recipients[i].put_off);
			continue;
		}
		job->recipients[n] = job->recipients[i];
		job->recipients[n].is_accepted = false;
		job->recipients[n++].is_put_off = false;
	}
	job->n_recipients = n;
}

Job *
job_split(Job *job, size_t most)
{
	size_t n = job->n_recipients - MIN(most, job->n_recipients);
	Job *rest = NULL;

	if (n == 0 || job->n_left < job->n_recipients)
		return NULL;
	rest = g_malloc0(sizeof *rest + n * sizeof rest->recipients[0]);
	rest->delivery = job->delivery;
	rest->destination = job->destination;
	rest->n_tries = job->n_tries;
	rest->n_hosts = job->n_hosts;
	rest->requires_tls = job->requires_tls;
	rest->n_recipients = n;
	rest->n_left = n;
	memcpy(rest->recipients, job->recipients + most, n * sizeof rest->recipients[0]);
	job->n_recipients = most;
	job->n_left = most;
	return rest;
}

void
job_free(Job *job)
{
	g_warn_if_fail(job->n_left == 0);
	for (size_t i = 0; i < job->n_recipients; i++)
		g_free(job->recipients[i].put_off);
	g_free(job);
}
