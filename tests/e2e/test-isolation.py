#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-isolation.py: an isolated plugin's crash, hang, endless answer and growth cost one failure"""
import base64
import imaplib
import json
import os
import re
import signal
import subprocess

from lib import BUILD, PASSWORD, PROGRAM, WHOLE, Server, main, wait_for

PLUGIN = os.path.join(BUILD, "tests", "e2e", "plugin-faulty.so")
FAULTY = """
[directory faulty]
plugin = %s:faulty
isolate = {n}
timeout = 1s
cache = 0s
cache-negative = 0s
isolate-memory = 64M
{more}
[listener faulty]
plugin = imap
address = 127.0.0.1:{faulty}
store = mail
directory = faulty
mechanisms = plain
[mechanism faulty]
plugin = %s:faulty
isolate = {n}
timeout = 1s
isolate-memory = 64M
[listener exchange]
plugin = imap
address = 127.0.0.1:{exchange}
store = mail
directory = people
mechanisms = faulty
[filter faulty]
plugin = %s:faulty
isolate = {n}
timeout = 1s
isolate-memory = 64M
[listener filtered]
plugin = smtp
address = 127.0.0.1:{filtered}
filters = faulty
""" % (PLUGIN, PLUGIN, PLUGIN)


class Faulty(Server):
    """A server whose listener `faulty` has its users from a plugin in a process of its own."""

    def __init__(self, n=1, more=""):
        extra = FAULTY.replace("{n}", str(n)).replace("{more}", more)
        config = WHOLE.replace("[server]\n", "[server]\nlogin-delay = 1ms\n")
        super().__init__(config=config, ports=("smtp", "imap", "pop3", "faulty", "exchange", "filtered"), extra=extra,
                         users=["%s@example.org" % name for name in ("anna", "ben", "crash")])

    def login(self, user, password=PASSWORD):
        """What the server says."""
        client = imaplib.IMAP4("127.0.0.1", self.ports["faulty"], timeout=30)
        try:
            client.login(user + "@example.org", password)
            return "OK"
        except imaplib.IMAP4.error as error:
            return str(error)
        finally:
            client.shutdown()

    def exchange(self, user, password=PASSWORD):
        """The same by the mechanism."""
        client = imaplib.IMAP4("127.0.0.1", self.ports["exchange"], timeout=30)
        answers = iter([user.encode() + b"@example.org", password.encode()])
        seen = []
        try:
            client.authenticate("FAULTY", lambda challenge: seen.append(challenge) or next(answers))
            assert seen == [b"", b"mail.example.org"], seen
            return "OK"
        except imaplib.IMAP4.error as error:
            return str(error)
        finally:
            client.shutdown()

    def offer(self, subject, recipients=("anna@example.org",), body=b"Hello\r\n"):
        """The code and text of the first answer that is not positive, or of the last."""
        client = self.smtp("filtered")
        client.mail("carla@example.net")
        for recipient in recipients:
            answer = client.rcpt(recipient)
            if answer[0] != 250:
                break
        else:
            answer = client.data(b"Subject: " + subject.encode() + b"\r\n\r\n" + body)
        client.close()
        return answer

    def mailbox(self, user, name="INBOX"):
        """What is in a mailbox, without what differs from run to run."""
        client = self.imap(user + "@example.org")
        if client.select(name)[0] != "OK":
            return []
        texts = []
        for number in client.search(None, "ALL")[1][0].split():
            text = client.fetch(number, "(BODY.PEEK[])")[1][0][1]
            text = re.sub(rb"Received:.*\r\n([ \t].*\r\n)*", b"", text)
            texts.append(text)
        client.logout()
        return texts

    def children(self, word="directory"):
        status = json.loads(self.run("status", "--json").stdout)
        return [one for one in status["sections"]
                if one["section"] == "[%s faulty]" % word][0]["children"]

    def pass_filter(self, user):
        """As the others: the filter does what the subject says."""
        code, text = self.offer(user)
        return {250: "OK", 451: "UNAVAILABLE"}.get(code, "%d %s" % (code, text))

    def costs_one_failure(self, user, word="directory"):
        """The login fails temporarily, the next one is served by another process."""
        before = self.children(word)[0]
        worker = self.worker_pid()
        login = {"directory": self.login, "mechanism": self.exchange, "filter": self.pass_filter}[word]
        assert login("anna") == "OK"
        assert "UNAVAILABLE" in login(user), self.log
        assert login("ben") == "OK"
        after = self.children(word)[0]
        assert after["restarts"] == before["restarts"] + 1, (before, after)
        assert after["pid"] != before["pid"]
        assert self.worker_pid() == worker, "the server's own process was replaced"

    def worker_pid(self):
        return json.loads(self.run("status", "--json").stdout)["pid"]


