#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""check-size.py: files, functions, nesting and parameter lists stay readable"""
import tree

FILE, HEADER, FUNCTION, NESTING, PARAMETERS, COLUMNS = 700, 300, 60, 4, 6, 100


def file_faults(path, text):
    limit = HEADER if path.endswith(".h") else FILE
    n_lines = text.count("\n")
    if n_lines > limit:
        yield 1, "%d lines, more than %d: it has two subjects" % (n_lines, limit)
    for number, line in enumerate(text.split("\n"), 1):
        if len(line.expandtabs(8)) > COLUMNS + 20:
            yield number, "%d columns" % len(line.expandtabs(8))


def function_faults(function):
    if function.n_lines() > FUNCTION:
        yield "%s has %d lines, more than %d" % (function.name, function.n_lines(), FUNCTION)
    if function.nesting() > NESTING:
        yield "%s nests %d deep, more than %d" % (function.name, function.nesting(), NESTING)
    if function.n_parameters() > PARAMETERS:
        yield "%s has %d parameters, more than %d" % (
            function.name, function.n_parameters(), PARAMETERS)


def check(root, options):
    lengths = []
    for path in tree.files(root, ("include", "core", "plugins", "tests", "examples"), (".c", ".h")):
        text = tree.read(root, path)
        for line, wrong in file_faults(path, text):
            yield "%s:%d: %s" % (path, line, wrong)
        for function in tree.functions_of(tree.code_of(text)):
            lengths.append(function.n_lines())
            for wrong in function_faults(function):
                yield "%s:%d: %s" % (path, function.line, wrong)
    lengths.sort()
    if lengths and not options.fixture:
        print("%d functions: median %d lines, ninth in ten %d, longest %d" % (
            len(lengths), lengths[len(lengths) // 2], lengths[len(lengths) * 9 // 10], lengths[-1]))


tree.run("size", check)
