#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""check-layers.py: an include only ever points down

Which folder may include which is the table below; it is explained in docs/concepts.md.
"""
import os
import re

import tree

BELOW = {
    "base": set(),
    "message": {"base"},
    "config": {"base", "message"},
    "plugin": {"base", "message", "config"},
    "net": {"base", "config", "plugin"},
    "journal": {"base", "message", "config", "plugin"},
    "login": {"base", "message", "config", "plugin", "net"},
    "isolate": {"base", "message", "config", "plugin", "net", "login"},
    "mailbox": {"base", "message", "config", "plugin", "net", "journal"},
    "tools": {"base", "message", "config", "plugin", "net", "journal", "mailbox"},
    "queue": {"base", "message", "config", "plugin", "net", "journal"},
    "server": {"base", "message", "config", "plugin", "net", "journal", "login", "isolate", "mailbox", "queue", "tools"},
    "conform": set(),
    "cli": {"base", "message", "config", "plugin", "net", "journal", "login", "isolate", "mailbox", "queue", "tools", "server", "conform"},
    "plugins": {"base", "message", "config", "plugin", "net", "login"},  # their unit tests
}
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]+([<\"])([^>\"]+)[>\"]", re.MULTILINE)
CONTRACT_MAY = re.compile(r"^(posthorn/[\w.-]+|glib\.h|std\w+\.h|string\.h|limits\.h|inttypes\.h|sys/types\.h)$")


def core_fault(path, form, name, folder):
    if form == "<":
        return None
    target = name.split("/")[0]
    if "/" not in name or target not in BELOW:
        return "write it as \"folder/file.h\" from core"
    if target != folder and target not in BELOW[folder]:
        return "core/%s may not include core/%s" % (folder, target)
    return None


def plugin_fault(root, path, form, name):
    if form == "<":
        return None
    if not os.path.exists(os.path.join(root, os.path.dirname(path), name)):
        return "a plugin includes <posthorn/...>, its own folder and its library only"
    return None


def fault(root, path, form, name):
    """What is wrong with this include in this file, or None."""
    parts = path.split("/")
    if ".." in name.split("/"):
        return "never \"../\""
    if parts[0] == "include":
        return None if form == "<" and CONTRACT_MAY.match(name) else \
            "a public header includes <posthorn/...>, <glib.h> and the C library only"
    if parts[0] == "core" and len(parts) > 2:
        return core_fault(path, form, name, parts[1])
    if parts[:2] == ["tests", "unit"] and len(parts) > 3 and "/" in name:
        return core_fault(path, form, name, parts[2])
    if parts[0] == "plugins":
        return plugin_fault(root, path, form, name)
    if parts[0] == "examples" and form == "\"" and "/" in name:
        return "an example includes <posthorn/...> and its own folder only"
    return None


def check(root, options):
    for path in tree.files(root, ("include", "core", "plugins", "tests", "examples"), (".c", ".h")):
        text = tree.read(root, path)
        for match in INCLUDE.finditer(text):
            wrong = fault(root, path, match.group(1), match.group(2))
            if wrong:
                yield "%s:%d: includes %s: %s" % (
                    path, tree.line_of(text, match.start()), match.group(2), wrong)


tree.run("layers", check)
