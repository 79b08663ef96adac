#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-faults.py: what fails around the server becomes a temporary failure, and nothing is lost

A full disk, no descriptors, a damaged or read-only account, clients that vanish, stand still or
never read: the client gets a specific negative reply or a closed connection, the others notice
nothing, memory stays bounded, and what was acknowledged is there afterwards.
"""
import os
import poplib
import re
import resource
import smtplib
import socket
import subprocess
import tempfile
import time

import lib
from lib import PASSWORD, Server, Skip, main, wait_for

MESSAGE = b"Subject: Hello\r\n\r\nHello.\r\n"
LOGIN = b'a LOGIN anna@example.org "%s"\r\n' % PASSWORD.encode()
MANY = lib.WHOLE.replace("log = json", "log = json\nmax-connections = 5000\n"
                         "max-connections-per-address = 4000")
GONE = (OSError, EOFError, smtplib.SMTPException)


def n_messages(server, user="anna@example.org"):
    imap = server.imap(user)
    count = int(imap.select("INBOX", readonly=True)[1][0])
    imap.logout()
    return count


def memory(server):
    """Resident octets of the worker."""
    with open("/proc/%d/statm" % server.worker(), encoding="ascii") as stream:
        return int(stream.read().split()[1]) * resource.getpagesize()


def try_to_send(server, octets, user="anna@example.org"):
    """The code of the answer: 250, or what refused it."""
    try:
        server.send(octets, recipients=[user])
        return 250
    except smtplib.SMTPRecipientsRefused as refused:
        return list(refused.recipients.values())[0][0]
    except smtplib.SMTPResponseException as refused:
        return refused.smtp_code


def append(server, octets, user="anna@example.org"):
    """The answer to APPEND."""
    imap = server.imap(user)
    answer = imap.append("INBOX", None, None, octets)
    imap.logout()
    return answer


def inbox(server, user="anna@example.org"):
    """Each message there, whole."""
    imap = server.imap(user)
    imap.select("INBOX", readonly=True)
    answer = imap.fetch("1:*", "(BODY.PEEK[])")[1]
    imap.logout()
    return [part[1] for part in answer if isinstance(part, tuple)]


class SmallDisk:
    """A file system of a few megabytes, mounted where the server will keep its data."""

    def __init__(self, server, octets):
        self.path = server.values["data"]
        if os.geteuid() != 0:
            raise Skip("only root may mount")
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d,mode=0700" % octets, "none", self.path],
                          stderr=subprocess.DEVNULL, check=False).returncode != 0:
            raise Skip("cannot mount a tmpfs here")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        subprocess.run(["umount", "-l", self.path], check=False)


def test_a_full_disk_is_temporary_and_loses_nothing():
    server = Server()
    with SmallDisk(server, 6 << 20), server:
        kept, codes = [], []
        for number in range(60):
            octets = b"X-Number: %d\r\n\r\n" % number + (b"x" * 70 + b"\r\n") * 4000
            codes.append(try_to_send(server, octets))
            if codes[-1] == 250:
                kept.append(octets)
            elif codes.count(codes[-1]) > 5:
                break
        assert set(codes) - {250} and all(400 <= code < 500 for code in set(codes) - {250}), codes
        assert any("ENOSPC" in line or "No space" in line or "full" in line for line in server.log)
        assert append(server, b"x: y\r\n\r\n" + b"z" * 400000)[0] == "NO"
        found = inbox(server)
        for octets in kept:
            assert sum(one.endswith(octets) for one in found) == 1
        imap = server.imap()
        imap.select("INBOX")
        for number in range(1, 6):
            imap.store(str(number), "+FLAGS", "(\\Deleted)")
        imap.expunge()
        imap.logout()
        assert len(inbox(server)) in (len(found), len(found) - 5)
        server.stop()
        server.start()
        assert len(inbox(server)) in (len(found), len(found) - 5)


def fill(folder):
    """Takes every octet that is left; the file's path."""
    path = os.path.join(folder, "filler")
    with open(path, "wb", buffering=0) as stream:
        for size in (65536, 4096, 512, 1):
            try:
                while stream.write(b"f" * size) == size:
                    pass
            except OSError:
                pass
    return path


