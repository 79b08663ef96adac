#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-pam.py: the system's users, whose passwords a real PAM checks, in processes of its own

PAM's service files and the passwords lie in the test's folder (pam_matrix of libpam-wrapper reads a
text file). Started by root, the server itself serves as another user.
"""
import glob
import imaplib
import json
import os
import pwd
import re
import smtplib

import lib
from lib import PASSWORD, PLUGINS, SERVER, Server, Skip, main

CONFIG = SERVER + """login-delay = 1ms

[directory people]
plugin = pam
service = mail
service-folder = {dir}/pam.d
domain = example.org
{{keys}}
[store mail]
plugin = sqlite
path = {{data}}/mail/{{domain}}/{{user}}
[route local]
domains = example.org
transport = store
store = mail
directory = people
[listener smtp]
plugin = smtp
address = 127.0.0.1:{smtp}
[listener imap]
plugin = imap
address = 127.0.0.1:{imap}
store = mail
directory = people
mechanisms = plain
"""
SERVICE = """auth required {module} passdb={dir}/passdb
account required {module} passdb={dir}/passdb
"""
UNIX = """auth required pam_unix.so
account required pam_unix.so
"""
IS_ROOT = os.geteuid() == 0


def module():
    found = glob.glob("/usr/lib/*/pam_wrapper/pam_matrix.so")
    if not found:
        raise Skip("libpam-wrapper is not installed")
    if not os.path.exists(os.path.join(PLUGINS, "directory-pam.so")):
        raise Skip("the pam directory is not built")
    return found[0]


class Machine(Server):
    """A server with a PAM service of its own."""

    def __init__(self, keys="users = account", service=SERVICE, users=("anna", "ben")):
        path = module()
        config = CONFIG.replace("{{keys}}", keys)
        if IS_ROOT:
            config = config.replace("[server]\n", "[server]\nuser = nobody\n")
        super().__init__(config=config, ports=("smtp", "imap"))
        os.mkdir(self.dir + "/pam.d")
        with open(self.dir + "/pam.d/mail", "w", encoding="utf-8") as stream:
            stream.write(service.replace("{module}", path).replace("{dir}", self.dir))
        with open(self.dir + "/passdb", "w", encoding="utf-8") as stream:
            stream.writelines("%s:%s:mail\n" % (user, PASSWORD) for user in users)
        if IS_ROOT:
            os.chmod(self.dir, 0o755)
            os.chmod(self.dir + "/passdb", 0o600)  # for root alone: the server cannot read it
            os.chown(self.dir + "/data", pwd.getpwnam("nobody").pw_uid, -1)

    def login(self, user, password=PASSWORD):
        client = imaplib.IMAP4("127.0.0.1", self.ports["imap"], timeout=30)
        try:
            client.login(user, password)
            return "OK"
        except imaplib.IMAP4.error as error:
            return str(error)
        finally:
            client.shutdown()

    def knows(self, address):
        client = smtplib.SMTP("127.0.0.1", self.ports["smtp"], timeout=30)
        client.ehlo("client.example.org")
        client.mail("carla@example.net")
        code = client.rcpt(address)[0]
        client.quit()
        assert code in (250, 550), (code, self.log)
        return code == 250

    def children(self):
        sections = json.loads(self.run("status", "--json").stdout)["sections"]
        return [one for one in sections if one["section"] == "[directory people]"][0]["children"]


def test_pam_says_whose_password_is_right():
    with Machine() as server:
        assert server.login("anna@example.org") == "OK", server.log
        assert server.login("ben") == "OK", server.log
        assert "AUTHENTICATIONFAILED" in server.login("anna@example.org", "wrong")
        assert "AUTHENTICATIONFAILED" in server.login("anna@other.example")
        assert "AUTHENTICATIONFAILED" in server.login("../anna")


def test_the_contract_is_kept():
    with Machine(keys="minimum-uid = 1", users=("daemon",)) as server:
        done = server.run("conform", "directory", "people", "--user", "daemon@example.org",
                          "--password", PASSWORD)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_drop_in_of_the_unit_gives_the_rights_that_are_needed():
    setpriv = lib.need("setpriv")
    if not IS_ROOT:
        raise Skip("only root can give rights up")
    with open(os.path.join(lib.SOURCE, "contrib", "posthorn-pam.conf"), encoding="ascii") as stream:
        found = re.findall("CAP_([A-Z_]+)", stream.read())
    rights = "-all," + ",".join("+" + name.lower() for name in found)
    with Machine() as server:
        server.stop()
        wrapper = server.dir + "/posthorn"
        with open(wrapper, "w", encoding="ascii") as stream:
            stream.write("#!/bin/sh\nexec %s --inh-caps=-all --bounding-set=%s %s \"$@\"\n"
                         % (setpriv, rights, lib.PROGRAM))
        os.chmod(wrapper, 0o755)
        program, lib.PROGRAM = lib.PROGRAM, wrapper
        try:
            server.start()
        finally:
            lib.PROGRAM = program
        assert server.login("anna@example.org") == "OK", server.log
        worker = json.loads(server.run("status", "--json").stdout)["pid"]
        with open("/proc/%d/status" % worker, encoding="utf-8") as stream:
            assert int(stream.read().split("Uid:")[1].split()[0]) == pwd.getpwnam("nobody").pw_uid
        assert all(os.stat("/proc/%d" % child["pid"]).st_uid == 0 for child in server.children())


def test_it_runs_in_processes_of_its_own_and_the_server_stays_unprivileged():
    with Machine() as server:
        assert server.login("anna@example.org") == "OK"
        children = server.children()
        assert len(children) == 4 and all(child["pid"] for child in children)
        wanted = 0 if IS_ROOT else os.geteuid()
        for child in children:
            assert os.stat("/proc/%d" % child["pid"]).st_uid == wanted
            with open("/proc/%d/status" % child["pid"], encoding="utf-8") as stream:
                assert "CapEff:\t0000000000000000" in stream.read()
        worker = json.loads(server.run("status", "--json").stdout)["pid"]
        with open("/proc/%d/status" % worker, encoding="utf-8") as stream:
            uid = int(stream.read().split("Uid:")[1].split()[0])
        assert uid == (pwd.getpwnam("nobody").pw_uid if IS_ROOT else os.geteuid())
        assert bool(server.events("isolated-unprivileged")) != IS_ROOT


def test_users_of_the_system_exist_and_others_do_not():
    with Machine(keys="minimum-uid = 1", users=("daemon",)) as server:
        assert server.knows("daemon@example.org")
        assert not server.knows("nosuchuser@example.org")
        assert not server.knows("root@example.org"), "its number is below the minimum"
        assert server.login("daemon@example.org") == "OK", server.log
        assert "AUTHENTICATIONFAILED" in server.login("daemon@example.org", "wrong")
        assert "AUTHENTICATIONFAILED" in server.login("root@example.org")


def test_the_systems_own_password_module_works_in_the_sandbox():
    with Machine(keys="minimum-uid = 0", service=UNIX) as server:
        assert "AUTHENTICATIONFAILED" in server.login("daemon@example.org", "wrong"), server.log


def test_a_service_that_is_not_there_is_a_mistake():
    with Machine() as server:
        server.write_config(server.text.replace("service = mail", "service = other"))
        done = server.run("check")
        assert done.returncode == 1 and "no PAM service 'other'" in done.stderr, done.stderr


def test_it_needs_a_section():
    with Machine() as server:
        server.write_config(server.text.replace("directory = people", "directory = pam"))
        done = server.run("check")
        assert done.returncode == 1 and "needs a section" in done.stderr, done.stderr


main(globals())
