#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-powerloss.py: the power goes at random moments; nothing that was acknowledged is lost

The server runs with tests/powerloss loaded, which writes down every change to its files and every
sync. It is killed, and then a data folder is made that holds what was synced, and of the rest
perhaps something, torn at sectors. A server that starts on it must have every message and flag that
it had acknowledged. With each sync that matters left out the same test must fail: that is tested
too. POSTHORN_POWER_ROUNDS says how often (4).

The promises of the store contract that this proves: [STORE-1] [STORE-2].
"""
import imaplib
import os
import random
import re
import shutil
import smtplib
import sys
import threading
import time

import lib
from lib import BUILD, SOURCE, Server, Skip, main

sys.path.insert(0, os.path.join(SOURCE, "tests", "powerloss"))
from rebuild import rebuild  # noqa: E402

STORE = os.environ.get("POSTHORN_POWER_STORE", "sqlite")
# What a lock file still said is lost with the power; others wait until it is old.
WHOLE = lib.WHOLE.replace(lib.STORE, lib.STORES[STORE].replace(
    "write-delay = 0s", "write-delay = 0s\nstale-lock = 2s"))
WHOLE = WHOLE.replace("log = json\n", "log = json\ndurability = store\n")
ROUNDS = int(os.environ.get("POSTHORN_POWER_ROUNDS", "4"))
DEFERS = ("sqlite", "compress", "encrypt", "maildir", "mirror")
# The syncs that mail in each store stands on: without any of them something is lost.
MATTERS = {
    "sqlite": ["file:-wal"],
    "compress": ["file:-wal"],
    "encrypt": ["file:-wal"],
    "mirror": ["file:/mail/"],
    "maildir": ["file:/tmp/", "folder:/tmp", "file:-wal"],
    "mbox": ["file:/inbox"],
}
SURVIVAL = (0, 0.5, 0.9, 0.1)
JOURNAL = WHOLE.replace("durability = store\n", "durability = journal\n"
                        "journal-size = 32M\ncheckpoint-interval = 300ms\n")
GONE = (OSError, EOFError, smtplib.SMTPException, imaplib.IMAP4.abort, imaplib.IMAP4.error)
USERS = ["anna@example.org", "ben@example.org"]


class Ledger:
    """What the server acknowledged."""

    def __init__(self):
        self.lock = threading.Lock()
        self.count = 0
        self.there = {}   # name -> (user, octets)
        self.flagged = set()
        self.gone = set()
        self.copied = set()  # to Archive
        self.large = 0.05  # share of messages that are too large for the journal
        self.pause = 0

    def new(self):
        with self.lock:
            self.count += 1
            return "m%d" % self.count


def message(name, large):
    body = (name + " ") * (random.choice((20000, 80000)) if large else random.randrange(1, 300))
    return ("X-Ledger: %s\r\n\r\n%s\r\nend\r\n" % (name, body)).encode()


def deliver(server, ledger, stop):
    while not stop.is_set():
        try:
            client = server.smtp()
            for _ in range(random.randrange(1, 20)):
                name, user = ledger.new(), random.choice(USERS)
                octets = message(name, random.random() < ledger.large)
                client.sendmail("carla@example.net", [user], octets)
                ledger.there[name] = (user, octets)
                time.sleep(ledger.pause)
            client.close()
        except GONE:
            time.sleep(0.01)


def work(server, ledger, stop):
    """Appends, flags, and expunges some of what it appended."""
    user = USERS[0]
    while not stop.is_set():
        try:
            client = server.imap(user)
            client.create("Archive")
            client.select("INBOX")
            for _ in range(random.randrange(1, 20)):
                name = ledger.new()
                octets = message(name, False)
                answer = client.append("INBOX", None, None, octets)
                if answer[0] != "OK":
                    continue
                ledger.there[name] = (user, octets)
                uid = re.search(rb"APPENDUID \d+ (\d+)", answer[1][0]).group(1)
                if client.uid("STORE", uid, "+FLAGS", "(\\Flagged)")[0] == "OK":
                    ledger.flagged.add(name)
                if random.random() < 0.2 and client.uid("COPY", uid, "Archive")[0] == "OK":
                    ledger.copied.add(name)
                elif random.random() < 0.2:
                    del ledger.there[name]
                    if client.uid("MOVE", uid, "Archive")[0] == "OK":
                        ledger.copied.add(name)
                        ledger.gone.add(name)
                    continue
                if random.random() < 0.4:
                    del ledger.there[name]
                    client.uid("STORE", uid, "+FLAGS", "(\\Deleted)")
                    if client.expunge()[0] == "OK":
                        ledger.gone.add(name)
            client.logout()
        except GONE:
            time.sleep(0.01)


def found(server):
    names = {}
    for user in USERS:
        client = server.imap(user)
        count = int(client.select("INBOX", readonly=True)[1][0])
        uids = []
        for part in client.fetch("1:*", "(UID FLAGS BODY.PEEK[])")[1] if count else []:
            if isinstance(part, tuple):
                name = re.search(rb"^X-Ledger: (\S+)\r$", part[1], re.MULTILINE)
                assert name, "a message is not what anybody sent"
                names[name.group(1).decode()] = (user, part[1], part[0])
                uids.append(int(re.search(rb"UID (\d+)", part[0]).group(1)))
        assert uids == sorted(set(uids)), "uids do not ascend"
        client.logout()
    return names


def archived(server):
    """Names of what is in Archive."""
    client = server.imap(USERS[0])
    names = []
    answer, count = client.select("Archive", readonly=True)
    if answer == "OK" and int(count[0]) > 0:
        for part in client.fetch("1:*", "(BODY.PEEK[])")[1]:
            if isinstance(part, tuple):
                name = re.search(rb"^X-Ledger: (\S+)\r$", part[1], re.MULTILINE)
                assert name, "a copy is not what anybody sent"
                names.append(name[1].decode())
    client.logout()
    return names


def missing(server, ledger):
    """What was acknowledged and is not so, in words."""
    names, wrong = found(server), []
    for name, (user, octets) in ledger.there.items():
        if name not in names:
            wrong.append("%s was acknowledged and is lost" % name)
        elif names[name][0] != user or not names[name][1].endswith(octets):
            wrong.append("%s is not what was sent" % name)
        elif name in ledger.flagged and b"\\Flagged" not in names[name][2]:
            wrong.append("%s lost its flag" % name)
    copies = archived(server)
    wrong += ["the copy of %s is there %d times" % (name, copies.count(name))
              for name in ledger.copied | set(copies)
              if copies.count(name) > 1 or (name in ledger.copied and name not in copies)]
    wrong += ["%s was expunged and is back" % name for name in ledger.gone if name in names]
    return wrong


class PowerCut:
    """A server whose power is cut again and again."""

    def __init__(self, config, ignore=""):
        self.ignore = ignore
        self.server = Server(config)
        self.data = self.server.values["data"]
        self.base = os.path.join(self.server.dir, "base")
        self.trace = os.path.join(self.server.dir, "trace")
        self.ledger = Ledger()

    def run(self, seconds):
        shutil.rmtree(self.base, ignore_errors=True)
        shutil.copytree(self.data, self.base, ignore=lambda folder, names: [
            name for name in names if name.endswith(".sock")])
        open(self.trace, "wb").close()
        self.server.environment = {
            "LD_PRELOAD": os.path.join(BUILD, "tests", "powerloss", "libpowerloss.so"),
            "POWERLOSS_ROOT": self.data, "POWERLOSS_TRACE": self.trace,
            "POWERLOSS_IGNORE": self.ignore}
        self.server.start()
        self.server.environment = {}
        stop = threading.Event()
        threads = [threading.Thread(target=deliver, args=(self.server, self.ledger, stop))
                   for _ in range(4)]
        threads.append(threading.Thread(target=work, args=(self.server, self.ledger, stop)))
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        self.server.kill()
        stop.set()
        for thread in threads:
            thread.join()

    def cut(self, survival, seed, keep=""):
        after = os.path.join(self.server.dir, "after")
        rebuild(self.trace, self.base, self.data, after, survival, random.Random(seed),
                keep)
        shutil.rmtree(self.data)
        os.rename(after, self.data)

    def look(self):
        """Starts the server on what was left. Returns: what is missing."""
        self.server.start()
        time.sleep(random.choice((0, 0, 1.5)))  # for what the store does in the background
        wrong = missing(self.server, self.ledger)
        self.server.stop()
        return wrong


def survive(config):
    seed = random.randrange(1 << 30)
    random.seed(seed)
    print("# seed %d" % seed)
    power = PowerCut(config)
    try:
        for i in range(ROUNDS):
            power.run(random.uniform(0.3, 2))
            power.cut(SURVIVAL[i % len(SURVIVAL)], seed + i)
            wrong = power.look()
            print("# %d acknowledged, %d expunged" % (
                len(power.ledger.there), len(power.ledger.gone)))
            assert not wrong, "round %d: %s" % (i, "; ".join(wrong[:5]))
        assert len(power.ledger.there) > 10 * ROUNDS
    except BaseException:
        for line in [line for line in power.server.log if "\"info\"" not in line][-20:]:
            print("# server: " + line)
        raise
    finally:
        if power.server.process is not None:
            power.server.kill()
        shutil.rmtree(power.server.dir, ignore_errors=True)


def lose(config, ignore, seed):
    """What is wrong after a power cut with this sync left out."""
    power = PowerCut(config, ignore)
    # a store syncs all it has when it takes a large message, and when its log has grown long
    power.ledger.large, power.ledger.pause = 0, 0.02
    try:
        power.run(1.5)
        power.cut(0, seed)
        try:
            return power.look()
        except AssertionError as error:
            return [str(error)]
    finally:
        if power.server.process is not None:
            power.server.kill()
        shutil.rmtree(power.server.dir, ignore_errors=True)


def must_lose(config, ignore):
    """With this sync left out the test above must find that something is lost, sooner or later: what a
    background thread has just made durable in another way hides it."""
    for seed in range(1, 6):
        wrong = lose(config, ignore, seed)
        print("# without '%s': %d wrong" % (ignore, len(wrong)))
        if wrong:
            return
    raise AssertionError("without '%s' nothing was lost" % ignore)


def test_nothing_acknowledged_is_lost_when_stores_sync():
    survive(WHOLE)


def test_nothing_acknowledged_is_lost_with_a_journal():
    if STORE not in DEFERS:
        raise Skip("%s does not defer: it syncs what it commits" % STORE)
    survive(JOURNAL)


def test_octets_are_lost_that_the_index_knows():
    """The index's log and all names are there, other files are empty: the journal has the octets."""
    if STORE not in DEFERS:
        raise Skip("%s does not defer" % STORE)
    power = PowerCut(JOURNAL.replace("300ms", "1h"))
    try:
        power.run(0.7)
        power.cut(0, 1, "-wal")
        wrong = power.look()
        print("# %d acknowledged" % len(power.ledger.there))
        assert not wrong and power.ledger.there, "; ".join(wrong[:5])
    finally:
        if power.server.process is not None:
            power.server.kill()
        shutil.rmtree(power.server.dir, ignore_errors=True)


def test_it_would_be_noticed_if_a_store_left_out_its_sync():
    for ignore in MATTERS[STORE]:
        must_lose(WHOLE, ignore)


def test_it_would_be_noticed_if_the_journal_left_out_its_sync():
    if STORE not in DEFERS:
        raise Skip("%s does not defer" % STORE)
    must_lose(JOURNAL.replace("300ms", "1h"), "file:segment-")


def test_it_would_be_noticed_if_a_checkpoint_left_out_its_sync():
    if STORE not in DEFERS:
        raise Skip("%s does not defer" % STORE)
    if STORE == "encrypt":
        raise Skip("with encrypt each append syncs the store")
    must_lose(JOURNAL, "system:")


main(globals())
