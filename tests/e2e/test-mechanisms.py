#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-mechanisms.py: every way to log in, with programs that people use, over SMTP, IMAP and POP3

One server is shared by the tests: failed logins are answered at once (login-delay = 0s).
"""
import atexit
import base64
import hashlib
import hmac
import os
import poplib
import socket
import ssl
import subprocess

import lib
from lib import PASSWORD, Server, main, need

ANNA = "anna@example.org"    # has a plain secret
SCRAM = "scram@example.org"  # has stored keys for SCRAM-SHA-256
SHA1 = "sha1@example.org"    # has stored keys for SCRAM-SHA-1
HASHED = "hashed@example.org"
ARCHIVE = "archive@example.org"  # who anonymous clients are
ALL = "scram-sha-256, scram-sha-1, cram-md5, plain, login"
CERTIFICATES = "client-certificates = request\nclient-ca = {dir}/ca.pem\n"
MECHANISMS = """
[mechanism guest]
plugin = anonymous
user = %s
[mechanism by-name]
plugin = external
user-from = common-name
[mechanism by-fingerprint]
plugin = external
user-from = fingerprint
fingerprints = {dir}/fingerprints
""" % ARCHIVE
CONFIG = (lib.SERVER + "login-delay = 0s\nlogin-failures = 100\n" + lib.PEOPLE + lib.STORE + lib.ROUTE
          + lib.SMTP + "directory = people\nmechanisms = external, " + ALL + "\n" + CERTIFICATES
          + lib.IMAP.replace("plain, login", "by-name, guest, " + ALL) + CERTIFICATES
          + lib.POP3.replace("plain", "by-fingerprint, apop, " + ALL) + CERTIFICATES
          + lib.TLS + MECHANISMS)
SHARED = {}


def server():
    """The one server; it is stopped when the program ends."""
    if "server" not in SHARED:
        one = SHARED["server"] = Server(config=CONFIG, users=(ANNA,))
        with open(one.dir + "/users", "a", encoding="utf-8") as stream:
            stream.write("%s:{SCRAM-SHA-256}%s\n" % (SCRAM, scram_form("sha256")))
            stream.write("%s:{SCRAM-SHA-1}%s\n" % (SHA1, scram_form("sha1")))
            stream.write("%s:{SSHA256}%s\n" % (HASHED, salted_form()))
            stream.write("%s:!\n" % ARCHIVE)
        make_certificates(one.dir)
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


def openssl(*words):
    return subprocess.run(["openssl", *words], check=True, capture_output=True, text=True).stdout


def make_certificates(folder):
    """A CA, a certificate of Anna that it signed, and one that a stranger signed."""
    for name in ("ca", "stranger"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "30", "-subj", "/CN=" + name, "-keyout", "%s/%s.key" % (folder, name),
                "-out", "%s/%s.pem" % (folder, name))
    for name, signer in (("anna", "ca"), ("mallory", "stranger")):
        base = "%s/%s" % (folder, name)
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", "/CN=" + ANNA, "-addext", "subjectAltName=email:" + ANNA,
                "-keyout", base + ".key", "-out", base + ".csr")
        openssl("x509", "-req", "-in", base + ".csr", "-CA", "%s/%s.pem" % (folder, signer),
                "-CAkey", "%s/%s.key" % (folder, signer), "-days", "30", "-copy_extensions", "copy",
                "-out", base + ".pem")
    print_of = openssl("x509", "-in", folder + "/anna.pem", "-noout", "-fingerprint", "-sha256")
    with open(folder + "/fingerprints", "w", encoding="ascii") as stream:
        stream.write("%s %s\n" % (print_of.strip().split("=")[1], SCRAM))


def shows(name):
    """gsasl's words to show a certificate."""
    base = "%s/%s" % (server().dir, name)
    return ["--x509-cert-file", base + ".pem", "--x509-key-file", base + ".key"]


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


def logged_in(key, value):
    """The last login in the log, which is read by another thread."""
    lib.wait_for(lambda: server().events("login")[-1][key] == value, 5, "%s %s" % (key, value))


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


def trust_with(name):
    context = server().trust()
    base = "%s/%s" % (server().dir, name)
    context.load_cert_chain(base + ".pem", base + ".key")
    return context


