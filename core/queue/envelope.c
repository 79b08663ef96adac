/* envelope.c: how the envelope of a queued mail lies on the disk
 *
 * Each text is a tag (1), its length (4, little-endian), the octets and a NUL, so that what is read
 * can be used where it lies.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "queue/envelope.h"

#include <string.h>

enum {
	TAG_ID = 1,
	TAG_TIMES = 2,
	TAG_SENDER = 3,
	TAG_USER = 4,
	TAG_PREPENDED = 5,
	TAG_PARAMETER = 6, /* "NAME=value" */
	TAG_RECIPIENT = 16,
	TAG_LOCAL_USER = 17,
	TAG_ORIGINAL = 18,
	TAG_ROUTE = 19,
	TAG_DESTINATION = 20,
	TAG_TRANSACTION = 21,
	TAG_DETAIL = 22,

	HEAD = 5, /* tag and length */
	TIMES = 28,
	TRANSACTION = 16,
};

/* --- writing ---------------------------------------------------------------------------------- */

static void
put_octets(GByteArray *out, uint8_t tag, const void *octets, size_t length)
{
	uint32_t size = GUINT32_TO_LE((uint32_t) length);
	size_t at = out->len;
	uint8_t *to = NULL;

	(void) g_byte_array_set_size(out, (guint) (at + HEAD + length + 1));
	to = out->data + at;
	to[0] = tag;
	memcpy(to + 1, &size, sizeof size);
	if (length > 0)
		memcpy(to + HEAD, octets, length);
	to[HEAD + length] = 0;
}

static void
put_text(GByteArray *out, uint8_t tag, const char *text)
{
	if (text != NULL)
		put_octets(out, tag, text, strlen(text));
}

static void
put_parameters(GByteArray *out, const PhEnvelopeParameter *parameters, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		g_autofree char *text =
			g_strconcat(parameters[i].name, "=", parameters[i].value, NULL);

		put_text(out, TAG_PARAMETER, text);
	}
}

static void
put64(uint8_t *at, uint64_t value)
{
	value = GUINT64_TO_LE(value);
	memcpy(at, &value, sizeof value);
}

static void
put_times(GByteArray *out, const PhEnvelope *envelope)
{
	uint8_t times[TIMES];
	int32_t priority = GINT32_TO_LE(envelope->priority);

	put64(times, (uint64_t) envelope->arrived);
	put64(times + 8, (uint64_t) envelope->not_before);
	put64(times + 16, (uint64_t) envelope->by);
	memcpy(times + 24, &priority, sizeof priority);
	put_octets(out, TAG_TIMES, times, sizeof times);
}

static void
put_recipient(GByteArray *out, const PhEnvelopeRecipient *recipient)
{
	put_text(out, TAG_RECIPIENT, recipient->address);
	put_text(out, TAG_LOCAL_USER, recipient->user);
	if (g_strcmp0(recipient->original, recipient->address) != 0)
		put_text(out, TAG_ORIGINAL, recipient->original);
	put_text(out, TAG_DETAIL, recipient->detail);
	put_text(out, TAG_ROUTE, recipient->route);
	put_text(out, TAG_DESTINATION, recipient->destination);
	put_octets(out, TAG_TRANSACTION, recipient->transaction, sizeof recipient->transaction);
	put_parameters(out, recipient->parameters, recipient->n_parameters);
}