def test_mail_can_be_removed_on_a_full_disk():
    """store.md: expunging and unflagging work when the disk is full, from a reserve."""
    server = Server()
    with SmallDisk(server, 40 << 20), server:
        for number in range(40):
            server.send(b"X-Number: %d\r\n\r\n" % number + b"x" * 3000 + b"\r\n")
        imap = server.imap()
        imap.select("INBOX")
        assert imap.store("1:10", "+FLAGS", "(\\Flagged)")[0] == "OK"
        filler = fill(server.values["data"])
        assert append(server, b"x: y\r\n\r\n" + b"z" * 2000000)[0] == "NO"
        for number in range(1, 11):
            assert imap.store(str(number), "-FLAGS", "(\\Flagged)")[0] == "OK", number
        for number in range(30):
            assert imap.store("1", "+FLAGS", "(\\Deleted)")[0] == "OK", number
            assert imap.expunge() == ("OK", [b"1"]), number
        assert try_to_send(server, b"x: y\r\n\r\n" + b"z" * 3000) in (451, 452)
        assert len(server.events("disk-full")) == 1
        os.unlink(filler)
        wait_for(lambda: try_to_send(server, MESSAGE) == 250, 10, "the server to take mail again")
        assert server.events("disk-has-room")
        # A server that starts on a full disk can do it too.
        filler = fill(server.values["data"])
        server.stop()
        server.start()
        assert n_messages(server) == 11
        imap = server.imap()
        imap.select("INBOX")
        assert imap.store("1", "+FLAGS", "(\\Deleted)")[0] == "OK"
        assert imap.expunge() == ("OK", [b"1"])
        imap.logout()


class FailingDisk:
    """An ext4 in a file that turns read-only at once, as after an error of the disk; no process has
    to close anything for that, and there is no way back but mounting it anew."""

    def __init__(self, server):
        self.path = server.values["data"]
        self.image = os.path.join(server.dir, "image")
        if os.geteuid() != 0:
            raise Skip("only root may mount")
        with open(self.image, "wb") as stream:
            stream.truncate(16 << 20)
        for command in (["mkfs.ext4", "-q", "-F", "-O", "^has_journal", self.image],
                        ["mount", "-o", "loop,errors=remount-ro", self.image, self.path]):
            try:
                subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            except (OSError, subprocess.CalledProcessError):
                raise Skip("cannot mount an ext4 in a file here") from None
        os.chmod(self.path, 0o700)

    def fail(self):
        device = subprocess.run(["findmnt", "-n", "-o", "SOURCE", self.path], check=True,
                                capture_output=True, text=True).stdout.strip()
        with open("/sys/fs/ext4/%s/trigger_fs_error" % os.path.basename(device), "w",
                  encoding="ascii") as stream:
            stream.write("1")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        subprocess.run(["umount", "-l", self.path], check=False)


def test_a_disk_that_turns_read_only_is_temporary():
    server = Server()
    with FailingDisk(server) as disk, server:
        assert try_to_send(server, MESSAGE) == 250
        busy = server.imap()
        busy.select("INBOX")
        worker = server.worker()
        disk.fail()
        for octets in (MESSAGE, b"x: y\r\n\r\n" + b"z" * 200000):
            assert 400 <= try_to_send(server, octets) < 500
            assert append(server, octets)[0] == "NO"
        answer, text = busy.store("1", "+FLAGS", "(\\Flagged)")
        assert answer == "NO", text
        answer, parts = busy.fetch("1", "(BODY.PEEK[])")
        assert answer == "OK" and parts[0][1].endswith(MESSAGE)
        assert n_messages(server) == 1
        assert try_to_send(server, MESSAGE, "ben@example.org") in (451, 452)
        assert any("ead-only file system" in line or "readonly" in line for line in server.log)
        assert server.worker() == worker
        assert server.stop() == 0


def database(server, user):
    return os.path.join(server.values["data"], "mail", "example.org", user)


