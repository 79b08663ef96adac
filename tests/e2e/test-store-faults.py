#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-store-faults.py: what fails below any of our stores is a negative reply, and nothing is lost

Syncs that fail, a disk that is full at any write of an append or turns read-only, a clock that is set back, names
that try to leave the account, two servers and another program on the same mail, a damaged index, a header without
end: for every store, after each of them what was acknowledged is there once and as it was.
"""
import imaplib
import mailbox
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

    def turn(self, mode):
        """"ro" or "rw"; the disk of a server that holds files open for writing only turns with force."""
        return subprocess.run(["mount", "-o", "remount," + mode, self.path], check=False,
                              stderr=subprocess.DEVNULL).returncode == 0

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        subprocess.run(["umount", "-l", self.path], check=False)


def test_a_disk_that_is_read_only_is_a_temporary_failure():
    for store in STORES:
        server = Server(config(store))
        mail = os.path.join(server.values["data"], "mail")
        os.makedirs(mail, mode=0o700)
        with SmallDisk(mail, 48 << 20) as disk, server:
            assert send(server, message(0)), store
            server.stop()
            assert disk.turn("ro"), store
            server.start()
            assert not send(server, message(1)), store
            try:
                imap = server.imap()
                imap.select("INBOX")
                assert not append(imap, message(2)), store
                imap.shutdown()
            except imaplib.IMAP4.error as error:
                assert b"UNAVAILABLE" in str(error).encode() or "NO" in str(error), (store, error)
            server.stop()
            assert disk.turn("rw"), store
            server.start()
            check(server, [message(0)], store)
            assert send(server, message(3)), store
            check(server, [message(0), message(3)], store)
            assert len(inbox(server)) == 2, store


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
             "a/./b", "~/escape", utf7("cafe\u0301/\uff0e\uff0e/\u2025/escape"), "cur", "new", "tmp", "&AC4ALg-/escape", ".lock", "a\\..\\..\\b"]
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
            # NUL has no place in a quoted string: literals, of both sorts
            for literal in (b"{%d+}", b"~{%d+}"):
                connection, reader = server.raw("imap")
                reader.readline()
                connection.sendall(b"a LOGIN anna@example.org %s\r\nb CREATE " % lib.PASSWORD.encode()
                                   + literal % 10 + b"\r\n..\0/escape\r\nc NOOP\r\n")
                answers = [reader.readline() for _ in range(2)]
                assert not any(line.startswith(b"b OK") for line in answers), (store, answers)
                connection.close()
            new = outside(server) - before
            assert not new, (store, new)
            assert not any("escape" in name for name in os.listdir("/"))
            imap = server.imap("ben@example.org")
            assert imap.select("INBOX", readonly=True)[1] == [b"1"], store
            listed = b" ".join(imap.list()[1])
            assert b"escape" not in listed, (store, listed)
            imap.logout()


def utf7(name):
    """As IMAP writes names."""
    return "".join(c if c.isascii() else "&%s-" % c.encode("utf-7").decode()[1:-1].replace("/", ",")
                   for c in name)


def test_two_forms_of_a_name_are_two_mailboxes_or_one_is_refused():
    """What looks the same is never mixed up."""
    composed, split = utf7("caf\u00e9"), utf7("cafe\u0301")
    for store in STORES:
        with Server(config(store)) as server:
            imap = server.imap()
            assert imap.create('"%s"' % composed)[0] == "OK", store
            if imap.create('"%s"' % split)[0] == "OK":  # else there is nothing to mix up
                assert imap.append('"%s"' % split, None, None, message(1))[0] == "OK", store
                assert imap.select('"%s"' % composed, readonly=True)[1] == [b"0"], store
                assert imap.select('"%s"' % split, readonly=True)[1] == [b"1"], store
            server.stop()
            server.start()
            imap = server.imap()
            assert imap.select('"%s"' % composed, readonly=True)[1] == [b"0"], store


def share(store, foreign):
    """Both servers, and another program, take mail for one account at the same time."""
    first = Server(config(store))
    second = Server(config(store).replace("{{data}}/", first.values["data"] + "/"))
    kept, lock = [], threading.Lock()

    def deliver(server, base):
        for number in range(base, base + 25):
            if send(server, message(number)):
                with lock:
                    kept.append(message(number))

    with first, second:
        assert send(first, message(1))
        kept.append(message(1))
        path = os.path.join(first.values["data"], "mail", "example.org", "anna")
        threads = [threading.Thread(target=deliver, args=(server, base))
                   for server, base in ((first, 1000), (second, 2000), (first, 3000))]
        threads.append(threading.Thread(target=foreign, args=(path, kept, lock)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(kept) > 40
        check(first, kept, "first")
        check(second, kept, "second")
        assert len(inbox(first)) == len(inbox(second))


def add_foreign(box, kept, lock):
    """Python's own mailbox does as mutt does: it locks with a dot lock and fcntl."""
    for number in range(4000, 4010):
        box.lock()
        try:
            box.add(message(number).replace(b"\r\n", b"\n"))
            box.flush()
        finally:
            box.unlock()
        with lock:
            kept.append(message(number))


