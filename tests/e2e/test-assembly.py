#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-assembly.py: a config alone makes a server; what it does not name is not loaded"""
import os
import re

import lib
from lib import PLUGINS, Server, main

NEEDED_BY_ALL = {"directory-passwd-file", "store-sqlite", "mechanism-plain"}
POP3_ONLY = lib.SERVER + lib.PEOPLE + lib.STORE + lib.POP3
IMAP_ONLY = lib.SERVER + lib.PEOPLE + lib.STORE + lib.IMAP
SMTP_ONLY = lib.SERVER + lib.PEOPLE + lib.STORE + lib.ROUTE + lib.SMTP


def loaded(server):
    """Names of the plugin files that are mapped by the server or one of its processes."""
    names = set()
    for pid in [server.process.pid] + lib.descendants(server.process.pid):
        with open("/proc/%d/maps" % pid, encoding="utf-8") as maps:
            for line in maps:
                match = re.search(r"(/\S+)/([\w-]+)\.so(?: \(deleted\))?$", line)
                if match and os.path.realpath(match.group(1)) == os.path.realpath(PLUGINS):
                    names.add(match.group(2))
    return names


def test_a_pop3_server_loads_no_other_protocol():
    with Server(config=POP3_ONLY, ports=("pop3",)) as server:
        assert server.pop3().stat() == (0, 0)
        assert loaded(server) == NEEDED_BY_ALL | {"protocol-pop3"}, loaded(server)


def test_an_imap_server_loads_no_other_protocol():
    with Server(config=IMAP_ONLY, ports=("imap",)) as server:
        assert server.imap().select("INBOX")[0] == "OK"
        assert loaded(server) == NEEDED_BY_ALL | {"protocol-imap", "mechanism-login"}, loaded(server)


def test_an_smtp_server_loads_no_mechanism_and_no_other_protocol():
    with Server(config=SMTP_ONLY, ports=("smtp",)) as server:
        server.send(b"Subject: hello\r\n\r\nHello.\r\n")
        expected = {"directory-passwd-file", "store-sqlite", "transport-store", "protocol-smtp"}
        assert loaded(server) == expected, loaded(server)


main(globals())
