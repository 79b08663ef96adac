/* directories.c: the rules of a directory
 *
 * The caller names a user who is there, with the password, and whether the kit may add and remove users.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/directories.h"

#include <posthorn/slice.h>

#include "conform/kit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	THREADS = 4,
	ROUNDS = 25, /* of a thread */
	TIMED = 41,  /* attempts of each kind */
	FACTOR = 3,  /* times that may differ: other work shares the machine */
	MIN_US = 300,
	LONGEST_NAME = 320,
};

static PhConformDirectory kit;

static const char stranger[] = "nobody-has-this-name-7f3a";

/* --- asking: what must hold for every answer --- */

static PhVerify
judged(const char *what, PhVerify result, const PhIdentity *identity, GError *error)
{
	KIT_CHECK(result >= PH_VERIFY_OK && result <= PH_VERIFY_ERROR,
	          "%s returns %d, which is no PhVerify", what, (int) result);
	KIT_CHECK((result == PH_VERIFY_OK) == (identity != NULL),
	          "%s sets an identity for OK alone, and always then", what);
	KIT_CHECK((result == PH_VERIFY_ERROR) == (error != NULL),
	          "%s sets an error for ERROR alone, and always then", what);
	g_clear_error(&error);
	return result;
}

/* @address_out: (nullable, owned) */
static PhVerify
lookup(const char *name, char **address_out)
{
	g_autoptr(PhIdentity) identity = NULL;
	GError *error = NULL;
	PhVerify result = kit.table->lookup(kit.instance, name, &identity, &error);

	if (address_out != NULL)
		*address_out = identity != NULL ? g_strdup(ph_identity_address(identity)) : NULL;
	return judged("lookup", result, identity, error);
}

static PhVerify
verify(const char *name, const char *password, char **address_out)
{
	g_autoptr(PhSecret) secret = ph_secret_new(ph_slice(password));
	g_autoptr(PhIdentity) identity = NULL;
	GError *error = NULL;
	PhVerify result = kit.table->verify(kit.instance, name, secret, &identity, &error);

	if (address_out != NULL)
		*address_out = identity != NULL ? g_strdup(ph_identity_address(identity)) : NULL;
	return judged("verify", result, identity, error);
}

static void
need_verify(void)
{
	if (kit.table->verify == NULL)
		ph_kit_skip("it knows no passwords");
	if (kit.password == NULL)
		ph_kit_skip("give the user's password with --password");
}

/* --- rules --- */

static void
known_user(void)
{
	g_autofree char *address = NULL;
	PhVerify result = lookup(kit.user, &address);

	KIT_CHECK(result == PH_VERIFY_OK, "lookup of '%s' returns %d, not OK", kit.user,
	          (int) result);
	KIT_CHECK(address[0] != '\0', "the address is empty");
}

static void
unknown_user(void)
{
	g_autofree char *full = g_strconcat(stranger, "@example.invalid", NULL);

	KIT_CHECK(lookup(stranger, NULL) == PH_VERIFY_UNKNOWN_USER,
	          "lookup of a name that nobody has is not UNKNOWN_USER");
	KIT_CHECK(lookup(full, NULL) == PH_VERIFY_UNKNOWN_USER,
	          "lookup of an address that nobody has is not UNKNOWN_USER");
	if (kit.table->verify != NULL)
		KIT_CHECK(verify(stranger, "x", NULL) == PH_VERIFY_UNKNOWN_USER,
		          "verify of a name that nobody has is not UNKNOWN_USER");
}

static void
right_password(void)
{
	need_verify();
	KIT_CHECK(verify(kit.user, kit.password, NULL) == PH_VERIFY_OK,
	          "the right password is not OK");
}

static void
wrong_password(void)
{
	g_autofree char *longer = NULL;
	g_autofree char *shorter = NULL;
	g_autofree char *other_case = NULL;
	g_autofree char *huge = g_strnfill(1024, 'x');

	need_verify();
	longer = g_strconcat(kit.password, "x", NULL);
	shorter = g_strndup(kit.password, strlen(kit.password) - 1);
	other_case = g_ascii_strup(kit.password, -1);
	const char *const wrong[] = { longer, shorter, other_case, huge, " ",
		                      "*",    "%",     "{PLAIN}",  "'" };

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		if (strcmp(wrong[i], kit.password) == 0)
			continue;
		KIT_CHECK(verify(kit.user, wrong[i], NULL) == PH_VERIFY_WRONG,
		          "wrong password %" G_GSIZE_FORMAT " is not WRONG", i);
	}
}

