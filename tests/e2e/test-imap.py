#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-imap.py: IMAP with real clients and over real sockets"""
import contextlib
import hashlib
import imaplib
import os
import pty
import re
import select
import socket
import sqlite3
import subprocess
import time

import lib
from lib import PASSWORD, Server, main, need, wait_for

CONFIG = lib.SERVER + lib.PEOPLE + lib.STORE + lib.ROUTE + lib.IMAP
USER = "anna@example.org"
MESSAGE = b"From: ben@example.org\r\nSubject: %s\r\nDate: Mon, 3 Feb 2020 10:00:00 +0000\r\n\r\ntext of %s\r\n"


def message(name):
    return MESSAGE % (name, name)


def good(answer):
    assert answer[0] == "OK", answer
    return answer[1]


def server():
    return Server(config=CONFIG, ports=("imap",))


def test_imaplib_walks_through_the_commands():
    with server() as one:
        client = one.imap()
        good(client.create("Work/2026"))
        good(client.subscribe("Work/2026"))
        assert len(good(client.list())) == 3
        assert b"Work/2026" in good(client.lsub())[0]
        for number, name in enumerate((b"one", b"two", b"three")):
            when = imaplib.Time2Internaldate(1580724000 + number * 86400)
            good(client.append("Work/2026", "(\\Flagged)" if number == 1 else None, when, message(name)))
        assert b"MESSAGES 3" in good(client.status("Work/2026", "(MESSAGES UIDNEXT UNSEEN)"))[0]
        assert good(client.select("Work/2026")) == [b"3"]
        assert good(client.search(None, "SUBJECT", "two")) == [b"2"]
        assert good(client.uid("SEARCH", "FLAGGED")) == [b"2"]
        assert good(client.sort("(REVERSE ARRIVAL)", "UTF-8", "ALL")) == [b"3 2 1"]
        assert good(client.thread("REFERENCES", "UTF-8", "ALL")) == [b"(1)(2)(3)"]
        assert good(client.fetch("3", "(RFC822)"))[0][1] == message(b"three")
        assert b"\\Seen" in good(client.fetch("3", "(FLAGS)"))[0]
        assert b"\\Deleted" in good(client.store("1", "+FLAGS", "\\Deleted"))[0]
        good(client.copy("1:2", "INBOX"))
        assert good(client.expunge()) == [b"1"]
        good(client.rename("Work", "Play"))
        good(client.unselect())
        assert good(client.select("Play/2026", readonly=True)) == [b"2"]
        good(client.close())
        good(client.delete("Play/2026"))
        assert good(client.select("INBOX")) == [b"2"]
        assert good(client.namespace()) == [b'(("" "/")) NIL NIL']
        assert client.logout()[0] == "BYE"


class Raw:
    """A socket whose lines are compared as they are."""

    def __init__(self, one, login=True):
        self.socket, self.file = one.raw("imap")
        self.file.readline()
        if login:
            self.command("LOGIN %s \"%s\"" % (USER, PASSWORD))

    def send(self, octets):
        self.socket.sendall(octets)

    def command(self, text):
        self.send(b"x " + text.encode() + b"\r\n")
        return self.until(b"x ")

    def until(self, start):
        lines = []
        while not lines or not lines[-1].startswith(start):
            lines.append(self.file.readline())
            assert lines[-1], "the connection was closed"
        return lines


def test_idle_tells_of_new_mail_at_once():
    with server() as one:
        idle, other = Raw(one), one.imap()
        idle.command("SELECT INBOX")
        idle.send(b"i IDLE\r\n")
        assert idle.file.readline() == b"+ idling\r\n"
        start = time.monotonic()
        good(other.append("INBOX", None, None, message(b"new")))
        assert idle.file.readline() == b"* 1 EXISTS\r\n"
        assert time.monotonic() - start < 1
        assert idle.file.readline().endswith(b" RECENT\r\n")
        other.select("INBOX")
        other.store("1", "+FLAGS", "\\Deleted")
        assert b"\\Deleted" in idle.file.readline()
        other.expunge()
        assert idle.file.readline() == b"* 1 EXPUNGE\r\n"
        idle.send(b"DONE\r\n")
        assert idle.file.readline().startswith(b"i OK")


