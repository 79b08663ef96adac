#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-handover.py: a reload that needs a new process, with a queue and a journal, under load

Clients send all the time, some on connections that stay open over the reloads, and write down what
was acknowledged. Without a crash nobody is turned away, nothing is lost and nothing is delivered
twice; when a worker is killed in the middle nothing is lost. POSTHORN_HANDOVER_ROUNDS says how often
one is killed (4).
"""
import json
import os
import random
import signal
import smtplib
import threading
import time

import lib
from lib import BUILD, DURABILITY, Server, descendants, main, wait_for
from nexthop import Host

ROUNDS = int(os.environ.get("POSTHORN_HANDOVER_ROUNDS", "4"))
FLAKY = os.path.join(BUILD, "tests", "e2e", "plugin-flaky.so")
JOURNAL = "" if DURABILITY else "durability = journal\njournal-size = 32M\n"
CONFIG = lib.WHOLE.replace("[server]\n", "[server]\n" + JOURNAL) + """
[queue]
retry = 20ms, 50ms
lifetime = 10min
warn-after = 0s
segment-size = 64K

[route out]
domains = *
transport = %s:plugin-flaky
ledger = {data}/ledger
""" % FLAKY
ANNA = "anna@example.org"
GONE = (OSError, EOFError, smtplib.SMTPException)


class Ledger:
    """What was acknowledged; kept outside the server."""

    def __init__(self):
        self.lock = threading.Lock()
        self.count = 0
        self.acknowledged = {}
        self.troubles = []

    def new(self):
        with self.lock:
            self.count += 1
            return "mail-%d" % self.count


def send(client, ledger, recipients):
    name = ledger.new()
    client.sendmail("ben@example.org", recipients, (
        "X-Ledger: %s\r\nSubject: %s\r\n\r\n%s\r\n" % (name, name, "text " * 20)).encode())
    ledger.acknowledged[name] = recipients
    return name


def some_recipients():
    return random.choice([[ANNA], ["joe@a.example"], ["later1@a.example", ANNA], ["ann@b.example"]])


def deliver(server, ledger, stop):
    """Sends on short connections, one after the other."""
    while not stop.is_set():
        try:
            client = smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=20)
            client.ehlo("client.example.org")
            for _ in range(random.randrange(1, 5)):
                send(client, ledger, some_recipients())
                time.sleep(0.002)
            client.quit()
        except GONE as trouble:
            ledger.troubles.append(repr(trouble))
            time.sleep(0.01)


class Load:
    """Clients that send as long as the block lasts."""

    def __init__(self, server, ledger, count=2):
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=deliver, args=(server, ledger, self.stop))
                        for _ in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()

    def __exit__(self, *details):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def reload(server, number):
    """With a config that the present process cannot use."""
    server.write_config(server.text.replace(
        "[server]\n", "[server]\ncheckpoint-interval = %ds\n" % (10 + number)))
    return server.run("reload")


def queued_deliveries(server):
    """(name, recipient) -> how often the transport has taken it."""
    found = {}
    path = os.path.join(server.values["data"], "ledger")
    if not os.path.exists(path):
        return found
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            words = line.split()
            for recipient in words[1].split(",") if len(words) == 3 else ():
                found[words[2], recipient] = found.get((words[2], recipient), 0) + 1
    return found


def local_deliveries(server):
    client = server.imap()
    client.select("INBOX", readonly=True)
    found = {}
    for part in client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (X-LEDGER)])")[1]:
        if isinstance(part, tuple) and part[1].startswith(b"X-Ledger: "):
            key = part[1].split()[1].decode(), ANNA
            found[key] = found.get(key, 0) + 1
    client.logout()
    return found


def deliveries(server):
    return {**queued_deliveries(server), **local_deliveries(server)}


def missing(server, ledger):
    there = deliveries(server)
    return [(name, to) for name, recipients in list(ledger.acknowledged.items())
            for to in recipients if (name, to) not in there]


def read_until(reader, text, seconds=5):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        line = reader.readline()
        assert line, "the connection was closed"
        if text in line:
            return line
    raise AssertionError("never told %r" % text)


def idle(server):
    connection, reader = server.raw("imap")
    reader.readline()
    for command in (b"a LOGIN %s \"%s\"" % (ANNA.encode(), lib.PASSWORD.encode()), b"b SELECT INBOX"):
        connection.sendall(command + b"\r\n")
        read_until(reader, command[:1] + b" OK")
    connection.sendall(b"c IDLE\r\n")
    read_until(reader, b"+ ")
    return connection, reader


def test_nobody_is_turned_away_and_nothing_is_lost_or_doubled():
    ledger = Ledger()
    with Server(CONFIG) as server:
        first = server.worker()
        old = server.smtp()
        sleeper, reader = idle(server)
        reader_box = server.imap()
        reader_box.select("INBOX")
        with Load(server, ledger):
            for number in range(3):
                time.sleep(0.2)
                done = reload(server, number)
                assert done.returncode == 0, done.stderr
                assert "a new process took over" in done.stdout, done.stdout
                assert first in descendants(server.process.pid), "its sessions are still open"
                # who was there before goes on, in the old process
                name = send(old, ledger, [ANNA, "joe@a.example"])
                wait_for(lambda name=name: (name, "joe@a.example") in queued_deliveries(server), 3,
                         "the delivery of what an old session has sent")
        wait_for(lambda: not missing(server, ledger), 20, "every delivery")
        assert not ledger.troubles, ledger.troubles[:3]
        twice = [key for key, count in deliveries(server).items() if count > 1]
        assert not twice, twice[:5]
        assert len(ledger.acknowledged) > 30
        # the session in IDLE is told of what the new process does, and lives
        count = int(server.imap().select("INBOX")[1][0])
        server.send(b"Subject: one more\r\n\r\n")
        read_until(reader, b"* %d EXISTS" % (count + 1), 2)
        sleeper.sendall(b"DONE\r\n")
        read_until(reader, b"c OK")
        assert reader_box.noop()[0] == "OK"
        old.quit()
        reader.close()
        sleeper.close()
        reader_box.logout()
        wait_for(lambda: len(descendants(server.process.pid)) == 1, 10, "the old processes' end")
        with Load(server, ledger):
            time.sleep(0.3)
        wait_for(lambda: not missing(server, ledger), 10, "every delivery")
        assert not ledger.troubles, ledger.troubles[:3]
        print("# %d mails acknowledged" % len(ledger.acknowledged))
        assert server.stop() == 0
    assert not server.events("worker-died")


def told_both_ways(server, change):
    """Sessions of before and after the change are told of each other's work at once."""
    sleeper, reader = idle(server)
    worker = server.imap()
    worker.select("INBOX")
    change()
    server.send(b"Subject: by a new session\r\n\r\n")
    read_until(reader, b"* 1 EXISTS", 2)
    assert worker.noop()[0] == "OK" and worker.response("EXISTS")[1][-1] == b"1"
    other, other_reader = idle(server)
    worker.store("1", "+FLAGS", "\\Flagged")
    read_until(other_reader, b"\\Flagged", 2)
    for one in (reader, sleeper, other_reader, other):
        one.close()
    worker.logout()