static void
empty_password(void)
{
	need_verify();
	KIT_CHECK(verify(kit.user, "", NULL) == PH_VERIFY_WRONG, "an empty password is not WRONG");
}

/* [DIR-2] */
static void
one_address(void)
{
	g_autofree char *lower = g_ascii_strdown(kit.user, -1);
	g_autofree char *upper = g_ascii_strup(kit.user, -1);
	const char *const spellings[] = { kit.user, lower, upper };
	g_autofree char *first = NULL;

	(void) lookup(kit.user, &first);
	for (size_t i = 0; i < G_N_ELEMENTS(spellings); i++) {
		g_autofree char *looked_up = NULL;
		g_autofree char *verified = NULL;

		if (lookup(spellings[i], &looked_up) == PH_VERIFY_OK)
			ph_kit_same_text("the address of another spelling", looked_up, first);
		if (kit.table->verify == NULL || kit.password == NULL)
			continue;
		if (verify(spellings[i], kit.password, &verified) == PH_VERIFY_OK)
			ph_kit_same_text("the address that verify gives", verified, first);
		KIT_CHECK((verified != NULL) == (looked_up != NULL),
		          "verify and lookup do not know the same spellings");
	}
}

/* [DIR-1] */
static int
compare_times(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *) a;
	uint64_t right = *(const uint64_t *) b;

	return (left > right) - (left < right);
}

static uint64_t
time_of(const char *name, unsigned i)
{
	g_autofree char *password = g_strdup_printf("wrong-%u", i);
	uint64_t began = ph_kit_now_us();

	(void) verify(name, password, NULL);
	return ph_kit_now_us() - began;
}

static void
equal_time(void)
{
	uint64_t known[TIMED];
	uint64_t unknown[TIMED];

	need_verify();
	(void) verify(kit.user, kit.password, NULL);
	for (unsigned i = 0; i < TIMED; i++) {
		known[i] = time_of(kit.user, i);
		unknown[i] = time_of(stranger, i);
	}
	qsort(known, TIMED, sizeof known[0], compare_times);
	qsort(unknown, TIMED, sizeof unknown[0], compare_times);
	uint64_t a = known[TIMED / 2];
	uint64_t b = unknown[TIMED / 2];
	ph_kit_note("%.2f ms for a wrong password, %.2f ms for an unknown user", (double) a / 1000,
	            (double) b / 1000);
	KIT_CHECK(MAX(a, b) < MIN_US || MAX(a, b) < FACTOR * MAX(MIN(a, b), 1),
	          "a wrong password takes %.2f ms, an unknown user %.2f ms", (double) a / 1000,
	          (double) b / 1000);
}

static void
hostile_names(void)
{
	static const char *const names[] = {
		"' OR '1'='1",
		"x'; DROP TABLE users; --",
		"*",
		"*)(uid=*",
		"a\\2a",
		"%",
		"_",
		"\\",
		"\"",
		"${x}",
		"$(x)",
		"`x`",
		"../../etc/passwd",
		"a:b",
		"a,b",
		"a=b",
		"@",
		"a@",
		"@b",
		"a@b@c",
		"{user}",
		"\xc3\xa4\xcc\x88",
		"\xf0\x9f\x93\xaf",
		"a b",
		"#a",
		"-a",
	};
	g_autofree char *longest = g_strnfill(LONGEST_NAME, 'a');

	for (size_t i = 0; i <= G_N_ELEMENTS(names); i++) {
		const char *name = i < G_N_ELEMENTS(names) ? names[i] : longest;

		KIT_CHECK(lookup(name, NULL) == PH_VERIFY_UNKNOWN_USER,
		          "lookup of '%.40s' is not UNKNOWN_USER", name);
		if (kit.table->verify != NULL && kit.password != NULL)
			KIT_CHECK(verify(name, kit.password, NULL) != PH_VERIFY_OK,
			          "verify lets '%.40s' in", name);
	}
	KIT_CHECK(lookup(kit.user, NULL) == PH_VERIFY_OK, "afterwards the user is gone");
}

