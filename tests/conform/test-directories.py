#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-directories.py: the kit of directories: ours keep the contract, every planted fault is found"""
import http.server
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading

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
    "exec": ("exec\ncommand = {python} -SE {dir}/users.py {dir}/users.json\ndomain = example.org\n"
             "abilities = verify, lookup, secret, expand, list, set, remove", ["--change"]),
    "http": ("http\nurl = http://127.0.0.1:{web}/\ndomain = example.org\n"
             "abilities = verify, lookup, secret, expand, list, set, remove", ["--change"]),
    "second-factor": ("second-factor\npath = {dir}/factors.sqlite\nbelow = people\n"
                      "[directory people]\nplugin = static\nusers = anna:{{PLAIN}}correct horse\n"
                      "domain = example.org", []),
}
# What the program and the web service know, and how they answer.
ANSWER = """
import fcntl, json, sys

def answer(path, q):
    with open(path, "r+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        users = json.load(stream)
        known = q["user"] in users
        if q["ask"] == "list":
            return {"result": "ok", "targets": sorted(users)}
        if q["ask"] == "set":
            users[q["user"]] = q["hash"].split("}")[1]
        elif not known or q["ask"] == "expand":
            return {"result": "unknown"}
        elif q["ask"] == "remove":
            del users[q["user"]]
        elif q["ask"] == "secret" and q["scheme"] == "PLAIN":
            return {"result": "ok", "secret": users[q["user"]]}
        elif q["ask"] == "verify" and q["password"] != users[q["user"]]:
            return {"result": "wrong"}
        stream.seek(0)
        stream.truncate()
        json.dump(users, stream)
        return {"result": "ok"}
"""
PROGRAM = ANSWER + """
for line in sys.stdin:
    print(json.dumps(answer(sys.argv[1], json.loads(line))), flush=True)
"""


class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    knows = {}

    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps(self.knows["answer"](self.knows["path"], question)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def serve(folder):
    """The port of a web service that answers like the program."""
    exec(ANSWER, Service.knows)  # pylint: disable=exec-used
    Service.knows["path"] = folder + "/users.json"
    service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    return service.server_address[1]


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
    with open(folder + "/users.json", "w", encoding="ascii") as stream:
        json.dump({"anna@example.org": "correct horse"}, stream)
    text = plugin.format(dir=folder, python=os.path.realpath(sys.executable),
                         web=serve(folder) if name == "http" else 0)
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
