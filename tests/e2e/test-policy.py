#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-policy.py: the filters dnsbl, greylist and ratelimit on a real server"""
import smtplib
import socket
import time

from lib import IMAP, PEOPLE, ROUTE, SERVER, SMTP, STORE, Server, main
from names import Names

BEGIN = SERVER + PEOPLE + STORE + ROUTE + IMAP + SMTP
LISTED = {"1.0.0.127.bl.example": {"A": ["127.0.0.2"]}}
USERS = ("anna@example.org", "ben@example.org", "postmaster@example.org")
MESSAGE = "Subject: hello\r\n\r\nbody\r\n"


def server(rows, more=""):
    return Server(BEGIN + "filters = policy\n\n[filter policy]\n" + rows + more, users=USERS,
                  ports=("smtp", "imap"))


def answer(running, to="anna@example.org", sender="carla@example.net", helo="client.example"):
    """Code and text of RCPT, or of the end of the data."""
    client = smtplib.SMTP("127.0.0.1", running.ports["smtp"], timeout=30)
    client.ehlo(helo)
    try:
        client.sendmail(sender, [to], MESSAGE)
        return 250, ""
    except smtplib.SMTPRecipientsRefused as refusal:
        code, text = refusal.recipients[to]
        return code, text.decode()
    except smtplib.SMTPResponseException as refusal:
        return refusal.smtp_code, refusal.smtp_error.decode()
    finally:
        client.close()


def resolver(port):
    return "\n[resolver]\nserver = 127.0.0.1:%d\ntimeout = 1s\n" % port


def first_header(running):
    imap = running.imap()
    imap.select("INBOX")
    header = imap.fetch("1", "(BODY[HEADER])")[1][0][1].decode()
    imap.logout()
    return header


def test_lists_add_up():
    zone = dict(LISTED)
    zone["1.0.0.127.soft.example"] = {"A": ["127.0.0.9"]}
    zone["1.0.0.127.open.example"] = {"A": ["127.255.255.254"]}
    zone["1.0.0.127.sold.example"] = {"A": ["192.0.2.1"]}
    zone["bad.example.dbl.example"] = {"A": ["127.0.1.2"]}
    zone["good.example.white.example"] = {"A": ["127.0.0.2"]}
    names = Names(zone)
    rows = ("plugin = dnsbl\nlist-a = soft.example\nlist-b = open.example weight 100\n"
            "list-c = sold.example weight 100\nlist-d = dbl.example of sender\n"
            "list-e = soft.example for 127.0.0.2-127.0.0.4 weight 100\n"
            "list-f = white.example of helo weight -5\n"
            "reject = 2\nheader = X-Listed\n")
    with server(rows, resolver(names.port)) as running:
        assert answer(running) == (250, "")
        assert "X-Listed: soft.example (1)" in first_header(running)
        code, text = answer(running, sender="x@bad.example")
        assert code == 550 and text.startswith("5.7.1 ") and "dbl.example" in text, text
        assert answer(running, sender="x@bad.example", helo="good.example")[0] == 250
        assert answer(running, to="postmaster@example.org", sender="x@bad.example")[0] == 250
    names.stop()


def test_a_list_is_asked_once_a_session_and_holds_nobody():
    names = Names(LISTED)
    rows = "plugin = dnsbl\nlist-a = bl.example\nreject = 0\ntemporary = 1\n"
    with server(rows, resolver(names.port)) as running:
        client = running.smtp()
        client.mail("carla@example.net")
        for name in ("anna", "ben", "anna"):
            assert client.rcpt(name + "@example.org")[0] == 451
        client.close()
        assert names.asked.count(("1.0.0.127.bl.example", "A")) == 1, names.asked
    names.stop()


def test_both_kinds_of_addresses_are_asked_about():
    nibbles = ".".join(reversed("20010db8000000000000000000000007"))
    names = Names({nibbles + ".bl.example": {"A": ["127.0.0.2"]}, "9.2.0.192.bl.example": {"A": ["127.0.0.2"]}})
    text = BEGIN + "xclient-networks = 127.0.0.1\nfilters = policy\n\n[filter policy]\nplugin = dnsbl\nlist-a = bl.example\n"
    with Server(text + resolver(names.port), users=USERS, ports=("smtp", "imap")) as running:
        for address, code in (("IPV6:2001:db8::7", 550), ("IPV6:2001:db8::8", 250), ("192.0.2.9", 550), ("192.0.2.8", 250)):
            client = running.smtp()
            assert client.docmd("XCLIENT ADDR=" + address)[0] == 220
            client.ehlo("client.example")
            client.mail("carla@example.net")
            assert client.rcpt("anna@example.org")[0] == code, (address, names.asked)
            client.close()
    names.stop()


def test_a_silent_list_says_nothing():
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    with server("plugin = dnsbl\nlist-a = bl.example\n", resolver(silent.getsockname()[1])) as running:
        started = time.monotonic()
        assert answer(running)[0] == 250
        assert time.monotonic() - started < 10
    silent.close()


def test_greylisted_mail_is_taken_the_second_time():
    with server("plugin = greylist\ndelay = 1s\nallow = 2\n") as running:
        code, text = answer(running)
        assert code == 451 and text.startswith("4.7.1 Greylisted"), text
        assert answer(running)[0] == 451
        assert answer(running, to="postmaster@example.org")[0] == 250
        time.sleep(2.1)
        running.stop()
        running.start()
        assert answer(running)[0] == 250
        assert answer(running)[0] == 250
        assert answer(running, to="ben@example.org")[0] == 250, "the client is known by now"


def test_rates_are_kept_and_refused_mail_does_not_count():
    rows = ("plugin = ratelimit\nlimit-1 = 3 messages per 1h of sender\nlimit-2 = 1 messages per 2s of recipient\n"
            "limit-3 = 5K octets per 1h of client\n")
    with server(rows) as running:
        assert answer(running)[0] == 250
        code, text = answer(running)
        assert code == 451 and text.startswith("4.7.1 Too many messages"), text
        assert answer(running, to="ben@example.org")[0] == 250
        assert answer(running, to="ben@example.org", sender="other@example.net")[0] == 451
        assert answer(running)[0] == 451, "the sender has had three"
        running.stop()
        running.start()
        assert answer(running)[0] == 451, "the sender has had three before the restart"
        client = running.smtp()
        assert client.mail("third@example.net")[0] == 250
        assert client.rcpt("postmaster@example.org")[0] == 250
        assert client.data("x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 100)[0] == 250
        assert client.mail("third@example.net")[0] == 250
        time.sleep(2.1)
        assert client.rcpt("postmaster@example.org")[0] == 250
        try:
            code = client.data("again\r\n")[0]
        except smtplib.SMTPDataError as refusal:
            code = refusal.smtp_code
        assert code == 451, "the client has had its octets"


main(globals())
