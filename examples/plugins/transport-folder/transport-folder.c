/* transport-folder.c: a whole transport: each mail becomes a file in a folder
 *
 * For a program that looks into the folder. A file has its name only when it is whole and on the
 * disk, so that the positive answer to the client is true.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/durable.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>
#include <posthorn/transport.h>

#include <fcntl.h>
#include <unistd.h>

typedef struct {
	const char *path;
	PhSize largest;
} Settings;

static const PhOption options[] = {
	PH_OPTION_PATH(Settings, path, PH_REQUIRED, "the folder that files are made in"),
	PH_OPTION_SIZE(Settings, largest, "10M", "larger messages are refused"),
	PH_OPTIONS_END,
};

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	*instance_out = (void *) (uintptr_t) settings;
	return true;
}

static void
destroy(void *instance)
{
}

static bool
append(PhSlice piece, void *user_data, GError **error)
{
	g_string_append_len(user_data, piece.data, (gssize) piece.length);
	return true;
}

/* The envelope as a first line, then what was received with its trace. */
static bool
compose(const Settings *settings, PhDelivery *delivery, size_t index, GString *out, GError **error)
{
	PhMail *mail = ph_delivery_mail(delivery);
	PhContent *content = ph_mail_content(mail);
	PhSlice trace = ph_mail_prepended(mail);

	if (ph_content_length(content) > settings->largest.octets) {
		ph_error_set(error, PH_ERROR_TOO_LARGE, "larger than %" G_GUINT64_FORMAT " octets",
		             settings->largest.octets);
		return false;
	}
	g_string_append_printf(out, "Envelope: <%s> <%s>\r\n", ph_mail_sender(mail),
	                       ph_delivery_recipient(delivery, index));
	g_string_append_len(out, trace.data, (gssize) trace.length);
	return ph_content_each(content, 0, ph_content_length(content), append, out, error);
}

/* The name is made of the id of the mail and the number of the recipient: a second attempt at the
 * same delivery writes the same file again. */
static bool
write_file(const Settings *settings, PhDelivery *delivery, size_t index, GError **error)
{
	g_autoptr(GString) octets = g_string_new(NULL);
	g_autofree char *name =
		g_strdup_printf("%s-%zu.eml", ph_mail_id(ph_delivery_mail(delivery)), index);
	bool done = false;
	int folder = -1;

	if (!compose(settings, delivery, index, octets, error)
	    || !ph_durable_make_folder(settings->path, 0700, error))
		return false;
	folder = open(settings->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "cannot open '%s'", settings->path);
		return false;
	}
	done = ph_durable_replace(folder, name, PH_SLICE(octets->str, octets->len), 0600, error);
	(void) close(folder);
	return done;
}

/* Blocks, on a thread of the core's: each recipient has a result when this returns. */
static void
deliver(void *instance, PhDelivery *delivery)
{
	size_t n = ph_delivery_n_recipients(delivery);

	for (size_t i = 0; i < n; i++) {
		g_autoptr(GError) error = NULL;

		(void) write_file(instance, delivery, i, &error);
		ph_delivery_complete(delivery, i, error);
	}
}

static const PhTransport transport = {
	.size = sizeof transport,
	.flags = PH_TRANSPORT_COMMITS,
	.create = create,
	.destroy = destroy,
	.deliver = deliver,
};

static const PhOffer offers[] = {
	PH_OFFER_TRANSPORT("folder", &transport),
	PH_OFFERS_END,
};

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "folder",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "each mail becomes a file in a folder",
	.options = options,
	.offers = offers,
};
