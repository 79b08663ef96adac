/* sample-reports.c: writes reports of every form into a folder, for a reader that is not ours
 *
 *	sample-reports FOLDER
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "queue/report.h"

static const char plain[] = "From: a@example.org\r\nSubject: plain\r\n\r\nbody\r\n";
static const char eight[] = "From: a@example.org\r\nSubject: eight\r\n\r\ngr\xc3\xbc\xc3\x9f\r\n";
static const char utf8[] = "From: a@example.org\r\nSubject: gr\xc3\xbc\xc3\x9f\r\n\r\nbody\r\n";
static const char latin[] = "From: a@example.org\r\nSubject: caf\xe9\r\n\r\nbare \n lf\r\n";

typedef struct {
	const char *name;
	PhSlice mail;
	bool returns_full;
	bool takes_utf8;
} Sample;

static const Sample samples[] = {
	{ "plain-header", { plain, sizeof plain - 1 }, false, false },
	{ "plain-full", { plain, sizeof plain - 1 }, true, false },
	{ "eight-full", { eight, sizeof eight - 1 }, true, false },
	{ "utf8-header", { utf8, sizeof utf8 - 1 }, false, true },
	{ "utf8-full", { utf8, sizeof utf8 - 1 }, true, true },
	{ "utf8-untaken", { utf8, sizeof utf8 - 1 }, true, false },
	{ "latin-full", { latin, sizeof latin - 1 }, true, true },
};

static const PhReportRecipient recipients[] = {
	{ .action = PH_REPORT_FAILED,
	  .address = "joe@example.net",
	  .orcpt = "rfc822;Joe+2Bx@example.com",
	  .diagnostic = "550-5.7.26 line one\r\n550 5.7.26 line two \x1b[2J \xff \xc3\xbc",
	  .remote_mta = "mx.example.net",
	  .last_attempt = INT64_C(1700000000000000) },
	{ .action = PH_REPORT_FAILED, .address = "two words@example.net" },
	{ .action = PH_REPORT_FAILED,
	  .address = "j\xc3\xb6@b\xc3\xbc"
	             "cher.example" },
	{ .action = PH_REPORT_DELAYED,
	  .address = "slow@example.net",
	  .retry_until = INT64_C(1700086400000000) },
	{ .action = PH_REPORT_DELIVERED, .address = "here@example.org" },
};

static bool
write_sample(const Sample *sample, const char *folder)
{
	g_autoptr(PhContent) mail = ph_content_new_copy(sample->mail);
	PhReport report = { .hostname = "mail.example.org",
		            .sender = "ann@example.org",
		            .id = "AAAAAAAAAAAAAAAAAAAAAA",
		            .envid = "QQ+3D1",
		            .returns_full = sample->returns_full,
		            .takes_utf8 = sample->takes_utf8,
		            .arrived = INT64_C(1699999940000000),
		            .now = INT64_C(1700000000000000),
		            .content = mail,
		            .recipients = recipients,
		            .n_recipients = G_N_ELEMENTS(recipients) };
	g_autofree char *path = g_build_filename(folder, sample->name, NULL);
	uint32_t needs = 0;
	g_autoptr(PhContent) made = ph_report_compose(&report, &needs, NULL);
	PhSlice octets = PH_SLICE_EMPTY;

	return made != NULL && ph_content_peek(made, &octets)
	       && g_file_set_contents(path, octets.data, (gssize) octets.length, NULL);
}

int
main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	for (size_t i = 0; i < G_N_ELEMENTS(samples); i++)
		if (!write_sample(&samples[i], argv[1]))
			return 1;
	return 0;
}
