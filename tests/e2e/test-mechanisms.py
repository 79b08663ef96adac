#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-mechanisms.py: every way to log in, with programs that people use, over SMTP, IMAP and POP3

One server is shared by the tests: failed logins are answered at once (login-delay = 0s).
"""
import atexit
import base64
import hashlib
import hmac
import poplib
import ssl
import subprocess

import lib
from lib import PASSWORD, Server, main, need

ANNA = "anna@example.org"    # has a plain secret
SCRAM = "scram@example.org"  # has stored keys for SCRAM-SHA-256
SHA1 = "sha1@example.org"    # has stored keys for SCRAM-SHA-1
HASHED = "hashed@example.org"
ALL = "scram-sha-256, scram-sha-1, cram-md5, plain, login"
CONFIG = (lib.SERVER + "login-delay = 0s\nlogin-failures = 100\n" + lib.PEOPLE + lib.STORE + lib.ROUTE
          + lib.SMTP + "directory = people\nmechanisms = " + ALL + "\n"
          + lib.IMAP.replace("plain, login", ALL) + lib.POP3.replace("plain", ALL) + lib.TLS)
SHARED = {}


def server():
    """The one server; it is stopped when the program ends."""
    if "server" not in SHARED:
        one = SHARED["server"] = Server(config=CONFIG, users=(ANNA,))
        with open(one.dir + "/users", "a", encoding="utf-8") as stream:
            stream.write("%s:{SCRAM-SHA-256}%s\n" % (SCRAM, scram_form("sha256")))
            stream.write("%s:{SCRAM-SHA-1}%s\n" % (SHA1, scram_form("sha1")))
            stream.write("%s:{SSHA256}%s\n" % (HASHED, salted_form()))
        one.start()
        atexit.register(one.__exit__, None, None, None)
    return SHARED["server"]


def scram_form(digest, salt=b"0123456789abcdef"):
    salted = hashlib.pbkdf2_hmac(digest, PASSWORD.encode(), salt, 4096)
    stored = hashlib.new(digest, hmac.digest(salted, b"Client Key", digest)).digest()
    parts = (salt, stored, hmac.digest(salted, b"Server Key", digest))
    return "4096," + ",".join(base64.b64encode(part).decode() for part in parts)


def salted_form(salt=b"salt"):
    return base64.b64encode(hashlib.sha256(PASSWORD.encode() + salt).digest() + salt).decode()


def gsasl(protocol, mechanism, *words, user=ANNA, password=PASSWORD, tls=False):
    """GNU SASL's client; True when it got in."""
    program = need("gsasl")
    one = server()
    security = ["--starttls", "--x509-ca-file", one.dir + "/cert.pem"] if tls else ["--no-starttls"]
    command = [program, "--" + protocol, "--connect", "localhost:%d" % one.ports[protocol], "-m",
               mechanism, "-a", user, "-p", password, "--hostname", "localhost", "--verbose",
               *security, *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
                          check=False)
    SHARED["told"] = (done.stdout + done.stderr).decode("utf-8", "replace")
    return done.returncode == 0


def gets_in(*words, **more):
    assert gsasl(*words, **more), SHARED["told"]


def stays_out(*words, **more):
    assert not gsasl(*words, **more), SHARED["told"]


def offered(protocol, tls):
    """The names in the greeting of SMTP and IMAP."""
    one = server()
    if protocol == "smtp":
        client = one.smtp()
        if tls:
            client.starttls(context=one.trust())
            client.ehlo()
        names = client.esmtp_features["auth"].split()
    else:
        client = poplib.POP3("localhost", one.ports["pop3"], timeout=30)
        if tls:
            client.stls(one.trust())
        names = client.capa()["SASL"]
    client.close()
    return names


def test_what_is_offered_is_what_is_safe_and_can_be_answered():
    without = ["SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN"]  # loopback: passwords too
    for protocol in ("smtp", "pop3"):
        assert offered(protocol, False) == without, offered(protocol, False)
        names = offered(protocol, True)
        assert names[:4] == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS",
                             "SCRAM-SHA-1"], names


def test_scram_is_not_offered_where_nobody_has_keys():
    config = lib.SERVER + lib.PEOPLE + lib.STORE + lib.POP3.replace("plain", ALL)
    with Server(config=config, ports=("pop3",), users=()) as one:
        users = one.dir + "/users"
        with open(users, "w", encoding="utf-8") as stream:
            stream.write("%s:{SSHA256}%s\n" % (HASHED, salted_form()))
        client = poplib.POP3("127.0.0.1", one.ports["pop3"], timeout=30)
        assert client.capa()["SASL"] == ["PLAIN", "LOGIN"]
        with open(users, "a", encoding="utf-8") as stream:
            stream.write("%s:{SCRAM-SHA-256}%s\n" % (SCRAM, scram_form("sha256")))
        assert client.capa()["SASL"] == ["SCRAM-SHA-256", "PLAIN", "LOGIN"]
        client.close()


