#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-hostile.py: bad input gets a specific negative reply, and the other sessions notice nothing"""
import errno
import os
import random
import socket
import time

import lib
from lib import PASSWORD, Server, main, wait_for

MESSAGE = b"Subject: Hello\r\n\r\nHello.\r\n"
ENVELOPE = b"EHLO x.example\r\nMAIL FROM:<carla@example.net>\r\nRCPT TO:<anna@example.org>\r\n"


def talk(server, name, octets, seconds=10):
    """Sends octets, ends the sending side, and gives everything that comes back."""
    connection, _ = server.raw(name)
    connection.settimeout(seconds)
    parts = []
    try:
        connection.sendall(octets)
        connection.shutdown(socket.SHUT_WR)
        while True:
            more = connection.recv(65536)
            if not more:
                break
            parts.append(more)
    except OSError as error:  # reset, or closed before we ended our side
        assert error.errno in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN), error
    finally:
        connection.close()
    return b"".join(parts)


def speak(server, name):
    """Connects, reads the greeting, gives a function that sends a line and reads one."""
    connection, reader = server.raw(name)
    reader.readline()

    def ask(octets):
        connection.sendall(octets)
        return reader.readline()
    return connection, reader, ask


def n_messages(server):
    imap = server.imap()
    count = int(imap.select("INBOX", readonly=True)[1][0])
    imap.logout()
    return count


def still_serves(server):
    before = n_messages(server)
    server.send(MESSAGE)
    assert n_messages(server) == before + 1


def memory(server):
    """Resident octets of the worker."""
    with open("/proc/%d/statm" % server.worker(), encoding="ascii") as stream:
        return int(stream.read().split()[1]) * 4096


def test_no_line_end_but_crlf_dot_crlf_ends_a_message():
    endings = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n.\r", b"\r\n\x00.\r\n"]
    with Server() as server:
        for ending in endings:
            connection, reader, ask = speak(server, "smtp")
            ask(b"HELO x.example\r\n")
            ask(b"MAIL FROM:<carla@example.net>\r\n")
            ask(b"RCPT TO:<anna@example.org>\r\n")
            assert ask(b"DATA\r\n").startswith(b"354 ")
            smuggled = b"MAIL FROM:<m@x.example>\r\nRCPT TO:<ben@example.org>\r\nDATA\r\nsmuggled\r\n.\r\n"
            connection.sendall(b"Subject: one\r\n\r\ntext" + ending + smuggled)
            answer = reader.readline()
            assert answer[:1] == b"5", (ending, answer)
            connection.close()
        ben = server.imap("ben@example.org")
        assert ben.select("INBOX")[1] == [b"0"], "a smuggled message came through"
        ben.logout()
        still_serves(server)


def test_commands_in_the_wrong_order_get_503():
    with Server() as server:
        _, _, ask = speak(server, "smtp")
        for line in (b"RCPT TO:<anna@example.org>\r\n", b"DATA\r\n"):
            assert ask(line).startswith(b"503 "), line
        assert ask(b"HELO x.example\r\n").startswith(b"250 ")
        assert ask(b"RCPT TO:<anna@example.org>\r\n").startswith(b"503 ")
        assert ask(b"MAIL FROM:<a@x.example>\r\n").startswith(b"250 ")
        assert ask(b"MAIL FROM:<a@x.example>\r\n").startswith(b"503 ")
        assert ask(b"DATA\r\n").startswith((b"503 ", b"554 "))
        assert ask(b"XYZZY\r\n").startswith(b"500 ")


def test_a_line_that_never_ends_is_bounded():
    with Server() as server:
        for name in ("smtp", "imap", "pop3"):
            before = memory(server)
            talk(server, name, b"A" * (20 << 20))
            wait_for(lambda: memory(server) < before + (24 << 20), 10, "memory to come back")
        still_serves(server)


def test_sizes_beyond_every_integer_are_refused():
    with Server() as server:
        _, _, ask = speak(server, "smtp")
        ask(b"HELO x.example\r\n")
        connection, reader, ask = speak(server, "smtp")
        connection.sendall(b"EHLO x.example\r\n")
        while reader.readline()[3:4] == b"-":
            pass
        for size in (2**31, 2**32, 2**63, 2**64, 10**30):
            answer = ask(b"MAIL FROM:<a@x.example> SIZE=%d\r\n" % size)
            assert answer[:3] in (b"552", b"501"), (size, answer)
        answer = ask(b"BDAT 18446744073709551617 LAST\r\n")
        assert answer[:1] == b"5", answer
        for size in (2**31, 2**32, 2**63 - 1, 2**63, 2**64, 10**30):
            _, _, ask = speak(server, "imap")
            answer = ask(b"a LOGIN {%d}\r\n" % size)
            assert not answer.startswith(b"+"), (size, answer)
        for number in (2**31, 2**32 + 1, 2**63, 10**30):
            _, _, ask = speak(server, "pop3")
            assert ask(b"USER anna@example.org\r\n").startswith(b"+OK")
            assert ask(b"PASS %s\r\n" % PASSWORD.encode()).startswith(b"+OK")
            assert ask(b"RETR %d\r\n" % number).startswith(b"-ERR")
            assert ask(b"QUIT\r\n").startswith(b"+OK")  # the next login finds the maildrop free
        still_serves(server)