def pop3_in_tls(context):
    client = poplib.POP3("localhost", server().ports["pop3"], timeout=30)
    client.stls(context)
    return client


def test_a_certificate_logs_in_by_external():
    gets_in("smtp", "EXTERNAL", *shows("anna"), tls=True)
    gets_in("smtp", "EXTERNAL", "-z", ANNA, *shows("anna"), tls=True)
    gets_in("imap", "EXTERNAL", *shows("anna"), tls=True)
    stays_out("smtp", "EXTERNAL", "-z", SCRAM, *shows("anna"), tls=True)
    client = pop3_in_tls(trust_with("anna"))
    assert client.capa()["SASL"][0] == "EXTERNAL"
    client._shortcmd("AUTH EXTERNAL =")
    client.quit()
    logged_in("user", SCRAM)  # by its fingerprint


def test_without_a_good_certificate_there_is_no_external():
    assert "EXTERNAL" not in offered("smtp", True)
    for tls, words in ((False, []), (True, []), (True, shows("mallory"))):
        stays_out("smtp", "EXTERNAL", *words, tls=tls)
    for context in (server().trust(), trust_with("mallory")):
        client = pop3_in_tls(context)
        assert "EXTERNAL" not in client.capa()["SASL"]
        try:
            client._shortcmd("AUTH EXTERNAL =")
            raise AssertionError("got in")
        except poplib.error_proto:
            pass
        client.user(ANNA)
        client.pass_(PASSWORD)
        client.quit()


def test_a_listener_that_requires_certificates_and_one_that_only_asks():
    config = (lib.SERVER + lib.PEOPLE + lib.STORE + lib.POP3.replace("pop3]", "strict]").replace(
        "{pop3}", "{strict}\ntls = implicit").replace("plain", "external, plain")
              + CERTIFICATES.replace("request", "require") + lib.POP3 + lib.TLS)
    one = Server(config=config, ports=("strict", "pop3"))
    make_certificates(one.dir)
    with one:
        trust = one.trust()
        trust.load_cert_chain(one.dir + "/anna.pem", one.dir + "/anna.key")
        client = poplib.POP3_SSL("localhost", one.ports["strict"], context=trust, timeout=30)
        client._shortcmd("AUTH EXTERNAL =")
        client.quit()
        bad = one.trust()
        bad.load_cert_chain(one.dir + "/mallory.pem", one.dir + "/mallory.key")
        # A session that began where nobody asks does not open the other listener.
        lax = poplib.POP3("localhost", one.ports["pop3"], timeout=30)
        context = one.trust()
        lax.stls(context)
        lax.capa()  # the session's ticket comes with the first answer
        for trusted in (one.trust(), bad):
            try:
                poplib.POP3_SSL("localhost", one.ports["strict"], context=trusted, timeout=30)
                raise AssertionError("the handshake went through")
            except (ssl.SSLError, OSError, EOFError, poplib.error_proto):
                pass
        with ssl_socket(one, "strict", context, lax.sock.session) as refused:
            assert refused.read_error()
        lax.quit()


class ssl_socket:
    """A TLS connection that takes up a session; read_error(): did the server end it?"""

    def __init__(self, one, name, context, session):
        self.plain = socket.create_connection(("localhost", one.ports[name]), timeout=30)
        self.arguments = (context, session)

    def __enter__(self):
        return self

    def read_error(self):
        context, session = self.arguments
        try:
            with context.wrap_socket(self.plain, server_hostname="localhost", session=session) as tls:
                return not tls.recv(10)
        except (ssl.SSLError, OSError):
            return True

    def __exit__(self, *ignored):
        self.plain.close()


def test_anonymous_is_one_configured_user():
    gets_in("imap", "ANONYMOUS", "-n", "somebody@example.net")
    assert "ANONYMOUS" not in offered("smtp", True)
    connection, lines = greeted()
    assert say(lines, connection, "AUTH ANONYMOUS").startswith("504 ")
    connection.close()
    logged_in("user", ARCHIVE)
    assert server().events("anonymous")[-1]["token"] == "somebody@example.net"
    stays_out("smtp", "ANONYMOUS", "-n", "somebody@example.net")


