#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-pop3.py: POP3 over real sockets: clients, pipelining, locks, removal that lasts"""
import email
import email.policy
import poplib
import subprocess

import lib
from lib import PASSWORD, Server, main, need

BODY = b"Subject: number %d\r\n\r\nline one\r\n.dot\r\nline three\r\n"


def fill(server, count, user="anna@example.org"):
    client = server.smtp()
    for number in range(1, count + 1):
        client.sendmail("carla@example.net", [user], BODY % number)
    client.quit()


def refused(function, *words):
    try:
        function(*words)
    except poplib.error_proto as error:
        return error.args[0]
    raise AssertionError("%s %s was taken" % (function, words))


def test_poplib_lists_reads_and_removes():
    with Server() as server:
        fill(server, 3)
        pop3 = server.pop3()
        assert pop3.stat()[0] == 3
        sizes = [line.split() for line in pop3.list()[1]]
        assert sum(int(size) for _, size in sizes) == pop3.stat()[1]
        names = [line.split()[1] for line in pop3.uidl()[1]]
        assert len(set(names)) == 3
        lines = pop3.retr(2)[1]
        assert lines[-3:] == [b"line one", b".dot", b"line three"], lines
        assert b"\r\n".join(lines).__len__() + 2 == int(sizes[1][1])
        assert pop3.top(3, 1)[1][-2:] == [b"", b"line one"]
        pop3.dele(1)
        pop3.dele(3)
        assert pop3.stat()[0] == 1
        assert refused(pop3.retr, 1).startswith(b"-ERR")
        pop3.quit()
        pop3 = server.pop3()
        assert [line.split()[1] for line in pop3.uidl()[1]] == [names[1]]
        pop3.quit()


def test_names_of_messages_last_over_sessions_and_restarts():
    with Server() as server:
        fill(server, 2)
        names = []
        for _ in range(2):
            pop3 = server.pop3()
            names.append(pop3.uidl()[1])
            pop3.quit()
        server.stop()
        server.start()
        pop3 = server.pop3()
        assert names[0] == names[1] == pop3.uidl()[1]
        pop3.quit()


def test_removal_survives_a_kill_after_quit():
    with Server() as server:
        for number in range(5):
            fill(server, 2)
            pop3 = server.pop3()
            assert pop3.stat()[0] == 2, number
            pop3.dele(1)
            pop3.dele(2)
            assert pop3.quit().startswith(b"+OK")
            server.kill()
            server.start()
        pop3 = server.pop3()
        assert pop3.stat()[0] == 0
        pop3.quit()


def test_a_second_session_is_told_in_use_and_gets_in_after_quit():
    with Server() as server:
        fill(server, 1)
        for _ in range(20):
            first = server.pop3()
            assert b"[IN-USE]" in refused(server.pop3)
            first.quit()
            server.pop3().quit()


def test_a_connection_that_breaks_removes_nothing():
    with Server() as server:
        fill(server, 1)
        pop3 = server.pop3()
        pop3.dele(1)
        pop3.sock.close()
        pop3.file.close()

        def again():
            try:
                return server.pop3()
            except poplib.error_proto:
                return None

        pop3 = lib.wait_for(again, 5, "the maildrop")
        assert pop3.stat()[0] == 1
        pop3.quit()


def test_a_hundred_commands_in_one_packet():
    with Server() as server:
        fill(server, 50)
        connection, stream = server.raw("pop3")
        commands = [b"USER anna@example.org", b"PASS " + PASSWORD.encode()]
        commands += [b"RETR %d" % number for number in range(1, 51)]
        commands += [b"DELE %d" % number for number in range(1, 51)] + [b"QUIT"]
        connection.sendall(b"\r\n".join(commands) + b"\r\n")
        text = stream.read()
        connection.close()
        assert text.count(b"\r\n.\r\n") == 50 and text.count(b"+OK marked") == 50
        assert all(b"Subject: number %d\r\n" % number in text for number in range(1, 51))
        pop3 = server.pop3()
        assert pop3.stat()[0] == 0
        pop3.quit()


def test_large_messages_come_back_whole():
    octets = b"Subject: large\r\n\r\n" + b"".join(b".%d" % n + b"x" * 70 + b"\r\n" for n in range(70000))
    with Server() as server:
        server.send(octets)
        connection, stream = server.raw("pop3")
        connection.sendall(b"USER anna@example.org\r\nPASS %s\r\nRETR 1\r\nQUIT\r\n" % PASSWORD.encode())
        text = stream.read()
        connection.close()
        assert octets.replace(b"\r\n.", b"\r\n..") + b".\r\n" in text


def test_passwords_need_tls_from_far_and_stls_gives_it():
    with Server(config=lib.WHOLE + lib.TLS) as server:
        pop3 = poplib.POP3("localhost", server.ports["pop3"], timeout=30)
        assert "STLS" in pop3.capa()
        pop3.stls(server.trust())
        assert "STLS" not in pop3.capa()
        pop3.user("anna@example.org")
        pop3.pass_(PASSWORD)
        assert pop3.stat() == (0, 0)
        pop3.quit()


def test_wrong_passwords_are_answered_late_and_counted():
    with Server() as server:
        pop3 = poplib.POP3("127.0.0.1", server.ports["pop3"], timeout=30)
        pop3.user("anna@example.org")
        assert b"[AUTH]" in refused(pop3.pass_, "wrong")
        pop3.user("anna@example.org")
        pop3.pass_(PASSWORD)
        pop3.quit()


