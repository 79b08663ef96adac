# SPDX-License-Identifier: LGPL-2.1-or-later
"""nexthop.py: a mail server on loopback that keeps what it gets and misbehaves as it is told

    host = Host(extensions=["PIPELINING", "8BITMIME"], replies={"RCPT": "450 4.2.0 later"})
    ... host.port, host.mails ...
    host.stop()

replies: for a command (GREETING, EHLO, HELO, MAIL, RCPT, DATA, BDAT, END, RSET, STARTTLS, AUTH) a
reply, a list of replies for one time each (the last one stays), or a function of the host's Talk and
the command's rest that gives one. Of a reply "DROP" closes the connection, "STALL" never answers,
and octets are sent as they are.
"""
import socket
import ssl
import threading
import time

DEFAULTS = {"GREETING": "220 sink.example ready", "MAIL": "250 2.1.0 ok", "RCPT": "250 2.1.5 ok",
            "DATA": "354 go on", "BDAT": "250 2.0.0 chunk", "END": "250 2.0.0 taken",
            "RSET": "250 2.0.0 reset", "STARTTLS": "220 2.0.0 begin", "NOOP": "250 2.0.0 ok",
            "AUTH": "235 2.7.0 welcome", "HELO": "250 sink.example", "QUIT": "221 2.0.0 bye"}


class Drop(Exception):
    pass


class Talk:
    """One connection."""

    def __init__(self, host, connection):
        self.host = host
        self.connection = connection
        self.stream = connection.makefile("rb")
        self.mail = None
        self.said = []
        self.is_tls = False

    def send(self, octets):
        self.connection.sendall(octets)

    def reply(self, command, rest=""):
        """Sends what the host says to this command; the code that was sent."""
        reply = self.host.replies.get(command, DEFAULTS.get(command, "500 5.5.1 unknown"))
        if isinstance(reply, list):
            reply = reply.pop(0) if len(reply) > 1 else reply[0]
        if callable(reply):
            reply = reply(self, rest)
        if reply is None:
            return 0
        if isinstance(reply, bytes):
            self.send(reply)
            return int(reply[:3]) if reply[:3].isdigit() else 0
        if reply == "DROP":
            raise Drop
        if reply == "STALL":
            while not self.host.stopped:
                time.sleep(0.05)
            raise Drop
        self.send(reply.encode() + b"\r\n")
        return int(reply[:3])

    def read_line(self):
        line = self.stream.readline()
        if not line:
            raise Drop
        assert line.endswith(b"\r\n"), "a line without CR LF: %r" % line
        return line[:-2].decode("utf-8", "surrogateescape")

    def read_data(self):
        lines = []
        while True:
            line = self.stream.readline()
            if not line:
                raise Drop
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)

    def say_hello(self, command, rest):
        if command == "HELO" or "EHLO" in self.host.replies:
            self.reply(command, rest)
            return
        lines = ["sink.example"] + [word for word in self.host.extensions
                                    if word != "STARTTLS" or not self.is_tls]
        self.send(b"".join(b"250%s%s\r\n" % (b"-" if at < len(lines) - 1 else b" ", line.encode())
                           for at, line in enumerate(lines)))

    def start_tls(self):
        if self.reply("STARTTLS") != 220:
            return
        if self.host.tls is None:
            self.send(b"this is no TLS\r\n" * 10)
            raise Drop
        try:
            self.connection = self.host.tls.wrap_socket(self.connection, server_side=True)
        except (ssl.SSLError, OSError) as failure:
            self.host.tls_failures.append(str(failure))
            raise Drop from None
        self.host.sni.append(getattr(self.connection, "sni", None))
        self.stream = self.connection.makefile("rb")
        self.is_tls = True

    def finish_mail(self, octets):
        self.mail["data"] = octets
        self.mail["tls"] = self.is_tls
        mail, self.mail = self.mail, None
        self.host.mails.append(mail)  # before the answer: a test may look at once
        codes = [0]
        try:
            codes = [self.reply("END", rcpt)
                     for rcpt in (mail["rcpt"] if self.host.lmtp else [""])]
        finally:
            if not any(code // 100 == 2 for code in codes):
                self.host.mails.remove(mail)

    def take_chunk(self, rest):
        words = rest.split()
        octets = self.stream.read(int(words[0]))
        if self.mail is None or not self.mail["rcpt"]:
            self.send(b"503 5.5.1 no recipients\r\n")
            return
        self.mail["chunks"] = self.mail.get("chunks", b"") + octets
        if len(words) > 1:
            self.finish_mail(self.mail["chunks"])
        else:
            self.reply("BDAT")

    def obey(self, line):
        word, _, rest = line.partition(" ")
        word = word.upper()
        self.said.append(line)
        self.host.said.append(line)
        if word in ("EHLO", "HELO", "LHLO"):
            self.mail = None
            self.say_hello("EHLO" if word == "LHLO" else word, rest)
        elif word == "MAIL":
            if self.reply("MAIL", rest) // 100 == 2:
                self.mail = {"mail": rest, "rcpt": [], "host": self.host}
        elif word == "RCPT":
            if self.mail is None:
                self.send(b"503 5.5.1 MAIL first\r\n")
            elif self.reply("RCPT", rest) // 100 == 2:
                self.mail["rcpt"].append(rest)
        elif word == "DATA":
            if self.mail is None or not self.mail["rcpt"]:
                self.send(b"503 5.5.1 no recipients\r\n")
            elif self.reply("DATA") == 354:
                self.finish_mail(self.read_data())
        elif word == "BDAT":
            self.take_chunk(rest)
        elif word == "STARTTLS":
            self.start_tls()
        elif word == "RSET":
            self.mail = None
            self.reply("RSET")
        else:
            self.reply(word, rest)
            if word == "QUIT":
                raise Drop

    def run(self):
        try:
            self.reply("GREETING")
            while True:
                self.obey(self.read_line())
        except (Drop, OSError, ValueError):
            pass
        finally:
            self.connection.close()


class Host:
    def __init__(self, address="127.0.0.1", port=0, extensions=("PIPELINING", "8BITMIME"),
                 replies=None, lmtp=False, certificate=None, path=None):
        self.extensions = list(extensions)
        self.replies = dict(replies or {})
        self.lmtp = lmtp
        self.mails = []
        self.said = []
        self.sni = []
        self.tls_failures = []
        self.connections = 0
        self.open = []
        self.stopped = False
        self.tls = None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*certificate)
            self.tls.sni_callback = lambda sock, name, context: setattr(sock, "sni", name)
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.listener.listen(100)
            self.port = 0
        else:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            self.listener = socket.create_server((address, port), family=family, backlog=1000)
            self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(connection)
            threading.Thread(target=Talk(self, connection).run, daemon=True).start()

    def stop(self):
        self.stopped = True
        self.listener.close()
        for connection in self.open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *details):
        self.stop()
