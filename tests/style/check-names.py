#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""check-names.py: files, heads, symbols, exports and test names

With --build it also reads the symbol tables: libposthorn exports ph_* and nothing else, each
plugin exports ph_plugin and nothing else.
"""
import glob
import os
import re
import subprocess

import tree

TOPS = ("include", "core", "plugins", "tests", "examples")
FILE_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\.[ch]")
TEST_CASE = re.compile(r"g_test_add(?:_func|_data_func|_vtable|_data_func_full)?\s*\(\s*\"([^\"]*)\"")


def head_faults(path, text):
    name = os.path.basename(path)
    first = text.split("\n", 1)[0]
    folder = os.path.basename(os.path.dirname(path))
    if not first.startswith(("/* %s: " % name, "/* %s/%s: " % (folder, name))):
        yield 1, "the first line is not \"/* %s: what it does\"" % name
    elif len(first) > 100:
        yield 1, "the first line is longer than 100 characters"
    if "SPDX-License-Identifier: LGPL-2.1-or-later" not in text.split("*/", 1)[0]:
        yield 1, "the head comment has no SPDX-License-Identifier line"


def function_faults(path, text):
    """Prefix follows reach: static functions have none, others in core start with ph_."""
    for function in tree.functions_of(tree.code_of(text)):
        name = function.name
        if function.static and name.startswith("ph_") and path.endswith(".c"):
            yield function.line, "%s is static: no ph_ prefix" % name
        if path.startswith("core/") and not function.static and name != "main" \
                and not name.startswith("ph_"):
            yield function.line, "%s is not static: ph_ prefix, or make it static" % name
        if path.startswith("plugins/") and name.startswith("ph_"):
            yield function.line, "%s: a plugin's own symbols have no ph_ prefix" % name


def test_faults(path, text):
    parts = path.split("/")
    if parts[:2] != ["tests", "unit"] or not parts[-1].startswith("test-"):
        return
    name = parts[-1][len("test-"):-len(".c")]
    folder = "" if parts[2] == "plugins" else "/" + parts[2]
    for match in TEST_CASE.finditer(text):
        subject = match.group(1)[len(folder):].split("/")[1:2]
        if not match.group(1).startswith(folder + "/") or not name.startswith(subject[0]):
            yield tree.line_of(text, match.start()), "case %s does not start with %s/%s/" % (
                match.group(1), folder, name)


def exports(path):
    output = subprocess.run(["nm", "-D", "--defined-only", "--without-symbol-versions", path],
                            check=True, capture_output=True, text=True).stdout
    return {line.split()[2] for line in output.splitlines() if " A " not in line}


def export_faults(build):
    for path in sorted(glob.glob(os.path.join(build, "core", "libposthorn.so.*"))):
        if os.path.isfile(path) and not os.path.islink(path) and not path.endswith(".symbols"):
            for name in sorted(exports(path)):
                if not name.startswith("ph_"):
                    yield "core/%s:1: exports %s" % (os.path.basename(path), name)
    for path in sorted(glob.glob(os.path.join(build, "plugins", "*.so"))):
        found = exports(path)
        if found != {"ph_plugin"}:
            yield "plugins/%s:1: exports %s, not ph_plugin alone" % (
                os.path.basename(path), ", ".join(sorted(found)) or "nothing")


def check(root, options):
    for path in tree.files(root, TOPS, (".c", ".h")):
        text = tree.read(root, path)
        if not FILE_NAME.fullmatch(os.path.basename(path)):
            yield "%s:1: file names are lower-case words with hyphens" % path
        found = list(head_faults(path, text)) + list(function_faults(path, text))
        for line, wrong in found + list(test_faults(path, text)):
            yield "%s:%d: %s" % (path, line, wrong)
    if options.build:
        yield from export_faults(options.build)


tree.run("names", check)
