#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""check-contract.py: the public headers say what a plugin author must know

Every function pointer of a plugin's table has a comment that names it and says whether it is
required and on which thread it runs (unless the head of the header says "Threads: members are
called on ..."). Every public function has a comment above it or belongs to a group whose comment
does. A promise with an id, [STORE-3], is cited by some test.
"""
import re

import tree

TABLE = re.compile(r"^struct (Ph(?:Protocol|Mechanism|Directory|Store|Filter|Transport)) \{$(.*?)^\};$",
                   re.MULTILINE | re.DOTALL)
MEMBER = re.compile(r"^\t[\w \t]*?\**[ \t]*\(\*(\w+)\)\(", re.MULTILINE)
PUBLIC = re.compile(r"^PH_PUBLIC[^;]*?\b(ph_\w+)\s*\(", re.MULTILINE)
PROMISE = re.compile(r"\[([A-Z]+-\d+)[ \]]")
USUAL = re.compile(r"_(new|ref|unref|free|clear|length|quark)$")
THREAD = re.compile(r"Thread: (session|worker|main|load|any|lane)")


def comment_above(text, offset):
    """The comment above this line's paragraph: members without a blank line between share it."""
    start = text.rfind("\n\n", 0, offset) + 2
    before = text[start:offset]
    if "*/" not in before:
        return ""
    return before[before.rfind("/*"):]


def member_faults(text):
    for table in TABLE.finditer(text):
        usual = "Threads: members are called on" in text.split("*/")[0]
        for match in MEMBER.finditer(table.group(2)):
            offset = table.start(2) + match.start()
            comment = comment_above(text, offset)
            name = "%s.%s" % (table.group(1), match.group(1))
            if not re.search(r"\b%s\b" % match.group(1), comment) and match.group(1) != "destroy":
                yield offset, "%s has no comment that names it" % name
                continue
            if not re.search(r"Required|Optional", comment):
                yield offset, "%s does not say Required or Optional" % name
            if not usual and not THREAD.search(comment):
                yield offset, "%s does not say its Thread" % name


def function_faults(text):
    """A paragraph of prototypes shares the comment above its first, and so does the paragraph
    that follows it. What every type has needs none."""
    for match in PUBLIC.finditer(text):
        start = text.rfind("\n\n", 0, match.start()) + 2
        above = text[max(text.rfind("\n\n", 0, start - 2), 0):start]
        if "*/" not in text[start:match.start()] + above and not USUAL.search(match.group(1)):
            yield match.start(), "%s has no comment" % match.group(1)


def promises(root):
    cited = set()
    for path in tree.files(root, ("tests", "core/conform"), (".c", ".h", ".py", ".sh", ".txt")):
        cited |= set(PROMISE.findall(tree.read(root, path)))
    for path in tree.files(root, ("include",), (".h",)):
        text = tree.read(root, path)
        for match in PROMISE.finditer(text):
            if match.group(1) not in cited:
                yield path, text, match.start(), "promise %s is cited by no test" % match.group(1)


def check(root, options):
    for path in tree.files(root, ("include",), (".h",)):
        text = tree.read(root, path)
        for offset, wrong in list(member_faults(text)) + list(function_faults(text)):
            yield "%s:%d: %s" % (path, tree.line_of(text, offset), wrong)
    for path, text, offset, wrong in promises(root):
        yield "%s:%d: %s" % (path, tree.line_of(text, offset), wrong)


tree.run("contract", check)
