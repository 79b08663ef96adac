# SPDX-License-Identifier: LGPL-2.1-or-later
"""lib.py: what the end-to-end tests share: a server of one's own, TAP output, small clients

A test is a script with functions `test_what_is_promised()`; main() runs them in order and prints
TAP. Server writes a config into a temporary folder, starts `posthorn serve` on loopback ports that
nobody has, waits until every listener answers, and stops it by its process id.

    from lib import Server, main

    def test_greets():
        with Server() as server:
            assert server.smtp().docmd("NOOP")[0] == 250

    main(globals())
"""
import imaplib
import json
import os
import poplib
import random
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback

SOURCE = os.environ.get("POSTHORN_SOURCE_DIR") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("POSTHORN_BUILD_DIR") or os.path.join(SOURCE, "build")
PROGRAM = os.environ.get("POSTHORN_PROGRAM") or os.path.join(BUILD, "core", "posthorn")
PLUGINS = os.environ.get("POSTHORN_PLUGINS") or os.path.join(BUILD, "plugins")
WORKERS = os.environ.get("POSTHORN_WORKERS")  # the suite also runs with a pool of one
DURABILITY = os.environ.get("POSTHORN_DURABILITY")  # and with a journal
PASSWORD = "correct horse"
START_SECONDS = 20
STOP_SECONDS = 10

SERVER = """[server]
hostname = mail.example.org
data = {data}
plugin-path = {plugins}
log = json
"""
PEOPLE = """
[directory people]
plugin = passwd-file
path = {dir}/users
"""
STORE = """
[store mail]
plugin = sqlite
path = {{data}}/mail/{{domain}}/{{user}}
"""
# Other stores for the same tests, by the name of their plugin.
STORES = {
    "sqlite": STORE,
    "maildir": """
[store mail]
plugin = maildir
path = {{data}}/mail/{{domain}}/{{user}}
""",
    "mbox": """
[store mail]
plugin = mbox
inbox = {{data}}/mail/{{domain}}/{{user}}/inbox
folders = {{data}}/mail/{{domain}}/{{user}}/folders
index = {{data}}/mail/{{domain}}/{{user}}/index.sqlite
write-delay = 0s
""",
}
BELOW = STORE.replace("[store mail]", "[store octets]")
COMPRESS = """
[store mail]
plugin = compress
below = octets
"""
ENCRYPT = """
[store mail]
plugin = encrypt
below = octets
keys = {dir}/key
"""
MIRROR = """
[store mail]
plugin = mirror
first = octets
second = second
"""
STORES.update({
    "compress": BELOW + COMPRESS,
    "compress-maildir": STORES["maildir"].replace("[store mail]", "[store octets]") + COMPRESS,
    "encrypt": BELOW + ENCRYPT,
    "compress-encrypt": BELOW + ENCRYPT.replace("[store mail]", "[store sealed]")
                        + COMPRESS.replace("octets", "sealed"),
    "mirror": BELOW + BELOW.replace("octets", "second").replace("/mail/", "/second/") + MIRROR,
})
ROUTE = """
[route local]
domains = example.org
transport = store
store = mail
directory = people
"""
SMTP = """
[listener smtp]
plugin = smtp
address = 127.0.0.1:{smtp}
"""
IMAP = """
[listener imap]
plugin = imap
address = 127.0.0.1:{imap}
store = mail
directory = people
mechanisms = plain, login
"""
POP3 = """
[listener pop3]
plugin = pop3
address = 127.0.0.1:{pop3}
store = mail
directory = people
mechanisms = plain
"""
TLS = """
[tls]
certificate = {dir}/cert.pem
key = {dir}/key.pem
"""
WHOLE = SERVER + PEOPLE + STORE + ROUTE + SMTP + IMAP + POP3


class Skip(Exception):
    """What the test needs is not on this machine."""


