#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-directories-ldap.py: users of a real slapd, and of servers that hang or lie"""
import base64
import json
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

    def __init__(self, more=""):
        self.program = lib.need("slapd") if shutil.which("slapd") else "/usr/sbin/slapd"
        if not os.path.exists(self.program) or not os.path.exists("/etc/ldap/schema"):
            raise lib.Skip("slapd is not installed")
        self.dir = tempfile.mkdtemp(prefix="posthorn-slapd-")
        os.mkdir(self.dir + "/db")
        self.port, tls_port = free_ports(2)
        self.uri = "ldap://127.0.0.1:%d" % self.port
        self.tls_uri = "ldaps://127.0.0.1:%d" % tls_port
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
                       input=(ENTRIES + people + more).encode(), stderr=subprocess.DEVNULL)
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(
            [self.program, "-f", self.dir + "/slapd.conf", "-h",
             self.uri + " " + self.tls_uri, "-d", "0"],
            stderr=subprocess.DEVNULL)
        wait_for(self.answers, 10, "slapd")
        return self

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False

    def stored(self, name):
        """The password of a user as the server has it."""
        text = subprocess.run([self.program, "-T", "cat", "-f", self.dir + "/slapd.conf", "-a",
                               "(uid=%s)" % name], check=True, capture_output=True, text=True)
        text = text.stdout.replace("\n ", "")
        return base64.b64decode(text.split("userPassword:: ")[1].split()[0]).decode()

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

    def worker_pid(self):
        return json.loads(self.run("status", "--json").stdout)["pid"]


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
        assert slapd.stored("anna").startswith("{SSHA}"), "the server hashes (RFC 3062)"
        assert server.run("passwd", "anna", "--stdin", "--scheme", "SHA512-CRYPT",
                          stdin="old one\n").returncode == 0
        assert slapd.stored("anna").startswith("{CRYPT}$6$"), "a hash that was wanted"
        assert login(server, "anna", "old one") == "" and login(server, "anna", "new one") != ""
        missing = server.run("passwd", "nobody", "--stdin", stdin="x\n")
        assert missing.returncode != 0 and "there is no user" in missing.stderr, missing.stderr
        refused = server.run("user", "add", "carl", "--stdin", stdin="x\n")
        assert refused.returncode != 0 and "are made there" in refused.stderr, refused.stderr


def test_the_contract_is_kept():
    with Slapd() as slapd, Site(SEARCH, slapd.uri) as server:
        done = server.run("conform", "directory", "ldap", "--user", "anna@example.org",
                          "--password", PASSWORD)
        assert done.returncode == 0, done.stdout + done.stderr


def test_it_can_be_isolated():
    with Slapd() as slapd, Site(SEARCH + "isolate = 2\n", slapd.uri) as server:
        check_usual(server)
        slapd.stop()
        assert login(server, "anna") == "UNAVAILABLE"
        slapd.__enter__()
        assert login(server, "anna") == ""


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
            changed = server.run("passwd", "nobody@example.org", "--stdin", stdin="x\n")
            assert changed.returncode != 0, "nobody is there, and nobody may"
        with Site(SEARCH + "auth = compare\npassword-change = hash\n", slapd.uri) as server:
            check_usual(server)
            tested = server.run("auth", "test", "anna")
            assert "staff" in tested.stdout and "5" in tested.stdout, tested.stdout
            assert server.run("passwd", "bert", "--stdin", stdin="new\n").returncode == 0
            assert slapd.stored("bert").startswith(("{CRYPT}$", "{ARGON2}$")), slapd.stored("bert")


