#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-directories-exec-http.py: users from SQLite, programs, web services and chains of them"""
import http.server
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import lib
from lib import PASSWORD, Server, main
from site_login import ALL, login

SQLITE = """
[directory base]
plugin = sqlite
path = {dir}/base.sqlite
domain = example.org
"""
PROGRAM = """
import json, os, sys, time
with open(sys.argv[1] + "/started", "a") as log:
    log.write("%d\\n" % os.getpid())
for line in sys.stdin:
    q = json.loads(line)
    name = q["local"]
    if name == "hang":
        time.sleep(60)
    if name == "die":
        sys.exit(1)
    if name == "flood":
        while True:
            print("x" * 65536)
    if name == "nonsense":
        print("[1]", flush=True)
        continue
    known = name in ("anna", "quiet")
    right = q["ask"] != "verify" or q["password"] == "correct horse"
    print(json.dumps({"result": "unknown" if not known else "ok" if right else "wrong",
                      "quota": "1M", "groups": ["staff"]}), flush=True)
"""
EXEC = """
[directory program]
plugin = exec
command = {python} {dir}/users.py {dir}
domain = example.org
answer-timeout = 1500ms
concurrency = 4
cache = 0s
cache-negative = 0s
"""


class Site(Server):
    """A server with a chain of directories; `web`: the port of a web service."""

    def __init__(self, text, chain, web=0):
        self.more = {"chain": chain, "python": os.path.realpath(sys.executable), "web": web}
        super().__init__(ALL + text, ports=("imap",))
        with open(self.dir + "/users.py", "w", encoding="ascii") as stream:
            stream.write(PROGRAM)

    def write_config(self, text):
        self.values.update(self.more)
        super().write_config(text)

    def worker_pid(self):
        return json.loads(self.run("status", "--json").stdout)["pid"]


def test_users_of_a_database_are_added_changed_and_removed_while_it_runs():
    with Site(SQLITE, "base") as server:
        assert login(server, "anna") == "AUTHENTICATIONFAILED"
        added = server.run("user", "add", "anna@example.org", "--stdin", "--scheme", "SSHA256",
                           stdin="one\n")
        assert added.returncode == 0, added.stderr
        assert login(server, "anna", "one") == "" and login(server, "Anna@Example.ORG", "one") == ""
        assert login(server, "anna", "two") == "AUTHENTICATIONFAILED"
        assert server.run("passwd", "anna@example.org", "--stdin", stdin="two\n").returncode == 0
        assert login(server, "anna", "one") == "AUTHENTICATIONFAILED", "a kept answer is too old"
        assert login(server, "anna", "two") == ""
        assert server.run("user", "list").stdout == "anna@example.org\n"
        database = sqlite3.connect(server.dir + "/base.sqlite")
        with database:
            database.execute("UPDATE users SET disabled = 1")
        database.close()
        assert login(server, "anna", "two") == "AUTHENTICATIONFAILED"
        assert server.events("login-disabled")
        assert server.run("user", "remove", "anna@example.org").returncode == 0
        assert login(server, "anna", "two") == "AUTHENTICATIONFAILED"


# What `doveadm pw` can make and a login by password can use; the others are for challenges alone.
NOT_TAKEN = {"HMAC-MD5", "CRAM-MD5", "OTP", "DIGEST-MD5", "PLAIN-MD4", "PLAIN-TRUNC"}


def test_every_form_that_doveadm_makes_is_understood():
    doveadm = lib.need("doveadm")
    schemes = subprocess.run([doveadm, "pw", "-l"], check=True, capture_output=True,
                             text=True).stdout.split()
    forms = []
    for scheme in sorted(set(schemes) - NOT_TAKEN):
        for suffix in ("", ".b64", ".hex"):
            words = [doveadm, "pw", "-s", scheme + suffix, "-p", PASSWORD]
            if scheme == "BLF-CRYPT":
                words += ["-r", "5"]
            forms.append(subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip())
    with Site(lib.PEOPLE, "people") as server:
        with open(server.dir + "/users", "w", encoding="ascii") as stream:
            stream.writelines("user%d@example.org:%s\n" % pair for pair in enumerate(forms))
        for number, form in enumerate(forms):
            user = "user%d@example.org" % number
            assert login(server, user) == "", form
            if number % 3 == 0:
                assert login(server, user, PASSWORD[:7]) == "AUTHENTICATIONFAILED", form


def test_passwords_are_stored_anew_at_login():
    with Site(SQLITE + "rehash = SSHA512\n", "base") as server:
        assert server.run("user", "add", "anna", "--stdin", "--scheme", "PLAIN",
                          stdin="one\n").returncode == 0
        assert login(server, "anna", "one") == ""
        database = sqlite3.connect(server.dir + "/base.sqlite")
        stored = database.execute("SELECT password FROM users").fetchone()[0]
        database.close()
        assert stored.startswith("{SSHA512}"), stored
        assert login(server, "anna", "one") == "" and login(server, "anna", "on") != ""


