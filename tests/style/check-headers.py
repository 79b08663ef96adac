#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""check-headers.py: every public header compiles alone, as C and as C++; a core header as C"""
import concurrent.futures
import os
import shlex
import shutil
import subprocess

import tree


def compilers():
    flags = subprocess.run(["pkg-config", "--cflags", "glib-2.0"], check=True, capture_output=True,
                           text=True).stdout
    cc = shlex.split(os.environ.get("CC", "cc")) + ["-std=gnu11", "-x", "c"]
    cxx = shlex.split(os.environ.get("CXX", "c++")) + ["-std=c++14", "-x", "c++"]
    return shlex.split(flags), cc, cxx if shutil.which(cxx[0]) else None


def compile_alone(root, path, compiler, flags):
    """The complaint about one header and one language, or None."""
    folders = ["-I", os.path.join(root, "include"), "-I", os.path.join(root, "core")]
    command = compiler + ["-fsyntax-only", "-Wall", "-Werror", "-Wno-pragma-once-outside-header",
                          "-D_GNU_SOURCE", "-DPH_BUILDING"] + folders + flags
    done = subprocess.run(command + [os.path.join(root, path)], capture_output=True, text=True)
    if done.returncode == 0:
        return None
    first = next((line for line in done.stderr.splitlines() if "error" in line), "error: ?")
    return "%s:1: does not compile alone as %s: %s" % (
        path, "C++" if compiler[-1] == "c++" else "C", first.split("error: ", 1)[-1])


def check(root, options):
    flags, cc, cxx = compilers()
    jobs = []
    for path in tree.files(root, ("include", "core"), (".h",)):
        jobs.append((path, cc))
        if path.startswith("include/") and cxx:
            jobs.append((path, cxx))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        yield from filter(None, pool.map(
            lambda job: compile_alone(root, job[0], job[1], flags), jobs))


tree.run("headers", check)
