# SPDX-License-Identifier: LGPL-2.1-or-later
"""names.py: a name server on loopback that says what a test wants, lies included

    names = Names({"example.net": {"MX": [(10, "mx.example.net")]},
                   "mx.example.net": {"A": ["127.0.0.2"]}})
    ... "server = 127.0.0.1:%d" % names.port ...
    names.stop()

A name that is not there does not exist. Instead of records a type may have a word: "timeout" (no
answer), "fail" (SERVFAIL), "garbage", "other" (records of another name), "question" (an answer to
another question). "CNAME" holds a name.

    signer = Signer("signed.example", folder)
    names = Names(zone, signer)
    ... "trust-anchor = " + signer.anchor ...

signs what lies at and below that name (RFC 4034, ECDSA P-256); what is in signer.broken gets
signatures that are wrong.
"""
import base64
import hashlib
import os
import socket
import struct
import subprocess
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28, "DS": 43, "RRSIG": 46,
         "NSEC": 47, "DNSKEY": 48}
WORDS = {number: word for word, number in TYPES.items()}


def encode_name(name):
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def encode_value(word, value):
    if isinstance(value, bytes):
        return value
    if word == "A":
        return socket.inet_pton(socket.AF_INET, value)
    if word == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if word == "MX":
        return struct.pack("!H", value[0]) + encode_name(value[1])
    if word == "TXT":
        octets = value.encode()
        return bytes([len(octets)]) + octets
    return encode_name(value)


def read_question(query):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("ascii"))
        at += 1 + query[at]
    return ".".join(labels).lower(), struct.unpack("!H", query[at + 1:at + 3])[0], query[12:at + 5]