def test_apop_with_python_mpop_fetchmail_and_curl():
    one = server()
    client = poplib.POP3("127.0.0.1", one.ports["pop3"], timeout=30)
    greeting = client.getwelcome()
    client.apop(ANNA, PASSWORD)
    client.quit()
    again = poplib.POP3("127.0.0.1", one.ports["pop3"], timeout=30)
    assert again.getwelcome() != greeting
    assert again.getwelcome().isascii()
    for user, password in ((ANNA, "wrong"), (SCRAM, PASSWORD), ("nobody@example.org", PASSWORD)):
        client = poplib.POP3("127.0.0.1", one.ports["pop3"], timeout=30)
        try:
            client.apop(user, password)
            raise AssertionError("got in as " + user)
        except poplib.error_proto as error:
            assert error.args[0] == b"-ERR [AUTH] authentication failed", error
        client.close()
    old = hashlib.md5(greeting[greeting.index(b"<"):] + PASSWORD.encode()).hexdigest()
    try:
        again._shortcmd("APOP %s %s" % (ANNA, old))
        raise AssertionError("an answer to another greeting was taken")
    except poplib.error_proto:
        pass
    again.close()
    reaches_pop3("mpop", "apop")
    reaches_pop3("mpop", "cram-md5")
    reaches_pop3("mpop", "scram-sha-256")
    curl = need("curl")
    done = subprocess.run([curl, "-sS", "-u", ANNA + ":" + PASSWORD, "--login-options", "AUTH=+APOP",
                           "pop3://127.0.0.1:%d/" % one.ports["pop3"]], capture_output=True,
                          timeout=30, check=False)
    assert done.returncode == 0, done


def reaches_pop3(program, auth):
    path = need(program)
    done = subprocess.run(
        [path, "--host=127.0.0.1", "--port=%d" % server().ports["pop3"], "--tls=off", "--auth=" + auth,
         "--user=" + ANNA, "--passwordeval=echo " + PASSWORD, "--delivery=mda,cat",
         "--uidls-file=%s/uidls" % server().dir], capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done


def test_fetchmail_logs_in_by_apop_and_cram_md5():
    fetchmail = need("fetchmail")
    for protocol, port in (("APOP", "pop3"), ("POP3", "pop3"), ("IMAP", "imap")):
        options = server().dir + "/fetchmailrc"
        with open(options, "w", encoding="utf-8") as stream:
            stream.write("poll 127.0.0.1 protocol %s port %d auth %s user %s password \"%s\" "
                         "mda /bin/cat sslproto ''\n" % (
                             protocol, server().ports[port],
                             "password" if protocol == "APOP" else "cram-md5", ANNA, PASSWORD))
        os.chmod(options, 0o600)
        done = subprocess.run([fetchmail, "-f", options, "--nosyslog", "-v", "-k", "--pidfile",
                               server().dir + "/fetchmail.pid"], capture_output=True, timeout=30,
                              check=False, env=dict(os.environ, HOME=server().dir))
        assert done.returncode in (0, 1), done  # 1: no mail
        logged_in("mechanism", "APOP" if protocol == "APOP" else "CRAM-MD5")



def test_msmtp_and_swaks_log_in():
    one = server()
    port = str(one.ports["smtp"])
    message = b"Subject: Hello\r\n\r\nHello.\r\n"
    for auth in ("scram-sha-256", "scram-sha-1", "cram-md5", "plain", "login"):
        done = subprocess.run(
            [need("msmtp"), "--host=127.0.0.1", "--port=" + port, "--tls=off", "--auth=" + auth,
             "--user=" + ANNA, "--passwordeval=echo " + PASSWORD, "--from=" + ANNA, ANNA],
            input=message, capture_output=True, timeout=30, check=False)
        assert done.returncode == 0, done
        logged_in("mechanism", auth.upper())
    for auth in ("CRAM-MD5", "PLAIN", "LOGIN"):
        done = subprocess.run(
            [need("swaks"), "--server", "127.0.0.1", "--port", port, "--auth", auth, "--auth-user",
             ANNA, "--auth-password", PASSWORD, "--quit-after", "AUTH"], capture_output=True,
            timeout=30, check=False)
        assert done.returncode == 0, done


main(globals())
