#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""dead.py: mail for others while much is queued for a destination that is dead

    ninja -C build tests/bench/bench-queue
    python3 tests/bench/dead.py [QUEUED] [MAILS] [ROUNDS]

A server that relays MAILS messages of 4 KiB to a next hop that takes them, in turn with an empty
queue, with QUEUED mails for a host that refuses connections, and with as many for one that takes
them and says nothing. Its own tries of the dead host go on meanwhile (retry = 1s, times of 1 s).
Printed: messages a second until the next hop has all, and CPU of the server for 1,000.
"""
import multiprocessing
import os
import selectors
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import lib  # noqa: E402
from lib import BUILD, Server  # noqa: E402

QUEUED = int(sys.argv[1]) if len(sys.argv) > 1 else 100000
MAILS = int(sys.argv[2]) if len(sys.argv) > 2 else 10000
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 3
SESSIONS = 50
WARM = 500
DEAD = "host0.example"  # what bench-queue writes to when it has one destination
BODY = b"Subject: bench\r\n\r\n" + (b"x" * 70 + b"\r\n") * 56 + b".\r\n"
CONFIG = lib.SERVER.replace("log = json", "log-level = warning") + """
max-connections-per-address = 4000

[queue]
retry = 1s

[route out]
domains = *
transport = smtp
destinations = {dead} next-hop=127.0.0.1:{hole} tls=none, live.example next-hop=127.0.0.1:{sink} tls=none
connect-timeout = 1s
greeting-timeout = 1s
"""


def serve_sink(listener, count):
    """A next hop that takes everything: enough of SMTP for a client that pipelines."""
    chosen = selectors.DefaultSelector()
    chosen.register(listener, selectors.EVENT_READ)
    state = {}
    while True:
        for key, _ in chosen.select():
            if key.fileobj is listener:
                peer = listener.accept()[0]
                peer.sendall(b"220 sink ESMTP\r\n")
                state[peer] = [b"", False]
                chosen.register(peer, selectors.EVENT_READ)
                continue
            peer = key.fileobj
            try:
                octets = peer.recv(262144)
            except OSError:
                octets = b""
            if not octets or not hear(peer, state[peer], octets, count):
                chosen.unregister(peer)
                peer.close()
                del state[peer]


def hear(peer, state, octets, count):
    """False when the connection is to be closed."""
    state[0] += octets
    out = b""
    while True:
        end = b"\r\n.\r\n" if state[1] else b"\r\n"
        one, found, rest = state[0].partition(end)
        if not found:
            break
        state[0] = rest
        if state[1]:
            state[1] = False
            count.value += 1
            out += b"250 2.0.0 taken\r\n"
            continue
        word = one[:4].upper()
        state[1] = word == b"DATA"
        out += {b"EHLO": b"250-sink\r\n250 PIPELINING\r\n", b"DATA": b"354 go on\r\n",
                b"QUIT": b"221 bye\r\n"}.get(word, b"250 ok\r\n")
        if word == b"QUIT":
            peer.sendall(out)
            return False
    if out:
        peer.sendall(out)
    return True


def send(port, n):
    """N messages over SESSIONS connections; each says all of its envelope at once."""
    envelope = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@live.example>\r\nDATA\r\n"
    chosen = selectors.DefaultSelector()
    for _ in range(min(SESSIONS, n)):
        peer = socket.create_connection(("127.0.0.1", port))
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        chosen.register(peer, selectors.EVENT_READ, ["greeting", b""])
    left, missing = n, n
    while missing > 0:
        for key, _ in chosen.select():
            state = key.data
            state[1] += key.fileobj.recv(65536)
            if state[0] == "envelope":
                if b"\r\n354 " not in b"\r\n" + state[1]:
                    continue
                state[:] = ["body", b""]
                key.fileobj.sendall(BODY)
                continue
            if not state[1].endswith(b"\r\n"):
                continue
            if state[0] == "body":
                assert state[1].startswith(b"250"), state[1]
                missing -= 1
            if state[0] == "greeting":
                state[:] = ["hello", b""]
                key.fileobj.sendall(b"HELO bench\r\n")
            elif left > 0:
                left -= 1
                state[:] = ["envelope", b""]
                key.fileobj.sendall(envelope)
            else:
                chosen.unregister(key.fileobj)
                key.fileobj.close()


class Site(Server):
    def __init__(self, **more):
        super().__init__("", ports=("smtp",), users=())
        self.values.update(more)
        self.write_config(CONFIG + lib.SMTP)

    def fill(self, n):
        folder = os.path.join(self.dir, "data", "queue")
        subprocess.run([BUILD + "/tests/bench/bench-queue", "fill", folder, str(n), "1024", "1"],
                       check=True, stdout=subprocess.DEVNULL)


def cpu_ms(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as stream:
        fields = stream.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def pass_mails(server, count, n):
    wanted = count.value + n
    send(server.ports["smtp"], n)
    lib.wait_for(lambda: count.value >= wanted, 120, "the next hop to have all")


def measure(what, queued, hole, sink, count):
    server = Site(dead=DEAD, hole=hole, sink=sink)
    if queued > 0:
        server.fill(queued)
    with server:
        pass_mails(server, count, WARM)
        before = cpu_ms(server.worker())
        start = time.monotonic()
        pass_mails(server, count, MAILS)
        seconds = time.monotonic() - start
        used = cpu_ms(server.worker()) - before
    print("%-28s %6.0f/s  %.3f s of CPU for 1,000" % (what, MAILS / seconds, used / MAILS), flush=True)
    return MAILS / seconds, used / MAILS


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
    silent = socket.create_server(("127.0.0.1", 0), backlog=1000)
    closed = socket.create_server(("127.0.0.1", 0))
    refused = closed.getsockname()[1]
    closed.close()
    count = multiprocessing.Value("q", 0, lock=False)
    sink = multiprocessing.Process(target=serve_sink, args=(listener, count), daemon=True)
    sink.start()
    cases = [("nothing queued", 0, refused), ("%d for one that refuses" % QUEUED, QUEUED, refused),
             ("%d for one that is silent" % QUEUED, QUEUED, silent.getsockname()[1])]
    found = [[] for _ in cases]
    for _ in range(ROUNDS):
        for i, (what, queued, hole) in enumerate(cases):
            found[i].append(measure(what, queued, hole, listener.getsockname()[1], count))
    middle = [[sorted(column)[len(column) // 2] for column in zip(*rows)] for rows in found]
    for (what, _, _), (rate, cpu) in list(zip(cases, middle))[1:]:
        print("%s: rate %+.1f %%, CPU %+.1f %%" % (what, (rate / middle[0][0] - 1) * 100,
                                                  (cpu / middle[0][1] - 1) * 100))
    sink.terminate()


if __name__ == "__main__":
    main()
