#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-smtp.py: SMTP over real sockets: clients, pipelining, chunks, many recipients, logins"""
import os
import smtplib
import socket
import subprocess
import threading
import time

import lib
from lib import PASSWORD, Server, main, need, wait_for

MESSAGE = b"From: carla@example.net\r\nSubject: test\r\n\r\nbody\r\n"
AUTH = lib.SMTP + "directory = people\nmechanisms = plain, login\n"
WITH_AUTH = lib.WHOLE.replace(lib.SMTP, AUTH)


def replies(stream, count):
    return [stream.readline().rstrip(b"\r\n") for _ in range(count)]


def open_raw(server):
    connection, stream = server.raw("smtp")
    assert stream.readline().startswith(b"220 mail.example.org ESMTP")
    connection.sendall(b"EHLO client.example.net\r\n")
    while not stream.readline().startswith(b"250 "):
        pass
    return connection, stream


def count(server, user="anna@example.org"):
    pop3 = server.pop3(user)
    messages = pop3.stat()[0]
    pop3.quit()
    return messages


def test_ehlo_says_what_the_server_can_do():
    with Server(config=WITH_AUTH) as server:
        client = server.smtp()
        for name in ("size", "pipelining", "8bitmime", "enhancedstatuscodes", "smtputf8", "chunking", "help"):
            assert client.has_extn(name), name
        assert client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]
        assert client.esmtp_features["size"] == "52428800"
        client.quit()


def test_a_client_that_talks_before_the_greeting_is_shown_out():
    with Server() as server:
        seen = set()
        for _ in range(20):
            connection, stream = server.raw("smtp")
            connection.sendall(b"EHLO client.example.net\r\nQUIT\r\n")
            seen.add(stream.read()[:4])
            connection.close()
        assert seen <= {b"554 ", b"220 "}, seen


def test_users_log_in_with_plain_and_login():
    with Server(config=WITH_AUTH, extra="") as server:
        for mechanism in ("PLAIN", "LOGIN"):
            client = server.smtp()
            client.user, client.password = "anna@example.org", PASSWORD
            method = getattr(client, "auth_" + mechanism.lower())
            assert client.auth(mechanism, method)[0] == 235
            client.sendmail("anna@example.org", ["ben@example.org"], MESSAGE)
            client.quit()
        pop3 = server.pop3("ben@example.org")
        assert b"ESMTPA" in b" ".join(pop3.retr(1)[1])
        pop3.quit()
        client = server.smtp()
        try:
            client.login("anna@example.org", "wrong")
            raise AssertionError("a wrong password was taken")
        except smtplib.SMTPAuthenticationError as error:
            assert error.smtp_code == 535, error


def test_five_hundred_recipients_get_one_message_each():
    users = ["user%d@example.org" % number for number in range(500)]
    with Server(users=users) as server:
        client = server.smtp()
        assert client.sendmail("carla@example.net", users + users[:10], MESSAGE) == {}
        client.quit()
        for user in (users[0], users[5], users[250], users[499]):
            assert count(server, user) == 1, user


def test_the_whole_dialogue_may_come_in_two_packets():
    with Server() as server:
        connection, stream = open_raw(server)
        for _ in range(3):
            connection.sendall(b"MAIL FROM:<carla@example.net>\r\nRCPT TO:<anna@example.org>\r\n"
                               b"RCPT TO:<nobody@example.org>\r\nDATA\r\n")
            codes = [line[:3] for line in replies(stream, 4)]
            assert codes == [b"250", b"250", b"550", b"354"], codes
            connection.sendall(MESSAGE + b".\r\nNOOP\r\n")
            assert [line[:3] for line in replies(stream, 2)] == [b"250", b"250"]
        connection.close()
        assert count(server) == 3


