#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-milter.py: every callback and modification of the milter protocol, and every kind of
nonsense, with a scripted milter; and OpenDKIM, clamav-milter and rspamd where they are installed"""
import base64
import hashlib
import itertools
import os
import re
import smtplib
import struct
import subprocess
import tempfile
import time

from lib import IMAP, PASSWORD, PEOPLE, ROUTE, SERVER, SMTP, STORE, Server, main, need, wait_for
from milters import RAW, Milter, add_header, change_header, insert_header

USERS = ("anna@example.org", "ben@example.org")
MESSAGE = ("From: carla@example.net\r\nTo: anna@example.org\r\nSubject: one\r\n"
           "X-Fold: a\r\n b\r\n\r\nbody\r\n")


def config(milter, extra="", listener=""):
    return (SERVER + PEOPLE + STORE + ROUTE + IMAP + SMTP + "filters = m\n" + listener
            + "\n[filter m]\nplugin = milter\naddress = %s\nreply-timeout = 2s\n%s\n"
            % (milter.address, extra))


def serve(milter, extra="", listener=""):
    return Server(config(milter, extra, listener), users=USERS, ports=("smtp", "imap"))


def texts(server, user="anna@example.org", mailbox="INBOX"):
    imap = server.imap(user)
    if imap.select(mailbox)[0] != "OK":
        return []
    numbers = imap.search(None, "ALL")[1][0].split()
    found = [imap.fetch(number, "(BODY[])")[1][0][1].decode() for number in numbers]
    imap.logout()
    return found


def send(server, to=("anna@example.org",), text=MESSAGE):
    """The last reply of one message: (code, text)."""
    client = server.smtp()
    try:
        for answer in [client.mail("carla@example.net", ["BODY=8BITMIME"])] + [
                client.rcpt(one) for one in to]:
            if answer[0] != 250:
                return answer
        return client.data(text)
    except smtplib.SMTPDataError as error:
        return error.smtp_code, error.smtp_error
    finally:
        client.close()


def test_every_callback_is_made_in_order():
    with Milter(protocol=0x800 | 0x100000, tcp=True) as milter, serve(milter) as server:
        client = server.smtp()
        client.docmd("FROBNICATE now")
        for number in range(2):
            assert client.mail("carla@example.net", ["BODY=8BITMIME"])[0] == 250
            assert client.rcpt("nobody@example.org")[0] == 550
            assert client.rcpt("anna@example.org")[0] == 250
            if number == 0:
                client.rset()
        assert client.data(MESSAGE)[0] == 250
        client.quit()
        wait_for(lambda: milter.letters().endswith("Q"), 5, "QUIT")
        assert milter.letters() == "OCHUMRRAMRRTLLLLNBEQ", milter.letters()
        assert milter.said("H") == [[b"client.example.org"]]
        assert milter.said("M")[0] == [b"<carla@example.net>", b"BODY=8BITMIME"]
        assert milter.said("R")[:2] == [[b"<nobody@example.org>"], [b"<anna@example.org>"]]
        assert milter.said("U") == [[b"FROBNICATE now"]]
        assert milter.said("L")[2:] == [[b"Subject", b" one"], [b"X-Fold", b" a\n b"]]
        connect = next(data for letter, data in milter.talks[0] if letter == "C")
        name, _, rest = connect.partition(b"\0")
        assert name == b"[127.0.0.1]" and rest[:1] == b"4" and rest[3:] == b"127.0.0.1\0", connect
        assert milter.macros("C")[b"j"] == b"mail.example.org"
        assert milter.macros("C")[b"{client_addr}"] == b"127.0.0.1"
        assert milter.macros("R")[b"{rcpt_addr}"] == b"anna@example.org"
        assert len(milter.macros("M")[b"i"]) == 22
        assert len(texts(server)) == 1


SUBMISSION = """
[listener submission]
plugin = smtp
service = submission
address = 127.0.0.1:{submission}
directory = people
mechanisms = plain, login
filters = m
"""


def test_macros_are_those_that_the_milter_names():
    names = {0: "j {client_addr}", 2: "i auth_type {auth_authen} {auth_author} {nothing}",
             3: "", 5: "{mail_addr} {rcpt_addr}"}
    with Milter(names=names) as milter, Server(
            config(milter, listener=SUBMISSION), users=USERS,
            ports=("smtp", "imap", "submission")) as server:
        client = smtplib.SMTP("127.0.0.1", int(server.values["submission"]), timeout=10)
        client.ehlo("client.example.org")
        client.user, client.password = "anna@example.org", PASSWORD
        client.auth("LOGIN", client.auth_login)
        for _ in range(2):
            client.sendmail("anna@example.org", ["ben@example.org"], MESSAGE.replace("carla", "anna"))
        client.quit()
        assert set(milter.macros("C")) == {b"j", b"{client_addr}"}, milter.macros("C")
        found = milter.macros("M")
        assert found.pop(b"i") and found == {
            b"{auth_type}": b"LOGIN", b"{auth_authen}": b"anna@example.org",
            b"{auth_author}": b"anna@example.org"}, found
        assert milter.macros("R") == {}
        assert milter.macros("E") == {b"{mail_addr}": b"anna@example.org",
                                      b"{rcpt_addr}": b"ben@example.org"}, milter.macros("E")
        assert set(milter.macros("T")) == {b"i"}
    with Milter(names=names, actions=0xFF) as milter, serve(milter) as server:  # it may not name any
        assert send(server)[0] == 250
        assert b"{client_port}" in milter.macros("C") and b"{auth_type}" not in milter.macros("M")


def test_what_is_not_wanted_is_not_said():
    # NO* of connect, mail, header, end of header; no reply to helo, recipient, data, body
    protocol = 0x1 | 0x4 | 0x20 | 0x40 | 0x2000 | 0x8000 | 0x10000 | 0x80000
    silent = {"H": [], "R": [], "T": [], "B": []}
    with Milter(silent, protocol=protocol) as milter, serve(milter) as server:
        assert send(server)[0] == 250
        assert milter.letters().startswith("OHRTBE"), milter.letters()
    with Milter(version=2, actions=0) as milter, serve(milter) as server:
        assert send(server)[0] == 250
        assert milter.letters().startswith("OCHMRLLLLNBE"), milter.letters()
        assert milter.said("L")[2] == [b"Subject", b"one"]


def test_large_bodies_come_in_pieces_and_may_be_skipped():
    big = MESSAGE + ("y" * 98 + "\r\n") * 2000
    with Milter() as milter, serve(milter) as server:
        assert send(server, text=big)[0] == 250
        assert milter.letters().startswith("OCHMRTLLLLNBBBBE"), milter.letters()
        sent = b"".join(data for letter, data in milter.talks[0] if letter == "B")
        assert sent == big.partition("\r\n\r\n")[2].encode()
    with Milter({"B": [b"s"]}, protocol=0x400) as milter, serve(milter) as server:
        assert send(server, text=big)[0] == 250
        assert milter.letters().startswith("OCHMRTLLLLNBE"), milter.letters()


def test_verdicts_at_each_command():
    with Milter() as milter, serve(milter) as server:
        for letter in "HMRTLNBE":
            for reply, wanted in ((b"r", 550), (b"t", 451), (b"y554 5.7.9 never\0", 554),
                                  (b"y450-4.7.9 one\r\n450 4.7.9 two\0", 450)):
                milter.script = {letter: [reply]}
                if letter == "H":
                    client = server.smtp()
                    answer = client.ehlo("client.example")
                    client.close()
                else:
                    answer = send(server)
                    if letter == "T" and answer[0] == 250:
                        raise AssertionError(answer)
                assert answer[0] == wanted, (letter, reply, answer)
                if reply.startswith(b"y554"):
                    assert answer[1] == b"5.7.9 never", answer
                if reply.startswith(b"y450"):
                    assert answer[1] == b"4.7.9 one\n4.7.9 two", answer
        assert texts(server) == []
        milter.script = {"E": [b"d"]}
        assert send(server)[0] == 250
        milter.script = {"M": [b"d"]}
        assert send(server)[0] == 250
        assert texts(server) == []
        for letter in "CHMRTLNE":
            milter.script = {letter: [b"a"], **({"Z": []})}
            assert send(server)[0] == 250, letter
        assert len(texts(server)) == 8
        milter.script = {"C": [b"r"]}
        try:
            server.smtp()
        except smtplib.SMTPConnectError as error:
            assert error.smtp_code == 554
        else:
            raise AssertionError("greeted")


def test_data_is_told_with_the_message_and_costs_no_round_trip():
    with Milter() as milter, serve(milter) as server:
        client = server.smtp()
        client.mail("carla@example.net")
        client.rcpt("anna@example.org")
        client.send(b"BDAT 4\r\nX: y")
        assert client.getreply()[0] == 250
        client.rset()
        client.mail("carla@example.net")
        client.rcpt("anna@example.org")
        assert client.docmd("DATA")[0] == 354
        assert milter.letters() == "OCHMRAMR", milter.letters()
        client.send(b"X: y\r\n\r\nbody\r\n.\r\n")
        assert client.getreply()[0] == 250
        assert milter.letters() == "OCHMRAMRTLNBE", milter.letters()
    with Milter() as milter, serve(milter, "pipelining = no\n") as server:
        client = server.smtp()
        client.mail("carla@example.net")
        client.rcpt("anna@example.org")
        assert client.docmd("DATA")[0] == 354
        assert milter.letters() == "OCHMRT", milter.letters()


def test_every_modification():
    script = {"E": [
        b"p", add_header("X-Added", "at the end\n folded"), insert_header(0, "X-First", "top"),
        change_header(1, "Subject", "two"), change_header(1, "X-Fold", ""),
        change_header(1, "X-New", "was not there"), b"e<daniel@example.net>\0",
        b"-<anna@example.org>\0", b"+<ben@example.org>\0",
        b"bnew bo", b"bdy\nlines", b"c"]}
    with Milter(script) as milter, serve(milter) as server:
        assert send(server)[0] == 250
        assert texts(server) == []
        (text,) = texts(server, "ben@example.org")
        head, _, body = text.partition("\r\n\r\n")
        lines = head.split("\r\n")
        assert lines[0] == "Return-Path: <daniel@example.net>", lines
        assert "X-First: top\r\nFrom: carla" in head, head
        assert "\r\nSubject: two\r\n" in head and "X-Fold" not in head, head
        assert "X-Added: at the end\r\n folded\r\nX-New: was not there" in head, head
        assert body == "new body\r\nlines", body
        milter.script = {"E": [b"2<ben@example.org>\0NOTIFY=NEVER\0", b"qlooks odd\0", b"a"]}
        assert send(server)[0] == 250
        assert texts(server) == []
        assert len(texts(server, mailbox="Quarantine")) == 1
        assert len(texts(server, "ben@example.org", "Quarantine")) == 1
        milter.script = {"E": [b"+<nobody@example.com>\0", b"-<who@ever>\0", b"c"]}
        assert send(server)[0] == 250
        assert len(texts(server)) == 1


NONSENSE = {
    "an unknown reply": [b"Z"],
    "an empty packet": [RAW + b"\0\0\0\0"],
    "an endless packet": [RAW + b"\x7f\xff\xff\xffc"],
    "octets behind continue": [b"cc"],
    "text instead": [RAW + b"220 mail.example.org ESMTP\r\n"],
    "a string without end": [b"h" + b"X" * 100],
    "a short number": [b"m\0\0"],
    "a modification too early": [add_header("X-A", "b")],
    "a code that is none": [b"y999 what\0"],
    "nothing and the end": [None],
    "half a packet and the end": [RAW + b"\0\0\0\5y5", None],
}


def test_nonsense_is_a_failure_and_the_session_goes_on():
    with Milter() as milter, serve(milter, "on-failure = accept\n") as server:
        for letter in "OMTN":
            for name, replies in NONSENSE.items():
                milter.script = {letter: replies}
                assert send(server)[0] == 250, (letter, name)
        assert len(texts(server)) == 4 * len(NONSENSE)
        milter.script = {"E": [b"b" + b"x" * 60000] * 3 + [b"Z"]}
        assert send(server)[0] == 250
        assert "xxxx" not in texts(server)[-1]
        milter.script = {"O": [b"O" + struct.pack(">III", 6, 0xFFFF, 0)]}
        assert send(server)[0] == 250
        assert server.events("worker-died") == []
    with Milter({"M": [b"Z"]}) as milter, serve(milter) as server:
        client = server.smtp()
        assert client.mail("carla@example.net") == (451, b"4.7.1 service is away, try later")
        milter.script = {}
        assert client.mail("carla@example.net")[0] == 250
        assert client.rcpt("anna@example.org")[0] == 250
        assert client.data(MESSAGE)[0] == 250
        client.quit()
        assert milter.letters(1).startswith("OCHMRTLLLLNBE"), milter.letters(1)


def test_one_that_hangs_or_is_away_costs_its_time_only():
    with Milter({"E": [30]}) as milter, serve(milter, "on-failure = accept\n") as server:
        began = time.monotonic()
        assert send(server)[0] == 250
        assert 1.5 < time.monotonic() - began < 6
        milter.script = {"E": [b"p", 1.2, b"p", 1.2, b"c"]}
        assert send(server)[0] == 250
    with serve(milter) as server:
        try:
            server.smtp()
        except smtplib.SMTPConnectError as error:
            assert error.smtp_code == 421
        else:
            raise AssertionError("greeted without its filter")


def test_endless_progress_ends_with_the_question():
    with Milter({"E": lambda data: itertools.chain.from_iterable(
            itertools.repeat([b"p", 0.1]))}) as milter, serve(
                milter, "on-failure = accept\ntimeout = 1s\n") as server:
        assert send(server)[0] == 250
        wait_for(lambda: milter.n_open == 0, 5, "the end of that connection")


def test_edits_out_of_range_harm_nothing():
    edits = [change_header(0, "Subject", "zero"), change_header(4294967295, "Subject", ""),
             change_header(7, "X-None", ""), insert_header(4294967295, "X-Last", "last"),
             b"-<nobody@example.org>\0", b"-nonsense\0", b"+<>\0", b"+nonsense\0", b"enonsense\0",
             add_header("X-Bare", "a\rb\nX-Injected: c\n\nd"), b"c"]
    with Milter({"E": edits}) as milter, serve(milter) as server:
        assert send(server)[0] == 250
        (text,) = texts(server)
        head, _, body = text.partition("\r\n\r\n")
        assert body == "body\r\n" and "\nX-Injected" not in text, text
        assert head.count("Subject:") <= 2 and "X-Last: last" in head, text
        assert text.startswith("Return-Path: <carla@example.net>"), text


def test_one_connection_serves_a_session_and_is_opened_again():
    with Milter() as milter, serve(milter) as server:
        client = server.smtp()
        for _ in range(3):
            assert client.mail("carla@example.net")[0] == 250
            assert client.rcpt("anna@example.org")[0] == 250
            assert client.data(MESSAGE)[0] == 250
        assert len(milter.talks) == 1
        assert milter.letters() == "OCH" + "MRTLLLLNBE" * 3, milter.letters()
        # The milter closes it between two messages.
        milter.script = {"E": [b"c", None]}
        for _ in range(3):
            assert client.mail("carla@example.net")[0] == 250
            assert client.rcpt("anna@example.org")[0] == 250
            assert client.data(MESSAGE)[0] == 250
            time.sleep(0.05)
        assert len(milter.talks) == 3, len(milter.talks)
        client.quit()
        assert len(texts(server)) == 6


# --- milters of others ------------------------------------------------------------------------

class Running:
    """A program in a folder of its own, stopped by its process id."""

    def __init__(self, *words, ready):
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: self.process.poll() is not None or os.path.exists(ready), 60, ready)
            assert self.process.poll() is None, "%s ended" % words[0]
        except AssertionError:
            self.stop()
            raise

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.stop()


class At:
    def __init__(self, path):
        self.address = "unix:" + path


def scratch():
    folder = tempfile.mkdtemp(prefix="posthorn-real-")
    os.chmod(folder, 0o755)
    return folder


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="ascii") as stream:
        stream.write(text)
    return path


def test_opendkim_signs():
    program = need("opendkim")
    folder = scratch()
    key = os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    os.chmod(key, 0o600)
    path = os.path.join(folder, "sock")
    conf = write(folder, "conf", "Socket local:%s\nMode s\nDomain example.net\nSelector one\n"
                 "KeyFile %s\nInternalHosts 127.0.0.1\nCanonicalization relaxed/simple\n"
                 "RequireSafeKeys no\nBackground no\n" % (path, key))
    with Running(program, "-f", "-x", conf, ready=path), serve(At(path)) as server:
        for _ in range(2):
            assert send(server)[0] == 250
        text = texts(server)[1]
        head, _, body = text.partition("\r\n\r\n")
        field = re.search(r"^DKIM-Signature:.*(?:\n[ \t].*)*", head, re.M).group(0)
        assert "d=example.net" in field and "s=one" in field, field
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert "bh=" + digest in re.sub(r"\s", "", field), field


def test_clamav_milter_refuses():
    scanner, program = need("clamd"), need("clamav-milter")
    folder = scratch()
    database = os.path.join(folder, "database")
    os.mkdir(database)
    write(database, "test.ndb", "Test.Posthorn:0:*:%s\n" % b"posthorn-test-virus".hex())
    sockets = [os.path.join(folder, name) for name in ("clamd.sock", "milter.sock")]
    clamd = write(folder, "clamd.conf", "LocalSocket %s\nDatabaseDirectory %s\nForeground yes\n"
                  "TemporaryDirectory %s\nPidFile %s/clamd.pid\n" % (sockets[0], database, folder,
                                                                   folder))
    conf = write(folder, "milter.conf", "MilterSocket unix:%s\nClamdSocket unix:%s\n"
                 "Foreground yes\nOnInfected Reject\nAddHeader Replace\n"
                 "TemporaryDirectory %s\n" % (sockets[1], sockets[0], folder))
    with Running(scanner, "-c", clamd, ready=sockets[0]), \
            Running(program, "-c", conf, ready=sockets[1]), serve(At(sockets[1])) as server:
        answer = send(server)
        assert answer[0] == 250, answer
        assert "X-Virus-Status: Clean" in texts(server)[0], texts(server)[0]
        answer = send(server, text=MESSAGE + "posthorn-test-virus\r\n")
        assert answer[0] == 550, answer
        assert len(texts(server)) == 1


RSPAMD = """
options { filters = []; pidfile = "$D/pid"; control_socket = "$D/control mode=0600";
    history_file = "$D/history"; cache_file = "$D/cache"; stats_file = "$D/stats";
    dns { nameserver = ["127.0.0.1:9"]; timeout = 100ms; retransmits = 1; } url_tld = "$T"; }
logging { type = "console"; level = "warning"; }
worker "rspamd_proxy" { bind_socket = "$D/sock mode=0666"; milter = yes; count = 1;
    timeout = 10s; upstream "local" { self_scan = yes; default = yes; } }
metric "default" { actions { reject = 15; add_header = 6; } }
"""


def test_rspamd_looks_and_refuses():
    program = need("rspamd")
    folder = scratch()
    os.chmod(folder, 0o777)
    lists = "/usr/share/rspamd/effective_tld_names.dat"
    path = os.path.join(folder, "sock")
    conf = write(folder, "conf", RSPAMD.replace("$D", folder).replace("$T", lists))
    words = [program, "-f", "-c", conf] + (["--insecure"] if os.geteuid() == 0 else [])
    with Running(*words, ready=path), serve(At(path)) as server:
        answer = send(server)
        assert answer[0] == 250, answer
        gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
        answer = send(server, text=MESSAGE + gtube + "\r\n")
        assert answer[0] == 554, answer
        assert len(texts(server)) == 1


main(globals())
