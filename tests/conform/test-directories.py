#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-directories.py: the kit of directories: ours keep the contract, every planted fault is found"""
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile

import run

HERE = os.path.join(run.BUILD, "tests", "conform")
CONFIG = """[server]
hostname = mail.example.org
data = {dir}/data
plugin-path = {plugins}, {here}

[directory tried]
plugin = {plugin}
"""
OURS = {
    "passwd-file": ("passwd-file\npath = {dir}/users\ndomain = example.org", ["--change"]),
    "sqlite": ("sqlite\npath = {dir}/users.sqlite\ndomain = example.org", ["--change"]),
    "static": ("static\nusers = anna:{{PLAIN}}correct horse\ndomain = example.org", []),
    "exec": ("exec\ncommand = {python} -SE {dir}/users.py\ndomain = example.org", []),
}
PROGRAM = """
import json, sys
for line in sys.stdin:
    q = json.loads(line)
    known = q["user"] == "anna@example.org"
    right = q.get("password") in (None, "correct horse")
    result = "unknown" if not known else "ok" if right else "wrong"
    print(json.dumps({"result": result}), flush=True)
"""


def conform(folder, plugin, *words):
    path = os.path.join(folder, "posthorn.conf")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(CONFIG.format(dir=folder, plugins=run.PLUGINS, here=HERE, plugin=plugin))
    done = subprocess.run(
        [run.PROGRAM, "conform", "directory", "-c", path, "--timeout", "60", "--user",
         "anna@example.org", "--password", "correct horse", *words, "tried"],
        check=False, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def rules():
    output = subprocess.run([run.PROGRAM, "conform", "directory", "--list"], check=True,
                            capture_output=True, text=True).stdout
    return [line.split()[0] for line in output.splitlines()]


def keeps(folder, name):
    """What is wrong with one of ours, or None."""
    plugin, words = OURS[name]
    with open(folder + "/users", "w", encoding="ascii") as stream:
        stream.write("anna:{PLAIN}correct horse\n")
    with open(folder + "/users.py", "w", encoding="ascii") as stream:
        stream.write(PROGRAM)
    if os.path.exists(folder + "/users.sqlite"):
        os.remove(folder + "/users.sqlite")
    text = plugin.format(dir=folder, python=os.path.realpath(sys.executable))
    if name == "sqlite":
        conform(folder, text, "--rule", "unknown-user")  # makes the tables
        database = sqlite3.connect(folder + "/users.sqlite")
        with database:
            database.execute("INSERT INTO users (domain, local, password) VALUES"
                             " ('example.org', 'anna', '{PLAIN}correct horse')")
        database.close()
    status, output = conform(folder, text, *words)
    return output if status != 0 else None


def finds(folder, rule):
    """What is wrong with one rule, or None."""
    plugin = os.path.join(HERE, "directory-broken.so") + ":broken"
    words = ["--rule", rule, "--change"]
    status, output = conform(folder, plugin + "\nfault = " + rule, *words)
    if status != 1 or not output.startswith("FAIL  " + rule):
        return "the planted fault was not found:\n" + output
    if "without a result" in output or "longer than" in output:
        return "the rule gave no answer:\n" + output
    status, output = conform(folder, plugin, *words)
    if status != 0 or output.startswith("skip"):
        return "fails without a fault:\n" + output
    return None


def main():
    jobs = [("keeps the contract: " + name, keeps, name) for name in OURS]
    jobs += [("finds the fault: " + rule, finds, rule) for rule in rules()]
    jobs = [job for job in jobs if len(sys.argv) < 2 or job[2] in sys.argv[1:]]
    folder = tempfile.mkdtemp(prefix="posthorn-directories-")
    status = 0
    print("TAP version 13\n1..%d" % len(jobs))
    try:
        for number, (title, job, name) in enumerate(jobs, 1):
            reason = job(folder, name)
            print("%sok %d - %s" % ("not " if reason else "", number, title))
            if reason:
                status = 1
                print("# " + reason.strip().replace("\n", "\n# "))
            sys.stdout.flush()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