def add_to_file(path, octets):
    """One blank line stands before a message, and is none of the one before."""
    with open(path, "rb") as stream:
        stream.seek(-2, os.SEEK_END)
        blank = stream.read() == b"\n\n"
    with open(path, "ab") as stream:
        stream.write((b"" if blank else b"\n") + b"From b@example.net Sun Nov 22 10:00:00 2026\n"
                     + octets.replace(b"\r\n", b"\n"))


def patient(path):
    """An mbox whose lock is waited for."""
    box = mailbox.mbox(os.path.join(path, "inbox"))
    take = box.lock

    def lock():
        for _ in range(2000):
            try:
                return take()
            except mailbox.ExternalClashError:
                threading.Event().wait(0.005)
        raise AssertionError("the mbox stayed locked")
    box.lock = lock
    return box


def test_two_servers_and_a_program_share_an_mbox():
    def foreign(path, kept, lock):
        for number in range(10):
            box = patient(path)  # opened anew each time: it only sees what was there when it was
            box.lock()
            try:
                add_to_file(os.path.join(path, "inbox"), message(4000 + number))
            finally:
                box.unlock()
                box.close()
            with lock:
                kept.append(message(4000 + number))
    share("mbox", foreign)


def test_two_servers_and_a_program_share_a_maildir():
    share("maildir", lambda path, kept, lock: add_foreign(mailbox.Maildir(path), kept, lock))


def spoil(folder):
    """Every database below."""
    n = 0
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            with open(path, "r+b") as stream:
                head = stream.read(16)
                if head == b"SQLite format 3\0" or name.endswith("-wal"):
                    stream.seek(0)
                    stream.write(b"\xa5" * min(8192, os.path.getsize(path)))
                    n += 1
    return n


def test_a_damaged_index_harms_one_account_and_no_mail():
    for store in STORES:
        with Server(config(store)) as server:
            assert send(server, message(1))
            server.send(message(2), recipients=["ben@example.org"])
            server.stop()
            at = {}
            for top in ("mail", "second"):
                folder = os.path.join(server.values["data"], top, "example.org")
                for name in os.listdir(folder) if os.path.isdir(folder) else []:
                    if name.startswith("anna"):
                        path = os.path.join(folder, name)
                        at[path] = 1
            before = {path: open(path, "rb").read() for top in at if os.path.isdir(top)
                      for path in [os.path.join(w, n) for w, _, ns in os.walk(top) for n in ns]
                      if b"X-Number" in open(path, "rb").read()
                      and not open(path, "rb").read(16).startswith(b"SQLite") and not path.endswith("-wal")}
            n = 0
            for path in at:
                if os.path.isdir(path):
                    n += spoil(path)
                else:
                    with open(path, "r+b") as stream:
                        stream.write(b"\xa5" * min(8192, os.path.getsize(path)))
                    n += 1
            assert n > 0, store
            server.start()
            worker = server.worker()
            taken = send(server, message(3))
            try:
                imap = server.imap()
                imap.select("INBOX")
                imap.logout()
            except imaplib.IMAP4.error:
                pass
            server.send(message(4), recipients=["ben@example.org"])
            imap = server.imap("ben@example.org")
            assert imap.select("INBOX", readonly=True)[1] == [b"2"], store
            imap.logout()
            assert server.worker() == worker, store
            for path, octets in before.items():
                if os.path.exists(path):
                    assert open(path, "rb").read()[:len(octets)] == octets, (store, path)
            if taken:
                check(server, [message(3)], store)


def peak(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith("VmHWM")) // 1024


def test_a_header_of_a_gigabyte_takes_no_memory():
    with Server(config("mbox")) as server:
        assert send(server, message(1))
        path = os.path.join(server.values["data"], "mail", "example.org", "anna", "inbox")
        add_to_file(path, b"X-Long: ")
        with open(path, "ab") as stream:
            stream.truncate(stream.tell() + (1 << 30))  # a hole: NUL octets
            stream.seek(0, os.SEEK_END)
            stream.write(b"\nSubject: behind\n\nbody\n")
        imap = server.imap()
        imap.sock.settimeout(120)  # seven seconds of processor time
        assert imap.select("INBOX")[1] == [b"2"]
        assert imap.fetch("1", "(BODY.PEEK[])")[1][0][1].endswith(message(1))
        assert imap.fetch("2", "(UID FLAGS)")[0] == "OK"
        assert imap.fetch("2", "(BODY.PEEK[]<0.100>)")[1][0][1].startswith(b"X-Long: ")
        imap.logout()
        assert send(server, message(3))
        assert peak(server.worker()) < 200, "%d MiB" % peak(server.worker())


main(globals())
