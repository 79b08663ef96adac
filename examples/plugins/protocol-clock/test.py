#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test.py: it greets, answers and says goodbye

meson test runs it: test.py PROGRAM CONFIG
"""
import socket
import sys
import time

from served import Served


with Served(*sys.argv[1:3]) as server:
    connection = socket.create_connection(("127.0.0.1", server.port(1037)), timeout=10)
    reader = connection.makefile("rb")
    assert reader.readline() == b"+ localhost clock\r\n"
    connection.sendall(b"TIME\r\nnonsense\r\ncount\r\nQUIT\r\n")
    assert abs(int(reader.readline().split()[1]) - time.time()) < 10
    assert reader.readline().startswith(b"- ")
    assert reader.readline() == b"+ 3 commands\r\n"
    assert reader.readline() == b"+ goodbye\r\n"
    assert reader.readline() == b""
    reader.close()
    connection.close()