def test_a_program_answers_and_is_kept_running():
    with Site(EXEC, "program") as server:
        for _ in range(5):
            assert login(server, "anna") == ""
            assert login(server, "anna", "x") == "AUTHENTICATIONFAILED"
            assert login(server, "bert") == "AUTHENTICATIONFAILED"
        with open(server.dir + "/started", encoding="ascii") as stream:
            assert len(stream.readlines()) == 1
        assert login(server, 'an"na\\', '{"result":"ok"}') == "AUTHENTICATIONFAILED"


def test_a_program_that_fails_costs_one_temporary_failure():
    with Site(EXEC, "program") as server:
        for user in ("hang", "die", "flood", "nonsense"):
            began = time.monotonic()
            assert login(server, user) == "UNAVAILABLE", user
            assert time.monotonic() - began < 6, user
            assert login(server, "anna") == "", "after " + user
        found = server.events("login-unavailable")
        assert len(found) == 4 and all("program" in one["error"] for one in found), found


def test_one_who_hangs_locks_nobody_else_out():
    with Site(EXEC, "program") as server:
        threads = [threading.Thread(target=login, args=(server, "hang")) for _ in range(3)]
        for thread in threads:
            thread.start()
        began = time.monotonic()
        assert login(server, "anna") == ""
        assert time.monotonic() - began < 3
        for thread in threads:
            thread.join()


SOCKET = """
[directory slow]
plugin = exec
command = unix:{dir}/slow.sock
copies = 64
concurrency = 64
answer-timeout = 3s
"""
SLOW_WEB = """
[directory slow]
plugin = http
url = http://127.0.0.1:{web}/users
concurrency = 64
connections = 64
answer-timeout = 3s
"""


def check_holds_no_thread(server, n=40):
    """Many wait for the slow directory: threads are much fewer, and mail goes on. The pool of threads may
    grow while so many come at once, more so when work is late, and is not small again before 10 s have
    passed. The first directory knows them all, by other passwords in plain text, so that no slow hashes
    are made for people that it does not know."""
    def threads():
        return len(os.listdir("/proc/%d/task" % server.worker_pid()))

    def slow_login(number):
        results.append(login(server, "user%d@example.org" % number))

    results = []
    with open(server.dir + "/users", "a", encoding="ascii") as stream:
        stream.writelines("user%d@example.org:{PLAIN}other\n" % number for number in range(n))
    assert login(server, "anna@example.org") == ""
    before = threads()
    waiting = [threading.Thread(target=slow_login, args=(number,)) for number in range(n)]
    for thread in waiting:
        thread.start()
    time.sleep(1)
    during = threads()
    began = time.monotonic()
    assert login(server, "anna@example.org") == ""
    assert time.monotonic() - began < 1
    for thread in waiting:
        thread.join()
    assert results == ["UNAVAILABLE"] * n, results
    assert during <= before + n // 2, "%d threads, %d while %d wait" % (before, during, n)


def test_a_slow_program_holds_no_thread():
    with Site(lib.PEOPLE + "on-wrong = next\n" + SOCKET, "people, slow") as server:
        with socket.socket(socket.AF_UNIX) as slow:
            slow.bind(server.dir + "/slow.sock")
            slow.listen(64)
            check_holds_no_thread(server)


def test_a_slow_web_service_holds_no_thread():
    with socket.create_server(("127.0.0.1", 0), backlog=64) as slow:
        with Site(lib.PEOPLE + "on-wrong = next\n" + SLOW_WEB, "people, slow", slow.getsockname()[1]) as server:
            check_holds_no_thread(server)


class Service(http.server.BaseHTTPRequestHandler):
    """The web service: answers like the program, and notes what it was asked."""
    asked = []
    status = 200

    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.headers["Authorization"], question))
        right = question.get("password", PASSWORD) == PASSWORD
        result = "unknown" if question["local"] != "anna" else "ok" if right else "wrong"
        body = json.dumps({"result": result}).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


WEB = """
[directory web]
plugin = http
url = http://127.0.0.1:{web}/users
token = key
domain = example.org
answer-timeout = 2s
on-error = next
"""


def test_a_web_service_answers_and_may_be_away():
    service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    try:
        with Site(WEB + SQLITE, "web, base", service.server_address[1]) as server:
            assert server.run("user", "add", "bert", "--stdin", "-d", "base", "--scheme", "PLAIN",
                              stdin=PASSWORD + "\n").returncode == 0
            assert login(server, "anna") == "" and login(server, "bert") == ""
            assert Service.asked[0][0] == "Bearer key" and Service.asked[0][1]["ask"] == "verify"
            n = len(Service.asked)
            assert login(server, "anna") == "" and len(Service.asked) == n, "it is kept"
            assert login(server, "anna", "x") == "AUTHENTICATIONFAILED"
            server.stop()
            server.write_config(server.text.replace("plugin = http", "plugin = http\nisolate = 2"))
            server.start()
            assert login(server, "anna") == "" and login(server, "bert") == ""
            assert login(server, "anna", "z") == "AUTHENTICATIONFAILED"
            Service.status = 500
            assert login(server, "anna", "y") == "UNAVAILABLE"
            assert login(server, "bert", PASSWORD) == "", "the next directory knows him"
            service.shutdown()
            service.server_close()
            assert login(server, "carl") == "UNAVAILABLE"
    finally:
        service.server_close()


if __name__ == "__main__":
    main(globals())
