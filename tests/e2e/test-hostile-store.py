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
import smtplib
import sqlite3
import subprocess

import lib
from lib import PROGRAM, Server, main

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


# --- an index that is not one, and what an administrator does about it


def cut(path):
    os.truncate(path, os.path.getsize(path) // 2)


def zero(path):
    with open(path, "r+b") as stream:
        stream.seek(4096)
        stream.write(bytes(max(0, os.path.getsize(path) - 4096)))


def foreign(path):
    with open(path, "wb") as stream:
        stream.write(b"Dear reader, this is no database.\n" * 300)


def newer(path):
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99999")
    database.close()


def folder(path):
    os.unlink(path)
    os.mkdir(path)


def flip(path):
    with open(path, "r+b") as stream:
        for place in range(100, os.path.getsize(path), 997):
            stream.seek(place)
            octet = stream.read(1)[0]
            stream.seek(place)
            stream.write(bytes([octet ^ 0x55]))


DAMAGE = {"missing": os.unlink, "cut": cut, "zeroed": zero, "foreign": foreign, "newer": newer, "a folder": folder,
          "flipped": flip}


def tool(server, name):
    return subprocess.run([PROGRAM, "store", name, "-c", server.config, "mail", "anna@example.org"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)


def subjects(server):
    """Of anna's mail, or what the server said."""
    try:
        imap = server.imap("anna@example.org")
        count = int(imap.select("INBOX", readonly=True)[1][0])
        parts = imap.fetch("1:*", "(BODY.PEEK[])")[1] if count else []
        imap.logout()
        return sorted(re.search(rb"Subject: (\S+)", part[1]).group(1) for part in parts if isinstance(part, tuple))
    except (imaplib.IMAP4.error, OSError, ValueError) as error:
        return str(error)


def deliver(server, subject):
    """False: later. Nothing else may be said of mail for a damaged account."""
    try:
        server.send(b"Subject: %s\r\n\r\nbody\r\n" % subject, recipients=["anna@example.org"])
        return True
    except smtplib.SMTPResponseException as refused:
        assert 400 <= refused.smtp_code < 500, refused
    except smtplib.SMTPRecipientsRefused as refused:
        assert all(400 <= code < 500 for code, _ in refused.recipients.values()), refused
    return False


def damaged(store, kind):
    with Server(config=config(store)) as server:
        expected = [b"m%d" % i for i in range(12)]
        for subject in expected:
            assert deliver(server, subject)
        before = subjects(server)
        assert before == sorted(expected), before
        server.stop()
        home = os.path.join(server.values["data"], "mail", "example.org")
        paths = [path for path in glob.glob(home + "/anna*", recursive=True) + glob.glob(home + "/anna/**", recursive=True)
                 if os.path.isfile(path) and open(path, "rb").read(15) == b"SQLite format 3"]
        assert len(paths) == 1, paths
        for path in glob.glob(paths[0] + "-*"):
            os.unlink(path)
        DAMAGE[kind](paths[0])
        server.start()
        worker, said = server.worker(), len(server.log)
        first = subjects(server)
        taken = [b"new"] if deliver(server, b"new") else []
        checked, repaired = tool(server, "check"), tool(server, "repair")
        tool(server, "check")
        for result in (checked, repaired):
            assert result.returncode in (0, 1, 2), (store, kind, result)
        if deliver(server, b"after"):
            taken.append(b"after")
        last = subjects(server)
        assert server.worker() == worker, "%s %s: the worker died" % (store, kind)
        lines = [line for line in server.log[said:] if '"level":"error"' in line or '"level":"warning"' in line]
        if isinstance(first, str):
            assert "CORRUPTION" in first or "UNAVAILABLE" in first, (store, kind, first)
            assert checked.returncode != 0 and b"anna@example.org: " in checked.stdout, (store, kind, checked)
        if isinstance(last, list):  # what was acknowledged since is there
            assert set(taken) <= set(last), (store, kind, taken, last)
        else:
            assert lines or checked.returncode, "%s %s: nothing says what is wrong" % (store, kind)
        if store != "sqlite" and kind == "missing":  # the mail is not in the index
            assert first == before and set(before) < set(last), (store, kind, first, last)
        if store != "sqlite":
            # what an administrator can always do: without the index, all mail is there again
            server.stop()
            for path in glob.glob(paths[0] + "*"):
                os.rmdir(path) if os.path.isdir(path) else os.unlink(path)
            server.start()
            found = subjects(server)
            assert set(before) <= set(found) and set(taken) <= set(found), (store, kind, found)


def test_whatever_an_index_is_it_harms_nobody_and_the_mail_comes_back():
    # each kind once or twice, as every one starts a server two times; all of them with POSTHORN_HOSTILE_ALL
    some = {"sqlite": ("cut", "zeroed", "a folder"), "maildir": ("missing", "zeroed", "foreign", "newer"),
            "mbox": ("missing", "cut", "newer", "flipped")}
    for store, kinds in some.items():
        for kind in DAMAGE if "POSTHORN_HOSTILE_ALL" in os.environ else kinds:
            damaged(store, kind)


main(globals())
