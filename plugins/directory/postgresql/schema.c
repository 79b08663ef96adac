/* schema.c: our own tables in PostgreSQL, in a schema of their own
 *
 * The version stands in a table, so that a later one can bring them up to date. Names are kept in lower
 * case, as they are asked for.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "postgresql.h"

const char schema_settle[] =
	"SET client_min_messages = warning;"
	"SELECT pg_advisory_xact_lock(1346917700);"
	"CREATE SCHEMA IF NOT EXISTS posthorn;"
	"CREATE TABLE IF NOT EXISTS posthorn.version (version integer NOT NULL);"
	"CREATE TABLE IF NOT EXISTS posthorn.users (domain text NOT NULL, local text NOT NULL,"
	" password text, name text, home text, quota bigint, messages bigint,"
	" disabled boolean NOT NULL DEFAULT false, PRIMARY KEY (domain, local));"
	"CREATE TABLE IF NOT EXISTS posthorn.fields (domain text NOT NULL, local text NOT NULL,"
	" field text NOT NULL, value text NOT NULL, PRIMARY KEY (domain, local, field, value),"
	" FOREIGN KEY (domain, local) REFERENCES posthorn.users ON DELETE CASCADE);"
	"CREATE TABLE IF NOT EXISTS posthorn.aliases (domain text NOT NULL, local text NOT NULL,"
	" target text NOT NULL, PRIMARY KEY (domain, local, target));"
	"INSERT INTO posthorn.version SELECT 1 WHERE NOT EXISTS (SELECT FROM posthorn.version);"
	"DO $$ BEGIN IF (SELECT max(version) FROM posthorn.version) > 1 THEN"
	" RAISE EXCEPTION 'the tables are of a later version of this plugin'; END IF; END $$";

const char schema_user_query[] =
	"SELECT password, name, home, quota::text, messages::text, disabled::text, NULL AS groups,"
	" NULL AS senders, NULL AS aliases FROM posthorn.users"
	" WHERE local = :local AND domain = :domain UNION ALL"
	" SELECT NULL, NULL, NULL, NULL, NULL, NULL, CASE field WHEN 'groups' THEN value END,"
	" CASE field WHEN 'senders' THEN value END, CASE field WHEN 'aliases' THEN value END"
	" FROM posthorn.fields WHERE local = :local AND domain = :domain";
const char schema_alias_query[] =
	"SELECT target AS targets FROM posthorn.aliases WHERE local = :local AND domain = :domain";
const char schema_list_query[] =
	"SELECT local || CASE domain WHEN '' THEN '' ELSE '@' || domain END FROM posthorn.users"
	" ORDER BY domain, local";
const char schema_add[] = "INSERT INTO posthorn.users (domain, local, password)"
			  " VALUES (:domain, :local, :hash) ON CONFLICT DO NOTHING";
const char schema_change[] = "UPDATE posthorn.users SET password = :hash"
			     " WHERE domain = :domain AND local = :local";
const char schema_remove[] = "DELETE FROM posthorn.users"
			     " WHERE domain = :domain AND local = :local";
