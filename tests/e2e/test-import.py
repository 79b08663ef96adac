#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-import.py: `posthorn store import` of mbox files, maildirs and Dovecot's maildirs"""
import os
import resource
import signal
import subprocess

import lib
from lib import Server, main
from mail import ANNA, fill, good, look

BEN = "ben@example.org"
MBOX = b"""From anna@example.org Sat Jan  3 01:05:34 1998
Subject: One
X-IMAPbase: 1234567890 0000000020
X-UID: 7
Status: RO
X-Keywords: $Work later

First line
>From here on
>>From two

From carla@example.net Sun Jan  4 02:00:00 1998 +0100
Subject: Two
X-UID: 9
Status: O
X-Status: AF

From a friend\x00!

No message begins in the middle.
"""


def write(path, octets, mode="wb"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, mode) as stream:
        stream.write(octets)


def fetch(client, name):
    status = client.status(name, "(UIDVALIDITY UIDNEXT MESSAGES)")[1][0]
    client.select(name, readonly=True)
    rows = client.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]
    return status, [(row[0].replace(b"\\Recent ", b"").replace(b" \\Recent", b"").replace(
        b"\\Recent", b""), row[1]) for row in rows if isinstance(row, tuple)]


def check_mbox(client, name):
    status, rows = fetch(client, name)
    assert b"UIDVALIDITY 1234567890" in status and b"UIDNEXT 21" in status, status
    assert len(rows) == 2, rows
    assert b"UID 7 FLAGS (\\Seen $Work later)" in rows[0][0], rows[0]
    assert b'" 3-Jan-1998 01:05:34 +0000"' in rows[0][0], rows[0]
    assert rows[0][1] == (b"Subject: One\r\n\r\nFirst line\r\nFrom here on\r\n>From two\r\n"), rows[0]
    assert b"UID 9 FLAGS (\\Answered \\Flagged)" in rows[1][0], rows[1]
    assert b"01:00:00 +0000" in rows[1][0] or b"02:00:00 +0100" in rows[1][0], rows[1]
    assert rows[1][1] == (b"Subject: Two\r\n\r\nFrom a friend?!\r\n\r\n"
                          b"No message begins in the middle.\r\n"), rows[1]


def test_an_mbox_file_keeps_uids_flags_keywords_and_dates():
    with Server() as server:
        path = os.path.join(server.dir, "inbox")
        write(path, MBOX)
        good(server.run("store", "import", "mail", ANNA, path))
        client = server.imap()
        check_mbox(client, "INBOX")
        good(server.run("store", "import", "--mailbox", "Old/1998", "mail", ANNA, path))
        assert len(fetch(client, "Old/1998")[1]) == 2
        client.logout()


def test_a_folder_of_mbox_files_becomes_mailboxes_without_a_server_too():
    with Server() as server:
        folder = os.path.join(server.dir, "Mail")
        write(os.path.join(folder, "inbox"), MBOX)
        write(os.path.join(folder, "Lists", "posthorn.mbox"), MBOX)
        write(os.path.join(folder, "empty"), b"")
        write(os.path.join(folder, "notes.txt"), b"no mbox")
        assert server.stop() == 0
        assert "imported 4 messages into 3 mailboxes" in good(
            server.run("store", "import", "mail", ANNA, folder))
        server.start()
        client = server.imap()
        for name in ("INBOX", "Lists/posthorn"):
            check_mbox(client, name)
        client.logout()


def maildir(path, dovecot):
    """INBOX, Sent and Entwürfe/2024; what is in new/ the list does not know."""
    for folder in ("", ".Sent", ".Entw&APw-rfe.2024"):
        for sub in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(path, folder, sub))
    write(path + "/cur/1000000002.b.host,S=20:2,RSa", b"Subject: second\n\nx\n")
    write(path + "/cur/1000000001.a.host:2,FPb", b"Subject: first\n\nx\n")
    write(path + "/new/1000000003.c.host", b"Subject: third\n\nx\n")
    write(path + "/.Sent/cur/1000000004.d.host:2,S", b"Subject: sent\r\n\r\nx\r\n")
    for name in ("1000000001.a.host:2,FPb", "1000000002.b.host,S=20:2,RSa"):
        os.utime(path + "/cur/" + name, (1000000000, 1000000000))
    if dovecot:
        write(path + "/dovecot-uidlist", b"3 V1275660208 N30 Gabc\n"
              b"17 :1000000002.b.host,S=20\n25 W30 :1000000001.a.host:2,\n")
        write(path + "/dovecot-keywords", b"0 $Label1\n1 later\n")
        write(path + "/subscriptions", b"V\t2\n\nINBOX\nEntw&APw-rfe\t2024\n")


