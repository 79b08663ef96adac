#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-stacks.py: real clients over stacks of stores, and what the core makes of a store that fails

Compression over encryption keeps mail as it is and the disk silent; a missing key is a temporary
failure. With the fault store below: unknown outcomes are resolved, a slow account or session holds up
nobody else, an open breaker closes again, and a process that dies at a commit loses nothing that was
acknowledged.
"""
import glob
import imaplib
import json
import os
import re
import threading
import time

import lib
from lib import PASSWORD, SOURCE, Server, main, wait_for

MESSAGE = b"Subject: Hello\r\n\r\nHello, hello, hello, this is the secret.\r\n"
DISK = """
[store disk]
plugin = sqlite
path = {{data}}/mail/{{domain}}/{{user}}
"""
SEALED = """
[store sealed]
plugin = encrypt
below = disk
keys = {dir}/keys
"""
PACKED = """
[store mail]
plugin = compress
below = sealed
"""
FAULT = """
[store mail]
plugin = fault
below = disk
"""
LINE_END = re.compile(rb"\r\n|\r|\n")
KEY_A = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"
KEY_B = "ff112233445566778899aabbccddeeff00112233445566778899aabbccddee00\n"


def config(*stores):
    return lib.WHOLE.replace(lib.STORE, "".join(stores))


class Sealed(Server):
    """A server that compresses and encrypts."""

    def __init__(self, keys=KEY_A, journal=False):
        text = config(DISK, SEALED, PACKED)
        if journal:
            text = text.replace("[server]\n", "[server]\ndurability = journal\n")
        super().__init__(config=text)
        self.keys(keys)

    def keys(self, text):
        path = os.path.join(self.dir, "keys")
        with open(path, "w", encoding="ascii") as stream:
            stream.write(text)
        os.chmod(path, 0o600)


class Faulty(Server):
    """A server whose store fails while the file `switch` is there."""

    def __init__(self, *lines, at="commit"):
        super().__init__(config=config(DISK, FAULT, "at = %s\n" % at,
                                       "only-while = {dir}/switch\n",
                                       *("%s\n" % line for line in lines)))
        self.switch = os.path.join(self.dir, "switch")

    def on(self):
        with open(self.switch, "w", encoding="ascii"):
            pass

    def off(self):
        if os.path.exists(self.switch):
            os.remove(self.switch)


def inbox(server, user="anna@example.org"):
    """Each message there, whole."""
    client = server.imap(user)
    client.select("INBOX", readonly=True)
    answer = client.fetch("1:*", "(BODY.PEEK[])")[1]
    client.logout()
    return [part[1] for part in answer if isinstance(part, tuple)]


def append(server, octets, user="anna@example.org"):
    client = server.imap(user)
    answer = client.append("INBOX", None, None, octets)
    client.logout()
    return answer


def on_disk(server, what):
    """Do the files of the data folder hold these octets?"""
    for path in glob.glob(server.values["data"] + "/**", recursive=True):
        if os.path.isfile(path):
            with open(path, "rb") as stream:
                if what in stream.read():
                    return True
    return False


# ---- Compression over encryption -------------------------------------------------------------------

def test_mail_comes_back_as_it_was_and_the_disk_shows_nothing():
    sent = []
    with Sealed() as server:
        for path in sorted(glob.glob(os.path.join(SOURCE, "examples", "mail", "*.eml"))):
            with open(path, "rb") as stream:
                octets = LINE_END.sub(b"\r\n", stream.read())  # as imaplib sends it
            if octets and append(server, octets)[0] == "OK":
                sent.append(octets)
        large = b"Subject: large\r\n\r\n" + b"some text that is long enough\r\n" * 40000
        server.send(MESSAGE)
        server.send(large)
        assert len(sent) > 40
        for again in (False, True):
            if again:
                server.stop()
                server.start()
            found = inbox(server)
            assert found[:len(sent)] == sent
            assert found[len(sent)].endswith(MESSAGE) and found[len(sent) + 1].endswith(large)
        assert not on_disk(server, b"this is the secret")
        assert not on_disk(server, b"some text that is long enough")
        size = sum(os.path.getsize(path) for path in
                   glob.glob(server.values["data"] + "/mail/**", recursive=True))
        assert size < len(large)
        client = server.imap()
        client.select("INBOX")
        part = client.fetch(str(len(sent) + 2), "(BODY.PEEK[]<700000.100>)")[1][0][1]
        whole = found[len(sent) + 1]
        assert part == whole[700000:700100]
        assert client.search(None, "BODY", '"is the secret"')[1] == [str(len(sent) + 1).encode()]
        client.copy("1:*", "INBOX")
        assert client.fetch(str(len(sent) + 3), "(BODY.PEEK[])")[1][0][1] == sent[0]
        client.logout()


def test_the_journal_shows_nothing_either_and_replays_all():
    with Sealed(journal=True) as server:
        server.send(MESSAGE)
        assert append(server, MESSAGE)[0] == "OK"
        client = server.imap()
        assert client.create("Reorganisation")[0] == "OK"
        answer = client.subscribe("Reorganisation")
        assert answer[0] == "OK", answer
        client.logout()
        journal = [path for path in glob.glob(server.values["data"] + "/**", recursive=True)
                   if "journal" in path and os.path.isfile(path)]
        assert journal
        for path in journal:  # what a value says is none of it; the store below knows its key
            with open(path, "rb") as stream:
                assert b"subscription" not in stream.read(), path
        for _ in range(2):
            assert len(inbox(server)) == 2
            for text in (b"the secret", b"Subject: Hello", b"Hello"):
                assert not on_disk(server, text), text
            server.kill()
            server.start()
        found = inbox(server)
        assert len(found) == 2 and found[1] == MESSAGE and found[0].endswith(MESSAGE)
        assert server.events("journal-replay")
        assert b"Reorganisation" in b"".join(server.imap().lsub()[1])


def test_a_missing_key_is_a_temporary_failure_that_the_log_explains():
    with Sealed() as server:
        server.send(MESSAGE)
        server.stop()
        server.keys(KEY_B)
        server.start()
        try:
            server.send(MESSAGE)
            raise AssertionError("mail was taken without a key")
        except lib.smtplib.SMTPRecipientsRefused as refused:
            assert list(refused.recipients.values())[0][0] // 100 == 4
        except lib.smtplib.SMTPResponseException as refused:
            assert refused.smtp_code // 100 == 4
        client = imaplib.IMAP4("127.0.0.1", server.ports["imap"], timeout=30)
        try:
            client.login("anna@example.org", PASSWORD)
            answer = client.select("INBOX")
            assert answer[0] == "NO", answer
        except imaplib.IMAP4.error as refused:
            assert b"secret" not in str(refused).encode()
        assert any("is encrypted under master key" in line for line in server.log)
        server.stop()
        server.keys(KEY_A + KEY_B)
        server.start()
        assert inbox(server)[0].endswith(MESSAGE)


def test_altered_octets_are_never_shown():
    stores = DISK + """