def test_a_damaged_database_harms_one_account_only():
    with Server() as server:
        server.send(MESSAGE)
        server.send(MESSAGE, recipients=["ben@example.org"])
        server.stop()
        damaged = database(server, "anna")
        for name in (damaged, damaged + "-wal"):
            if os.path.exists(name):
                with open(name, "r+b") as stream:
                    stream.write(b"\xa5" * 8192)
        server.start()
        code = try_to_send(server, MESSAGE)
        assert 400 <= code < 500, code
        connection, reader = server.raw("imap")
        reader.readline()
        connection.sendall(LOGIN + b"b SELECT INBOX\r\n")
        answers = []
        while not (answers and answers[-1].startswith(b"b ")) and len(answers) < 20:
            answers.append(reader.readline())
            if not answers[-1]:
                break
        assert not any(line.startswith(b"b OK") for line in answers), answers
        assert any(line[2:5] == b"NO " or b"BYE" in line for line in answers), answers
        connection, reader = server.raw("pop3")
        reader.readline()
        connection.sendall(b"USER anna@example.org\r\n")
        reader.readline()
        connection.sendall(b"PASS %s\r\n" % PASSWORD.encode())
        assert reader.readline().startswith(b"-ERR")
        assert try_to_send(server, MESSAGE, "ben@example.org") == 250
        assert n_messages(server, "ben@example.org") == 2
        assert any("anna" in line and '"error":"' in line and "not a database" in line for line in server.log)
        with open(damaged, "rb") as stream:
            assert stream.read(4) == b"\xa5" * 4, "the damaged file was replaced"


def test_few_descriptors_refuse_connections_and_spare_the_sessions():
    with Server(config=MANY) as server:
        old = server.imap()
        worker = server.worker()
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (len(os.listdir("/proc/%d/fd" % worker)) + 8,) * 2)
        crowd = []
        for _ in range(60):
            connection, _ = server.raw("smtp")
            crowd.append(connection)
        time.sleep(0.5)
        assert old.noop()[0] == "OK"
        spent = cpu(worker)
        time.sleep(1)
        assert cpu(worker) - spent < 0.5, "busy while no descriptor is free"
        assert server.events("no-descriptors"), "nobody was told"
        for connection in crowd:
            connection.close()

        def served():
            try:
                return try_to_send(server, MESSAGE) == 250
            except GONE:
                return False
        wait_for(served, 10, "service after the crowd left")
        assert server.worker() == worker
        assert old.noop()[0] == "OK"
        old.logout()


