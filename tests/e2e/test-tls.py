#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-tls.py: versions, certificates by name, replaced certificates, and who may log in without"""
import imaplib
import os
import socket
import ssl
import subprocess
import warnings

import lib
from lib import PASSWORD, Server, main, wait_for

IMAPS = lib.IMAP.replace("[listener imap]", "[listener imaps]").replace("{imap}", "{imaps}\ntls = implicit")
CONFIG = lib.SERVER + lib.PEOPLE + lib.STORE + lib.IMAP + lib.TLS + IMAPS
OTHER = "\n[tls other]\ncertificate = {dir}/other.pem\nkey = {dir}/other.key\n"


def make_certificate(server, name, subject):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "30", "-subj", "/CN=" + subject, "-addext", "subjectAltName=DNS:" + subject,
         "-keyout", "%s/%s.key" % (server.dir, name), "-out", "%s/%s.pem" % (server.dir, name)],
        check=True, stderr=subprocess.DEVNULL)
    os.chmod("%s/%s.key" % (server.dir, name), 0o600)


def handshake(server, name=None, version=None):
    """(certificate in DER, protocol version) of a new connection."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # TLS 1.1 is meant to be refused
            context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", server.ports["imaps"]), 10) as plain:
        with context.wrap_socket(plain, server_hostname=name) as secure:
            assert secure.recv(4) == b"* OK"
            return secure.getpeercert(True), secure.version()


def names(der):
    text = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-subject"], input=der,
                          capture_output=True, check=True).stdout
    return text.decode().strip()


def test_tls_1_2_and_1_3_are_spoken_and_nothing_older():
    with Server(config=CONFIG, ports=("imap", "imaps")) as server:
        assert handshake(server, version=ssl.TLSVersion.TLSv1_2)[1] == "TLSv1.2"
        assert handshake(server, version=ssl.TLSVersion.TLSv1_3)[1] == "TLSv1.3"
        try:
            handshake(server, version=ssl.TLSVersion.TLSv1_1)
            raise AssertionError("TLS 1.1 was spoken")
        except (ssl.SSLError, ConnectionError):
            pass


def test_the_certificate_is_chosen_by_the_name_that_the_client_asks_for():
    server = Server(config=CONFIG + OTHER, ports=("imap", "imaps"))
    make_certificate(server, "other", "other.example.net")
    with server:
        assert "mail.example.org" in names(handshake(server)[0])
        assert "mail.example.org" in names(handshake(server, "mail.example.org")[0])
        assert "other.example.net" in names(handshake(server, "other.example.net")[0])
        assert "mail.example.org" in names(handshake(server, "nobody.example.com")[0])


def test_a_replaced_certificate_is_used_after_reload():
    with Server(config=CONFIG, ports=("imap", "imaps")) as server:
        before = handshake(server)[0]
        server.make_certificate()
        assert server.run("reload").returncode == 0
        wait_for(lambda: handshake(server)[0] != before, 10, "the new certificate")


def test_a_password_is_not_taken_without_tls_where_the_config_says_never():
    config = CONFIG.replace("mechanisms = plain, login", "mechanisms = plain, login\nplaintext-auth = never")
    with Server(config=config, ports=("imap", "imaps")) as server:
        client = imaplib.IMAP4("127.0.0.1", server.ports["imap"])
        assert "LOGINDISABLED" in client.capabilities
        assert not any(word.startswith("AUTH=") for word in client.capabilities)
        try:
            client.login("anna@example.org", PASSWORD)
            raise AssertionError("logged in without TLS")
        except imaplib.IMAP4.error:
            pass
        client.starttls(unchecked())
        client.login("anna@example.org", PASSWORD)
        client.logout()


def unchecked():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_sessions_are_resumed():
    with Server(config=CONFIG, ports=("imap", "imaps")) as server:
        context = unchecked()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        session = None
        for expected in (False, True):
            with socket.create_connection(("127.0.0.1", server.ports["imaps"]), 10) as plain:
                with context.wrap_socket(plain, session=session) as secure:
                    assert secure.recv(4) == b"* OK"
                    session = secure.session
                    assert secure.session_reused == expected


main(globals())
