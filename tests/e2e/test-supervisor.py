#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-supervisor.py: a worker that dies, is replaced, is sandboxed; STARTTLS; PROXY headers"""
import os
import signal
import socket
import ssl
import time

from lib import TLS, WHOLE, Server, main, wait_for

MESSAGE = b"Subject: Hello\r\n\r\nHello.\r\n"


def status_of(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as stream:
        return dict(line.rstrip("\n").split(":\t", 1) for line in stream if ":\t" in line)


def test_a_killed_worker_is_replaced_and_clients_wait_meanwhile():
    with Server(WHOLE) as server:
        server.send(MESSAGE)
        first = server.worker()
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: server.events("worker-died"), 5, "the log of the death")
        # The port is open all the time: this connection waits in the backlog.
        server.send(MESSAGE)
        assert server.worker() != first
        died = server.events("worker-died")[0]
        assert died["worker"] == first and "signal 9" in died["why"], died
        imap = server.imap()
        assert imap.select("INBOX")[1] == [b"2"]
        imap.logout()
        assert server.stop() == 0


def test_a_worker_that_keeps_dying_is_started_ever_later():
    with Server(WHOLE) as server:
        for _ in range(2):
            os.kill(server.worker(), signal.SIGKILL)
            before = len(server.events("ready"))
            wait_for(lambda before=before: len(server.events("ready")) > before, 10, "a new worker")
        died, ready = server.events("worker-died"), server.events("ready")
        assert len(died) == 2 and len(ready) == 3
        assert ready[2]["worker"] != ready[1]["worker"]


def test_the_worker_dies_with_its_supervisor():
    server = Server(WHOLE)
    with server:
        worker = server.worker()
        server.process.kill()
        server.process.wait()
        server.process = None
        wait_for(lambda: not os.path.exists("/proc/%d" % worker), 10, "the worker's end")


def test_the_worker_has_no_rights_that_it_does_not_need():
    with Server(WHOLE) as server:
        status = status_of(server.worker())
        assert status["NoNewPrivs"] == "1"
        assert int(status["CapEff"], 16) == 0 and int(status["CapBnd"], 16) == 0
        # 0 in builds with a sanitizer, whose runtime needs the calls
        assert status["Seccomp"] in ("0", "2")
        with open("/proc/%d/limits" % server.worker(), encoding="ascii") as limits:
            core = [line for line in limits if line.startswith("Max core file size")][0]
        assert core.split()[4:6] == ["0", "0"], core


def test_a_config_that_needs_another_folder_is_handed_over_to_a_new_worker():
    with Server(WHOLE) as server:
        server.send(MESSAGE)
        first = server.worker()
        os.mkdir(server.dir + "/data2")
        server.write_config(server.text.replace("data = {data}", "data = {data}2"))
        # The socket that is asked stands in the old data folder.
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: server.events("reloaded"), 10, "the reload")
        assert "took over" in server.events("reloaded")[0]["how"]
        wait_for(lambda: not os.path.exists("/proc/%d" % first), 10, "the old worker's end")
        server.send(MESSAGE)
        imap = server.imap()
        assert imap.select("INBOX")[1] == [b"1"], "the new data folder is not in use"
        imap.logout()


def test_a_listener_comes_and_goes_by_reload():
    with Server(WHOLE) as server:
        more = "\n[listener more]\nplugin = smtp\naddress = 127.0.0.1:0\n"
        server.write_config(server.text + more)
        assert server.run("reload").returncode == 0
        port = [event["port"] for event in server.events("listening") if event["name"] == "more"][0]
        with socket.create_connection(("127.0.0.1", port), 5) as one:
            assert one.makefile("rb").readline().startswith(b"220 ")
        server.write_config(server.text)
        assert server.run("reload").returncode == 0

        def is_closed():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) != 0
        wait_for(is_closed, 5, "the port to close")
        server.send(MESSAGE)


def test_stop_is_over_in_five_seconds_with_a_client_in_the_middle_of_a_message():
    with Server(WHOLE) as server:
        connection, reader = server.raw("smtp")
        reader.readline()
        for command in (b"EHLO x", b"MAIL FROM:<a@b.example>", b"RCPT TO:<anna@example.org>", b"DATA"):
            connection.sendall(command + b"\r\n")
            while reader.readline()[3:4] == b"-":
                pass
        connection.sendall(b"Subject: never ends\r\n")
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 5.5
        connection.close()


def test_input_behind_starttls_is_never_taken_for_encrypted():
    with Server(WHOLE + TLS) as server:
        connection, reader = server.raw("smtp")
        reader.readline()
        connection.sendall(b"EHLO x\r\n")
        while reader.readline()[3:4] == b"-":
            pass
        connection.sendall(b"STARTTLS\r\nRSET\r\n")
        rest = reader.read()
        assert b"250" not in rest, rest
        connection.close()