def test_gnu_sasl_logs_in_by_scram_over_smtp_and_imap():
    for protocol in ("smtp", "imap"):
        gets_in(protocol, "SCRAM-SHA-256")
        gets_in(protocol, "SCRAM-SHA-256", user=SCRAM)
        gets_in(protocol, "SCRAM-SHA-1")
    gets_in("smtp", "SCRAM-SHA-1", user=SHA1)
    stays_out("smtp", "SCRAM-SHA-256", user=SHA1)
    stays_out("smtp", "SCRAM-SHA-256", password="wrong")
    stays_out("smtp", "SCRAM-SHA-256", user=SCRAM, password="wrong")
    stays_out("smtp", "SCRAM-SHA-256", user=HASHED)
    stays_out("smtp", "SCRAM-SHA-256", user="nobody@example.org")


def test_gnu_sasl_binds_scram_to_tls():
    for protocol in ("smtp", "imap"):
        gets_in(protocol, "SCRAM-SHA-256-PLUS", user=SCRAM, tls=True)
        gets_in(protocol, "SCRAM-SHA-1-PLUS", tls=True)
    stays_out("smtp", "SCRAM-SHA-256-PLUS", password="wrong", tls=True)
    stays_out("smtp", "SCRAM-SHA-256-PLUS")


def test_stored_keys_do_for_plain_too():
    for mechanism in ("PLAIN", "LOGIN"):
        gets_in("imap", mechanism, user=SCRAM)
        gets_in("imap", mechanism, user=HASHED)
    stays_out("imap", "PLAIN", user=SCRAM, password="wrong")


def test_cram_md5_with_gnu_sasl_and_curl():
    gets_in("imap", "CRAM-MD5")
    gets_in("smtp", "CRAM-MD5")
    stays_out("smtp", "CRAM-MD5", password="wrong")
    stays_out("smtp", "CRAM-MD5", user=SCRAM)
    curl = need("curl")
    for url in ("imap://127.0.0.1:%d/" % server().ports["imap"],
                "pop3://127.0.0.1:%d/" % server().ports["pop3"]):
        done = subprocess.run([curl, "-sS", "-u", ANNA + ":" + PASSWORD, "--login-options",
                               "AUTH=CRAM-MD5", url], capture_output=True, timeout=30, check=False)
        assert done.returncode == 0, done


def say(lines, connection, text):
    connection.sendall(text.encode() + b"\r\n")
    return lines.readline().decode().rstrip("\r\n")


def greeted():
    connection, lines = server().raw("smtp")
    lines.readline()
    connection.sendall(b"EHLO client.example.org\r\n")
    while lines.readline()[3:4] == b"-":
        pass
    return connection, lines


def test_a_cram_md5_answer_is_good_for_one_challenge():
    connection, lines = greeted()
    challenge = base64.b64decode(say(lines, connection, "AUTH CRAM-MD5").split()[1])
    digest = hmac.digest(PASSWORD.encode(), challenge, "md5").hex()
    answer = base64.b64encode(("%s %s" % (ANNA, digest)).encode()).decode()
    other, other_lines = greeted()
    assert say(other_lines, other, "AUTH CRAM-MD5").startswith("334 ")
    assert say(other_lines, other, answer).startswith("535 ")
    other.close()
    assert say(lines, connection, answer).startswith("235 ")
    connection.close()


def test_exchanges_that_are_broken_off_malformed_or_endless_end():
    connection, lines = greeted()
    for first, rest, wanted in (
            ("AUTH SCRAM-SHA-256", ["*"], "501"),
            ("AUTH SCRAM-SHA-256", ["!!!"], "501"),
            ("AUTH SCRAM-SHA-256 " + base64.b64encode(b"n,,n=a\0b,r=x").decode(), [], "501"),
            ("AUTH SCRAM-SHA-256 " + base64.b64encode(b"n,,n=a,r=x").decode(), ["Yz1iaXdz"], "501"),
            ("AUTH SCRAM-SHA-256-PLUS", [], "538"),
            ("AUTH CRAM-MD5 YQ==", [], "501"),
            ("AUTH CRAM-MD5", ["YQ=="], "501")):
        answer = say(lines, connection, first)
        for line in rest:
            assert answer.startswith("334 "), (first, answer)
            answer = say(lines, connection, line)
        assert answer.startswith(wanted), (first, answer)
    connection.close()


def test_unknown_users_get_a_salt_that_stays():
    seen = []
    for user in (SCRAM, "nobody@example.org", "nobody@example.org"):
        connection, lines = greeted()
        first = base64.b64encode(("n,,n=%s,r=abcdef" % user).encode()).decode()
        answer = base64.b64decode(say(lines, connection, "AUTH SCRAM-SHA-256 " + first).split()[1])
        seen.append(answer.decode().split(",")[1:])
        connection.close()
    assert seen[1] == seen[2] != seen[0], seen
    assert len(seen[0][0]) == len(seen[1][0]) and seen[0][1] == seen[1][1], seen


main(globals())
