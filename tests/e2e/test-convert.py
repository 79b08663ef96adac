#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-convert.py: `posthorn store convert` beside a running server, killed in the middle, offline"""
import os
import random
import signal
import subprocess
import threading
import time

import lib
from lib import PROGRAM, Server, main, wait_for
from mail import ANNA, assert_same, fill, good, look, message

TWO = lib.WHOLE.replace("[store mail]\n", "[store mail]\nmoves-to = next\n") + """
[store next]
plugin = sqlite
path = {{data}}/next/{{domain}}/{{user}}.sqlite
"""


def test_a_user_moves_while_served_and_a_client_sees_no_difference():
    with Server(TWO) as server:
        fill(server, 60)
        before = look(server)
        client = server.imap()
        client.select()
        out = good(server.run("store", "convert", "mail", "next", ANNA))
        assert "moved to 'next'" in out, out
        assert_same(look(server), before)
        assert os.path.exists(server.values["data"] + "/next/example.org/anna.sqlite")
        try:  # the session of before is told to come again
            reply = client.noop()[0]
            assert reply != "OK" or client.state == "LOGOUT", reply
        except client.abort:
            pass
        server.send(message(99), recipients=(ANNA,))
        client = server.imap()
        assert int(client.select()[1][0]) == int(before["INBOX"][1].split(b"MESSAGES ")[1].split()[0]) + 1
        client.logout()
        # the other user is still in the old store, and the first one is not moved twice
        server.send(message(1), recipients=("ben@example.org",))
        assert not os.path.exists(server.values["data"] + "/next/example.org/ben.sqlite")
        assert "moved to 'next' before" in good(
            server.run("store", "convert", "mail", "next", ANNA))
        assert server.stop() == 0
        server.start()
        client = server.imap()
        client.select()
        client.logout()
        good(server.run("store", "check", "next"))


def between(old, new):
    """A whole config with these lines in [store mail] and [store next]."""
    return TWO.replace("plugin = sqlite\npath = {{data}}/mail/{{domain}}/{{user}}\n", old).replace(
        "plugin = sqlite\npath = {{data}}/next/{{domain}}/{{user}}.sqlite\n", new)


SQLITE = "plugin = sqlite\npath = {{data}}/%s/{{user}}.sqlite\n"
MAILDIR = "plugin = maildir\npath = {{data}}/%s/{{user}}/Maildir\n"
MBOX = ("plugin = mbox\ninbox = {{data}}/%s/{{user}}/inbox\nfolders = {{data}}/%s/{{user}}/folders\n"
        "index = {{data}}/%s/{{user}}/index.sqlite\n")


def test_between_different_kinds_of_stores_and_back():
    for old, new in ((SQLITE, MAILDIR), (MAILDIR, SQLITE), (SQLITE, MBOX), (MBOX, MAILDIR)):
        with Server(between(old.replace("%s", "old"), new.replace("%s", "new"))) as server:
            fill(server, 30)
            before = look(server)
            good(server.run("store", "convert", "mail", "next", ANNA))
            assert_same(look(server), before)
            assert b"found" not in server.run("store", "check", "next", ANNA).stdout.encode()


