#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-relay-extensions.py: TLS, login, LMTP, and what peers can and cannot do"""
import base64
import email
import hashlib
import hmac
import os
import re
import subprocess
import tempfile
import threading

import lib
from lib import Server, main, wait_for
from nexthop import Host
from relaying import ALL, ENDS, OCTETS, QUEUE, TIMES, config, ends, outcome, outcomes

WITH_TLS = ["PIPELINING", "STARTTLS"]


class Certificates:
    """A certificate for localhost and one for another name."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="posthorn-certs-")
        self.good = self.make("good", "DNS:localhost,DNS:mx.example.net,IP:127.0.0.1")
        self.other = self.make("other", "DNS:other.example")
        return self

    def make(self, name, names):
        path = os.path.join(self.folder.name, name)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "30", "-subj", "/CN=" + name, "-addext", "subjectAltName=" + names,
             "-keyout", path + ".key", "-out", path + ".pem"], check=True,
            stderr=subprocess.DEVNULL)
        return path + ".pem", path + ".key"

    def __exit__(self, *details):
        self.folder.cleanup()


def hop(host, more="", name="127.0.0.1"):
    return config(None, "idle-time = 0s\nrelay-host = %s:%d\n" % (name, host.port) + more)


def one(host, more="", name="127.0.0.1", **options):
    with Server(config=hop(host, more, name), ports=("smtp",)) as server:
        return outcome(server, **options)


# TLS -------------------------------------------------------------------------------------------

def test_tls_is_used_as_the_policy_says():
    with Certificates() as certs:
        trust = "ca-file = %s\n" % certs.good[0]
        for policy, certificate, extensions, code, by_tls in (
                ("may", certs.good, WITH_TLS, 250, True),
                ("may", certs.other, WITH_TLS, 250, True),
                ("may", None, WITH_TLS, 250, False),      # breaks the handshake
                ("may", certs.good, ["PIPELINING"], 250, False),
                ("none", certs.good, WITH_TLS, 250, False),
                ("require", certs.other, WITH_TLS, 250, True),
                ("require", None, WITH_TLS, 451, None),
                ("require", certs.good, ["PIPELINING"], 451, None),
                ("verify", certs.good, WITH_TLS, 250, True),
                ("verify", certs.other, WITH_TLS, 451, None)):
            with Host(extensions=extensions, certificate=certificate) as host:
                got, why = one(host, "tls = %s\n" % policy + trust, name="localhost")
                assert got == code, (policy, certificate, extensions, got, why)
                assert [mail["tls"] for mail in host.mails] == ([] if by_tls is None else [by_tls])
                if code != 250:
                    assert "4.7.5" in why, why
                elif by_tls:
                    assert host.sni == ["localhost"], host.sni


def test_a_password_goes_only_where_it_may():
    def auth(replies, extensions, more="", **options):
        with Host(extensions=extensions, replies=replies, **options) as host:
            got, why = one(host, "user = me\npassword = pass word\n" + more)
            return got, why, [line for line in host.said if line.startswith("AUTH")], host

    plain = "AUTH PLAIN " + base64.b64encode(b"\0me\0pass word").decode()
    assert auth({}, ["AUTH PLAIN LOGIN"])[::2] == (250, [plain])
    answers = {"AUTH": "334 VXNlcm5hbWU6", base64.b64encode(b"me").decode().upper(): "334 UGFzc3dvcmQ6",
               base64.b64encode(b"pass word").decode().upper(): "235 2.7.0 welcome"}
    assert auth(answers, ["AUTH LOGIN"])[::2] == (250, ["AUTH LOGIN"])
    got, why, _, _ = auth({"AUTH": "535 5.7.8 no"}, ["AUTH PLAIN"])
    assert got == 451 and "4.7.0" in why
    got, why, _, _ = auth({}, ["AUTH CRAM-MD5"])
    assert got == 451 and "does not show" in why, why
    assert auth({}, [])[0] == 451


SALT = b"0123456789abcdef"


def base(octets):
    return base64.b64encode(octets)


def scram(digest, iterations=4096, lies=False, hurries=False):
    """The server's side of SCRAM (RFC 5802), for the password of these tests."""
    def answer(talk, rest):
        bare = base64.b64decode(rest.partition(" ")[2]).decode().split(",", 2)[2]
        first = "%s-more,s=%s,i=%d" % (bare[bare.index("r="):], base(SALT).decode(), iterations)
        talk.send(b"334 " + base(first.encode()) + b"\r\n")
        final = base64.b64decode(talk.read_line()).decode()
        without, _, proof = final.rpartition(",p=")
        told = ",".join((bare, first, without)).encode()
        salted = hashlib.pbkdf2_hmac(digest, b"pass word", SALT, iterations)
        key = hmac.digest(salted, b"Client Key", digest)
        signature = hmac.digest(hashlib.new(digest, key).digest(), told, digest)
        if bytes(a ^ b for a, b in zip(key, signature)) != base64.b64decode(proof):
            return "535 5.7.8 that is not the password"
        if hurries:
            return "235 2.7.0 welcome"
        mine = hmac.digest(hmac.digest(salted, b"Server Key", digest), told, digest)
        talk.send(b"334 " + base(b"v=" + base(b"x" * len(mine) if lies else mine)) + b"\r\n")
        return "235 2.7.0 welcome" if talk.read_line() == "" else "501 5.5.2 what is this"
    return answer