def test_an_isolated_directory_answers_as_one_in_the_server_does():
    with Faulty() as server:
        assert server.login("anna") == "OK"
        assert "AUTHENTICATIONFAILED" in server.login("anna", "wrong")
        assert "AUTHENTICATIONFAILED" in server.login("nobody")
        assert "UNAVAILABLE" in server.login("away")
        assert any("the back end is away" in line for line in server.log)
        child = server.children()[0]
        assert child["calls"] == 4 and child["restarts"] == 0, child
        with open("/proc/%d/cmdline" % child["pid"], encoding="utf-8") as stream:
            assert "isolated" in stream.read()
        assert "directory faulty" in server.run("status").stdout


def test_a_crash_costs_one_failure():
    with Faulty() as server:
        server.costs_one_failure("crash")
        assert server.events("isolated-died"), server.log


def test_a_hang_costs_one_failure():
    with Faulty() as server:
        server.costs_one_failure("hang")
        assert server.events("isolated-killed"), server.log


def test_growth_costs_one_failure():
    with Faulty() as server:
        server.costs_one_failure("grow")
        assert server.events("isolated-died"), server.log


def test_an_isolated_mechanism_answers_as_one_in_the_server_does():
    with Faulty() as server:
        assert server.exchange("anna") == "OK"
        assert server.exchange("verify") == "OK"
        assert "AUTHENTICATIONFAILED" in server.exchange("anna", "wrong")
        assert "AUTHENTICATIONFAILED" in server.exchange("verify", "wrong")
        assert "AUTHENTICATIONFAILED" in server.exchange("nobody")
        assert [event["user"] for event in server.events("login-failed")] == [
            "anna@example.org", "anna@example.org", "nobody@example.org"]
        child = server.children("mechanism")[0]
        assert child["calls"] == 10 and child["restarts"] == 0, child


def test_a_mechanisms_crash_and_hang_cost_one_failure_each():
    with Faulty() as server:
        server.costs_one_failure("crash", "mechanism")
        server.costs_one_failure("hang", "mechanism")


def test_a_mechanisms_growth_and_endless_answers_cost_one_failure_each():
    with Faulty() as server:
        server.costs_one_failure("grow", "mechanism")
        server.costs_one_failure("endless", "mechanism")
        server.costs_one_failure("flood", "mechanism")


def test_exchanges_of_many_sessions_go_on_side_by_side_in_one_process():
    with Faulty() as server:
        readers = []
        for _ in range(20):
            connection, reader = server.raw("exchange")
            reader.readline()
            connection.sendall(b"a AUTHENTICATE FAULTY\r\n")
            assert reader.readline().startswith(b"+")
            connection.sendall(base64.b64encode(b"anna@example.org") + b"\r\n")
            assert reader.readline().startswith(b"+")
            readers.append((connection, reader))
        for connection, reader in readers[:5]:
            connection.close()
            reader.close()
        for connection, reader in readers[5:]:
            connection.sendall(base64.b64encode(PASSWORD.encode()) + b"\r\n")
            assert reader.readline().startswith(b"a OK"), server.log
            connection.close()
            reader.close()


def what_a_filter_does(n):
    with Faulty(n=n) as server:
        answers = [server.offer(words) for words in (
            "plain", "sender", "add", "remove", "body", "fact", "prepend", "body sender add prepend",
            "park add", "error", "reject")]
        answers.append(server.offer("many", ["anna@example.org", "ben@example.org"]))
        answers.append(server.offer("large", body=b"0123456789abcdef\r\n" * 10000))
        answers.append(server.offer("large body", body=b"0123456789abcdef\r\n" * 10000))
        return answers, [server.mailbox("anna"), server.mailbox("ben"), server.mailbox("anna", "Sorted")]


def test_an_isolated_filter_does_what_one_in_the_server_does():
    answers, mailboxes = what_a_filter_does(1)
    expected_answers, expected = what_a_filter_does(0)
    ids = re.compile(rb"[A-Za-z0-9_-]{22}")
    assert [code for code, _ in answers] == [250] * 9 + [451, 550] + [250] * 3, answers
    assert [(code, ids.sub(b"", text)) for code, text in answers] == [
        (code, ids.sub(b"", text)) for code, text in expected_answers]
    assert len(mailboxes[0]) == 10 and len(mailboxes[1]) == 4 and len(mailboxes[2]) == 1
    assert mailboxes == expected
    assert b"X-Seen: 2 carla@example.net client.example.org 1 " in mailboxes[0][0], mailboxes[0][0]


