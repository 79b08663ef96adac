#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-attempts.py: what crashed the server twice is held instead of crashing it for ever"""
import json
import os
import signal
import smtplib

from lib import BUILD, WHOLE, Server, main, wait_for

ROUTE = """
[route trouble]
domains = trouble.example
transport = %s:trouble
""" % os.path.join(BUILD, "tests", "e2e", "plugin-trouble.so")
FILTERED = WHOLE.replace("plugin = smtp\n", "plugin = smtp\nfilters = trouble\n") + """
[filter trouble]
plugin = %s:trouble
""" % os.path.join(BUILD, "tests", "e2e", "plugin-trouble.so")
DEADLY = b"Subject: Deadly\r\n\r\nThis one ends in a crash\r\n"
HARMLESS = b"Subject: Harmless\r\n\r\nThis one ends in no crash at all\r\n"
FATAL = b"From: carla@example.net\r\nSubject: fatal\r\n\r\n" + b"x" * 70 + b"\r\n"
QUIET = b"Subject: Quiet\r\n\r\nAfter this one it is quiet\r\n"
TO = "somebody@trouble.example"


def send(server, octets, recipient=TO):
    """The code of the answer to DATA; 0 when the server went away."""
    try:
        client = server.smtp()
        client.mail("carla@example.net")
        assert client.rcpt(recipient)[0] == 250
        return client.data(octets)[0]
    except (smtplib.SMTPServerDisconnected, OSError):
        return 0


def crash(server, octets=DEADLY, recipient=TO):
    """Sends a deadly message and waits until a new worker serves."""
    ready = len(wait_for(lambda: server.events("ready"), 20, "the worker"))
    assert send(server, octets, recipient) == 0
    wait_for(lambda: len(server.events("ready")) > ready, 20, "a new worker")


def held(server):
    return json.loads(server.run("status", "--json").stdout)["held"]


def test_a_message_that_crashed_the_server_twice_is_held():
    with Server(extra=ROUTE) as server:
        crash(server)
        assert server.events("attempt-crashed") and not held(server)
        assert send(server, HARMLESS) == 250
        crash(server)
        assert [one["crashes"] for one in held(server)] == [2]
        worker = server.worker()
        # The third attempt ends with a temporary failure; the server, and all other mail, go on.
        assert send(server, DEADLY) == 451
        assert send(server, HARMLESS) == 250
        server.send(HARMLESS, recipients=["anna@example.org"])
        assert server.worker() == worker
        event = server.events("attempt-held")[0]
        assert "octets" in event["what"] and event["crashes"] == 2, event
        assert "Held after crashes" in server.run("status").stdout


def test_a_header_that_crashed_a_filter_twice_is_held():
    with Server(FILTERED) as server:
        for _ in range(2):
            crash(server, FATAL, "anna@example.org")
        assert [one["crashes"] for one in held(server)] == [2]
        worker = server.worker()
        assert send(server, FATAL, "anna@example.org") == 451
        assert send(server, HARMLESS, "anna@example.org") == 250
        assert server.worker() == worker
        assert "header" in server.events("attempt-held")[0]["what"]


def test_a_reload_releases_what_is_held():
    with Server(extra=ROUTE) as server:
        crash(server)
        crash(server)
        assert send(server, DEADLY) == 451
        assert server.run("reload").returncode == 0
        assert not held(server)
        assert server.events("attempt-released")
        crash(server)


def test_a_process_that_was_killed_crashed_over_nothing():
    with Server(extra=ROUTE) as server:
        for _ in range(2):
            ready = len(wait_for(lambda: server.events("ready"), 20, "the worker"))
            os.kill(server.worker(), signal.SIGKILL)
            wait_for(lambda ready=ready: len(server.events("ready")) > ready, 20, "a new worker")
        assert not server.events("attempt-crashed") and not held(server)


def test_a_process_that_says_nothing_any_more_is_replaced():
    with Server(extra=ROUTE) as server:
        ready = len(wait_for(lambda: server.events("ready"), 20, "the worker"))
        assert send(server, QUIET) == 0
        wait_for(lambda: len(server.events("ready")) > ready, 20, "a new worker")
        assert send(server, HARMLESS) == 250


main(globals())