def test_sessions_of_an_old_config_are_told():
    for durability in ("store", "journal"):
        with Server(lib.WHOLE.replace("[server]\n", "[server]\ndurability = %s\n" % durability)) as server:
            def change(server=server):
                server.write_config(server.text.replace("plugin = sqlite\n",
                                                        "plugin = sqlite\nquota = 1G\n"))
                done = server.run("reload")
                assert "the same process" in done.stdout, done.stdout + done.stderr
            told_both_ways(server, change)


def test_sessions_of_an_old_process_are_told():
    with Server(CONFIG) as server:
        def change():
            done = reload(server, 1)
            assert "a new process" in done.stdout, done.stdout + done.stderr
        told_both_ways(server, change)


def status(server):
    return json.loads(server.run("status", "--json").stdout).get("journal", {"in-use": False})


def test_the_journal_has_figures():
    with Server(CONFIG) as server:
        for _ in range(3):
            server.send(b"Subject: x\r\n\r\n" + b"x" * 1000 + b"\r\n")
        journal = status(server)
        assert journal["in-use"] and journal["octets"] > 3000 and journal["syncs"] >= 3, journal
        assert journal["octets"] < journal["room-octets"] and journal["oldest-unsynced-us"] == 0
        assert journal["held-back"] == 0 and journal["held-back-ever"] >= 3, journal
        assert server.run("store", "sync", "mail").returncode == 0
        after = status(server)
        assert after["octets"] == 0 and after["checkpoints"] == journal["checkpoints"] + 1, after
        text = server.run("status").stdout
        assert "replies held back" in text and "since the last checkpoint" in text, text
        # while an old process is there, commits do not go through the journal
        old = server.smtp()
        assert reload(server, 1).returncode == 0
        assert not status(server)["in-use"]
        server.send(b"Subject: y\r\n\r\n")
        assert status(server)["octets"] == 0
        old.quit()
        wait_for(lambda: status(server)["in-use"], 5, "the journal to be used again")
        server.send(b"Subject: z\r\n\r\n")
        assert status(server)["octets"] > 0


