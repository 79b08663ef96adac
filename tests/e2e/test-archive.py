#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-archive.py: `posthorn store export` and `import`, with a server and without, and hostile files"""
import io
import json
import os
import subprocess
import tarfile
import threading
import time

import lib
from lib import PROGRAM, Server, main
from mail import ANNA, assert_same, fill, good, look, message

BEN = "ben@example.org"


def archive(server, user=ANNA, name="archive.tar"):
    path = os.path.join(server.dir, name)
    if os.path.exists(path):
        os.unlink(path)
    done = server.run("store", "export", "mail", user, path)
    good(done)
    assert user in done.stderr, done
    return path


def test_an_archive_restores_everything_in_another_account():
    config = lib.WHOLE.replace("{{user}}\n", "{{user}}\nmailboxes = Spam \\Junk\n", 1)
    with Server(config) as server:
        fill(server, 40)
        client = server.imap()
        client.unsubscribe("Spam")
        client.logout()
        before = look(server)
        path = archive(server)
        with tarfile.open(path) as tar:
            names = tar.getnames()
            assert names[0] == "posthorn.json" and "1/mailbox.json" in names, names[:3]
            assert json.load(tar.extractfile("posthorn.json"))["version"] == 1
        assert "imported" in good(server.run("store", "import", "mail", BEN, path))
        compare(look(server, BEN), before)
        # once more: everything is there already
        assert "imported 0 messages" in good(server.run("store", "import", "mail", BEN, path))
        compare(look(server, BEN), before)


def compare(after, before):
    """As before, but for change numbers: those of restored mail are higher than any before."""
    def without(found):
        import re
        def strip(value):
            if isinstance(value, bytes):
                return re.sub(rb"(MODSEQ \(|HIGHESTMODSEQ )\d+", rb"\1", value)
            if isinstance(value, (list, tuple)):
                return type(value)(strip(one) for one in value)
            return value
        return {name: strip(value) for name, value in found.items()}
    assert_same(without(after), without(before))


def test_without_a_server_too_and_to_standard_output():
    with Server() as server:
        fill(server, 20)
        before = look(server)
        assert server.stop() == 0
        path = os.path.join(server.dir, "out.tar")
        with open(path, "wb") as stream:
            subprocess.run([PROGRAM, "store", "export", "mail", ANNA, "-", "-c", server.config],
                           stdout=stream, check=True, stderr=subprocess.DEVNULL)
        good(server.run("store", "import", "mail", BEN, path))
        server.start()
        compare(look(server, BEN), before)


def test_an_archive_is_one_moment_of_a_live_account():
    with Server() as server:
        client = server.imap()
        client.create("Other")
        client.append("INBOX", None, None, message(1))
        stop = threading.Event()

        def move():
            """The one message goes to and fro: at every moment it is in one of the two."""
            here, there = "INBOX", "Other"
            while not stop.is_set():
                client.select(here)
                assert client._simple_command("MOVE", "1", there)[0] == "OK"
                here, there = there, here
        imaplib_commands()
        thread = threading.Thread(target=move)
        thread.start()
        try:
            for number in range(8):
                with tarfile.open(archive(server, name="a%d.tar" % number)) as tar:
                    messages = [name for name in tar.getnames() if name.endswith(".eml")]
                    assert len(messages) == 1, messages
        finally:
            stop.set()
            thread.join()


def imaplib_commands():
    import imaplib
    imaplib.Commands.setdefault("MOVE", ("SELECTED",))


def test_an_import_that_was_killed_goes_on():
    with Server() as server:
        fill(server, 250)
        before = look(server)
        path = archive(server)
        for delay in (0.05, 0.08, 0.12):
            with subprocess.Popen([PROGRAM, "store", "import", "mail", BEN, path, "-c",
                                   server.config], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE) as command:
                time.sleep(delay)
                server.kill()
                command.communicate(timeout=30)
            server.start()
        good(server.run("store", "import", "mail", BEN, path))
        compare(look(server, BEN), before)


def test_mail_is_added_to_an_account_that_has_some():
    with Server() as server:
        fill(server, 12)
        path = archive(server)
        client = server.imap(BEN)
        client.append("INBOX", None, None, message(77))
        client.logout()
        good(server.run("store", "import", "mail", BEN, path))
        found = look(server, BEN)
        assert b"Number 77" in found["INBOX"][2][0][1]
        assert len(found['"Sent"'][2]) == len(look(server)['"Sent"'][2])


def tar_of(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, octets in entries:
            info = tarfile.TarInfo(name)
            info.size = len(octets)
            tar.addfile(info, io.BytesIO(octets))
    return out.getvalue()


def test_hostile_files_are_refused_with_a_sentence():
    head = ("posthorn.json", b'{"format":"posthorn-archive","version":1,"id":"x","values":{}}')
    box = ("1/mailbox.json", b'{"name":"INBOX","uidvalidity":1,"uidnext":1,"change":1}')
    one = ("1/messages-1.json", b'{"messages":[{"uid":4000000000}]}')
    cases = [
        (b"", "cut off"),
        (tar_of(head)[:300], "cut off"),
        (b"no archive" * 200, "no archive of mail"),
        (tar_of(("x", b"y")), "no archive of mail"),
        (tar_of(("posthorn.json", b"[" * 100000)), "not the JSON"),
        (tar_of(("posthorn.json", b'{"format":"posthorn-archive","version":2,"id":"x"}')), "later"),
        (tar_of(head, ("1/1.eml", b"A: b\r\n\r\n")), "no mailbox"),
        (tar_of(head, ("1/mailbox.json", b'{"name":"../../etc"}')), "component"),
        (tar_of(head, ("1/mailbox.json", b'{"name":7}')), "no name"),
        (tar_of(head, box, ("1/1.eml", b"A: b\r\n\r\n")), "no record"),
        (tar_of(head, box, ("1/messages-1.json", b'{"messages":[7]}'), ("1/1.eml", b"x")), "no object"),
        (tar_of(head, box, one), "missing"),
        (tar_of(head, box, one, ("1/1.eml", b"")), "empty"),
        (tar_of(head, box, one, ("1/1.eml", b"A: b\r\n\r\n"))[:3000], "cut off"),
    ]
    with Server() as server:
        for number, (octets, words) in enumerate(cases):
            path = os.path.join(server.dir, "bad%d.tar" % number)
            with open(path, "wb") as stream:
                stream.write(octets)
            done = server.run("store", "import", "mail", BEN, path)
            assert done.returncode == 1 and words in done.stderr, (number, done)
        client = server.imap(BEN)
        assert client.select()[1] == [b"0"]
        client.logout()
        done = server.run("store", "export", "mail", ANNA, server.config)
        assert done.returncode == 1 and "cannot write" in done.stderr, done


main(globals())