def cpu(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as stream:
        words = stream.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def test_a_session_cut_at_any_octet_leaves_the_server_whole():
    scripts = {
        "imap": LOGIN + b"b SELECT INBOX\r\nc APPEND INBOX {7}\r\na: b\r\n\r\nd FETCH 1 (BODY[])\r\n"
                        b"e SEARCH CHARSET UTF-8 SUBJECT {2+}\r\nxx\r\nf IDLE\r\nDONE\r\ng LOGOUT\r\n",
        "pop3": b"USER anna@example.org\r\nPASS %s\r\nUIDL\r\nRETR 1\r\nDELE 1\r\n" % PASSWORD.encode(),
    }
    with Server(config=MANY) as server:
        server.send(MESSAGE)
        for name, script in scripts.items():
            for length in range(0, len(script)):
                connection = socket.create_connection(("127.0.0.1", server.ports[name]), 10)
                connection.sendall(script[:length])
                if length % 2:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.close()
        worker = server.worker()
        wait_for(lambda: len(os.listdir("/proc/%d/fd" % worker)) < 60, 10, "descriptors to be closed")
        assert any(one.endswith(MESSAGE) for one in inbox(server))

        def unlocked():
            try:
                return server.pop3().quit()
            except poplib.error_proto:
                return False
        wait_for(unlocked, 10, "the maildrop to be free")


def test_ten_thousand_unknown_commands_end_the_session():
    with Server() as server:
        before = memory(server)
        for name in ("smtp", "imap", "pop3"):
            connection, reader = server.raw(name)
            try:
                connection.sendall(b"x xyzzy\r\n" * 10000)
                connection.shutdown(socket.SHUT_WR)
                answers = reader.read()
            except OSError:
                answers = b"reset"
            assert answers, name
        assert memory(server) < before + (16 << 20)
        server.send(MESSAGE)


def test_two_thousand_idle_connections_leave_room():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit[1] < 5000:
        raise Skip("too few descriptors here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    with Server(config=MANY) as server:
        before = memory(server)
        idle = [socket.create_connection(("127.0.0.1", server.ports["imap"]), 10) for _ in range(2000)]
        for connection in idle:
            assert connection.recv(4) == b"* OK"
        grown = (memory(server) - before) / len(idle)
        assert grown < 16384, "%d octets for each connection" % grown
        started = time.monotonic()
        server.send(MESSAGE)
        assert n_messages(server) == 1
        assert time.monotonic() - started < 2
        for connection in idle:
            connection.close()


def test_slow_clients_do_not_delay_a_new_one():
    with Server(config=MANY) as server:
        slow = [socket.create_connection(("127.0.0.1", server.ports[name]), 10)
                for name in ("smtp", "imap", "pop3") for _ in range(20)]
        for connection in slow:
            assert connection.recv(1000), "no greeting"
        took = []
        for octet in b"NOOP x":
            for connection in slow:
                connection.sendall(bytes([octet]))
            started = time.monotonic()
            with socket.create_connection(("127.0.0.1", server.ports["smtp"]), 10) as one:
                assert one.recv(3) == b"220"
            took.append(time.monotonic() - started)
            time.sleep(0.5)
        assert sorted(took)[len(took) // 2] < 0.2, took
        for connection in slow:
            connection.close()


def test_fifty_megabytes_for_a_client_that_never_reads_take_no_memory():
    config = MANY.replace("log = json", "log = json\nmessage-size-limit = 60M")
    with Server(config=config) as server:
        server.send(b"Subject: big\r\n\r\n" + (b"y" * 70 + b"\r\n") * (50 * 1000 * 1000 // 72))
        before = memory(server)
        silent = []
        for _ in range(10):
            connection, _ = server.raw("imap")
            connection.sendall(LOGIN + b"b SELECT INBOX\r\n" + b"c FETCH 1 BODY.PEEK[]\r\n" * 5)
            silent.append(connection)
        for _ in range(3):
            connection, _ = server.raw("pop3")
            connection.sendall(b"USER ben@example.org\r\nPASS %s\r\n" % PASSWORD.encode())
            silent.append(connection)
        time.sleep(1)
        assert memory(server) < before + (24 << 20), "%d MB more" % ((memory(server) - before) >> 20)
        assert try_to_send(server, MESSAGE, "ben@example.org") == 250
        for connection in silent:
            connection.close()


def test_a_database_that_cannot_be_made_is_temporary():
    """Something else has its name."""
    with Server() as server:
        os.makedirs(database(server, "anna"))
        code = try_to_send(server, MESSAGE)
        assert 400 <= code < 500, code
        assert try_to_send(server, MESSAGE, "ben@example.org") == 250
        os.rmdir(database(server, "anna"))
        wait_for(lambda: try_to_send(server, MESSAGE) == 250, 10, "the account to work again")


def test_a_database_that_cannot_be_written_refuses_mail():
    with Server() as server:
        server.send(MESSAGE)
        server.stop()
        path = database(server, "anna")
        if os.geteuid() != 0 or subprocess.run(["mount", "--bind", path, path], check=False,
                                               stderr=subprocess.DEVNULL).returncode != 0:
            raise Skip("cannot mount here")
        try:
            subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True)
            server.start()
            code = try_to_send(server, MESSAGE)
            assert 400 <= code < 500, code
            assert try_to_send(server, MESSAGE, "ben@example.org") == 250
            server.stop()
        finally:
            subprocess.run(["umount", "-l", path], check=False)
        server.start()
        assert any(one.endswith(MESSAGE) for one in inbox(server))
        assert try_to_send(server, MESSAGE) == 250


def test_a_plugin_that_cannot_be_made_stops_the_start():
    ports = lib.free_ports(1)
    with tempfile.TemporaryDirectory() as folder:
        for section, needle in (
                ("[store mail]\nplugin = nowhere\n", "nowhere"),
                ("[store mail]\nplugin = sqlite\n[directory d]\nplugin = passwd-file\npath = /proc/no/file\n", "")):
            path = os.path.join(folder, "a.conf")
            text = lib.SERVER.format(data=folder, plugins=lib.PLUGINS) + section + lib.SMTP.format(smtp=ports[0])
            with open(path, "w", encoding="ascii") as stream:
                stream.write(text)
            done = subprocess.run([lib.PROGRAM, "serve", "-c", path], capture_output=True, text=True,
                                  timeout=20, check=False)
            assert done.returncode != 0, done
            assert re.search(r"a\.conf:\d+", done.stderr), done.stderr
            assert needle in done.stderr
            with socket.socket() as one:
                assert one.connect_ex(("127.0.0.1", ports[0])) != 0


main(globals())