def cram_md5(talk, rest):
    talk.send(b"334 " + base(b"<1@sink.example>") + b"\r\n")
    good = "me " + hmac.new(b"pass word", b"<1@sink.example>", "md5").hexdigest()
    return "235 2.7.0 welcome" if base64.b64decode(talk.read_line()).decode() == good else "535 5.7.8 no"


def test_the_strongest_login_is_used_and_the_host_must_prove_itself():
    every = "AUTH LOGIN PLAIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256"
    hosts = [(every, scram("sha256"), "SCRAM-SHA-256", 250),
             (every.replace("SCRAM-SHA-256", ""), scram("sha1"), "SCRAM-SHA-1", 250),
             ("AUTH PLAIN CRAM-MD5", cram_md5, "CRAM-MD5", 250),
             (every, scram("sha256", iterations=100000), "SCRAM-SHA-256", 250),
             (every, scram("sha256", iterations=2000000000), "SCRAM-SHA-256", 451),
             (every, scram("sha256", lies=True), "SCRAM-SHA-256", 451),
             (every, scram("sha256", hurries=True), "SCRAM-SHA-256", 451),
             (every, "334 !!!", "SCRAM-SHA-256", 451), (every, "334 " + "QUJD" * 100, "SCRAM-SHA-256", 451)]
    hosts = [(Host(extensions=[offer], replies={"AUTH": answer}), name, code)
             for offer, answer, name, code in hosts]
    rules = ", ".join("d%d.example next-hop=127.0.0.1:%d" % (at, row[0].port) for at, row in enumerate(hosts))
    more = "user = me\npassword = pass word\ndestinations = %s\n" % rules
    text = config(None, more).replace("helo-timeout = 300ms", "helo-timeout = 10s")
    with Server(config=text, ports=("smtp",)) as server:
        for at, (host, name, code) in enumerate(hosts):
            got, why = outcome(server, recipients=["bob@d%d.example" % at])
            said = [line.split()[1] for line in host.said if line.startswith("AUTH")]
            assert (got, said) == (code, [name]), (at, got, why, said)
            assert code == 250 or "does not show that it knows the password" in why, why
    with Host(extensions=[every]) as host:
        assert one(host, "user = me\npassword = pass word\nmechanisms = login, plain\n")[0] == 250
        assert [line for line in host.said if line.startswith("AUTH")] == ["AUTH LOGIN"]
    for host, _, _ in hosts:
        host.stop()


# LMTP ------------------------------------------------------------------------------------------

def test_lmtp_answers_for_each_recipient():
    with tempfile.TemporaryDirectory(prefix="posthorn-lmtp-") as folder:
        path = os.path.join(folder, "lmtp")
        answers = {"END": lambda talk, rcpt: "550 5.1.1 gone" if "gone" in rcpt else
                          "452 4.2.2 full" if "full" in rcpt else "250 2.0.0 taken",
                   "RCPT": lambda talk, rcpt: "550 5.1.1 who" if "who" in rcpt else "250 ok"}
        for extensions in (["PIPELINING"], ["PIPELINING", "CHUNKING"], []):
            host = Host(path=path, lmtp=True, replies=answers, extensions=extensions)
            text = (lib.SERVER + lib.SMTP + QUEUE + "\n[route agent]\ndomains = *\ntransport = lmtp\n"
                    "address = unix:%s\n" % path + TIMES)
            with host, Server(config=text, ports=("smtp",)) as server:
                got = outcomes(server, recipients=["%s@example.net" % name for name in
                                                   ("who", "bob", "gone", "full", "carl")])
                assert [code for code, _ in got] == [554, 250, 554, 451, 250], got
                assert got[2][1].startswith("550 5.1.1 gone"), got
                assert host.said[0] == "LHLO mail.example.org"
                assert outcomes(server, recipients=["who@example.net", "who2@example.net"])[1][0] == 554
                assert outcome(server)[0] == 250
            os.unlink(path)


