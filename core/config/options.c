/* options.c: the text of one value to the member of a settings struct, one parser a type
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config/options.h"

#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include "base/limits.h"
#include "config/expand.h"
#include "config/suggest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
	const PhOption *row;
	const char *text;
	const PhOptionContext *context;
	void *member;
	GString *problem;
} Job;

typedef struct {
	const char *name;
	uint64_t factor;
} Unit;

/* Ascending: the last that divides a value is how it is written. */
static const Unit size_units[] = {
	{ "", 1 },
	{ "K", UINT64_C(1) << 10 },
	{ "M", UINT64_C(1) << 20 },
	{ "G", UINT64_C(1) << 30 },
	{ "T", UINT64_C(1) << 40 },
};

static const Unit duration_units[] = {
	{ "us", 1 },
	{ "ms", 1000 },
	{ "s", 1000000 },
	{ "min", UINT64_C(60) * 1000000 },
	{ "h", UINT64_C(3600) * 1000000 },
	{ "d", UINT64_C(86400) * 1000000 },
	{ "w", UINT64_C(604800) * 1000000 },
};

static bool
parse_unit(PhSlice text, const Unit *units, size_t n_units, uint64_t *value_out)
{
	size_t digits = 0;
	PhSlice unit = PH_SLICE_EMPTY;
	uint64_t number = 0;

	while (digits < text.length && g_ascii_isdigit(text.data[digits]))
		digits++;
	if (!ph_slice_to_u64(PH_SLICE(text.data, digits), INT64_MAX, &number))
		return false;
	unit = ph_slice_trim(ph_slice_from(text, digits));
	for (size_t i = 0; i < n_units; i++) {
		if (!ph_slice_is(unit, units[i].name))
			continue;
		if (number > INT64_MAX / units[i].factor)
			return false;
		*value_out = number * units[i].factor;
		return true;
	}
	return false;
}

bool
ph_size_parse(PhSlice text, uint64_t *octets_out)
{
	if (text.length > 1 && text.data[text.length - 1] == 'B')
		text.length--;
	return parse_unit(text, size_units, G_N_ELEMENTS(size_units), octets_out);
}

bool
ph_duration_parse(PhSlice text, uint64_t *us_out)
{
	if (ph_slice_is(text, "0")) {
		*us_out = 0;
		return true;
	}
	return parse_unit(text, duration_units, G_N_ELEMENTS(duration_units), us_out);
}

static char *
format_unit(uint64_t value, const Unit *units, size_t n_units)
{
	size_t best = 0;

	for (size_t i = 0; value > 0 && i < n_units; i++)
		if (value % units[i].factor == 0)
			best = i;
	return g_strdup_printf("%" PRIu64 "%s", value / units[best].factor, units[best].name);
}

char *
ph_size_format(uint64_t octets)
{
	return format_unit(octets, size_units, G_N_ELEMENTS(size_units));
}

char *
ph_duration_format(uint64_t us)
{
	if (us == 0)
		return g_strdup("0");
	return format_unit(us, duration_units, G_N_ELEMENTS(duration_units));
}

static bool
parse_text(const Job *job, PhExpandMode mode)
{
	char *value = ph_expand_fixed(job->text, job->context->data, job->context->hostname, mode,
	                              job->problem);

	*(char **) job->member = value;
	return value != NULL;
}

static bool
parse_string(const Job *job)
{
	return parse_text(job, PH_EXPAND_LOOSE);
}

static bool
parse_path_as(const Job *job, PhExpandMode mode)
{
	char **member = job->member;

	if (!parse_text(job, mode))
		return false;
	if ((*member)[0] != '/') {
		g_autofree char *relative = *member;

		*member = g_build_filename(job->context->folder, relative, NULL);
	}
	return true;
}

static bool
parse_path(const Job *job)
{
	return parse_path_as(job, PH_EXPAND_PATH);
}