def second_server(first, durability="journal"):
    """Another server, with a data folder of its own, on the first one's store."""
    text = lib.WHOLE.replace("[server]\n", "[server]\ndurability = %s\n" % durability)
    second = Server(text)
    second.write_config(text.replace("path = {{data}}/mail", "path = %s/mail" % first.values["data"]))
    return second


def refused(second):
    """What a server says that does not start."""
    try:
        with second:
            return ""
    except AssertionError as trouble:
        return str(trouble)


def test_two_servers_cannot_defer_to_one_store():
    with Server(CONFIG) as first:
        first.send(b"Subject: x\r\n\r\n")
        for durability in ("journal", "store"):
            why = refused(second_server(first, durability))
            assert "used by another server" in why, why
            assert first.values["data"] + "/journal" in why, why
        first.kill()
        # what its journal holds must not be written over
        why = refused(second_server(first))
        assert "may hold mail" in why, why
        first.start()
        assert first.imap().select("INBOX")[1] == [b"1"]
        assert first.stop() == 0
        with second_server(first) as second:
            assert second.imap().select("INBOX")[1] == [b"1"]
            why = refused(second_server(first))
            assert "used by another server" in why, why
        first.start()


def test_a_new_process_that_cannot_begin_leaves_everything_as_it_was():
    ledger = Ledger()
    with Server(CONFIG) as server:
        old = server.smtp()
        first = server.worker()
        # the config is right, but the queue in that folder cannot be locked
        os.makedirs(server.values["data"] + "/other/lock")
        server.write_config(server.text.replace("[queue]\n", "[queue]\npath = {data}/other\n"))
        done = server.run("reload")
        assert done.returncode == 1, done.stdout
        assert "cannot make a file" in server.events("start-failed")[0]["error"]
        assert server.worker() == first
        wait_for(lambda: status(server)["in-use"], 5, "the journal to be taken back")
        with Load(server, ledger):
            name = send(old, ledger, [ANNA, "joe@a.example"])
            wait_for(lambda: (name, "joe@a.example") in queued_deliveries(server), 3, "the delivery")
            time.sleep(0.2)
        wait_for(lambda: not missing(server, ledger), 10, "every delivery")
        assert not ledger.troubles, ledger.troubles[:3]
        assert reload(server, 1).returncode == 0


class Slow(Server):
    """With a mail on its way to a host that says nothing for `seconds`, more than the 10 s for which
    a process waits that lets go of the queue, and takes the mail the next time."""

    def __init__(self, seconds=12):
        self.host = Host(replies={"MAIL": ["STALL", "250 2.1.0 ok"]})
        super().__init__(CONFIG.replace("[route out]", """[route slow]
domains = slow.example
transport = smtp
relay-host = 127.0.0.1:%d
mail-timeout = %ds

[route out]""" % (self.host.port, seconds)))

    def start(self):
        super().start()
        self.send(b"Subject: slow\r\n\r\n", ["bob@slow.example"])
        wait_for(lambda: any(line.startswith("MAIL") for line in self.host.said), 5, "the delivery")
        return self

    def __exit__(self, *details):
        super().__exit__(*details)
        self.host.stop()

    def begin_reload(self):
        """A reload for which the old process waits for the delivery. (its thread, its outcomes)"""
        found = []
        thread = threading.Thread(target=lambda: found.append(reload(self, 1)))
        thread.start()
        wait_for(lambda: len(descendants(self.process.pid)) == 2, 10, "the new process")
        time.sleep(2)  # it has loaded, and waits
        return thread, found


