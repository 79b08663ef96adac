#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-broken.py: the conformance kit finds every planted fault

For each rule of the kit there is a store that breaks it (broken/faults.c); run alone against that
store the rule must fail, and against the store that it stands on it must not. A rule without a
fault fails this test. Rules that need a disk are tried on sqlite, the others on the memory store.
"""
import os
import shutil
import subprocess
import sys
import tempfile

import run

HERE = os.path.join(run.BUILD, "tests", "conform")
CONFIG = """[server]
hostname = mail.example.org
data = {dir}/data
plugin-path = {plugins}, {here}

[store below]
plugin = {below}

[store broken]
plugin = broken
below = below
fault = {fault}
"""
NEED_DISK = {"content-large", "reopen-process", "processes", "crash", "compact-beside", "power-loss", "failing-syncs", "disk-full"}
# Words that plant the fault, where no wrapper can.
PLANTED = {"power-loss": ["--ignore-sync", "file:-wal"]}
WORDS = {"content-large": ["--memory-limit", "4M"], "foreign-delivery": ["--foreign", "true"]}
NO_RESULT = ("without a result", "killed by signal", "longer than", "cannot start")


def rules():
    """Names of all rules but the figures."""
    output = subprocess.run([run.PROGRAM, "conform", "store", "--list"], check=True,
                            capture_output=True, text=True).stdout
    return [line.split()[0] for line in output.splitlines() if line.split()[1] != "figures"]


def attempt(folder, rule, fault):
    """(exit status, output) of one rule against the store with that fault."""
    path = os.path.join(folder, "posthorn.conf")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(CONFIG.format(dir=folder, plugins=run.PLUGINS, here=HERE, fault=fault,
                                   below="sqlite" if rule in NEED_DISK else "memory"))
    done = subprocess.run(
        [run.PROGRAM, "conform", "store", "-c", path, "--scale", "0.01", "--rule", rule,
         "--timeout", "60", *WORDS.get(rule, []), *(PLANTED.get(rule, []) if fault == rule else []), "broken"],
        check=False, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def wrong(folder, rule):
    """What is wrong with this rule, or None."""
    status, output = attempt(folder, rule, rule)
    if status != 1 or not output.startswith("FAIL  " + rule):
        return "the planted fault was not found:\n" + output
    if any(words in output for words in NO_RESULT):
        return "the rule gave no answer:\n" + output
    status, output = attempt(folder, rule, "none")
    if status != 0:
        return "fails without a fault:\n" + output
    return None


def main():
    names = [name for name in rules() if len(sys.argv) < 2 or name in sys.argv[1:]]
    folder = tempfile.mkdtemp(prefix="posthorn-broken-")
    status = 0
    print("TAP version 13\n1..%d" % len(names))
    try:
        for number, rule in enumerate(names, 1):
            reason = wrong(folder, rule)
            print("%sok %d - %s" % ("not " if reason else "", number, rule))
            if reason:
                status = 1
                print("# " + reason.strip().replace("\n", "\n# "))
            sys.stdout.flush()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