def with_options(text):
    return lib.WHOLE.replace("plugin = pop3\n", "plugin = pop3\n" + text)


def enter(server):
    """Logs in; the server's last word."""
    pop3 = poplib.POP3("127.0.0.1", server.ports["pop3"], timeout=30)
    pop3.user("anna@example.org")
    return pop3, pop3.pass_(PASSWORD)


def test_who_comes_back_early_is_sent_away():
    with Server(config=with_options("login-delay = 1h\n")) as server:
        pop3, _ = enter(server)
        assert pop3.capa()["LOGIN-DELAY"] == ["3600"]
        pop3.quit()
        again = poplib.POP3("127.0.0.1", server.ports["pop3"], timeout=30)
        again.user("anna@example.org")
        assert refused(again.pass_, PASSWORD).startswith(b"-ERR [LOGIN-DELAY]")
        again.user("ben@example.org")
        again.pass_(PASSWORD)
        again.quit()


def test_a_shared_maildrop_takes_two_sessions():
    with Server(config=with_options("maildrop = shared\nexpire = 30d\n")) as server:
        fill(server, 3)
        first, _ = enter(server)
        assert first.capa()["EXPIRE"] == ["30"]
        second, _ = enter(server)
        first.dele(1)
        second.dele(1)
        second.dele(2)
        first.quit()
        assert second.retr(3)[1][-1] == b"line three"
        second.quit()
        third, _ = enter(server)
        assert third.stat()[0] == 1
        third.quit()


WIDE = "Subject: Grüße\r\n\r\nplain\r\n".encode()


def send_wide(server):
    client = server.smtp()
    client.sendmail("carla@example.net", ["anna@example.org"], WIDE, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    client.quit()


def test_a_wide_header_goes_out_as_it_is_or_only_after_utf8():
    with Server(config=with_options("utf8-headers = refuse\n")) as server:
        send_wide(server)
        pop3, _ = enter(server)
        assert refused(pop3.retr, 1).startswith(b"-ERR [UTF8]")
        assert refused(pop3.top, 1, 0).startswith(b"-ERR [UTF8]")
        pop3.quit()
        pop3 = poplib.POP3("127.0.0.1", server.ports["pop3"], timeout=30)
        assert pop3.capa()["UTF8"] == ["USER"]
        pop3.utf8()
        pop3.user("anna@example.org")
        pop3.pass_(PASSWORD)
        assert "Subject: Grüße".encode() in pop3.retr(1)[1]
        assert refused(pop3._shortcmd, "UTF8").startswith(b"-ERR")
        pop3.quit()
    with Server(config=with_options("utf8-headers = send\n")) as server:
        send_wide(server)
        pop3, _ = enter(server)
        assert "Subject: Grüße".encode() in pop3.retr(1)[1]
        pop3.quit()


def test_who_has_not_said_utf8_gets_headers_in_ascii():
    with Server() as server:
        send_wide(server)
        pop3, _ = enter(server)
        answer, lines, _ = pop3.retr(1)
        head = lines[:lines.index(b"")]
        assert all(line.isascii() for line in head), head
        parsed = email.message_from_bytes(b"\r\n".join(lines), policy=email.policy.default)
        assert parsed["Subject"] == "Grüße" and parsed.get_content().strip() == "plain"
        assert int(answer.split()[1]) == sum(len(line) + 2 for line in lines)
        assert pop3.top(1, 0)[1][:len(head)] == head
        pop3.quit()
        pop3 = poplib.POP3("127.0.0.1", server.ports["pop3"], timeout=30)
        pop3.utf8()
        pop3.user("anna@example.org")
        pop3.pass_(PASSWORD)
        assert "Subject: Grüße".encode() in pop3.retr(1)[1]
        pop3.quit()
        for command in (["curl", "-sS", "pop3://127.0.0.1:%d/1" % server.ports["pop3"], "-u",
                         "anna@example.org:" + PASSWORD],):
            done = subprocess.run(command, capture_output=True, timeout=30, check=True)
            assert b"Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n" in done.stdout, done


def test_names_outside_ascii_log_in():
    with Server(users=("anna@example.org", "jürgen@example.org")) as server:
        pop3 = poplib.POP3("127.0.0.1", server.ports["pop3"], timeout=30)
        pop3.encoding = "utf-8"
        pop3.utf8()
        pop3.user("jürgen@example.org")
        pop3.pass_(PASSWORD)
        pop3.quit()


def test_languages_are_listed_and_chosen():
    with Server() as server:
        pop3 = poplib.POP3("127.0.0.1", server.ports["pop3"], timeout=30)
        assert "LANG" in pop3.capa()
        assert pop3._longcmd("LANG")[1] == [b"en English", b"i-default English"]
        assert pop3._shortcmd("LANG *").startswith(b"+OK en ")
        assert pop3._shortcmd("LANG en-GB").startswith(b"+OK en ")
        assert refused(pop3._shortcmd, "LANG MUL").startswith(b"-ERR")
        pop3.quit()


def test_curl_reads_by_number():
    with Server() as server:
        fill(server, 1)
        done = subprocess.run([need("curl"), "-sS", "pop3://127.0.0.1:%d/1" % server.ports["pop3"],
                               "--user", "anna@example.org:" + PASSWORD],
                              check=True, capture_output=True)
        assert done.stdout.endswith(BODY % 1), done.stdout


main(globals())
