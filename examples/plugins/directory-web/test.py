#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test.py: whom a web service knows gets in

meson test runs it: test.py PROGRAM CONFIG
"""
import http.server
import imaplib
import sys
import threading

from served import Served


class Service(http.server.BaseHTTPRequestHandler):
    """Knows anna; everything else about her is broken in its own way."""

    def answer(self, status, text=""):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self):
        user = self.path.rsplit("/", 1)[1].replace("%40localhost", "")
        if user == "anna":
            self.answer(200, "user: anna\ndomain: localhost\nquota: 1000000\n")
        elif user == "large":
            self.answer(200, "user: anna\n" * 100000)
        else:
            self.answer(500 if user == "broken" else 404)

    def do_POST(self):
        password = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/anna") and password != b"secret":
            self.answer(403)
        else:
            self.do_GET()

    def log_message(self, *_):
        pass


def login(server, user, password="secret"):
    """What the server says."""
    client = imaplib.IMAP4("127.0.0.1", server.port(1143), timeout=10)
    try:
        client.login(user, password)
        return "OK"
    except imaplib.IMAP4.error as error:
        return str(error)
    finally:
        client.shutdown()


def main():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        address = "http://localhost:%d/users" % service.server_address[1]
        with Served(*sys.argv[1:3], {"http://127.0.0.1:1080/users": address}) as server:
            assert login(server, "anna") == "OK"
            assert "AUTHENTICATIONFAILED" in login(server, "anna", "wrong")
            assert "AUTHENTICATIONFAILED" in login(server, "nobody")
            assert "UNAVAILABLE" in login(server, "broken")
            assert "UNAVAILABLE" in login(server, "large")
        service.shutdown()


main()
