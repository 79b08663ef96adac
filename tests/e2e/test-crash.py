#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-crash.py: kill -9 at random moments; nothing that was acknowledged is lost

Clients deliver by SMTP and append by IMAP and write down in a ledger of their own what the server
acknowledged. Then the server and its worker are killed, started again on the same data, and every
line of the ledger must be there, unchanged: delivered mail at least once, appended mail at most
once, flags and expunges as acknowledged. POSTHORN_CRASH_ROUNDS says how often (20).

The promises of the store contract that this proves: [STORE-1] [STORE-4].
"""
import imaplib
import os
import random
import re
import smtplib
import socket
import threading
import time

import lib
import lib
from lib import PASSWORD, Server, main

STORE = os.environ.get("POSTHORN_CRASH_STORE", "sqlite")
WHOLE = lib.WHOLE.replace(lib.STORE, lib.STORES[STORE])
JOURNAL = WHOLE.replace("log = json\n", "log = json\ndurability = journal\njournal-size = 32M\n"
                        "checkpoint-interval = 500ms\n")
ROUNDS = int(os.environ.get("POSTHORN_CRASH_ROUNDS", "20"))
SENDERS = 4
APPENDERS = 2
GONE = (OSError, EOFError, smtplib.SMTPException, imaplib.IMAP4.abort, imaplib.IMAP4.error)


class Ledger:
    """What was tried and what was acknowledged; kept outside the server."""

    def __init__(self):
        self.lock = threading.Lock()
        self.count = 0
        self.acknowledged = {}
        self.uids = {}
        self.flagged = set()
        self.gone = set()

    def new(self, kind):
        with self.lock:
            self.count += 1
            return "%s-%d" % (kind, self.count)

    def acknowledge(self, name, octets):
        with self.lock:
            self.acknowledged[name] = octets


def message(name):
    body = (name + " ") * random.randrange(1, 400)
    return ("X-Ledger: %s\r\nSubject: crash\r\n\r\n%s\r\n.\r\nend\r\n" % (name, body)).encode()


def deliver(server, ledger, stop):
    """One sender: session after session until the server is gone."""
    while not stop.is_set():
        try:
            client = smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=10)
            client.ehlo("client.example.org")
            for _ in range(random.randrange(1, 20)):
                name = ledger.new("smtp")
                octets = message(name)
                client.sendmail("carla@example.net", ["anna@example.org"], octets)
                ledger.acknowledge(name, octets)
            client.close()
        except GONE:
            time.sleep(0.01)


def expunge(client, ledger, name, uid):
    """From the first command on it may be gone; after the last it must be."""
    del ledger.acknowledged[name]
    client.uid("STORE", uid, "+FLAGS", "(\\Deleted)")
    if client.expunge()[0] == "OK":
        ledger.gone.add(name)


def append(server, ledger, stop):
    """One IMAP client: appends, and flags some of what it appended."""
    while not stop.is_set():
        try:
            client = imaplib.IMAP4("127.0.0.1", server.ports["imap"], timeout=10)
            client.login("anna@example.org", PASSWORD)
            client.select("INBOX")
            for _ in range(random.randrange(1, 20)):
                name = ledger.new("imap")
                octets = message(name)
                answer = client.append("INBOX", None, None, octets)
                assert answer[0] == "OK", answer
                ledger.acknowledge(name, octets)
                uid = re.search(rb"APPENDUID (\d+ \d+)", answer[1][0]).group(1)
                ledger.uids[name] = uid
                if client.uid("STORE", uid.split()[1], "+FLAGS", "(\\Flagged)")[0] == "OK":
                    ledger.flagged.add(name)
                if random.random() < 0.1:
                    expunge(client, ledger, name, uid.split()[1])
            client.logout()
        except GONE:
            time.sleep(0.01)


def inbox(server):
    """name -> list of (octets, UID and FLAGS) as the mailbox has it now, and its uidvalidity."""
    found = {}
    client = server.imap()
    client.select("INBOX", readonly=True)
    validity = client.response("UIDVALIDITY")[1][0]
    for part in client.fetch("1:*", "(UID FLAGS BODY.PEEK[])")[1]:
        if isinstance(part, tuple):
            name = re.search(rb"^X-Ledger: (\S+)\r$", part[1], re.MULTILINE).group(1).decode()
            found.setdefault(name, []).append((part[1], part[0]))
    client.logout()
    return found, validity


def compare(found, validity, ledger):
    for name, octets in ledger.acknowledged.items():
        assert name in found, "%s was acknowledged and is lost" % name
        for got, flags in found[name]:
            assert got.endswith(octets), "%s is not what was sent" % name
            if name in ledger.flagged:
                assert b"\\Flagged" in flags, "%s lost its flag" % name
        if name.startswith("imap"):
            assert len(found[name]) == 1, "%s is there %d times" % (name, len(found[name]))
        if name in ledger.uids:
            uid = validity + b" " + re.search(rb"UID (\d+)", found[name][0][1]).group(1)
            assert uid == ledger.uids[name], "%s has another uid" % name
    for name, copies in found.items():
        assert name not in ledger.gone, "%s was expunged and is back" % name
        if name.startswith("imap"):
            assert len(copies) == 1, "%s is there %d times" % (name, len(copies))


def rounds(count, kill, config=WHOLE):
    server, ledger = Server(config), Ledger()
    with server:
        for _ in range(count):
            stop = threading.Event()
            threads = [threading.Thread(target=deliver, args=(server, ledger, stop))
                       for _ in range(SENDERS)]
            threads += [threading.Thread(target=append, args=(server, ledger, stop))
                        for _ in range(APPENDERS)]
            for thread in threads:
                thread.start()
            time.sleep(random.uniform(0.05, 0.6))
            kill(server, stop)
            stop.set()
            for thread in threads:
                thread.join()
        found, validity = inbox(server)
        compare(found, validity, ledger)
        print("# %d acknowledged, %d there, %d expunged, %d rounds" % (
            len(ledger.acknowledged), sum(map(len, found.values())), len(ledger.gone), count))
        assert len(ledger.acknowledged) >= count


def kill_all(server, stop):
    server.kill()
    stop.set()
    server.start()


def kill_worker(server, stop):
    """Only the worker: the supervisor starts another on the same sockets."""
    pid = server.worker()
    assert pid != server.process.pid, "there is no worker process"
    os.kill(pid, 9)
    stop.set()
    end = time.monotonic() + 90
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", server.ports["smtp"]), 5) as one:
                one.settimeout(5)
                if one.recv(3) == b"220":
                    return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the supervisor started no other worker")


def test_a_killed_server_loses_nothing_it_acknowledged():
    rounds(ROUNDS, kill_all)


def test_a_maildir_loses_nothing_either():
    rounds(ROUNDS, kill_all, lib.WHOLE.replace("plugin = sqlite", "plugin = maildir"))


def test_a_killed_worker_is_replaced_and_nothing_is_lost():
    rounds(2, kill_worker)


def test_a_killed_server_with_a_journal_loses_nothing_it_acknowledged():
    rounds(ROUNDS, kill_all, JOURNAL)


def test_a_killed_worker_with_a_journal_is_replaced_and_nothing_is_lost():
    rounds(2, kill_worker, JOURNAL)


main(globals())
