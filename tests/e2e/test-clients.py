#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-clients.py: programs that people use, against a real server"""
import imaplib
import os
import poplib
import smtplib
import subprocess

import lib
from lib import PASSWORD, Server, main, need

MESSAGE = (b"From: Carla <carla@example.net>\r\nTo: anna@example.org\r\nSubject: Hello\r\n"
           b"Message-ID: <hello@example.net>\r\nDate: Mon, 03 Mar 2025 09:15:00 +0100\r\n\r\n"
           b"Hello Anna.\r\n.\r\n..dots\r\n")
IMAPS = lib.IMAP.replace("[listener imap]", "[listener imaps]").replace("{imap}", "{imaps}\ntls = implicit")
POP3S = lib.POP3.replace("[listener pop3]", "[listener pop3s]").replace("{pop3}", "{pop3s}\ntls = implicit")
PORTS = ("smtp", "imap", "pop3", "imaps", "pop3s")


def tls_server():
    return Server(config=lib.WHOLE + lib.TLS + IMAPS + POP3S, ports=PORTS)


def run(*command, stdin=None, environment=None):
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False,
                          env=dict(os.environ, **(environment or {})))
    assert done.returncode == 0, "%s: %s %s" % (command[0], done.stdout, done.stderr)
    return done.stdout


def ends_with_message(octets):
    assert octets.endswith(MESSAGE), octets
    assert octets.startswith(b"Return-Path: <carla@example.net>\r\n"), octets


def test_smtplib_imaplib_and_poplib_agree_on_every_octet():
    with Server() as server:
        server.send(MESSAGE)
        imap = server.imap()
        imap.select("INBOX")
        ends_with_message(imap.fetch("1", "(BODY.PEEK[])")[1][0][1])
        imap.logout()
        pop3 = server.pop3()
        ends_with_message(b"\r\n".join(pop3.retr(1)[1]) + b"\r\n")
        pop3.quit()


def test_python_clients_start_tls_and_check_the_certificate():
    with tls_server() as server:
        smtp = smtplib.SMTP("localhost", server.ports["smtp"], timeout=30)
        smtp.starttls(context=server.trust())
        smtp.sendmail("carla@example.net", ["anna@example.org"], MESSAGE)
        smtp.quit()
        imap = imaplib.IMAP4("localhost", server.ports["imap"])
        imap.starttls(server.trust())
        imap.login("anna@example.org", PASSWORD)
        assert imap.select("INBOX")[1] == [b"1"]
        imap.logout()
        pop3 = poplib.POP3("localhost", server.ports["pop3"], timeout=30)
        pop3.stls(server.trust())
        pop3.user("anna@example.org")
        pop3.pass_(PASSWORD)
        assert pop3.stat()[0] == 1
        pop3.quit()


def test_curl_sends_and_reads_over_implicit_tls():
    curl = need("curl")
    with tls_server() as server:
        ca = server.dir + "/cert.pem"
        run(curl, "-sS", "smtp://127.0.0.1:%d" % server.ports["smtp"], "--ssl-reqd", "--cacert", ca,
            "--mail-from", "carla@example.net", "--mail-rcpt", "anna@example.org", "-T", "-",
            stdin=MESSAGE)
        user = "anna@example.org:" + PASSWORD
        ends_with_message(run(curl, "-sS", "--cacert", ca, "-u", user,
                              "imaps://127.0.0.1:%d/INBOX;MAILINDEX=1" % server.ports["imaps"]))
        ends_with_message(run(curl, "-sS", "--cacert", ca, "-u", user,
                              "pop3s://127.0.0.1:%d/1" % server.ports["pop3s"]))


def test_swaks_delivers_with_starttls():
    swaks = need("swaks")
    with tls_server() as server:
        run(swaks, "--server", "127.0.0.1:%d" % server.ports["smtp"], "--from", "carla@example.net",
            "--to", "anna@example.org,ben@example.org", "--tls", "--data", "-",
            stdin=MESSAGE.replace(b"\r\n", b"\n"))
        for user in ("anna@example.org", "ben@example.org"):
            imap = server.imap(user)
            assert imap.select("INBOX")[1] == [b"1"]
            imap.logout()


def mbsync_config(server):
    path = server.dir + "/mbsyncrc"
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("""
IMAPStore far
Host localhost
Port {port}
User anna@example.org
Pass "{password}"
SSLType IMAPS
CertificateFile {dir}/cert.pem
AuthMechs LOGIN

MaildirStore near
Path {dir}/near/
Inbox {dir}/near/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
""".format(port=server.ports["imaps"], password=PASSWORD, dir=server.dir))
    os.makedirs(server.dir + "/near")
    return path


def test_mbsync_carries_mail_flags_and_new_folders_both_ways():
    mbsync = need("mbsync")
    with tls_server() as server:
        for number in range(20):
            server.send(MESSAGE + b"%d\r\n" % number)
        config = mbsync_config(server)
        run(mbsync, "-c", config, "-a")
        inbox = server.dir + "/near/INBOX"
        names = sorted(os.listdir(inbox + "/new") + os.listdir(inbox + "/cur"))
        assert len(names) == 20, names
        imap = server.imap()
        imap.select("INBOX")
        imap.store("3", "+FLAGS", "(\\Flagged \\Seen)")
        imap.store("4", "+FLAGS", "(\\Deleted)")
        imap.expunge()
        imap.create("Projects")
        imap.append("Projects", "(\\Seen)", None, MESSAGE)
        run(mbsync, "-c", config, "-a")
        names = os.listdir(inbox + "/new") + os.listdir(inbox + "/cur")
        assert len(names) == 19, names
        assert sum(name.endswith(":2,FS") for name in names) == 1, names
        assert len(os.listdir(server.dir + "/near/Projects/cur")) == 1
        imap.logout()


main(globals())