bool
ph_queue_envelope_append(const PhEnvelope *envelope, GByteArray *out)
{
	guint start = out->len;

	if (envelope->n_recipients == 0 || envelope->n_recipients > PH_ENVELOPE_RECIPIENTS_MAX
	    || envelope->prepended.length > PH_ENVELOPE_MAX)
		return false;
	put_text(out, TAG_ID, envelope->id);
	put_times(out, envelope);
	put_text(out, TAG_SENDER, envelope->sender);
	put_text(out, TAG_USER, envelope->user);
	if (envelope->prepended.length > 0)
		put_octets(out, TAG_PREPENDED, envelope->prepended.data,
		           envelope->prepended.length);
	put_parameters(out, envelope->parameters, envelope->n_parameters);
	for (uint32_t i = 0; i < envelope->n_recipients && out->len - start <= PH_ENVELOPE_MAX; i++)
		put_recipient(out, &envelope->recipients[i]);
	if (out->len - start <= PH_ENVELOPE_MAX)
		return true;
	(void) g_byte_array_set_size(out, start);
	return false;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Parsed: an envelope with all that it points to and that does not lie in the octets. */
typedef struct {
	PhEnvelope envelope; /* first: it is what the caller has */
	PhEnvelopeRecipient *recipients;
	PhEnvelopeParameter *parameters;
	char *names; /* of parameters, NUL-terminated one after another */
	size_t n_recipients;
	size_t n_parameters;
	size_t names_used;
} Parsed;

/* One text: false at the end or at what makes no sense. */
static bool
next(PhSlice *rest, uint8_t *tag_out, PhSlice *text_out)
{
	uint32_t length = 0;

	if (rest->length < HEAD + 1)
		return false;
	memcpy(&length, rest->data + 1, sizeof length);
	length = GUINT32_FROM_LE(length);
	if (length > rest->length - HEAD - 1 || rest->data[HEAD + length] != '\0')
		return false;
	*tag_out = (uint8_t) rest->data[0];
	*text_out = PH_SLICE(rest->data + HEAD, length);
	*rest = PH_SLICE(rest->data + HEAD + length + 1, rest->length - HEAD - length - 1);
	return true;
}

/* How many of each there are; false when the octets make no sense to their end. */
static bool
count(PhSlice octets, size_t *recipients_out, size_t *parameters_out, size_t *names_out)
{
	uint8_t tag = 0;
	PhSlice text;

	while (next(&octets, &tag, &text)) {
		*recipients_out += tag == TAG_RECIPIENT;
		if (tag != TAG_PARAMETER)
			continue;
		*parameters_out += 1;
		*names_out += text.length + 1;
	}
	return octets.length == 0;
}

static uint64_t
get64(const char *at)
{
	uint64_t value = 0;

	memcpy(&value, at, sizeof value);
	return GUINT64_FROM_LE(value);
}

static bool
take_times(PhEnvelope *envelope, PhSlice text)
{
	int32_t priority = 0;

	if (text.length < TIMES)
		return false;
	envelope->arrived = (PhTime) get64(text.data);
	envelope->not_before = (PhTime) get64(text.data + 8);
	envelope->by = (PhTime) get64(text.data + 16);
	memcpy(&priority, text.data + 24, sizeof priority);
	envelope->priority = CLAMP(GINT32_FROM_LE(priority), -9, 9);
	return envelope->arrived >= 0 && envelope->not_before >= 0 && envelope->by != G_MININT64;
}

static bool
take_parameter(Parsed *parsed, PhSlice text)
{
	const char *equals = memchr(text.data, '=', text.length);
	size_t length = equals != NULL ? (size_t) (equals - text.data) : 0;
	char *name = parsed->names + parsed->names_used;
	PhEnvelopeParameter *row = &parsed->parameters[parsed->n_parameters];

	if (length == 0)
		return false;
	memcpy(name, text.data, length);
	name[length] = '\0';
	parsed->names_used += length + 1;
	*row = (PhEnvelopeParameter){ name, equals + 1 };
	parsed->n_parameters++;
	if (parsed->n_recipients > 0) {
		PhEnvelopeRecipient *recipient = &parsed->recipients[parsed->n_recipients - 1];

		recipient->parameters = recipient->n_parameters > 0 ? recipient->parameters : row;
		recipient->n_parameters++;
	} else {
		parsed->envelope.n_parameters++;
	}
	return true;
}

static bool
take_of_recipient(Parsed *parsed, uint8_t tag, PhSlice text)
{
	PhEnvelopeRecipient *recipient = NULL;

	if (tag == TAG_RECIPIENT) {
		parsed->recipients[parsed->n_recipients++].address = text.data;
		return text.length > 0;
	}
	if (parsed->n_recipients == 0)
		return false;
	recipient = &parsed->recipients[parsed->n_recipients - 1];
	if (tag == TAG_LOCAL_USER)
		recipient->user = text.data;
	else if (tag == TAG_ORIGINAL)
		recipient->original = text.data;
	else if (tag == TAG_DETAIL)
		recipient->detail = text.data;
	else if (tag == TAG_ROUTE)
		recipient->route = text.data;
	else if (tag == TAG_DESTINATION)
		recipient->destination = text.data;
	else if (tag == TAG_TRANSACTION && text.length == TRANSACTION)
		memcpy(recipient->transaction, text.data, TRANSACTION);
	return tag != TAG_TRANSACTION || text.length == TRANSACTION;
}

static bool
take(Parsed *parsed, uint8_t tag, PhSlice text)
{
	PhEnvelope *envelope = &parsed->envelope;

	/* a text is used as one that ends at its first NUL */
	if (tag != TAG_TIMES && tag != TAG_TRANSACTION && tag != TAG_PREPENDED
	    && memchr(text.data, '\0', text.length) != NULL)
		return false;
	if (tag == TAG_PARAMETER)
		return take_parameter(parsed, text);
	if (tag == TAG_TIMES)
		return take_times(envelope, text);
	if (tag >= TAG_RECIPIENT)
		return take_of_recipient(parsed, tag, text);
	if (tag == TAG_ID)
		envelope->id = text.data;
	else if (tag == TAG_SENDER)
		envelope->sender = text.data;
	else if (tag == TAG_USER)
		envelope->user = text.data;
	else if (tag == TAG_PREPENDED)
		envelope->prepended = text;
	return true;
}

static bool
is_whole(const PhEnvelope *envelope)
{
	if (envelope->id == NULL || envelope->sender == NULL || envelope->n_recipients == 0
	    || strlen(envelope->id) >= PH_ENVELOPE_ID_MAX || envelope->id[0] == '\0')
		return false;
	for (uint32_t i = 0; i < envelope->n_recipients; i++)
		if (envelope->recipients[i].route == NULL
		    || envelope->recipients[i].destination == NULL)
			return false;
	return true;
}

PhEnvelope *
ph_queue_envelope_parse(PhSlice octets)
{
	size_t n_recipients = 0;
	size_t n_parameters = 0;
	size_t n_names = 0;
	Parsed *parsed = NULL;
	uint8_t tag = 0;
	bool good = true;
	PhSlice text;

	if (octets.length > PH_ENVELOPE_MAX
	    || !count(octets, &n_recipients, &n_parameters, &n_names)
	    || n_recipients > PH_ENVELOPE_RECIPIENTS_MAX)
		return NULL;
	parsed = g_new0(Parsed, 1);
	parsed->recipients = g_new0(PhEnvelopeRecipient, n_recipients);
	parsed->parameters = g_new0(PhEnvelopeParameter, n_parameters);
	parsed->names = g_malloc(n_names);
	parsed->envelope.parameters = parsed->parameters;
	while (good && next(&octets, &tag, &text))
		good = take(parsed, tag, text);
	parsed->envelope.recipients = parsed->recipients;
	parsed->envelope.n_recipients = (uint32_t) parsed->n_recipients;
	for (size_t i = 0; i < parsed->n_recipients; i++)
		if (parsed->recipients[i].original == NULL)
			parsed->recipients[i].original = parsed->recipients[i].address;
	if (good && is_whole(&parsed->envelope))
		return &parsed->envelope;
	ph_queue_envelope_free(&parsed->envelope);
	return NULL;
}

void
ph_queue_envelope_free(PhEnvelope *envelope)
{
	Parsed *parsed = (Parsed *) (void *) envelope;

	if (envelope == NULL)
		return;
	g_free(parsed->recipients);
	g_free(parsed->parameters);
	g_free(parsed->names);
	g_free(parsed);
}

const char *
ph_queue_envelope_parameter(const PhEnvelopeParameter *parameters, uint32_t n, const char *name)
{
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(parameters[i].name, name) == 0)
			return parameters[i].value;
	return NULL;
}
