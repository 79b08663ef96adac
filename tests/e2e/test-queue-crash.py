#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-queue-crash.py: kill -9 while mail is taken and delivered; what was acknowledged gets there

Clients submit and write down in a ledger of their own what was acknowledged; the transport writes
down what it has delivered. The server is killed at random moments and started again on the same
data. At the end every acknowledged recipient has been delivered to at least once, the reports of
refused ones have come back, and deliveries that were made twice are counted. POSTHORN_CRASH_ROUNDS
says how often (20).
"""
import json
import os
import random
import smtplib
import threading
import time

import lib
from lib import BUILD, Server, main, wait_for

ROUNDS = int(os.environ.get("POSTHORN_CRASH_ROUNDS", "20"))
FLAKY = os.path.join(BUILD, "tests", "e2e", "plugin-flaky.so")
CONFIG = lib.WHOLE + """
[queue]
retry = 20ms, 50ms
lifetime = 10min
warn-after = 0s
segment-size = 64K

[route out]
domains = *
transport = %s:plugin-flaky
ledger = {data}/ledger
""" % FLAKY
SENDERS = 4
GONE = (OSError, EOFError, smtplib.SMTPException)


class Ledger:
    """What was acknowledged; kept outside the server."""

    def __init__(self):
        self.lock = threading.Lock()
        self.count = 0
        self.acknowledged = {}

    def new(self):
        with self.lock:
            self.count += 1
            return "mail-%d" % self.count

    def acknowledge(self, name, recipients):
        with self.lock:
            self.acknowledged[name] = recipients


def recipients_of(name):
    first = random.choice(["joe@a.example", "later1@a.example", "ann@b.example"])
    others = random.sample(["x@c.example", "later2@c.example", "y@a.example", "fail@d.example"],
                           random.randrange(0, 3))
    return [first] + others


def deliver(server, ledger, stop):
    while not stop.is_set():
        try:
            client = smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=10)
            client.ehlo("client.example.org")
            for _ in range(random.randrange(1, 20)):
                name = ledger.new()
                to = recipients_of(name)
                body = "text " * random.choice([1, 10, 1000, 20000])
                client.sendmail("anna@example.org", to, (
                    "X-Ledger: %s\r\nSubject: %s\r\n\r\n%s\r\n" % (name, name, body)).encode())
                ledger.acknowledge(name, to)
            client.close()
        except GONE:
            time.sleep(0.01)


def delivered(server):
    """(name, recipient) -> how often."""
    found = {}
    path = os.path.join(server.values["data"], "ledger")
    if not os.path.exists(path):
        return found
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            _, recipients, name = line.split()
            for recipient in recipients.split(","):
                found[name, recipient] = found.get((name, recipient), 0) + 1
    return found


def missing(server, ledger):
    there = delivered(server)
    return [(name, to) for name, recipients in ledger.acknowledged.items() for to in recipients
            if not to.startswith("fail") and (name, to) not in there]


def reported(server):
    """Names of mails that came back."""
    client = server.imap()
    client.select("INBOX", readonly=True)
    found = set()
    for part in client.fetch("1:*", "(BODY.PEEK[])")[1]:
        if isinstance(part, tuple):
            for line in part[1].split(b"\r\n"):
                if line.startswith(b"X-Ledger: "):
                    found.add(line.split()[1].decode())
    client.logout()
    return found


def test_nothing_acknowledged_is_lost():
    server, ledger = Server(CONFIG), Ledger()
    with server:
        for _ in range(ROUNDS):
            stop = threading.Event()
            threads = [threading.Thread(target=deliver, args=(server, ledger, stop))
                       for _ in range(SENDERS)]
            for thread in threads:
                thread.start()
            time.sleep(random.uniform(0.02, 0.4))
            server.kill()
            stop.set()
            for thread in threads:
                thread.join()
            server.start()
        wait_for(lambda: not missing(server, ledger), 60, "every delivery: %r" % (
            missing(server, ledger)[:5],))
        refused = {name for name, to in ledger.acknowledged.items() if "fail@d.example" in to}
        wait_for(lambda: refused <= reported(server), 60, "every report")
        wait_for(lambda: not json.loads(server.run("queue", "list", "--json").stdout), 20,
                 "the queue to be empty")
        wait_for(lambda: not [name for name in os.listdir(server.values["data"] + "/queue")
                              if name.endswith(".mail")][1:], 20, "the files to go")
        there = delivered(server)
        print("# %d rounds, %d mails acknowledged, %d recipients delivered, %d of them more than "
              "once" % (ROUNDS, len(ledger.acknowledged), len(there),
                        sum(count > 1 for count in there.values())))
        assert len(ledger.acknowledged) > ROUNDS


main(globals())
