# SPDX-License-Identifier: LGPL-2.1-or-later
"""served.py: a posthorn server for the tests of a plugin, with ports and a folder of its own

    from served import Served

    with Served(program, config) as server:
        client = imaplib.IMAP4("127.0.0.1", server.port(1143))

The config is the one that was written for people: each port after 127.0.0.1: becomes a free one,
which `port` tells, `data` a new folder, and failed logins are answered at once.
"""
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

START_SECONDS = 20


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Served:
    """One `posthorn serve`, stopped at the end of the block."""

    def __init__(self, program, config, values=()):
        self.program = program
        self.folder = tempfile.mkdtemp(prefix="posthorn-plugin-")
        self.ports = {}
        self.process = None
        with open(config, encoding="utf-8") as stream:
            text = stream.read()
        for name, value in dict(values).items():
            text = text.replace(name, value)
        text = re.sub(r"127\.0\.0\.1:(\d+)", self.other_port, text)
        text = re.sub(r"(?m)^data *=.*$", "data = %s/data\nlogin-delay = 1ms" % self.folder, text)
        self.config = os.path.join(self.folder, "posthorn.conf")
        with open(self.config, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(self.config, 0o600)

    def other_port(self, match):
        number = int(match.group(1))
        self.ports[number] = self.ports.get(number) or free_port()
        return "127.0.0.1:%d" % self.ports[number]

    def port(self, number):
        """The port that stands for this one of the config."""
        return self.ports[number]

    def run(self, *words):
        """Output and errors of the program with this config."""
        done = subprocess.run([self.program, *words, "-c", self.config], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return done.returncode, done.stdout

    def listens(self, port):
        assert self.process.poll() is None, "the server has ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            return False

    def __enter__(self):
        status, text = self.run("check")
        assert status == 0, text
        self.process = subprocess.Popen([self.program, "serve", "-c", self.config])
        end = time.monotonic() + START_SECONDS
        while not all(map(self.listens, self.ports.values())):
            assert time.monotonic() < end, "the server does not listen"
            time.sleep(0.05)
        return self

    def __exit__(self, kind, value, trace):
        self.process.terminate()
        try:
            self.process.wait(10)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
