#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-relay.py: mail to other hosts: which host, over which connection, and what it said"""
import json
import socket

from lib import Server, main, wait_for
from names import Names
from nexthop import Drop, Host
from relaying import ALL, OCTETS, config, one_hop, outcome, outcomes


# Which host ------------------------------------------------------------------------------------

def test_the_domains_own_choice_of_hosts_is_followed():
    backup = Host("127.0.0.3")
    with Host("127.0.0.2", port=backup.port) as first, backup:
        names = Names({
            "example.net": {"MX": [(20, "backup.example.net"), (10, "mx.example.net")]},
            "mx.example.net": {"A": ["127.0.0.2"]}, "backup.example.net": {"A": ["127.0.0.3"]},
            "plain.example": {"A": ["127.0.0.3"]}, "alias.example": {"CNAME": "example.net"},
            "null.example": {"MX": [(0, ".")]}, "hostless.example": {"MX": [(5, "gone.example")]},
            "loop.example": {"MX": [(10, "mail.example.org"), (20, "backup.example.net")]},
            "behind.example": {"MX": [(20, "mail.example.org"), (10, "backup.example.net")]},
            "broken.example": {"MX": "fail"}, "silent.example": {"MX": "timeout"},
            "mad.example": {"MX": "garbage"},
            "dead.example": {"MX": [(10, "dead1.example"), (20, "backup.example.net")]},
            "dead1.example": {"A": ["127.0.0.9"]},
            "circle.example": {"CNAME": "circle2.example"},
            "circle2.example": {"CNAME": "circle.example"},
            "thousand.example": {"MX": [(at, "m%d.example" % at) for at in range(1000)]},
            "mail.example.org": {"A": ["127.0.0.9"]}})
        with Server(config=config(names, port=first.port, timeout="1s"), ports=("smtp",)) as server:
            def to(domain):
                return outcome(server, recipients=("bob@" + domain,))

            def hosts():
                found = (len(first.mails), len(backup.mails))
                first.mails.clear()
                backup.mails.clear()
                return found

            assert to("example.net")[0] == 250 and hosts() == (1, 0)
            assert to("EXAMPLE.net")[0] == 250 and hosts() == (1, 0)
            assert to("alias.example")[0] == 250 and hosts() == (1, 0)
            assert to("plain.example")[0] == 250 and hosts() == (0, 1)
            assert to("behind.example")[0] == 250 and hosts() == (0, 1)
            assert to("dead.example")[0] == 250 and hosts() == (0, 1)
            assert to("[127.0.0.3]")[0] == 250 and hosts() == (0, 1)
            for domain, code, status in (
                    ("null.example", 554, "556 5.1.10"), ("loop.example", 554, "554 5.4.6"),
                    ("nowhere.example", 554, "550 5.1.2"), ("hostless.example", 554, "550 5.4.4"),
                    ("thousand.example", 554, "550 5.4.4"), ("broken.example", 451, "451 4.4.3"),
                    ("silent.example", 451, "451 4.4.3"), ("mad.example", 451, "451 4.4.3"),
                    ("circle.example", 451, "451 4.4.3")):
                got, why = to(domain)
                assert (got, why[:len(status)]) == (code, status), (domain, got, why)
            assert hosts() == (0, 0)
        names.stop()


def test_a_host_that_turns_us_away_is_left_for_the_next():
    for greeting in ("421 4.3.2 busy", "554 5.3.2 not here", "DROP", "STALL", b"garbage\r\n"):
        backup = Host("127.0.0.3")
        with Host("127.0.0.2", port=backup.port, replies={"GREETING": greeting}) as first, backup:
            names = Names({"example.net": {"MX": [(10, "a.example"), (20, "b.example")]},
                           "a.example": {"A": ["127.0.0.2"]}, "b.example": {"A": ["127.0.0.3"]}})
            with Server(config=config(names, port=first.port), ports=("smtp",)) as server:
                assert outcome(server)[0] == 250, greeting
            assert (len(first.mails), len(backup.mails)) == (0, 1)
            names.stop()


