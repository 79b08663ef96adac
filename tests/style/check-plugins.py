#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""check-plugins.py: every plugin folder has a README, an example, a test and documented options"""
import glob
import os
import re

import tree

OPTION = re.compile(r"\bPH_OPTION_([A-Z]+)\(\s*(\w+),\s*(\w+),(.*?)\),\n", re.DOTALL)


def folders(root):
    for path in sorted(glob.glob(os.path.join(root, "plugins", "*", "*", "meson.build"))):
        yield os.path.relpath(os.path.dirname(path), root)


def option_faults(root, folder, readme):
    for path in tree.files(root, (folder,), (".c",)):
        text = tree.read(root, path)
        for match in OPTION.finditer(text):
            key = match.group(3).replace("_", "-")
            line = tree.line_of(text, match.start())
            if not re.search(r"\"[^\"]{8,}\"\s*$", match.group(4)):
                yield "%s:%d: option %s has no help text" % (path, line, key)
            if not re.search(r"\b%s\b" % re.escape(key), readme):
                yield "%s:%d: option %s is not in %s/README.md" % (path, line, key, folder)


def check(root, options):
    for folder in folders(root):
        name = os.path.basename(folder)
        if not tree.files(root, (folder,), (".c",)):
            continue
        for wanted in ("README.md", "example.conf"):
            if not os.path.exists(os.path.join(root, folder, wanted)):
                yield "%s/meson.build:1: there is no %s" % (folder, wanted)
        if not test_of(root, folder, name):
            yield "%s/meson.build:1: there is no test in the folder or in tests/" % folder
        readme = os.path.join(folder, "README.md")
        if os.path.exists(os.path.join(root, readme)):
            yield from option_faults(root, folder, tree.read(root, readme))


def test_of(root, folder, name):
    """A test is in the folder (test-*.c), or a test elsewhere has the plugin's name; a mechanism's
    may be a transcript that authenticates with it."""
    if glob.glob(os.path.join(root, folder, "test-*.c")):
        return True
    tests = tree.files(root, ("tests",), (".c", ".py", ".txt", ".sh"))
    if folder.startswith("plugins/mechanism/"):
        names = {name.upper()}
        for path in tree.files(root, (folder,), (".c",)):  # several may share a folder
            names.update(re.findall(r"\.sasl_name = \"([\w-]+)\"", tree.read(root, path)))
        used = re.compile(r"\bAUTH(ENTICATE)? (%s)\b" % "|".join(names))
        return any(used.search(tree.read(root, path)) for path in tests)
    return any(name in os.path.relpath(path, "tests").replace(".", "-").replace("/", "-").split("-")
               or name in path for path in tests)


tree.run("plugins", check)