def free_ports(count):
    """Loopback ports that nobody has at this moment, below those that the kernel gives to clients:
    a client that polls such a port while the server is down could otherwise meet itself there."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as stream:
        first_of_clients = int(stream.read().split()[0])
    wanted = range(10000, first_of_clients) if first_of_clients > 12000 else range(61000, 65536)
    sockets = []
    for port in random.sample(wanted, len(wanted)):
        if len(sockets) == count:
            break
        try:
            sockets.append(socket.create_server(("127.0.0.1", port)))
        except OSError:
            continue
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def need(program):
    """The path of a program, or the test is skipped."""
    path = shutil.which(program)
    if not path:
        raise Skip("%s is not installed" % program)
    return path


def wait_for(condition, seconds, what):
    """Polls `condition` until it gives something true; raises when the time is over."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited %d s for %s" % (seconds, what))
        time.sleep(0.01)


class Server:
    """One `posthorn serve` with a folder of its own.

    config: the text of its file; `{data}`, `{dir}`, `{plugins}` and a port for each name in
    `ports` are filled in, `{{user}}` stays `{user}`. users: names that get PASSWORD.
    """

    def __init__(self, config=WHOLE, users=("anna@example.org", "ben@example.org"),
                 ports=("smtp", "imap", "pop3"), extra="", environment=None):
        self.dir = tempfile.mkdtemp(prefix="posthorn-e2e-")
        os.mkdir(os.path.join(self.dir, "data"))
        self.ports = dict(zip(ports, free_ports(len(ports))))
        self.config = os.path.join(self.dir, "posthorn.conf")
        self.environment = environment or {}
        self.process = None
        self.log = []
        self.values = dict(self.ports, dir=self.dir, plugins=PLUGINS,
                           data=os.path.join(self.dir, "data"))
        self.text = config + extra
        if WORKERS:
            self.text = self.text.replace("[server]\n", "[server]\nworkers = %s\n" % WORKERS)
        if DURABILITY and "durability" not in self.text:
            self.text = self.text.replace("[server]\n", "[server]\ndurability = %s\n"
                                          "journal-size = 32M\n" % DURABILITY)
        if "{dir}/cert.pem" in self.text:
            self.make_certificate()
        self.write_config(self.text)
        if "{dir}/key\n" in self.text:
            self.make_key()
        with open(os.path.join(self.dir, "users"), "w", encoding="utf-8") as stream:
            stream.writelines("%s:{PLAIN}%s\n" % (user, PASSWORD) for user in users)
        os.chmod(os.path.join(self.dir, "users"), 0o600)

    def write_config(self, text):
        with open(self.config, "w", encoding="utf-8") as stream:
            stream.write(text.format(**self.values))

    def make_certificate(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "30", "-subj", "/CN=mail.example.org",
             "-addext", "subjectAltName=DNS:mail.example.org,DNS:localhost,IP:127.0.0.1",
             "-keyout", self.dir + "/key.pem", "-out", self.dir + "/cert.pem"],
            check=True, stderr=subprocess.DEVNULL)
        os.chmod(self.dir + "/key.pem", 0o600)

    def make_key(self):
        with open(self.dir + "/key", "w", encoding="ascii") as stream:
            stream.write("0123456789abcdef" * 4 + "\n")
        os.chmod(self.dir + "/key", 0o600)

    # Life ---------------------------------------------------------------------------------------

    def start(self):
        environment = dict(os.environ, **self.environment)
        self.process = subprocess.Popen([PROGRAM, "serve", "-c", self.config],
                                        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                        env=environment)
        threading.Thread(target=self.keep_log, args=(self.process.stderr,), daemon=True).start()
        for name, port in self.ports.items():
            wait_for(lambda port=port: self.listens(port), START_SECONDS,
                     "%s on port %d" % (name, port))
        return self

    def keep_log(self, stream):
        with stream:
            for line in stream:
                self.log.append(line.decode("utf-8", "replace").rstrip("\n"))

    def listens(self, port):
        if self.process.poll() is not None:
            time.sleep(0.1)
            raise AssertionError("the server ended with status %d:\n%s" % (
                self.process.returncode, "\n".join(self.log)))
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
        except OSError:
            return False

    def stop(self):
        """SIGTERM to the process that was started; its exit status."""
        process, self.process = self.process, None
        if process is None:
            return None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError("the server did not stop within %d s" % STOP_SECONDS) from None

    def kill(self):
        """kill -9 to the server and its worker processes, as a power cut would."""
        process, self.process = self.process, None
        pids = [process.pid] + descendants(process.pid)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()
        wait_for(lambda: not any(map(lives, pids)), STOP_SECONDS, "the killed processes to end")

    def worker(self):
        """Process id of the unprivileged worker (the server itself when there is only one)."""
        return (descendants(self.process.pid) or [self.process.pid])[0]

    def events(self, name):
        """The log's events of that name, as dictionaries (the log is JSON)."""
        found = []
        for line in list(self.log):
            if line.startswith("{"):
                event = json.loads(line)
                if event.get("event") == name:
                    found.append(event)
        return found

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise

    def __exit__(self, kind, value, trace):
        if kind is not None:
            for line in self.log[-40:]:
                print("# server: " + line)
        try:
            if self.process is not None and self.process.poll() is None:
                self.stop()
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)

    # Clients ------------------------------------------------------------------------------------

    def trust(self):
        return ssl.create_default_context(cafile=os.path.join(self.dir, "cert.pem"))

    def smtp(self, name="smtp"):
        client = smtplib.SMTP("127.0.0.1", self.ports[name], timeout=30)
        client.ehlo("client.example.org")
        return client

    def imap(self, user="anna@example.org", name="imap"):
        client = imaplib.IMAP4("127.0.0.1", self.ports[name], timeout=30)
        client.login(user, PASSWORD)
        return client

    def pop3(self, user="anna@example.org", name="pop3"):
        client = poplib.POP3("127.0.0.1", self.ports[name], timeout=30)
        client.user(user)
        client.pass_(PASSWORD)
        return client

    def send(self, octets, recipients=("anna@example.org",), sender="carla@example.net"):
        """Delivers octets by SMTP; raises when they are refused."""
        client = self.smtp()
        client.sendmail(sender, list(recipients), octets)
        client.quit()

    def raw(self, name):
        """A socket and a file to read lines from."""
        connection = socket.create_connection(("127.0.0.1", self.ports[name]), timeout=30)
        return connection, connection.makefile("rb")

    def run(self, *words, stdin=None):
        """Runs the program with this server's config: run("user", "add", ...)."""
        return subprocess.run([PROGRAM, *words, "-c", self.config], input=stdin, text=True,
                              capture_output=True, timeout=60, check=False)