static void
secrets(void)
{
	static const char *const schemes[] = { "PLAIN", "SCRAM-SHA-256", "NO-SUCH-SCHEME" };

	if (kit.table->secret == NULL)
		ph_kit_skip("it gives no secrets");
	for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
		g_autoptr(PhSecret) none = NULL;
		g_autoptr(PhSecret) form = NULL;
		g_autoptr(GError) error = NULL;
		PhVerify result =
			kit.table->secret(kit.instance, stranger, schemes[i], &none, &error);

		KIT_CHECK(result != PH_VERIFY_OK && none == NULL,
		          "there is a %s secret of a name that nobody has", schemes[i]);
		result = kit.table->secret(kit.instance, kit.user, schemes[i], &form, &error);
		KIT_CHECK((result == PH_VERIFY_OK) == (form != NULL),
		          "a %s secret is set for OK alone, and always then", schemes[i]);
		if (form != NULL && i == 0 && kit.password != NULL)
			KIT_CHECK(ph_slice_is(ph_secret_slice(form), kit.password),
			          "the PLAIN secret is not the password");
		KIT_CHECK(form == NULL || i < 2,
		          "there is a secret in a scheme that does not exist");
	}
}

static bool
find_address(const char *address, void *user_data)
{
	char **wanted = user_data;

	if (*wanted != NULL && g_ascii_strcasecmp(address, *wanted) == 0)
		g_clear_pointer(wanted, g_free);
	return true;
}

static bool
count_one(const char *address, void *user_data)
{
	(*(unsigned *) user_data)++;
	return false;
}

static void
lists(void)
{
	g_autofree char *wanted = NULL;
	unsigned n = 0;
	g_autoptr(GError) error = NULL;

	if (kit.table->list == NULL)
		ph_kit_skip("it lists nobody");
	(void) lookup(kit.user, &wanted);
	if (!kit.table->list(kit.instance, find_address, &wanted, &error))
		ph_kit_skip("%s", error != NULL ? error->message : "list fails without a reason");
	KIT_CHECK(wanted == NULL, "the list lacks '%s'", wanted);
	KIT_CHECK(kit.table->list(kit.instance, count_one, &n, NULL) && n == 1,
	          "the list goes on after it was stopped");
}

static void
expands(void)
{
	unsigned n = 0;
	g_autoptr(GError) error = NULL;

	if (kit.table->expand == NULL)
		ph_kit_skip("it has no aliases");
	KIT_CHECK(kit.table->expand(kit.instance, stranger, count_one, &n, &error)
	                  == PH_VERIFY_UNKNOWN_USER,
	          "an alias that nobody has is not UNKNOWN_USER");
	KIT_CHECK(n == 0, "it stands for somebody");
}

static bool
fails_with(bool done, GError **error, int code)
{
	bool good = !done && g_error_matches(*error, PH_ERROR, code);

	g_clear_error(error);
	return good;
}

static void
change(const char *name)
{
	g_autoptr(GError) error = NULL;
	const PhDirectory *table = kit.table;

	KIT_CHECK(fails_with(table->set(kit.instance, name, "{PLAIN}one", false, &error), &error,
	                     PH_ERROR_NOT_FOUND),
	          "changing a user who is not there is not NOT_FOUND");
	KIT_CHECK(table->set(kit.instance, name, "{PLAIN}one", true, &error),
	          "adding a user fails: %s", error != NULL ? error->message : "");
	KIT_CHECK(verify(name, "one", NULL) == PH_VERIFY_OK, "a user that was added is not known");
	KIT_CHECK(fails_with(table->set(kit.instance, name, "{PLAIN}two", true, &error), &error,
	                     PH_ERROR_EXISTS),
	          "adding a user twice is not EXISTS");
	KIT_CHECK(verify(name, "one", NULL) == PH_VERIFY_OK, "adding twice changed the password");
	KIT_CHECK(table->set(kit.instance, name, "{PLAIN}two", false, &error),
	          "changing a password fails: %s", error != NULL ? error->message : "");
	KIT_CHECK(verify(name, "two", NULL) == PH_VERIFY_OK, "the new password is not right");
	KIT_CHECK(verify(name, "one", NULL) == PH_VERIFY_WRONG, "the old password still is");
}

static void
changes(void)
{
	g_autofree char *name = NULL;
	const char *at = strchr(kit.user, '@');
	uint64_t before = 0;
	g_autoptr(GError) error = NULL;

	if (kit.table->set == NULL || kit.table->remove == NULL || kit.table->verify == NULL)
		ph_kit_skip("users cannot be changed here");
	if (!kit.may_change)
		ph_kit_skip("give --change to let users be added and removed");
	name = g_strconcat(stranger, at != NULL ? at : "", NULL);
	before = kit.table->version != NULL ? kit.table->version(kit.instance) : 0;
	change(name);
	KIT_CHECK(kit.table->version == NULL || kit.table->version(kit.instance) != before,
	          "the version is the same after users were changed");
	KIT_CHECK(kit.table->remove(kit.instance, name, &error), "removing a user fails");
	KIT_CHECK(verify(name, "two", NULL) == PH_VERIFY_UNKNOWN_USER, "a removed user is known");
	KIT_CHECK(fails_with(kit.table->remove(kit.instance, name, &error), &error,
	                     PH_ERROR_NOT_FOUND),
	          "removing a user twice is not NOT_FOUND");
	KIT_CHECK(lookup(kit.user, NULL) == PH_VERIFY_OK, "another user is gone");
}