def test_starttls_forgets_what_was_said_before():
    with Server(WHOLE + TLS) as server:
        connection, reader = server.raw("smtp")
        reader.readline()
        connection.sendall(b"EHLO x\r\n")
        while reader.readline()[3:4] == b"-":
            pass
        connection.sendall(b"STARTTLS\r\n")
        assert reader.readline().startswith(b"220 ")
        context = ssl.create_default_context(cafile=server.dir + "/cert.pem")
        secure = context.wrap_socket(connection, server_hostname="mail.example.org")
        assert secure.version() in ("TLSv1.2", "TLSv1.3")
        reader = secure.makefile("rb")
        secure.sendall(b"MAIL FROM:<a@b.example>\r\n")
        assert reader.readline().startswith(b"503 "), "the EHLO before TLS still counts"
        secure.close()


def test_a_bad_certificate_keeps_the_old_one():
    with Server(WHOLE + TLS) as server:
        with open(server.dir + "/cert.pem", "w", encoding="ascii") as stream:
            stream.write("not a certificate\n")
        done = server.run("reload")
        assert done.returncode == 1
        assert "cert.pem" in done.stderr, done.stderr
        connection, reader = server.raw("smtp")
        reader.readline()
        connection.sendall(b"EHLO x\r\n")
        lines = [reader.readline()]
        while lines[-1][3:4] == b"-":
            lines.append(reader.readline())
        assert any(b"STARTTLS" in line for line in lines), lines
        connection.close()


def test_a_failed_handshake_is_one_line_with_its_reason():
    with Server(WHOLE + TLS + """
[listener imaps]
plugin = imap
address = 127.0.0.1:0
tls = implicit
store = mail
directory = people
mechanisms = plain
""") as server:
        port = [event["port"] for event in server.events("listening") if event["name"] == "imaps"][0]
        with socket.create_connection(("127.0.0.1", port), 5) as one:
            one.sendall(b"a001 LOGIN anna secret\r\n")
            assert not one.makefile("rb").read().startswith(b"*")
        wait_for(lambda: server.events("tls-failed"), 5, "the line")
        failed = server.events("tls-failed")
        assert len(failed) == 1 and "wrong version number" in failed[0]["error"], failed
        assert failed[0]["peer"] == "127.0.0.1"


PROXY = WHOLE.replace("[listener smtp]\n", "[listener smtp]\nproxy-protocol = 127.0.0.0/8\n")


def test_the_client_is_who_the_proxy_says():
    with Server(PROXY) as server:
        connection, reader = server.raw("smtp")
        connection.sendall(b"PROXY TCP4 192.0.2.77 127.0.0.1 4711 25\r\n")
        assert reader.readline().startswith(b"220 ")
        for command in (b"EHLO client.example", b"MAIL FROM:<a@b.example>",
                        b"RCPT TO:<anna@example.org>", b"DATA"):
            connection.sendall(command + b"\r\n")
            while reader.readline()[3:4] == b"-":
                pass
        connection.sendall(MESSAGE + b".\r\n")
        assert reader.readline().startswith(b"250 ")
        connection.close()
        imap = server.imap()
        imap.select("INBOX")
        octets = imap.fetch("1", "(BODY.PEEK[HEADER])")[1][0][1]
        assert b"192.0.2.77" in octets, octets
        imap.logout()


def test_a_client_without_the_header_gets_nothing_from_a_listener_behind_a_proxy():
    with Server(PROXY) as server:
        connection, reader = server.raw("smtp")
        connection.sendall(b"EHLO client.example\r\n")
        try:
            assert reader.read() == b""
        except ConnectionResetError:
            pass
        connection.close()
        told = wait_for(lambda: server.events("proxy-header"), 5, "the line")[0]
        assert told["section"] == "smtp" and told["address"] == "127.0.0.1", told


def test_who_is_turned_away_stands_in_the_log():
    config = WHOLE.replace("[listener smtp]\n", "[listener smtp]\nmax-connections = 3\n").replace(
        "[listener imap]\n", "[listener imap]\nmax-connections-per-address = 3\n")
    with Server(config) as server:
        crowd = [server.raw(port) for port in ("smtp", "imap") for _ in range(4)]
        greetings = [reader.readline() for _, reader in crowd]
        assert greetings[3] == b"421 4.7.0 too many connections, try later\r\n", greetings
        assert greetings[7] == b"* BYE [LIMIT] Too many connections.\r\n", greetings

        def told(section):
            return [line for line in server.events("connection-refused")
                    if line["section"] == section and line["address"] == "127.0.0.1"]
        assert "this listener" in wait_for(lambda: told("smtp"), 5, "a line")[0]["message"]
        assert "this address" in wait_for(lambda: told("imap"), 5, "a line")[0]["message"]
        for connection, _ in crowd:
            connection.close()


main(globals())