def lives(pid):
    """Is it there, and no zombie? A dying process still holds its sockets, as long as one of its
    threads waits for the disk."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8") as stream:
            state = stream.read().rsplit(")", 1)[1].split()[0]
        return state not in "ZX" or len(os.listdir("/proc/%d/task" % pid)) > 1
    except OSError:
        return False


def descendants(pid):
    """Process ids below `pid`, children first."""
    found = []
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as stream:
            children = [int(word) for word in stream.read().split()]
    except OSError:
        return []
    for child in children:
        found += [child] + descendants(child)
    return found


# ---- TAP ---------------------------------------------------------------------------------------

def run_one(number, title, function):
    try:
        function()
    except Skip as reason:
        print("ok %d - %s # SKIP %s" % (number, title, reason), flush=True)
        return True
    except Exception:  # a test may fail in any way
        for line in traceback.format_exc().rstrip().split("\n"):
            print("# " + line)
        print("not ok %d - %s" % (number, title), flush=True)
        return False
    print("ok %d - %s" % (number, title), flush=True)
    return True


def main(names):
    """Runs every test_ function of a script, in the order they are written."""
    tests = [(name[len("test_"):].replace("_", " "), function)
             for name, function in names.items() if name.startswith("test_")]
    wanted = sys.argv[1:]
    if wanted:
        tests = [pair for pair in tests if any(word in pair[0] for word in wanted)]
    print("1..%d" % len(tests), flush=True)
    failed = sum(not run_one(number, title, function)
                 for number, (title, function) in enumerate(tests, 1))
    sys.exit(1 if failed else 0)
