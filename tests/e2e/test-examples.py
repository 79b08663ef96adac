#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-examples.py: every configuration in examples/ is started and used

Only addresses and paths that a test cannot have are replaced: ports, /etc/posthorn and
/var/lib/posthorn become those of the test.
"""
import base64
import os
import re
import smtplib
import ssl
import subprocess

import lib
from lib import PASSWORD, SOURCE, Server, main, wait_for
from names import Names
from nexthop import Host

MESSAGE = b"From: carla@example.net\r\nSubject: Hello\r\n\r\nHello.\r\n"


def example(name, change=lambda text: text, **users):
    """A server from examples/NAME.conf; its listeners keep their names as port names."""
    with open(os.path.join(SOURCE, "examples", name + ".conf"), encoding="utf-8") as stream:
        return serve(change(stream.read()), **users)


def page(name):
    """A server from all the sections that a page shows, each in an indented block."""
    with open(os.path.join(SOURCE, name), encoding="utf-8") as stream:
        blocks = re.findall(r"(?:^    \S.*\n|^\n)+", stream.read(), re.MULTILINE)
    shown = [block for block in blocks if re.search(r"^    \[", block, re.MULTILINE)]
    return serve("".join(re.sub(r"(?m)^    ", "", block) for block in shown))


def serve(text, **users):
    ports = re.findall(r"^\[listener ([\w-]+)\]", text, re.MULTILINE)
    text = text.replace("{", "{{").replace("}", "}}")
    for port in ports:
        text = re.sub(r"(\[listener %s\][^\[]*?\naddress\s*= )\S+" % port,
                      r"\g<1>127.0.0.1:{%s}" % port, text)
    text = re.sub(r"(?m)^data\s*=.*$", "data = {data}\nplugin-path = {plugins}", text)
    text = re.sub(r"(?m)^user\s*=.*\n", "", text, count=1)
    text = text.replace("/etc/posthorn/", "{dir}/")
    return Server(config=text, ports=ports, **users)


def secure_imap(server, name, user="anna@example.org"):
    import imaplib
    client = imaplib.IMAP4_SSL("localhost", server.ports[name], ssl_context=server.trust())
    client.login(user, PASSWORD)
    return client


def test_the_pages_show_servers_that_run():
    for name in ("README.md", "docs/first-server.md"):
        with page(name) as server:
            port = server.ports["mx" if "mx" in server.ports else "smtp"]
            with smtplib.SMTP("127.0.0.1", port) as client:
                client.sendmail("carla@example.net", ["postmaster@example.org"], MESSAGE)
            client = secure_imap(server, "imaps")
            assert client.select("INBOX")[1] == [b"1"], name
            client.logout()
            assert "submissions" in server.ports, name


def test_home_conf_takes_mail_and_gives_it_back():
    with example("home") as server:
        server.send(MESSAGE)
        client = secure_imap(server, "imaps")
        assert client.select("INBOX")[1] == [b"1"]
        client.logout()


def test_home_conf_lets_users_send():
    with example("home") as server:
        client = smtplib.SMTP_SSL("localhost", server.ports["submissions"], context=server.trust(), timeout=30)
        client.login("anna@example.org", PASSWORD)
        assert client.sendmail("anna@example.org", ["ben@example.org"], MESSAGE) == {}
        assert client.mail("ben@example.org")[0] == 553
        client.quit()
        client = smtplib.SMTP("localhost", server.ports["submission"], timeout=30)
        client.starttls(context=server.trust())
        client.login("ben@example.org", PASSWORD)
        client.mail("ben@example.org")
        assert client.rcpt("somebody@elsewhere.example")[0] == 250
        client.rset()
        client.quit()
        client = secure_imap(server, "imaps", "ben@example.org")
        assert client.select("INBOX")[1] == [b"1"]
        client.logout()


def test_behind_postfix_conf_takes_mail_by_lmtp():
    with example("behind-postfix") as server:
        client = smtplib.LMTP("127.0.0.1", server.ports["lmtp"])
        assert client.sendmail("carla@example.net", ["anna+lists@example.org"], MESSAGE) == {}
        client.quit()
        client = secure_imap(server, "imaps")
        assert client.select("INBOX")[1] == [b"1"]
        client.logout()


def test_mx_conf_takes_mail_for_its_domains_and_refuses_to_relay():
    with example("mx") as server:
        client = smtplib.SMTP("localhost", server.ports["mx"], timeout=30)
        client.starttls(context=server.trust())
        assert client.sendmail("carla@example.net", ["anna@example.org"], MESSAGE) == {}
        try:
            client.sendmail("carla@example.net", ["somebody@elsewhere.example"], MESSAGE)
            raise AssertionError("relayed")
        except smtplib.SMTPRecipientsRefused as error:
            assert error.recipients["somebody@elsewhere.example"][0] == 550
        client.quit()
        client = secure_imap(server, "imaps")
        assert client.select("INBOX")[1] == [b"1"]
        client.logout()


def test_no_passwords_conf_takes_certificates_and_scram_alone():
    import imaplib
    server = example("no-passwords")
    authority = server.dir + "/clients-ca"
    user = server.dir + "/anna"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for words in (["req", "-x509", *key, "-days", "30", "-subj", "/CN=ca", "-keyout", authority + ".key",
                   "-out", authority + ".pem"],
                  ["req", "-new", *key, "-subj", "/CN=Anna", "-addext",
                   "subjectAltName=email:anna@example.org", "-keyout", user + ".key", "-out", user + ".csr"],
                  ["x509", "-req", "-in", user + ".csr", "-CA", authority + ".pem", "-CAkey",
                   authority + ".key", "-days", "30", "-copy_extensions", "copy", "-out", user + ".pem"]):
        subprocess.run(["openssl", *words], check=True, capture_output=True)
    with server:
        server.send(MESSAGE)
        trust = server.trust()
        client = imaplib.IMAP4_SSL("localhost", server.ports["imaps"], ssl_context=trust)
        assert "AUTH=EXTERNAL" not in client.capabilities and "LOGINDISABLED" in client.capabilities
        assert "AUTH=SCRAM-SHA-256-PLUS" in client.capabilities, client.capabilities
        try:
            client.login("anna@example.org", PASSWORD)
            raise AssertionError("a password was taken")
        except imaplib.IMAP4.error:
            client.shutdown()
        trust.load_cert_chain(user + ".pem", user + ".key")
        client = imaplib.IMAP4_SSL("localhost", server.ports["imaps"], ssl_context=trust)
        assert client.authenticate("EXTERNAL", lambda challenge: b"")[0] == "OK"
        assert client.select("INBOX")[1] == [b"1"]
        client.logout()


def test_pop3_only_conf_serves_mail_that_is_there():
    with example("pop3-only") as server:
        import poplib
        client = poplib.POP3_SSL("localhost", server.ports["pop3s"], timeout=30,
                                 context=server.trust())
        client.user("anna@example.org")
        client.pass_(PASSWORD)
        assert client.stat() == (0, 0)
        client.quit()


def test_relay_conf_sends_mail_to_the_world():
    names = Names({"example.net": {"MX": [(10, "mx.example.net")]},
                   "mx.example.net": {"A": ["127.0.0.1"]}})
    with Host() as host:
        resolver = "\n[resolver]\nserver = 127.0.0.1:%d\n\n[route world]" % names.port
        world = "transport = smtp\nport = %d\nip = ipv4" % host.port
        with example("relay", lambda text: text.replace("\n[route world]", resolver).replace(
                "transport = smtp", world)) as server:
            smtp = smtplib.SMTP("127.0.0.1", server.ports["machines"], timeout=30)
            smtp.sendmail("cron@example.org", ["carla@example.net"], MESSAGE)
            smtp.quit()
            client = smtplib.SMTP_SSL("localhost", server.ports["submissions"], context=server.trust(),
                                      timeout=30)
            client.login("anna@example.org", PASSWORD)
            client.sendmail("anna@example.org", ["carla@example.net"], MESSAGE)
            client.quit()
            wait_for(lambda: len(host.mails) == 2, 10, "both mails")
    names.stop()


def test_relay_conf_sends_to_a_smart_host_by_changing_lines():
    def change(text):
        text = re.sub(r"(?m)^#(relay-host|user|password|tls)", r"\1", text)
        text = re.sub(r"(?m)^tls       = may\n", "", text)
        text = text.replace("mail.provider.example:587", "localhost:%d" % host.port)
        return text.replace("tls        = verify", "tls        = verify\nca-file = /etc/posthorn/cert.pem\nip = ipv4")

    with Host(extensions=["STARTTLS", "AUTH PLAIN"], certificate=None) as host:
        server = example("relay", change)
        host.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        host.tls.load_cert_chain(server.dir + "/cert.pem", server.dir + "/key.pem")
        with open(server.dir + "/relay.password", "w", encoding="ascii") as stream:
            stream.write("secret\n")
        os.chmod(server.dir + "/relay.password", 0o600)
        with server:
            smtp = smtplib.SMTP("127.0.0.1", server.ports["machines"], timeout=30)
            smtp.sendmail("cron@example.org", ["carla@example.net"], MESSAGE)
            smtp.quit()
            wait_for(lambda: host.mails, 10, "the mail")
            wanted = base64.b64encode(b"\0site@provider.example\0secret").decode()
            assert host.mails[0]["tls"] and "AUTH PLAIN " + wanted in host.said, host.said


def catcher_password():
    with open(os.path.join(SOURCE, "examples", "mailcatcher.users"), encoding="utf-8") as stream:
        user, stored = stream.read().split()[-1].split(":")[:2]
    return user, stored.replace("{PLAIN}", "")


def test_mailcatcher_conf_keeps_mail_from_anybody_to_anybody():
    with example("mailcatcher") as server:
        source = os.path.join(SOURCE, "examples", "mailcatcher.users")
        subprocess.run(["cp", source, server.dir], check=True)
        for recipient in ("somebody@elsewhere.example", "anna@example.org", "x@localhost"):
            server.send(MESSAGE, recipients=[recipient])
        user, password = catcher_password()
        import imaplib
        import poplib
        client = imaplib.IMAP4("localhost", server.ports["imap"])
        client.login(user, password)
        assert client.select("INBOX")[1] == [b"3"]
        client.logout()
        client = poplib.POP3("localhost", server.ports["pop3"], timeout=30)
        client.user(user)
        client.pass_(password)
        assert client.stat()[0] == 3
        client.quit()


main(globals())
