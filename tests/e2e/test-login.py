#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-login.py: who gets in, as whom, and what a wrong password costs"""
import base64
import imaplib
import poplib
import statistics
import time

import lib
from lib import PASSWORD, Server, main

MESSAGE = b"Subject: Hello\r\n\r\nHello.\r\n"


def seconds_of_a_wrong_login(server, user):
    """How long the answer to one wrong password takes, on a connection of its own."""
    client = imaplib.IMAP4("127.0.0.1", server.ports["imap"])
    started = time.monotonic()
    try:
        client.login(user, "wrong")
        raise AssertionError("a wrong password was taken")
    except imaplib.IMAP4.error as error:
        assert b"AUTHENTICATIONFAILED" in error.args[0], error
    finally:
        client.shutdown()
    return time.monotonic() - started


def test_unknown_users_and_wrong_passwords_cannot_be_told_apart():
    """[DIR-1] same answer, same time."""
    with Server() as server:
        known, unknown = [], []
        for _ in range(2):
            known.append(seconds_of_a_wrong_login(server, "anna@example.org"))
            unknown.append(seconds_of_a_wrong_login(server, "nobody@example.org"))
        print("# known %.2f s, unknown %.2f s" % (statistics.mean(known), statistics.mean(unknown)))
        assert min(known + unknown) >= 1.9
        for one, other in zip(known, unknown):
            assert one < 2 * other + 0.5


def test_login_and_delivery_mean_the_same_mailbox_however_it_is_spelt():
    """[DIR-2] one canonical address."""
    with Server() as server:
        for spelling in ("anna@example.org", "anna@EXAMPLE.org", "Anna@example.org"):
            server.send(MESSAGE, recipients=[spelling])
        for spelling in ("anna@example.org", "anna@Example.ORG"):
            client = imaplib.IMAP4("127.0.0.1", server.ports["imap"])
            client.login(spelling, PASSWORD)
            assert client.select("INBOX")[1] == [b"3"], spelling
            client.logout()


def test_nobody_sees_the_mail_of_another():
    """[STORE-7] data of another account is not returned."""
    with Server() as server:
        server.send(MESSAGE, recipients=["anna@example.org"])
        ben = server.imap("ben@example.org")
        assert ben.select("INBOX")[1] == [b"0"]
        names = [b"../anna@example.org/INBOX", b"~anna@example.org", b"/etc/passwd", b"../../users"]
        for name in names:
            assert ben.select('"%s"' % name.decode())[0] == "NO", name
        assert b"INBOX" in ben.list()[1][0] and len(ben.list()[1]) == 1
        ben.logout()


def test_mechanisms_and_initial_responses():
    plain = base64.b64encode(b"\0anna@example.org\0" + PASSWORD.encode())
    with Server() as server:
        connection, lines = server.raw("imap")
        lines.readline()
        connection.sendall(b"a AUTHENTICATE PLAIN " + plain + b"\r\n")
        assert lines.readline().startswith(b"a OK"), "SASL-IR"
        connection.close()
        connection, lines = server.raw("imap")
        lines.readline()
        connection.sendall(b"a AUTHENTICATE LOGIN\r\n")
        for answer in (b"anna@example.org", PASSWORD.encode()):
            assert lines.readline().startswith(b"+ ")
            connection.sendall(base64.b64encode(answer) + b"\r\n")
        assert lines.readline().startswith(b"a OK")
        connection.close()


def test_a_password_with_nul_or_more_behind_it_is_refused():
    with Server() as server:
        connection, lines = server.raw("imap")
        lines.readline()
        secret = PASSWORD.encode() + b"\0junk"
        connection.sendall(b"a LOGIN anna@example.org {%d+}\r\n%s\r\n" % (len(secret), secret))
        answer = lines.readline()
        assert answer.startswith((b"a BAD", b"a NO", b"* BYE")), answer
        connection.close()


def test_pop3_takes_one_session_a_mailbox_and_frees_it():
    with Server() as server:
        server.send(MESSAGE)
        first = server.pop3()
        assert first.stat()[0] == 1
        first.dele(1)
        first.quit()
        second = server.pop3()
        assert second.stat() == (0, 0)
        second.quit()
        try:
            poplib.POP3("127.0.0.1", server.ports["pop3"]).user("anna@example.org\0x")
        except poplib.error_proto:
            pass
        third = server.pop3()
        third.quit()


main(globals())
