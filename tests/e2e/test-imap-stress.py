#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-imap-stress.py: two clients change one mailbox at random; uids, flags, sizes must agree

Each client keeps what the server told it (sequence numbers, flags) and is compared with a model
of what all commands together should have done. POSTHORN_STRESS_SECONDS and POSTHORN_STRESS_SEED
make it longer or repeat a run.
"""
import os
import random
import re
import socket
import threading
import time

import lib
from lib import PASSWORD, Server, main

SECONDS = float(os.environ.get("POSTHORN_STRESS_SECONDS", "6"))
SEED = int(os.environ.get("POSTHORN_STRESS_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
CONFIG = lib.SERVER + lib.PEOPLE + lib.STORE + lib.ROUTE + lib.IMAP
FLAGS = ["\\Seen", "\\Flagged", "\\Answered", "\\Draft", "$A", "$B"]
LITERAL = re.compile(rb"\{(\d+)\}\r\n$")


class Client:
    """A connection that believes exactly what it is told."""

    def __init__(self, port, mailbox):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.file = self.socket.makefile("rb")
        self.count = 0
        self.uids = []      # by sequence number, None where not known
        self.flags = {}     # by uid
        self.in_numbers = False
        self.file.readline()
        self.command("LOGIN anna@example.org \"%s\"" % PASSWORD)
        self.command("SELECT %s" % mailbox)
        self.learn()

    def response(self):
        """One response with its literals."""
        line = self.file.readline()
        assert line.endswith(b"\r\n"), line
        while LITERAL.search(line):
            line += self.file.read(int(LITERAL.search(line).group(1)))
            line += self.file.readline()
        return line

    def command(self, text, literal=None, ok=True):
        self.count += 1
        tag = b"t%d" % self.count
        self.in_numbers = text.split(" ")[0] in ("FETCH", "STORE", "SEARCH")
        octets = b"" if literal is None else b" {%d+}\r\n" % len(literal) + literal
        self.socket.sendall(tag + b" " + text.encode() + octets + b"\r\n")
        untagged = []
        while True:
            line = self.response()
            if line.startswith(tag + b" "):
                status = line[len(tag) + 1:].decode("utf-8", "replace").strip()
                assert not ok or status.startswith("OK"), (text, status)
                return status, untagged
            assert line.startswith(b"* "), line
            self.note(line)
            untagged.append(line)

    def note(self, line):
        words = line.split(b" ", 3)
        if words[2:3] == [b"EXISTS\r\n"]:
            assert int(words[1]) >= len(self.uids), "EXISTS shrank"
            self.uids += [None] * (int(words[1]) - len(self.uids))
        elif words[2:3] == [b"EXPUNGE\r\n"]:
            assert not self.in_numbers, "EXPUNGE while sequence numbers are in use"
            assert 1 <= int(words[1]) <= len(self.uids), "EXPUNGE of nothing"
            self.flags.pop(self.uids.pop(int(words[1]) - 1), None)
        elif words[2:3] == [b"FETCH"]:
            self.note_fetch(int(words[1]), words[3])

    def note_fetch(self, number, items):
        assert 1 <= number <= len(self.uids), "FETCH of nothing"
        uid = re.search(rb"\bUID (\d+)", items)
        if uid:
            known = self.uids[number - 1]
            assert known in (None, int(uid.group(1))), "a number changed its uid"
            self.uids[number - 1] = int(uid.group(1))
        flags = re.search(rb"FLAGS \(([^)]*)\)", items)
        if flags and self.uids[number - 1] is not None:
            names = {name.decode() for name in flags.group(1).split()}
            self.flags[self.uids[number - 1]] = names - {"\\Recent"}

    def learn(self):
        if None in self.uids:
            self.command("FETCH %d:* (UID FLAGS)" % (self.uids.index(None) + 1))


class Model:
    """What the mailbox holds: uid to (flags, octets)."""

    def __init__(self, random_numbers):
        self.random = random_numbers
        self.messages = {}
        self.n_made = 0

    def message(self):
        self.n_made += 1
        lines = ["Subject: message %d" % self.n_made, "From: a@example.org", ""]
        lines += ["x" * self.random.randrange(60) for _ in range(self.random.randrange(40))]
        return "\r\n".join(lines).encode() + b"\r\n"

    def some(self, client):
        """Some of the messages that the client knows, as (number, uid)."""
        known = [(n, uid) for n, uid in enumerate(client.uids, 1) if uid is not None]
        return sorted(self.random.sample(known, min(len(known), self.random.randrange(1, 6))))

    def some_flags(self):
        return set(self.random.sample(FLAGS, self.random.randrange(0, 4)))


def numbers_of(pairs, by_uid):
    return ",".join(str(uid if by_uid else number) for number, uid in pairs)


def do_append(model, client):
    octets, flags = model.message(), model.some_flags()
    status, _ = client.command("APPEND box (%s)" % " ".join(flags), octets)
    uid = int(re.search(r"\[APPENDUID \d+ (\d+)\]", status).group(1))
    assert uid > max(model.messages, default=0), "a uid that does not ascend"
    model.messages[uid] = (flags, octets)


def changed(old, mode, flags):
    return {"+": old | flags, "-": old - flags, "": flags}[mode]


def do_store(model, client):
    pairs, flags, by_uid = model.some(client), model.some_flags(), model.random.random() < 0.5
    mode = model.random.choice(["+", "-", ""])
    if not pairs:
        return
    silent = model.random.choice(["", ".SILENT"])
    if silent:
        for _, uid in pairs:
            client.flags[uid] = changed(client.flags[uid], mode, flags)
    client.command("%sSTORE %s %sFLAGS%s (%s)" % (
        "UID " if by_uid else "", numbers_of(pairs, by_uid), mode, silent, " ".join(flags)))
    for _, uid in pairs:
        if uid in model.messages:
            old, octets = model.messages[uid]
            model.messages[uid] = (changed(old, mode, flags), octets)


def do_expunge(model, client):
    pairs = model.some(client)
    if len(model.messages) < 10 or not pairs:
        return
    client.command("UID STORE %s +FLAGS.SILENT (\\Deleted)" % numbers_of(pairs, True))
    client.command(model.random.choice(["EXPUNGE", "UID EXPUNGE 1:*"]))
    for _, uid in pairs:
        model.messages.pop(uid, None)


def do_copy(model, client):
    pairs = [pair for pair in model.some(client) if pair[1] in model.messages]
    if not pairs or len(model.messages) > 200:
        return
    status, _ = client.command("UID COPY %s box" % numbers_of(pairs, True))
    first = int(re.search(r"\[COPYUID \d+ [\d,:]+ (\d+)", status).group(1))
    for offset, (_, uid) in enumerate(pairs):
        model.messages[first + offset] = model.messages[uid]


def do_move(model, client):
    pairs = [pair for pair in model.some(client) if pair[1] in model.messages]
    if not pairs or len(model.messages) < 10:
        return
    client.command("UID MOVE %s away" % numbers_of(pairs, True))
    for _, uid in pairs:
        del model.messages[uid]


def do_search(model, client):
    flag = model.random.choice(["\\Seen", "\\Flagged"])
    client.command("NOOP")
    _, lines = client.command("UID SEARCH %s" % flag[1:].upper())
    found = {int(word) for line in lines if line.startswith(b"* SEARCH") for word in line.split()[2:]}
    assert found == {uid for uid, (flags, _) in model.messages.items() if flag in flags}


def do_read(model, client):
    pairs = [pair for pair in model.some(client)[:1] if pair[1] in model.messages]
    for _, uid in pairs:
        peek = model.random.choice(["BODY.PEEK[]", "BODY[]"])
        _, lines = client.command("UID FETCH %d (RFC822.SIZE %s)" % (uid, peek))
        flags, octets = model.messages[uid]
        whole = [line for line in lines if octets in line]
        assert whole and b"RFC822.SIZE %d " % len(octets) in whole[0], (uid, lines)
        if peek == "BODY[]":
            model.messages[uid] = (flags | {"\\Seen"}, octets)


def do_check(model, client):
    """After NOOP the client must know exactly what is there."""
    client.command("NOOP")
    client.learn()
    assert client.uids == sorted(model.messages), (client.uids, sorted(model.messages))
    for uid, (flags, _) in model.messages.items():
        assert client.flags[uid] == flags, (uid, client.flags[uid], flags)


ACTIONS = [do_append] * 3 + [do_store] * 6 + [do_expunge, do_copy, do_move] + [do_search, do_read] * 2 + [do_check]


def test_two_clients_always_agree_with_the_model():
    print("# seed %d" % SEED)
    numbers = random.Random(SEED)
    with Server(config=CONFIG, ports=("imap",)) as server:
        setup = Client(server.ports["imap"], "INBOX")
        setup.command("CREATE box")
        setup.command("CREATE away")
        clients = [Client(server.ports["imap"], "box") for _ in range(2)]
        model, end, steps = Model(numbers), time.monotonic() + SECONDS, 0
        while time.monotonic() < end:
            numbers.choice(ACTIONS)(model, numbers.choice(clients))
            steps += 1
        for client in clients:
            do_check(model, client)
        do_check(model, Client(server.ports["imap"], "box"))
        status = setup.command("STATUS box (MESSAGES UNSEEN SIZE)")[1][0]
        assert b"MESSAGES %d " % len(model.messages) in status, status
        unseen = sum("\\Seen" not in flags for flags, _ in model.messages.values())
        assert b"UNSEEN %d " % unseen in status, (status, unseen)
        assert b"SIZE %d)" % sum(len(octets) for _, octets in model.messages.values()) in status
        print("# %d steps, %d messages" % (steps, len(model.messages)))


def churn(client, numbers, end, failures):
    """Changes at random; what others do meanwhile is only checked for its form."""
    model = Model(numbers)
    try:
        while time.monotonic() < end:
            client.learn()
            action = numbers.choice([do_append, do_store, do_store, do_flag_and_expunge, do_noop])
            action(model, client)
    except Exception as error:  # told by the test, which runs in another thread
        failures.append(error)


def do_noop(model, client):
    client.command("NOOP")


def do_flag_and_expunge(model, client):
    pairs = model.some(client)
    if len(client.uids) > 20 and pairs:
        client.command("UID STORE %s +FLAGS.SILENT (\\Deleted)" % numbers_of(pairs, True))
        client.command("EXPUNGE")


def test_clients_at_the_same_time_end_with_one_truth():
    with Server(config=CONFIG, ports=("imap",)) as server:
        Client(server.ports["imap"], "INBOX").command("CREATE box")
        clients = [Client(server.ports["imap"], "box") for _ in range(4)]
        end, failures = time.monotonic() + SECONDS / 2, []
        threads = [threading.Thread(target=churn, args=(client, random.Random(SEED + n), end, failures))
                   for n, client in enumerate(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures, failures
        for client in clients:
            client.command("NOOP")
            client.learn()
            client.command("FETCH 1:* (UID FLAGS)")
        for client in clients[1:]:
            assert client.uids == clients[0].uids
            assert all(client.flags[uid] == clients[0].flags[uid] for uid in client.uids)


main(globals())
