#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-mechanisms.py: the kit of mechanisms: ours keep the contract, and every planted fault is found"""
import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import tempfile

import run

HERE = os.path.join(run.BUILD, "tests", "conform")
CLIENT = "%s -SE %s" % (sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                                     "mechanism-client.py"))
CONFIG = """[server]
hostname = mail.example.org
data = {dir}/data
plugin-path = {plugins}, {here}

[mechanism tried]
plugin = {plugin}
"""
SECRET = b"0123456789abcdef0123456789abcdef"
KEYS = {"keys": [{"kty": "oct", "kid": "one", "k": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}
TOKENS = "\nkeys = {dir}/keys.json\nalgorithms = HS256\nissuer = us\naudience = mail"


def token():
    """A JWT for anna that is good for a long time."""
    parts = ({"alg": "HS256", "kid": "one"},
             {"iss": "us", "aud": "mail", "exp": 4102444800, "email": "anna"})
    text = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    sign = base64.urlsafe_b64encode(hmac.digest(SECRET, text, hashlib.sha256)).rstrip(b"=")
    return text + b"." + sign


def responses(*texts):
    return ",".join(base64.b64encode(text).decode() for text in texts)


OURS = {
    "plain": ("plain", [], 0),
    "login": ("login", [], 0),
    "cram-md5": ("cram-md5", ["--client", "%s cram-md5" % CLIENT], 0),
    "apop": ("apop", ["--client", "%s apop" % CLIENT], 0),
    "scram-sha-1": ("scram-sha-1", ["--client", "%s scram-sha-1" % CLIENT], 0),
    "scram-sha-256": ("scram-sha-256", ["--client", "%s scram-sha-256" % CLIENT], 0),
    "anonymous": ("anonymous\nuser = anna", ["--responses", "c2lyaGM="], 1),
    "external": ("external\nuser-from = common-name",
                 ["--certificate", "{dir}/anna.pem", "--responses", ","], 1),
    "oauthbearer": ("oauthbearer" + TOKENS,
                    ["--responses", responses(b"n,a=anna,\x01auth=Bearer " + token() + b"\x01\x01",
                                              b"\x01")], 1),
    "xoauth2": ("xoauth2" + TOKENS,
                ["--responses", responses(b"user=anna\x01auth=Bearer " + token() + b"\x01\x01", b"")], 1),
}


def conform(folder, plugin, *words):
    path = os.path.join(folder, "posthorn.conf")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(CONFIG.format(dir=folder, plugins=run.PLUGINS, here=HERE,
                                   plugin=plugin.replace("{dir}", folder)))
    words = [word.replace("{dir}", folder) for word in words]
    done = subprocess.run([run.PROGRAM, "conform", "mechanism", "-c", path, "--timeout", "60", *words,
                           "tried"], check=False, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def rules():
    output = subprocess.run([run.PROGRAM, "conform", "mechanism", "--list"], check=True,
                            capture_output=True, text=True).stdout
    return [line.split()[0] for line in output.splitlines()]


def keeps(folder, name):
    """What is wrong with one of ours, or None."""
    plugin, words, may_skip = OURS[name]
    status, output = conform(folder, plugin, *words)
    if status != 0:
        return output
    skipped = [line for line in output.splitlines() if line.startswith("skip")]
    allowed = 1 if name in ("plain", "login") else may_skip + 1 if may_skip else 0
    return "too much was skipped:\n" + output if len(skipped) > allowed else None


def finds(folder, rule):
    """What is wrong with one rule, or None."""
    words = ["--client", "%s broken" % CLIENT, "--rule", rule]
    plugin = os.path.join(HERE, "mechanism-broken.so") + ":"
    faulty = plugin + ("misnamed" if rule == "describes-itself" else "broken\nfault = " + rule)
    status, output = conform(folder, faulty, *words)
    if status != 1 or not output.startswith("FAIL  " + rule):
        return "the planted fault was not found:\n" + output
    if "without a result" in output or "longer than" in output:
        return "the rule gave no answer:\n" + output
    status, output = conform(folder, plugin + "broken", *words)
    if status != 0 or output.startswith("skip"):
        return "fails without a fault:\n" + output
    return None


def main():
    jobs = [("keeps the contract: " + name, keeps, name) for name in OURS]
    jobs += [("finds the fault: " + rule, finds, rule) for rule in rules()]
    jobs = [job for job in jobs if len(sys.argv) < 2 or job[2] in sys.argv[1:]]
    folder = tempfile.mkdtemp(prefix="posthorn-mechanisms-")
    with open(folder + "/keys.json", "w", encoding="ascii") as stream:
        json.dump(KEYS, stream)
    os.chmod(folder + "/keys.json", 0o600)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "30", "-subj", "/CN=anna", "-keyout", folder + "/anna.key",
                    "-out", folder + "/anna.pem"], check=True, stderr=subprocess.DEVNULL)
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
