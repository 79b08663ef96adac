#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-filter-exec.py: the exec filter with programs in Python: kept, ended when late, replaced"""
import base64
import json
import os
import socket
import socketserver
import threading
import time

from lib import IMAP, PEOPLE, ROUTE, SERVER, SMTP, SOURCE, STORE, Server, main

CONFIG = SERVER + PEOPLE + STORE + ROUTE + IMAP + SMTP + "filters = x\n\n[filter x]\nplugin = exec\n"
MESSAGE = "Subject: %s\r\n\r\nbody\r\n"
PROGRAM = """#!/usr/bin/env python3
import json, os, sys, time
for line in sys.stdin:
    asked = json.loads(line)
    subject = dict(asked.get("header", [])).get("Subject", "")
    if subject == "die":
        sys.exit(1)
    if subject == "hang":
        time.sleep(60)
    if subject == "endless":
        sys.stdout.write("x" * 10000000)
    answer = {"edits": [["add-header", "X-Pid", str(os.getpid())]]}
    if subject == "nonsense":
        answer = ["what"]
    print(json.dumps(answer), flush=True)
"""


def texts(server, user="anna@example.org", mailbox="INBOX"):
    imap = server.imap(user)
    if imap.select(mailbox)[0] != "OK":
        return []
    numbers = imap.search(None, "ALL")[1][0].split()
    found = [imap.fetch(number, "(BODY[])")[1][0][1].decode() for number in numbers]
    imap.logout()
    return found


def deliver(server, subject, to="anna@example.org"):
    with server.smtp() as client:
        client.sendmail("carla@example.net", [to], MESSAGE % subject)


def test_the_example_looks_and_refuses():
    look = os.path.join(SOURCE, "examples", "filters", "look.py")
    config = CONFIG + "command = %s\nstages = recipient, message\n" % look
    with Server(config, users=("anna@example.org", "trap@example.org"),
                ports=("smtp", "imap")) as server:
        client = server.smtp()
        client.mail("carla@example.net")
        assert client.rcpt("trap@example.org") == (550, b"5.7.1 nobody reads that")
        assert client.rcpt("anna@example.org")[0] == 250
        client.close()
        deliver(server, "you have won")
        assert "X-Suspicious: yes" in texts(server)[0]
        deliver(server, "fine\r\nX-Spam-Flag: YES")
        assert len(texts(server)) == 1
        assert len(texts(server, mailbox="Quarantine")) == 1


def test_one_that_dies_hangs_or_babbles_is_replaced():
    config = CONFIG + ("command = {dir}/program.py\non-failure = accept\nanswer-timeout = 1s\n"
                       "copies = 1\n")
    server = Server(config, ports=("smtp", "imap"))
    path = os.path.join(server.dir, "program.py")
    with open(path, "w", encoding="ascii") as stream:
        stream.write(PROGRAM)
    os.chmod(path, 0o755)
    with server:
        for subject in ("one", "two", "die", "three", "hang", "four", "endless", "five",
                        "nonsense", "six"):
            began = time.monotonic()
            deliver(server, subject)
            assert time.monotonic() - began < 5, subject
        found = texts(server)
        pids = [next((line for line in text.split("\r\n") if line.startswith("X-Pid")), None)
                for text in found]
        assert len(pids) == 10
        assert pids[0] is not None and pids[0] == pids[1], pids
        assert [pid is None for pid in pids] == [False, False, True, False, True, False, True,
                                                 False, True, False], pids
        assert len(set(pids) - {None}) == 4, pids
        assert server.events("worker-died") == []


TWICE = """#!/usr/bin/env python3
import json, sys, time
for line in sys.stdin:
    subject = dict(json.loads(line)["header"])["Subject"]
    time.sleep(0.2)
    sys.stdout.write("".join(json.dumps({"edits": [["add-header", name, subject]]}) + "\\n"
                             for name in ("X-For", "X-More")))
    sys.stdout.flush()
"""


