#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-relay-dovecot.py: mail goes on to Dovecot's LMTP, over a socket, and Dovecot has it"""
import os
import subprocess
import tempfile

import lib
from lib import Server, main, need, wait_for
from relaying import QUEUE, TIMES, outcomes

DOVECOT = """
base_dir = {dir}/run
state_dir = {dir}/state
instance_name = posthorn-lmtp-test
protocols = lmtp
log_path = {dir}/log
mail_location = maildir:{dir}/mail/%n
mail_uid = 65534
mail_gid = 65534
first_valid_uid = 1000
first_valid_gid = 1000
ssl = no
default_internal_user = dovecot
postmaster_address = postmaster@example.org
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = passwd-file
  args = {dir}/users
}}
service lmtp {{
  unix_listener {dir}/lmtp {{
    mode = 0666
  }}
}}
"""
CONFIG = lib.SERVER + lib.SMTP + QUEUE + """
[route agent]
domains = example.org
transport = lmtp
address = unix:%s/lmtp
""" + TIMES.replace("300ms", "5s")


def start_dovecot(folder):
    dovecot = need("dovecot")
    if os.geteuid() != 0:
        raise lib.Skip("Dovecot wants to be started by root")
    if not subprocess.run([dovecot, "--version"], capture_output=True, check=True,
                          text=True).stdout.startswith("2.3"):
        raise lib.Skip("it is not Dovecot 2.3")
    for name in ("run", "state", "mail"):
        os.mkdir(os.path.join(folder, name))
    os.chmod(folder, 0o755)
    os.chown(os.path.join(folder, "mail"), 65534, 65534)
    with open(folder + "/dovecot.conf", "w", encoding="utf-8") as stream:
        stream.write(DOVECOT.format(dir=folder))
    with open(folder + "/users", "w", encoding="utf-8") as stream:
        stream.writelines("%s@example.org::65534:65534::%s/mail/%s\n" % (user, folder, user)
                          for user in ("anna", "ben"))
    process = subprocess.Popen([dovecot, "-F", "-c", folder + "/dovecot.conf"],
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: os.path.exists(folder + "/lmtp"), 10, "Dovecot")
    return process


def test_dovecot_takes_each_recipients_mail():
    with tempfile.TemporaryDirectory(prefix="posthorn-dovecot-") as folder:
        process = start_dovecot(folder)
        try:
            with Server(config=CONFIG % folder, ports=("smtp",)) as server:
                octets = b"Subject: one\r\n\r\n.dot\r\ncaf\xc3\xa9\r\n"
                got = outcomes(server, octets, options=["BODY=8BITMIME"], recipients=[
                    "anna@example.org", "nobody@example.org", "ben@example.org"])
                assert [code for code, _ in got] == [250, 554, 250], got
                for user in ("anna", "ben"):
                    new = os.path.join(folder, "mail", user, "new")
                    with open(os.path.join(new, os.listdir(new)[0]), "rb") as stream:
                        assert stream.read().endswith(octets.replace(b"\r\n", b"\n"))
                large = b"Subject: two\r\n\r\n" + (b"." + b"x" * 70 + b"\r\n") * 5000
                assert outcomes(server, large, recipients=["anna@example.org"])[0][0] == 250
        finally:
            process.terminate()
            process.wait(20)


if __name__ == "__main__":
    main(globals())
