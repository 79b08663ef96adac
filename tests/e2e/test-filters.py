#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-filters.py: the rules filter at every stage of a real server: verdicts, edits, delays"""
import json
import os
import smtplib
import threading
import time

from lib import BUILD, PASSWORD, PEOPLE, ROUTE, SERVER, SMTP, STORE, IMAP, Server, main, wait_for

RULES = """
[filter trouble]
plugin = rules
quarantine = Suspects
rule-slow = at recipient if recipient matches *@slow.example.org then delay 1s
rule-busy = at recipient if recipient matches busy@* then temporary 450 4.2.1 mailbox busy
rule-size = at message if size over 100K then reject 552 5.3.4 too large for this test
rule-tag = at header if header Subject matches "*sale*" then add header X-Sale: yes
rule-keep = at message if header Subject is suspect then quarantine because
rule-old = at recipient if recipient is old@example.org then redirect ben@example.org
rule-gone = at message if header Subject is vanish then discard
rule-helo = at helo if helo is drop.example then drop "not you"
rule-spam = at sender if sender matches spam@* then reject 5.7.1 "no mail from there"
rule-data = at data if sender matches no-data@* then reject 554 no data for you
rule-no = at header if header Subject is never then reject 550 5.7.9 not with that subject
rule-cut = at header if header Subject is cut then drop "enough"
rule-think = at header if header Subject is think then delay 300ms and reject 5.7.8 thought
rule-moved = at sender if sender is moved@example.net then redirect ben@example.org
rule-third = at sender if sender is third@example.net every 3 then temporary third time
"""
FILTERED = SERVER + PEOPLE + STORE + ROUTE + IMAP + SMTP + "filters = trouble\n" + RULES
MESSAGE = "Subject: %s\r\nX-Sale: forged\r\n\r\nbody\r\n"


def code_of(function, *words):
    try:
        return function(*words)[0]
    except smtplib.SMTPResponseException as error:
        return error.smtp_code


def deliver(server, subject, to="anna@example.org", sender="carla@example.net"):
    with server.smtp() as client:
        client.sendmail(sender, [to], MESSAGE % subject)


def texts(server, user, mailbox="INBOX"):
    imap = server.imap(user)
    if imap.select(mailbox)[0] != "OK":
        return []
    numbers = imap.search(None, "ALL")[1][0].split()
    found = [imap.fetch(number, "(BODY[])")[1][0][1].decode() for number in numbers]
    imap.logout()
    return found


def test_each_stage_is_asked():
    with Server(FILTERED, users=("anna@example.org", "ben@example.org", "old@example.org",
                                 "busy@example.org"), ports=("smtp", "imap")) as server:
        client = server.smtp()
        assert client.ehlo("drop.example")[0] in (421, -1)
        client = server.smtp()
        client.ehlo("client.example")
        code, text = client.mail("spam@example.net")
        assert (code, text) == (550, b"5.7.1 no mail from there"), (code, text)
        assert client.mail("carla@example.net")[0] == 250
        assert client.rcpt("busy@example.org") == (450, b"4.2.1 mailbox busy")
        assert client.rcpt("nobody@example.org")[0] == 550
        code, text = client.docmd("DATA")
        assert code == 554, (code, text)
        assert client.rcpt("anna@example.org")[0] == 250
        assert code_of(client.data, "x" * 90 + "\r\n") == 250
        client.mail("carla@example.net")
        client.rcpt("anna@example.org")
        assert code_of(client.data, ("x" * 90 + "\r\n") * 2000) == 552
        client.mail("no-data@example.net")
        client.rcpt("anna@example.org")
        code, text = client.docmd("DATA")
        assert (code, text) == (554, b"5.7.1 no data for you"), (code, text)
        client.rset()
        client.mail("no-data@example.net")
        client.rcpt("anna@example.org")
        client.send(b"BDAT 10 LAST\r\n0123456789NOOP\r\n")
        assert client.getreply()[0] == 554
        assert client.getreply()[0] == 250
        client.quit()
        assert len(texts(server, "anna@example.org")) == 1


