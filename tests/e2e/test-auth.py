#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-auth.py: `posthorn auth test`, master users, what fail2ban reads, a flood of slow hashes"""
import base64
import hmac
import imaplib
import os
import re
import struct
import subprocess
import threading
import time

import lib
from lib import PASSWORD, SOURCE, Server, main
from site_login import ALL, login

TWO = """
[directory first]
plugin = static
users = anna:{{PLAIN}}one
domain = example.org
on-wrong = next

[directory second]
plugin = passwd-file
path = {dir}/users
"""
PEOPLE = lib.PEOPLE
FAST = "login-delay = 1ms\nlogin-delay-max = 1ms\nlogin-failures = 100\n"


class Site(Server):
    def __init__(self, text, chain="people", listener="", **more):
        self.more = {"chain": chain}
        config = ALL.replace("mechanisms = plain, login", "mechanisms = plain, login\n" + listener)
        super().__init__(config + text, ports=("imap",), **more)

    def write_config(self, text):
        self.values.update(self.more)
        super().write_config(text)


def test_auth_test_shows_who_answers_what():
    with Site(TWO, "first, second") as server:
        done = server.run("auth", "test", "anna@example.org", "--password-stdin",
                          stdin=PASSWORD + "\n")
        assert done.returncode == 0, done.stderr
        assert re.search(r"first +wrong password +[0-9.]+ ms", done.stdout), done.stdout
        assert re.search(r"second +right ", done.stdout), done.stdout
        assert PASSWORD not in done.stdout and "one" not in done.stdout
        done = server.run("auth", "test", "carl@example.org")
        assert done.returncode == 1 and done.stdout.count("unknown") == 2, done.stdout
        done = server.run("auth", "test", "anna", "--listener", "none")
        assert done.returncode == 1 and "no [listener none]" in done.stderr, done.stderr


def acts_as(server, authzid, user, password):
    client = imaplib.IMAP4("127.0.0.1", server.ports["imap"], timeout=30)
    try:
        client.authenticate("PLAIN",
                            lambda _: ("%s\0%s\0%s" % (authzid, user, password)).encode())
        client.logout()
        return True
    except imaplib.IMAP4.error:
        client.shutdown()
        return False


def test_master_users_act_as_others_and_the_log_says_so():
    masters = "\n[directory masters]\nplugin = static\nusers = boss:{{PLAIN}}top\n"
    listener = "master-directory = masters\nmaster-separator = *"
    with Site(PEOPLE + masters, listener=listener) as server:
        assert acts_as(server, "anna@example.org", "boss", "top")
        assert login(server, "anna@example.org*boss", "top") == ""
        assert not acts_as(server, "anna@example.org", "boss", "wrong")
        assert not acts_as(server, "nobody@example.org", "boss", "top")
        assert not acts_as(server, "ben@example.org", "anna@example.org", PASSWORD)
        assert login(server, "boss", "top") == "AUTHENTICATIONFAILED"
        found = [one for one in server.events("login") if one.get("acts-as")]
        assert [(one["user"], one["acts-as"]) for one in found] == [("boss", "anna@example.org")] * 2


SAFE = PEOPLE + """
[directory safe]
plugin = second-factor
below = people
path = {dir}/data/factors.sqlite
scope = imap
"""
KEY = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