def test_a_filters_crash_and_hang_cost_one_failure_each():
    with Faulty() as server:
        server.costs_one_failure("crash", "filter")
        server.costs_one_failure("hang", "filter")
        assert server.offer("anna", ["crash@example.org"])[0] == 451
        assert server.offer("anna", ["ben@example.org"])[0] == 250


def test_several_processes_serve_at_once_and_one_that_dies_leaves_the_others():
    with Faulty(n=3) as server:
        children = server.children()
        assert len({child["pid"] for child in children}) == 3
        os.kill(children[1]["pid"], signal.SIGKILL)
        for _ in range(6):
            assert server.login("anna") == "OK"
        wait_for(lambda: server.children()[1]["restarts"] == 1, 10, "another process")


def rights(pid):
    with open("/proc/%d/status" % pid, encoding="utf-8") as stream:
        status = dict(line.split(":", 1) for line in stream.read().splitlines() if ":" in line)
    return [status[name].strip() for name in ("NoNewPrivs", "Seccomp", "CapEff", "CapBnd")]


def test_its_process_is_in_a_sandbox_of_its_own():
    with Faulty() as server:
        pid = server.children()[0]["pid"]
        assert rights(pid) == rights(server.worker_pid()) and rights(pid)[0] == "1", rights(pid)
        with open("/proc/%d/maps" % pid, encoding="utf-8") as stream:
            maps = stream.read()
        assert "plugin-faulty" in maps or "memfd" in maps
        assert "store-sqlite" not in maps and "protocol-imap" not in maps, "other plugins are loaded"


def test_no_process_is_left_when_the_server_is_killed_or_stops():
    with Faulty(n=2) as server:
        pids = [child["pid"] for child in server.children()]
        os.kill(server.worker_pid(), signal.SIGKILL)
        wait_for(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in pids), 10, "the end")
        wait_for(lambda: server.login("anna") == "OK", 20, "a new worker")
        pids = [child["pid"] for child in server.children()]
        assert server.stop() == 0
        wait_for(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in pids), 10, "the end")


def test_a_reload_keeps_the_processes_of_an_unchanged_section_and_replaces_others():
    with Faulty() as server:
        pid = server.children()[0]["pid"]
        assert server.run("reload").returncode == 0
        assert server.children()[0]["pid"] == pid
        server.write_config(server.text.replace("isolate = 1", "isolate = 2"))
        assert server.run("reload").returncode == 0
        wait_for(lambda: len([c for c in server.children() if c["pid"]]) == 2, 10, "two processes")
        assert server.login("anna") == "OK"


def test_what_the_plugin_refuses_stops_the_start():
    server = Faulty(more="refuse = yes")
    try:
        done = subprocess.run([PROGRAM, "serve", "-c", server.config], capture_output=True,
                              text=True, timeout=30, check=False)
        assert done.returncode == 1
        assert "it was told to refuse" in done.stderr, done.stderr
    finally:
        server.__exit__(None, None, None)


def test_other_kinds_refuse_the_key_with_a_sentence():
    for kind, section in (("store", "[store mail]\n"), ("listener", "[listener imap]\n"),
                          ("route", "[route local]\n")):
        server = Server(config=WHOLE.replace(section, section + "isolate = 2\n"))
        done = server.run("check")
        assert done.returncode == 1
        assert "[%s" % kind in done.stderr and "cannot be isolated" in done.stderr, done.stderr
        server.__exit__(None, None, None)


def test_a_plugin_that_needs_the_server_says_why_it_cannot_be_isolated():
    filters = {"milter": "address = unix:/nowhere\n", "dnsbl": "list-1 = bl.example\n",
               "exec": "command = /bin/cat\n"}
    for plugin, more in filters.items():
        server = Server(config=WHOLE.replace(
            "[route local]", f"[filter asked]\nplugin = {plugin}\n{more}isolate = 2\n\n"
                             "[route local]\nfilters = asked"))
        for command in (["check"], ["serve"]):
            done = server.run(*command)
            assert done.returncode == 1, (plugin, command, done)
            assert "[filter asked] cannot be isolated: " in done.stderr, done.stderr
        server.__exit__(None, None, None)


main(globals())