def test_chunks_of_any_size_make_the_same_message():
    octets = MESSAGE + b"." * 5000 + b"\r\n" + bytes(range(128, 256)) * 700 + b"\r\n.\r\n"
    with Server() as server:
        for size in (1000, 65536, 70000, len(octets)):
            connection, stream = open_raw(server)
            connection.sendall(b"MAIL FROM:<carla@example.net> BODY=8BITMIME\r\nRCPT TO:<anna@example.org>\r\n")
            replies(stream, 2)
            for at in range(0, len(octets), size):
                piece = octets[at:at + size]
                connection.sendall(b"BDAT %d\r\n" % len(piece) + piece)
            connection.sendall(b"BDAT 0 LAST\r\nQUIT\r\n")
            answers = stream.read().split(b"\r\n")
            assert all(line.startswith(b"2") for line in answers if line), answers
            connection.close()
        connection, stream = server.raw("pop3")
        connection.sendall(b"USER anna@example.org\r\nPASS %s\r\nRETR 1\r\nRETR 4\r\nQUIT\r\n" % PASSWORD.encode())
        text = stream.read()
        assert text.count(octets.replace(b"\r\n.", b"\r\n..")) == 2


def test_a_message_octet_by_octet_arrives_whole():
    with Server() as server:
        connection, stream = open_raw(server)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for step in (b"MAIL FROM:<>\r\n", b"RCPT TO:<anna@example.org>\r\n", b"DATA\r\n", MESSAGE + b".\r\n"):
            for octet in step:
                connection.sendall(bytes([octet]))
            assert stream.readline()[:1] in b"23"
        connection.close()
        assert count(server) == 1


def test_utf8_addresses_travel_with_smtputf8():
    with Server(users=("jörg@example.org",)) as server:
        client = server.smtp()
        client.sendmail("käthe@example.net", ["jörg@example.org"], MESSAGE, mail_options=["SMTPUTF8"])
        client.quit()


def test_swaks_and_curl_deliver():
    with Server() as server:
        port = server.ports["smtp"]
        subprocess.run([need("swaks"), "--server", "127.0.0.1:%d" % port, "--to", "anna@example.org",
                        "--from", "carla@example.net", "--pipeline", "--timeout", "20"],
                       check=True, stdout=subprocess.DEVNULL)
        path = os.path.join(server.dir, "message")
        with open(path, "wb") as stream:
            stream.write(MESSAGE)
        subprocess.run([need("curl"), "-sS", "smtp://127.0.0.1:%d" % port, "--mail-from", "carla@example.net",
                        "--mail-rcpt", "anna@example.org", "-T", path], check=True)
        assert count(server) == 2


def test_each_message_is_one_line_in_the_log():
    with Server() as server:
        server.send(MESSAGE, ["anna@example.org", "ben@example.org"])
        event = wait_for(lambda: server.events("received"), 5, "the line")[0]
        assert event["from"] == "carla@example.net" and event["recipients"] == 2, event
        assert event["octets"] == len(MESSAGE) and len(event["id"]) == 22, event
        try:
            server.send(MESSAGE, ["nobody@example.org"])
        except smtplib.SMTPRecipientsRefused:
            pass
        event = wait_for(lambda: server.events("refused"), 5, "the line")[0]
        assert event["recipient"] == "nobody@example.org" and event["reply"].startswith("550 5.1.1"), event


def test_forty_sessions_at_once_lose_nothing():
    failures = []

    def work(server):
        try:
            for _ in range(5):
                server.send(MESSAGE, ["anna@example.org", "ben@example.org"])
        except Exception as error:
            failures.append(error)

    with Server() as server:
        threads = [threading.Thread(target=work, args=(server,)) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures, failures[:3]
        assert count(server) == 200 and count(server, "ben@example.org") == 200


def test_junk_is_answered_slowly_and_then_not_at_all():
    options = lib.SMTP + "max-errors = 5\ndelay-errors = 2\nerror-delay = 300ms\n"
    with Server(config=lib.WHOLE.replace(lib.SMTP, options)) as server:
        connection, stream = open_raw(server)
        begun = time.monotonic()
        connection.sendall(b"JUNK\r\n" * 10)
        answers = stream.read().split(b"\r\n")
        assert [line[:3] for line in answers if line] == [b"500"] * 4 + [b"421"], answers
        assert time.monotonic() - begun > 0.5
        connection.close()


main(globals())
