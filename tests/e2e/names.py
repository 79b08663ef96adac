# SPDX-License-Identifier: LGPL-2.1-or-later
"""names.py: a name server on loopback that says what a test wants, lies included

    names = Names({"example.net": {"MX": [(10, "mx.example.net")]},
                   "mx.example.net": {"A": ["127.0.0.2"]}})
    ... "server = 127.0.0.1:%d" % names.port ...
    names.stop()

A name that is not there does not exist. Instead of records a type may have a word: "timeout" (no
answer), "fail" (SERVFAIL), "garbage". "CNAME" holds a name.
"""
import socket
import struct
import threading

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "MX": 15, "TXT": 16, "AAAA": 28}
WORDS = {number: word for word, number in TYPES.items()}


def encode_name(name):
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def encode_value(word, value):
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


class Names:
    def __init__(self, zone):
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
        if found == "garbage":
            return query[:2] + b"\x85\x80" + b"\xff" * 40
        if found == "fail":
            found, flags = [], 0x8582
        elif not found and name not in self.zone:
            flags = 0x8583
        body = b""
        for owner, word, value in found:
            data = encode_value(word, value)
            body += encode_name(owner) + struct.pack("!HHIH", TYPES[word], 1, 60, len(data)) + data
        head = query[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0)
        if len(head + question + body) > limit:
            return query[:2] + struct.pack("!HHHHH", flags | 0x200, 1, 0, 0, 0) + question
        return head + question + body

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
