#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""timing.py: does the time of an answer tell whether a user exists?

    POSTHORN_BUILD_DIR=$PWD/build python3 tests/bench/timing.py [--attempts 2000] [--runs 3] [CASE...]

A server without a delay for failures is asked with wrong passwords, for a user who exists and for
one who does not, in turns of random order on one connection each. For each case the two-sample
Kolmogorov-Smirnov test says how likely such a difference is when there is none: p > 0.01 in every run
is wanted. Cases: plain (SHA512-CRYPT), argon2 (the slowest hash), scram (stored keys), scram-plain
(keys derived from a plain secret). Run it on a machine that does nothing else; it is no part of CI.
"""
import argparse
import base64
import hashlib
import hmac
import math
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import lib  # noqa: E402
from lib import PASSWORD, Server  # noqa: E402

CONFIG = (lib.SERVER + "login-delay = 0s\nlogin-failures = 100\nworkers = 2\n" + lib.PEOPLE + lib.STORE
          + lib.POP3.replace("plain", "plain, scram-sha-256") + "max-errors = 100000\n")
KNOWN, UNKNOWN = "anna.known@example.org", "anna.other@example.org"
PER_CONNECTION = 40  # a connection may fail so often


def scram_form(salt=b"0123456789abcdef"):
    salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt, 4096)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    parts = (salt, stored, hmac.digest(salted, b"Server Key", "sha256"))
    return "{SCRAM-SHA-256}4096," + ",".join(base64.b64encode(part).decode() for part in parts)


def hashed(server, scheme):
    """What `posthorn user add` stores with that scheme."""
    done = server.run("user", "add", "--stdin", "--scheme", scheme, KNOWN, stdin=PASSWORD + "\n")
    assert done.returncode == 0, done


def plain_attempt(send, user):
    # Another password each time: answers are kept.
    message = base64.b64encode(("\0%s\0%016x" % (user, random.getrandbits(64))).encode()).decode()
    return send("AUTH PLAIN " + message)


def scram_attempt(send, user):
    bare = "n=%s,r=0123456789abcdef" % user
    first = send("AUTH SCRAM-SHA-256 " + base64.b64encode(("n,," + bare).encode()).decode())
    nonce = base64.b64decode(first[2:]).split(b",")[0]
    final = b"c=biws," + nonce + b",p=" + base64.b64encode(b"\0" * 32)
    return send(base64.b64encode(final).decode())


CASES = {"plain": ("SHA512-CRYPT", plain_attempt), "argon2": ("ARGON2ID", plain_attempt),
         "scram": (None, scram_attempt), "scram-plain": ("PLAIN", scram_attempt)}


def opened(server):
    connection, lines = server.raw("pop3")
    lines.readline()

    def send(text):
        connection.sendall(text.encode() + b"\r\n")
        return lines.readline().decode().rstrip()

    return connection, send


def measure(server, attempt, attempts):
    """Seconds of each answer, known and unknown."""
    times = {KNOWN: [], UNKNOWN: []}
    order = [KNOWN, UNKNOWN] * attempts
    random.shuffle(order)
    for at in range(0, len(order), PER_CONNECTION):
        connection, send = opened(server)
        attempt(send, "warm@example.org")
        for user in order[at:at + PER_CONNECTION]:
            started = time.perf_counter()
            answer = attempt(send, user)
            times[user].append(time.perf_counter() - started)
            assert answer.startswith("-ERR [AUTH]"), answer
        connection.close()
    return times[KNOWN], times[UNKNOWN]


def kolmogorov_smirnov(a, b):
    """D and p of the two-sample test."""
    a, b = sorted(a), sorted(b)
    i = j = 0
    distance = 0.0
    while i < len(a) and j < len(b):
        value = min(a[i], b[j])
        while i < len(a) and a[i] <= value:
            i += 1
        while j < len(b) and b[j] <= value:
            j += 1
        distance = max(distance, abs(i / len(a) - j / len(b)))
    root = math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    x = (root + 0.12 + 0.11 / root) * distance
    p = 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * x * x) for k in range(1, 101))
    return distance, min(1.0, max(0.0, p)) if x > 0.2 else 1.0


def run_case(name, attempts, runs):
    scheme, attempt = CASES[name]
    worst = 1.0
    with Server(config=CONFIG, users=(), ports=("pop3",)) as server:
        if scheme is None:
            with open(server.dir + "/users", "w", encoding="utf-8") as stream:
                stream.write("%s:%s\n" % (KNOWN, scram_form()))
        else:
            hashed(server, scheme)
        measure(server, attempt, min(50, attempts))
        for run in range(1, runs + 1):
            known, unknown = measure(server, attempt, attempts)
            distance, p = kolmogorov_smirnov(known, unknown)
            worst = min(worst, p)
            print("%-12s run %d: known %8.1f us, unknown %8.1f us (medians), D = %.4f, p = %.4f" % (
                name, run, 1e6 * sorted(known)[len(known) // 2],
                1e6 * sorted(unknown)[len(unknown) // 2], distance, p), flush=True)
    return worst


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--attempts", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("cases", nargs="*", default=[])
    options = parser.parse_args()
    worst = min(run_case(name, options.attempts, options.runs) for name in options.cases or CASES)
    print("smallest p: %.4f (wanted: above 0.01)" % worst)
    return 0 if worst > 0.01 else 1


if __name__ == "__main__":
    sys.exit(main())