def test_pipelined_commands_are_answered_in_order():
    with server() as one:
        client = Raw(one)
        text = message(b"piped")
        client.send(b"".join(b"p%d NOOP\r\n" % n for n in range(500))
                    + b"a APPEND INBOX {%d+}\r\n%s\r\nb SELECT INBOX\r\nc FETCH 1 BODY[]\r\nd LOGOUT\r\n" % (
                        len(text), text))
        answer = client.file.read()
        tags = re.findall(rb"^([a-z]\d*) (?:OK|NO|BAD)", answer, re.MULTILINE)
        assert tags == [b"p%d" % n for n in range(500)] + [b"a", b"b", b"c", b"d"]
        assert b"BODY[] {%d}\r\n%s" % (len(text), text) in answer


def test_a_large_message_streams_both_ways():
    with server() as one:
        client = one.imap()
        body = b"".join(b"%060d\r\n" % n for n in range(330000))
        good(client.append("INBOX", None, None, message(b"large") + body))
        good(client.select("INBOX"))
        octets = good(client.fetch("1", "(BODY.PEEK[])"))[0][1]
        assert hashlib.sha256(octets).digest() == hashlib.sha256(message(b"large") + body).digest()
        part = good(client.fetch("1", "(BODY.PEEK[]<10000000.1000>)"))[0][1]
        assert part == octets[10000000:10001000]


def test_an_append_of_too_many_messages_is_refused_whole():
    with server() as one:
        client = Raw(one)
        client.send(b"a APPEND INBOX" + b" {7+}\r\nA: b\r\nc" * 20000 + b"\r\n")
        assert client.file.readline().startswith(b"a NO [LIMIT]")
        assert b"MESSAGES 0" in client.command("STATUS INBOX (MESSAGES)")[0]
        client.send(b"a APPEND INBOX" + b" {7+}\r\nA: b\r\nc" * 1000 + b"\r\n")
        assert b" 1:1000] " in client.file.readline()


def test_a_client_may_vanish_at_any_octet():
    with server() as one:
        text = message(b"half")
        script = (b"a LOGIN %s \"%s\"\r\nb SELECT INBOX\r\nc APPEND INBOX {%d+}\r\n%s\r\n"
                  b"d FETCH 1:* (BODY[])\r\ne IDLE\r\nDONE\r\nf LOGOUT\r\n" % (
                      USER.encode(), PASSWORD.encode(), len(text), text))
        for length in range(0, len(script), 3):
            with socket.create_connection(("127.0.0.1", one.ports["imap"]), 10) as client:
                client.recv(1000)
                client.sendall(script[:length])
        client = one.imap()
        count = int(good(client.select("INBOX"))[0])
        for number in range(1, count + 1):
            assert good(client.fetch(str(number), "(BODY.PEEK[])"))[0][1] == text


def test_a_client_that_never_reads_holds_little():
    with server() as one:
        client = one.imap()
        body = message(b"fill") + b"x" * 70 + b"\r\n"
        body += b"".join(b"%060d\r\n" % n for n in range(8000))
        for _ in range(40):
            good(client.append("INBOX", None, None, body))
        before = memory(one.worker())
        deaf = Raw(one)
        deaf.command("SELECT INBOX")
        deaf.send(b"".join(b"f%d FETCH 1:* (BODY.PEEK[])\r\n" % n for n in range(200)))
        time.sleep(1)
        assert memory(one.worker()) - before < 24 << 20
        good(client.noop())


def memory(pid):
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as stream:
        return int(re.search(r"Pss_Anon: +(\d+) kB", stream.read()).group(1)) << 10


