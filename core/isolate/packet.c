/* packet.c: the octets that cross the boundary to an isolated plugin, written and read
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "isolate/packet.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "base/identity.h"

#include <string.h>

/* --- writing -------------------------------------------------------------------------------- */

static void
put(PhPacket *packet, const void *from, size_t n)
{
	if (packet->bad || n > PH_PACKET_MAX - packet->length) {
		packet->bad = true;
		return;
	}
	if (n > 0)
		memcpy(packet->octets + packet->length, from, n);
	packet->length += n;
}

void
ph_packet_number(PhPacket *packet, uint64_t value)
{
	put(packet, &value, sizeof value);
}

void
ph_packet_octets(PhPacket *packet, PhSlice octets)
{
	ph_packet_number(packet, octets.length);
	put(packet, octets.data, octets.length);
}

void
ph_packet_text(PhPacket *packet, const char *text)
{
	size_t length = text != NULL ? strlen(text) : 0;

	if (length > PH_PACKET_TEXT_MAX)
		packet->bad = true;
	ph_packet_number(packet, text != NULL ? length + 1 : 0);
	put(packet, text, length);
}

void
ph_packet_list(PhPacket *packet, const char *const *list)
{
	size_t n = list != NULL ? g_strv_length((char **) (uintptr_t) list) : 0;

	if (n > PH_PACKET_LIST_MAX)
		packet->bad = true;
	ph_packet_number(packet, list != NULL ? n + 1 : 0);
	for (size_t i = 0; i < n && !packet->bad; i++)
		ph_packet_text(packet, list[i]);
}

void
ph_packet_identity(PhPacket *packet, const PhIdentity *identity)
{
	ph_packet_text(packet, ph_identity_user(identity));
	ph_packet_text(packet, ph_identity_domain(identity));
	ph_packet_text(packet, ph_identity_full_name(identity));
	ph_packet_text(packet, ph_identity_home(identity));
	ph_packet_number(packet, ph_identity_quota_octets(identity));
	ph_packet_number(packet, ph_identity_quota_messages(identity));
	ph_packet_list(packet, ph_identity_groups(identity));
	ph_packet_list(packet, ph_identity_attributes(identity));
	ph_packet_list(packet, ph_identity_senders(identity));
	ph_packet_list(packet, ph_identity_aliases(identity));
}

void
ph_packet_error(PhPacket *packet, const GError *error)
{
	bool ours = error != NULL && error->domain == PH_ERROR;
	int code = ours ? error->code : PH_ERROR_TEMPORARY;

	ph_packet_number(packet, error != NULL ? (uint64_t) code : 0);
	if (error != NULL)
		ph_packet_text(packet, error->message);
}

/* --- reading -------------------------------------------------------------------------------- */

uint64_t
ph_read_number(PhPacketReader *reader, uint64_t most)
{
	uint64_t value = 0;

	if (reader->bad || reader->rest.length < sizeof value) {
		reader->bad = true;
		return 0;
	}
	memcpy(&value, reader->rest.data, sizeof value);
	reader->rest = ph_slice_from(reader->rest, sizeof value);
	if (value <= most)
		return value;
	reader->bad = true;
	return 0;
}

static PhSlice
take(PhPacketReader *reader, size_t n)
{
	PhSlice taken = PH_SLICE_EMPTY;

	if (reader->bad || n > reader->rest.length) {
		reader->bad = true;
		return taken;
	}
	taken = PH_SLICE(reader->rest.data, n);
	reader->rest = ph_slice_from(reader->rest, n);
	return taken;
}

PhSlice
ph_read_octets(PhPacketReader *reader, size_t most)
{
	return take(reader, ph_read_number(reader, most));
}

char *
ph_read_text(PhPacketReader *reader)
{
	uint64_t mark = ph_read_number(reader, PH_PACKET_TEXT_MAX + 1);
	PhSlice text = mark > 0 ? take(reader, mark - 1) : PH_SLICE_EMPTY;

	if (mark == 0 || reader->bad)
		return NULL;
	if (ph_slice_find(text, '\0') < 0)
		return ph_slice_dup(text);
	reader->bad = true;
	return NULL;
}

char **
ph_read_list(PhPacketReader *reader)
{
	uint64_t mark = ph_read_number(reader, PH_PACKET_LIST_MAX + 1);
	g_autoptr(GPtrArray) list = NULL;

	if (mark == 0)
		return NULL;
	list = g_ptr_array_new_with_free_func(g_free);
	for (uint64_t i = 1; i < mark && !reader->bad; i++) {
		char *text = ph_read_text(reader);

		if (text == NULL)
			reader->bad = true;
		else
			g_ptr_array_add(list, text);
	}
	if (reader->bad)
		return NULL;
	g_ptr_array_add(list, NULL);
	return (char **) g_ptr_array_free(g_steal_pointer(&list), FALSE);
}

PhIdentity *
ph_read_identity(PhPacketReader *reader)
{
	g_autofree char *user = ph_read_text(reader);
	g_autofree char *domain = ph_read_text(reader);
	g_autofree char *full_name = ph_read_text(reader);
	g_autofree char *home = ph_read_text(reader);
	PhIdentityValues values = { .size = sizeof values };
	g_auto(GStrv) groups = NULL;
	g_auto(GStrv) attributes = NULL;
	g_auto(GStrv) senders = NULL;
	g_auto(GStrv) aliases = NULL;
	PhIdentity *identity = NULL;

	values.quota_octets = ph_read_number(reader, UINT64_MAX);
	values.quota_messages = ph_read_number(reader, UINT64_MAX);
	groups = ph_read_list(reader);
	attributes = ph_read_list(reader);
	senders = ph_read_list(reader);
	aliases = ph_read_list(reader);
	values.user = user;
	values.domain = domain;
	values.full_name = full_name;
	values.home = home;
	values.groups = (const char *const *) groups;
	values.attributes = (const char *const *) attributes;
	values.senders = (const char *const *) senders;
	values.aliases = (const char *const *) aliases;
	if (!reader->bad)
		identity = ph_identity_new(&values, NULL);
	reader->bad = identity == NULL;
	return identity;
}

void
ph_read_error(PhPacketReader *reader, GError **error)
{
	uint64_t code = ph_read_number(reader, PH_ERROR_OUTCOME_UNKNOWN);
	g_autofree char *text = code != 0 ? ph_read_text(reader) : NULL;

	if (text != NULL && !reader->bad)
		ph_error_set(error, (uint32_t) code, "%s", text);
	else if (code != 0)
		reader->bad = true;
}

bool
ph_read_is_done(const PhPacketReader *reader)
{
	return !reader->bad && reader->rest.length == 0;
}
