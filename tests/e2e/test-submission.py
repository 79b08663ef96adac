#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-submission.py: users send: Python, swaks, curl, msmtp, nodemailer, and what is refused"""
import email
import os
import smtplib
import socket
import subprocess
import time

import lib
from lib import PASSWORD, Server, Skip, main, need, wait_for

SUBMISSION = """
[listener submission]
plugin = smtp
service = submission
address = 127.0.0.1:{submission}
directory = people
mechanisms = plain, login
plaintext-auth = never

[listener submissions]
plugin = smtp
service = submission
address = 127.0.0.1:{submissions}
tls = implicit
directory = people
mechanisms = plain, login
messages-per-hour = 3
"""
PEOPLE = lib.PEOPLE + "aliases = {dir}/aliases\n"
CONFIG = lib.SERVER + lib.TLS + PEOPLE + lib.STORE + lib.ROUTE + lib.SMTP + lib.POP3 + SUBMISSION
PORTS = ("smtp", "pop3", "submission", "submissions")
BARE = b"Subject: test\r\nBcc: ben@example.org, secret@example.org\r\nTo: ben@example.org\r\n\r\nbody\r\n"


def server(extra=""):
    made = Server(config=CONFIG, ports=PORTS, extra=extra)
    with open(made.dir + "/aliases", "w", encoding="ascii") as stream:
        stream.write("office@example.org: anna@example.org, ben@example.org\n")
    os.chmod(made.dir + "/aliases", 0o600)
    return made


def last(running, user="ben@example.org"):
    pop3 = running.pop3(user)
    text = b"\r\n".join(pop3.retr(pop3.stat()[0])[1])
    pop3.quit()
    return email.message_from_bytes(text)


def connect(running, user="anna@example.org"):
    client = smtplib.SMTP("127.0.0.1", running.ports["submission"], timeout=20)
    client.starttls(context=running.trust())
    client.login(user, PASSWORD)
    return client


def test_python_submits_by_starttls_and_the_header_is_completed():
    with server() as running:
        client = connect(running)
        client.sendmail("anna@example.org", ["ben@example.org"], BARE)
        client.quit()
        message = last(running)
        assert message["From"] == "<anna@example.org>" and message["Bcc"] is None, message
        assert message["Date"] and message["Message-ID"].endswith("@mail.example.org>"), message
        assert "ESMTPSA" in message["Received"], message["Received"]
        assert message.get_payload().strip() == "body", message


def test_implicit_tls_and_a_limit_by_the_hour():
    with server() as running:
        client = smtplib.SMTP_SSL("127.0.0.1", running.ports["submissions"], context=running.trust(), timeout=20)
        client.login("anna@example.org", PASSWORD)
        for _ in range(3):
            client.sendmail("anna@example.org", ["ben@example.org"], BARE)
        assert client.mail("anna@example.org") == (450, b"4.7.1 too many messages in this hour, try later")
        client.quit()
        client = smtplib.SMTP_SSL("127.0.0.1", running.ports["submissions"], context=running.trust(), timeout=20)
        client.login("ben@example.org", PASSWORD)
        client.sendmail("ben@example.org", ["anna@example.org"], BARE)
        client.quit()


def test_the_limit_is_one_for_all_listeners_and_survives_a_restart():
    config = CONFIG.replace("plaintext-auth = never\n", "plaintext-auth = never\nmessages-per-hour = 3\n")
    running = Server(config=config, ports=PORTS)
    with open(running.dir + "/aliases", "w", encoding="ascii"):
        os.chmod(running.dir + "/aliases", 0o600)
    with running:
        for _ in range(2):
            client = connect(running)
            client.sendmail("anna@example.org", ["ben@example.org"], BARE)
            client.quit()
        assert running.stop() == 0
        running.start()
        client = smtplib.SMTP_SSL("127.0.0.1", running.ports["submissions"], context=running.trust(), timeout=20)
        client.login("anna@example.org", PASSWORD)
        client.sendmail("anna@example.org", ["ben@example.org"], BARE)
        client.quit()
        client = connect(running)
        assert client.mail("anna@example.org")[0] == 450
        client.quit()


def test_without_a_login_nothing_is_taken():
    with server() as running:
        client = smtplib.SMTP("127.0.0.1", running.ports["submission"], timeout=20)
        client.ehlo("client")
        assert not client.has_extn("auth"), "a password would be asked for without TLS"
        assert client.mail("anna@example.org") == (530, b"5.7.0 authentication required")
        client.starttls(context=running.trust())
        client.ehlo("client")
        assert client.has_extn("auth") and client.has_extn("requiretls")
        assert client.mail("anna@example.org")[0] == 530
        client.quit()


