#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-routes.py: aliases, lists, other names of domains, details, and what `explain` says of them"""
import email
import json
import os
import smtplib

from lib import IMAP, PEOPLE, SERVER, SMTP, STORE, Server, main, wait_for
from nexthop import Host

ROUTE = """
[route local]
domains = example.org
domain-aliases = example.net -> example.org
transport = store
store = mail
directory = people
separators = +
detail-mailbox = yes
aliases = {dir}/aliases
srs-secret = hush
"""
ALIASES = """
sales: anna, ben
team: :include:team
owner-team: ben
abroad: anna, x@nowhere.example
anna.old: anna
@example.org: ben
"""
CONFIG = SERVER + PEOPLE + STORE + ROUTE + SMTP + IMAP
MESSAGE = b"Subject: %s\r\n\r\nHello.\r\n"


def serve(aliases=ALIASES, config=CONFIG):
    server = Server(config, ports=("smtp", "imap"))
    write(server, "aliases", aliases)
    write(server, "team", "# members\nanna@example.org\n")
    return server


def write(server, name, text):
    path = os.path.join(server.dir, name)
    with open(path + ".new", "w", encoding="utf-8") as stream:
        stream.write(text)
    os.rename(path + ".new", path)


def messages(server, user, mailbox="INBOX"):
    """The header blocks that the user has in the mailbox."""
    imap = server.imap(user + "@example.org")
    imap.select(mailbox, readonly=True)
    found = [part[1].decode() for part in imap.fetch("1:*", "(BODY[HEADER])")[1] if isinstance(part, tuple)]
    imap.logout()
    return found


def refused(server, address):
    try:
        server.send(MESSAGE % b"no", [address])
    except smtplib.SMTPRecipientsRefused as refusal:
        return refusal.recipients[address][0]
    return None


def test_an_alias_reaches_everybody_once_and_keeps_the_sender():
    with serve() as server:
        server.send(MESSAGE % b"one", ["sales@example.org", "anna@example.org", "Anna.Old@example.net"])
        for user in ("anna", "ben"):
            got = messages(server, user)
            assert len(got) == 1, (user, got)
            assert got[0].startswith("Return-Path: <carla@example.net>"), got


def test_a_list_is_sent_by_its_owner_and_reads_its_members_anew():
    with serve() as server:
        server.send(MESSAGE % b"one", ["team@example.org"])
        got = messages(server, "anna")
        assert got[0].startswith("Return-Path: <owner-team@example.org>"), got
        write(server, "team", "ben@example.org, anna@example.org\n")
        server.send(MESSAGE % b"two", ["team@example.org"])
        assert len(messages(server, "anna")) == 2
        assert len(messages(server, "ben")) == 1
        os.remove(os.path.join(server.dir, "team"))
        assert refused(server, "team@example.org") == 451


def test_a_detail_reaches_the_mailbox_of_its_name():
    with serve() as server:
        imap = server.imap()
        imap.create("lists")
        imap.logout()
        server.send(MESSAGE % b"one", ["anna+lists@example.org"])
        server.send(MESSAGE % b"two", ["anna+nothing@example.org"])
        assert "Subject: one" in messages(server, "anna", "lists")[0]
        assert "Subject: two" in messages(server, "anna")[0]


def test_the_alias_file_is_followed_and_a_bad_one_is_not():
    with serve() as server:
        assert refused(server, "abroad@example.org") == 550
        write(server, "aliases", "new: anna\n")
        server.send(MESSAGE % b"one", ["new@example.org"])
        assert refused(server, "nobody@example.org") == 550
        write(server, "aliases", "new: |/bin/sh\n")
        server.send(MESSAGE % b"two", ["new@example.org"])
        assert len(messages(server, "anna")) == 2
        told = wait_for(lambda: server.events("aliases-unreadable"), 5, "the complaint")
        assert "line 1" in told[0]["error"] and "program" in told[0]["error"], told
        assert len(told) == 1, told


