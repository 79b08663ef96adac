#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""login.py: IMAP logins a second: hashed users with answers kept and not, an LDAP server of 5 ms, and slapd

    ninja -C build tests/bench/bench-login tests/bench/ldap-responder
    python3 tests/bench/login.py [SECONDS [hashed|ldap|slapd]]

While the LDAP logins run, one client delivers mail and another, in IDLE, waits for it: how late the
update comes is printed as well.
"""
import imaplib
import importlib.util
import multiprocessing
import os
import select
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import lib  # noqa: E402
from lib import BUILD, PASSWORD, Server  # noqa: E402

SECONDS = sys.argv[1] if len(sys.argv) > 1 else "5"
USERS = 200
SERVER = lib.SERVER.replace("log = json", "log-level = warning") + """max-connections = 4000
max-connections-per-address = 4000
login-delay = 1ms
"""
LISTENER = lib.IMAP.replace("directory = people", "directory = {chain}")
LDAP = """
[directory ldap]
plugin = ldap
uri = ldap://127.0.0.1:{ldap}
user-dn = uid={{local}},ou=people,dc=example,dc=org
connections = 128
concurrency = 0
cache = 0s
cache-negative = 0s
"""


class Site(Server):
    def __init__(self, text, **more):
        self.more = more
        super().__init__(text, ports=("smtp", "imap"), users=())

    def write_config(self, text):
        self.values.update(self.more)
        super().write_config(text)


def bench(server, sessions, seconds=SECONDS):
    done = subprocess.run([BUILD + "/tests/bench/bench-login", str(server.ports["imap"]),
                           str(sessions), seconds, str(USERS), PASSWORD], check=False,
                          capture_output=True, text=True)
    return done.stdout.strip()


def cpu_ms(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as stream:
        fields = stream.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000.0 / os.sysconf("SC_CLK_TCK")


def hashed_users():
    text = SERVER + lib.PEOPLE + "cache = {cache}\n" + lib.STORE + lib.ROUTE + lib.SMTP + LISTENER
    for cache in ("1h", "0s"):
        with Site(text, chain="people", cache=cache) as server:
            crypt = subprocess.run(["openssl", "passwd", "-6", "-salt", "saltsalt", PASSWORD],
                                   check=True, capture_output=True, text=True).stdout.strip()
            with open(server.dir + "/users", "w", encoding="ascii") as stream:
                stream.writelines("user%d@example.org:{SHA512-CRYPT}%s\n" % (i, crypt)
                                  for i in range(USERS))
            bench(server, 8, "2")  # the accounts are made, the answers kept
            before = cpu_ms(server.worker())
            line = bench(server, 64)
            spent = cpu_ms(server.worker()) - before
            rate = float(line.split()[0])
            print("SHA512-CRYPT, cache %s, 64 at once: %s, %.2f ms of CPU each"
                  % (cache, line, spent / (rate * float(SECONDS))), flush=True)


def watch_idle(server, over, late):
    client = imaplib.IMAP4("127.0.0.1", server.ports["imap"])
    client.login("user0@example.org", PASSWORD)
    client.select("INBOX")
    client.send(b"x IDLE\r\n")
    client.readline()
    smtp = server.smtp()
    while not over.is_set():
        began = time.monotonic()
        smtp.sendmail("a@example.net", ["user0@example.org"], b"Subject: x\r\n\r\nx\r\n")
        while b"EXISTS" not in client.readline():
            pass
        late.append((time.monotonic() - began) * 1000)
        time.sleep(0.02)
    smtp.close()
    client.shutdown()


def ldap_users():
    with subprocess.Popen([BUILD + "/tests/bench/ldap-responder", "5"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as responder:
        port = int(responder.stdout.readline())
        text = (SERVER + lib.PEOPLE + LDAP + lib.STORE + lib.ROUTE + lib.SMTP + LISTENER)
        with Site(text, chain="ldap", ldap=port) as server:
            with open(server.dir + "/users", "w", encoding="ascii") as stream:
                stream.writelines("user%d@example.org:{PLAIN}x\n" % i for i in range(USERS))
            bench(server, 8, "2")
            over, late = threading.Event(), []
            watcher = threading.Thread(target=watch_idle, args=(server, over, late))
            watcher.start()
            line = bench(server, 200)
            over.set()
            watcher.join()
            late.sort()
            print("LDAP of 5 ms, no cache, 200 sessions: %s" % line)
            print("  meanwhile %d updates in IDLE: median %.1f ms, worst %.1f ms, SMTP included"
                  % (len(late), late[len(late) // 2], late[-1]), flush=True)
        responder.stdin.close()


def bind_often(port, seconds):
    """Raw binds a second of 16 connections, each in turn, at nobody but slapd: no server of ours."""
    def request(number):
        name = b"uid=user%d,ou=people,dc=example,dc=org" % (number % USERS)
        body = (b"\x02\x01\x03\x04" + bytes([len(name)]) + name
                + b"\x80" + bytes([len(PASSWORD)]) + PASSWORD.encode())
        return b"\x30" + bytes([len(body) + 5]) + b"\x02\x01\x01\x60" + bytes([len(body)]) + body

    def serve(index, results):
        poll, count, until = select.poll(), 0, time.monotonic() + seconds
        clients = {}
        for number in range(4):
            client = socket.create_connection(("127.0.0.1", port))
            clients[client.fileno()] = client
            poll.register(client, select.POLLIN)
            client.sendall(request(index * 4 + number))
        while time.monotonic() < until:
            for descriptor, _ in poll.poll(1000):
                answer = clients[descriptor].recv(4096)
                assert b"\x61\x07\n\x01\0" in answer, answer
                count += 1
                clients[descriptor].sendall(request(count))
        results.put(count)

    results = multiprocessing.Queue()
    workers = [multiprocessing.Process(target=serve, args=(index, results)) for index in range(4)]
    for worker in workers:
        worker.start()
    total = sum(results.get() for _ in workers)
    for worker in workers:
        worker.join()
    return total / seconds


def slapd_users():
    path = os.path.join(os.path.dirname(lib.__file__), "test-directories-ldap.py")
    spec = importlib.util.spec_from_file_location("ldap_tests", path)
    tests = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tests)
    people = "".join(tests.PERSON.format(name="user%d" % i) for i in range(USERS))
    text = SERVER + lib.PEOPLE + LDAP.replace("connections = 128", "connections = 16") \
        + lib.STORE + lib.ROUTE + lib.SMTP + LISTENER
    with tests.Slapd(people) as slapd:
        with Site(text, chain="ldap", ldap=slapd.port) as server:
            bench(server, 8, "2")
            for _ in range(2):
                raw = bind_often(slapd.port, float(SECONDS))
                before = cpu_ms(server.worker()), cpu_ms(slapd.process.pid)
                line = bench(server, 64)
                spent = cpu_ms(server.worker()) - before[0], cpu_ms(slapd.process.pid) - before[1]
                logins = float(line.split()[0]) * float(SECONDS)
                print("slapd, no cache, 64 sessions: %s; CPU a login: ours %.3f ms, slapd's %.3f ms; "
                      "raw binds at the same slapd: %.0f/s"
                      % (line, spent[0] / logins, spent[1] / logins, raw), flush=True)


if __name__ == "__main__":
    WANTED = sys.argv[2:] or ["hashed", "ldap", "slapd"]
    if "hashed" in WANTED:
        hashed_users()
    if "ldap" in WANTED:
        ldap_users()
    if "slapd" in WANTED:
        slapd_users()