def test_a_slow_delivery_does_not_end_sessions():
    ledger = Ledger()
    with Slow(25) as server:  # longer than the new process waits for the queue, too
        first = server.worker()
        old = server.smtp()
        done = reload(server, 1)
        assert "a new process took over" in done.stdout, done.stdout + done.stderr
        assert first in descendants(server.process.pid), "its sessions are still open"
        name = send(old, ledger, [ANNA, "joe@a.example"])
        wait_for(lambda: (name, "joe@a.example") in queued_deliveries(server), 3,
                 "the delivery of what an old session has sent")
        wait_for(lambda: server.host.mails, 5, "the delivery that was begun anew")
        old.quit()
        wait_for(lambda: len(descendants(server.process.pid)) == 1, 20, "the old process's end")
        assert len(server.host.mails) == 1 and not missing(server, ledger)
        assert server.stop() == 0
    assert not server.events("worker-died")


def test_a_process_that_lets_go_for_one_that_dies_takes_everything_back():
    ledger = Ledger()
    with Slow() as server:
        first = server.worker()
        old = server.smtp()
        reloading, failed = server.begin_reload()
        os.kill([pid for pid in descendants(server.process.pid) if pid != first][0], signal.SIGKILL)
        reloading.join()
        assert failed[0].returncode == 1, failed[0].stdout
        # asked for while the old process still waits: when it has taken everything back
        done = reload(server, 2)
        assert "a new process took over" in done.stdout, done.stdout + done.stderr
        send(old, ledger, [ANNA, "joe@a.example"])
        wait_for(lambda: server.host.mails, 5, "the slow delivery")
        old.quit()
        wait_for(lambda: status(server)["in-use"], 10, "the journal to be used again")
        wait_for(lambda: not missing(server, ledger), 5, "every delivery")
        assert server.stop() == 0


def test_the_journal_is_used_again_when_the_new_process_dies():
    with Slow() as server:
        first = server.worker()
        reloading, failed = server.begin_reload()
        os.kill([pid for pid in descendants(server.process.pid) if pid != first][0], signal.SIGKILL)
        reloading.join()
        assert failed[0].returncode == 1, failed[0].stdout
        wait_for(lambda: server.host.mails, 15, "the slow delivery, begun anew")
        assert server.worker() == first
        wait_for(lambda: status(server)["in-use"], 5, "the journal to be used again")
        assert server.stop() == 0


def test_a_stop_does_not_wait_for_a_slow_delivery():
    with Slow() as server:
        reloading, _ = server.begin_reload()
        assert server.stop() == 0
        reloading.join()
        bad = server.events("killed") + server.events("worker-died") + server.events("stop-forced")
        assert not bad, bad


def test_nothing_acknowledged_is_lost_when_a_worker_is_killed_meanwhile():
    ledger = Ledger()
    with Server(CONFIG) as server:
        for number in range(ROUNDS):
            with Load(server, ledger):
                time.sleep(0.1)
                reloading = threading.Thread(target=reload, args=(server, number))
                reloading.start()
                time.sleep(random.uniform(0.05, 0.6))
                victims = descendants(server.process.pid)
                if victims:
                    os.kill(random.choice(victims), signal.SIGKILL)
                reloading.join()
                wait_for(lambda: server.listens(server.ports["imap"]), 20, "a worker")
        wait_for(lambda: not missing(server, ledger), 30, "every delivery: %r"
                 % missing(server, ledger)[:5])
        print("# %d mails acknowledged, %d workers killed, %d delivered more than once" % (
            len(ledger.acknowledged), len(server.events("worker-died")),
            sum(count > 1 for count in deliveries(server).values())))
        assert server.run("reload").returncode == 0


main(globals())
