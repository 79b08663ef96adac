#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-hostile-store.py: stored data that is damaged is an error for its owner and for nobody else

Octets at random places of an account's database are overwritten, or it is cut, and the server is
used again: it answers (with an error if need be), its worker lives on, nobody sees mail of another,
and the other account is as it was.
"""
import glob
import imaplib
import os
import random
import re

import lib
from lib import Server, main

ROUNDS = int(os.environ.get("POSTHORN_HOSTILE_ROUNDS", "15"))
SEED = int(os.environ.get("POSTHORN_HOSTILE_SEED", "1"))


def config(store):
    return lib.WHOLE.replace(lib.STORE, lib.STORES[store])


def fill(server):
    for user in ("anna", "ben"):
        for i in range(30):
            body = b"%s-%d " % (user.encode(), i) * random.randrange(1, 3000)
            server.send(b"Subject: %s\r\n\r\n%s\r\n" % (user.encode(), body),
                        recipients=["%s@example.org" % user])
        imap = server.imap("%s@example.org" % user)
        imap.select("INBOX")
        imap.store("3:9", "+FLAGS", "(\\Seen work)")
        imap.store("5", "+FLAGS", "(\\Deleted)")
        imap.expunge()
        imap.logout()


def use(server):
    """Everything that anna can see; errors are answers."""
    seen = b""
    try:
        imap = server.imap("anna@example.org")
        imap.select("INBOX")
        for command in (("FETCH", "1:*", "(UID FLAGS BODY.PEEK[])"), ("SEARCH", "TEXT", "anna-7"),
                        ("STORE", "1:*", "+FLAGS", "(\\Flagged)"), ("COPY", "1:3", "INBOX"), ("EXPUNGE",)):
            try:
                for part in imap.uid(*command)[1] if command[0] != "EXPUNGE" else imap.expunge()[1]:
                    seen += b"".join(part) if isinstance(part, tuple) else part or b""
            except imaplib.IMAP4.abort:
                return seen
            except imaplib.IMAP4.error:
                pass
        imap.append("INBOX", None, None, b"Subject: anna\r\n\r\nanna-new\r\n")
        imap.logout()
    except (imaplib.IMAP4.error, OSError):
        pass
    return seen


def others(server):
    imap = server.imap("ben@example.org")
    imap.select("INBOX", readonly=True)
    found = [part for part in imap.fetch("1:*", "(UID FLAGS BODY.PEEK[])")[1] if isinstance(part, tuple)]
    imap.logout()
    return [(re.sub(rb" \\Recent|\\Recent ?", b"", head), octets) for head, octets in found]


def damage(path):
    size = os.path.getsize(path)
    with open(path, "r+b") as stream:
        if random.random() < 0.15:
            stream.truncate(random.randrange(size))
            return
        for _ in range(random.randrange(1, 40)):
            stream.seek(random.randrange(size))
            stream.write(os.urandom(random.randrange(1, 64)))


def rounds(store):
    random.seed(SEED)
    with Server(config=config(store)) as server:
        fill(server)
        before = others(server)
        assert len(before) == 29
        server.stop()
        home = os.path.join(server.values["data"], "mail", "example.org")
        paths = [path for path in glob.glob(home + "/**", recursive=True) if os.path.isfile(path) and "anna" in path]
        good = {path: open(path, "rb").read() for path in paths}
        for number in range(ROUNDS):
            for path in glob.glob(home + "/**", recursive=True):
                if os.path.isfile(path) and "anna" in path:
                    os.unlink(path)
            for path, octets in good.items():
                with open(path, "wb") as stream:
                    stream.write(octets)
            damage(random.choice([path for path in good if len(good[path]) > 100]))
            server.start()
            worker = server.worker()
            seen = use(server)
            assert b"ben-" not in seen, "round %d: another's mail" % number
            assert others(server) == before, "round %d" % number
            assert server.worker() == worker, "round %d: the worker died" % number
            server.stop()
        server.start()


def test_a_damaged_database_hurts_its_owner_only():
    rounds("sqlite")


def test_a_damaged_mbox_or_index_hurts_its_owner_only():
    rounds("mbox")


def test_a_damaged_maildir_hurts_its_owner_only():
    rounds("maildir")


main(globals())