static void
steady_version(void)
{
	if (kit.table->version == NULL)
		ph_kit_skip("it has no version");
	uint64_t first = kit.table->version(kit.instance);

	(void) lookup(kit.user, NULL);
	(void) lookup(stranger, NULL);
	KIT_CHECK(kit.table->version(kit.instance) == first,
	          "the version changes although nothing else did: answers are never kept");
}

static void
answers_later(void)
{
	need_verify();
	if (kit.table->begin == NULL)
		ph_kit_skip("it answers at once");
	KIT_CHECK(kit.ask(kit.user, kit.password) == PH_VERIFY_OK, "begin: the right password");
	KIT_CHECK(kit.ask(kit.user, "wrong") == PH_VERIFY_WRONG, "begin: a wrong password");
	KIT_CHECK(kit.ask(kit.user, NULL) == PH_VERIFY_OK, "begin: a lookup");
	KIT_CHECK(kit.ask(stranger, "x") == verify(stranger, "x", NULL),
	          "begin and verify differ about a name that nobody has");
}

static void *
ask_often(void *user_data)
{
	for (int i = 0; i < ROUNDS; i++) {
		KIT_CHECK(lookup(kit.user, NULL) == PH_VERIFY_OK, "beside others the user is gone");
		KIT_CHECK(lookup(stranger, NULL) == PH_VERIFY_UNKNOWN_USER,
		          "beside others a stranger is known");
		if (kit.table->verify == NULL || kit.password == NULL)
			continue;
		KIT_CHECK(verify(kit.user, kit.password, NULL) == PH_VERIFY_OK,
		          "beside others the right password is not OK");
		KIT_CHECK(verify(kit.user, "wrong", NULL) == PH_VERIFY_WRONG,
		          "beside others a wrong password is not WRONG");
	}
	return NULL;
}

static void
together(void)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, ask_often, NULL) != 0)
			ph_kit_fail("cannot make a thread");
	for (int i = 0; i < THREADS; i++)
		(void) pthread_join(threads[i], NULL);
}

static const PhConformRule rules[] = {
	{ "known-user", "contract", "lookup finds the user", known_user, false },
	{ "unknown-user", "contract", "a name that nobody has is UNKNOWN_USER, no error",
	  unknown_user, false },
	{ "right-password", "contract", "the right password is OK", right_password, false },
	{ "wrong-password", "contract", "longer, shorter, other case, wildcards: WRONG",
	  wrong_password, false },
	{ "empty-password", "contract", "an empty password is WRONG", empty_password, false },
	{ "equal-time", "DIR-1", "a wrong password and an unknown user take the same time",
	  equal_time, false },
	{ "one-address", "DIR-2", "lookup and verify give one address for all spellings",
	  one_address, false },
	{ "hostile-names", "contract", "names of SQL, LDAP, shells and paths find nobody",
	  hostile_names, false },
	{ "secrets", "contract", "stored forms are those of known users", secrets, false },
	{ "lists", "contract", "the list has the user and can be stopped", lists, false },
	{ "expands", "contract", "an alias that nobody has is UNKNOWN_USER", expands, false },
	{ "changes", "contract", "users are added, changed and removed", changes, false },
	{ "steady-version", "contract", "the version changes with the users alone", steady_version,
	  false },
	{ "answers-later", "contract", "begin answers like verify and lookup", answers_later,
	  false },
	{ "together", "contract", "several threads ask at once", together, false },
	{ NULL, NULL, NULL, NULL, false },
};

const PhConformRule *const ph_conform_directory_themes[] = { rules, NULL };

int
ph_conform_directory_part(const PhConformDirectory *directory, int report, const char *const *role)
{
	const PhConformRule *rule = NULL;

	kit = *directory;
	ph_kit_report_to(report, false);
	if (role[0] != NULL && strcmp(role[0], "rule") == 0 && role[1] != NULL)
		rule = ph_conform_find(ph_conform_directory_themes, role[1]);
	if (rule == NULL)
		ph_kit_fail("there is no such rule");
	ph_kit_rule = rule->name;
	rule->run();
	return ph_kit_finish();
}
