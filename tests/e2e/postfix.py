# SPDX-License-Identifier: LGPL-2.1-or-later
"""postfix.py: a Postfix of one's own on a loopback port, for tests that need another mail server

It runs from a scratch folder with its own queue, configuration and users' names, is started in the
foreground and stopped by its process id. Postfix's master needs root, so without it tests skip.
"""
import os
import shutil
import signal
import socket
import subprocess
import tempfile

from lib import Skip, free_ports, need, wait_for

MAIN = """
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = {dir}/etc
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = postfix.example.net
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
maillog_file = /dev/stdout
smtp_address_preference = ipv4
queue_run_delay = 2s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
"""
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""


class Postfix:
    """with Postfix("relay_domains = ...\\n") as postfix: postfix.port, postfix.log"""

    def __init__(self, options):
        self.program = need("postfix")
        if os.geteuid() != 0:
            raise Skip("Postfix starts as root only")
        self.options = options
        self.port = free_ports(1)[0]
        self.dir = None
        self.process = None

    def make(self):
        self.dir = tempfile.mkdtemp(prefix="posthorn-postfix-")
        os.chmod(self.dir, 0o755)
        for name in ("etc", "queue", "data"):
            os.mkdir(os.path.join(self.dir, name))
        shutil.chown(self.dir + "/data", "postfix")
        for name, text in (("main.cf", MAIN + self.options), ("master.cf", MASTER)):
            with open(os.path.join(self.dir, "etc", name), "w", encoding="ascii") as stream:
                stream.write(text.format(dir=self.dir, port=self.port))
        for name in ("postfix-files", "dynamicmaps.cf"):
            if os.path.exists("/etc/postfix/" + name):
                shutil.copy("/etc/postfix/" + name, self.dir + "/etc/" + name)

    def __enter__(self):
        self.make()
        with open(self.dir + "/log", "wb") as log:
            self.process = subprocess.Popen([self.program, "-c", self.dir + "/etc", "start-fg"],
                                            stdout=log, stderr=subprocess.STDOUT,
                                            stdin=subprocess.DEVNULL)
        try:
            wait_for(self.listens, 15, "Postfix")
        except BaseException:
            self.__exit__(True, None, None)
            raise
        return self

    def listens(self):
        if self.process.poll() is not None:
            raise AssertionError("Postfix ended:\n" + self.log())
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
                return connection.recv(4) == b"220 "
        except OSError:
            return False

    def log(self):
        with open(self.dir + "/log", encoding="utf-8", errors="replace") as stream:
            return stream.read()

    def stop_master(self):
        """The process that was started may be a shell that only waits for the master."""
        try:
            with open(self.dir + "/queue/pid/master.pid", encoding="ascii") as stream:
                os.kill(int(stream.read()), signal.SIGTERM)
        except (OSError, ValueError):
            self.process.send_signal(signal.SIGTERM)

    def __exit__(self, kind, value, trace):
        if kind is not None:
            for line in self.log().splitlines()[-30:]:
                print("# postfix: " + line)
        self.stop_master()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