def raw_message(server, subject, chunked=False):
    """A session in the middle of a message whose header is there."""
    client = server.smtp()
    client.mail("carla@example.net")
    client.rcpt("anna@example.org")
    head = ("Subject: %s\r\n\r\nfirst\r\n" % subject).encode()
    if chunked:
        client.send(b"BDAT %d\r\n" % len(head) + head)
    else:
        assert client.docmd("DATA")[0] == 354
        client.send(head)
    client.sock.settimeout(10)
    return client


def test_the_header_is_asked_about_while_the_body_is_coming():
    with Server(FILTERED.replace("log = json", "log = json\nmessage-size-limit = 1M"),
                ports=("smtp", "imap")) as server:
        client = raw_message(server, "cut")
        assert client.getreply() == (421, b"4.7.1 enough")  # there is no end yet
        client = raw_message(server, "never", chunked=True)
        assert client.getreply() == (550, b"5.7.9 not with that subject")
        client.send(b"BDAT 5 LAST\r\n12345")
        assert client.getreply()[0] == 503
        assert client.noop()[0] == 250
        for subject, wanted in (("never", b"5.7.9 not with that subject"),
                                ("think", b"5.7.8 thought")):
            client = raw_message(server, subject)
            # What is refused is not measured: it is not kept.
            client.send((b"y" * 70 + b"\r\n") * 30000)
            client.send(b"..\r\n.\r\n")
            assert client.getreply() == (550, wanted)
            assert client.noop()[0] == 250
        client = raw_message(server, "big sale", chunked=True)
        assert client.getreply()[0] == 250
        client.send(b"BDAT 8 LAST\r\nsecond\r\n")
        assert client.getreply()[0] == 250
        client = raw_message(server, "big sale")
        client.send(b"third\r\n.\r\n")
        assert client.getreply()[0] == 250
        found = texts(server, "anna@example.org")
        for text, rest in zip(found, ("second", "third")):
            assert text.endswith("sale\r\nX-Sale: yes\r\n\r\nfirst\r\n%s\r\n" % rest), text
        assert len(found) == 2
        # One that thinks does not hold up others.
        thinking = raw_message(server, "think")
        deliver(server, "other")
        thinking.close()


MORE_LISTENERS = """
[listener lmtp]
plugin = lmtp
address = 127.0.0.1:{lmtp}
filters = trouble

[listener submission]
plugin = smtp
service = submission
address = 127.0.0.1:{submission}
directory = people
mechanisms = plain
filters = trouble
"""


def test_headers_of_submitted_and_of_local_mail_are_asked_about_early_too():
    config = FILTERED.replace("\n[filter trouble]", MORE_LISTENERS + "\n[filter trouble]")
    with Server(config, users=("anna@example.org", "ben@example.org"),
                ports=("smtp", "imap", "lmtp", "submission")) as server:
        client = smtplib.LMTP("127.0.0.1", server.ports["lmtp"])
        client.ehlo("client.example.org")
        client.mail("carla@example.net")
        client.rcpt("anna@example.org")
        client.rcpt("ben@example.org")
        assert client.docmd("DATA")[0] == 354
        client.send(b"Subject: never\r\n\r\nfirst\r\nlast\r\n.\r\n")
        assert [client.getreply()[0] for _ in range(2)] == [550, 550]
        client.mail("carla@example.net")
        client.rcpt("anna@example.org")
        assert client.docmd("DATA")[0] == 354
        client.send(b"Subject: cut\r\n\r\nfirst\r\n")
        assert client.getreply()[0] == 421
        client = smtplib.SMTP("127.0.0.1", server.ports["submission"])
        client.login("anna@example.org", PASSWORD)
        client.mail("anna@example.org")
        client.rcpt("ben@example.org")
        assert client.docmd("DATA")[0] == 354
        client.send(b"Subject: big sale\r\n\r\nfirst\r\n")
        time.sleep(0.1)
        client.send(b"last\r\n.\r\n")
        assert client.getreply()[0] == 250
        (text,) = texts(server, "ben@example.org")
        head, _, body = text.partition("\r\n\r\n")
        assert body == "first\r\nlast\r\n" and "\r\nDate: " in head, text
        assert head.count("X-Sale: yes") == 1 and head.count("Message-ID: ") == 1, text
        client.mail("anna@example.org")
        client.rcpt("ben@example.org")
        assert client.docmd("DATA")[0] == 354
        client.send(b"Subject: cut\r\n\r\nfirst\r\n")
        assert client.getreply()[0] == 421