class Signer:
    """One key for a zone, kept and used by openssl."""

    ALGORITHM, DAY = 13, 86400

    def __init__(self, zone, folder):
        self.zone = zone
        self.broken = set()
        self.made = {}
        self.key_file = os.path.join(folder, zone + ".key")
        self.run("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", self.key_file)
        point = self.run("ec", "-in", self.key_file, "-pubout", "-outform", "DER")[-64:]
        self.key = struct.pack("!HBB", 257, 3, self.ALGORITHM) + point
        total = sum(octet << 8 if at % 2 == 0 else octet for at, octet in enumerate(self.key))
        self.tag = (total + (total >> 16)) & 0xffff
        self.anchor = os.path.join(folder, zone + ".anchor")
        with open(self.anchor, "w", encoding="ascii") as stream:
            stream.write("%s. IN DNSKEY 257 3 %d %s\n" % (zone, self.ALGORITHM, base64.b64encode(point).decode()))

    @staticmethod
    def run(*words, octets=b""):
        return subprocess.run(["openssl", *words], input=octets, check=True, capture_output=True).stdout

    def covers(self, name):
        return name == self.zone or name.endswith("." + self.zone)

    def sign(self, octets):
        """The two numbers of the signature, without their DER."""
        der = self.run("dgst", "-sha256", "-sign", self.key_file, octets=octets)
        size = der[3]
        first, second = der[4:4 + size], der[6 + size:]
        return b"".join(part[-32:].rjust(32, b"\0") for part in (first, second))

    def signature(self, name, word, values):
        """The RRSIG of these records (RFC 4034 section 3.1.8.1)."""
        place = (name, word, hashlib.sha256(b"".join(values)).digest())
        if place not in self.made:
            now = int(time.time())
            head = struct.pack("!HBBIIIH", TYPES[word], self.ALGORITHM, len(name.split(".")), 60,
                               now + self.DAY, now - self.DAY, self.tag) + encode_name(self.zone)
            rows = b"".join(encode_name(name) + struct.pack("!HHIH", TYPES[word], 1, 60, len(value)) + value
                            for value in sorted(values))
            self.made[place] = head + self.sign(head + rows)
        made = self.made[place]
        return made[:-1] + bytes([made[-1] ^ 1]) if name in self.broken else made

    def sign_all(self, found):
        """The records, with a signature behind those of each name and type."""
        groups = {}
        for name, word, value in found:
            groups.setdefault((name, word), []).append(encode_value(word, value))
        return [row for (name, word), values in groups.items() for row in
                [(name, word, value) for value in values]
                + ([(name, "RRSIG", self.signature(name, word, values))] if self.covers(name) else [])]

    def denial(self, name, records):
        """That there is nothing of that type: a SOA, and an NSEC with the types that are there."""
        soa = encode_name(self.zone) * 2 + struct.pack("!IIIII", 1, 60, 60, 60, 60)
        bits = bytearray(7)
        for number in [TYPES[word] for word in records if word in TYPES] + [46, 47]:
            bits[number // 8] |= 0x80 >> number % 8
        proof = b"\1\0" + encode_name(name) + b"\0\7" + bytes(bits)
        return self.sign_all([(self.zone, "SOA", soa), (name, "NSEC", proof)])


class Names:
    def __init__(self, zone, signer=None):
        self.signer = signer
        self.zone = {name.lower(): records for name, records in zone.items()}
        self.asked = []
        while not self.open():
            pass
        threading.Thread(target=self.serve_datagrams, daemon=True).start()
        threading.Thread(target=self.serve_streams, daemon=True).start()

    def open(self):
        """The same port for both; false when it is taken for one of them."""
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.bind(("127.0.0.1", 0))
        self.port = self.datagrams.getsockname()[1]
        try:
            self.streams = socket.create_server(("127.0.0.1", self.port))
        except OSError:
            self.datagrams.close()
            return False
        return True

    def stop(self):
        self.datagrams.close()
        self.streams.close()

    def records(self, name, number, depth=0):
        """[(name, type, value)], or a word."""
        records = self.zone.get(name)
        word = WORDS.get(number)
        if self.signer is not None and (name, word) == (self.signer.zone, "DNSKEY"):
            return [(name, word, self.signer.key)]
        if records is None or word is None:
            return []
        if isinstance(records, str):
            return records
        if "CNAME" in records and word != "CNAME":
            target = records["CNAME"]
            found = self.records(target, number, depth + 1) if depth < 8 else []
            return found if isinstance(found, str) else [(name, "CNAME", target)] + found
        values = records.get(word, [])
        return values if isinstance(values, str) else [(name, word, value) for value in values]

    def answer(self, query, limit):
        name, number, question = read_question(query)
        self.asked.append((name, WORDS.get(number, str(number))))
        found = self.records(name, number)
        flags = 0x8580
        if found == "timeout":
            return None
        if found in ("other", "question"):
            return self.lie(query, name, number, found)
        if found == "garbage":
            return query[:2] + b"\x85\x80" + b"\xff" * 40
        if found == "fail":
            found, flags = [], 0x8582
        elif not found and name not in self.zone:
            flags = 0x8583
        denial = []
        if self.signer is not None and self.signer.covers(name):
            denial = [] if found or flags != 0x8580 else self.signer.denial(name, self.zone[name])
            found = self.signer.sign_all(found)
        body = b""
        for owner, word, value in found + denial:
            data = encode_value(word, value)
            body += encode_name(owner) + struct.pack("!HHIH", TYPES[word], 1, 60, len(data)) + data
        has_options = query[11] > 0
        body += b"\0" + struct.pack("!HHIH", 41, 1232, 0x8000, 0) if has_options else b""
        head = query[:2] + struct.pack("!HHHHH", flags, 1, len(found), len(denial), has_options)
        if len(head + question + body) > limit:
            return query[:2] + struct.pack("!HHHHH", flags | 0x200, 1, 0, 0, 0) + question
        return head + question + body

    @staticmethod
    def lie(query, name, number, how):
        """Records that nobody asked for: of another name, or to another question."""
        other = encode_name("trap.example")
        question = encode_name(name if how == "other" else "trap.example") + struct.pack("!HH", number, 1)
        data = encode_value(WORDS[number], (5, "trap.example") if WORDS[number] == "MX" else "127.0.0.99")
        return (query[:2] + struct.pack("!HHHHH", 0x8580, 1, 1, 0, 0) + question + other
                + struct.pack("!HHIH", number, 1, 60, len(data)) + data)

    def serve_datagrams(self):
        while True:
            try:
                query, peer = self.datagrams.recvfrom(4096)
                answer = self.answer(query, 1232)
                if answer:
                    self.datagrams.sendto(answer, peer)
            except OSError:
                return

    def serve_streams(self):
        while True:
            try:
                connection, _ = self.streams.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                try:
                    size = stream.read(2)
                    answer = self.answer(stream.read(struct.unpack("!H", size)[0]), 65535)
                    connection.sendall(struct.pack("!H", len(answer)) + answer)
                except (OSError, struct.error, TypeError):
                    continue