def test_a_start_with_a_bad_alias_file_names_its_line():
    server = serve("sales anna\n")
    try:
        done = server.run("check")
        assert done.returncode == 1
        assert "[route local]" in done.stderr and "line 1" in done.stderr, done.stderr
        write(server, "aliases", ALIASES)
        assert server.run("check").returncode == 0
        server.write_config(server.text.replace("-> example.org", "-> example.com"))
        done = server.run("check")
        assert "none of its 'domains'" in done.stderr, done.stderr
    finally:
        server.__exit__(None, None, None)


def forwarding(host):
    server = Server(CONFIG.replace("[listener smtp]", "[listener smtp]\nrelay-networks = 192.0.2.1") + "\n[route out]\ndomains = *\ntransport = smtp\nrelay-host = 127.0.0.1:%d\n" % host.port,
                    ports=("smtp", "imap"))
    write(server, "aliases", "away: friend@remote.example\nboth: anna, friend@remote.example\n"
          "list: friend@remote.example\nowner-list: anna\n")
    return server


def forwarded(host, count):
    """The mails that the next hop has, when there are so many."""
    wait_for(lambda: len(host.mails) >= count, 10, "mail at the next hop")
    return host.mails


def sender_of(mail):
    return mail["mail"].split("<", 1)[1].split(">")[0]


def test_forwarded_mail_is_answered_for_and_its_bounce_returns():
    with Host() as host, forwarding(host) as server:
        assert refused(server, "friend@remote.example") == 550, "an open relay"
        server.send(MESSAGE % b"one", ["away@example.org"], sender="carla@far.example")
        mail = forwarded(host, 1)[0]
        sender = sender_of(mail)
        assert sender.startswith("SRS0=") and sender.endswith("=far.example=carla@example.org"), mail
        assert mail["data"].startswith(b"Delivered-To: away@example.org\r\n"), mail
        server.send(MESSAGE % b"bounce", [sender], sender="")
        mail = forwarded(host, 2)[1]
        assert sender_of(mail) == "", mail
        assert any("<carla@far.example>" in line for line in host.said if line.startswith("RCPT")), host.said
        assert refused(server, sender.replace("far.example", "fax.example")) == 550
        server.send(MESSAGE % b"two", ["both@example.org"], sender="ben@example.org")
        assert sender_of(forwarded(host, 3)[2]) == "ben@example.org", "its own domain needs no other name"
        assert messages(server, "anna")[0].startswith("Return-Path: <ben@example.org>")
        server.send(MESSAGE % b"three", ["list@example.org"])
        assert sender_of(forwarded(host, 4)[3]) == "owner-list@example.org"


def test_mail_in_a_circle_is_refused():
    with Host() as host, forwarding(host) as server:
        server.send(MESSAGE % b"one", ["away@example.org"])
        octets = forwarded(host, 1)[0]["data"]
        try:
            server.send(octets, ["away@example.org"])
            raise AssertionError("it was taken again")
        except smtplib.SMTPDataError as refusal:
            assert refusal.smtp_code == 554 and refusal.smtp_error.startswith(b"5.4.6 "), refusal
        told = server.run("explain", "away@example.org", "--from", "carla@far.example").stdout
        assert "refused when the mail has that already" in told and "SRS0=" in told, told