def hosts_of_one_domain(count, **options):
    """Hosts with one port at 127.0.0.2 and on, and the names that lead to them in this order."""
    found = [Host("127.0.0.2", **options)]
    found += [Host("127.0.0.%d" % (3 + at), port=found[0].port, **options) for at in range(count - 1)]
    zone = {"example.net": {"MX": [(10 + at, "mx%d.example" % at) for at in range(count)]}}
    zone.update({"mx%d.example" % at: {"A": ["127.0.0.%d" % (2 + at)]} for at in range(count)})
    return found, Names(zone)


def break_off(talk, rest):
    """Takes a part of the message and closes the connection."""
    talk.send(b"354 go on\r\n")
    talk.stream.read(5000)
    raise Drop


def test_trouble_before_the_end_of_the_message_leads_to_the_next_host():
    large = b"Subject: large\r\n\r\n" + (b"x" * 70 + b"\r\n") * 90000
    cases = [({step: reply}, OCTETS) for step in ("MAIL", "RCPT", "DATA")
             for reply in ("451 4.3.0 later", "421 4.3.2 going", "DROP", "STALL", b"garbage\r\n")]
    (first, second), names = hosts_of_one_domain(2)
    first.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # less than the message
    text = config(names, "idle-time = 0s\n", port=first.port)
    with first, second, Server(config=text, ports=("smtp",)) as server:
        for extensions in (["PIPELINING"], []):
            first.extensions = extensions
            for replies, octets in cases + [({"DATA": break_off}, large)]:
                first.replies, second.mails[:] = replies, []
                got, why = outcome(server, octets)
                assert got == 250, (extensions, replies, why)
                assert (len(first.mails), len(second.mails)) == (0, 1), (extensions, replies)
                assert second.mails[0]["data"].endswith(octets), (extensions, replies)
        first.extensions, first.replies = ["CHUNKING"], {"BDAT": "DROP"}
        second.mails.clear()
        assert outcome(server, large)[0] == 250 and len(second.mails) == 1
    names.stop()


def test_what_may_have_been_taken_is_offered_to_nobody_else():
    (first, second), names = hosts_of_one_domain(2)
    text = config(names, "idle-time = 0s\n", port=first.port)
    with first, second, Server(config=text, ports=("smtp",)) as server:
        for extensions in (["PIPELINING"], ["PIPELINING", "CHUNKING"]):
            first.extensions = extensions
            for reply in ("DROP", "STALL", "451 4.3.0 later"):
                first.replies = {"END": reply}
                assert outcome(server)[0] == 451, (extensions, reply)
            first.replies = {"END": "554 5.6.0 no"}
            assert outcome(server)[0] == 554
        first.extensions = []
        for step in ("MAIL", "RCPT", "DATA"):
            first.replies = {step: "550 5.7.1 no"}
            assert outcome(server)[0] == 554, step
        assert not second.mails and second.connections == 0, second.said
    names.stop()


def test_only_those_who_were_put_off_go_to_the_next_host():
    (first, second, third), names = hosts_of_one_domain(3)
    text = config(names, "idle-time = 0s\n", port=first.port)
    with first, second, third, Server(config=text, ports=("smtp",)) as server:
        late = lambda talk, rest: "450 4.2.0 %s" % talk.host.name if "late" in rest else "250 ok"  # noqa: E731
        first.replies, first.name, second.name = {"RCPT": late}, "first", "second"
        people = ["bob@example.net", "late@example.net", "carl@example.net"]
        assert [code for code, _ in outcomes(server, recipients=people)] == [250, 250, 250]
        assert [len(mail["rcpt"]) for mail in first.mails + second.mails] == [2, 1]
        assert "late@" in second.mails[0]["rcpt"][0]
        first.mails.clear(), second.mails.clear()
        second.replies = first.replies
        got = outcomes(server, recipients=people)
        assert [code for code, _ in got] == [250, 451, 250] and got[1][1] == "450 4.2.0 second", got
        assert third.connections == 0, "more hosts than max-tries"
        second.replies = third.replies = {"GREETING": "421 4.3.2 busy"}
        got = outcomes(server, recipients=people)
        assert [code for code, _ in got] == [250, 451, 250] and got[1][1] == "450 4.2.0 first", got
        second.replies = {}
        assert outcomes(server, recipients=people[1:2])[0][0] == 250
        assert outcomes(server, recipients=people[:1])[0][0] == 250 and first.mails
    names.stop()


