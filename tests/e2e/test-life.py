#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-life.py: start, reload, drain, stop, and what stands in the way of a start"""
import json
import os
import signal
import socket
import subprocess
import time

import lib
from lib import PASSWORD, Server, main, wait_for

MESSAGE = b"Subject: Hello\r\n\r\nHello.\r\n"


def test_stop_says_goodbye_and_ends_with_status_zero():
    with Server() as server:
        connection, reader = server.raw("smtp")
        assert reader.readline().startswith(b"220 ")
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 6
        assert reader.readline().startswith(b"421 "), "no 421 before the end"
        connection.close()


def test_mail_is_there_after_a_restart():
    with Server() as server:
        server.send(MESSAGE)
        assert server.stop() == 0
        server.start()
        imap = server.imap()
        assert imap.select("INBOX")[1] == [b"1"]
        imap.logout()


def test_reload_keeps_open_sessions_and_serves_new_ones_with_the_new_config():
    with Server() as server:
        connection, reader = server.raw("smtp")
        assert b"mail.example.org" in reader.readline()
        server.write_config(server.text.replace("mail.example.org", "new.example.org"))
        done = server.run("reload")
        assert done.returncode == 0, done.stderr
        connection.sendall(b"NOOP\r\n")
        assert reader.readline().startswith(b"250 "), "the open session ended"

        def greets_anew():
            other, lines = server.raw("smtp")
            greeting = lines.readline()
            other.close()
            return b"new.example.org" in greeting
        wait_for(greets_anew, 10, "the new greeting")
        connection.close()


def test_reload_of_a_bad_config_changes_nothing_and_says_why():
    with Server() as server:
        server.write_config(server.text + "\n[listener smtp2]\nplugin = smpt\naddress = 127.0.0.1:0\n")
        done = server.run("reload")
        assert done.returncode != 0
        assert "smpt" in done.stderr, done.stderr
        server.send(MESSAGE)


def test_hangup_reloads_as_the_command_does():
    with Server() as server:
        server.write_config(server.text.replace("mail.example.org", "hup.example.org"))
        server.process.send_signal(signal.SIGHUP)

        def greets_anew():
            with socket.create_connection(("127.0.0.1", server.ports["smtp"]), 5) as one:
                return b"hup.example.org" in one.makefile("rb").readline()
        wait_for(greets_anew, 10, "the new greeting")


def test_a_hangup_is_not_lost_while_the_server_is_busy_with_another():
    with Server() as server:
        def greets(name):
            with socket.create_connection(("127.0.0.1", server.ports["smtp"]), 5) as one:
                return name in one.makefile("rb").readline()

        for number in range(5):
            names = ["h%d-%d.example.org" % (number, turn) for turn in range(3)]
            for name in names:
                server.write_config(server.text.replace("mail.example.org", name))
                server.process.send_signal(signal.SIGHUP)
                time.sleep(0.003)
            wait_for(lambda name=names[-1]: greets(name.encode()), 10, "the last greeting")


def test_check_and_serve_refuse_the_same_config_before_any_port_is_open():
    server = Server(extra="\n[listener more]\nplugin = imap\n")
    try:
        done = server.run("check")
        assert done.returncode != 0
        assert "posthorn.conf" in done.stderr + done.stdout
        done = server.run("serve")
        assert done.returncode != 0
        assert "address" in done.stderr, done.stderr
        for port in server.ports.values():
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0
    finally:
        server.__exit__(None, None, None)


def test_user_add_makes_a_user_who_can_log_in_at_once():
    with Server() as server:
        done = server.run("user", "add", "--stdin", "dora@example.org", stdin="open sesame\n")
        assert done.returncode == 0, done.stderr
        with open(server.dir + "/users", encoding="utf-8") as stream:
            assert "open sesame" not in stream.read()
        import imaplib

        def can_log_in():
            try:
                client = imaplib.IMAP4("127.0.0.1", server.ports["imap"])
                client.login("dora@example.org", "open sesame")
                client.logout()
                return True
            except imaplib.IMAP4.error:
                return False
        wait_for(can_log_in, 30, "the new user's login")


def test_the_first_user_is_added_without_a_word_of_the_log():
    with Server(users=()) as server:
        path = os.path.join(server.dir, "users")
        if os.path.exists(path):
            os.unlink(path)
        done = server.run("check")
        assert "there are no users yet" in done.stderr and done.returncode == 0, done
        done = server.run("user", "add", "--stdin", "carla@example.org", stdin=PASSWORD + "\n")
        assert done.returncode == 0 and done.stderr == "", done
        done = server.run("user", "add", "--stdin", "carla@elsewhere.example", stdin=PASSWORD + "\n")
        assert done.returncode == 0 and "no [route] has 'elsewhere.example'" in done.stderr, done


def test_send_submits_what_it_reads():
    with Server() as server:
        done = server.run("send", "anna@example.org", stdin="Subject: from a pipe\n\nHello.\n.\nend\n")
        assert done.returncode == 0, done.stderr
        imap = server.imap()
        imap.select("INBOX")
        octets = imap.fetch("1", "(BODY.PEEK[])")[1][0][1]
        assert octets.endswith(b"Subject: from a pipe\r\n\r\nHello.\r\n.\r\nend\r\n"), octets
        imap.logout()


def test_send_says_where_nobody_answered():
    done = subprocess.run([lib.PROGRAM, "send", "-s", "127.0.0.1:1", "anna@example.org"], text=True,
                          input="Subject: lost\n\n", capture_output=True, timeout=60, check=False)
    assert done.returncode == 75, done
    assert done.stderr == "posthorn: no server answers at 127.0.0.1:1; is it running?\n", done
    done = subprocess.run([lib.PROGRAM, "send", "-c", "/nowhere/posthorn.conf", "-s", "unix:/nowhere/x",
                           "anna@example.org"], text=True, input="", capture_output=True, timeout=60,
                          check=False)
    assert "unix:/nowhere/x" in done.stderr, done


def test_status_tells_sessions_and_plugins():
    with Server() as server:
        connection, reader = server.raw("smtp")
        reader.readline()
        done = server.run("status")
        assert done.returncode == 0, done.stderr
        assert "smtp" in done.stdout, done.stdout
        sections = json.loads(server.run("status", "--json").stdout)["sections"]
        calls = {one["section"]: one["calls"] for one in sections}
        assert calls["[listener smtp]"] > 0, calls
        connection.close()


main(globals())
