# SPDX-License-Identifier: LGPL-2.1-or-later
"""rebuild.py: a folder as it could be found after the power went, from a trace of powerloss.c

What was synced is there. Of what was not, each sector of 512 octets of each write is there or not,
and of the changes to names a beginning of their sequence is there, as a file system with a journal of
its own would leave them. `survival` is the share of unsynced writes that is there: 0 is the
strictest disk that keeps its promises, 1 loses nothing.

    rebuild(trace, base, root, target, survival, random.Random(7))
"""
import os
import shutil

SECTOR = 512


class File:
    """One file: what is on the disk, and what came since."""

    def __init__(self, octets=b""):
        self.octets = bytearray(octets)
        self.pending = []

    def write(self, at, octets):
        self.pending.append((at, octets))

    def cut(self, length):
        self.pending.append((length, None))

    def apply(self, at, octets):
        if octets is None:
            if at < len(self.octets):
                del self.octets[at:]
            else:
                self.octets.extend(bytes(at - len(self.octets)))
            return
        if at > len(self.octets):
            self.octets.extend(bytes(at - len(self.octets)))
        self.octets[at:at + len(octets)] = octets

    def sync(self):
        for at, octets in self.pending:
            self.apply(at, octets)
        self.pending = []

    def lose_power(self, survival, chance):
        """Keeps some of what was not synced, torn at sectors."""
        for at, octets in self.pending:
            if octets is None:
                if chance.random() < survival:
                    self.apply(at, None)
                continue
            while octets:
                part = SECTOR - at % SECTOR
                if chance.random() < survival:
                    self.apply(at, octets[:part])
                at, octets = at + part, octets[part:]
        self.pending = []


class Disk:
    """Names and files; names that are not synced wait in `pending`, in order."""

    def __init__(self, base, root):
        self.root = root
        self.names = {}    # path -> File, as the process sees it
        self.durable = {}  # as it is on the disk; a folder is None
        self.pending = []  # (paths whose folders are to be synced, function on durable)
        self.files = {}    # number of the trace -> File
        for folder, folders, names in os.walk(base):
            at = root + folder[len(base):]
            for name in folders:
                self.durable[os.path.join(at, name)] = None
            for name in names:
                source = os.path.join(folder, name)
                if os.path.isfile(source) and not name.endswith("-shm"):
                    with open(source, "rb") as stream:
                        self.durable[os.path.join(at, name)] = File(stream.read())
        self.names = dict(self.durable)

    def change(self, paths, function):
        function(self.names)
        self.pending.append((paths, function))

    def sync_names(self, folder):
        """Changes in that folder, and before each those of the same names: a file that went from one
        folder to a second and to a third cannot be in the third and come to the second later."""
        kept, done, needed = [], [], set()
        for change in reversed(self.pending):
            paths = change[0]
            if any(path in needed or os.path.dirname(path) == folder for path in paths):
                needed.update(paths)
                done.append(change)
            else:
                kept.append(change)
        for _, function in reversed(done):
            function(self.durable)
        self.pending = kept[::-1]

    def sync_all(self):
        for _, function in self.pending:
            function(self.durable)
        self.pending = []
        for one in set(self.names.values()) | set(self.files.values()):
            if one is not None:
                one.sync()

    def lose_power(self, survival, chance, keep=""):
        kept = len(self.pending) if survival == 1 or keep else int(
            len(self.pending) * survival * chance.random() * 2)
        for _, function in self.pending[:kept]:
            function(self.durable)
        lucky = {one for path, one in self.durable.items() if keep and keep in path}
        for one in set(self.durable.values()):
            if one is not None:
                one.lose_power(1 if one in lucky else survival, chance)

    def write(self, target):
        for path in sorted(self.durable):
            one, to = self.durable[path], target + path[len(self.root):]
            if one is None:
                os.makedirs(to, exist_ok=True)
        for path in sorted(self.durable):
            one, to = self.durable[path], target + path[len(self.root):]
            if one is not None and os.path.isdir(os.path.dirname(to)):
                with open(to, "wb") as stream:
                    stream.write(one.octets)
                os.chmod(to, 0o600)


def setter(path, one):
    return lambda names: names.__setitem__(path, one)


def remover(path):
    return lambda names: names.pop(path, None)


def mover(old, new):
    """A folder takes what lies in it along."""
    def move(names):
        for path in [path for path in names if path == old or path.startswith(old + "/")]:
            names[new + path[len(old):]] = names.pop(path)
    return move


def linker(old, new):
    return lambda names: names.__setitem__(new, names.get(old))


def play(disk, stream):
    """Works off the trace. A last line that is torn is none."""
    for line in iter(stream.readline, b""):
        if not line.endswith(b"\n"):
            return
        word, _, rest = line[:-1].decode("utf-8", "surrogateescape").partition(" ")
        if word == "write":
            number, at, length = map(int, rest.split())
            octets = stream.read(length)
            if len(octets) < length:
                return
            disk.files[number].write(at, octets)
        elif word in ("make", "file"):
            number, _, path = rest.partition(" ")
            if word == "make" or path not in disk.names:
                one = File()
                disk.change([path], setter(path, one))
            disk.files[int(number)] = disk.names[path]
        elif word == "blank":
            disk.files[int(rest)] = File()
        elif word == "name":
            number, _, path = rest.partition(" ")
            disk.change([path], setter(path, disk.files[int(number)]))
        elif word == "folder":
            disk.change([rest], setter(rest, None))
        elif word == "cut":
            number, length = map(int, rest.split())
            disk.files[number].cut(length)
        elif word == "sync":
            disk.files[int(rest)].sync()
        elif word == "names":
            disk.sync_names(rest)
        elif word == "all":
            disk.sync_all()
        elif word == "rename":
            old, new = rest.split("\t")
            disk.change([old, new], mover(old, new))
        elif word == "link":
            old, new = rest.split("\t")
            disk.change([old, new], linker(old, new))
        elif word in ("gone", "rmdir"):
            disk.change([rest], remover(rest))
        else:
            raise ValueError("a trace has no %r" % word)


def rebuild(trace, base, root, target, survival, chance, keep=""):
    """Writes the folder `target`: what `root` could be after the trace; `base` is what it was before.
    @keep: all changes to names, and all that was written to files with that in their path, are there."""
    disk = Disk(base, os.path.realpath(root))
    with open(trace, "rb") as stream:
        play(disk, stream)
    disk.lose_power(survival, chance, keep)
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    disk.write(target)
