#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-bulkhead.py: a directory that hangs takes neither the threads nor the time of the others"""
import imaplib
import json
import os
import socket
import statistics
import time

from lib import BUILD, PASSWORD, Server, main, wait_for

PLUGIN = os.path.join(BUILD, "tests", "e2e", "plugin-trouble.so")
SLOW = """
[directory slow]
plugin = %s:trouble
hang = {hang}
{limits}
[listener slow]
plugin = imap
address = 127.0.0.1:{slow}
store = mail
directory = slow
mechanisms = plain
""" % PLUGIN
PORTS = ("smtp", "imap", "pop3", "slow")


class Slow(Server):
    """A server whose listener `slow` asks a directory that takes so long."""

    def __init__(self, hang, limits=""):
        super().__init__(ports=PORTS, extra=SLOW.replace("{hang}", hang).replace("{limits}", limits))
        self.clients = []

    def begin_login(self, words="LOGIN anna@example.org \"%s\"" % PASSWORD):
        """Sends a login and does not wait for its answer."""
        client = socket.create_connection(("127.0.0.1", self.ports["slow"]), timeout=30)
        client.recv(1000)
        client.sendall(b"a " + words.encode() + b"\r\n")
        self.clients.append(client)
        return client

    def section(self, name):
        status = json.loads(self.run("status", "--json").stdout)
        return [one for one in status["sections"] if one["section"] == "[directory %s]" % name][0]

    def threads(self):
        return len(os.listdir("/proc/%d/task" % self.worker()))

    def __exit__(self, kind, value, trace):
        for client in self.clients:
            client.close()
        super().__exit__(kind, value, trace)


def login_seconds(server):
    client = imaplib.IMAP4("127.0.0.1", server.ports["imap"], timeout=30)
    started = time.monotonic()
    client.login("anna@example.org", PASSWORD)
    seconds = time.monotonic() - started
    client.logout()
    return seconds


def test_logins_into_a_directory_that_hangs_take_no_threads():
    with Slow("30s") as server:
        login_seconds(server)
        threads = server.threads()
        taken = []
        for _ in range(50):
            server.begin_login()
            taken.append(login_seconds(server))
            time.sleep(0.05)
        section = server.section("slow")
        print("# %d threads more; others log in within %.1f ms, slowest %.1f ms" % (
            server.threads() - threads, 1000 * statistics.median(taken), 1000 * max(taken)))
        assert section["in-flight"] == 16 and section["waiting"] == 34, section
        assert server.threads() - threads <= 24
        assert statistics.median(taken) < 0.05 and max(taken) < 1


def test_who_waits_has_its_turn_when_another_is_done():
    with Slow("300ms", "concurrency = 2") as server:
        clients = [server.begin_login() for _ in range(3)]
        clients += [server.begin_login("AUTHENTICATE PLAIN AGFubmEAY29ycmVjdCBob3JzZQ==")
                    for _ in range(3)]
        started = time.monotonic()
        for client in clients:
            assert client.recv(1000).startswith(b"a OK"), server.log
        assert 0.5 < time.monotonic() - started < 10
        assert server.section("slow")["waiting"] == 0


def test_who_waited_in_vain_is_told_to_try_later():
    with Slow("20s", "concurrency = 1\ntimeout = 1s") as server:
        server.begin_login()
        wait_for(lambda: server.section("slow")["in-flight"] == 1, 10, "the first login")
        started = time.monotonic()
        waiting = [server.begin_login() for _ in range(4)]
        for client in waiting:
            assert client.recv(1000).startswith(b"a NO [UNAVAILABLE]")
        assert 0.9 < time.monotonic() - started < 10
        # After several in a row nobody waits any more.
        started = time.monotonic()
        assert server.begin_login().recv(1000).startswith(b"a NO [UNAVAILABLE]")
        assert time.monotonic() - started < 0.9
        assert server.events("plugin-suspended")


def test_who_hangs_up_holds_up_nobody():
    with Slow("2s", "concurrency = 1") as server:
        first = server.begin_login()
        wait_for(lambda: server.section("slow")["in-flight"] == 1, 10, "the first login")
        server.begin_login().close()
        wait_for(lambda: server.section("slow")["waiting"] == 1, 10, "the second login")
        third = server.begin_login()
        assert first.recv(1000).startswith(b"a OK")
        assert third.recv(1000).startswith(b"a OK")


RECIPIENTS = """
[route slow]
domains = slow.example
transport = store
store = mail
directory = slow
"""


def rcpt(server, address):
    """Sends a recipient and does not wait for the answer."""
    client = socket.create_connection(("127.0.0.1", server.ports["smtp"]), timeout=30)
    server.clients.append(client)
    client.recv(1000)
    for line in ("HELO client.example", "MAIL FROM:<a@example.net>"):
        client.sendall(line.encode() + b"\r\n")
        assert client.recv(1000).startswith(b"250")
    client.sendall(b"RCPT TO:<%s>\r\n" % address.encode())
    return client


def rcpt_seconds(server, address="anna@example.org"):
    started = time.monotonic()
    answer = rcpt(server, address).recv(1000)
    assert answer.startswith(b"250"), answer
    return time.monotonic() - started


def test_recipients_of_a_directory_that_hangs_wait_without_threads():
    with Slow("4s", "timeout = 2s" + RECIPIENTS) as server:
        rcpt_seconds(server)
        threads = server.threads()
        waiting = [rcpt(server, "user%d@slow.example" % i) for i in range(40)]
        wait_for(lambda: server.section("slow")["waiting"] == 24, 10, "those who wait")
        assert server.threads() - threads <= 24
        assert rcpt_seconds(server) < 1
        # Those who came too late for a place are told to try later.
        for client in waiting[16:]:
            assert client.recv(1000).startswith(b"451 4.3.0")


def test_recipients_are_looked_up_in_turn_and_remembered():
    with Slow("300ms", "concurrency = 2" + RECIPIENTS) as server:
        for client in [rcpt(server, "user%d@slow.example" % i) for i in range(6)]:
            answer = client.recv(1000)
            assert answer.startswith(b"250"), (answer, server.log)
        assert rcpt_seconds(server, "user0@slow.example") < 0.25
        calls = server.section("slow")["calls"]
        assert rcpt_seconds(server, "user1@slow.example") < 0.25
        assert server.section("slow")["calls"] == calls == 6


main(globals())