def test_a_user_sends_from_addresses_of_their_own():
    with server() as running:
        client = connect(running)
        for sender, code in (("ben@example.org", 553), ("anna@example.com", 553), ("office@example.org", 250),
                             ("", 250), ("ANNA@example.org", 250), ("anna@EXAMPLE.ORG", 250)):
            assert client.mail(sender)[0] == code, sender
            client.rset()
        client.quit()


def test_a_directory_names_further_senders():
    made = server()
    with open(made.dir + "/users", "a", encoding="ascii") as stream:
        stream.write("list@example.org:{PLAIN}%s::::::senders=info@example.net,@lists.example aliases=l@example.org\n"
                     % PASSWORD)
    with made as running:
        client = connect(running, "list@example.org")
        for sender, code in (("list@example.org", 250), ("info@example.net", 250), ("any@lists.example", 250),
                             ("l@example.org", 250), ("other@example.net", 553), ("a@sub.lists.example", 553),
                             ("anna@example.org", 553)):
            assert client.mail(sender)[0] == code, sender
            client.rset()
        client.quit()


def test_mail_for_nowhere_is_refused_and_the_session_goes_on():
    with server() as running:
        client = connect(running)
        refused = client.sendmail("anna@example.org", ["nobody@example.org", "ben@example.org"], BARE)
        assert refused["nobody@example.org"][0] == 550, refused
        assert client.noop()[0] == 250
        client.quit()


def test_swaks_and_curl_submit():
    with server() as running:
        subprocess.run([need("swaks"), "--server", "127.0.0.1:%d" % running.ports["submission"], "--tls",
                        "--auth", "PLAIN", "--auth-user", "anna@example.org", "--auth-password", PASSWORD,
                        "--from", "anna@example.org", "--to", "ben@example.org", "--timeout", "20"],
                       check=True, stdout=subprocess.DEVNULL)
        assert last(running)["Subject"].startswith("test ")
        with open(running.dir + "/message", "wb") as stream:
            stream.write(BARE.replace(b"test", b"curl"))
        for scheme, port in (("smtp", "submission"), ("smtps", "submissions")):
            subprocess.run([need("curl"), "-sS", "--ssl-reqd", "--cacert", running.dir + "/cert.pem", "--url",
                            "%s://localhost:%d" % (scheme, running.ports[port]), "--user", "anna@example.org:" + PASSWORD,
                            "--mail-from", "anna@example.org", "--mail-rcpt", "ben@example.org",
                            "--upload-file", running.dir + "/message", "--max-time", "20", "-4"], check=True)
            assert last(running)["Subject"] == "curl" and last(running)["Bcc"] is None


def test_msmtp_submits():
    program = need("msmtp")
    with server() as running:
        with open(running.dir + "/msmtprc", "w", encoding="ascii") as stream:
            stream.write("account default\nhost localhost\nport %d\ntls on\ntls_starttls on\n"
                         "tls_trust_file %s/cert.pem\nauth plain\nuser anna@example.org\npassword %s\n"
                         "from anna@example.org\n" % (running.ports["submission"], running.dir, PASSWORD))
        os.chmod(running.dir + "/msmtprc", 0o600)
        subprocess.run([program, "-C", running.dir + "/msmtprc", "ben@example.org"], check=True, timeout=30,
                       input=b"Subject: by msmtp\n\nbody\n")
        assert last(running)["Subject"] == "by msmtp"


NODE = """
const mailer = require('nodemailer');
const transport = mailer.createTransport({ host: 'localhost', port: +process.argv[2], secure: process.argv[3] === 'yes',
  requireTLS: true, auth: { user: 'anna@example.org', pass: process.argv[4] },
  tls: { ca: require('fs').readFileSync(process.argv[5]) } });
transport.sendMail({ from: 'anna@example.org', to: 'ben@example.org', bcc: 'ben@example.org', subject: 'by node',
  text: 'hello', attachments: [{ filename: 'a.bin', content: Buffer.from([0, 1, 2]) }] })
  .then(function (info) { console.log(info.response); process.exit(0); })
  .catch(function (error) { console.error(error); process.exit(1); });
"""


