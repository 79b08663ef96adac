#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""mail.py: an account full of everything, and what a client can see of it"""
ANNA = "anna@example.org"


def good(done):
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return done.stdout


def message(number):
    return (b"Subject: Number %d\r\nFrom: carla@example.net\r\n\r\n" % number
            + b"line %d\r\n" % number * (1 + number % 40))


def fill(server, count, user=ANNA):
    """Mail with flags, keywords, holes, several mailboxes, dates, subscriptions."""
    client = server.imap(user)
    for name in ("Sent", "Lists/posthorn", "Empty"):
        assert client.create(name)[0] == "OK"
    client.create("Drafts (USE (\\Drafts))")
    client.subscribe("Sent")
    for number in range(count):
        box = ("INBOX", "Sent", "Lists/posthorn")[number % 3]
        flags = ("(\\Seen)", "($Work \\Flagged)", "()")[number % 3]
        date = '"%02d-Jan-2024 10:00:00 +0200"' % (1 + number % 28)
        assert client.append(box, flags, date, message(number))[0] == "OK"
    client.select()
    client.store("1:3", "+FLAGS", "(\\Answered later)")
    client.store("2", "+FLAGS", "(\\Deleted)")
    client.expunge()
    client.copy("1:2", "Sent")
    client.logout()


def look(server, user=ANNA):
    """Everything that a client can see of an account."""
    client = server.imap(user)
    found = {"lsub": sorted(client.lsub()[1])}
    for row in client.list()[1]:
        name = row.decode().rsplit('"/" ', 1)[1]
        status = client.status(name, "(UIDVALIDITY UIDNEXT MESSAGES UNSEEN HIGHESTMODSEQ)")[1][0]
        client.select(name, readonly=True)
        rows = client.uid(
            "FETCH", "1:*", "(FLAGS INTERNALDATE RFC822.SIZE MODSEQ BODY.PEEK[])")[1]
        if rows == [None]:
            rows = []
        if any(b"BAD" in part for part in rows if isinstance(part, bytes)):
            raise AssertionError(rows)
        # \\Recent lives in memory: everything is recent to the first session after a start
        rows = [tuple(part.replace(b"\\Recent ", b"").replace(b" \\Recent", b"").replace(
            b"\\Recent", b"") for part in pair) if isinstance(pair, tuple) else pair
                for pair in rows]
        found[name] = (row, status, rows)
    client.logout()
    return found


def assert_same(after, before):
    """The same mailboxes, messages and numbers; tells the first difference."""
    assert sorted(after) == sorted(before), (sorted(after), sorted(before))
    for name, value in before.items():
        if after[name] == value:
            continue
        for was, now in zip(value, after[name]):
            if was == now:
                continue
            pairs = list(zip(was, now)) if isinstance(was, list) else [(was, now)]
            raise AssertionError("%s: %s" % (name, [p for p in pairs if p[0] != p[1]][:3]))
        raise AssertionError("%s: %s items, now %s" % (name, len(value), len(after[name])))