def test_mail_that_goes_round_comes_back_with_the_status_of_a_loop():
    text = CONFIG.replace("[listener smtp]", "[listener smtp]\nmax-hops = 4\nrelay-networks = 127.0.0.1")
    text += "\n[route out]\ndomains = *\ntransport = smtp\nrelay-host = 127.0.0.1:{smtp}\n"
    server = Server(text, ports=("smtp", "imap"))
    write(server, "aliases", "anna.old: anna\n")
    with server:
        server.send(MESSAGE % b"round", ["joe@far.example"], sender="anna@example.org")

        def report():
            found = [text for text in messages(server, "anna", "INBOX") if "multipart/report" in text] if int(
                server.imap("anna@example.org").select("INBOX")[1][0]) else []
            return found
        wait_for(report, 10, "the bounce")
        imap = server.imap("anna@example.org")
        imap.select("INBOX", readonly=True)
        mail = email.message_from_bytes(imap.fetch("1", "(BODY[])")[1][0][1])
        imap.logout()
        row = mail.get_payload(1).get_payload()[1]
        assert (row["Action"], row["Status"]) == ("failed", "5.4.6"), row.as_string()
        assert row["Diagnostic-Code"].startswith("smtp; 554 5.4.6"), row.as_string()
        assert len(server.events("queued")) == 5, server.events("queued")
        try:
            server.send(b"Received: x\r\n" * 5 + MESSAGE % b"far", ["anna@example.org"])
            raise AssertionError("it was taken")
        except smtplib.SMTPDataError as refusal:
            assert (refusal.smtp_code, refusal.smtp_error[:5]) == (554, b"5.4.6"), refusal


def reports(server, user, count):
    """(action, final recipient) of all reports that the user has, when there are so many."""
    def get():
        imap = server.imap(user + "@example.org")
        imap.select("INBOX", readonly=True)
        parts = imap.fetch("1:*", "(BODY[])")[1] if int(imap.select("INBOX")[1][0]) else []
        imap.logout()
        found = []
        for octets in (part[1] for part in parts if isinstance(part, tuple)):
            mail = email.message_from_bytes(octets)
            if mail.get_content_type() == "multipart/report":
                found += [(block["Action"], block["Final-Recipient"].split("; ")[1])
                          for block in mail.get_payload(1).get_payload()[1:]]
        return sorted(found) if len(found) >= count else None
    return wait_for(get, 10, "reports")


def test_success_is_told_once_by_who_knows():
    with Host(extensions=["DSN"]) as host, forwarding(host) as server:
        client = server.smtp()
        for to in ("anna", "both", "list", "away"):
            client.sendmail("ben@example.org", [to + "@example.org"], MESSAGE % b"asked",
                            rcpt_options=["NOTIFY=SUCCESS,FAILURE"])
        client.quit()
        told = reports(server, "ben", 3)
        assert told == [("delivered", "anna@example.org"), ("delivered", "list@example.org"),
                        ("expanded", "both@example.org")], told
        forwarded(host, 3)
        said = sorted(line.partition(">")[2].strip() for line in host.said if line.startswith("RCPT"))
        assert [word.split()[0] if word else "" for word in said] == ["", "NOTIFY=FAILURE", "NOTIFY=SUCCESS,FAILURE"], said
        assert len(reports(server, "ben", 3)) == 3


def steps_of(server, *words):
    done = server.run("explain", "--json", *words)
    told = json.loads(done.stdout)
    assert (done.returncode == 0) == (told["result"] == "taken"), done
    return told, [step["step"] for step in told["steps"]]


def test_explain_tells_each_step_without_a_server():
    server = serve()
    try:
        told, steps = steps_of(server, "team@example.net", "--from", "carla@example.com")
        assert steps == ["domain", "route", "alias", "list", "route", "user", "sender", "transport", "store",
                         "mailbox"], steps
        assert told["steps"][6]["text"] == "it goes on from <owner-team@example.org>", told
        told, steps = steps_of(server, "anna+lists@example.org")
        assert "lists when the user has it" in told["steps"][-1]["text"], told
        told, steps = steps_of(server, "x@nowhere.example")
        assert told["result"] == "no-route" and told["reply"] == "550 5.7.1" and steps == ["no"], told
        text = server.run("explain", "nobody@example.org").stdout
        assert "@example.org" in text and "ben@example.org" in text and text.rstrip().endswith("(250 2.1.5)"), text
        assert server.run("explain", "no one@@").returncode == 2
        assert not os.path.exists(os.path.join(server.dir, "data", "mail"))
    finally:
        server.__exit__(None, None, None)


main(globals())