def test_tls_is_verified():
    with Slapd() as slapd:
        trusted = "starttls = yes\nca-file = %s/cert.pem\n" % slapd.dir
        with Site(SEARCH + trusted, slapd.uri) as server:
            check_usual(server)
        with Site(SEARCH + "starttls = yes\n", slapd.uri) as server:
            assert login(server, "anna") == "UNAVAILABLE"
        with Site(SEARCH + "ca-file = %s/cert.pem\n" % slapd.dir, slapd.tls_uri) as server:
            check_usual(server)
        with Site(SEARCH, slapd.tls_uri) as server:
            assert login(server, "anna") == "UNAVAILABLE", "nobody vouches for it"
        other = slapd.tls_uri.replace("127.0.0.1", "127.0.0.2")
        with Site(SEARCH + "ca-file = %s/cert.pem\n" % slapd.dir, other) as server:
            assert login(server, "anna") == "UNAVAILABLE", "it is another name"


ELSEWHERE = """
dn: ou=elsewhere,dc=example,dc=org
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: ldap://127.0.0.1:%d/ou=people,dc=example,dc=org
"""


def test_referrals_are_not_followed():
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.3)
        with Slapd(ELSEWHERE % other.getsockname()[1]) as slapd:
            with Site(SEARCH, slapd.uri) as server:
                check_usual(server)
            with Site(SEARCH.replace("base = ", "base = ou=elsewhere,"), slapd.uri) as server:
                assert login(server, "anna") == "UNAVAILABLE"
            try:
                other.accept()
                raise AssertionError("the password went to another server")
            except TimeoutError:
                pass


class Liar(threading.Thread):
    """Says yes to binds and answers searches as it is told."""

    def __init__(self, answer):
        super().__init__(daemon=True)
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.uri = "ldap://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            connection = self.listener.accept()[0]
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            while True:
                data = connection.recv(4096)
                if not data:
                    return
                if data[5] == 0x60:
                    connection.sendall(b"\x30\x0c\x02\x01" + data[4:5] + b"\x61\x07\n\x01\0\x04\0\x04\0")
                elif data[5] == 0x63:
                    self.answer(connection, data[4:5])
        except OSError:
            pass


def endless(connection, number):
    entry = b"\x64\x82\x03\xec\x04\x82\x03\xe6" + b"x" * 998 + b"\x30\0"
    entry = b"\x30\x82" + (len(entry) + 3).to_bytes(2, "big") + b"\x02\x01" + number + entry
    while True:
        connection.sendall(entry * 64)


def references(connection, number):
    message = b"\x30\x0e\x02\x01" + number + b"\x73\x09\x04\x07ldap://"
    while True:
        connection.sendall(message * 4096)


def notes(connection, number):
    message = b"\x30\x0a\x02\x01" + number + b"\x79\x05\x80\x031.2"
    while True:
        connection.sendall(message * 4096)


def huge(connection, number):
    connection.sendall(b"\x30\x84\x7f\xff\xff\x00\x02\x01" + number + b"\x64\x84\x7f\xff\xfe\x00\x04\x84\x7f\xff\xf0\x00")
    while True:
        connection.sendall(b"x" * 65536)


def garbage(connection, _):
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" * 100)


def closes(connection, _):
    connection.close()


def test_a_server_that_lies_costs_a_temporary_failure():
    for answer in (endless, references, notes, huge, garbage, closes):
        users = lib.PEOPLE + "on-wrong = next\n"
        with Site(SEARCH + users, Liar(answer).uri, "people, ldap") as server:
            began = time.monotonic()
            assert login(server, "carl") == "UNAVAILABLE", answer.__name__
            assert time.monotonic() - began < 3, answer.__name__
            said = wait_for(lambda: server.events("login-unavailable"), 10,
                            "the line of the log")[0]["error"]
            assert answer not in (references, notes) or "more than 500" in said, (answer.__name__, said)
            assert login(server, "anna@example.org") == ""
            with open("/proc/%d/status" % server.worker_pid(), encoding="ascii") as stream:
                memory = int(stream.read().split("VmHWM:")[1].split()[0])
            assert memory < 100000, "%s: %d KiB" % (answer.__name__, memory)


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
