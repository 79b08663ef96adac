#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-relay-names.py: what the DNS says of next hops: signed, forged, IPv6, too much, and lies"""
import os
import subprocess
import tempfile

import lib
from lib import Server, Skip, main, wait_for
from names import Names, Signer
from nexthop import Host
from relaying import OCTETS, config, ends, outcome


def certificate(folder, name):
    path = os.path.join(folder, name)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "30", "-subj", "/CN=mx", "-addext", "subjectAltName=DNS:" + name, "-keyout",
                    path + ".key", "-out", path + ".pem"], check=True, stderr=subprocess.DEVNULL)
    return path + ".pem", path + ".key"


def send_over_tls(server, to):
    """A mail that demands TLS on its whole way; the end of its delivery in the log."""
    seen = len(ends(server))
    client = server.smtp()
    client.starttls(context=server.trust())
    client.ehlo("client.example.org")
    client.sendmail("", [to], OCTETS, mail_options=["REQUIRETLS"])
    client.close()
    wait_for(lambda: len(ends(server)) > seen, 10, "the end of the delivery")
    return ends(server)[seen]


def test_signed_names_are_told_from_unsigned_and_forged_ones():
    with tempfile.TemporaryDirectory(prefix="posthorn-signed-") as folder:
        good = certificate(folder, "mx.signed.example")
        signer = Signer("signed.example", folder)
        signer.broken = {"forged.signed.example", "mx2.signed.example"}
        there = {"A": ["127.0.0.1"]}
        names = Names({"signed.example": {"MX": [(10, "mx.signed.example")]}, "mx.signed.example": there,
                       "plain.example": {"MX": [(10, "mx.signed.example")]},
                       "half.signed.example": {"MX": [(10, "mx.plain.example")]}, "mx.plain.example": there,
                       "forged.signed.example": {"MX": [(10, "mx.signed.example")]},
                       "deep.signed.example": {"MX": [(10, "mx2.signed.example")]}, "mx2.signed.example": there,
                       "alone.signed.example": there}, signer)
        with Host(extensions=["PIPELINING", "STARTTLS", "REQUIRETLS"], certificate=good) as host:
            more = "ca-file = %s\ntls-name = mx.signed.example\n" % good[0]
            text = config(names, more, port=host.port) + lib.TLS
            text = text.replace("[resolver]\n", "[resolver]\ntrust-anchor = %s\n" % signer.anchor)
            with Server(config=text, ports=("smtp",)) as server:
                for domain, event, why in (
                        ("signed.example", "delivered", ""), ("plain.example", "failed", "5.7.30"),
                        ("half.signed.example", "failed", "5.7.30"),
                        ("forged.signed.example", "deferred", "451 4.7.0 DNSSEC validation failed"),
                        ("deep.signed.example", "deferred", "451 4.7.0 DNSSEC validation failed"),
                        ("alone.signed.example", "delivered", "")):
                    end = send_over_tls(server, "bob@" + domain)
                    assert end["event"] == event and why in end["error"], (domain, end)
                assert outcome(server, recipients=["bob@plain.example"])[0] == 250
                assert outcome(server, recipients=["bob@forged.signed.example"])[0] == 451
        names.stop()


def test_lies_of_the_dns_lead_nowhere():
    zone = {"mx.example": {"A": ["127.0.0.1"]}, "trap.example": {"A": ["127.0.0.99"]},
            "other.example": {"MX": "other"}, "question.example": {"MX": "question"},
            "hop.example": {"MX": [(10, "lying.example")]}, "lying.example": {"A": "other"},
            "circle.example": {"MX": [(10, "round.example")]}, "round.example": {"CNAME": "round2.example"},
            "round2.example": {"CNAME": "round.example"},
            "long.example": {"MX": [(10, "c0.example")]},
            "crowd.example": {"MX": [(10, "many.example"), (20, "mx.example")]},
            "many.example": {"A": ["127.1.%d.%d" % (at // 250, at % 250 + 1) for at in range(3000)]}}
    zone.update({"c%d.example" % at: {"CNAME": "c%d.example" % (at + 1)} for at in range(7)})
    zone["c7.example"] = {"A": ["127.0.0.1"]}
    names = Names(zone)
    with Host() as host, Host("127.0.0.99", port=host.port) as trap:
        text = config(names, "max-hosts = 5\n", port=host.port, timeout="700ms")
        with Server(config=text, ports=("smtp",)) as server:
            for domain, codes in (("other.example", (451, 554)), ("question.example", (451,)),
                                  ("hop.example", (451, 554)), ("circle.example", (451,)),
                                  ("long.example", (250,)), ("crowd.example", (250, 451))):
                got, why = outcome(server, recipients=["bob@" + domain])
                assert got in codes and (got == 250 or why[:3].isdigit()), (domain, got, why)
        assert trap.connections == 0 and len(host.mails) in (1, 2)
    names.stop()


def test_ipv6_is_used_in_the_order_that_is_wanted():
    try:
        six = Host("::1")
    except OSError:
        raise Skip("there is no ::1 on this machine") from None
    names = Names({"both.example": {"A": ["127.0.0.1"], "AAAA": ["::1"]}, "six.example": {"AAAA": ["::1"]},
                   "dead.example": {"A": ["127.0.0.1"], "AAAA": ["2001:db8::1", "::1"]}})
    with six, Host("127.0.0.1", port=six.port) as four:
        def where(server, domain):
            """By how many of each it was taken."""
            six.mails.clear(), four.mails.clear()
            code, why = outcome(server, recipients=["bob@" + domain])
            return (len(six.mails), len(four.mails)) if code == 250 else why[:9]

        rules = "destinations = rule.example next-hop=[::1]:%d\n" % six.port
        for order, wanted in (("any", [(1, 0), (1, 0), (1, 0), (1, 0)]), ("ipv4-first", [(0, 1), (1, 0), (1, 0), (1, 0)]),
                              ("ipv4", [(0, 1), "550 5.4.4", (1, 0), (1, 0)]),
                              ("ipv6", [(1, 0), (1, 0), (1, 0), (1, 0)])):
            text = config(names, rules + "source-ipv6 = ::1\nidle-time = 0s\n", port=six.port)
            with Server(config=text.replace("ip = ipv4", "ip = " + order), ports=("smtp",)) as server:
                got = [where(server, domain) for domain in
                       ("both.example", "six.example", "[IPv6:::1]", "rule.example")]
                assert got == wanted, (order, got)
        text = config(None, "relay-host = [::1]:%d\n" % six.port)
        with Server(config=text, ports=("smtp",)) as server:
            assert where(server, "any.example") == (1, 0)
        six.replies = {"GREETING": "421 4.3.2 busy"}
        with Server(config=config(names, port=six.port).replace("ip = ipv4", "ip = any"), ports=("smtp",)) as server:
            assert where(server, "both.example") == (0, 1), "the other family was not tried"
    names.stop()


if __name__ == "__main__":
    main(globals())