def test_a_uid_beyond_32_bits_is_not_cut_to_another():
    with Server() as server:
        server.send(MESSAGE)
        _, reader, ask = speak(server, "imap")
        ask(b'a LOGIN anna@example.org "%s"\r\n' % PASSWORD.encode())
        reader_lines = []
        first_tagged(reader, ask, b"b SELECT INBOX\r\n", reader_lines)
        answer = first_tagged(reader, ask, b"c UID FETCH 4294967297 (UID FLAGS)\r\n", reader_lines)
        assert answer.startswith(b"c BAD"), answer
        assert not any(b"FETCH" in line for line in reader_lines), reader_lines


def first_tagged(reader, ask, line, seen):
    tag = line.split(b" ")[0] + b" "
    answer = ask(line)
    while answer and not answer.startswith(tag):
        seen.append(answer)
        answer = reader.readline()
    return answer


def test_octets_that_no_protocol_allows_get_an_answer():
    pick = random.Random(1)
    with Server() as server:
        for name in ("smtp", "imap", "pop3"):
            for octets in (b"\0\r\n", b"NOOP\0\r\n", b"\r\r\n", b"NO\rOP\r\n", b"\xff\xfe\x80\r\n", b"\n\n\n"):
                assert talk(server, name, octets), (name, octets)
            for _ in range(50):
                talk(server, name, pick.randbytes(pick.randrange(1, 300)) + b"\r\n")
        still_serves(server)


def test_a_client_that_vanishes_at_any_octet_leaves_nothing():
    script = ENVELOPE + b"DATA\r\n" + MESSAGE + b".\r\n"
    with Server() as server:
        for length in range(0, len(script) - 1):
            connection, _ = server.raw("smtp")
            connection.sendall(script[:length])
            connection.close()
        assert n_messages(server) == 0
        still_serves(server)


def test_a_client_that_never_reads_holds_up_nobody():
    with Server() as server:
        for _ in range(20):
            server.send(b"Subject: big\r\n\r\n" + b"x" * 70 + (b"\r\n" + b"y" * 70) * 14000 + b"\r\n")
        before = memory(server)
        silent = []
        for _ in range(10):
            connection, _ = server.raw("imap")
            connection.sendall(b'a LOGIN anna@example.org "%s"\r\nb SELECT INBOX\r\n' % PASSWORD.encode()
                               + b"c FETCH 1:* BODY.PEEK[]\r\n" * 20)
            silent.append(connection)
        time.sleep(1)
        started = time.monotonic()
        still_serves(server)
        assert time.monotonic() - started < 2
        assert memory(server) < before + (24 << 20), "%d MB more" % ((memory(server) - before) >> 20)
        for connection in silent:
            connection.close()
        still_serves(server)


def test_input_before_starttls_is_not_taken_for_commands_after_it():
    certificate = lib.TLS
    with Server(config=lib.WHOLE + certificate) as server:
        connection, reader = server.raw("smtp")
        reader.readline()
        connection.sendall(b"EHLO x.example\r\n")
        while reader.readline()[3:4] == b"-":
            pass
        connection.sendall(b"STARTTLS\r\nMAIL FROM:<mallory@x.example>\r\n")
        answers = reader.read()
        assert b"250" not in answers, answers
        answers = talk(server, "imap", b"a STARTTLS\r\nb LOGIN anna@example.org x\r\n")
        assert b"b " not in answers, answers
        answers = talk(server, "pop3", b"STLS\r\nUSER anna@example.org\r\n")
        assert answers.count(b"+OK") <= 2, answers


def test_idle_connections_leave_room_for_work():
    config = lib.WHOLE.replace("log = json", "log = json\nmax-connections-per-address = 1000")
    with Server(config=config) as server:
        idle = []
        for _ in range(45):
            for name in ("smtp", "imap", "pop3"):
                idle.append(server.raw(name)[0])
        started = time.monotonic()
        still_serves(server)
        assert time.monotonic() - started < 2
        for connection in idle:
            connection.close()
        assert os.path.exists("/proc/%d" % server.process.pid)


main(globals())