[store torn]
plugin = fault
below = disk
at = content
torn = altered
only-while = {dir}/switch
""" + SEALED.replace("below = disk", "below = torn") + PACKED
    server = Server(config=config(stores))
    Sealed.keys(server, KEY_A)
    with server:
        large = b"Subject: large\r\n\r\n" + os.urandom(150000).hex().encode() + b"\r\n"
        server.send(MESSAGE)
        server.send(large)
        assert len(inbox(server)) == 2
        with open(os.path.join(server.dir, "switch"), "w", encoding="ascii"):
            pass
        for number, sent in ((1, MESSAGE), (2, large)):
            client = server.imap()
            client.select("INBOX", readonly=True)
            try:
                shown = client.fetch(str(number), "(BODY.PEEK[])")[1]
                whole = b"".join(part[1] for part in shown if isinstance(part, tuple))
                assert whole == b"" or sent.startswith(whole), whole[:100]
            except imaplib.IMAP4.error:
                pass
        os.remove(os.path.join(server.dir, "switch"))
        assert inbox(server)[1].endswith(large)


# ---- Mirrors -----------------------------------------------------------------------------------------

MIRROR = DISK + """
[store new]
plugin = sqlite
path = {{data}}/new/{{domain}}/{{user}}
[store far]
plugin = fault
below = new
at = open, upload, commit
error = temporary
only-while = {dir}/switch
[store mail]
plugin = mirror
first = disk
second = far
retry = 100ms
compare = content
"""


def work(server, name):
    """Some of everything that a client does."""
    client = server.imap()
    client.create(name)
    for number in range(5):
        assert client.append(name, r"(\Flagged)", None, b"X: %d\r\n\r\nx\r\n" % number)[0] == "OK"
    client.select(name)
    client.store("1:2", "+FLAGS", r"(\Seen $Later)")
    client.copy("3:4", "INBOX")
    client.store("5", "+FLAGS", r"(\Deleted)")
    client.expunge()
    client.rename(name, name + "-renamed")
    client.logout()


def figures(server):
    """What the mirror counts for `posthorn status`."""
    sections = json.loads(server.run("status", "--json").stdout)["sections"]
    return next(one["figures"] for one in sections if one["section"] == "[store mail]")


def test_a_second_store_is_the_same_after_it_was_away():
    with Server(config=config(MIRROR)) as server:
        switch = os.path.join(server.dir, "switch")
        work(server, "before")
        with open(switch, "w", encoding="ascii"):
            pass
        work(server, "meanwhile")
        assert server.events("mirror-behind")
        assert figures(server)["behind"] == 1 and figures(server)["missed"] >= 1, figures(server)
        assert "behind 1" in server.run("status").stdout
        os.remove(switch)
        time.sleep(0.2)
        work(server, "after")
        wait_for(lambda: append(server, MESSAGE)[0] == "OK" and server.events("mirror-in-step"),
                 20, "the second to catch up")
        done = server.run("store", "check", "mail")
        assert done.returncode == 0 and "differs" not in done.stdout + done.stderr, done
        assert not server.events("mirror-differs")
        assert figures(server)["behind"] == 0 and figures(server)["copied"] >= 5, figures(server)
        assert "different" not in figures(server)
        first = inbox(server)
        server.stop()
        # the second alone, as after a change of backends
        server.write_config(server.text.replace("store = mail", "store = new"))
        server.start()
        assert inbox(server) == first
        names = server.imap().list()[1]
        assert sum(b"-renamed" in name for name in names) == 3, names


# ---- Unknown outcomes --------------------------------------------------------------------------------

def unknown(*lines):
    """An append whose first three commits end in doubt is there once, and is told only then."""
    with Faulty("error = unknown", "times = 3", *lines) as server:
        assert append(server, MESSAGE)[0] == "OK"
        server.on()
        started = time.monotonic()
        answer = append(server, MESSAGE)
        assert answer[0] == "OK", answer
        assert time.monotonic() - started > 0.15, "the account did not wait"
        assert server.events("outcome-unknown")
        server.off()
        assert inbox(server) == [MESSAGE, MESSAGE]
        assert append(server, MESSAGE)[0] == "OK"
        assert len(inbox(server)) == 3


def test_a_commit_that_was_applied_unknown_to_all_is_there_once():
    unknown("applied = yes")


def test_a_commit_that_was_not_applied_is_done_again():
    unknown("applied = no")


def test_an_engine_that_can_tell_is_asked():
    with Faulty("error = unknown", "times = 1", "applied = yes", "outcome = yes") as server:
        server.on()
        client = server.imap()
        answer = client.append("INBOX", None, None, MESSAGE)
        assert answer[0] == "OK", answer
        client.logout()
        assert len(server.events("fault")) == 1
        assert inbox(server) == [MESSAGE]


# ---- Slow accounts and sessions ------------------------------------------------------------------------

def seconds(function):
    started = time.monotonic()
    function()
    return time.monotonic() - started


def test_a_slow_account_holds_up_no_other():
    with Faulty("delay = 2s", "user = anna@example.org") as server:
        for user in ("anna@example.org", "ben@example.org"):
            assert append(server, MESSAGE, user)[0] == "OK"
        server.on()
        slow = [threading.Thread(target=append, args=(server, MESSAGE)) for _ in range(3)]
        for one in slow:
            one.start()
        time.sleep(0.3)
        taken = max(seconds(lambda: append(server, MESSAGE, "ben@example.org")) for _ in range(5))
        server.off()
        for one in slow:
            one.join()
        print("# ben waited %.0f ms at most" % (1000 * taken))
        assert taken < 1
        assert len(inbox(server)) == 4


def test_a_session_that_commits_much_leaves_others_their_turn():
    with Faulty("delay = 100ms") as server:
        append(server, MESSAGE)
        stop = threading.Event()

        def work():
            client = server.imap()
            while not stop.is_set():
                assert client.append("INBOX", None, None, MESSAGE)[0] == "OK"

        server.on()
        busy = [threading.Thread(target=work) for _ in range(4)]
        for one in busy:
            one.start()
        time.sleep(0.5)
        client = server.imap()
        client.select("INBOX")
        taken = [seconds(lambda: client.store("1", "FLAGS", r"(\Seen)")) for _ in range(8)]
        stop.set()
        for one in busy:
            one.join()
        server.off()
        print("# a flag waited %.0f ms at most" % (1000 * max(taken)))
        # its own commit and at most the one under way
        assert max(taken) < 1


# ---- Errors and deaths -------------------------------------------------------------------------------

def test_errors_of_every_class_are_specific_and_harm_nothing():
    wanted = {"temporary": "UNAVAILABLE", "over-quota": "OVERQUOTA", "limit": "LIMIT",
              "corrupt": "CORRUPTION", "denied": "NOPERM", "permanent": "CANNOT"}
    for error, code in wanted.items():
        with Faulty("error = " + error) as server:
            append(server, MESSAGE)
            server.on()
            answer = append(server, MESSAGE)
            assert answer[0] == "NO" and code in answer[1][0].decode(), (error, answer)
            server.off()
            assert append(server, MESSAGE)[0] == "OK"
            assert inbox(server) == [MESSAGE, MESSAGE]


def test_a_store_that_comes_back_is_used_again():
    with Faulty("error = temporary", at="open, mailboxes, changes, upload, commit") as server:
        append(server, MESSAGE)
        server.on()
        for _ in range(20):
            client = imaplib.IMAP4("127.0.0.1", server.ports["imap"], timeout=30)
            try:
                client.login("anna@example.org", PASSWORD)
                answer = client.append("INBOX", None, None, MESSAGE)
                assert answer[0] == "NO", answer
            except imaplib.IMAP4.error:
                pass
            client.shutdown()
        server.off()

        wait_for(lambda: append_or_refused(server) == "OK", 60, "the store to be used again")
        assert inbox(server) == [MESSAGE, MESSAGE]


def test_a_store_that_hangs_is_left_alone_for_a_while():
    with Faulty("delay = 700ms", "timeout = 300ms",
                at="mailboxes, changes, upload, commit") as server:
        append(server, MESSAGE)
        server.on()
        for _ in range(6):
            if append_or_refused(server) == "NO":
                break
        wait_for(lambda: server.events("plugin-suspended"), 10, "the breaker to open")
        assert seconds(lambda: append_or_refused(server)) < 0.5, "it was asked again"
        server.off()
        wait_for(lambda: append_or_refused(server) == "OK", 30, "the breaker to close")
        assert len(inbox(server)) >= 2


def append_or_refused(server):
    """OK, or NO when login, APPEND or anything between is refused."""
    try:
        return append(server, MESSAGE)[0]
    except imaplib.IMAP4.error:
        return "NO"


def dies(crash):
    """The worker ends at a commit. Returns: was the message there afterwards?"""
    with Faulty("crash = " + crash, "times = 1") as server:
        append(server, MESSAGE)
        worker = server.worker()
        server.on()
        acknowledged = False
        try:
            acknowledged = append(server, b"Subject: two\r\n\r\nx\r\n")[0] == "OK"
        except (OSError, imaplib.IMAP4.error):
            pass
        server.off()
        assert not acknowledged
        wait_for(lambda: not lib.lives(worker), 20, "the worker to end")
        wait_for(lambda: server.listens(server.ports["imap"]), 30, "another worker")
        found = inbox(server)
        assert found[0] == MESSAGE and len(found) <= 2
        return len(found) == 2


def test_a_death_before_a_commit_leaves_the_old_state():
    assert not dies("before")


def test_a_death_after_a_commit_leaves_the_new_state():
    assert dies("after")


def test_a_torn_upload_harms_only_its_message():
    with Faulty("torn = cut", at="upload") as server:
        append(server, MESSAGE)
        server.on()
        append(server, MESSAGE)
        server.off()
        client = server.imap()
        client.select("INBOX", readonly=True)
        try:
            answer = client.fetch("1:2", "(BODY.PEEK[])")
            whole = [part[1] for part in answer[1] if isinstance(part, tuple)]
            assert whole[0] == MESSAGE
        except imaplib.IMAP4.error:
            pass
        assert append(server, MESSAGE)[0] == "OK"


main(globals())