def test_a_line_too_many_is_no_answer_to_another():
    config = CONFIG + "command = {dir}/program.py\non-failure = accept\ncopies = 1\n"
    server = Server(config, ports=("smtp", "imap"))
    path = os.path.join(server.dir, "program.py")
    with open(path, "w", encoding="ascii") as stream:
        stream.write(TWICE)
    os.chmod(path, 0o755)
    with server:
        senders = [threading.Thread(target=deliver, args=(server, "number%d" % n)) for n in range(8)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        found = texts(server)
        assert len(found) == 8
        for text in found:
            subject = next(line for line in text.split("\r\n") if line.startswith("Subject: "))
            assert subject.replace("Subject", "X-For") in text.split("\r\n"), text
            assert "X-More" not in text, text
        assert not server.events("filter-failed")


SLOW = """#!/usr/bin/env python3
import sys, time
for line in sys.stdin:
    time.sleep(0.15)
    print("{}", flush=True)
"""


def test_many_who_wait_for_a_slow_program_hold_up_nobody():
    """200 sessions wait for four copies that take 0.15 s each; two threads serve all the others."""
    config = (CONFIG.replace("log = json", "log = json\nworkers = 2").replace(
        "filters = x\n", "filters = x\nmax-connections-per-address = 500\n")
              + "command = {dir}/program.py\nstages = sender\n\n"
              "[listener free]\nplugin = smtp\naddress = 127.0.0.1:{free}\n")
    server = Server(config, ports=("smtp", "imap", "free"))
    path = os.path.join(server.dir, "program.py")
    with open(path, "w", encoding="ascii") as stream:
        stream.write(SLOW)
    os.chmod(path, 0o755)
    with server:
        port = server.values["smtp"]
        slow = [socket.create_connection(("127.0.0.1", int(port)), timeout=30) for _ in range(200)]
        for one in slow:
            one.recv(512)
            one.sendall(b"HELO client.example.org\r\n")
            one.recv(512)
        for one in slow:
            one.sendall(b"MAIL FROM:<carla@example.net>\r\n")
        took = []
        for _ in range(20):
            began = time.monotonic()
            with socket.create_connection(("127.0.0.1", int(server.values["free"])), timeout=10) as client:
                assert client.recv(512).startswith(b"220")
                for command in (b"HELO client.example.org\r\n", b"MAIL FROM:<a@example.net>\r\n"):
                    client.sendall(command)
                    assert client.recv(512).startswith(b"250")
            took.append(time.monotonic() - began)
        assert max(took) < 1, max(took)
        answered = 0
        for one in slow[:40]:
            answered += one.recv(512).startswith(b"250")
            one.close()
        assert answered == 40
        for one in slow[40:]:
            one.close()
        deliver(server, "after")
        assert len(texts(server)) == 1
        assert not server.events("filter-failed")


def test_a_socket_is_told_what_is_known():
    said = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            for line in self.rfile:
                said.append(json.loads(line))
                self.wfile.write(b"{}\n")

    service = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    service.daemon_threads = True
    threading.Thread(target=service.serve_forever, daemon=True).start()
    config = CONFIG + "command = tcp:127.0.0.1:%d\n" % service.server_address[1]
    config += "show = whole\nstages = connect, helo, sender, recipient, data, message\n"
    with Server(config, ports=("smtp", "imap")) as server:
        deliver(server, "one")
        assert len(texts(server)) == 1
    service.shutdown()
    port = next(one["port"] for one in reversed(said) if one["ask"] == "message")
    asked = [one for one in said if one["port"] == port]  # of the one session that sent mail
    stages = [one["ask"] for one in asked]
    assert stages == ["connect", "helo", "sender", "recipient", "data", "message"], stages
    last = asked[-1]
    assert last["client"] == "127.0.0.1" and last["helo"] == "client.example.org", last
    assert last["sender"] == "carla@example.net" and last["recipients"] == ["anna@example.org"]
    assert last["header"] == [["Subject", "one"]] and last["size"] == 22, last
    whole = base64.b64decode(last["message"]).decode()
    assert whole.startswith("Received: from") and whole.endswith("\r\n\r\nbody\r\n"), whole


main(globals())