static bool
parse_template(const Job *job)
{
	return parse_path_as(job, PH_EXPAND_TEMPLATE);
}

/* SIZE and DURATION: the bounds, as they would be written. */
static bool
check_bounds(const Job *job, uint64_t value, char *(*format)(uint64_t value))
{
	g_autofree char *low = NULL;
	g_autofree char *high = NULL;

	if (value >= (uint64_t) job->row->minimum && value <= (uint64_t) job->row->maximum)
		return true;
	low = format((uint64_t) job->row->minimum);
	high = format((uint64_t) job->row->maximum);
	if (job->row->maximum == INT64_MAX)
		g_string_append_printf(job->problem, "must be at least %s", low);
	else
		g_string_append_printf(job->problem, "must be from %s to %s", low, high);
	g_string_append_printf(job->problem, ", not '%s'", job->text);
	return false;
}

static bool
parse_size(const Job *job)
{
	PhSize *member = job->member;
	uint64_t octets = 0;

	if (!ph_size_parse(ph_slice(job->text), &octets)) {
		g_string_append_printf(job->problem, "must be a size such as 512K or 50M, not '%s'",
		                       job->text);
		return false;
	}
	member->octets = octets;
	return check_bounds(job, octets, ph_size_format);
}

static bool
parse_duration(const Job *job)
{
	PhDuration *member = job->member;
	uint64_t us = 0;

	if (!ph_duration_parse(ph_slice(job->text), &us)) {
		g_string_append_printf(job->problem,
		                       "must be a duration such as 30s, 5min or 2h, not '%s'",
		                       job->text);
		return false;
	}
	member->us = us;
	return check_bounds(job, us, ph_duration_format);
}

static bool
parse_boolean(const Job *job)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = { { "yes", true }, { "no", false },  { "true", true },
		      { "on", true },  { "off", false }, { "false", false } };

	for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
		if (g_ascii_strcasecmp(words[i].word, job->text) == 0) {
			*(bool *) job->member = words[i].value;
			return true;
		}
	}
	g_string_append_printf(job->problem, "must be yes or no, not '%s'", job->text);
	return false;
}

static bool
to_integer(PhSlice text, int64_t *value_out)
{
	bool negative = text.length > 0 && text.data[0] == '-';
	uint64_t magnitude = 0;

	if (text.length > 0 && (negative || text.data[0] == '+'))
		text = ph_slice_from(text, 1);
	if (!ph_slice_to_u64(text, INT64_MAX, &magnitude))
		return false;
	*value_out = negative ? -(int64_t) magnitude : (int64_t) magnitude;
	return true;
}

static bool
parse_integer(const Job *job)
{
	int64_t value = 0;
	bool good = to_integer(ph_slice(job->text), &value) && value >= job->row->minimum
	            && value <= job->row->maximum;

	if (!good)
		g_string_append_printf(job->problem,
		                       "must be a whole number from %" PRId64 " to %" PRId64
		                       ", not '%s'",
		                       job->row->minimum, job->row->maximum, job->text);
	else
		*(int64_t *) job->member = value;
	return good;
}

static bool
parse_choice(const Job *job)
{
	const char *const *words = job->row->choices;
	g_autofree char *list = NULL;
	const char *nearest = NULL;

	for (uint32_t i = 0; words[i] != NULL; i++) {
		if (strcmp(words[i], job->text) == 0) {
			*(uint32_t *) job->member = i;
			return true;
		}
	}
	list = g_strjoinv(", ", (char **) (uintptr_t) words);
	nearest = ph_suggest_nearest(job->text, words);
	g_string_append_printf(job->problem, "must be one of: %s; not '%s'", list, job->text);
	if (nearest != NULL)
		g_string_append_printf(job->problem, "; did you mean '%s'?", nearest);
	return false;
}