# What a peer can do ----------------------------------------------------------------------------

def test_a_message_is_made_fit_for_the_peer():
    octets = ("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
              "Content-Transfer-Encoding: 8bit\r\n\r\ncaf\u00e9 %s\r\n" % ("x" * 90)).encode()
    with Host(extensions=["8BITMIME"]) as host:
        assert one(host, octets=octets, options=["BODY=8BITMIME"])[0] == 250
        assert "BODY=8BITMIME" in host.mails[0]["mail"] and host.mails[0]["data"].endswith(octets)
    with Host(extensions=[]) as host:
        assert one(host, octets=octets, options=["BODY=8BITMIME"])[0] == 250
        data = host.mails[0]["data"]
        assert "BODY" not in host.mails[0]["mail"] and max(data) < 128
        assert max(map(len, data.split(b"\r\n"))) <= 78
        assert email.message_from_bytes(data).get_payload(decode=True).decode().startswith("caf\u00e9 x")
    signed = (b"MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xff"
              b"\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n")
    with Host(extensions=[]) as host:
        got, why = one(host, octets=signed, options=["BODY=8BITMIME"])
        assert got == 554 and "5.6.3" in why and not host.mails


def test_long_lines_are_sent_as_the_option_says():
    line = b"word " * 400 + b"\r\n"
    references = b"References: " + b" ".join(b"<%d@example.org>" % at for at in range(200)) + b"\r\n"
    plain = references + b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n" + line
    signed = (b"MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n" + line
              + b"--b\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n")
    dkim = b"DKIM-Signature: v=1; d=example.org\r\n" + plain
    for mode, extensions in (("encode", []), ("encode", ["CHUNKING"]), ("keep", []), ("refuse", [])):
        with Host(extensions=extensions) as host:
            with Server(config=hop(host, "long-lines = %s\n" % mode), ports=("smtp",)) as server:
                for octets in (plain, signed, dkim):
                    got, why = outcome(server, octets)
                    assert got == (554 if mode == "refuse" else 250), (mode, got, why)
                    assert got == 250 or "5.6.3 the message has lines of more than 998" in why, why
                    data = host.mails.pop()["data"] if got == 250 else b""
                    if mode == "encode" and octets == plain:
                        assert max(map(len, data.split(b"\r\n"))) <= 998
                        made = email.message_from_bytes(data)
                        assert made.get_payload(decode=True) == line
                        assert len(made["References"].split()) == 200
                    elif got == 250:
                        assert data.endswith(octets), (mode, octets)


def test_raw_8_bit_fields_go_as_they_came():
    octets = "Subject: caf\u00e9\r\nMIME-Version: 1.0\r\n\r\ncaf\u00e9\r\n".encode()
    with Host(extensions=["8BITMIME"]) as host:
        assert one(host, octets=octets)[0] == 250
        assert host.mails[0]["data"].endswith(octets) and "BODY=8BITMIME" in host.mails[0]["mail"]
    with Host(extensions=[]) as host:
        assert one(host, octets=octets)[0] == 250
        head, _, body = host.mails[0]["data"].partition(b"\r\n\r\n")
        assert "Subject: caf\u00e9".encode() in head and max(body) < 128


def test_what_a_peer_cannot_take_is_not_sent():
    with Host(extensions=["SIZE 1000"]) as host:
        got, why = one(host, octets=OCTETS + b"x" * 1000 + b"\r\n")
        assert got == 554 and "5.3.4" in why and not any("MAIL" in line for line in host.said)
    for extensions, code in ((ALL, 250), (["8BITMIME"], 554)):
        with Host(extensions=extensions) as host, Server(config=hop(host), ports=("smtp",)) as server:
            got = outcomes(server, recipients=["caf\u00e9@example.net", "bob@example.net"],
                           options=["SMTPUTF8"])
            assert [one[0] for one in got] == [code, 250], got
            assert code == 250 or "5.6.7" in got[0][1], got
            assert all(("SMTPUTF8" in mail["mail"]) == (code == 250) for mail in host.mails)


