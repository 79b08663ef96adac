#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-three-servers.py: two servers of ours and Postfix send each other mail, in all directions

one.example and two.example are Posthorn, three.example is Postfix; each has an address of its own on
loopback and the same port. A milter stands in front of what users of one.example send; nobody
answers for dead.example; what cannot be delivered comes back.
"""
import contextlib
import email
import email.policy
import os
import pwd
import smtplib
import socket

import lib
from lib import PASSWORD, Server, free_ports, main, wait_for
from milters import Milter, add_header
from names import Names
from postfix import Postfix

CONFIG = lib.WHOLE + lib.TLS + """
[resolver]
server = 127.0.0.1:{names}

[queue]
retry = 200ms, 300ms
lifetime = 3s
warn-after = 1s

[route world]
domains = *
transport = smtp
port = {mx}
ip = ipv4
tls = may
connect-timeout = 1s

[listener submission]
plugin = smtp
service = submission
address = 127.0.0.1:{submission}
directory = people
mechanisms = plain, login
"""
FILTER = """
[filter looks]
plugin = milter
address = {milter}
"""
ZONE = {"one.example": {"MX": [(10, "mx.one.example")]}, "mx.one.example": {"A": ["127.0.0.1"]},
        "two.example": {"MX": [(20, "mx.dead.example"), (10, "mx.two.example")]},
        "mx.two.example": {"A": ["127.0.0.2"]},
        "three.example": {"A": ["127.0.0.3"]},
        "dead.example": {"MX": [(10, "mx.dead.example")]}, "mx.dead.example": {"A": ["127.0.0.9"]},
        "never.example": {"MX": [(0, ".")]}}
POSTFIX = """
relay_domains =
smtpd_relay_restrictions = permit_mynetworks, reject
virtual_mailbox_domains = three.example
virtual_mailbox_base = {{dir}}/mail
virtual_mailbox_maps = inline:{{{{ {{{{carla@three.example = carla/}}}} }}}}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
transport_maps = inline:{{{{ {{{{one.example = smtp:[127.0.0.1]:{mx}}}}}, {{{{two.example = smtp:[127.0.0.2]:{mx}}}}} }}}}
"""


def text(subject, sender, recipient):
    return ("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\n\r\n.leading dot\r\nGr\u00fc\u00dfe\r\n"
            % (sender, recipient, subject)).encode()


def free_port():
    """One that is free on the three addresses."""
    while True:
        port = free_ports(1)[0]
        try:
            for last in (1, 2, 3):
                socket.create_server(("127.0.0.%d" % last, port)).close()
            return port
        except OSError:
            continue


class Ours(Server):
    """A server of ours for a domain, reached from outside at its own address."""

    def __init__(self, domain, address, values, extra="", user="anna"):
        self.domain = domain
        self.user = "%s@%s" % (user, domain)
        config = CONFIG.replace("example.org", domain).replace(
            "address = 127.0.0.1:{smtp}\n", "address = 127.0.0.1:{smtp}, %s:{mx}\n" % address)
        config += extra
        for name, value in values.items():
            config = config.replace("{%s}" % name, str(value))
        if extra:
            config = config.replace("service = submission\n", "service = submission\nfilters = looks\n")
        super().__init__(config=config, users=(self.user,),
                         ports=("smtp", "imap", "pop3", "submission"))

    def submit(self, recipient, subject):
        client = smtplib.SMTP("127.0.0.1", self.ports["submission"], timeout=20)
        client.login(self.user, PASSWORD)
        client.sendmail(self.user, [recipient], text(subject, self.user, recipient),
                        mail_options=["BODY=8BITMIME"])
        client.quit()

    def inbox(self):
        client = self.imap(self.user)
        client.select("INBOX", readonly=True)
        found = []
        if client.search(None, "ALL")[1][0]:
            found = [email.message_from_bytes(part[1], policy=email.policy.default)
                     for part in client.fetch("1:*", "(BODY.PEEK[])")[1] if isinstance(part, tuple)]
        client.logout()
        return found

    def got(self, subject):
        for mail in self.inbox():
            if mail["Subject"] == subject:
                return mail
        return None


def carla_got(postfix, subject):
    folder = os.path.join(postfix.dir, "mail", "carla", "new")
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        with open(os.path.join(folder, name), "rb") as stream:
            mail = email.message_from_binary_file(stream, policy=email.policy.default)
        if mail["Subject"] == subject:
            return mail
    return None


def carla_sends(postfix, recipient, subject):
    client = smtplib.SMTP("127.0.0.1", postfix.port, timeout=20)
    client.sendmail("carla@three.example", [recipient],
                    text(subject, "carla@three.example", recipient), mail_options=["BODY=8BITMIME"])
    client.quit()


class Rows(Postfix):
    """Postfix that listens at its address for the others, too, and keeps carla's mail."""

    def __init__(self, mx):
        nobody = pwd.getpwnam("nobody")
        super().__init__(POSTFIX.format(mx=mx, uid=nobody.pw_uid, gid=nobody.pw_gid))
        self.mx = mx

    def make(self):
        super().make()
        with open(self.dir + "/etc/master.cf", "a", encoding="ascii") as stream:
            stream.write("127.0.0.3:%d inet n - n - - smtpd\n" % self.mx)
        os.mkdir(self.dir + "/mail")
        nobody = pwd.getpwnam("nobody")
        os.chown(self.dir + "/mail", nobody.pw_uid, nobody.pw_gid)