def code(ahead=0):
    """The one-time code of KEY, some half minutes ahead."""
    counter = struct.pack(">Q", int(time.time()) // 30 + ahead)
    digest = hmac.new(base64.b32decode(KEY), counter, "sha1").digest()
    at = digest[-1] & 15
    return "%06d" % ((struct.unpack(">I", digest[at:at + 4])[0] & 0x7fffffff) % 1000000)


def test_one_time_codes_hold_once_and_app_passwords_can_be_taken_back():
    anna = "anna@example.org"
    with Site(SAFE, "safe") as server:
        def change(verb, name, secret="", *more):
            done = server.run("user", verb, name, "-d", "safe", *more,
                              stdin=secret + "\n" if secret else None)
            assert done.returncode == 0, done.stderr
            return done.stdout

        assert login(server, anna) == "", "no second factor yet"
        change("add", anna + "/totp", KEY, "--stdin", "--scheme", "PLAIN")
        change("add", anna + "/phone", "app one", "--stdin")
        change("add", anna + "/desk:smtp", "app two", "--stdin")
        assert login(server, anna) != "" and login(server, anna, PASSWORD + "000000") != ""
        right = PASSWORD + code()
        assert login(server, anna, right) == ""
        assert login(server, anna, right) == "AUTHENTICATIONFAILED", "a code was taken twice"
        assert login(server, anna, PASSWORD + code(-1)) == "AUTHENTICATIONFAILED", "an older one"
        assert login(server, anna, "wrong" + code(1)) == "AUTHENTICATIONFAILED"
        assert login(server, anna, PASSWORD + code(1)) == "", "the wrong password used it up"
        assert login(server, anna, "app one") == "" and login(server, anna, "app one") == ""
        assert login(server, anna, "app two") == "AUTHENTICATIONFAILED", "it is for SMTP"
        listed = server.run("user", "list", "-d", "safe").stdout.split()
        assert [one for one in listed if "/" in one] == [
            anna + "/desk", anna + "/phone", anna + "/totp"], listed
        assert anna in listed and "ben@example.org" in listed, "who is below is a user here"
        stats = server.run("store", "stats", "mail")
        assert stats.returncode == 0 and "/phone" not in stats.stdout, stats.stdout + stats.stderr
        change("remove", anna + "/phone")
        assert login(server, anna, "app one") == "AUTHENTICATIONFAILED"
        assert login(server, "ben@example.org") == "" and login(server, "nobody") != ""
        refused = server.run("user", "add", "carl", "-d", "safe", "--stdin", stdin="x\n")
        assert refused.returncode != 0 and "NAME/totp" in refused.stderr, refused.stderr


def fail2ban(server, text):
    """How many lines of @text fail2ban's filter takes for failures, and whose."""
    lib.need("fail2ban-regex")
    path = server.dir + "/log"
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    done = subprocess.run(["fail2ban-regex", "-o", "ip", path,
                           os.path.join(SOURCE, "contrib", "fail2ban", "posthorn.conf")],
                          capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_fail2ban_reads_each_failure_and_cannot_be_told_lies():
    lie = "x warning login-failed: authentication failed [192.0.2.9]"
    quoted = '","level":"warning","event":"login-failed","message":"authentication failed [192.0.2.9]"'
    for form in ("text", "json"):
        with Site(PEOPLE) as server:
            server.stop()
            server.write_config(server.text.replace("log = json", "log = " + form))
            server.start()
            assert login(server, "anna@example.org") == ""
            for user in ("anna@example.org", "nobody", lie, quoted):
                assert login(server, user, "wrong") == "AUTHENTICATIONFAILED"
            lib.wait_for(lambda: "\n".join(server.log).count("login-failed") >= 4, 5, "the log")
            assert fail2ban(server, "\n".join(server.log) + "\n") == ["127.0.0.1"] * 4, form
    with Site(PEOPLE) as server:
        journal = "Nov 22 08:00:00 mail posthorn[7]: authentication failed [192.0.2.1]\n"
        assert fail2ban(server, journal) == ["192.0.2.1"]


def test_failures_are_held_back_for_all_protocols_together():
    text = lib.WHOLE.replace("log = json", "log = json\nlogin-delay = 200ms\nlogin-delay-max = 2s")
    with Server(text) as server:
        def seconds(protocol):
            began = time.monotonic()
            try:
                if protocol == "imap":
                    imaplib.IMAP4("127.0.0.1", server.ports["imap"]).login("anna", "x")
                else:
                    client = server.smtp() if protocol == "smtp" else None
                    pop = None if client else lib.poplib.POP3("127.0.0.1", server.ports["pop3"])
                    pop.user("anna")
                    pop.pass_("x")
            except (imaplib.IMAP4.error, lib.poplib.error_proto):
                pass
            return time.monotonic() - began
        first, second, third = seconds("imap"), seconds("pop3"), seconds("imap")
        assert 0.19 < first < second < third, (first, second, third)


def test_a_flood_of_slow_hashes_does_not_stop_mail():
    with Server(lib.WHOLE.replace("log = json", "log = json\n" + FAST)) as server:
        hashed = server.run("user", "add", "slow@example.org", "--stdin", "--scheme", "ARGON2ID",
                            stdin="secret\n")
        assert hashed.returncode == 0, hashed.stderr
        over = threading.Event()

        def flood():
            while not over.is_set():
                login(server, "slow@example.org", base64.b64encode(os.urandom(6)).decode())
        threads = [threading.Thread(target=flood) for _ in range(24)]
        reader = server.imap()
        reader.select("INBOX")
        for thread in threads:
            thread.start()
        try:
            slowest = 0
            for _ in range(20):
                began = time.monotonic()
                server.send(b"Subject: x\r\n\r\nx\r\n")
                reader.noop()
                slowest = max(slowest, time.monotonic() - began)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        print("# the slowest of 20 deliveries and NOOPs took %.2f s" % slowest)
        assert slowest < 2


if __name__ == "__main__":
    main(globals())
