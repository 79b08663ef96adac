#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-store.py: `posthorn store ...` beside a running server and without one"""
import fcntl
import glob
import json
import os
import socket
import threading
import time

import lib
from lib import Server, main

MESSAGE = b"Subject: Hello %d\r\n\r\nHello.\r\n"


def fill(server, count=5, user="anna@example.org"):
    for number in range(count):
        server.send(MESSAGE % number, recipients=(user,))


def good(done):
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return done.stdout


def both_ways(server, check):
    """Runs the check while the server runs, and once more without it."""
    check()
    assert server.stop() == 0
    check()


def test_stats_counts_with_a_client_connected_and_without_a_server():
    with Server() as server:
        fill(server)
        client = server.imap()
        client.select()

        def check():
            stats = json.loads(good(server.run("store", "stats", "mail", "--json")))
            assert (stats["accounts"], stats["messages"], stats["mailboxes"]) == (2, 5, 1), stats
            assert stats["largest"][0]["user"] == "anna@example.org"
            assert "anna@example.org: 1 mailboxes, 5 messages" in good(
                server.run("store", "stats", "mail", "anna@example.org"))
        check()
        assert client.noop()[0] == "OK"
        client.logout()
        both_ways(server, check)


def test_check_is_silent_about_good_mail_and_tells_of_bad_counters():
    with Server() as server:
        fill(server)

        def clean():
            assert good(server.run("store", "check", "mail")) == \
                "2 accounts checked: 0 findings, 0 failed\n"
        both_ways(server, clean)


def test_check_restored_raises_uids_and_changes():
    with Server() as server:
        fill(server, 2)
        client = server.imap()
        before = client.status("INBOX", "(UIDNEXT HIGHESTMODSEQ)")[1][0].split()
        good(server.run("store", "check", "--restored", "mail", "anna@example.org"))
        after = client.status("INBOX", "(UIDNEXT HIGHESTMODSEQ)")[1][0].split()
        assert int(after[2]) == int(before[2]) + 1000000, (before, after)
        assert int(after[4].rstrip(b")")) > int(before[4].rstrip(b")")) + 1000000
        fill(server, 1)
        client.select()
        assert client.uid("SEARCH", "ALL")[1][0].split()[-1] == before[2].replace(
            before[2], b"%d" % (int(before[2]) + 1000000))
        client.logout()


def test_compact_sync_and_repair_leave_the_mail_alone():
    with Server() as server:
        fill(server)

        def check():
            for tool in ("compact", "sync", "repair"):
                assert "2 accounts" in good(server.run("store", tool, "mail"))
        both_ways(server, check)
        server.start()
        assert server.imap().select()[1] == [b"5"]


def test_mistakes_are_told_in_a_sentence():
    with Server() as server:
        for words, text in ((("check", "male"), "there is no [store male]"),
                            (("check", "mail", "nobody@example.org"), "knows 'nobody@example.org'")):
            def check(words=words, text=text):
                done = server.run("store", *words)
                assert done.returncode == 1 and text in done.stderr, done
            check()
        done = server.run("store", "check", "mail", "anna@example.org", "--all")
        assert done.returncode == 2, done
        assert server.stop() == 0
        assert server.run("store", "check", "male").returncode == 1


def test_a_server_that_starts_is_waited_for():
    """It has the journal before its control socket is there."""
    journal = lib.WHOLE.replace("[server]\n", "[server]\ndurability = journal\n")
    with Server(journal) as server:
        fill(server, 1)
        assert server.stop() == 0
        path = server.values["data"] + "/control.sock"
        answers = []
        with open(server.values["data"] + "/journal/lock", "r+b") as lock, \
                socket.socket(socket.AF_UNIX) as control:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tool = threading.Thread(target=lambda: answers.append(
                server.run("store", "check", "mail", "anna@example.org")))
            tool.start()
            time.sleep(0.5)
            control.bind(path)
            control.listen()
            control.settimeout(5)
            control.accept()[0].close()
            tool.join()
        os.unlink(path)
        assert "the server ended" in answers[0].stderr, answers


def test_a_damaged_account_is_found_and_the_others_are_looked_at_all_the_same():
    with Server() as server:
        fill(server, 1)
        fill(server, 1, "ben@example.org")
        assert server.stop() == 0
        database = [path for path in glob.glob(server.values["data"] + "/mail/example.org/anna*")
                    if not path.endswith(("-wal", "-shm"))][0]
        with open(database, "r+b") as stream:
            stream.seek(0)
            stream.write(b"this is no database" * 10)
        done = server.run("store", "check", "mail")
        assert done.returncode == 1, done
        assert "anna@example.org" in done.stdout + done.stderr, done
        assert "2 accounts checked" in done.stdout, done
        assert os.path.exists(database)


def test_a_journal_is_replayed_by_the_command_when_no_server_runs():
    config = lib.WHOLE.replace("[server]\n", "[server]\ndurability = journal\n")
    with Server(config) as server:
        fill(server, 5)
        good(server.run("store", "sync", "mail"))
        fill(server, 3)
        good(server.run("store", "check", "mail"))
        server.kill()
        stats = json.loads(good(server.run("store", "stats", "mail", "--json")))
        assert stats["messages"] == 8, stats
        server.start()
        assert server.imap().select()[1] == [b"8"]


def test_a_journal_that_cannot_be_read_is_told_at_once():
    server = Server(lib.WHOLE.replace("[server]\n", "[server]\ndurability = journal\n"))
    try:
        os.makedirs(server.dir + "/data/journal", mode=0o700)
        with open(server.dir + "/data/journal/state", "wb") as stream:
            stream.write(b"no state at all" * 100)
        began = time.monotonic()
        done = server.run("store", "stats", "mail")
        assert done.returncode == 1 and "cannot be read" in done.stderr, done.stderr
        assert time.monotonic() - began < 5, "it was waited for"
    finally:
        server.__exit__(None, None, None)


def test_retention_removes_what_its_rules_name_and_nothing_else():
    rules = "[store mail]\nretention = Lists/* 3, Trash 1s\n"
    with Server(lib.WHOLE.replace("[store mail]\n", rules)) as server:
        client = server.imap()
        for name in ("Lists/a", "Trash", "Other"):
            client.create(name)
            for number in range(5):
                client.append(name, None, None, MESSAGE % number)
        fill(server, 5)
        time.sleep(1.1)
        client.append("Trash", None, None, MESSAGE % 9)
        client.select("Lists/a")
        out = good(server.run("store", "retain", "mail"))
        assert "'Lists/a': 2 messages removed" in out and "'Trash': 5 messages removed" in out, out
        client.noop()
        assert len(client.response("EXPUNGE")[1]) == 2
        for name, count in (("Lists/a", b"3"), ("Trash", b"1"), ("Other", b"5"), ("INBOX", b"5")):
            assert client.select(name)[1] == [count], name
        assert [event["messages"] for event in server.events("retention")] == [2, 5]
        client.logout()


main(globals())
