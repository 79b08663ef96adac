#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test.py: mail with a bad word is refused, other is marked

meson test runs it: test.py PROGRAM CONFIG
"""
import imaplib
import smtplib
import sys

from served import Served


def send(server, subject):
    """The code of the answer to the message."""
    client = smtplib.SMTP("127.0.0.1", server.port(1025), timeout=10)
    try:
        client.sendmail("carla@example.net", ["anna@localhost"],
                        b"Subject: %s\r\n\r\nHello\r\n" % subject)
        return 250
    except smtplib.SMTPDataError as error:
        return error.smtp_code
    finally:
        client.close()


with Served(*sys.argv[1:3]) as server:
    assert send(server, b"You have won the LOTTERY") == 550
    assert send(server, b"=?utf-8?B?cHJpemU=?=") == 550  # "prize" in base64
    assert send(server, b"lunch") == 250
    reader = imaplib.IMAP4("127.0.0.1", server.port(1143), timeout=10)
    reader.login("anna", "secret")
    assert reader.select("INBOX")[1] == [b"1"]
    text = reader.fetch("1", "(BODY.PEEK[])")[1][0][1]
    assert b"X-Words: looked at\r\n" in text and b"Hello" in text, text
    reader.logout()