@contextlib.contextmanager
def three():
    """(one, two, postfix, milter)"""
    names = Names(ZONE)
    values = {"names": names.port, "mx": free_port()}
    try:
        with Milter({"E": [add_header("X-Looked-At", "yes"), b"c"]}) as milter, \
                Rows(values["mx"]) as postfix, \
                Ours("one.example", "127.0.0.1", values,
                     FILTER.replace("{milter}", milter.address)) as one, \
                Ours("two.example", "127.0.0.2", values, user="ben") as two:
            yield one, two, postfix, milter
    finally:
        names.stop()


def report(mails, action):
    """(status of the first recipient, its diagnostic) of a report among the mails."""
    for mail in mails:
        if mail.get_content_type() != "multipart/report":
            continue
        fields = list(mail.iter_parts())[1].get_payload()[1]
        if fields["Action"] == action:
            return str(fields["Status"]), str(fields.get("Diagnostic-Code", ""))
    return None


def test_mail_goes_in_all_directions():
    with three() as (one, two, postfix, milter):
        one.submit("ben@two.example", "one to two")
        one.submit("carla@three.example", "one to three")
        two.submit("anna@one.example", "two to one")
        two.submit("carla@three.example", "two to three")
        carla_sends(postfix, "anna@one.example", "three to one")
        carla_sends(postfix, "ben@two.example", "three to two")
        for server, subject in ((two, "one to two"), (one, "two to one"), (one, "three to one"),
                                (two, "three to two")):
            mail = wait_for(lambda server=server, subject=subject: server.got(subject), 20, subject)
            assert mail.get_payload(decode=True) == ".leading dot\r\nGr\u00fc\u00dfe\r\n".encode(), mail
        for subject in ("one to three", "two to three"):
            wait_for(lambda subject=subject: carla_got(postfix, subject), 20, subject)
        # the milter stands in front of one's submission and nowhere else
        assert two.got("one to two")["X-Looked-At"] == "yes"
        assert carla_got(postfix, "one to three")["X-Looked-At"] == "yes"
        assert one.got("two to one")["X-Looked-At"] is None
        assert milter.said("M")


def test_what_cannot_be_delivered_comes_back():
    with three() as (one, two, postfix, _):
        one.submit("nobody@two.example", "to nobody at two")
        status, diagnostic = wait_for(lambda: report(one.inbox(), "failed"), 20, "a report from two")
        assert status == "5.1.1" and diagnostic.startswith("smtp; 550"), (status, diagnostic)
        two.submit("anybody@dead.example", "to a dead host")
        assert wait_for(lambda: report(two.inbox(), "delayed"), 20, "a warning")[0].startswith("4.")
        assert wait_for(lambda: report(two.inbox(), "failed"), 20, "the end")[0].startswith(("4.", "5."))
        one.submit("anybody@never.example", "to a domain without mail")
        wait_for(lambda: report([mail for mail in one.inbox() if "never.example" in str(mail)],
                                "failed"), 20, "a report of null MX")
        carla_sends(postfix, "nobody@one.example", "to nobody at one")
        wait_for(lambda: carla_got(postfix, "Undelivered Mail Returned to Sender"), 20,
                 "the report of Postfix")


main(globals())