def test_nodemailer_submits():
    node = need("node")
    if not os.path.isdir("/usr/share/nodejs/nodemailer"):
        raise Skip("node-nodemailer is not installed")
    with server() as running:
        for port, secure in (("submission", "no"), ("submissions", "yes")):
            done = subprocess.run([node, "-e", NODE, "x", str(running.ports[port]), secure, PASSWORD,
                                   running.dir + "/cert.pem"], capture_output=True, text=True, timeout=30, check=False,
                                  env=dict(os.environ, NODE_PATH="/usr/share/nodejs"))
            assert done.returncode == 0 and "250 2.0.0 OK" in done.stdout, done.stderr
            message = last(running)
            assert message["Subject"] == "by node" and message["Bcc"] is None, message
            assert message.get_payload()[1].get_payload(decode=True) == b"\0\1\2"


def test_a_large_header_in_small_packets_is_completed():
    with server() as running:
        context = running.trust()
        raw = socket.create_connection(("127.0.0.1", running.ports["submissions"]), 20)
        with context.wrap_socket(raw, server_hostname="localhost") as connection:
            stream = connection.makefile("rb")
            stream.readline()
            connection.sendall(b"EHLO client\r\n")
            while not stream.readline().startswith(b"250 "):
                pass
            for line in (b"AUTH PLAIN AGFubmFAZXhhbXBsZS5vcmcAY29ycmVjdCBob3JzZQ==", b"MAIL FROM:<anna@example.org>",
                         b"RCPT TO:<ben@example.org>", b"DATA"):
                connection.sendall(line + b"\r\n")
                assert stream.readline()[:1] in b"23"
            field = b"X-Long: " + b"x" * 900 + b"\r\n"
            text = field * 400 + BARE + b".\r\n"
            for at in range(0, len(text), 5000):
                connection.sendall(text[at:at + 5000])
            assert stream.readline().startswith(b"250 ")
        message = last(running)
        assert len(message.get_all("X-Long")) == 400 and message["Bcc"] is None
        assert message["From"] == "<anna@example.org>"


def test_octets_behind_starttls_are_not_taken_for_commands():
    with server() as running:
        connection = socket.create_connection(("127.0.0.1", running.ports["submission"]), 20)
        stream = connection.makefile("rb")
        stream.readline()
        connection.sendall(b"EHLO client\r\n")
        while not stream.readline().startswith(b"250 "):
            pass
        connection.sendall(b"STARTTLS\r\nMAIL FROM:<anna@example.org>\r\n")
        rest = stream.read()
        assert b"250" not in rest, rest
        connection.close()


WORLD = """
[route world]
domains = *
transport = smtp
"""


def count(running, user):
    pop3 = running.pop3(user)
    number = pop3.stat()[0]
    pop3.quit()
    return number


def test_what_only_a_queue_can_promise():
    with server(WORLD) as running:
        client = connect(running)
        client.ehlo("client.example.org")
        for name in ("dsn", "deliverby", "futurerelease", "mt-priority", "requiretls", "binarymime", "limits"):
            assert client.has_extn(name), name
        assert client.esmtp_features["futurerelease"].split()[0] == "2592000"
        assert client.docmd("MAIL FROM:<anna@example.org> HOLDFOR=2592001")[0] == 501
        assert client.docmd("MAIL FROM:<anna@example.org> RET=HDRS ENVID=note+2B1 HOLDFOR=2 MT-PRIORITY=4 BY=600;N")[0] == 250
        assert client.docmd("RCPT TO:<ben@example.org> NOTIFY=SUCCESS ORCPT=rfc822;benjamin@example.org")[0] == 250
        begin = time.monotonic()
        assert client.data(BARE)[0] == 250
        assert count(running, "ben@example.org") == 0
        wait_for(lambda: count(running, "ben@example.org"), 20, "the held message")
        assert time.monotonic() - begin >= 2
        wait_for(lambda: count(running, "anna@example.org"), 20, "the report")
        report = last(running, "anna@example.org")
        assert report.get_content_type() == "multipart/report", report
        status = report.get_payload()[1].as_string()
        assert "Original-Envelope-Id: note+1" in status and "Action: delivered" in status, status
        assert "Original-Recipient: rfc822;benjamin@example.org" in status.replace("; ", ";"), status
        client.quit()


