# SPDX-License-Identifier: LGPL-2.1-or-later
"""milters.py: a milter that does what a test tells it, in the protocol's own octets

    with Milter({"E": [add_header("X-A", "b"), b"c"]}) as milter:
        ... milter.address ...
        assert milter.said("M")[0] == [b"<carla@example.net>"]

The script maps a command's letter to the replies to it, or to a function that gets the data and
returns them; other commands are answered with continue. A reply that begins with RAW is sent as it
is, without a length; None closes the connection; a number waits so many seconds.
"""
import os
import shutil
import socket
import struct
import tempfile
import threading
import time

RAW = b"raw:"
ALL_ACTIONS = 0x1FF
SILENT = b"ABDQ"


def packet(reply):
    return struct.pack(">I", len(reply)) + reply


def add_header(name, value):
    return b"h" + name.encode() + b"\0" + value.encode() + b"\0"


def insert_header(index, name, value):
    return b"i" + struct.pack(">I", index) + name.encode() + b"\0" + value.encode() + b"\0"


def change_header(index, name, value):
    return b"m" + struct.pack(">I", index) + name.encode() + b"\0" + value.encode() + b"\0"


class Milter:
    def __init__(self, script=None, version=6, actions=ALL_ACTIONS, protocol=0, tcp=False,
                 names=None):
        self.script = script or {}
        self.names = names or {}  # of macros, by stage (SMFIM_*)
        self.options = (version, actions, protocol)
        self.connections = []  # each a list of (letter, data)
        self.lock = threading.Lock()
        self.n_open = 0
        self.folder = tempfile.mkdtemp(prefix="posthorn-milter-")
        if tcp:
            self.socket = socket.create_server(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        else:
            path = os.path.join(self.folder, "sock")
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(path)
            self.socket.listen(64)
            self.address = "unix:" + path

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, kind, value, trace):
        self.socket.shutdown(socket.SHUT_RDWR)  # else the thread that accepts takes one more
        self.socket.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    @staticmethod
    def read(stream, n):
        octets = stream.read(n)
        if len(octets) < n:
            raise EOFError
        return octets

    def serve(self, connection):
        events = []
        with self.lock:
            self.connections.append(events)
            self.n_open += 1
        stream = connection.makefile("rb")
        try:
            while True:
                (length,) = struct.unpack(">I", self.read(stream, 4))
                data = self.read(stream, length)
                letter, data = chr(data[0]), data[1:]
                events.append((letter, data))
                if letter == "O" and "O" not in self.script:
                    offered = struct.unpack(">III", data)
                    version, actions, protocol = self.options
                    connection.sendall(packet(b"O" + struct.pack(
                        ">III", version, actions & offered[1], protocol & offered[2]) + b"".join(
                            struct.pack(">I", stage) + names.encode() + b"\0"
                            for stage, names in self.names.items())))
                    continue
                replies = self.script.get(letter, [] if letter.encode() in SILENT and letter != "B"
                                          else [b"c"])
                if callable(replies):
                    replies = replies(data)
                for reply in replies:
                    if reply is None:
                        connection.shutdown(socket.SHUT_RDWR)
                        return
                    if isinstance(reply, (int, float)):
                        time.sleep(reply)
                    elif reply.startswith(RAW):
                        connection.sendall(reply[len(RAW):])
                    else:
                        connection.sendall(packet(reply))
        except (EOFError, OSError):
            pass
        finally:
            connection.close()
            with self.lock:
                self.n_open -= 1

    @property
    def talks(self):
        """The connections on which more than hello was said: not those of a server's start."""
        return [one for one in self.connections if any(letter in "MRHU" for letter, _ in one)]

    def letters(self, index=0):
        """What was said on a connection, macros left out."""
        return "".join(letter for letter, _ in self.talks[index] if letter != "D")

    def said(self, letter, index=0):
        """The strings of each such command."""
        return [data.split(b"\0")[:-1] for one, data in self.talks[index] if one == letter]

    def macros(self, command, index=0):
        """Those of the last time before that command."""
        found = {}
        for letter, data in self.talks[index]:
            if letter == "D" and data[:1] == command.encode():
                words = data[1:].split(b"\0")[:-1]
                found = dict(zip(words[::2], words[1::2]))
        return found
