#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test.py: a signed token lets its user in, and nothing else does

meson test runs it: test.py PROGRAM CONFIG
"""
import hashlib
import hmac
import imaplib
import sys
import time

from served import Served


KEY = b"0123456789abcdef"


def token(user, expiry, key=KEY):
    signed = b"%s\t%d" % (user, expiry)
    return signed + b"\t" + hmac.new(key, signed, hashlib.sha256).hexdigest().encode()


def login(server, octets):
    client = imaplib.IMAP4("127.0.0.1", server.port(1143), timeout=10)
    try:
        return client.authenticate("X-TOKEN", lambda challenge: octets)[0] == "OK"
    except imaplib.IMAP4.error:
        return False
    finally:
        client.shutdown()


with Served(*sys.argv[1:3]) as server:
    soon = int(time.time()) + 60
    assert login(server, token(b"anna", soon))
    assert not login(server, token(b"anna", soon, b"another key 0000"))
    assert not login(server, token(b"anna", soon - 3600))
    assert not login(server, token(b"nobody", soon))
    assert not login(server, token(b"anna", soon).replace(b"anna", b"ben"))
    assert not login(server, b"anna")
    assert not login(server, b"")