/* The words between commas. Returns: (owned) or NULL. */
static char **
split_list(const Job *job)
{
	g_auto(GStrv) words = g_strsplit(job->text, ",", -1);

	for (size_t i = 0; words[i] != NULL; i++) {
		(void) g_strstrip(words[i]);
		if (words[i][0] == '\0') {
			g_string_append(job->problem,
			                "has an empty element; write words with one comma "
			                "between two");
			return NULL;
		}
		for (size_t j = 0; j < i; j++) {
			if (strcmp(words[i], words[j]) != 0)
				continue;
			g_string_append_printf(job->problem, "names '%s' twice", words[i]);
			return NULL;
		}
	}
	return g_steal_pointer(&words);
}

static bool
parse_list(const Job *job)
{
	g_auto(GStrv) words = split_list(job);

	if (words == NULL)
		return false;
	for (size_t i = 0; words[i] != NULL; i++) {
		g_autofree char *raw = words[i];

		words[i] = ph_expand_fixed(raw, job->context->data, job->context->hostname,
		                           PH_EXPAND_LOOSE, job->problem);
		if (words[i] == NULL) {
			/* the rest is not reached by g_strfreev */
			for (size_t j = i + 1; words[j] != NULL; j++)
				g_free(words[j]);
			return false;
		}
	}
	*(char ***) job->member = g_steal_pointer(&words);
	return true;
}

static PhSecret *
read_secret(const char *path, GString *problem)
{
	char octets[PH_LIMIT_SECRET_FILE];
	PhSecret *secret = NULL;
	struct stat info;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t n = fd >= 0 ? read(fd, octets, sizeof octets) : -1;

	if (n < 0) {
		g_string_append_printf(problem, "cannot be read from '%s': %s", path,
		                       g_strerror(errno));
	} else if (fstat(fd, &info) == 0 && (info.st_mode & S_IROTH) != 0) {
		g_string_append_printf(
			problem, "stands in '%s', which everybody can read; run: chmod o-r '%s'",
			path, path);
	} else {
		PhSlice rest = PH_SLICE(octets, (size_t) n);
		PhSlice line = ph_slice_split(&rest, '\n');

		if (line.length > 0 && line.data[line.length - 1] == '\r')
			line.length--;
		if (line.length == 0)
			g_string_append_printf(problem, "has an empty first line in '%s'", path);
		else
			secret = ph_secret_new(line);
	}
	if (fd >= 0)
		(void) close(fd);
	ph_secret_wipe(octets, sizeof octets);
	return secret;
}

static bool
parse_secret(const Job *job)
{
	static const char prefix[] = "file:";
	PhSecret *secret = NULL;

	if (!g_str_has_prefix(job->text, prefix)) {
		secret = ph_secret_new(ph_slice(job->text));
	} else {
		g_autofree char *path =
			g_path_is_absolute(job->text + strlen(prefix))
				? g_strdup(job->text + strlen(prefix))
				: g_build_filename(job->context->folder, job->text + strlen(prefix),
		                                   NULL);

		secret = read_secret(path, job->problem);
	}
	*(PhSecret **) job->member = secret;
	return secret != NULL;
}

static bool
parse_section(const Job *job)
{
	PhSection *section = job->context->resolve(job->context->user_data, job->row->kind,
	                                           job->text, job->problem);

	*(PhSection **) job->member = section;
	return section != NULL;
}

static bool
parse_sections(const Job *job)
{
	g_auto(GStrv) names = split_list(job);
	g_autoptr(GPtrArray) sections = NULL;

	if (names == NULL)
		return false;
	sections = g_ptr_array_new();
	for (size_t i = 0; names[i] != NULL; i++) {
		PhSection *section = job->context->resolve(job->context->user_data, job->row->kind,
		                                           names[i], job->problem);

		if (section == NULL)
			return false;
		g_ptr_array_add(sections, section);
	}
	g_ptr_array_add(sections, NULL);
	*(PhSection ***) job->member =
		(PhSection **) g_ptr_array_free(g_steal_pointer(&sections), FALSE);
	return true;
}

