#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-gssapi.py: Kerberos tickets of a KDC of our own, with GNU SASL's client and curl"""
import base64
import os
import shutil
import signal
import subprocess
import sys

import lib
from lib import PLUGINS, Server, main, need

ANNA = "anna@example.org"
KERBEROS = """
[mechanism kerberos]
plugin = gssapi
keytab = {dir}/keytab
realms = EXAMPLE.ORG
"""
CONFIG = (lib.SERVER + "login-delay = 0s\nlogin-failures = 100\n" + lib.PEOPLE + lib.STORE + lib.ROUTE
          + lib.SMTP + "directory = people\nmechanisms = kerberos, plain\n"
          + lib.IMAP.replace("plain, login", "kerberos, plain")
          + lib.POP3.replace("plain", "kerberos, plain") + KERBEROS)
CLIENTS = """[libdefaults]
default_realm = EXAMPLE.ORG
dns_lookup_kdc = false
dns_canonicalize_hostname = false
rdns = false
[realms]
EXAMPLE.ORG = {
  kdc = 127.0.0.1:%(port)d
}
OTHER.ORG = {
  kdc = 127.0.0.1:%(port)d
}
"""
KDC = """[kdcdefaults]
kdc_listen = 127.0.0.1:%(port)d
kdc_tcp_listen = 127.0.0.1:%(port)d
[realms]
EXAMPLE.ORG = {
  database_name = %(dir)s/principal
  key_stash_file = %(dir)s/stash
}
"""


def sbin(name):
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if path is None:
        raise lib.Skip("%s is not installed" % name)
    return path


class Realm:
    """A server with a KDC beside it, in the same folder."""

    def __init__(self):
        for name in ("krb5kdc", "kdb5_util", "kadmin.local"):
            sbin(name)
        need("kinit")
        if not os.path.exists(os.path.join(PLUGINS, "mechanism-gssapi.so")):
            raise lib.Skip("the plugin gssapi was not built")
        self.server = Server(config=CONFIG, users=(ANNA,))
        self.dir = self.server.dir
        values = {"port": lib.free_ports(1)[0], "dir": self.dir}
        for name, text in (("krb5.conf", CLIENTS), ("kdc.conf", KDC)):
            with open(os.path.join(self.dir, name), "w", encoding="ascii") as stream:
                stream.write(text % values)
        self.environment = dict(os.environ, KRB5_CONFIG=self.dir + "/krb5.conf",
                                KRB5_KDC_PROFILE=self.dir + "/kdc.conf",
                                KRB5CCNAME="FILE:" + self.dir + "/tickets")
        self.server.environment = {"KRB5_CONFIG": self.dir + "/krb5.conf"}
        self.kdc = None

    def run(self, *words, text=None):
        return subprocess.run(words, input=text, text=True, env=self.environment, check=False,
                              capture_output=True, timeout=120)

    def must(self, *words, text=None):
        done = self.run(*words, text=text)
        assert done.returncode == 0, done
        return done.stdout

    def __enter__(self):
        self.must(sbin("kdb5_util"), "create", "-s", "-P", "master", "-r", "EXAMPLE.ORG")
        for query in ("addprinc -pw ticket anna", "addprinc -pw ticket anna/admin",
                      "addprinc -pw ticket stranger",
                      "addprinc -randkey imap/localhost", "addprinc -randkey smtp/localhost",
                      "addprinc -randkey pop/localhost",
                      "ktadd -k %s/keytab imap/localhost smtp/localhost pop/localhost" % self.dir):
            self.must(sbin("kadmin.local"), "-r", "EXAMPLE.ORG", "-q", query)
        self.kdc = subprocess.Popen([sbin("krb5kdc"), "-n", "-r", "EXAMPLE.ORG"], env=self.environment,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.server.start()
        lib.wait_for(lambda: self.ticket("anna"), 10, "a ticket")
        return self

    def ticket(self, principal):
        return self.run("kinit", principal, text="ticket\n").returncode == 0

    def gsasl(self, protocol, *words):
        return self.run(need("gsasl"), "--" + protocol, "--connect",
                        "localhost:%d" % self.server.ports[protocol], "-m", "GSSAPI", "--hostname",
                        "localhost", "--no-starttls", *words, text="").returncode == 0

    def __exit__(self, kind, value, trace):
        if self.kdc is not None:
            self.kdc.send_signal(signal.SIGTERM)
            self.kdc.wait(10)
        self.server.__exit__(kind, value, trace)


def last(server, event):
    return (server.events(event) or [{}])[-1]


def try_tickets(realm):
    server = realm.server
    for protocol in ("imap", "smtp"):
        assert realm.gsasl(protocol, "-a", "anna", "-z", ""), protocol
        lib.wait_for(lambda: last(server, "login").get("mechanism") == "GSSAPI", 5, "a login")
        assert last(server, "login")["user"] == ANNA
    curl = need("curl")
    for url in ("imap://localhost:%d/" % server.ports["imap"], "pop3://localhost:%d/" % server.ports["pop3"]):
        done = realm.run(curl, "-sS", "-u", "anna@EXAMPLE.ORG:", "--login-options", "AUTH=GSSAPI", url)
        assert done.returncode == 0, done


def try_others(realm):
    server = realm.server
    assert not realm.gsasl("imap", "-a", "anna", "-z", "ben@example.org")
    for principal in ("anna/admin", "stranger"):
        assert realm.ticket(principal)
        assert not realm.gsasl("imap", "-a", principal, "-z", ""), principal
    assert realm.ticket("anna")
    imap = server.imap()
    imap.logout()


def try_garbage(realm):
    connection, lines = realm.server.raw("smtp")
    lines.readline()
    connection.sendall(b"EHLO client.example.org\r\n")
    while lines.readline()[3:4] == b"-":
        pass
    for response, wanted in ((b"=", b"501"), (base64.b64encode(b"no token"), b"535"),
                             (base64.b64encode(b"\x60\x82\xff\xff" + b"A" * 4000), b"535")):
        connection.sendall(b"AUTH GSSAPI " + response + b"\r\n")
        answer = lines.readline()
        assert answer.startswith(wanted), (response[:20], answer)
    connection.close()
    lib.wait_for(lambda: realm.server.events("ticket-refused"), 5, "a line in the log")


def try_contract(realm):
    """The conformance kit, with the ticket of a real client."""
    client = "%s %s imap@localhost" % (sys.executable, os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "gss_client.py"))
    assert realm.ticket("anna")
    done = realm.run(lib.PROGRAM, "conform", "mechanism", "-c", realm.server.config, "--timeout", "60",
                     "--user", ANNA, "--client", client, "kerberos")
    skipped = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("skip")]
    assert done.returncode == 0 and skipped == ["wrong-password", "replayed"], done.stdout + done.stderr


def test_tickets_log_in_and_those_of_others_do_not():
    with Realm() as realm:
        try_tickets(realm)
        try_others(realm)
        try_garbage(realm)
        try_contract(realm)


def test_without_keys_clients_are_told_to_try_later():
    with Realm().server as server:
        connection, lines = server.raw("smtp")
        lines.readline()
        connection.sendall(b"EHLO client.example.org\r\n")
        while lines.readline()[3:4] == b"-":
            pass
        connection.sendall(b"AUTH GSSAPI " + base64.b64encode(b"token") + b"\r\n")
        assert lines.readline().startswith(b"454 ")
        connection.close()


main(globals())
