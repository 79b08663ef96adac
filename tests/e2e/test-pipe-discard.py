#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-pipe-discard.py: mail for programs, and mail for nobody"""
import os

import lib
import relaying
from lib import Server, main, wait_for

OCTETS = b"Subject: one\r\n\r\n.dot\r\ntext \xe9\r\n"
CONFIG = lib.SERVER + lib.SMTP + relaying.QUEUE + """
[route program]
domains = program.example
transport = pipe
command = /bin/sh {dir}/program {{sender}} {{recipient}} {{detail}} {{domain}}
run-time = 500ms
max-output = 1K

[route nobody]
domains = nobody.example
transport = discard
"""
PROGRAM = """cat >"$0.out"
printf '%%s|' "$#" "$@" >>"$0.out"
case $2 in
full*) echo 4.2.2 the box is full; exit 1 ;;
who*) echo no such person; exit 67 ;;
slow*) sleep 5 ;;
loud*) yes ;;
dead*) kill -9 $$ ;;
esac
exit 0
"""


def make():
    server = Server(config=CONFIG, ports=("smtp",))
    with open(server.dir + "/program", "w", encoding="ascii") as stream:
        stream.write(PROGRAM.replace("%%", "%"))
    return server


def test_a_program_gets_the_message_and_whole_words():
    with make() as server:
        assert relaying.outcome(server, OCTETS, recipients=["\"a b;`id`\"@program.example"])[0] == 250
        with open(server.dir + "/program.out", "rb") as stream:
            got = stream.read()
        assert got.startswith(b"Return-Path: <>\nReceived: ") and b"\r" not in got, got
        assert b"\n\n.dot\ntext \xe9\n4||a b;`id`@program.example||program.example|" in got, got
        large = b"Subject: large\r\n\r\n" + (b"x" * 70 + b"\r\n") * 60000
        assert relaying.outcome(server, large, recipients=["bob@program.example"])[0] == 250
        assert os.path.getsize(server.dir + "/program.out") > 71 * 60000


def test_what_the_program_says_decides():
    with make() as server:
        for name, code, reason in (("full", 451, "451 4.2.2 the box is full"),
                                   ("who", 554, "550 5.1.1 no such person"),
                                   ("slow", 451, "451 4.3.0 the program took too long"),
                                   ("loud", 451, "451 4.3.0 the program wrote too much"),
                                   ("dead", 451, "451 4.3.0")):
            got, why = relaying.outcome(server, OCTETS, recipients=[name + "@program.example"])
            assert got == code and why.startswith(reason), (name, got, why)


def test_nobody_gets_mail_and_no_bounce():
    with make() as server:
        server.send(OCTETS, recipients=["anything@nobody.example"])
        wait_for(lambda: server.events("discarded"), 5, "the log")
        assert server.events("discarded")[0]["to"] == "anything@nobody.example"


if __name__ == "__main__":
    main(globals())