static void
clear_text(void *member)
{
	g_clear_pointer((char **) member, g_free);
}

static void
clear_list(void *member)
{
	g_clear_pointer((char ***) member, g_strfreev);
}

static void
clear_secret(void *member)
{
	PhSecret **secret = member;

	ph_secret_free(*secret);
	*secret = NULL;
}

static void
clear_sections(void *member)
{
	g_clear_pointer((PhSection ***) member, g_free);
}

static void
clear_nothing(void *member)
{
}

typedef struct {
	const char *name;
	size_t size;
	bool (*parse)(const Job *job);
	void (*clear)(void *member);
} Type;

/* One of the keys that share a row; all of them are gathered by bind.c. */
static bool
parse_keys(const Job *job)
{
	char **pair = g_new0(char *, 3);

	pair[0] = ph_option_key(job->row);
	pair[1] = g_strdup(job->text);
	*(char ***) job->member = pair;
	return true;
}

static const Type types[] = {
	[PH_OPTION_TYPE_STRING] = { "string", sizeof(char *), parse_string, clear_text },
	[PH_OPTION_TYPE_PATH] = { "path", sizeof(char *), parse_path, clear_text },
	[PH_OPTION_TYPE_TEMPLATE] = { "template", sizeof(char *), parse_template, clear_text },
	[PH_OPTION_TYPE_SIZE] = { "size", sizeof(PhSize), parse_size, clear_nothing },
	[PH_OPTION_TYPE_DURATION] = { "duration", sizeof(PhDuration), parse_duration,
	                              clear_nothing },
	[PH_OPTION_TYPE_BOOLEAN] = { "boolean", sizeof(bool), parse_boolean, clear_nothing },
	[PH_OPTION_TYPE_INTEGER] = { "integer", sizeof(int64_t), parse_integer, clear_nothing },
	[PH_OPTION_TYPE_CHOICE] = { "choice", sizeof(uint32_t), parse_choice, clear_nothing },
	[PH_OPTION_TYPE_LIST] = { "list", sizeof(char **), parse_list, clear_list },
	[PH_OPTION_TYPE_SECRET] = { "secret", sizeof(PhSecret *), parse_secret, clear_secret },
	[PH_OPTION_TYPE_SECTION] = { "section", sizeof(PhSection *), parse_section, clear_nothing },
	[PH_OPTION_TYPE_SECTIONS] = { "sections", sizeof(PhSection **), parse_sections,
	                              clear_sections },
	[PH_OPTION_TYPE_KEYS] = { "text, in several keys", sizeof(char **), parse_keys,
	                          clear_list },
};

bool
ph_option_parse(const PhOption *row,
                const char *text,
                const PhOptionContext *context,
                void *member,
                GString *problem)
{
	const Job job = { row, text, context, member, problem };

	g_assert(row->type > 0 && row->type < G_N_ELEMENTS(types));
	if (text[0] == '\0') {
		g_string_append(problem, "has no value; give one or remove the line");
		return false;
	}
	return types[row->type].parse(&job);
}

void
ph_option_clear(const PhOption *row, void *member)
{
	types[row->type].clear(member);
}

char *
ph_option_key(const PhOption *row)
{
	const char *more = row->type == PH_OPTION_TYPE_KEYS ? "-*" : "";

	return g_strdelimit(g_strconcat(row->key, more, NULL), "_", '-');
}

const char *
ph_option_type_name(uint32_t type)
{
	return type > 0 && type < G_N_ELEMENTS(types) ? types[type].name : "unknown";
}

size_t
ph_option_member_size(uint32_t type)
{
	return type > 0 && type < G_N_ELEMENTS(types) ? types[type].size : 0;
}

bool
ph_option_shows(const PhOption *row)
{
	return row->type != PH_OPTION_TYPE_SECRET;
}
