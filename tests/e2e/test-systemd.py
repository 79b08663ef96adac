#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-systemd.py: readiness, reload and stop are told; sockets are taken over"""
import os
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import threading

import lib
from lib import Server, Skip, free_ports, main, need, wait_for


class NotifySocket:
    """What systemd's end of $NOTIFY_SOCKET would see."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self.socket.settimeout(0.05)
        self.lines = []

    def saw(self, line):
        try:
            while True:
                self.lines += self.socket.recv(65536).decode().split("\n")
        except TimeoutError:
            return line in self.lines


def test_readiness_is_told_when_ports_are_open_and_stopping_when_it_stops():
    server = Server()
    notify = NotifySocket(server.dir)
    server.environment["NOTIFY_SOCKET"] = notify.path
    with server:
        wait_for(lambda: notify.saw("READY=1"), 10, "READY=1")
        server.send(b"Subject: x\r\n\r\nx\r\n")
        assert not notify.saw("STOPPING=1")
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: notify.saw("STOPPING=1"), 10, "STOPPING=1")
        assert server.process.wait(10) == 0


def test_reload_is_told_and_readiness_again_after_it():
    server = Server()
    notify = NotifySocket(server.dir)
    server.environment["NOTIFY_SOCKET"] = notify.path
    with server:
        wait_for(lambda: notify.saw("READY=1"), 10, "READY=1")
        notify.lines.clear()
        assert server.run("reload").returncode == 0
        wait_for(lambda: notify.saw("RELOADING=1"), 10, "RELOADING=1")
        wait_for(lambda: notify.saw("READY=1"), 10, "READY=1 after the reload")


def test_a_socket_that_systemd_opened_is_served():
    activate = need("systemd-socket-activate")
    port = free_ports(1)[0]
    config = lib.SERVER + lib.PEOPLE + lib.STORE + lib.ROUTE + \
        lib.SMTP.replace("127.0.0.1:{smtp}", "systemd:mail")
    server = Server(config=config, ports=())
    process = subprocess.Popen([activate, "-l", "127.0.0.1:%d" % port, "--fdname=mail",
                                lib.PROGRAM, "serve", "-c", server.config],
                               stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        def greets():
            try:
                with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
                    return client.noop()[0] == 250
            except OSError:
                assert process.poll() is None, process.stderr.read()
                return False
        wait_for(greets, 15, "a greeting on the socket")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stderr.close()
        server.__exit__(None, None, None)


def start_with_socket(server, port, name):
    """Starts `serve` as systemd does, with a socket on that port under that name."""
    with socket.create_server(("127.0.0.1", port)) as passed:
        words = ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@" 3<&%d' % passed.fileno(), "sh",
                 lib.PROGRAM, "serve", "-c", server.config]
        server.process = subprocess.Popen(
            words, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, pass_fds=[passed.fileno()],
            env=dict(os.environ, LISTEN_FDS="1", LISTEN_FDNAMES=name))
    threading.Thread(target=server.keep_log, args=(server.process.stderr,), daemon=True).start()
    wait_for(lambda: server.events("ready"), 15, "the start")


def test_a_listener_whose_address_is_elsewhere_is_served_by_a_socket_that_is_open():
    # 203.0.113.7 is no machine's: an address that another node has for now
    port = free_ports(1)[0]
    config = lib.SERVER + lib.PEOPLE + lib.STORE + lib.ROUTE + \
        lib.SMTP.replace("127.0.0.1:{smtp}", "203.0.113.7:2525")
    server = Server(config=config, ports=())
    try:
        start_with_socket(server, port, "smtp")
        with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
            assert client.noop()[0] == 250
        done = server.run("reload")
        assert done.returncode == 0, done.stderr
        more = "\n[listener more]\nplugin = smtp\naddress = 198.51.100.7:2525\n"
        server.write_config(server.text + more)
        done = server.run("reload")
        assert done.returncode != 0 and "'more'" in done.stderr, (done, server.log)
        assert "this machine does not have the address" in done.stderr, done.stderr
        server.write_config(server.text)
        os.kill(server.worker(), signal.SIGKILL)
        wait_for(lambda: len(server.events("ready")) == 2, 10, "a new worker")
        assert server.stop() == 0
    finally:
        server.__exit__(None, None, None)


def test_an_address_that_is_elsewhere_stops_serve_and_check_but_no_tool():
    config = lib.SERVER + lib.PEOPLE + lib.STORE + lib.ROUTE + \
        lib.SMTP.replace("127.0.0.1:{smtp}", "203.0.113.7:2525") + \
        "\n[listener imap]\nplugin = imap\naddress = 203.0.113.7:2143\nstore = mail\n" \
        "directory = people\nmechanisms = plain\n"
    server = Server(config=config, ports=())
    try:
        for words in (["check"], ["serve"]):
            done = server.run(*words)
            assert done.returncode == 1 and "this machine does not have" in done.stderr, done.stderr
        done = server.run("check", "--no-addresses")
        assert done.returncode == 0, done.stderr
        for words, stdin in ((["store", "check", "mail", "--all"], None),
                             (["user", "add", "carla@example.org", "--stdin"], "secret\n"),
                             (["auth", "test", "carla@example.org", "--password-stdin"], "secret\n"),
                             (["explain", "carla@example.org"], None)):
            done = server.run(*words, stdin=stdin)
            assert done.returncode == 0, (words, done.stdout, done.stderr)
    finally:
        server.__exit__(None, None, None)


def test_a_folder_that_may_not_be_looked_at_is_not_called_missing():
    if os.geteuid() != 0:
        raise Skip("needs root to become somebody else")
    config = lib.SERVER + lib.PEOPLE + lib.STORE + lib.ROUTE + \
        lib.SMTP.replace("127.0.0.1:{smtp}", "unix:{dir}/closed/in/socket, unix:{dir}/none/socket")
    server = Server(config=config, ports=())
    try:
        os.makedirs(server.dir + "/closed/in")
        os.chmod(server.dir + "/closed", 0o700)
        os.chmod(server.dir, 0o755)
        done = subprocess.run([lib.PROGRAM, "check", "-c", server.config], user=65534, group=65534,
                              extra_groups=[], text=True, capture_output=True, check=False)
        assert "/none' of the socket in [listener smtp] does not exist" in done.stderr, done.stderr
        assert "/closed/in" not in done.stderr, done.stderr
    finally:
        server.__exit__(None, None, None)


def test_the_unit_and_its_drop_in_for_pam_are_understood():
    analyze = need("systemd-analyze")
    with tempfile.TemporaryDirectory() as folder:
        with open(lib.BUILD + "/contrib/posthorn.service", encoding="ascii") as stream:
            unit = re.sub(r"(?m)^(Exec\w+=)\S+", r"\1/bin/true", stream.read())
        with open(folder + "/posthorn.service", "w", encoding="ascii") as stream:
            stream.write(re.sub("(?m)^Documentation=.*\n", "", unit))
        for drop_in in (False, True):
            if drop_in:
                os.mkdir(folder + "/posthorn.service.d")
                shutil.copy(lib.SOURCE + "/contrib/posthorn-pam.conf",
                            folder + "/posthorn.service.d/pam.conf")
            done = subprocess.run([analyze, "verify", "posthorn.service"], check=False, text=True,
                                  capture_output=True, env=dict(os.environ, SYSTEMD_UNIT_PATH=folder + ":"))
            wrong = [line for line in done.stderr.splitlines() if "posthorn" in line or "pam" in line]
            assert done.returncode == 0 and not wrong, done.stderr


main(globals())
