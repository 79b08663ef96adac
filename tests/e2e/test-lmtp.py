#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-lmtp.py: LMTP over unix and TCP sockets: Python, smtp-source, Postfix as the server in front"""
import smtplib
import socket
import subprocess
import threading

import lib
from lib import Server, main, need, wait_for
from postfix import Postfix

LMTP = """
[listener lmtp]
plugin = lmtp
address = 127.0.0.1:{lmtp}, unix:{dir}/lmtp.sock
directory = people
mechanisms = plain
"""
CONFIG = lib.SERVER + lib.PEOPLE + lib.STORE + lib.ROUTE + LMTP + lib.POP3
PORTS = ("lmtp", "pop3")
MESSAGE = b"From: carla@example.net\r\nSubject: test\r\n\r\nbody\r\n"


def messages(server, user="anna@example.org"):
    pop3 = server.pop3(user)
    texts = [b"\r\n".join(pop3.retr(index + 1)[1]) for index in range(pop3.stat()[0])]
    pop3.quit()
    return texts


def small(server):
    """ben's quota, so that he cannot take what others can."""
    with open(server.dir + "/users", "a", encoding="utf-8") as stream:
        stream.write("small@example.org:{PLAIN}%s::::::quota=3K\n" % lib.PASSWORD)


def deliver(client, recipients, message):
    """The answer to each recipient: that of RCPT when it was refused, else that after the message.
    (Python's own sendmail() reads one answer alone, however many recipients there are.)"""
    client.ehlo_or_helo_if_needed()
    assert client.mail("carla@example.net")[0] == 250
    codes = [client.rcpt(recipient)[0] for recipient in recipients]
    client.putcmd("data")
    assert client.getreply()[0] == 354
    client.send(message + b".\r\n")
    return [client.getreply()[0] if code == 250 else code for code in codes]


def test_python_delivers_by_tcp_and_by_unix_socket():
    with Server(config=CONFIG, ports=PORTS) as server:
        for host, port in (("127.0.0.1", server.ports["lmtp"]), (server.dir + "/lmtp.sock", 0)):
            client = smtplib.LMTP(host, port)
            assert client.sendmail("carla@example.net", ["anna@example.org"], MESSAGE) == {}
            assert deliver(client, ["anna@example.org", "ben@example.org"], MESSAGE) == [250, 250]
            client.quit()
        texts = messages(server)
        assert len(texts) == 4 and all(b"with LMTP id" in text for text in texts), texts
        assert b"([127.0.0.1])" in texts[0] and b"(local)" in texts[3], texts
        assert len(messages(server, "ben@example.org")) == 2


def dialogue(server, *pieces):
    """What is answered to the pieces, each sent when that before it was answered."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect(server.dir + "/lmtp.sock")
    stream = connection.makefile("rb")
    stream.readline()
    answers = []
    for piece in pieces:
        connection.sendall(piece)
        answers.append(stream.readline().decode().rstrip("\r\n"))
        while answers[-1][3:4] == "-":
            answers.append(stream.readline().decode().rstrip("\r\n"))
    connection.close()
    return answers


def test_each_recipient_gets_its_own_answer():
    server = Server(config=CONFIG, ports=PORTS)
    small(server)
    with server:
        client = smtplib.LMTP("127.0.0.1", server.ports["lmtp"])
        message = MESSAGE + b"x" * 70 + (b"\r\n" + b"y" * 70) * 60 + b"\r\n"
        users = [name + "@example.org" for name in ("anna", "nobody", "small", "ben")]
        assert deliver(client, users, message) == [250, 550, 552, 250]
        assert client.noop()[0] == 250
        client.quit()
        assert [len(messages(server, name + "@example.org")) for name in ("anna", "small", "ben")] == [1, 0, 1]


def test_postfix_delivers_over_a_unix_socket():
    config = CONFIG.replace("unix:{dir}/lmtp.sock", "unix:{dir}/socket/lmtp")
    server = Server(config=config, ports=PORTS)
    subprocess.run(["mkdir", "-m", "755", server.dir + "/socket"], check=True)
    subprocess.run(["chmod", "711", server.dir], check=True)
    small(server)
    with server:
        options = ("relay_domains = example.org\nrelay_transport = lmtp:unix:%s/socket/lmtp\n"
                   "lmtp_send_xforward_command = no\n" % server.dir)
        with Postfix(options) as postfix:
            client = smtplib.SMTP("127.0.0.1", postfix.port)
            refused = client.sendmail("carla@example.net", ["anna@example.org", "ben@example.org"], MESSAGE)
            assert refused == {}
            client.quit()
            wait_for(lambda: messages(server) and messages(server, "ben@example.org"), 15, "Postfix")
            log = postfix.log()
            assert log.count("status=sent (250 2.0.0 OK") == 2, log
            assert b"by postfix.example.net (Postfix)" in messages(server)[0]
            # What one mailbox cannot take comes back for that one; the other has it.
            client = smtplib.SMTP("127.0.0.1", postfix.port)
            client.sendmail("carla@example.net", ["small@example.org", "anna@example.org", "nobody@example.org"],
                            MESSAGE + b"x" * 5000 + b"\r\n")
            client.quit()
            wait_for(lambda: len(messages(server)) == 2, 15, "the second message")
            wait_for(lambda: postfix.log().count("status=bounced") >= 2, 15, "two bounces")
            log = postfix.log()
            assert "552 5.3.4" in log and "550 5.1.1 no such user here" in log, log
            assert messages(server, "small@example.org") == []


def test_many_at_once():
    with Server(config=CONFIG, ports=PORTS) as server:
        def send():
            client = smtplib.LMTP(server.dir + "/lmtp.sock")
            for _ in range(10):
                codes.append(deliver(client, ["anna@example.org", "ben@example.org"], MESSAGE))
            client.quit()
        codes = []
        threads = [threading.Thread(target=send) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert codes == [[250, 250]] * 100, codes
        assert len(messages(server)) == 100
        assert len(messages(server, "ben@example.org")) == 100


def test_smtp_source_speaks_lmtp_to_it():
    with Server(config=CONFIG, ports=PORTS) as server:
        subprocess.run([need("smtp-source"), "-L", "-s", "5", "-m", "50", "-l", "2000", "-f", "carla@example.net",
                        "-t", "anna@example.org", "127.0.0.1:%d" % server.ports["lmtp"]], check=True, timeout=60)
        assert len(messages(server)) == 50


def test_it_is_no_smtp_server_and_nothing_is_relayed():
    with Server(config=CONFIG, ports=PORTS) as server:
        answers = dialogue(server, b"EHLO x\r\n", b"LHLO x\r\n", b"MAIL FROM:<>\r\n", b"RCPT TO:<a@example.com>\r\n")
        assert answers[0].startswith("500 5.5.1"), answers
        assert "550 5.7.1 mail for that domain is not taken here" in answers, answers


main(globals())