def test_a_host_that_turns_everybody_away_is_left_alone():
    hosts = [Host(replies=replies) for replies in (
        {"GREETING": "421 4.3.2 busy"}, {"GREETING": "451 4.3.0 busy"}, {"GREETING": "DROP"},
        {"EHLO": "421 4.3.2 busy", "HELO": "421 4.3.2 busy"}, {"MAIL": "421 4.3.2 busy"})]
    rules = ["d%d.example next-hop=127.0.0.1:%d" % (at, host.port) for at, host in enumerate(hosts)]
    text = config(None, "idle-time = 0s\ndestinations = %s\n" % ", ".join(rules))
    text = text.replace("failures-until-pause = 1000",
                        "failures-until-pause = 2\nconcurrency-per-destination = 1")
    with Server(config=text, ports=("smtp",)) as server:
        for name in "ab":
            client = server.smtp()
            for at in range(10):
                client.sendmail("", ["%s%d@d%d.example" % (name, at, host) for host in range(5)], OCTETS)
            client.quit()
            wait_for(lambda: json.loads(server.run("queue", "stats", "--json").stdout)[
                "destinations-paused"] == 5, 5, "the destinations to be left alone")
        assert all(2 <= host.connections <= 4 for host in hosts), [host.connections for host in hosts]
    for host in hosts:
        host.stop()


def test_trouble_for_now_outweighs_a_refusal():
    (first, second), names = hosts_of_one_domain(2, replies={"GREETING": "554 5.3.2 no mail here"})
    names.zone["half.example"] = {"MX": [(10, "broken.example"), (20, "mx1.example")]}
    names.zone["broken.example"] = {"A": "fail"}
    with first, second, Server(config=config(names, port=first.port), ports=("smtp",)) as server:
        assert outcome(server)[0] == 554
        assert outcome(server, recipients=["bob@half.example"])[0] == 451
        first.replies = {"GREETING": "451 4.3.2 busy"}
        got, why = outcome(server)
        assert (got, why) == (451, "451 4.3.2 busy"), (got, why)
    names.stop()


# What is said ----------------------------------------------------------------------------------

def test_what_the_peer_offers_is_used():
    with Host(extensions=ALL) as host:
        assert one_hop(host)[0] == 250
        assert host.mails[0]["data"].endswith(OCTETS), host.mails
        assert any(line.startswith("BDAT ") and line.endswith(" LAST") for line in host.said)
        assert "SIZE=" in host.mails[0]["mail"]
    with Host(extensions=[]) as host:
        assert one_hop(host)[0] == 250
        assert host.mails[0]["data"].endswith(OCTETS)
        assert host.mails[0]["mail"] == "FROM:<>"
    with Host(extensions=ALL) as host:
        assert one_hop(host, more="chunking = no\n")[0] == 250
        assert "DATA" in host.said and host.mails[0]["data"].endswith(OCTETS)


def test_helo_is_said_to_hosts_without_ehlo():
    with Host(replies={"EHLO": "500 5.5.1 what"}) as host:
        assert one_hop(host)[0] == 250
        assert [line.split()[0] for line in host.said][:3] == ["EHLO", "HELO", "MAIL"]


def test_large_messages_arrive_whole():
    line = b"." + b"x" * 70 + b"\r\n"
    octets = b"Subject: large\r\n\r\n" + line * 40000
    for extensions in (ALL[:1], ["PIPELINING", "CHUNKING"], []):
        with Host(extensions=extensions) as host:
            assert one_hop(host, octets=octets)[0] == 250
            assert host.mails[0]["data"].endswith(octets)


# Trouble ---------------------------------------------------------------------------------------

