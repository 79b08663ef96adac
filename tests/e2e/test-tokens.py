#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-tokens.py: OAUTHBEARER and XOAUTH2 with real clients, keys from a file and an address, introspection

The issuer is a thread here: it serves its keys at /keys and answers questions at /introspect.
"""
import atexit
import base64
import http.server
import json
import os
import re
import smtplib
import subprocess
import threading
import time
import urllib.parse

import lib
from lib import PASSWORD, Server, main, need

ANNA = "anna@example.org"
SHARED = {}
RULES = "issuer = https://issuer.example.org\naudience = mail, other\n"
MECHANISMS = """
[mechanism bearer]
plugin = oauthbearer
keys-url = http://127.0.0.1:{issuer}/keys
%s
[mechanism google]
plugin = xoauth2
keys = {dir}/keys.json
%s
[mechanism asked]
plugin = xoauth2
introspection-url = http://127.0.0.1:{issuer}/introspect
client-id = posthorn
client-secret = between us
user-claim = username
request-timeout = 1s
scope = imap
""" % (RULES, RULES)
CONFIG = (lib.SERVER + "login-delay = 0s\nlogin-failures = 100\n" + lib.PEOPLE + lib.STORE + lib.ROUTE
          + lib.SMTP + "directory = people\nmechanisms = bearer, google\n"
          + lib.IMAP.replace("plain, login", "bearer, google")
          + lib.POP3.replace("mechanisms = plain", "mechanisms = asked, bearer") + MECHANISMS)


def encode(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


class Issuer(http.server.BaseHTTPRequestHandler):
    """What it says stands in the attributes of the class."""
    tokens = {}
    slow = threading.Event()
    asked = []

    def do_GET(self):
        Issuer.asked.append(self.path)
        self.answer(json.dumps({"keys": [SHARED["key"]]}))

    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        Issuer.asked.append(self.headers["Authorization"])
        if Issuer.slow.is_set():
            time.sleep(3)
        self.answer(json.dumps(Issuer.tokens.get(form["token"][0], {"active": False})))

    def answer(self, text):
        try:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())
        except OSError:
            pass  # whoever asked has given up

    def log_message(self, *words):
        pass


def server():
    """The one server and the issuer; both end with the program."""
    if "server" in SHARED:
        return SHARED["server"]
    issuer = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    threading.Thread(target=issuer.serve_forever, daemon=True).start()
    one = Server(config=CONFIG.replace("{issuer}", str(issuer.server_port)), users=(ANNA,))
    subprocess.run(["openssl", "genrsa", "-out", one.dir + "/token.key", "2048"], check=True,
                   capture_output=True)
    modulus = subprocess.run(["openssl", "rsa", "-in", one.dir + "/token.key", "-noout", "-modulus"],
                             check=True, capture_output=True, text=True).stdout
    number = bytes.fromhex(re.search("Modulus=([0-9A-F]+)", modulus).group(1))
    SHARED["key"] = {"kty": "RSA", "kid": "one", "use": "sig", "n": encode(number), "e": "AQAB"}
    with open(one.dir + "/keys.json", "w", encoding="ascii") as stream:
        json.dump({"keys": [SHARED["key"]]}, stream)
    SHARED["server"] = one.start()
    atexit.register(one.__exit__, None, None, None)
    return one


def token(algorithm="RS256", kid="one", **claims):
    now = int(time.time())
    body = {"iss": "https://issuer.example.org", "aud": "mail", "exp": now + 300, "iat": now,
            "email": ANNA, **claims}
    body = {name: value for name, value in body.items() if value is not None}
    text = ".".join(encode(json.dumps(part).encode())
                    for part in ({"alg": algorithm, "kid": kid}, body))
    if algorithm == "none":
        return text + "."
    done = subprocess.run(["openssl", "dgst", "-sha256", "-sign", server().dir + "/token.key"],
                          input=text.encode(), check=True, capture_output=True)
    return text + "." + encode(done.stdout)


def attempt(mechanism, text, user=ANNA):
    """The last answer of SMTP."""
    connection, lines = server().raw("smtp")
    lines.readline()
    connection.sendall(b"EHLO client.example.org\r\n")
    while lines.readline()[3:4] == b"-":
        pass
    if mechanism == "XOAUTH2":
        message = "user=%s\1auth=Bearer %s\1\1" % (user, text)
    else:
        name = "a=" + user if user else ""
        message = "n,%s,\1host=mail.example.org\1auth=Bearer %s\1\1" % (name, text)
    connection.sendall(("AUTH %s %s\r\n" % (
        mechanism, base64.b64encode(message.encode()).decode())).encode())
    answer = lines.readline().decode().strip()
    SHARED["error"] = None
    if answer.startswith("334 "):
        SHARED["error"] = json.loads(base64.b64decode(answer[4:]))
        connection.sendall(b"AQ==\r\n" if mechanism == "OAUTHBEARER" else b"\r\n")
        answer = lines.readline().decode().strip()
    connection.close()
    return answer


def logged_in(key, value):
    """The last login in the log, which is read by another thread."""
    lib.wait_for(lambda: server().events("login")[-1][key] == value, 5, "%s %s" % (key, value))


def refused(mechanism, text, why, **more):
    answer = attempt(mechanism, text, **more)
    assert answer.startswith("535 "), (why, answer)
    lib.wait_for(lambda: server().events("token-refused")[-1]["why"] == why, 5, why)


def test_good_tokens_log_in():
    for mechanism in ("OAUTHBEARER", "XOAUTH2"):
        assert attempt(mechanism, token()).startswith("235 "), mechanism
        assert attempt(mechanism, token(), user="").startswith("235 "), mechanism
    assert attempt("OAUTHBEARER", token(aud=["x", "other"])).startswith("235 ")
    assert Issuer.asked == ["/keys"]


def test_bad_tokens_are_refused_and_the_client_is_told():
    for mechanism in ("OAUTHBEARER", "XOAUTH2"):
        now = int(time.time())
        refused(mechanism, token(exp=now - 300), "it has expired")
        assert SHARED["error"]["status"] == ("401" if mechanism == "XOAUTH2" else "invalid_token")
        refused(mechanism, token(exp=None), "it does not expire")
        refused(mechanism, token(nbf=now + 300), "it is not valid yet")
        refused(mechanism, token(aud="web"), "it is for another audience")
        refused(mechanism, token(iss="https://other.example.org"), "it is of another issuer")
        refused(mechanism, token(email=None), "it does not say the user")
        refused(mechanism, token("none"), "it is no signed token")
        refused(mechanism, token("none") + "AAAA", "the algorithm of its signature is not taken")
        refused(mechanism, token("HS256"), "the algorithm of its signature is not taken")
        refused(mechanism, token(kid="../../../../etc/passwd"), "there is no such key")
        good = token()
        refused(mechanism, good[:-8] + ("AAAAAAAA" if good[-8:] != "AAAAAAAA" else "BBBBBBBB"),
                "its signature is wrong")


def test_a_token_is_for_its_own_user():
    assert attempt("OAUTHBEARER", token(), user="ben@example.org").startswith("535 ")
    assert attempt("OAUTHBEARER", token(email="nobody@example.org"),
                   user="nobody@example.org").startswith("535 ")
    assert attempt("OAUTHBEARER", token(email="anna@example.org\0x")).startswith("535 ")


def test_a_key_that_is_not_there_is_looked_for_once():
    before = len(Issuer.asked)
    for _ in range(5):
        refused("OAUTHBEARER", token(kid="two"), "there is no such key")
    assert len(Issuer.asked) - before <= 1, Issuer.asked


def test_the_file_of_keys_is_read_again():
    path = server().dir + "/keys.json"
    with open(path, encoding="ascii") as stream:
        text = stream.read()
    with open(path + ".new", "w", encoding="ascii") as stream:
        stream.write(text.replace('"one"', '"three"'))
    os.rename(path + ".new", path)
    assert attempt("XOAUTH2", token(kid="three")).startswith("235 ")
    refused("XOAUTH2", token(), "there is no such key")
    os.unlink(path)
    assert attempt("XOAUTH2", token(kid="three")).startswith("235 "), "what was good once stays"
    with open(path, "w", encoding="ascii") as stream:
        stream.write(text)


def test_curl_logs_in_to_imap_pop3_and_smtp():
    curl = need("curl")
    for url in ("imap://127.0.0.1:%d/" % server().ports["imap"],
                "pop3://127.0.0.1:%d/" % server().ports["pop3"],
                "smtp://127.0.0.1:%d/" % server().ports["smtp"]):
        for name, ends in ((token(), 0), (token(aud="web"), 67)):
            words = ["--mail-from", ANNA, "--mail-rcpt", ANNA, "-T", "/dev/null"] if url[0] == "s" else []
            done = subprocess.run([curl, "-sS", "--user", ANNA, "--oauth2-bearer", name,
                                   "--login-options", "AUTH=OAUTHBEARER", url, *words],
                                  capture_output=True, timeout=30, check=False)
            assert done.returncode in (ends, 94 if ends else 0), (url, done)
    logged_in("mechanism", "OAUTHBEARER")


def test_msmtp_logs_in():
    msmtp = need("msmtp")
    for auth in ("oauthbearer", "xoauth2"):
        done = subprocess.run(
            [msmtp, "--host=127.0.0.1", "--port=%d" % server().ports["smtp"], "--tls=off",
             "--auth=" + auth, "--user=" + ANNA, "--passwordeval=echo " + token(), "--from=" + ANNA,
             ANNA], input=b"Subject: x\r\n\r\nx\r\n", capture_output=True, timeout=30, check=False)
        assert done.returncode == 0, done
        logged_in("mechanism", auth.upper())


def test_nodemailer_logs_in():
    node = need("node")
    folder = next((path for path in ("/usr/share/nodejs/nodemailer",) if os.path.exists(path)), None)
    if folder is None:
        raise lib.Skip("nodemailer is not installed")
    script = """
