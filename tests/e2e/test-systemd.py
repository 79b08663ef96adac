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

import lib
from lib import Server, free_ports, main, need, wait_for


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
