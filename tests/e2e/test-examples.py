#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-examples.py: every configuration in examples/ is started and used

Only addresses and paths that a test cannot have are replaced: ports, /etc/posthorn and
/var/lib/posthorn become those of the test.
"""
import os
import re
import smtplib
import subprocess

import lib
from lib import PASSWORD, SOURCE, Server, main

MESSAGE = b"From: carla@example.net\r\nSubject: Hello\r\n\r\nHello.\r\n"


def example(name, **users):
    """A server from examples/NAME.conf; its listeners keep their names as port names."""
    with open(os.path.join(SOURCE, "examples", name + ".conf"), encoding="utf-8") as stream:
        text = stream.read()
    ports = re.findall(r"^\[listener ([\w-]+)\]", text, re.MULTILINE)
    text = text.replace("{", "{{").replace("}", "}}")
    for port in ports:
        text = re.sub(r"(\[listener %s\][^\[]*?\naddress\s*= )\S+" % port,
                      r"\g<1>127.0.0.1:{%s}" % port, text)
    text = re.sub(r"(?m)^data\s*=.*$", "data = {data}\nplugin-path = {plugins}", text)
    text = re.sub(r"(?m)^user\s*=.*\n", "", text)
    text = text.replace("/etc/posthorn/", "{dir}/")
    return Server(config=text, ports=ports, **users)


def secure_imap(server, name, user="anna@example.org"):
    import imaplib
    client = imaplib.IMAP4_SSL("localhost", server.ports[name], ssl_context=server.trust())
    client.login(user, PASSWORD)
    return client


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


def test_pop3_only_conf_serves_mail_that_is_there():
    with example("pop3-only") as server:
        import poplib
        client = poplib.POP3_SSL("localhost", server.ports["pop3s"], timeout=30,
                                 context=server.trust())
        client.user("anna@example.org")
        client.pass_(PASSWORD)
        assert client.stat() == (0, 0)
        client.quit()


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
