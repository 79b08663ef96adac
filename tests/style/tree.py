# SPDX-License-Identifier: LGPL-2.1-or-later
"""tree.py: what the style checks share: walking the tree, reading C without its comments

A check is a function from a tree's root to complaints, `PATH:LINE: what is wrong`. run() calls it
on the whole tree, or with --fixture on a small tree beside this file that breaks each of its
rules: then the complaints must be exactly those of that folder's expected.txt.
"""
import argparse
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SKIPPED = {".git", "fixtures", "run", "__pycache__"}
TOKEN = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)
HEAD = re.compile(r"^(?!static\s+const\b)([A-Za-z_][\w\s*]*?\n)?([A-Za-z_]\w*)\(", re.MULTILINE)


def files(root, tops, endings):
    """Relative paths below `tops` that end so, in order; build folders and fixtures left out."""
    found = []
    for top in tops:
        start = os.path.join(root, top)
        if os.path.isfile(start):
            found.append(top)
        for folder, folders, names in os.walk(start):
            folders[:] = sorted(name for name in folders
                                if name not in SKIPPED and not name.startswith("build"))
            found += [os.path.relpath(os.path.join(folder, name), root)
                      for name in names if name.endswith(endings)]
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="surrogateescape") as stream:
        return stream.read()


def blank(match):
    """Spaces of the same shape, with the quotes of a string kept."""
    text = match.group(0)
    empty = re.sub(r"[^\n]", " ", text)
    if text[0] in "\"'":
        return text[0] + empty[1:-1] + text[0]
    return empty


def code_of(text):
    """C text with comments and the insides of strings blanked; offsets and lines stay."""
    return TOKEN.sub(blank, text)


def comments_of(text):
    """(offset, text) of each comment."""
    return [(match.start(), match.group(0)) for match in TOKEN.finditer(text)
            if match.group(0).startswith("/")]


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


class Function:
    """A function definition: name, parameter list, body between its braces."""

    def __init__(self, code, head, opening):
        self.name = head.group(2)
        self.line = line_of(code, head.start(2))
        above = re.sub(r"^\s*#.*\n", "", code[:head.start(2)].rsplit("\n\n", 1)[-1], flags=re.M)
        self.static = above.lstrip().startswith("static")
        end = code.find("\n}", opening)
        self.parameters = code[head.end():code.rfind(")", head.end(), opening)]
        self.body = code[opening + 1:end + 1 if end >= 0 else len(code)]

    def n_lines(self):
        return self.body.count("\n") - 1

    def n_parameters(self):
        depth, count = 0, 1
        for char in self.parameters:
            depth += (char == "(") - (char == ")")
            count += char == "," and depth == 0
        return count

    def nesting(self):
        """Deepest block inside the body; braces of initialisers do not count."""
        kinds, deepest = [], 0
        for match in re.finditer(r"[{}]", self.body):
            if match.group(0) == "}":
                if kinds:
                    kinds.pop()
                continue
            before = self.body[:match.start()].rstrip()
            kinds.append(before.endswith((")", "else", "do", ":")) or before == "")
            deepest = max(deepest, sum(kinds))
        return deepest


def functions_of(code):
    """Definitions in the project's form: name at column 0, brace alone at column 0."""
    found = []
    for opening in re.finditer(r"^\{$", code, re.MULTILINE):
        start = code.rfind("\n\n", 0, opening.start()) + 1
        head = None
        for head in HEAD.finditer(code, start, opening.start()):
            pass
        if head and code[head.end():opening.start()].rstrip().endswith(")"):
            found.append(Function(code, head, opening.start()))
    return found


def run(name, check):
    """The main function of a check: complaints on standard output, exit status 1 if any."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixture", action="store_true", help="check the tree that must fail")
    parser.add_argument("--build", default=None, help="build folder, for checks that need one")
    options = parser.parse_args()
    root = os.path.join(HERE, "fixtures", name) if options.fixture else ROOT
    complaints = sorted(check(root, options))
    if not options.fixture:
        print("".join(line + "\n" for line in complaints), end="")
        print("%s: %d complaints" % (name, len(complaints)))
        sys.exit(1 if complaints else 0)
    expected = read(root, "expected.txt").splitlines()
    for line in sorted(set(complaints) ^ set(expected)):
        print("%s: %s" % ("not expected" if line in complaints else "not found", line))
    sys.exit(0 if complaints == expected and expected else 1)
