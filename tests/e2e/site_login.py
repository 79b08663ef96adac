# SPDX-License-Identifier: LGPL-2.1-or-later
"""site_login.py: a server for the tests of directories, and one login"""
import imaplib

import lib
from lib import PASSWORD

ALL = (lib.SERVER + "login-delay = 1ms\nlogin-delay-max = 1ms\nlogin-failures = 100\n" + lib.STORE
       + lib.IMAP.replace("directory = people", "directory = {chain}"))


def login(server, user, password=PASSWORD):
    """ "" when it worked, else the response code."""
    client = imaplib.IMAP4("127.0.0.1", server.ports["imap"], timeout=30)
    try:
        words = "\0%s\0%s" % (user, password)
        client.authenticate("PLAIN", lambda challenge: words.encode())
        client.logout()
        return ""
    except imaplib.IMAP4.error as error:
        client.shutdown()
        text = error.args[0]
        text = text.decode() if isinstance(text, bytes) else text
        return text[text.index("[") + 1:text.index("]")]