def test_every_third():
    with Server(FILTERED, ports=("smtp", "imap")) as server:
        client = server.smtp()
        client.ehlo("client.example")
        codes = []
        for _ in range(6):
            codes.append(client.mail("third@example.net")[0])
            client.rset()
        assert codes == [250, 250, 451, 250, 250, 451], codes
        client.quit()


def test_mail_is_changed_redirected_kept_aside_and_discarded():
    with Server(FILTERED, users=("anna@example.org", "ben@example.org", "old@example.org"),
                ports=("smtp", "imap")) as server:
        deliver(server, "big sale today")
        (text,) = texts(server, "anna@example.org")
        head = text.partition("\r\n\r\n")[0]
        assert head.endswith("X-Sale: forged\r\nX-Sale: yes"), text
        assert text.endswith("\r\n\r\nbody\r\n"), text
        deliver(server, "moved", "old@example.org")
        assert texts(server, "old@example.org") == []
        assert len(texts(server, "ben@example.org")) == 1
        deliver(server, "moved early", sender="moved@example.net")
        assert len(texts(server, "ben@example.org")) == 2
        assert len(texts(server, "anna@example.org")) == 1
        for _ in range(2):
            deliver(server, "suspect")
        assert len(texts(server, "anna@example.org")) == 1
        assert len(texts(server, "anna@example.org", "Suspects")) == 2
        deliver(server, "vanish")
        assert len(texts(server, "anna@example.org")) == 1


DELIVERED = (SERVER + PEOPLE + STORE + ROUTE + "filters = last\n" + IMAP + SMTP + """
[filter last]
plugin = rules
rule-1 = at delivery if recipient is ben@example.org then add header X-For: ben
rule-2 = at delivery if recipient is dora@example.org then redirect anna@example.org
rule-3 = at delivery if sender is never@example.net then reject 5.7.7 "not to anybody"
rule-4 = at delivery if sender is later@example.net and not client in 127.0.0.1 then accept
rule-5 = at delivery if sender is later@example.net then delay 100ms and temporary
rule-6 = at delivery if header Subject is vanish then discard
""")


def test_deliveries_are_asked_about_one_by_one():
    with Server(DELIVERED, users=("anna@example.org", "ben@example.org", "dora@example.org"),
                ports=("smtp", "imap")) as server:
        with server.smtp() as client:
            client.sendmail("carla@example.net",
                            ["anna@example.org", "ben@example.org", "dora@example.org"],
                            MESSAGE % "one")
        found = texts(server, "anna@example.org")
        assert len(found) == 2 and not any("X-For" in text for text in found), found
        assert "X-For: ben" in texts(server, "ben@example.org")[0]
        assert texts(server, "dora@example.org") == []
        with server.smtp() as client:
            for sender, wanted in (("never@example.net", 550), ("later@example.net", 451)):
                client.mail(sender)
                client.rcpt("anna@example.org")
                assert code_of(client.data, MESSAGE % "two") == wanted, sender
        deliver(server, "vanish")
        assert len(texts(server, "anna@example.org")) == 2


def test_a_delay_holds_no_thread():
    slow = FILTERED.replace("domains = example.org", "domains = example.org, slow.example.org")
    users = ["user%d@slow.example.org" % n for n in range(20)]
    with Server(slow.replace("log = json", "log = json\nworkers = 2"), users=users,
                ports=("smtp", "imap")) as server:
        def one(user):
            client = server.smtp()
            client.ehlo("client.example")
            client.mail("carla@example.net")
            assert client.rcpt(user)[0] == 250
            client.quit()
        began = time.monotonic()
        threads = [threading.Thread(target=one, args=(user,)) for user in users]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - began
        assert 1.0 <= took < 5.0, took