def test_requiretls_goes_only_where_it_is_kept():
    with Certificates() as certs:
        for extensions, certificate, code, status in (
                (WITH_TLS + ["REQUIRETLS"], certs.good, 250, ""),
                (WITH_TLS, certs.good, 554, "5.7.30"),
                (WITH_TLS + ["REQUIRETLS"], certs.other, 451, "4.7.5"),
                (["REQUIRETLS"], None, 451, "4.7.5")):
            with Host(extensions=extensions, certificate=certificate) as host:
                more = "ca-file = %s\n" % certs.good[0]
                with Server(config=hop(host, more, "localhost") + lib.TLS, ports=("smtp",)) as server:
                    client = server.smtp()
                    client.starttls(context=server.trust())
                    client.ehlo("client.example.org")
                    client.sendmail("", ["bob@example.net"], OCTETS, mail_options=["REQUIRETLS"])
                    client.close()
                    wait_for(lambda: ends(server), 10, "the end of the delivery")
                    end = ends(server)[0]
                    assert ENDS[end["event"]] == code and status in end["error"], end
                    assert all("REQUIRETLS" in mail["mail"] for mail in host.mails)


def test_requests_of_the_sender_are_handed_over():
    dsn = ["RET=HDRS", "ENVID=QQ314159", "BY=1000;R"]
    for extensions, there in ((ALL, True), (["PIPELINING"], False)):
        with Host(extensions=extensions) as host, Server(config=hop(host), ports=("smtp",)) as server:
            client = server.smtp()
            got = client.mail("", dsn)
            assert got[0] == 250, got
            assert client.rcpt("bob@example.net", ["NOTIFY=NEVER", "ORCPT=rfc822;Bob@example.net"])[0] == 250
            assert client.data(OCTETS)[0] == 250
            client.close()
            wait_for(lambda: host.mails, 5, "the mail")
            assert ("RET=HDRS ENVID=QQ314159" in host.mails[0]["mail"]) == there
            assert bool(re.search(r" BY=(1000|99\d);R", host.mails[0]["mail"])) == there
            assert ("NOTIFY=NEVER ORCPT=rfc822;Bob@example.net" in host.mails[0]["rcpt"][0]) == there


# Connections -----------------------------------------------------------------------------------

def test_a_connection_is_used_again_and_closed_in_time():
    with Host() as host:
        text = config(None, "idle-time = 500ms\nmax-messages = 4\nrelay-host = 127.0.0.1:%d\n" % host.port)
        with Server(config=text, ports=("smtp",)) as server:
            for _ in range(6):
                assert outcome(server)[0] == 250
            assert host.connections == 2, host.connections
            host.replies["MAIL"] = ["DROP", "250 2.1.0 ok"]
            assert outcome(server)[0] == 250  # on another connection, at once
            wait_for(lambda: host.said[-1] == "QUIT", 5, "the end of the idle connection")


def test_no_message_is_forgotten_between_connections():
    def many(server, number):
        client = server.smtp()
        for at in range(40):
            client.sendmail("", ["b%d-%d@example.net" % (number, at)], OCTETS)
        client.quit()

    with Host() as host:
        text = config(None, "idle-time = 2ms\nmax-messages = 7\nrelay-host = 127.0.0.1:%d\n" % host.port)
        with Server(config=text, ports=("smtp",)) as server:
            threads = [threading.Thread(target=many, args=(server, at)) for at in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            wait_for(lambda: len(host.mails) >= 240, 10, "all messages")


def test_several_recipients_share_a_transaction():
    with Host() as host, Server(config=hop(host, "max-recipients = 3\n"), ports=("smtp",)) as server:
        got = outcomes(server, recipients=["r%d@example.net" % at for at in range(7)])
        assert all(code == 250 for code, _ in got)
        assert sorted(len(mail["rcpt"]) for mail in host.mails) == [1, 3, 3]
    with Host(extensions=["LIMITS RCPTMAX=2 MAILMAX=2"]) as host:
        with Server(config=hop(host), ports=("smtp",)) as server:
            got = outcomes(server, recipients=["r%d@example.net" % at for at in range(5)])
            assert all(code == 250 for code, _ in got)
            assert sorted(len(mail["rcpt"]) for mail in host.mails) == [1, 2, 2]


def test_rules_hold_for_their_domains():
    with Host() as usual, Host() as special:
        more = ("relay-host = 127.0.0.1:%d\ndestinations = vip.example next-hop=127.0.0.1:%d tls=none,"
                " *.closed.example tls=require\n" % (usual.port, special.port))
        with Server(config=config(None, more), ports=("smtp",)) as server:
            assert outcome(server)[0] == 250 and len(usual.mails) == 1
            assert outcome(server, recipients=["bob@vip.example"])[0] == 250
            assert len(special.mails) == 1
            assert outcome(server, recipients=["bob@a.closed.example"])[0] == 451


if __name__ == "__main__":
    main(globals())
