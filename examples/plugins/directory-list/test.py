#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test.py: who is in the config gets in, others do not

meson test runs it: test.py PROGRAM CONFIG
"""
import imaplib
import smtplib
import sys

from served import Served


def login(server, user, password):
    client = imaplib.IMAP4("127.0.0.1", server.port(1143), timeout=10)
    try:
        return client.login(user, password)[0] == "OK"
    except imaplib.IMAP4.error:
        return False
    finally:
        client.shutdown()


with Served(*sys.argv[1:3]) as server:
    assert login(server, "anna", "secret")
    assert login(server, "anna@localhost", "secret")
    assert not login(server, "anna", "wrong")
    assert not login(server, "nobody", "secret")
    client = smtplib.SMTP("127.0.0.1", server.port(1025), timeout=10)
    client.ehlo("client.example.org")
    client.mail("carla@example.net")
    assert client.rcpt("ben@localhost")[0] == 250
    assert client.rcpt("nobody@localhost")[0] == 550
    client.quit()
    status, text = server.run(*"user list".split())
    assert status == 0 and "anna@localhost" in text and "ben@localhost" in text, text
