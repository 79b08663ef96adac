#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""mechanism-client.py: a good client of a mechanism, for `posthorn conform mechanism --client`

    mechanism-client.py MECHANISM USER PASSWORD

Reads a challenge a line in base64 ("-": begin), writes a response a line.
"""
import base64
import hashlib
import hmac
import sys


def cram_md5(user, password):
    challenge = yield
    yield b"%s %s" % (user, hmac.digest(password, challenge, "md5").hex().encode())


def apop(user, password):
    challenge = yield
    yield b"%s %s" % (user, hashlib.md5(challenge + password).hexdigest().encode())


def broken(user, password):
    """Of tests/conform/broken-mechanism.c."""
    challenge = yield
    yield b"%s %s" % (user, hashlib.sha256(challenge + password).hexdigest().encode())


def scram(user, password, digest):
    bare = b"n=%s,r=0123456789abcdef" % user
    yield
    first = yield b"n,," + bare
    nonce, salt, rounds = (part[2:] for part in first.split(b","))
    salted = hashlib.pbkdf2_hmac(digest, password, base64.b64decode(salt), int(rounds))
    key = hmac.digest(salted, b"Client Key", digest)
    without = b"c=biws,r=" + nonce
    sign = hmac.digest(hashlib.new(digest, key).digest(), b",".join((bare, first, without)), digest)
    proof = bytes(a ^ b for a, b in zip(key, sign))
    yield without + b",p=" + base64.b64encode(proof)
    yield b""


CLIENTS = {"cram-md5": cram_md5, "apop": apop, "broken": broken,
           "scram-sha-1": lambda user, password: scram(user, password, "sha1"),
           "scram-sha-256": lambda user, password: scram(user, password, "sha256")}


def main():
    client = CLIENTS[sys.argv[1]](sys.argv[2].encode(), sys.argv[3].encode())
    next(client)
    for line in sys.stdin:
        word = line.strip()
        try:
            answer = client.send(None if word == "-" else base64.b64decode(word))
        except StopIteration:
            return
        print(base64.b64encode(answer).decode(), flush=True)


if __name__ == "__main__":
    main()