def test_every_answer_has_its_meaning():
    cases = [({"MAIL": "451 4.3.0 later"}, 451, "451 4.3.0"), ({"MAIL": "550 5.7.1 no"}, 554, "550"),
             ({"RCPT": "450 4.2.0 later"}, 451, "450"), ({"RCPT": "550 5.1.1 who"}, 554, "550 5.1.1"),
             ({"DATA": "451 4.3.0 later"}, 451, "451"), ({"DATA": "554 5.3.0 no"}, 554, "554"),
             ({"DATA": "250 2.0.0 odd"}, 451, ""), ({"END": "452 4.3.1 full"}, 451, "452 4.3.1"),
             ({"END": "554 5.7.1 spam \x1b[1m"}, 554, "554 5.7.1 spam ?[1m")]
    for step in ("MAIL", "RCPT", "DATA", "END"):
        cases += [({step: "DROP"}, 451, "451 4.4.2"), ({step: "STALL"}, 451, "451 4.4.2"),
                  ({step: "421 4.3.2 going"}, 451, "421"), ({step: b"garbage\r\n"}, 451, "451 4.5.0")]
    for extensions in (["PIPELINING"], []):
        host = Host(extensions=extensions)
        with host, Server(config=config(None, "idle-time = 0s\nrelay-host = 127.0.0.1:%d\n" % host.port),
                          ports=("smtp",)) as server:
            for replies, code, reason in cases:
                host.replies = replies
                got, why = outcome(server)
                assert (got, why[:len(reason)]) == (code, reason), (extensions, replies, got, why)
                if replies != {"END": "STALL"}:
                    wait_for(lambda host=host: not host.mails, 2, "the mail to be dropped")
                host.mails.clear()


def test_a_flood_is_no_answer():
    for flood in (b"250-" + b"x" * 1000000 + b"\r\n", b"250-x\r\n" * 1000000,
                  b"250 " + b"y" * 1000000):
        with Host(replies={"MAIL": flood}) as host:
            got, why = one_hop(host)
            assert got == 451 and why.startswith("451 4."), (got, why)


def stop_reading(talk, rest):
    talk.send(b"354 go on\r\n")
    return "STALL"


def start_no_tls(talk, rest):
    talk.send(b"220 2.0.0 begin\r\n")
    return "STALL"


def test_trouble_before_the_first_mail_has_its_meaning():
    steps = {"GREETING": "", "EHLO": "", "STARTTLS": " tls=require", "AUTH": ""}
    replies = ["DROP", "STALL", b"garbage\r\n", b"250 " + b"y" * 1000000, b"250-x\r\n" * 300000]
    cases = [({step: reply}, words) for step, words in steps.items() for reply in replies]
    cases += [({"EHLO": "421 4.3.2 busy"}, ""), ({"AUTH": "454 4.7.0 later"}, ""), ({"AUTH": "535 5.7.8 no"}, ""),
              ({"STARTTLS": "454 4.7.0 later"}, " tls=require"), ({"STARTTLS": start_no_tls}, " tls=require"),
              ({"STARTTLS": b"220 2.0.0 begin\r\n250 2.1.0 injected\r\n"}, " tls=require"),
              ({"STARTTLS": b"220 2.0.0 begin\r\n\x16\x03\x01\xff\xff" + b"\xff" * 100}, " tls=require")]
    hosts = [(Host(extensions=["PIPELINING", "STARTTLS", "AUTH PLAIN"], replies=told), words) for told, words in cases]
    rules = ["d%d.example next-hop=127.0.0.1:%d%s" % (at, host.port, words or " tls=none")
             for at, (host, words) in enumerate(hosts)]
    more = "user = me\npassword = secret\ndestinations = %s\n" % ", ".join(rules)
    text = config(None, more).replace("connect-timeout = 2s", "connect-timeout = 500ms")
    with Server(config=text, ports=("smtp",)) as server:
        got = outcomes(server, recipients=["bob@d%d.example" % at for at in range(len(hosts))])
        for (told, words), (code, why) in zip(cases, got):
            assert code == 451 and why.startswith("4") and why[4:6] == "4.", (told, code, why)
    assert not any(line.startswith("MAIL") for host, _ in hosts for line in host.said)
    for host, _ in hosts:
        host.stop()


def test_a_host_that_stops_reading_does_not_hold_the_mail():
    large = b"Subject: large\r\n\r\n" + (b"x" * 70 + b"\r\n") * 90000
    for extensions, replies in ((["PIPELINING"], {"DATA": stop_reading}), (["CHUNKING"], {"MAIL": "STALL"})):
        with Host(extensions=extensions, replies=replies) as host:
            host.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            text = config(None, "relay-host = 127.0.0.1:%d\n" % host.port)
            with Server(config=text.replace("block-timeout = 2s", "block-timeout = 400ms"), ports=("smtp",)) as server:
                got, why = outcome(server, large)
                assert got == 451 and why.startswith("451 4.4.2"), (got, why)


if __name__ == "__main__":
    main(globals())
