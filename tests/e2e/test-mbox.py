#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-mbox.py: the mbox store shares its files with other programs

mutt deletes and flags in the file that the server serves, scripts append under locks as procmail
does, Dovecot's mailboxes are taken over with their uids and given back. What the disk, the file
system or another program does to a file is a temporary failure at worst; nothing is lost.
"""
import contextlib
import fcntl
import os
import pty
import pwd
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import lib
from lib import PASSWORD, Server, Skip, main, need, wait_for

CONFIG = lib.WHOLE.replace(lib.STORE, """
[store mail]
plugin = mbox
inbox = {{data}}/mail/{{domain}}/{{user}}/inbox
folders = {{data}}/mail/{{domain}}/{{user}}/folders
index = {{data}}/mail/{{domain}}/{{user}}/index.sqlite
write-delay = 0s
lock-timeout = 3s
""")
FROM = b"From carla@example.net Sun Nov 22 03:53:52 2026\n"


class MboxServer(Server):
    def __init__(self, extra="", config=CONFIG, **more):
        super().__init__(config=config.replace("write-delay = 0s\n", "write-delay = 0s\n" + extra), **more)
        self.home = os.path.join(self.values["data"], "mail", "example.org", "anna")

    def path(self, name="inbox"):
        return os.path.join(self.home, name)

    def octets(self, name="inbox"):
        with open(self.path(name), "rb") as stream:
            return stream.read()

    def put(self, octets, name="inbox"):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as stream:
            stream.write(octets)


def message(subject, body=b"body\n", extra=b""):
    return FROM + b"Subject: " + subject + b"\n" + extra + b"\n" + body + b"\n"


def subjects(imap, mailbox="INBOX"):
    """uid -> (subject, flags) of a mailbox that is selected anew."""
    assert imap.select(mailbox)[0] == "OK"
    found = {}
    for part in imap.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]:
        if isinstance(part, tuple):
            uid = int(re.search(rb"UID (\d+)", part[0]).group(1))
            flags = set(re.search(rb"FLAGS \(([^)]*)\)", part[0]).group(1).split()) - {b"\\Recent"}
            found[uid] = (part[1].strip()[len(b"Subject: "):], flags)
    return found


def names(imap, mailbox="INBOX"):
    return [subject for _, (subject, _) in sorted(subjects(imap, mailbox).items())]


here = threading.RLock()  # an fcntl lock is the process's: threads need one of their own


@contextlib.contextmanager
def locked(path, dot=True):
    """The locks that procmail takes: dot lock first, then fcntl."""
    lock = path + ".lock"
    while dot:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444))
            break
        except FileExistsError:
            time.sleep(0.005)
    with here, open(path, "r+b") as stream:
        fcntl.lockf(stream, fcntl.LOCK_EX)
        try:
            yield stream
        finally:
            stream.flush()
            if dot:
                os.unlink(lock)


def append(path, octets, dot=True):
    with locked(path, dot) as stream:
        stream.seek(0, os.SEEK_END)
        stream.write(octets)


def mutt(path, keys, seconds=20):
    """Runs mutt on a file in a terminal of its own, with keys pushed."""
    program = need("mutt")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(program, [program, "-n", "-F", "/dev/null", "-f", path, "-e",
                            "set folder=/ quit=yes delete=yes move=no mark_old=no wait_key=no; push '%s'" % keys],
                  {"TERM": "vt100", "HOME": os.path.dirname(path), "PATH": os.environ["PATH"]})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    end = time.monotonic() + seconds
    screen = b""
    try:
        while True:
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    screen += os.read(terminal, 65536)
                except OSError:
                    break
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
                raise AssertionError("mutt did not end: %r" % screen[-2000:])
    finally:
        os.close(terminal)
        status = os.waitpid(pid, 0)[1]
    assert status == 0, status


# ---- the file ------------------------------------------------------------------------------------

def test_delivered_mail_is_an_mbox():
    with MboxServer() as server:
        server.send(b"Subject: one\r\n\r\nFrom here on\r\n>From there\r\n")
        server.send(b"Subject: two\r\n\r\ntwo\r\n")
        octets = server.octets()
        assert octets.startswith(b"From carla@example.net "), octets
        assert b"\n\n>From here on\n>>From there\n\nFrom carla@example.net " in octets, octets
        assert octets.endswith(b"two\n\n"), octets
        imap = server.imap()
        imap.select("INBOX")
        body = imap.fetch("1", "(BODY[TEXT])")[1][0][1]
        assert body == b"From here on\r\n>From there\r\n", body
        pop = server.pop3()
        assert pop.stat()[0] == 2
        assert b"From here on" in pop.retr(1)[1]
        pop.dele(1)
        pop.quit()
        assert b"here on" not in server.octets()
        assert names(server.imap()) == [b"two"]


def test_flags_and_keywords_go_into_the_file():
    with MboxServer() as server:
        for name in (b"one", b"two", b"three"):
            server.send(b"Subject: " + name + b"\r\n\r\nx\r\n")
        imap = server.imap()
        imap.select("INBOX")
        imap.store("2", "+FLAGS", "(\\Seen \\Flagged work)")
        size = len(server.octets())
        imap.store("3", "+FLAGS", "(\\Answered)")
        imap.noop()
        imap.logout()
        server.stop()
        octets = server.octets()
        assert len(octets) == size, "flags fit into the room that was left for them"
        parts = octets.split(b"\nFrom ")
        assert b"Status: RO\nX-Status: F\nX-Keywords: work " in parts[1], parts[1]
        assert b"Status: O\nX-Status: A\n" in parts[2], parts[2]
        server.start()
        found = subjects(server.imap())
        assert found[2] == (b"two", {b"\\Seen", b"\\Flagged", b"work"}), found


def test_folders_hold_messages_and_children():
    with MboxServer() as server:
        imap = server.imap()
        for name in ("Lists", "Lists/a", "Lists/a/b", "&AOk-t&AOk-"):
            assert imap.create(name)[0] == "OK", name
            assert imap.append(name, None, None, b"Subject: x\r\n\r\nx\r\n")[0] == "OK"
        for name in ("Lists", "Lists/a", "Lists/a/b", "&AOk-t&AOk-"):
            assert names(imap, name) == [b"x"], name
        assert os.path.isfile(server.path("folders/Lists/a/mBoX-MeSsAgEs"))
        assert os.path.isfile(server.path("folders/Lists/a/b"))
        assert imap.rename("Lists/a", "Other/place")[0] == "OK"
        assert names(imap, "Other/place") == [b"x"]
        assert names(imap, "Other/place/b") == [b"x"]
        assert imap.delete("Other/place/b")[0] == "OK"
        assert not os.path.exists(server.path("folders/Other/place/b"))
        imap.select("Lists")
        assert imap.copy("1", "Other/place")[0] == "OK"
        assert len(names(imap, "Other/place")) == 2


# ---- other programs --------------------------------------------------------------------------------

def test_mutt_deletes_and_flags_while_the_server_runs():
    with MboxServer() as server:
        for name in (b"one", b"two", b"three", b"four"):
            server.send(b"Subject: " + name + b"\r\n\r\nx\r\n")
        imap = server.imap()
        before = subjects(imap)
        imap.store("4", "+FLAGS", "(\\Answered)")
        mutt(server.path(), "<first-entry><next-entry><delete-message>"
             "<first-entry><next-entry><next-entry><flag-message><sync-mailbox><quit>")
        imap.noop()
        after = subjects(imap)
        assert sorted(after) == [uid for uid in sorted(before) if before[uid][0] != b"two"], (before, after)
        flags = {subject: flags for subject, flags in after.values()}
        assert b"\\Flagged" in flags[b"three"], flags
        assert b"\\Answered" in flags[b"four"], flags
        for part in imap.fetch("1:*", "(BODY.PEEK[])")[1]:
            if isinstance(part, tuple):
                for field in (b"Status:", b"X-UID:", b"Content-Length:", b"Lines:", b"X-Posthorn:"):
                    assert field not in part[1], part[1]
        server.send(b"Subject: five\r\n\r\nx\r\n")
        assert names(imap)[-1] == b"five"


def test_appends_by_others_appear_in_idle_and_survive():
    with MboxServer() as server:
        server.send(b"Subject: one\r\n\r\nx\r\n")
        connection, lines = server.raw("imap")
        lines.readline()
        connection.sendall(b'a LOGIN anna@example.org "%s"\r\nb SELECT INBOX\r\nc IDLE\r\n' % PASSWORD.encode())
        while not lines.readline().startswith(b"+"):
            pass
        append(server.path(), message(b"two"))
        connection.settimeout(20)  # long before the core looks by itself
        assert b"* 2 EXISTS" in lines.readline()
        connection.close()
        assert names(server.imap()) == [b"one", b"two"]


def test_appends_and_deletes_of_all_sides_at_once():
    with MboxServer() as server:
        server.send(b"Subject: first\r\n\r\nx\r\n")
        path = server.path()
        rounds = 40

        def others(name):
            for i in range(rounds):
                append(path, message(b"%s-%d" % (name, i)), dot=name == b"dot")

        def clients():
            imap = server.imap()
            for i in range(rounds):
                assert imap.append("INBOX", None, None, b"Subject: imap-%d\r\n\r\nx\r\n" % i)[0] == "OK"
            imap.logout()

        def cleaner():
            imap = server.imap()
            for i in range(rounds):
                assert imap.append("INBOX", None, None, b"Subject: rubbish-%d\r\n\r\nx\r\n" % i)[0] == "OK"
                imap.select("INBOX")
                found = imap.search(None, "SUBJECT", "rubbish")[1][0].split()
                imap.store(b",".join(found).decode(), "+FLAGS", "(\\Deleted)")
                assert imap.expunge()[0] == "OK"
            imap.logout()

        threads = [threading.Thread(target=others, args=(b"dot",)),
                   threading.Thread(target=others, args=(b"kernel",)),
                   threading.Thread(target=clients), threading.Thread(target=cleaner)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wanted = sorted([b"first"] + [b"%s-%d" % (name, i) for name in (b"dot", b"kernel", b"imap")
                                      for i in range(rounds)])
        found = subjects(server.imap())
        assert sorted(subject for subject, _ in found.values()) == wanted, found
        assert server.octets().count(b"\nSubject: ") == len(wanted)


def test_a_mailbox_emptied_or_made_by_others():
    with MboxServer() as server:
        server.send(b"Subject: one\r\n\r\nx\r\n")
        imap = server.imap()
        assert names(imap) == [b"one"]
        os.unlink(server.path())
        imap.noop()
        assert names(imap) == []
        server.send(b"Subject: two\r\n\r\nx\r\n")
        assert list(subjects(imap)) == [2]
        imap.create("kept")
        server.put(message(b"new"), "folders/made")
        wait_for(lambda: any(b"made" in line for line in imap.list()[1]), 10, "the new folder")
        assert names(imap, "made") == [b"new"]


# ---- Dovecot ----------------------------------------------------------------------------------------

class Dovecot:
    """An IMAP server on a folder, through its standard input."""

    def __init__(self, folder):
        self.program = "/usr/lib/dovecot/imap"
        if not os.path.exists(self.program) or os.geteuid() != 0:
            raise Skip("no dovecot to run here")
        self.folder = folder
        os.makedirs(folder + "/mail", exist_ok=True)
        self.config = folder + "/dovecot.conf"
        with open(self.config, "w", encoding="ascii") as stream:
            stream.write("mail_location = mbox:%s/mail:INBOX=%s/inbox\nlog_path = %s/log\nssl = no\n"
                         "mbox_write_locks = dotlock fcntl\nmail_uid = nobody\nmail_gid = nogroup\n"
                         "base_dir = %s/run\nstate_dir = %s/run\nmbox_lazy_writes = no\n"
                         "mail_access_groups =\nstats_writer_socket_path =\n" % ((folder,) * 5))

    def run(self, commands):
        """The answers to commands, one a line without tag. Dovecot refuses to run as root."""
        user = pwd.getpwnam("nobody")
        above = self.folder
        while above != "/":
            os.chmod(above, os.stat(above).st_mode | 0o711)
            above = os.path.dirname(above)
        self.give(user.pw_uid, user.pw_gid)
        text = "".join("t%d %s\r\n" % (i, command) for i, command in enumerate(commands)) + "z LOGOUT\r\n"
        done = subprocess.run([self.program, "-c", self.config], input=text.encode(), capture_output=True,
                              timeout=30, check=False,
                              env={"USER": "anna", "HOME": self.folder, "PATH": "/usr/bin:/bin"})
        self.give(os.geteuid(), os.getegid())
        assert b"z OK" in done.stdout, (done.stdout, done.stderr)
        return done.stdout

    def give(self, user, group):
        for folder, _, files in os.walk(self.folder):
            for name in [folder] + [os.path.join(folder, name) for name in files]:
                os.chown(name, user, group, follow_symlinks=False)


def listing(answer):
    """uid -> flags of the FETCH answers."""
    return {int(uid): set(flags.split()) - {b"\\Recent"}
            for uid, flags in re.findall(rb"FETCH \(UID (\d+) FLAGS \(([^)]*)\)", answer)}


def test_dovecots_mailbox_is_taken_over_and_given_back():
    server = MboxServer()
    try:
        home = server.home
        os.makedirs(home)
        dovecot = Dovecot(home)
        server.put(b"".join(message(b"m%d" % i, extra=b"Date: Sun, 22 Nov 2026 03:53:52 +0000\n")
                            for i in range(1, 9)))
        answer = dovecot.run(["SELECT INBOX", "UID STORE 2,4 +FLAGS (\\Deleted)", "EXPUNGE",
                              "UID STORE 3 +FLAGS (\\Seen work $Junk)", "UID STORE 5:6 +FLAGS (\\Flagged)",
                              "UID STORE 8 +FLAGS (\\Answered \\Seen)", "CLOSE", "SELECT INBOX",
                              "UID FETCH 1:* (UID FLAGS)"])
        wanted = listing(answer)
        validity = re.findall(rb"UIDVALIDITY (\d+)", answer)[-1]
        assert sorted(wanted) == [1, 3, 5, 6, 7, 8], answer
        shutil.rmtree(home + "/mail/.imap", ignore_errors=True)
        with server:
            imap = server.imap()
            assert imap.select("INBOX")[0] == "OK"
            assert imap.response("UIDVALIDITY")[1][0] == validity
            assert imap.response("UIDNEXT")[1][0] == b"9"
            found = subjects(imap)
            assert {uid: flags for uid, (_, flags) in found.items()} == wanted, (found, wanted)
            assert found[3][0] == b"m3"
            date = imap.fetch("1", "(INTERNALDATE)")[1][0]
            assert b"22-Nov-2026" in date, date
            imap.append("INBOX", "(\\Draft later)", None, b"Subject: m9\r\n\r\nx\r\n")
            imap.uid("STORE", "1", "+FLAGS", "(\\Seen)")
            imap.uid("STORE", "7", "+FLAGS", "(\\Deleted)")
            imap.expunge()
            wanted = {uid: flags for uid, (_, flags) in subjects(imap).items()}
            imap.logout()
            server.stop()
            answer = dovecot.run(["SELECT INBOX", "UID FETCH 1:* (UID FLAGS)"])
            assert re.findall(rb"UIDVALIDITY (\d+)", answer)[-1] == validity, answer
            assert listing(answer) == wanted, (answer, wanted)
            server.start()
            again = {uid: flags for uid, (_, flags) in subjects(server.imap()).items()}
            assert again == wanted, (again, wanted)
    finally:
        server.__exit__(None, None, None)


def test_what_dovecot_keeps_beside_the_folders():
    with MboxServer() as server:
        server.put(b"V\t2\n\nINBOX\nWork\tOld\n", "folders/.subscriptions")
        server.put(b"6b02ff23", "folders/dovecot-uidvalidity")
        server.put(b"", "folders/dovecot-uidvalidity.6b02ff23")
        server.put(message(b"old"), "folders/Work/Old")
        imap = server.imap()
        assert sorted(line.rsplit(b" ", 1)[1].strip(b'"') for line in imap.lsub()[1]) == [
            b"INBOX", b"Work/Old"], imap.lsub()
        assert not any(b"dovecot" in line for line in imap.list()[1]), imap.list()
        assert imap.select("Work/Old")[1] == [b"1"]
        imap.logout()


# ---- damage and trouble --------------------------------------------------------------------------------

def test_a_damaged_file_is_served_as_far_as_it_goes():
    garbage = os.urandom(100000).replace(b"\nFrom ", b"") + b"\n"
    cases = {
        "garbage-before": garbage + message(b"after"),
        "cut": message(b"one") + message(b"two")[:-4],
        "header": FROM + b"Subject: long\n" + b"X-Long: " + b"x" * (64 << 20) + b"\n\nbody\n",
        "nothing": garbage,
        "nul": FROM + b"Subject: nul\n\na\0b\n\n" + b"\0" * 70000 + b"\n" + message(b"last"),
        "crlf": (message(b"one") + message(b"two")).replace(b"\n", b"\r\n"),
        "open-end": message(b"one") + FROM + b"Subject: two\n\nno line end",
    }
    wanted = {
        "garbage-before": [b"after"], "cut": [b"one", b"two"], "header": [b"long"], "nothing": [],
        "nul": [b"nul", b"last"], "crlf": [b"one", b"two"], "open-end": [b"one", b"two"],
    }
    server = MboxServer()
    for name, octets in cases.items():
        server.put(octets, "folders/" + name)
    with server:
        imap = server.imap()
        for name in cases:
            for _ in range(2):
                assert imap.select(name)[1][0] == b"%d" % len(wanted[name]), name
            if name != "header":  # no session takes a header of that size
                assert names(imap, name) == wanted[name], (name, names(imap, name))
        imap.select("header")
        size = int(re.search(rb"RFC822.SIZE (\d+)", imap.fetch("1", "(RFC822.SIZE)")[1][0]).group(1))
        assert size == len(cases["header"]) - len(FROM) + 4, size
        imap.select("open-end")
        assert imap.fetch("2", "(BODY.PEEK[TEXT])")[1][0][1] == b"no line end\r\n"
        imap.select("nul")
        assert imap.fetch("1", "(BODY.PEEK[TEXT])")[1][0][1].startswith(b"a\0b\r\n")
        with open("/proc/%d/status" % server.worker(), encoding="ascii") as stream:
            peak = int(re.search(r"VmHWM:\s+(\d+)", stream.read()).group(1))
        assert peak < 200000, "%d KiB" % peak
        for name in ("garbage-before", "nothing"):
            told = [event for event in server.events("mbox-damaged") if event["mailbox"] == name]
            assert len(told) == 1, (name, told)
        assert imap.append("garbage-before", None, None, b"Subject: more\r\n\r\nx\r\n")[0] == "OK"
        assert names(imap, "garbage-before") == [b"after", b"more"]
        imap.logout()
        server.stop()
        assert server.octets("folders/garbage-before").startswith(garbage)
        assert server.octets("folders/nothing") == garbage


def test_what_stands_in_the_way_is_a_temporary_failure():
    with MboxServer() as server:
        server.send(b"Subject: one\r\n\r\nx\r\n")
        imap = server.imap()
        assert names(imap) == [b"one"]
        path = server.path()
        for kind in ("folder", "link", "fifo"):
            os.rename(path, path + ".away")
            if kind == "folder":
                os.mkdir(path)
            elif kind == "link":
                os.symlink(path + ".away", path)
            else:
                os.mkfifo(path)
            assert imap.append("INBOX", None, None, b"Subject: two\r\n\r\nx\r\n")[0] == "NO", kind
            if kind == "folder":
                os.rmdir(path)
            else:
                os.unlink(path)
            os.rename(path + ".away", path)
            assert names(imap) == [b"one"], kind
        assert imap.append("INBOX", None, None, b"Subject: two\r\n\r\nx\r\n")[0] == "OK"
        assert list(subjects(imap).values())[0][0] == b"one"


def test_locks_of_others_are_waited_for_and_stale_ones_removed():
    with MboxServer("write-locks = dotlock, fcntl\nstale-lock = 60s\n") as server:
        server.send(b"Subject: one\r\n\r\nx\r\n")
        imap = server.imap()
        with locked(server.path()):
            started = time.monotonic()
            assert imap.append("INBOX", None, None, b"Subject: two\r\n\r\nx\r\n")[0] == "NO"
            assert time.monotonic() - started > 1
        assert imap.append("INBOX", None, None, b"Subject: two\r\n\r\nx\r\n")[0] == "OK"
        with open(server.path() + ".lock", "w", encoding="ascii") as stream:
            stream.write("99999999:" + socket.gethostname())
        assert imap.append("INBOX", None, None, b"Subject: three\r\n\r\nx\r\n")[0] == "OK"
        with open(server.path() + ".lock", "w", encoding="ascii") as stream:
            stream.write("0")
        old = time.time() - 100
        os.utime(server.path() + ".lock", (old, old))
        os.utime(server.path(), (old, old))
        assert imap.append("INBOX", None, None, b"Subject: four\r\n\r\nx\r\n")[0] == "OK"
        assert names(imap) == [b"one", b"two", b"three", b"four"]
        assert not os.path.exists(server.path() + ".lock")


def test_a_program_with_another_order_of_locks_gets_them():
    """As mutt: fcntl, then the dot lock, tried once a second and given up after five times."""
    for order in ("fcntl, dotlock", "dotlock, fcntl"):
        config = CONFIG.replace("lock-timeout = 3s", "lock-timeout = 20s")
        with MboxServer("write-locks = %s\n" % order, config) as server:
            server.send(b"Subject: one\r\n\r\nx\r\n")
            imap = server.imap()
            with open(server.path(), "r+b") as stream:
                fcntl.lockf(stream, fcntl.LOCK_EX)
                sender = threading.Thread(target=imap.append,
                                          args=("INBOX", None, None, b"Subject: two\r\n\r\nx\r\n"))
                sender.start()
                for _ in range(5):
                    time.sleep(1)
                    with contextlib.suppress(FileExistsError):
                        os.close(os.open(server.path() + ".lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444))
                        break
                else:
                    raise AssertionError("the server keeps its dot lock while it waits (%s)" % order)
                os.unlink(server.path() + ".lock")
            sender.join(20)
            assert names(imap) == [b"one", b"two"]


def test_a_full_disk_loses_nothing():
    server = MboxServer()
    data = server.values["data"]
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=0700", "none", data],
                                           stderr=subprocess.DEVNULL, check=False).returncode != 0:
        raise Skip("cannot mount a tmpfs here")
    try:
        ballast = os.path.join(data, "ballast")
        with server:
            with open(ballast, "wb") as stream:
                stream.write(b"x" * 500000)
            imap = server.imap()
            kept = []
            big = b"x" * 70 * 1000 + b"\r\n"
            refused = 0
            for i in range(60):
                answer = imap.append("INBOX", None, None, b"Subject: m%d\r\n\r\n" % i + big)[0]
                if answer == "OK":
                    kept.append(b"m%d" % i)
                else:
                    refused += 1
            assert refused > 0 and kept
            assert names(imap) == kept
            os.unlink(ballast)
            imap.select("INBOX")
            imap.store("1:3", "+FLAGS", "(\\Deleted)")
            assert imap.expunge()[0] == "OK"
            assert names(imap) == kept[3:]
            imap.logout()
            server.stop()
            server.start()
            assert names(server.imap()) == kept[3:]
    finally:
        subprocess.run(["umount", "-l", data], check=False)
        shutil.rmtree(server.dir, ignore_errors=True)


def test_a_torn_append_is_undone_after_others_went_on():
    """The octets are in the file, the index knows nothing of them; then another mailbox gets mail."""
    with MboxServer() as server:
        server.send(b"Subject: one\r\n\r\nx\r\n")
        imap = server.imap()
        assert imap.create("other")[0] == "OK"
        imap.logout()
        server.stop()
        before = server.path("before")
        os.mkdir(before)
        indexes = [name for name in os.listdir(server.home) if name.startswith("index.sqlite")]
        for name in indexes:
            if not os.path.isdir(server.path(name)):
                shutil.copy2(server.path(name), before)
        server.start()
        server.send(b"Subject: torn\r\n\r\nx\r\n")
        server.kill()
        assert b"Subject: torn" in server.octets()
        for name in os.listdir(server.home):
            if name.startswith("index.sqlite") and not name.endswith((".intent", ".octets")):
                os.unlink(server.path(name))
        for name in os.listdir(before):
            if not name.endswith(".intent"):
                shutil.copy2(os.path.join(before, name), server.home)
        server.start()
        imap = server.imap()
        assert imap.append("other", None, None, b"Subject: two\r\n\r\nx\r\n")[0] == "OK"
        assert names(imap) == [b"one"]
        assert b"Subject: torn" not in server.octets()
        assert names(imap, "other") == [b"two"]


def test_the_index_is_made_anew_from_the_files():
    with MboxServer() as server:
        for name in (b"one", b"two", b"three"):
            server.send(b"Subject: " + name + b"\r\n\r\nx\r\n")
        imap = server.imap()
        imap.select("INBOX")
        validity = imap.response("UIDVALIDITY")[1][0]
        imap.store("2", "+FLAGS", "(\\Seen \\Flagged work)")
        imap.store("1", "+FLAGS", "(\\Deleted)")
        imap.expunge()
        before = subjects(imap)
        imap.logout()
        server.stop()
        for name in os.listdir(server.home):
            if name.startswith("index"):
                path = server.path(name)
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        server.start()
        imap = server.imap()
        assert subjects(imap) == before
        assert imap.response("UIDVALIDITY")[1][0] == validity


def test_much_that_moves_is_written_anew():
    with MboxServer("in-place = 0\n") as server:
        for name in (b"one", b"two", b"three"):
            server.send(b"Subject: " + name + b"\r\n\r\nx\r\n")
        os.chmod(server.path(), 0o640)
        inode = os.stat(server.path()).st_ino
        imap = server.imap()
        imap.select("INBOX")
        imap.store("1", "+FLAGS", "(\\Deleted)")
        imap.expunge()
        assert names(imap) == [b"two", b"three"]
        status = os.stat(server.path())
        assert status.st_ino != inode and status.st_mode & 0o777 == 0o640
        assert os.listdir(server.home).count("inbox.lock") == 0


def test_who_opened_a_file_that_was_replaced_loses_nothing():
    with MboxServer("in-place = 0\n") as server:
        for name in (b"one", b"two", b"three"):
            server.send(b"Subject: " + name + b"\r\n\r\nx\r\n")
        imap = server.imap()
        assert len(names(imap)) == 3
        with open(server.path(), "r+b") as stream:
            imap.store("1", "+FLAGS", "(\\Deleted)")
            imap.expunge()
            fcntl.lockf(stream, fcntl.LOCK_EX)
            stream.seek(0, os.SEEK_END)
            stream.write(message(b"late"))
            stream.flush()
            assert os.fstat(stream.fileno()).st_nlink == 0
        assert names(imap) == [b"two", b"three", b"late"]
        assert server.octets().count(b"Subject: late\n") == 1


main(globals())