def test_with_a_journal():
    with Server(TWO.replace("[server]\n", "[server]\ndurability = journal\n")) as server:
        fill(server, 60)
        before = look(server)
        with subprocess.Popen([PROGRAM, "store", "convert", "mail", "next", ANNA,
                               "-c", server.config], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as command:
            time.sleep(0.05)
            server.kill()
            command.communicate(timeout=30)
        server.start()
        good(server.run("store", "convert", "mail", "next", ANNA))
        assert_same(look(server), before)
        server.kill()
        server.start()
        assert_same(look(server), before)


def test_without_moves_to_only_a_copy_is_made():
    config = TWO.replace("moves-to = next\n", "") + """
[route other]
domains = other.example
transport = store
store = next
directory = people
"""
    with Server(config) as server:
        fill(server, 10)
        done = server.run("store", "convert", "mail", "next", ANNA)
        assert done.returncode == 1 and "moves-to = next" in done.stderr, done
        good(server.run("store", "convert", "--copy", "mail", "next", ANNA))
        server.send(message(99), recipients=(ANNA,))
        assert "1 messages copied in this run" in good(
            server.run("store", "convert", "--copy", "mail", "next", ANNA))


def test_mail_of_another_origin_is_not_written_over():
    config = TWO.replace("moves-to = next\n", "") + lib.IMAP.replace(
        "[listener imap]", "[listener imap2]").replace("{imap}", "{imap2}").replace(
            "store = mail", "store = next")
    with Server(config, ports=("smtp", "imap", "pop3", "imap2")) as server:
        fill(server, 12)
        client = server.imap(name="imap2")
        client.append("INBOX", None, None, message(1))
        client.logout()
        done = server.run("store", "convert", "--copy", "mail", "next", ANNA)
        assert done.returncode == 1 and "another origin" in done.stderr, done


def test_deliveries_and_changes_during_the_move_are_all_there_afterwards():
    with Server(TWO) as server:
        fill(server, 100)
        sent, stop = [], threading.Event()

        def deliver():
            number = 1000
            while not stop.is_set():
                try:
                    server.send(message(number), recipients=(ANNA,))
                    sent.append(b"Number %d\r\n" % number)
                except lib.smtplib.SMTPException:
                    pass  # not acknowledged: it may be there or not
                number += 1

        def alter():
            while not stop.is_set():
                try:
                    client = server.imap()
                    client.select()
                    for _ in range(50):
                        client.store(str(random.randint(1, 50)), "+FLAGS", "(\\Seen kw%d)" %
                                     random.randint(1, 9))
                    client.logout()
                except (client.abort, client.error):
                    pass
        threads = [threading.Thread(target=deliver), threading.Thread(target=alter)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        out = good(server.run("store", "convert", "mail", "next", ANNA))
        time.sleep(0.3)
        stop.set()
        for thread in threads:
            thread.join()
        assert "moved to 'next'" in out
        client = server.imap()
        client.select()
        text = b"".join(row[1] for row in client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
                        if isinstance(row, tuple))
        assert len(sent) > 5
        for subject in sent:
            assert subject in text, subject
        client.logout()


def test_killed_in_the_middle_it_goes_on_where_it_was():
    with Server(TWO) as server:
        fill(server, 400)
        before = look(server)
        rounds = 0
        for delay in (0.005, 0.01, 0.015, 0.02, 0.04, 0.1):
            with subprocess.Popen([PROGRAM, "store", "convert", "mail", "next", ANNA,
                                   "-c", server.config], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE) as command:
                time.sleep(delay)
                if command.poll() is None:
                    rounds += 1
                server.kill()
                command.communicate(timeout=30)
            server.start()
        good(server.run("store", "convert", "mail", "next", ANNA))
        assert_same(look(server), before)
        assert rounds > 0


def test_a_client_that_goes_away_cancels_its_job():
    with Server(TWO) as server:
        fill(server, 150)
        before = look(server)
        with subprocess.Popen([PROGRAM, "store", "convert", "mail", "next", ANNA,
                               "-c", server.config], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as command:
            time.sleep(0.05)
            command.send_signal(signal.SIGINT)
            command.communicate(timeout=30)
        wait_for(lambda: server.events("tool-ended"), 10, "the job's end")
        good(server.run("store", "convert", "mail", "next", ANNA))
        assert_same(look(server), before)


def test_all_users_without_a_server():
    with Server(TWO) as server:
        fill(server, 30)
        fill(server, 10, "ben@example.org")
        before = look(server), look(server, "ben@example.org")
        assert server.stop() == 0
        out = good(server.run("store", "convert", "--all", "mail", "next"))
        assert "2 users, 0 failed" in out, out
        server.start()
        assert_same(look(server), before[0])
        assert_same(look(server, "ben@example.org"), before[1])
        # the operator's last step: the new store takes the old one's place
        server.write_config(server.text.replace("moves-to = next\n", "").replace(
            "store = mail", "store = next"))
        good(server.run("reload"))
        assert_same(look(server), before[0])
        assert_same(look(server, "ben@example.org"), before[1])


main(globals())