def run_mutt(program, one, folder, keys):
    """mutt or neomutt on a terminal of its own; ends by itself or is ended."""
    rc = os.path.join(one.dir, "muttrc")
    address = "imap://127.0.0.1:%d/" % one.ports["imap"]
    with open(rc, "w", encoding="utf-8") as stream:
        stream.write('set imap_user="%s"\nset imap_pass="%s"\nunset ssl_starttls ssl_force_tls\nset quit=yes\n'
                     'set confirmappend=no\nset confirmcreate=no\nset delete=yes\nset copy=no\n'
                     'set folder="%s"\nset mbox_type=Maildir\nset record=""\nset postponed=""\n'
                     'unset wait_key\n' % (USER, PASSWORD, address))
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm", HOME=one.dir, LC_ALL="C.UTF-8")
        os.execvp(program, [program, "-n", "-F", rc, "-f", address + folder, "-e", "push %s" % keys])
    screen = b""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                screen += os.read(terminal, 65536)
            except OSError:
                break
    else:
        os.kill(pid, 9)
    os.waitpid(pid, 0)
    os.close(terminal)
    return screen


def read_copy_and_delete(program):
    need(program)
    with server() as one:
        client = one.imap()
        for name in (b"first", b"second"):
            good(client.append("INBOX", None, None, message(name)))
        good(client.create("Kept"))
        screen = run_mutt(program, one, "INBOX", "'<first-entry><display-message><exit><copy-message>=Kept<enter>"
                          "<delete-message><sync-mailbox><quit>'")
        assert b"second" in screen, screen
        good(client.select("Kept"))
        assert good(client.fetch("1", "(BODY.PEEK[])"))[0][1] == message(b"first"), screen
        good(client.select("INBOX"))
        left = good(client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (Subject)])"))
        assert len([part for part in left if isinstance(part, tuple)]) == 1, (left, screen)


def test_mutt_reads_copies_and_deletes():
    read_copy_and_delete("mutt")


def test_neomutt_reads_copies_and_deletes():
    read_copy_and_delete("neomutt")


def test_curl_lists_and_fetches():
    curl = need("curl")
    with server() as one:
        client = one.imap()
        good(client.append("INBOX", None, None, message(b"curled")))
        address = "imap://127.0.0.1:%d/" % one.ports["imap"]

        def run(*words):
            return subprocess.run([curl, "-s", "-u", "%s:%s" % (USER, PASSWORD), *words],
                                  capture_output=True, check=True, timeout=30).stdout
        assert b'"/" INBOX' in run(address)
        assert run(address + "INBOX;MAILINDEX=1") == message(b"curled")
        assert b"* SEARCH 1" in run(address + "INBOX?SUBJECT%20curled")
        assert b"EXISTS" in run(address, "-X", "EXAMINE INBOX")


def test_an_index_of_text_is_made_and_answers_like_a_scan():
    config = CONFIG.replace("[store mail]\n", "[store mail]\nsearch-index = {{data}}/search/{{domain}}/{{user}}\n")
    with Server(config=config, ports=("imap",)) as one:
        client = one.imap()
        for number in range(120):
            good(client.append("INBOX", None, None, message(b"needle" if number % 40 == 7 else b"hay")))
        client.select("INBOX")
        before = client.search(None, "TEXT", "needle")[1]
        assert before == [b"8 48 88"], before
        path = os.path.join(one.values["data"], "search", "example.org", "anna")
        wait_for(lambda: os.path.exists(path) and taken_up(path) == 120, 20, "the index")
        assert client.search(None, "TEXT", "needle")[1] == before
        good(client.append("INBOX", None, None, message(b"needle")))
        assert client.search(None, "BODY", "needle")[1] == [b"8 48 88 121"]
        assert oct(os.stat(path).st_mode & 0o777) == "0o600"


def taken_up(path):
    with contextlib.closing(sqlite3.connect(path, timeout=5)) as database:
        try:
            return database.execute("SELECT coalesce(max(upto), 0) FROM box").fetchone()[0]
        except sqlite3.OperationalError:
            return 0


def test_the_selected_mailbox_may_be_deleted_by_another():
    with server() as one:
        client, other = one.imap(), Raw(one)
        good(client.create("Gone"))
        other.command("SELECT Gone")
        good(client.delete("Gone"))
        other.send(b"x NOOP\r\n")
        assert wait_for(lambda: other.file.readline(), 5, "a goodbye").startswith(b"* BYE")
        assert other.file.readline() == b""


main(globals())
