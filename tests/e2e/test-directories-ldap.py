#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-directories-ldap.py: users of a real slapd, and of servers that hang or lie"""
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import lib
from lib import PASSWORD, Server, free_ports, main, wait_for
from site_login import ALL, login

SLAPD = """include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
pidfile {dir}/pid
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCACertificateFile {dir}/cert.pem
TLSCertificateFile {dir}/cert.pem
TLSCertificateKeyFile {dir}/key.pem
access to attrs=userPassword by dn.exact="cn=mail,dc=example,dc=org" write by anonymous auth
access to * by * read
database mdb
maxsize 16777216
suffix dc=example,dc=org
rootdn cn=admin,dc=example,dc=org
directory {dir}/db
"""
ENTRIES = """dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: cn=mail,dc=example,dc=org
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: mail
userPassword: service

dn: cn=staff,dc=example,dc=org
objectClass: groupOfNames
cn: staff
member: uid=anna,ou=people,dc=example,dc=org
"""
PERSON = """
dn: uid={name},ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: {name}
cn: {name}
sn: {name}
mail: {name}@example.org
description: 5M
userPassword: correct horse
"""
SEARCH = """
[directory ldap]
plugin = ldap
uri = {uri}
bind-dn = cn=mail,dc=example,dc=org
bind-password = service
base = dc=example,dc=org
filter = (&(objectClass=inetOrgPerson)(mail={{user}}))
attributes = user=mail, quota=description
group-filter = (member={{dn}})
list-filter = (objectClass=inetOrgPerson)
domain = example.org
answer-timeout = 1s
cache = 0s
cache-negative = 0s
"""
TEMPLATE = """
[directory ldap]
plugin = ldap
uri = {uri}
user-dn = uid={{local}},ou=people,dc=example,dc=org
domain = example.org
cache = 0s
"""


class Slapd:
    """A slapd with a folder and loopback port of its own."""

    def __init__(self):
        self.program = lib.need("slapd") if shutil.which("slapd") else "/usr/sbin/slapd"
        if not os.path.exists(self.program) or not os.path.exists("/etc/ldap/schema"):
            raise lib.Skip("slapd is not installed")
        self.dir = tempfile.mkdtemp(prefix="posthorn-slapd-")
        os.mkdir(self.dir + "/db")
        self.port = free_ports(1)[0]
        self.uri = "ldap://127.0.0.1:%d" % self.port
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "30", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", self.dir + "/key.pem", "-out", self.dir + "/cert.pem"],
            check=True, stderr=subprocess.DEVNULL)
        with open(self.dir + "/slapd.conf", "w", encoding="ascii") as stream:
            stream.write(SLAPD.format(dir=self.dir))
        people = "".join(PERSON.format(name=name) for name in ("anna", "bert"))
        subprocess.run([self.program, "-T", "add", "-f", self.dir + "/slapd.conf"], check=True,
                       input=(ENTRIES + people).encode(), stderr=subprocess.DEVNULL)
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(
            [self.program, "-f", self.dir + "/slapd.conf", "-h", self.uri, "-d", "0"],
            stderr=subprocess.DEVNULL)
        wait_for(self.answers, 10, "slapd")
        return self

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def __exit__(self, *args):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class Site(Server):
    def __init__(self, text, uri, chain="ldap"):
        self.more = {"chain": chain, "uri": uri}
        super().__init__(ALL + text, ports=("imap",))

    def write_config(self, text):
        self.values.update(self.more)
        super().write_config(text)


def check_usual(server):
    assert login(server, "anna@example.org") == "" and login(server, "ANNA") == ""
    assert login(server, "anna", "wrong") == "AUTHENTICATIONFAILED"
    assert login(server, "nobody") == "AUTHENTICATIONFAILED"


def test_users_are_searched_for_and_bound():
    with Slapd() as slapd, Site(SEARCH, slapd.uri) as server:
        check_usual(server)
        listed = server.run("user", "list")
        assert listed.stdout.split() == ["anna@example.org", "bert@example.org"], listed.stderr
        changed = server.run("passwd", "anna@example.org", "--stdin", stdin="new one\n")
        assert changed.returncode == 0, changed.stderr
        assert login(server, "anna") == "AUTHENTICATIONFAILED"
        assert login(server, "anna", "new one") == ""
        refused = server.run("user", "add", "carl", "--stdin", stdin="x\n")
        assert refused.returncode != 0 and "are made there" in refused.stderr, refused.stderr


def test_the_contract_is_kept():
    with Slapd() as slapd, Site(SEARCH, slapd.uri) as server:
        done = server.run("conform", "directory", "ldap", "--user", "anna@example.org",
                          "--password", PASSWORD)
        assert done.returncode == 0, done.stdout + done.stderr


def test_names_cannot_widen_a_search():
    with Slapd() as slapd, Site(SEARCH, slapd.uri) as server:
        for name in ("*", "a*", "anna)(uid=*", "anna@example.org)(|(mail=*", "\\2a", "(", ")",
                     "anna@example.org\\", "\u00e4nna", "x" * 320):
            assert login(server, name) == "AUTHENTICATIONFAILED", name
        for name in ("anna,ou=people", "anna+cn=x", "anna\"", "#616e6e61"):
            assert login(server, name) == "AUTHENTICATIONFAILED", name
        assert login(server, "anna") == ""


def test_a_template_and_comparing_do_as_well():
    with Slapd() as slapd:
        with Site(TEMPLATE, slapd.uri) as server:
            check_usual(server)
            assert login(server, "anna,ou=people,dc=example,dc=org") == "AUTHENTICATIONFAILED"
        with Site(SEARCH + "auth = compare\n", slapd.uri) as server:
            check_usual(server)


def test_tls_is_verified():
    with Slapd() as slapd:
        trusted = "starttls = yes\nca-file = %s/cert.pem\n" % slapd.dir
        with Site(SEARCH + trusted, slapd.uri) as server:
            check_usual(server)
        with Site(SEARCH + "starttls = yes\n", slapd.uri) as server:
            assert login(server, "anna") == "UNAVAILABLE"


def test_a_server_that_comes_back_is_used_again():
    with Slapd() as slapd, Site(SEARCH, slapd.uri) as server:
        assert login(server, "anna") == ""
        slapd.stop()
        assert login(server, "anna") == "UNAVAILABLE"
        assert "'ldap'" in server.events("login-unavailable")[0]["error"]
        slapd.__enter__()
        assert login(server, "anna") == ""


def test_a_server_that_hangs_locks_nobody_out():
    users = lib.PEOPLE + "on-wrong = next\n"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = "ldap://127.0.0.1:%d" % silent.getsockname()[1]
        with Site(SEARCH + users, uri, "people, ldap") as server:
            threads = [threading.Thread(target=login, args=(server, "user%d" % i))
                       for i in range(20)]
            for thread in threads:
                thread.start()
            time.sleep(0.2)
            began = time.monotonic()
            assert login(server, "anna@example.org", PASSWORD) == ""
            assert time.monotonic() - began < 1, "it waited for the other directory"
            for thread in threads:
                thread.join()
            assert time.monotonic() - began < 8
            assert all("ldap" in one["error"] for one in server.events("login-unavailable"))


if __name__ == "__main__":
    main(globals())
