#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-store-faults.py: what fails below any of our stores is a negative reply, and nothing is lost

Syncs that fail, a disk that is full at any write of an append, a clock that is set back, names that
try to leave the account, two servers on the same mail: for every store, after each of them what
was acknowledged is there once and as it was.
"""
import imaplib
import os
import smtplib
import subprocess
import threading

import lib
from lib import BUILD, Server, Skip, main

STORES = ("sqlite", "maildir", "mbox", "compress-encrypt", "mirror")
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


def config(store):
    return lib.WHOLE.replace(lib.STORE, lib.STORES[store])


def message(number):
    return b"X-Number: %d\r\n\r\n" % number + b"%d " % number * 900 + b"\r\n"


def append(imap, octets):
    try:
        return imap.append("INBOX", None, None, octets)[0] == "OK"
    except imaplib.IMAP4.error:
        return False


def send(server, octets):
    try:
        server.send(octets)
        return True
    except smtplib.SMTPResponseException as refused:
        assert 400 <= refused.smtp_code < 500, refused
    except smtplib.SMTPRecipientsRefused as refused:
        assert all(400 <= code < 500 for code, _ in refused.recipients.values()), refused
    return False


def inbox(server):
    imap = server.imap()
    count = int(imap.select("INBOX", readonly=True)[1][0])
    parts = imap.fetch("1:*", "(UID BODY.PEEK[])")[1] if count else []
    imap.logout()
    return [part[1] for part in parts if isinstance(part, tuple)]


def check(server, kept, store):
    found = inbox(server)
    for octets in kept:
        n = sum(one.endswith(octets) for one in found)
        assert n == 1, "%s: %r is there %d times" % (store, octets[:16], n)


def test_mail_is_refused_while_syncs_fail():
    for store in STORES:
        server = Server(config(store))
        switch = os.path.join(server.dir, "switch")
        server.environment = {"POWERLOSS_FAIL": switch, "LD_PRELOAD": os.path.join(
            BUILD, "tests", "powerloss", "libpowerloss.so")}
        with server:
            kept = [message(number) for number in range(3)]
            assert all(send(server, octets) for octets in kept)
            with open(switch, "w", encoding="ascii"):
                pass
            assert not send(server, message(10)), "%s acknowledged what it could not sync" % store
            imap = server.imap()
            assert not append(imap, message(11)), "%s acknowledged what it could not sync" % store
            imap.shutdown()
            os.remove(switch)
            server.stop()
            server.start()
            check(server, kept, store)
            assert send(server, message(20))
            check(server, kept + [message(20)], store)


class SmallDisk:
    def __init__(self, path, octets):
        self.path = path
        if os.geteuid() != 0 or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=%d,mode=0700" % octets, "none", path],
                stderr=subprocess.DEVNULL, check=False).returncode != 0:
            raise Skip("cannot mount a tmpfs here")

    def leave(self, pages):
        """Fills the disk but for so many pages."""
        with open(os.path.join(self.path, "filler"), "ab", buffering=0) as stream:
            for size in (1 << 20, 4096):
                try:
                    while stream.write(bytes(size)) == size:
                        pass
                except OSError:
                    pass
            stream.truncate(max(0, stream.tell() // 4096 - pages) * 4096)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        subprocess.run(["umount", "-l", self.path], check=False)


def test_a_disk_that_is_full_at_any_write_of_an_append_loses_nothing():
    for store in STORES:
        server = Server(config(store))
        with SmallDisk(server.values["data"], 48 << 20) as disk, server:
            kept, refused = [message(0)], 0
            assert send(server, kept[0])
            for pages in range(20):
                disk.leave(pages)
                imap = server.imap()
                imap.select("INBOX")
                octets = message(100 + pages) * 3
                if append(imap, octets):
                    kept.append(octets)
                else:
                    refused += 1
                imap.shutdown()
                check(server, kept, store)
            assert refused > 0, store
            os.unlink(os.path.join(disk.path, "filler"))
            server.stop()
            server.start()
            check(server, kept, store)
            assert send(server, message(1000)), store
            check(server, kept + [message(1000)], store)


def test_a_clock_that_is_set_back_changes_nothing():
    if not os.path.exists(FAKETIME):
        raise Skip("libfaketime is not installed")
    for store in STORES:
        server = Server(config(store), environment={"LD_PRELOAD": FAKETIME, "FAKETIME": "+10d"})
        with server:
            kept = [message(number) for number in range(5)]
            for octets in kept[:3]:
                assert send(server, octets)
            server.stop()
            server.environment = {}
            server.start()
            for octets in kept[3:]:
                assert send(server, octets), store
            check(server, kept, store)
            imap = server.imap()
            imap.select("INBOX")
            uids = imap.uid("SEARCH", "ALL")[1][0].split()
            assert len(uids) == 5 and sorted(map(int, uids)) == list(map(int, uids)), (store, uids)
            assert imap.store("1", "+FLAGS", "(\\Deleted)")[0] == "OK"
            assert imap.expunge()[0] == "OK"
            imap.logout()
            server.stop()
            server.start()
            check(server, kept[1:], store)
            assert len(inbox(server)) == 4, store


def outside(server):
    """Every path below the server's folder that is no account's."""
    found = set()
    for folder, folders, names in os.walk(server.dir):
        if "/example.org/" in folder + "/":
            folders[:] = []
            found.update(os.path.join(folder, name) for name in os.listdir(folder))
        else:
            found.update(os.path.join(folder, name) for name in folders + names)
    return found


def test_no_name_leaves_the_account():
    names = ["../escape", "../../escape", "/escape", "a/../../escape", "..", ".", "a/..", "a//b",
             "../ben@example.org/escape", "../ben/escape", "/".join(["d"] * 200), "x" * 65536,
             "a/./b", "~/escape", "cur", "new", "tmp", "&AC4ALg-/escape", ".lock", "a\\..\\..\\b"]
    for store in STORES:
        with Server(config(store)) as server:
            assert send(server, message(1))
            server.send(message(2), recipients=["ben@example.org"])
            before = outside(server)
            for name in names:
                try:
                    imap = server.imap()
                    imap.create('"%s"' % name.replace("\\", "\\\\"))
                    imap.append('"%s"' % name.replace("\\", "\\\\"), None, None, message(3))
                    imap.rename("INBOX", '"%s"' % name.replace("\\", "\\\\"))
                    imap.logout()
                except (imaplib.IMAP4.error, OSError):
                    pass
            new = outside(server) - before
            assert not new, (store, new)
            assert not any("escape" in name for name in os.listdir("/"))
            imap = server.imap("ben@example.org")
            assert imap.select("INBOX", readonly=True)[1] == [b"1"], store
            listed = b" ".join(imap.list()[1])
            assert b"escape" not in listed, (store, listed)
            imap.logout()


def share(store):
    """Both servers take mail for one account at the same time."""
    first = Server(config(store))
    second = Server(config(store).replace("{{data}}/", first.values["data"] + "/"))
    kept, lock = [], threading.Lock()

    def deliver(server, base):
        for number in range(base, base + 25):
            if send(server, message(number)):
                with lock:
                    kept.append(message(number))

    with first, second:
        threads = [threading.Thread(target=deliver, args=(server, base))
                   for server, base in ((first, 1000), (second, 2000), (first, 3000))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(kept) > 30
        check(first, kept, "first")
        check(second, kept, "second")
        assert len(inbox(first)) == len(inbox(second))


def test_two_servers_share_an_mbox():
    share("mbox")


def test_two_servers_share_a_maildir():
    share("maildir")


main(globals())