def test_a_host_asks_for_its_mail():
    later = Server(config=lib.WHOLE.replace("domains = example.org", "domains = later.example"),
                   users=("vic@later.example",))
    world = WORLD + """
[transport out]
plugin = smtp
relay-host = 127.0.0.1:%d

[queue]
retry = 1h
""" % later.ports["smtp"]
    extra = world.replace("transport = smtp", "transport = out") + "\n[listener smtp]\nplugin = smtp\n" \
        "address = 127.0.0.1:{smtp}\netrn = authenticated\n"
    running = Server(config=CONFIG.replace(lib.SMTP, ""), ports=PORTS, extra=extra)
    with open(running.dir + "/aliases", "w", encoding="ascii"):
        pass
    os.chmod(running.dir + "/aliases", 0o600)
    try:
        with running:
            client = running.smtp()
            assert client.has_extn("etrn")
            assert client.docmd("ETRN later.example") == (251, b"2.0.0 OK, no messages waiting for later.example")
            client.sendmail("anna@example.org", ["vic@later.example"], BARE)
            held = connect(running)
            assert held.docmd("MAIL FROM:<anna@example.org> HOLDFOR=3600")[0] == 250
            assert held.docmd("RCPT TO:<vic@later.example>")[0] == 250
            assert held.data(BARE)[0] == 250
            later.start()
            for name in ("", "two words", "@", "-x", "*"):
                assert client.docmd("ETRN " + name)[0] == 501, name
            assert client.docmd("ETRN #queue")[0] == 459
            assert client.docmd("ETRN other.example")[0] == 251
            wait_for(lambda: client.docmd("ETRN @later.example")[0] == 253, 20, "a message that waits")
            wait_for(lambda: count(later, "vic@later.example"), 20, "the message")
            assert client.docmd("ETRN later.example")[0] == 251  # what is held back stays
            assert count(later, "vic@later.example") == 1
            client.quit()
    finally:
        later.__exit__(None, None, None)