def test_a_dovecot_maildir_keeps_uids_and_a_client_needs_no_resync():
    with Server() as server:
        path = os.path.join(server.dir, "Maildir")
        maildir(path, True)
        good(server.run("store", "import", "mail", ANNA, path))
        client = server.imap()
        status, rows = fetch(client, "INBOX")
        assert b"UIDVALIDITY 1275660208" in status and b"UIDNEXT 31" in status, status
        assert [row[0].split(b"UID ")[1].split()[0] for row in rows] == [
            b"17", b"25", b"30"], rows
        assert b"(\\Answered \\Seen $Label1)" in rows[0][0], rows[0]
        assert b'" 9-Sep-2001 01:46:40 +0000"' in rows[0][0], rows[0]
        assert b"(\\Flagged $Forwarded later)" in rows[1][0], rows[1]
        assert rows[2][1] == b"Subject: third\r\n\r\nx\r\n"
        assert fetch(client, "Sent")[1][0][1] == b"Subject: sent\r\n\r\nx\r\n"
        names = b" ".join(client.lsub()[1])
        assert b"Entw&APw-rfe/2024" in names, names
        # once more changes nothing
        assert "imported" in good(server.run("store", "import", "mail", ANNA, path))
        client.logout()


def test_what_is_exported_as_maildir_or_mbox_is_imported_again():
    config = lib.WHOLE.replace("{{user}}\n", "{{user}}\nmailboxes = Spam \\Junk\n", 1)
    with Server(config, users=(ANNA, BEN, "carla@example.org")) as server:
        fill(server, 24)
        client = server.imap()
        # what a sender wrote is no flag and no uid of ours
        for mailbox in ("INBOX", "Spam"):
            client.append(mailbox, "(\\Flagged)", None, b"X-IMAPbase: 7 9\r\nStatus: RO\r\n"
                          b"x-keywords: a\r\n b\r\nX-UID: 900\r\nX-Posthorn-Kept-X-UID: 2\r\n"
                          b"X-Posthorn: r\r\nSubject: own\r\n\r\nStatus: R\r\n")
        client.create("\"Entw&APw-rfe 1.2\"")
        client.append("\"Entw&APw-rfe 1.2\"", None, None, b"Subject: x\r\n\r\nFrom me\r\n>From you\r\n")
        client.logout()
        before = look(server)
        for form, user in (("maildir", BEN), ("mbox", "carla@example.org")):
            path = os.path.join(server.dir, "out-" + form)
            good(server.run("store", "export", "--format", form, "mail", ANNA, path))
            done = server.run("store", "export", "--format", form, "mail", ANNA, path)
            assert done.returncode == 1 and "already" in done.stderr, done
            good(server.run("store", "import", "mail", user, path))
            after = look(server, user)
            for name, value in before.items():
                if name == "lsub":
                    continue
                assert len(value[2]) == len(after[name][2]), name
                for was, now in zip(value[2], after[name][2]):
                    if not isinstance(was, tuple):
                        continue
                    assert was[1] == now[1], (name, was, now)
                    assert sorted(was[0].split(b"MODSEQ")[0].replace(b")", b"").replace(
                        b"(", b"").split()) == sorted(now[0].split(b"MODSEQ")[0].replace(
                            b")", b"").replace(b"(", b"").split()), (was, now)
            if form == "maildir":
                assert after["lsub"] == before["lsub"]
            client = server.imap(user)
            spam = [line for line in client.list()[1] if line.endswith(b'"Spam"')]
            assert len(spam) == 1 and b"\\Junk" in spam[0], spam
            client.logout()


def limit_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))


def test_an_export_that_failed_says_what_it_left():
    with Server() as server:
        client = server.imap()
        for size in (10, 200000):
            client.append("INBOX", None, None, b"Subject: x\r\n\r\n" + b"y" * size + b"\r\n")
        client.logout()
        path = os.path.join(server.dir, "out")
        done = subprocess.run([lib.PROGRAM, "store", "export", "--format", "maildir", "-c", server.config,
                               "mail", ANNA, path], capture_output=True, text=True, timeout=60,
                              preexec_fn=limit_files, check=False)
        assert done.returncode != 0 and "'%s' is not complete; remove it" % path in done.stderr, done
        archive = path + ".tar"
        done = subprocess.run([lib.PROGRAM, "store", "export", "-c", server.config, "mail", ANNA,
                               archive], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0 and os.path.getsize(archive) > 200000, done


def test_a_plain_maildir_is_read_too():
    with Server() as server:
        path = os.path.join(server.dir, "Maildir")
        maildir(path, False)
        good(server.run("store", "import", "mail", BEN, path))
        client = server.imap(BEN)
        _, rows = fetch(client, "INBOX")
        assert [row[1].split(b"\r\n")[0] for row in rows] == [
            b"Subject: first", b"Subject: second", b"Subject: third"], rows
        client.logout()


main(globals())
