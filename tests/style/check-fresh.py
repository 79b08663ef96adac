#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""check-fresh.py: what the papers say about the tree is still so

Links between Markdown files lead somewhere; the table of examples/mail lists each message with
its size.
"""
import os
import re

import tree

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
ROW = re.compile(r"^\| `([\w.-]+\.eml)` \| ([\d,]+) \|", re.MULTILINE)


def link_faults(root, path, text):
    for match in LINK.finditer(text):
        target = match.group(1)
        if re.match(r"[a-z]+:", target):
            continue
        if not os.path.exists(os.path.join(root, os.path.dirname(path), target)):
            yield match.start(), "link to %s, which is not there" % target


def table_faults(root, path, text):
    """examples/mail/README.md against its folder."""
    folder = os.path.join(root, os.path.dirname(path))
    told = {name: (int(size.replace(",", "")), offset) for name, size, offset in
            ((match.group(1), match.group(2), match.start()) for match in ROW.finditer(text))}
    there = {name: os.path.getsize(os.path.join(folder, name))
             for name in os.listdir(folder) if name.endswith(".eml")}
    for name in sorted(set(told) | set(there)):
        if name not in told:
            yield 0, "%s is not in the table" % name
        elif name not in there:
            yield told[name][1], "%s is not in the folder" % name
        elif told[name][0] != there[name]:
            yield told[name][1], "%s has %d octets" % (name, there[name])


def check(root, options):
    for path in tree.files(root, (".",), (".md",)):
        text = tree.read(root, path)
        found = list(link_faults(root, path, text))
        if path == "examples/mail/README.md":
            found += list(table_faults(root, path, text))
        for offset, wrong in found:
            yield "%s:%d: %s" % (path, tree.line_of(text, offset), wrong)


tree.run("fresh", check)