def test_a_submission_listener_without_mechanisms_is_a_mistake():
    config = CONFIG.replace("mechanisms = plain, login\nplaintext-auth = never\n", "")
    running = Server(config=config, ports=PORTS)
    done = subprocess.run([lib.PROGRAM, "check", "-c", running.config], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "lacks the key 'mechanisms'" in done.stderr + done.stdout, done
    running.__exit__(None, None, None)


def test_nobody_relays_who_may_not():
    with server(WORLD) as running:
        client = running.smtp()
        client.mail("anna@example.org")
        assert client.rcpt("victim@example.com")[0] == 250, "programs on this machine may send"
        client.quit()
    config = CONFIG.replace(lib.SMTP, lib.SMTP + "relay-networks = none\nmax-errors = 100\ndelay-errors = 100\n")
    running = Server(config=config, ports=PORTS, extra=WORLD)
    with open(running.dir + "/aliases", "w", encoding="ascii"):
        pass
    os.chmod(running.dir + "/aliases", 0o600)
    with running:
        client = running.smtp()
        client.mail("anna@example.org")
        for path in ("victim@example.com", "victim%example.com@example.org", "example.com!victim@example.org",
                     "@example.org:victim@example.com", '"victim@example.com"@example.org', "victim@[127.0.0.1]",
                     '"victim"@example.com', "anna@example.org@example.com", "victim%example.com",
                     "example.com!victim", "@example.com:anna%example.com@example.org", "anna@localhost"):
            code = client.docmd("RCPT TO:<%s>" % path)[0]
            assert code in (501, 550), (path, code)
        assert client.rcpt("anna@example.org")[0] == 250
        client.quit()


LMTP = """
[listener lmtp]
plugin = lmtp
address = unix:{dir}/lmtp.sock
"""


def sendmail(running, arguments, text):
    """The program as `sendmail`: (status, output)."""
    done = subprocess.run(["sendmail", "-C", running.config] + arguments, executable=lib.PROGRAM,
                          input=text, capture_output=True, timeout=30, check=False)
    return done.returncode, done.stdout + done.stderr


def test_sendmail_finds_the_listener_for_it():
    config = CONFIG.replace(lib.SMTP, LMTP + SUBMISSION + lib.SMTP, 1)[:-len(SUBMISSION)]
    running = Server(config=config, ports=PORTS)
    with open(running.dir + "/aliases", "w", encoding="ascii"):
        pass
    os.chmod(running.dir + "/aliases", 0o600)
    with running:
        status, output = sendmail(running, ["-t", "-i", "-f", "anna@example.org"],
                                  b"To: ben@example.org\nBcc: anna@example.org\nSubject: by -t\n\n.\nbody\n")
        assert status == 0, output
        message = last(running)
        assert message["Subject"] == "by -t" and message["Bcc"] is None, message
        assert message["Return-Path"] == "<anna@example.org>" and message.get_payload().strip().endswith("body")
        assert last(running, "anna@example.org")["Subject"] == "by -t"
        status, output = sendmail(running, ["-oi", "-f", "<>", "-N", "never", "-R", "hdrs", "-V", "x=1",
                                            "nobody@example.org"], b"Subject: x\n\n")
        assert status == 69 and b"550 5.1.1" in output, (status, output)
        status, output = sendmail(running, ["-bs"], b"EHLO client.example.org\r\n")
        assert status == 0 and output.startswith(b"220 mail.example.org ESMTP"), (status, output)
        assert b"250 HELP\r\n" in output, output


def test_sendmail_completes_what_a_program_wrote():
    with server() as running:
        written = b"To: ben@example.org\nCc: anna@example.org\nBcc: %s\nSubject: from cron\n\nhello\n.\nmore\n"
        status, output = sendmail(running, ["-t", "-i", "-f", "anna@example.org", "-F", "Anna"], written % b"office@example.org")
        assert status == 0, output
        made = last(running)
        assert made["Bcc"] is None and made["Date"] and "@mail.example.org>" in made["Message-ID"], made
        assert made["From"] == '"Anna" <anna@example.org>' and made["Return-Path"] == "<anna@example.org>", made
        assert made.get_payload().split() == ["hello", ".", "more"], made.get_payload()
        assert last(running, "anna@example.org")["Subject"] == "from cron"
        own = b"Date: Mon, 01 Jan 2024 10:00:00 +0000\nMessage-ID: <own@example.org>\nFrom: x@example.org\n"
        assert sendmail(running, ["-i", "ben@example.org"], own + written % b"secret@example.org")[0] == 0
        made = last(running)
        assert made["Bcc"] is None and made.get_all("Date") == ["Mon, 01 Jan 2024 10:00:00 +0000"], made
        assert made.get_all("Message-ID") == ["<own@example.org>"] and made.get_all("From") == ["x@example.org"], made
        assert sendmail(running, ["-i", "nobody@example.org"], b"x: y\n\n")[0] in (67, 69)
        assert sendmail(running, ["-i", "joe@elsewhere.example"], b"x: y\n\n")[0] in (67, 69)
        assert sendmail(running, ["-t", "-i"], b"Subject: to nobody\n\n")[0] == 64


def test_success_is_told_where_there_is_no_queue():
    with server() as running:
        client = connect(running)
        assert client.has_extn("dsn") and not client.has_extn("deliverby")
        client.mail("anna@example.org", ["ENVID=one"])
        for to in ("ben@example.org", "anna@example.org"):
            assert client.rcpt(to, ["NOTIFY=SUCCESS"])[0] == 250
        assert client.data(BARE)[0] == 250
        pop3 = running.pop3("anna@example.org")
        found = [email.message_from_bytes(b"\r\n".join(pop3.retr(at + 1)[1])) for at in range(pop3.stat()[0])]
        pop3.quit()
        told = [mail for mail in found if mail.get_content_type() == "multipart/report"]
        assert len(told) == 1, "it is there before the answer, and once"
        rows = told[0].get_payload(1).get_payload()
        assert rows[0]["Original-Envelope-Id"] == "one"
        assert sorted((row["Action"], row["Final-Recipient"]) for row in rows[1:]) == [
            ("delivered", "rfc822; anna@example.org"), ("delivered", "rfc822; ben@example.org")], rows
        client.sendmail("anna@example.org", ["ben@example.org"], BARE)
        client.quit()
        mx = running.smtp()
        mx.ehlo("client")
        assert not mx.has_extn("dsn"), "strangers cannot be told from here"
        mx.quit()


def test_sendmail_speaks_smtp_on_standard_input():
    with server() as running:
        talk = smtplib.SMTP()
        left, right = socket.socketpair()
        process = subprocess.Popen(["sendmail", "-C", running.config, "-bs"], executable=lib.PROGRAM,
                                   stdin=right, stdout=right)
        right.close()
        left.settimeout(20)
        talk.sock = left
        talk.file = None
        assert talk.getreply()[0] == 220
        talk.sendmail("anna@example.org", ["ben@example.org"], BARE)
        talk.quit()
        assert process.wait(20) == 0
        assert last(running)["Subject"] == "test"


main(globals())
