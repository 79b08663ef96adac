/* check-machine.c: does the config fit this machine, and has each mailbox one owner?
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config/build.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* --- addresses ------------------------------------------------------------------------------ */

/* Folders that systemd makes when the service starts. */
static bool
is_made_at_start(const char *folder)
{
	return g_str_has_prefix(folder, "/run/") || g_str_has_prefix(folder, "/var/run/");
}

/* One that may not be looked at may well be there. */
static bool
is_missing(const char *folder)
{
	struct stat info;

	if (stat(folder, &info) == 0)
		return !S_ISDIR(info.st_mode);
	return errno == ENOENT || errno == ENOTDIR;
}

static void
check_unix(PhBuilder *builder, const PhSection *section, const char *path)
{
	unsigned int line = ph_section_key_line(section, "address");
	g_autofree char *folder = g_path_get_dirname(path);
	struct stat info;

	if (lstat(path, &info) == 0 && !S_ISSOCK(info.st_mode))
		ph_mistakes_add(builder->mistakes, line,
		                "'%s' in [listener %s] is there and is no socket; name another "
		                "path, or remove it",
		                path, section->name);
	else if (!is_missing(folder))
		return;
	else if (is_made_at_start(folder))
		ph_mistakes_warn(builder->mistakes, line,
		                 "the folder '%s' of the socket in [listener %s] does not exist; "
		                 "let systemd make it (RuntimeDirectory=), or create it",
		                 folder, section->name);
	else
		ph_mistakes_add(builder->mistakes, line,
		                "the folder '%s' of the socket in [listener %s] does not exist; "
		                "create it",
		                folder, section->name);
}

/* Port 0 is always free: what is refused is the address. */
static bool
is_here(const PhListenAddress *address)
{
	struct sockaddr_storage any_port = address->socket;
	int fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int failure = 0;

	if (any_port.ss_family == AF_INET)
		((struct sockaddr_in *) (void *) &any_port)->sin_port = 0;
	else
		((struct sockaddr_in6 *) (void *) &any_port)->sin6_port = 0;
	if (fd < 0)
		return errno != EAFNOSUPPORT;
	if (bind(fd, (const struct sockaddr *) &any_port, address->length) != 0)
		failure = errno;
	(void) close(fd);
	return failure != EADDRNOTAVAIL;
}

void
ph_check_here(PhBuilder *builder, const PhSection *section, const PhListenAddress *address)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *) (const void *) &address->socket;

	if (address->systemd_name[0] != '\0' || address->is_any)
		return;
	if (address->socket.ss_family == AF_UNIX)
		check_unix(builder, section, un->sun_path);
	else if (!is_here(address))
		ph_mistakes_add(builder->mistakes, ph_section_key_line(section, "address"),
		                "'address' in [listener %s] names an address that this machine "
		                "does not have; name one of its own (ip address), or *:%u for all",
		                section->name, address->port);
}

void
ph_check_control(PhBuilder *builder, const char *path, unsigned int line)
{
	g_autofree char *folder = g_path_get_dirname(path);

	if (is_missing(folder) && !is_made_at_start(folder))
		ph_mistakes_warn(builder->mistakes, line,
		                 "the folder '%s' of the control socket does not exist: 'posthorn "
		                 "status' and 'posthorn reload' will not work; create it",
		                 folder);
}

/* --- one owner a mailbox -------------------------------------------------------------------- */

static const char *
template_of(const PhSection *section, const PhOption *row)
{
	if (row->type != PH_OPTION_TYPE_TEMPLATE || (row->flags & PH_OPTION_IS_ALIAS) != 0)
		return NULL;
	return *(const char *const *) (const void *) ((const char *) section->settings
	                                              + row->offset);
}

static bool
names_user(const char *path)
{
	return strstr(path, "{user}") != NULL || strstr(path, "{address}") != NULL
	       || strstr(path, "{home}") != NULL;
}

/* The section whose accounts lie at @path as well; NULL when there is none before @section. */
static const PhSection *
other_owner(const PhBuilder *builder, const PhSection *section, const char *path)
{
	for (guint i = 0; i < builder->config->sections->len; i++) {
		const PhSection *other = builder->config->sections->pdata[i];

		if (other == section)
			break;
		if (other->kind != PH_KIND_STORE || other->offer == NULL || other->settings == NULL)
			continue;
		for (const PhOption *row = other->offer->options; row->key != NULL; row++)
			if (g_strcmp0(template_of(other, row), path) == 0)
				return other;
	}
	return NULL;
}

void
ph_check_accounts(PhBuilder *builder, const PhSection *section)
{
	if (section->offer == NULL || section->settings == NULL)
		return;
	for (const PhOption *row = section->offer->options; row->key != NULL; row++) {
		const char *path = template_of(section, row);
		const PhSection *other = path != NULL ? other_owner(builder, section, path) : NULL;
		unsigned int line = ph_section_key_line(section, row->key);

		if (path != NULL && !names_user(path))
			ph_mistakes_add(builder->mistakes, line,
			                "'%s' in [store %s] is '%s' for every user; write {user}, "
			                "{address} or {home} into it",
			                row->key, section->name, path);
		else if (other != NULL)
			ph_mistakes_add(builder->mistakes, line,
			                "'%s' in [store %s] is '%s', where [store %s] keeps its "
			                "mail; name [store %s] instead, or another path",
			                row->key, section->name, path, other->name, other->name);
	}
}
