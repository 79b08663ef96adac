#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""check.py: deliver mail by SMTP, read it back by IMAP and POP3, compare every octet

Sends every message of a folder (and of a tar file of real mail, with --corpus) to one mailbox of
a running server, reads each back by IMAP (FETCH BODY.PEEK[]) and POP3 (RETR) and compares octets.
A server may only put lines in front: what is read back must end with exactly what was sent, and
what precedes it must be a Return-Path field with the sender that was given and Received fields.
A message that holds a CR without LF must be refused with a reply that says so, and be accepted
without that CR. Only messages that arrived during the run are looked at.

Prints a table and `N passed, N failed`; the exit status is 0 when nothing failed, 1 when
something did, 2 when the check could not run. Needs nothing but Python 3.
"""
import argparse
import base64
import collections
import os
import queue
import random
import re
import socket
import ssl
import sys
import tarfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LARGE = 20 * 1000 * 1000
BARE_LF = re.compile(rb"(?<!\r)\n")
BARE_CR = re.compile(rb"\r(?!\n)")
FIELD = re.compile(rb"(Return-Path|Received):[ \t]")
NAMES_BARE_CR = re.compile(rb"bare[ -]?(cr|carriage)|carriage return|\bCR\b", re.IGNORECASE)


class Refused(Exception):
    """The server gave a negative reply."""


class Item:
    """One delivery: what is sent, how, and what was found."""

    def __init__(self, group, name, octets, way):
        self.group, self.name, self.octets, self.way = group, name, octets, way
        self.sender = b""
        self.refusal = way == "refuse"
        self.smtp = self.imap = self.pop3 = None

    @property
    def expected(self):
        """What the mailbox must hold: DATA ends the last line, BDAT leaves it alone."""
        if self.way == "DATA" and self.octets and not self.octets.endswith(b"\r\n"):
            return self.octets + b"\r\n"
        return self.octets

    def results(self):
        return [self.smtp] if self.refusal else [self.smtp, self.imap, self.pop3]

    def passed(self):
        return all(result == "ok" for result in self.results())


# ---- Sockets -----------------------------------------------------------------------------------

class Wire:
    """A connection with a buffer of its own; TLS at once or later."""

    def __init__(self, where, options):
        self.options = options
        self.socket = socket.create_connection(where, timeout=options.timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.start = 0
        if options.tls == "implicit":
            self.start_tls()

    def start_tls(self):
        context = ssl.create_default_context(cafile=self.options.cafile)
        context.check_hostname = False
        if not self.options.cafile:
            context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)

    def send(self, octets):
        self.socket.sendall(octets)

    def fill(self):
        if self.start > 1 << 20:
            del self.buffer[:self.start]
            self.start = 0
        more = self.socket.recv(1 << 18)
        if not more:
            raise ConnectionError("the server closed the connection")
        self.buffer += more

    def until(self, mark):
        """Everything up to and including the first `mark`."""
        seen = self.start
        while True:
            found = self.buffer.find(mark, seen)
            if found >= 0:
                return self.take(found + len(mark) - self.start)
            seen = max(self.start, len(self.buffer) - len(mark) + 1)
            offset = seen - self.start
            self.fill()
            seen = self.start + offset

    def take(self, count):
        while len(self.buffer) - self.start < count:
            self.fill()
        octets = bytes(self.buffer[self.start:self.start + count])
        self.start += count
        if self.start == len(self.buffer):
            self.buffer.clear()
            self.start = 0
        return octets

    def line(self):
        return self.until(b"\r\n")[:-2]

    def close(self):
        self.socket.close()


# ---- SMTP --------------------------------------------------------------------------------------

def stuffed(octets):
    """Octets as they follow DATA: a dot before each dot that starts a line, and the final dot."""
    if octets and not octets.endswith(b"\r\n"):
        octets += b"\r\n"
    if octets.startswith(b"."):
        octets = b"." + octets
    return octets.replace(b"\r\n.", b"\r\n..") + b".\r\n"


def chunks(octets, seed):
    """The BDAT commands for a message: one, three or four chunks, cut at any octet."""
    pick = random.Random(seed)
    if seed % 3 == 0 or len(octets) < 4:
        cuts = [octets]
    else:
        ends = sorted(pick.sample(range(1, len(octets)), 2))
        cuts = [octets[:ends[0]], octets[ends[0]:ends[1]], octets[ends[1]:]]
        if seed % 3 == 1:
            cuts.append(b"")
    parts = []
    for number, cut in enumerate(cuts):
        last = b" LAST" if number == len(cuts) - 1 else b""
        parts.append(b"BDAT %d%s\r\n%s" % (len(cut), last, cut))
    return parts


class Smtp:
    """A sending session: envelope and content of neighbouring messages share one write."""

    def __init__(self, options):
        self.options = options
        self.wire = Wire(options.smtp, options)
        self.expect(b"220")
        self.hello()
        if options.tls == "starttls":
            self.wire.send(b"STARTTLS\r\n")
            self.expect(b"220")
            self.wire.start_tls()
            self.hello()

    def hello(self):
        self.wire.send(b"EHLO check.example.org\r\n")
        lines = self.expect(b"250").split(b"\n")
        self.can = {line[4:].split(b" ")[0].upper() for line in lines[1:]}

    def reply(self):
        lines = []
        while True:
            lines.append(self.wire.line())
            if lines[-1][3:4] != b"-":
                return b"\n".join(lines)

    def expect(self, code):
        answer = self.reply()
        if not answer.startswith(code):
            raise Refused(answer.decode("utf-8", "replace"))
        return answer

    def envelope(self, item):
        mail = b"MAIL FROM:<%s>" % item.sender
        if b"SIZE" in self.can:
            mail += b" SIZE=%d" % len(item.octets)
        if b"8BITMIME" in self.can and not item.octets.isascii():
            mail += b" BODY=8BITMIME"
        if b"SMTPUTF8" in self.can and item.name.startswith("unicode"):
            mail += b" SMTPUTF8"
        return b"%s\r\nRCPT TO:<%s>\r\n" % (mail, self.options.to.encode())

    def envelope_replies(self, final):
        """Reads the replies to MAIL, RCPT and `final` others; the first bad one is raised."""
        answers = [self.reply(), self.reply()] + [self.reply() for _ in range(final)]
        for answer in answers:
            if answer[:1] not in (b"2", b"3"):
                raise Refused(answer.decode("utf-8", "replace"))

    def deliver_data(self, item):
        self.wire.send(self.envelope(item) + b"DATA\r\n")
        self.envelope_replies(1)
        self.wire.send(stuffed(item.octets))
        return self.reply()

    def deliver_bdat(self, item):
        parts = chunks(item.octets, len(item.octets))
        self.wire.send(self.envelope(item) + b"".join(parts))
        self.envelope_replies(len(parts) - 1)
        return self.reply()

    def deliver(self, item):
        """One message, answered: sets item.smtp."""
        try:
            answer = self.deliver_bdat(item) if item.way == "BDAT" else self.deliver_data(item)
        except Refused as error:
            answer = str(error).encode()
        if item.refusal:
            named = answer[:1] == b"5" and NAMES_BARE_CR.search(answer)
        else:
            named = answer[:1] == b"2"
        item.smtp = "ok" if named else answer.decode("utf-8", "replace")
        if answer[:1] not in (b"2", b"5"):
            self.wire.send(b"RSET\r\n")
            self.reply()

    def quit(self):
        try:
            self.wire.send(b"QUIT\r\n")
            self.reply()
        except OSError:
            pass
        self.wire.close()


def deliver_from(todo, options):
    """A thread's work: takes messages until none is left, on one connection while it holds."""
    session = None
    while True:
        try:
            item = todo.get_nowait()
        except queue.Empty:
            break
        try:
            session = session or Smtp(options)
            session.deliver(item)
            if item.refusal or item.smtp != "ok":
                session.quit()
                session = None
        except (OSError, Refused) as error:
            item.smtp = "connection: %s" % error
            session = None
    if session:
        session.quit()


