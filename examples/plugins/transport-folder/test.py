#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test.py: each mail becomes a file

meson test runs it: test.py PROGRAM CONFIG
"""
import os
import smtplib
import sys

from served import Served


with Served(*sys.argv[1:3]) as server:
    client = smtplib.SMTP("127.0.0.1", server.port(1025), timeout=10)
    client.sendmail("carla@example.net", ["anna@localhost", "ben@localhost"],
                    b"Subject: to a file\r\n\r\nHello\r\n")
    client.quit()
    folder = os.path.join(server.folder, "data", "files")
    files = sorted(os.listdir(folder))
    assert len(files) == 2 and all(name.endswith(".eml") for name in files), files
    texts = []
    for name in files:
        with open(os.path.join(folder, name), "rb") as stream:
            texts.append(stream.read())
    assert {text.split(b"\r\n")[0] for text in texts} == {
        b"Envelope: <carla@example.net> <anna@localhost>",
        b"Envelope: <carla@example.net> <ben@localhost>"}, texts
    assert all(text.endswith(b"\r\n\r\nHello\r\n") for text in texts), texts
