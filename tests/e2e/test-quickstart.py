#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-quickstart.py: the two ways of examples/quickstart.sh

With POSTHORN_CORPUS (tests/run.sh sets it where there is a corpus) the check also delivers every
message of that tar file.
"""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from lib import BUILD, SOURCE, Skip, main, need

SCRIPT = os.path.join(SOURCE, "examples", "quickstart.sh")
ENVIRONMENT = dict(os.environ, POSTHORN_BUILD_DIR=BUILD)


def check(*words):
    folder = tempfile.mkdtemp(prefix="posthorn-quickstart-")
    try:
        done = subprocess.run(["sh", SCRIPT, "--check", "--dir", folder, *words], env=ENVIRONMENT,
                              capture_output=True, text=True, timeout=280, check=False)
        for line in done.stdout.splitlines():
            if not line.endswith("ok   "):
                print("# " + line)
        assert done.returncode == 0, done.stderr
        passed, failed = re.search(r"^(\d+) passed, (\d+) failed$", done.stdout, re.MULTILINE).groups()
        assert failed == "0"
        assert os.listdir(folder) == [], "left behind: %s" % os.listdir(folder)
        return int(passed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_check_finds_every_octet_of_the_example_mail_again():
    assert check() > 100


def test_check_finds_every_octet_of_a_corpus_again():
    corpus = os.environ.get("POSTHORN_CORPUS")
    if not corpus:
        raise Skip("no corpus of real mail here")
    assert check("--corpus", corpus) > 1000


class Quickstart:
    """The script as a person runs it, until the three lines to copy are there."""

    def __init__(self, folder):
        self.lines = []
        started = time.monotonic()
        self.process = subprocess.Popen(["sh", SCRIPT, "--dir", folder], env=ENVIRONMENT, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL)
        timer = threading.Timer(120, self.process.kill)
        timer.start()
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith("Everything is in"):
                break
        timer.cancel()
        self.seconds = time.monotonic() - started

    def commands(self):
        return [line for line in self.lines if line.startswith(("printf ", "curl "))]

    def password(self):
        return next(line.split()[1] for line in self.lines if line.startswith("  ben@example.org"))

    def interrupt(self):
        """What Ctrl-C does; the exit status."""
        self.process.send_signal(signal.SIGINT)
        self.process.stdout.read()
        return self.process.wait(20)


def test_the_three_lines_to_copy_work_and_ctrl_c_stops_cleanly():
    need("curl")
    folder = tempfile.mkdtemp(prefix="posthorn-quickstart-")
    try:
        first = Quickstart(folder)
        commands = first.commands()
        assert len(commands) == 3, first.lines
        answers = []
        for command in commands:
            done = subprocess.run(command, shell=True, capture_output=True, timeout=30, check=False)
            assert done.returncode == 0, (command, done.stderr)
            answers.append(done.stdout)
        assert answers[1].endswith(b"Subject: Hello\r\n\r\nHello Ben.\r\n"), answers
        assert answers[2].endswith(b"Subject: Hello\r\n\r\nHello Ben.\r\n"), answers
        password = first.password()
        assert first.interrupt() == 0
        second = Quickstart(folder)
        assert second.password() == password
        assert second.seconds < 5, "the second start took %.1f s" % second.seconds
        done = subprocess.run(second.commands()[1], shell=True, capture_output=True, timeout=30,
                              check=False)
        assert done.stdout == answers[1], "the mail of the first run is gone"
        assert second.interrupt() == 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main(globals())