ELSEWHERE = """
[route out]
domains = *
transport = %s:plugin-flaky
ledger = {data}/ledger
""" % os.path.join(BUILD, "tests", "e2e", "plugin-flaky.so")


def held(server):
    return [(one["state"], one["reason"]) for mail in json.loads(
        server.run("queue", "list", "--json").stdout) for one in mail["recipients"]]


def ledger(server):
    path = os.path.join(server.values["data"], "ledger")
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as stream:
        return [line.split()[1] for line in stream]


def test_quarantine_without_a_mailbox_is_held_in_the_queue_until_it_is_released():
    with Server(FILTERED + ELSEWHERE, ports=("smtp", "imap")) as server:
        with server.smtp() as client:
            client.sendmail("carla@example.net", ["joe@far.example", "anna@example.org"],
                            MESSAGE % "suspect")
        reason = "quarantined by the filter 'trouble': because"
        assert held(server) == [("held", reason), ("held", reason)], held(server)
        assert reason in server.run("queue", "list").stdout
        assert ledger(server) == [] and texts(server, "anna@example.org") == []
        assert server.run("queue", "release", "--all").returncode == 0
        wait_for(lambda: ledger(server) == ["joe@far.example"], 10, "the delivery")
        wait_for(lambda: len(texts(server, "anna@example.org")) == 1, 10, "the local copy")
        wait_for(lambda: held(server) == [], 10, "the end of it")
        deliver(server, "suspect")  # all its recipients have mailboxes
        assert len(texts(server, "anna@example.org", "Suspects")) == 1


def test_what_a_routes_filter_puts_in_quarantine_is_held_and_not_asked_about_again():
    config = FILTERED.replace("filters = trouble\n", "") + ELSEWHERE + "filters = last\n" + (
        "[filter last]\nplugin = rules\nrule-1 = at delivery if recipient is joe@far.example "
        "then quarantine not to joe\n")
    with Server(config, ports=("smtp", "imap")) as server:
        with server.smtp() as client:
            client.sendmail("carla@example.net", ["joe@far.example", "ann@far.example"],
                            MESSAGE % "one")
        wait_for(lambda: ledger(server) == ["ann@far.example"], 10, "the other delivery")
        wait_for(lambda: held(server) == [
            ("held", "quarantined by the filter 'last': not to joe")], 10, "the hold")
        assert server.run("queue", "release", "--all").returncode == 0
        wait_for(lambda: len(ledger(server)) == 2 and held(server) == [], 10, "the delivery")


def test_what_was_released_is_not_held_again_when_the_next_server_puts_it_off():
    config = FILTERED.replace("filters = trouble\n", "") + ELSEWHERE + "filters = last\n" + (
        "[filter last]\nplugin = rules\nrule-1 = at delivery if recipient is later2@far.example "
        "then quarantine not to them\n[queue]\nretry = 200ms\n")
    with Server(config, ports=("smtp", "imap")) as server:
        with server.smtp() as client:
            client.sendmail("carla@example.net", ["later2@far.example"], MESSAGE % "one")
        wait_for(lambda: [one[0] for one in held(server)] == ["held"], 10, "the hold")
        assert server.run("queue", "release", "--all").returncode == 0
        wait_for(lambda: len(ledger(server)) == 1 and held(server) == [], 10, "the delivery")


def test_quarantine_that_is_possible_nowhere_is_temporary_and_check_says_so():
    nowhere = "\n[route gone]\ndomains = gone.example\ntransport = discard\n"
    server = Server(FILTERED + nowhere, ports=("smtp", "imap"))
    done = server.run("check")
    assert "cannot put mail for [route gone] into quarantine" in done.stderr + done.stdout, done
    with server:
        with server.smtp() as client:
            client.mail("carla@example.net")
            client.rcpt("joe@gone.example")
            assert code_of(client.data, MESSAGE % "suspect") == 451


main(globals())
