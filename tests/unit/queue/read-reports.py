#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""read-reports.py PROGRAM: Python's email package reads every form of report without a complaint"""
import email
import email.policy
import os
import subprocess
import sys
import tempfile


def defects_of(message):
    return [(part.get_content_type(), part.defects) for part in message.walk() if part.defects]


def recipients_of(status):
    """What the program part says: the block of the mail, then one of each recipient."""
    return status.get_payload()


def check(name, octets):
    message = email.message_from_bytes(octets, policy=email.policy.SMTP)
    kind = message.get_content_type()
    assert kind == "multipart/report", (name, kind)
    assert not defects_of(message), (name, defects_of(message))
    assert message["Auto-Submitted"] == "auto-replied", name
    assert str(message["From"]) == "Mail Delivery System <MAILER-DAEMON@mail.example.org>", name
    assert str(message["To"]) == "<ann@example.org>" or str(message["To"]) == "ann@example.org", message["To"]
    assert message["Date"].datetime.timestamp() == 1700000000, name
    text, status, mail = message.get_payload()
    words = text.get_content()
    for part in ("joe@example.net", '"two words"@example.net', "j\u00f6@b\u00fccher.example", "line two", "\u00fc"):
        assert part in words, (name, part, words)
    assert "\x1b" not in words, name
    is_global = name in ("utf8-header", "utf8-full", "latin-full")
    want = "message/global-delivery-status" if is_global else "message/delivery-status"
    assert status.get_content_type() == want, (name, status.get_content_type())
    if not is_global:
        check_status(name, recipients_of(status))
    check_mail(name, mail)


def check_status(name, blocks):
    assert len(blocks) == 6, (name, len(blocks))
    assert blocks[0]["Reporting-MTA"] == "dns; mail.example.org", name
    assert blocks[0]["Original-Envelope-Id"] == "QQ=1", name
    assert [str(block["Action"]) for block in blocks[1:]] == \
        ["failed", "failed", "failed", "delayed", "delivered"], name
    assert blocks[1]["Status"] == "5.7.26", name
    assert blocks[1]["Original-Recipient"] == "rfc822; Joe+x@example.com", name
    code = blocks[1]["Diagnostic-Code"].replace("\r\n", "")
    assert code == "smtp; 550-5.7.26 line one 550 5.7.26 line two ?[2J ? ?", code
    assert blocks[3]["Final-Recipient"] == "utf-8; j\\x{F6}@b\\x{FC}cher.example", name


def check_mail(name, mail):
    want = {
        "plain-header": "text/rfc822-headers", "plain-full": "message/rfc822", "eight-full": "message/rfc822",
        "utf8-header": "message/global-headers", "utf8-full": "message/global",
        "utf8-untaken": "text/rfc822-headers", "latin-full": "text/rfc822-headers",
    }[name]
    assert mail.get_content_type() == want, (name, mail.get_content_type())
    if want == "message/rfc822":
        assert mail.get_payload(0)["From"] == "a@example.org", name
    if want == "text/rfc822-headers":
        header = mail.get_payload(decode=True)
        assert header.startswith(b"From: a@example.org\r\n"), (name, header)
        assert b"body" not in header and b"lf" not in header, (name, header)
    if name == "latin-full":
        assert b"caf\xe9" in mail.get_payload(decode=True), name


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], folder], check=True)
        names = sorted(os.listdir(folder))
        assert len(names) == 7, names
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                check(name, file.read())
    print("%d reports read" % len(names))


main()