def deliver_all(items, options):
    todo = queue.Queue()
    for item in items:
        todo.put(item)
    threads = [threading.Thread(target=deliver_from, args=(todo, options))
               for _ in range(min(options.connections, len(items)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# ---- IMAP --------------------------------------------------------------------------------------

class Imap:
    """A reading session."""

    def __init__(self, options):
        self.wire = Wire(options.imap, options)
        self.count = 0
        self.wire.line()
        if options.tls == "starttls":
            self.command(b"STARTTLS")
            self.wire.start_tls()
        self.command(b"LOGIN %s %s" % (quoted(options.user), quoted(options.password)))

    def command(self, text):
        """Sends one command and gives its untagged lines; NO and BAD are raised."""
        return list(self.run(text))

    def run(self, text):
        self.count += 1
        tag = b"c%d " % self.count
        self.wire.send(tag + text + b"\r\n")
        while True:
            line, literals = self.logical_line()
            if line.startswith(tag):
                if not line[len(tag):].upper().startswith(b"OK"):
                    raise Refused("%s: %s" % (text.split(b" ")[0].decode(), line.decode("utf-8", "replace")))
                return
            yield line, literals

    def logical_line(self):
        line, literals = self.wire.line(), []
        while True:
            match = re.search(rb"\{(\d+)\}$", line)
            if not match:
                return line, literals
            literals.append(self.wire.take(int(match.group(1))))
            line = line + b"~" + self.wire.line()

    def next_uid(self):
        for line, _ in self.command(b"SELECT INBOX"):
            match = re.search(rb"\[UIDNEXT (\d+)\]", line)
            if match:
                return int(match.group(1))
        raise Refused("SELECT gave no UIDNEXT")

    def messages(self, uid):
        """Size told and octets of each message from `uid` on."""
        for line, literals in self.run(b"UID FETCH %d:* (UID RFC822.SIZE BODY.PEEK[])" % uid):
            found = re.search(rb"\bUID (\d+)", line)
            size = re.search(rb"RFC822\.SIZE (\d+)", line)
            if literals and found and size and int(found.group(1)) >= uid:
                yield int(size.group(1)), literals[0]

    def close(self):
        self.command(b"LOGOUT")
        self.wire.close()


def quoted(text):
    return b'"' + text.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


# ---- POP3 --------------------------------------------------------------------------------------

class Pop3:
    """A reading session; RETR is pipelined where the server says that it may be."""

    def __init__(self, options):
        self.wire = Wire(options.pop3, options)
        self.ok()
        if options.tls == "starttls":
            self.command(b"STLS")
            self.wire.start_tls()
        # Without it a server may put headers with octets above 127 into ASCII (RFC 6856 section 2).
        if any(line.split(b" ")[0] == b"UTF8" for line in self.capabilities()):
            self.command(b"UTF8")
        self.command(b"USER " + options.user.encode())
        self.command(b"PASS " + options.password.encode())
        self.ahead = 50 if b"PIPELINING" in self.capabilities() else 1

    def ok(self):
        line = self.wire.line()
        if not line.startswith(b"+OK"):
            raise Refused(line.decode("utf-8", "replace"))
        return line

    def command(self, text):
        self.wire.send(text + b"\r\n")
        return self.ok()

    def capabilities(self):
        try:
            return set(self.multiline(b"CAPA").upper().split(b"\r\n"))
        except Refused:
            return set()

    def multiline(self, text=None):
        """The lines of a multi-line answer, dots taken off; sends the command unless it was sent."""
        if text:
            self.wire.send(text + b"\r\n")
        if self.wire.take(3) != b"+OK":
            raise Refused("POP3: " + self.wire.line().decode("utf-8", "replace"))
        octets = self.wire.until(b"\r\n.\r\n").split(b"\r\n", 1)[1][:-3]
        return octets.replace(b"\r\n.", b"\r\n").removeprefix(b".")

    def sizes(self):
        return [int(line.split(b" ")[1]) for line in self.multiline(b"LIST").splitlines()]

    def messages(self, first, last):
        """Octets of each message in turn."""
        for start in range(first, last + 1, self.ahead):
            numbers = range(start, min(start + self.ahead, last + 1))
            self.wire.send(b"".join(b"RETR %d\r\n" % number for number in numbers))
            for _ in numbers:
                yield self.multiline()

    def close(self):
        self.command(b"QUIT")
        self.wire.close()


# ---- Comparing ---------------------------------------------------------------------------------

def trace_fault(trace, sender):
    """What is wrong with the lines that the server put in front, or None."""
    if not trace.endswith(b"\r\n"):
        return "the lines in front do not end in CRLF"
    names = []
    for line in trace[:-2].split(b"\r\n"):
        if b"\r" in line or b"\n" in line or b"\0" in line or len(line) > 998:
            return "a line in front is malformed"
        if line[:1] in (b" ", b"\t"):
            if not names or not line.strip():
                return "a continuation line in front is malformed"
            continue
        match = FIELD.match(line)
        if not match:
            return "not a trace field in front: %r" % line[:60]
        names.append(match.group(1))
        if match.group(1) == b"Return-Path" and line.split(b":", 1)[1].strip() != b"<%s>" % sender:
            return "Return-Path is not the sender"
    if names[:1] != [b"Return-Path"] or names.count(b"Return-Path") != 1 or b"Received" not in names:
        return "the fields in front are not one Return-Path and Received"
    return None


def difference(got, expected):
    """Says where the end of `got` first differs from `expected`."""
    if len(got) < len(expected):
        return "only %d of %d octets" % (len(got), len(expected))
    tail = got[len(got) - len(expected):]
    for place in range(0, len(expected), 4096):
        if tail[place:place + 4096] != expected[place:place + 4096]:
            return "octets differ within 4096 of offset %d" % place
    return "same"


class Matcher:
    """Finds the sent message for one read back by its Return-Path, and compares."""

    def __init__(self, items):
        self.items = {item.sender: item for item in items if item.sender and not item.refusal}
        self.null = [item for item in items if not item.sender and not item.refusal]

    def find(self, got, where):
        match = re.match(rb"Return-Path:[ \t]*<([^>\r\n]*)>", got)
        if match and match.group(1):
            return self.items.get(match.group(1))
        for item in self.null:
            if getattr(item, where) is None and got.endswith(item.expected):
                return item
        return None

    def compare(self, got, where, size):
        """Sets the item's result for `where`; gives False for a message that was not sent."""
        item = self.find(got, where)
        if not item:
            return False
        expected = item.expected
        if where == "pop3" and not expected.endswith(b"\r\n") and expected:
            expected += b"\r\n"
        if not got.endswith(expected):
            fault = difference(got, expected)
        else:
            fault = trace_fault(got[:len(got) - len(expected)], item.sender)
        if not fault and size is not None and size != len(got):
            fault = "told %d octets, gave %d" % (size, len(got))
        if getattr(item, where) is not None:
            fault = "there twice"
        setattr(item, where, fault or "ok")
        return True


def read_imap(matcher, uid, options):
    session = Imap(options)
    session.next_uid()
    strangers = sum(not matcher.compare(got, "imap", size) for size, got in session.messages(uid))
    session.close()
    return strangers


def read_pop3(matcher, before, options):
    session = Pop3(options)
    sizes = session.sizes()
    strangers = 0
    for number, got in enumerate(session.messages(before + 1, len(sizes)), before):
        # A final CRLF that only the protocol adds is not part of the size.
        size = sizes[number] if sizes[number] != len(got) - 2 else None
        strangers += not matcher.compare(got, "pop3", size)
    session.close()
    return strangers


# ---- What is sent ------------------------------------------------------------------------------

def large_message():
    """20 MB in lines of every length, some of dots, the same in every run."""
    pick = random.Random(20)
    head = b"From: anna@example.org\r\nTo: ben@example.net\r\nSubject: 20 MB\r\n\r\n"
    parts, total = [head], len(head)
    while total < LARGE:
        text = base64.b64encode(pick.randbytes(pick.choice((1, 57, 700, 9000))))
        parts.append((b"." * pick.randrange(3)) + text + b"\r\n")
        total += len(parts[-1])
    return b"".join(parts)


def add_message(items, group, name, raw, ways):
    """One file becomes its deliveries: line ends made CRLF, a bare CR refused and then left out."""
    octets = BARE_LF.sub(b"\r\n", raw)
    if BARE_CR.search(octets):
        items.append(Item(group, name, octets, "refuse"))
        octets = BARE_CR.sub(b"", octets)
    for way in ways:
        items.append(Item(group, name, octets, way))


def load_folder(items, folder):
    for name in sorted(os.listdir(folder)):
        if name.endswith(".eml"):
            with open(os.path.join(folder, name), "rb") as stream:
                add_message(items, "examples", name[:-4], stream.read(), ("DATA", "BDAT"))


def load_corpus(items, path):
    with tarfile.open(path) as archive:
        for number, member in enumerate(archive):
            if member.isfile() and not os.path.basename(member.name).startswith("README"):
                group = os.path.basename(os.path.dirname(member.name)) or "corpus"
                way = "BDAT" if number % 7 == 0 else "DATA"
                add_message(items, group, os.path.basename(member.name),
                            archive.extractfile(member).read(), (way,))


def load(options):
    items = []
    load_folder(items, options.mail)
    if not options.no_large:
        for way in ("DATA", "BDAT"):
            items.append(Item("examples", "made-20-MB", large_message(), way))
    if options.corpus:
        load_corpus(items, options.corpus)
    run = "%x" % random.SystemRandom().getrandbits(40)
    for number, item in enumerate(items):
        if not item.name.startswith("bounce"):
            item.sender = b"check-%s-%d@example.org" % (run.encode(), number)
    return items


# ---- The table ---------------------------------------------------------------------------------

def print_examples(items):
    print("%-26s %-6s %10s  %-5s %-5s %-5s" % ("message", "way", "octets", "SMTP", "IMAP", "POP3"))
    for item in items:
        cells = ["ok" if result == "ok" else "FAIL" for result in item.results()]
        cells += ["-"] * (3 - len(cells))
        print("%-26s %-6s %10d  %-5s %-5s %-5s" % (item.name, item.way, len(item.octets), *cells))


def print_groups(items):
    groups = collections.OrderedDict()
    for item in items:
        groups.setdefault((item.group, item.way), []).append(item)
    print("%-26s %-6s %10s  %-5s %-5s %-5s" % ("real mail", "way", "messages", "SMTP", "IMAP", "POP3"))
    for (group, way), members in sorted(groups.items()):
        cells = []
        for where in ("smtp", "imap", "pop3"):
            good = sum(getattr(item, where) == "ok" for item in members)
            cells.append("-" if where != "smtp" and way == "refuse" else str(good))
        print("%-26s %-6s %10d  %-5s %-5s %-5s" % (group, way, len(members), *cells))


def print_faults(items):
    for item in items:
        if not item.passed():
            told = ["%s: %s" % (where, getattr(item, where) or "not there")
                    for where, result in zip(("smtp", "imap", "pop3"), item.results())
                    if result != "ok"]
            print("FAILED %s/%s (%s): %s" % (item.group, item.name, item.way, "; ".join(told)))


def report(items):
    print_examples([item for item in items if item.group == "examples"])
    real = [item for item in items if item.group != "examples"]
    if real:
        print_groups(real)
    print_faults(items)
    failed = sum(not item.passed() for item in items)
    print("%d passed, %d failed" % (len(items) - failed, failed))
    return 1 if failed or not items else 0


# ---- Main --------------------------------------------------------------------------------------

def address(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for protocol in ("smtp", "imap", "pop3"):
        parser.add_argument("--" + protocol, required=True, type=address, metavar="HOST:PORT")
    parser.add_argument("--user", required=True, help="login name of the mailbox")
    parser.add_argument("--password", help="its password (else read from standard input)")
    parser.add_argument("--to", help="its address, where that is not the login name")
    parser.add_argument("--mail", default=os.path.join(HERE, "..", "mail"), metavar="DIR")
    parser.add_argument("--corpus", metavar="FILE.tar.gz", help="more messages, one file each")
    parser.add_argument("--no-large", action="store_true", help="leave the 20 MB message out")
    parser.add_argument("--tls", choices=("none", "starttls", "implicit"), default="none")
    parser.add_argument("--cafile", help="certificate to trust (else none is checked)")
    parser.add_argument("--connections", type=int, default=4, metavar="N")
    parser.add_argument("--timeout", type=float, default=60, metavar="SECONDS")
    options = parser.parse_args()
    if options.password is None:
        options.password = sys.stdin.readline().rstrip("\n")
    options.to = options.to or options.user
    return options


def timed(what, work, *parameters):
    started = time.monotonic()
    result = work(*parameters)
    print("%s in %.2f s" % (what, time.monotonic() - started), flush=True)
    return result


def run(options):
    items = load(options)
    session = Imap(options)
    uid = session.next_uid()
    session.close()
    session = Pop3(options)
    before = len(session.sizes())
    session.close()
    megabytes = sum(len(item.octets) for item in items) / 1e6
    timed("sent %d messages, %.1f MB, over %d connections" %
          (len(items), megabytes, options.connections), deliver_all, items, options)
    matcher = Matcher(items)
    strangers = timed("read them back by IMAP", read_imap, matcher, uid, options)
    strangers += timed("read them back by POP3", read_pop3, matcher, before, options)
    if strangers:
        print("ignored %d messages that somebody else sent meanwhile" % strangers)
    return report(items)


def main():
    options = arguments()
    try:
        return run(options)
    except (OSError, Refused, tarfile.TarError) as error:
        print("check: %s" % error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