const mailer = require(process.argv[1]).createTransport({
    host: "127.0.0.1", port: +process.argv[2], secure: false, ignoreTLS: true,
    auth: {type: "OAuth2", user: "%s", accessToken: process.argv[3]}});
mailer.verify().then(() => process.exit(0), error => { console.log(error.message); process.exit(1); });
""" % ANNA
    for text, status in ((token(), 0), (token(aud="web"), 1)):
        done = subprocess.run([node, "-e", script, folder, str(server().ports["smtp"]), text],
                              capture_output=True, timeout=30, check=False)
        assert done.returncode == status, done


def test_python_logs_in():
    client = smtplib.SMTP("127.0.0.1", server().ports["smtp"], timeout=30)
    client.ehlo()
    client.auth("XOAUTH2", lambda challenge=None: "user=%s\1auth=Bearer %s\1\1" % (ANNA, token()))
    client.quit()


def pop3_attempt(text):
    connection, lines = server().raw("pop3")
    lines.readline()
    message = base64.b64encode(("user=%s\1auth=Bearer %s\1\1" % (ANNA, text)).encode())
    connection.sendall(b"AUTH XOAUTH2 " + message + b"\r\n")
    answer = lines.readline().decode().strip()
    if answer.startswith("+ "):
        connection.sendall(b"\r\n")
        answer = lines.readline().decode().strip()
    connection.close()
    return answer


def test_whoever_issued_a_token_is_asked():
    Issuer.tokens = {"good": {"active": True, "username": ANNA, "scope": "imap smtp"},
                     "narrow": {"active": True, "username": ANNA, "scope": "smtp"},
                     "old": {"active": True, "username": ANNA, "scope": "imap", "exp": 1},
                     "odd": {"active": "true", "username": ANNA, "scope": "imap"}}
    assert pop3_attempt("good").startswith("+OK"), server().log[-3:]
    assert Issuer.asked[-1] == "Basic " + base64.b64encode(b"posthorn:between us").decode()
    for text, why in (("narrow", "it lacks a scope"), ("old", "it has expired"),
                      ("odd", "whoever issued it says that it is not valid"),
                      ("unknown", "whoever issued it says that it is not valid")):
        assert pop3_attempt(text).startswith("-ERR [AUTH]"), text
        lib.wait_for(lambda: server().events("token-refused")[-1]["why"] == why, 5, why)


def test_one_that_does_not_answer_locks_nobody_out():
    Issuer.slow.set()
    started = time.monotonic()
    waiting = [threading.Thread(target=pop3_attempt, args=("good",)) for _ in range(4)]
    for thread in waiting:
        thread.start()
    assert attempt("XOAUTH2", token()).startswith("235 ")
    assert time.monotonic() - started < 1
    assert pop3_attempt("good").startswith("-ERR [SYS/TEMP]")
    for thread in waiting:
        thread.join()
    assert time.monotonic() - started < 10
    lib.wait_for(lambda: server().events("login-unavailable"), 5, "a line in the log")
    assert "asked" in server().events("login-unavailable")[-1]["error"]
    Issuer.slow.clear()


def test_a_token_is_not_offered_without_tls_to_strangers():
    config = CONFIG.replace("{issuer}", "1").replace("[listener smtp]",
                                                     "[listener smtp]\nplaintext-auth = never")
    with Server(config=config + lib.TLS) as one:
        with open(one.dir + "/keys.json", "w", encoding="ascii") as stream:
            json.dump({"keys": [SHARED["key"]]}, stream)
        client = one.smtp()
        assert "auth" not in client.esmtp_features
        assert client.docmd("AUTH XOAUTH2")[0] == 538
        client.starttls(context=one.trust())
        client.ehlo()
        assert client.esmtp_features["auth"].split() == ["OAUTHBEARER", "XOAUTH2"]
        client.close()


main(globals())
