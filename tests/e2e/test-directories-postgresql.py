#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-directories-postgresql.py: users of a real PostgreSQL"""
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import lib
from lib import PASSWORD, Server, free_ports, main, wait_for
from site_login import ALL, login

OURS = """
[directory base]
plugin = postgresql
connection = {connection}
domain = example.org
query-timeout = 1s
"""
OTHERS = OURS + """user-query = SELECT pw AS password, mb::text || 'M' AS quota FROM box WHERE name = :user
"""
ENDLESS = OURS + """user-query = WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE :local = :local) SELECT repeat('x', 10000) AS a FROM t
"""
SLOW = OURS + """user-query = SELECT pg_sleep(60)::text AS password WHERE :local = :local
"""


class Postgres:
    """A PostgreSQL with a folder and loopback port of its own."""

    def __init__(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
        if not found:
            raise lib.Skip("PostgreSQL is not installed")
        self.bin = os.path.dirname(found[-1])
        self.dir = tempfile.mkdtemp(prefix="posthorn-postgres-")
        self.port = free_ports(1)[0]
        self.connection = "host=127.0.0.1 port=%d user=tester dbname=postgres" % self.port
        self.process = None
        if os.geteuid() == 0:
            shutil.chown(self.dir, "postgres", "postgres")
        self.run("initdb", "-D", self.dir + "/db", "-U", "tester", "-A", "trust", "-N")

    def words(self, program, *words):
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        return (as_postgres if os.geteuid() == 0 else []) + [self.bin + "/" + program, *words]

    def run(self, program, *words):
        subprocess.run(self.words(program, *words), check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, cwd="/")

    def sql(self, text):
        self.run("psql", "-d", self.connection, "-c", text)

    def __enter__(self):
        self.process = subprocess.Popen(
            self.words("postgres", "-D", self.dir + "/db", "-p", str(self.port),
                       "-h", "127.0.0.1", "-k", "", "-c", "fsync=off"),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
        wait_for(self.answers, 15, "PostgreSQL")
        return self

    def answers(self):
        return subprocess.run(self.words("pg_isready", "-q", "-d", self.connection), cwd="/",
                              check=False).returncode == 0

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()

    def __exit__(self, *args):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class Site(Server):
    def __init__(self, text, connection, chain="base"):
        self.more = {"chain": chain, "connection": connection}
        super().__init__(ALL + text, ports=("imap",))

    def write_config(self, text):
        self.values.update(self.more)
        super().write_config(text)


def test_our_tables_are_made_and_changed():
    with Postgres() as postgres, Site(OURS, postgres.connection) as server:
        assert login(server, "anna") == "AUTHENTICATIONFAILED"
        for name in ("anna@example.org", "bert@example.org"):
            added = server.run("user", "add", name, "--stdin", "--scheme", "SSHA256",
                               stdin=PASSWORD + "\n")
            assert added.returncode == 0, added.stderr
        assert login(server, "Anna") == "" and login(server, "anna", "x") != ""
        assert server.run("user", "add", "anna@example.org", "--stdin",
                          stdin="x\n").returncode != 0
        assert server.run("user", "list").stdout.split() == ["anna@example.org",
                                                             "bert@example.org"]
        assert server.run("passwd", "anna@example.org", "--stdin", stdin="new\n").returncode == 0
        assert login(server, "anna") != "" and login(server, "anna", "new") == ""
        for name in ("' OR true --", "anna' --", "%", "anna\\", "\u00e4nna", ":user", "$1"):
            assert login(server, name) == "AUTHENTICATIONFAILED", name
        server.stop()
        server.write_config(server.text.replace("query-timeout = 1s",
                                                "query-timeout = 1s\ncache = 0s"))
        server.start()
        postgres.sql("UPDATE posthorn.users SET disabled = true WHERE local = 'bert'")
        assert login(server, "bert") == "AUTHENTICATIONFAILED"
        assert server.run("user", "remove", "anna@example.org").returncode == 0
        assert login(server, "anna", "new") == "AUTHENTICATIONFAILED"

        postgres.stop()
        assert login(server, "bert") == "UNAVAILABLE"
        postgres.__enter__()
        assert login(server, "bert") == "AUTHENTICATIONFAILED", "it is connected again"


def test_the_contract_is_kept():
    with Postgres() as postgres, Site(OURS, postgres.connection) as server:
        added = server.run("user", "add", "anna@example.org", "--stdin", "--scheme", "PLAIN",
                           stdin=PASSWORD + "\n")
        assert added.returncode == 0, added.stderr
        done = server.run("conform", "directory", "base", "--user", "anna@example.org",
                          "--password", PASSWORD, "--change")
        assert done.returncode == 0, done.stdout + done.stderr


def test_other_tables_are_asked_with_bound_names_and_in_bounded_time():
    with Postgres() as postgres:
        postgres.sql("CREATE TABLE box (name text, pw text, mb integer);"
                     "INSERT INTO box VALUES ('anna@example.org', '{PLAIN}correct horse', 5)")
        with Site(OTHERS, postgres.connection) as server:
            assert login(server, "anna") == "" and login(server, "bert") != ""
            refused = server.run("user", "add", "x", "--stdin", stdin="x\n")
            assert "changed there" in refused.stderr, refused.stderr
        with Site(SLOW, postgres.connection) as server:
            began = time.monotonic()
            assert login(server, "anna") == "UNAVAILABLE"
            assert time.monotonic() - began < 4


def test_an_endless_answer_is_cut():
    with Postgres() as postgres, Site(ENDLESS, postgres.connection) as server:
        assert login(server, "anna") == "UNAVAILABLE"
        worker = json.loads(server.run("status", "--json").stdout)["pid"]
        with open("/proc/%d/status" % worker, encoding="ascii") as stream:
            memory = int(stream.read().split("VmHWM:")[1].split()[0])
        assert memory < 50000, "%d KiB" % memory
        postgres.sql("SELECT 1")


def test_a_server_that_hangs_locks_nobody_out():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = "host=127.0.0.1 port=%d sslmode=disable" % silent.getsockname()[1]
        with Site(OURS + lib.PEOPLE, connection, "people, base") as server:
            threads = [threading.Thread(target=login, args=(server, "user%d" % i))
                       for i in range(8)]
            for thread in threads:
                thread.start()
            time.sleep(0.2)
            began = time.monotonic()
            assert login(server, "anna@example.org") == ""
            assert time.monotonic() - began < 1, "it waited for the other directory"
            for thread in threads:
                thread.join()
            assert all("base" in one["error"] for one in server.events("login-unavailable"))


if __name__ == "__main__":
    main(globals())
