# SPDX-License-Identifier: LGPL-2.1-or-later
"""relaying.py: what the tests of the smtp and lmtp transports share"""
import json

import lib
from lib import Server, wait_for

OCTETS = b"Subject: one\r\n\r\n.a dot\r\nand text\r\n"
ALL = ["PIPELINING", "SIZE 100000", "8BITMIME", "CHUNKING", "BINARYMIME", "SMTPUTF8", "DSN", "DELIVERBY",
       "ENHANCEDSTATUSCODES"]
QUEUE = """
[queue]
retry = 1h
double-bounce = discard
failures-until-pause = 1000
"""
TIMES = """
connect-timeout = 2s
greeting-timeout = 300ms
helo-timeout = 300ms
mail-timeout = 300ms
rcpt-timeout = 300ms
data-timeout = 300ms
block-timeout = 2s
end-timeout = 300ms
"""


def config(names=None, more="", port=None, timeout="2s"):
    text = lib.SERVER + lib.SMTP + QUEUE
    if names:
        text += "\n[resolver]\nserver = 127.0.0.1:%d\ntimeout = %s\n" % (names.port, timeout)
    text += "\n[route out]\ndomains = *\ntransport = smtp\nip = ipv4\n" + TIMES + more
    return text + ("\nport = %d\n" % port if port else "")


ENDS = {"delivered": 250, "deferred": 451, "failed": 554, "held": 554}


def ends(server):
    """Every end of a delivery in the log, in their order."""
    found = []
    for line in list(server.log):
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") in ENDS:
            found.append(event)
    return found


def outcomes(server, octets=OCTETS, recipients=("bob@example.net",), sender="", options=()):
    """For each recipient 250, 451 (later) or 554 (for good), and the reason in the log."""
    seen = len(ends(server))
    client = server.smtp()
    client.sendmail(sender, list(recipients), octets, mail_options=options)
    client.close()
    wait_for(lambda: len(ends(server)) >= seen + len(recipients), 10, "the end of the delivery")
    by_address = {event["to"]: event for event in ends(server)[seen:]}
    recipients = [address.replace("\"", "") for address in recipients]
    return [(ENDS[by_address[one]["event"]], by_address[one]["error"])
            for one in (address.rpartition("@")[0] + "@" + address.rpartition("@")[2].lower()
                        for address in recipients)]


def outcome(server, octets=OCTETS, **options):
    return outcomes(server, octets, **options)[0]


def one_hop(host, more="", octets=OCTETS, **options):
    """What becomes of one mail by way of a single host."""
    with Server(config=config(None, "relay-host = 127.0.0.1:%d\n" % host.port + more),
                ports=("smtp",)) as server:
        return outcome(server, octets, **options)
