#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-maildir-takeover.py: a maildir that Dovecot kept is taken over without a resync

Once with a real Dovecot and mbsync, whose second run, against Posthorn, must find nothing to do; and
once with the files that Dovecot 2.3 and an older one leave behind, so that it is always tested.
"""
import imaplib
import os
import re
import shutil
import subprocess
import time

import lib
from lib import PASSWORD, Server, free_ports, main, need, wait_for

CONFIG = lib.SERVER + lib.PEOPLE + """
[store mail]
plugin = maildir
path = {{data}}/mail/{{user}}
""" + lib.IMAP
DOVECOT = """
base_dir = {dir}/dovecot/run
state_dir = {dir}/dovecot/state
instance_name = posthorn-test
protocols = imap
listen = 127.0.0.1
log_path = {dir}/dovecot/log
mail_location = maildir:{data}/mail/%n
mail_uid = 65534
mail_gid = 65534
first_valid_uid = 1000
first_valid_gid = 1000
disable_plaintext_auth = no
auth_mechanisms = plain login
ssl = no
default_internal_user = dovecot
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home={data}/mail/%n allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
}}
"""
MBSYNC = """
IMAPStore far
Host 127.0.0.1
Port {imap}
User anna@example.org
Pass "{password}"
SSLType None
AuthMechs LOGIN

MaildirStore near
Path {dir}/near/
Inbox {dir}/near/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
"""
TEXT = "From: carla@example.net\r\nSubject: %d\r\n\r\nmessage %d\r\n"


def login(server):
    client = imaplib.IMAP4("127.0.0.1", server.ports["imap"], timeout=20)
    client.login("anna@example.org", PASSWORD)
    return client


def state(server, folders):
    """Everything that a client keys its cache by; separators apart."""
    client = login(server)
    found = {}
    for folder in folders:
        name = folder if client.list('""', '"%s"' % folder)[1] != [None] else folder.replace(".", "/")
        status = client.status('"%s"' % name, "(UIDVALIDITY UIDNEXT)")[1][0]
        found[folder] = [tuple(int(re.search(word + rb" (\d+)", status).group(1))
                               for word in (b"UIDVALIDITY", b"UIDNEXT"))]
        client.select('"%s"' % name, readonly=True)
        for line in client.uid("FETCH", "1:*", "(FLAGS RFC822.SIZE BODY.PEEK[] INTERNALDATE)")[1]:
            if isinstance(line, tuple):
                flags = frozenset(imaplib.ParseFlags(line[0])) - {b"\\Recent"}
                uid = int(re.search(rb"UID (\d+)", line[0]).group(1))
                size = int(re.search(rb"RFC822.SIZE (\d+)", line[0]).group(1))
                found[folder].append((uid, flags, size, line[1]))
    subscribed = sorted(re.sub(rb'.* "?([^"]+)"?$', rb"\1", line).replace(b"/", b".")
                        for line in client.lsub()[1] if line)
    client.logout()
    return found, subscribed


def tree(folder):
    """Names and times of everything below, but of sync states."""
    found = {}
    for top, _, files in os.walk(folder):
        for name in files:
            if not name.startswith("."):
                path = os.path.join(top, name)
                found[path] = os.stat(path).st_mtime_ns
    return found


def fill(server):
    client = login(server)
    for name in ("Work", "Work.Old", "Gr&APw-n", "Empty"):
        client.create(name)
    for number in range(30):
        client.append("INBOX", None, None, (TEXT % (number, number)).encode())
    for number in range(5):
        client.append("Work.Old", "(\\Seen)", None, (TEXT % (number, number)).encode())
        client.append("Gr&APw-n", "(\\Flagged $Label1)", None, (TEXT % (number, number)).encode())
    client.select("INBOX")
    client.store("3:7", "+FLAGS", "(\\Seen \\Answered)")
    client.store("4", "+FLAGS", "($Forwarded Junk)")
    client.store("9:11", "+FLAGS", "(Junk $Important)")
    client.store("5,20", "+FLAGS", "(\\Deleted)")
    client.expunge()
    client.copy("1:3", "Work")
    client.subscribe("Work.Old")
    client.subscribe("INBOX")
    client.logout()


def test_dovecot_is_replaced_and_mbsync_sees_nothing_new():
    dovecot, mbsync = need("dovecot"), need("mbsync")
    if os.geteuid() != 0:
        raise lib.Skip("Dovecot wants to be started by root")
    if not subprocess.run([dovecot, "--version"], capture_output=True, check=True,
                          text=True).stdout.startswith("2.3"):
        raise lib.Skip("it is not Dovecot 2.3")
    server = Server(CONFIG, ports=("imap",))
    folders = ("INBOX", "Work", "Work.Old", "Gr&APw-n", "Empty")
    values = dict(server.values, password=PASSWORD)
    os.makedirs(server.dir + "/dovecot/run")
    os.makedirs(server.dir + "/dovecot/state")
    os.makedirs(server.dir + "/data/mail")
    os.makedirs(server.dir + "/near")
    os.chown(server.dir + "/data/mail", 65534, 65534)
    for path in (server.dir, server.dir + "/data"):
        os.chmod(path, 0o755)
    for name, text in (("dovecot.conf", DOVECOT), ("mbsyncrc", MBSYNC)):
        with open(os.path.join(server.dir, name), "w", encoding="utf-8") as stream:
            stream.write(text.format(**values))
    process = subprocess.Popen([dovecot, "-F", "-c", server.dir + "/dovecot.conf"],
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server.process = process
    try:
        wait_for(lambda: server.listens(server.ports["imap"]), 20, "Dovecot")
        fill(server)
        before = state(server, folders)
        subprocess.run([mbsync, "-c", server.dir + "/mbsyncrc", "-a"], check=True,
                       capture_output=True, timeout=60)
    finally:
        process.terminate()
        process.wait(20)
        server.process = None
    for top, below, files in os.walk(server.dir + "/data"):
        for name in below + files:
            os.chown(os.path.join(top, name), os.geteuid(), os.getegid())
    near = tree(server.dir + "/near")
    assert len(near) == 28 + 3 + 5 + 5, len(near)
    time.sleep(1)
    with server:
        after = state(server, folders)
        assert after[0] == before[0], (before[0], after[0])
        assert after[1] == before[1], (before[1], after[1])
        second = subprocess.run([mbsync, "-V", "-c", server.dir + "/mbsyncrc", "-a"], check=True,
                                capture_output=True, timeout=60, text=True)
        assert tree(server.dir + "/near") == near, second.stdout
        assert "UIDVALIDITY" not in second.stdout + second.stderr, second.stdout + second.stderr
        # and what happens from now on is carried over
        client = login(server)
        client.append("INBOX", None, None, (TEXT % (99, 99)).encode())
        subprocess.run([mbsync, "-c", server.dir + "/mbsyncrc", "-a"], check=True,
                       capture_output=True, timeout=60)
        assert len(tree(server.dir + "/near")) == len(near) + 1


def start_dovecot(server, dovecot):
    """On what a server of ours keeps, which does not run now."""
    for path in ("run", "state"):
        os.makedirs(server.dir + "/dovecot/" + path, exist_ok=True)
    for path in (server.dir, server.dir + "/data"):
        os.chmod(path, 0o755)
    with open(server.dir + "/dovecot.conf", "w", encoding="utf-8") as stream:
        stream.write(DOVECOT.format(**server.values))
    give(server, 65534, 65534)
    process = subprocess.Popen([dovecot, "-F", "-c", server.dir + "/dovecot.conf"],
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server.process = process
    wait_for(lambda: server.listens(server.ports["imap"]), 20, "Dovecot")
    return process


def give(server, user, group):
    os.chown(server.dir + "/data/mail", user, group)
    for top, below, files in os.walk(server.dir + "/data/mail"):
        for name in below + files:
            os.chown(os.path.join(top, name), user, group)


def fill_ours(server):
    client = login(server)
    client.create("Work")
    client.create("Work/Old")
    for number in range(12):
        client.append("INBOX", "(\\Seen)" if number % 3 == 0 else None,
                      '"01-Feb-2021 10:11:12 +0000"' if number % 2 else None,
                      (TEXT % (number, number)).encode())
    client.select("INBOX")
    client.store("3:5", "+FLAGS", "(\\Flagged Junk $Forwarded)")
    client.copy("1:3", "Work")
    client.uid("MOVE", "4,7", "Work/Old")
    client.store("2,10", "+FLAGS", "(\\Deleted)")  # the last one, too
    client.expunge()
    client.logout()


def dates(server):
    client = login(server)
    client.select("INBOX", readonly=True)
    found = re.findall(rb'INTERNALDATE "([^"]+)"', b"".join(
        client.uid("FETCH", "1:*", "(INTERNALDATE)")[1]))
    client.logout()
    return found


FOLDERS = ("INBOX", "Work", "Work.Old")


def test_uids_survive_the_loss_of_the_index():
    with Server(CONFIG, ports=("imap",)) as server:
        fill_ours(server)
        before, before_dates = state(server, FOLDERS)[0], dates(server)
        for spoiled in ("gone", "torn list"):
            server.stop()
            shutil.rmtree(server.dir + "/data/mail/anna/posthorn")
            if spoiled == "torn list":
                with open(server.dir + "/data/mail/anna/.Work/dovecot-uidlist", "ab") as stream:
                    stream.write(b"4 :half of a li")
            server.start()
            after = state(server, FOLDERS)[0]
            for name in FOLDERS:
                assert after[name][0][0] == before[name][0][0], (spoiled, name, after, before)
                assert after[name][0][1] >= before[name][0][1], (spoiled, name, after, before)
                assert after[name][1:] == before[name][1:], (spoiled, name, after, before)
            assert len(dates(server)) == len(before_dates)
            assert all(a == b or b" 1-Feb-2021" not in a + b for a, b in zip(
                dates(server), before_dates)), (dates(server), before_dates)
            client = login(server)
            uid = int(re.search(rb"APPENDUID \d+ (\d+)", client.append(
                "INBOX", None, None, (TEXT % (50, 50)).encode())[1][0])[1])
            assert uid >= before["INBOX"][0][1], uid
            client.select("INBOX")
            client.store("%d" % (len(before["INBOX"])), "+FLAGS", "(\\Deleted)")
            client.expunge()
            client.logout()


def test_dovecot_takes_it_back_and_returns_it():
    dovecot = need("dovecot")
    if os.geteuid() != 0:
        raise lib.Skip("Dovecot wants to be started by root")
    with Server(CONFIG, ports=("imap",)) as server:
        fill_ours(server)
        client = login(server)
        for name in ("INBOX", "Work/Old"):
            client.subscribe(name)
        client.logout()
        ours, subscribed = state(server, FOLDERS)
        server.stop()
        process = start_dovecot(server, dovecot)
        try:
            theirs, found = state(server, FOLDERS)
            assert theirs == ours, (theirs, ours)
            assert found == subscribed == [b"INBOX", b"Work.Old"], (found, subscribed)
            client = login(server)
            for number in range(20, 24):
                client.append("INBOX", None, None, (TEXT % (number, number)).encode())
            client.select("INBOX")
            client.store("1", "+FLAGS", "(\\Answered)")
            client.store("2,11", "+FLAGS", "(\\Deleted)")
            client.expunge()
            client.subscribe("Work")
            client.unsubscribe("Work.Old")
            client.logout()
            theirs = state(server, FOLDERS)[0]
        finally:
            process.terminate()
            process.wait(20)
            server.process = None
        give(server, os.geteuid(), os.getegid())
        server.start()
        client = login(server)
        uid = int(re.search(rb"APPENDUID \d+ (\d+)", client.append(
            "INBOX", None, None, (TEXT % (50, 50)).encode())[1][0])[1])
        assert uid == theirs["INBOX"][0][1], (uid, theirs["INBOX"])
        again, found = state(server, FOLDERS)
        assert found == [b"INBOX", b"Work"], found
        assert again["INBOX"][1:-1] == theirs["INBOX"][1:], (again, theirs)
        assert again["INBOX"][0][0] == theirs["INBOX"][0][0]
        assert (again["Work"], again["Work.Old"]) == (theirs["Work"], theirs["Work.Old"])


def lay(folder, files):
    for part in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(folder, part))
    for name, octets in files.items():
        with open(os.path.join(folder, name), "wb") as stream:
            stream.write(octets)


def resynchronise(server, change):
    """The uids whose flags a client with this change number in its cache is told."""
    client = login(server)
    client.select("INBOX")
    told = client.uid("FETCH", "1:*", "(FLAGS) (CHANGEDSINCE %d)" % change)[1]
    client.logout()
    return [int(re.search(rb"UID (\d+)", line).group(1)) for line in told if line]


def test_frozen_files_of_dovecot():
    server = Server(CONFIG.replace("{{user}}\n", "{{user}}\nmailboxes = Sent \\Sent\n"),
                    ports=("imap",))
    root = server.dir + "/data/mail/anna"
    body = b"Subject: kept\n\nline\n"
    lay(root, {
        "dovecot-uidlist": b"3 V1700000001 N108 G5d1b0c2e3f4a5b6c7d8e9f0011223344\n"
                           b"7 W25 :1700000000.M1P2.host,S=20,W=23\n"
                           b"9 :1700000002.M1P2.host\n"
                           b"100 :gone.host\n"
                           b"107 W1 S2 :1600000000.older:2,S\n",
        "dovecot-keywords": b"0 $Forwarded\n1 Junk\n",
        "subscriptions": b"V\t2\n\nINBOX\nLists\tposthorn\n",
        "cur/1700000000.M1P2.host,S=20,W=23:2,RSab": body,
        "cur/1700000002.M1P2.host:2,": body,
        "cur/1600000000.older:2,FS": body,
        "new/1700000009.unlisted": body,
    })
    lay(root + "/.Lists.posthorn", {
        "maildirfolder": b"",
        "dovecot-uidlist": b"1 1650000000 12\n3 1.a.host\n11 2.a.host:2,S\n",
        "cur/1.a.host:2,": body, "cur/2.a.host:2,T": body,
    })
    lay(root + "/.S&AOk-nt", {"cur/1.b.host:2,Z": body})
    lay(root + "/.Sent", {})
    wire = body.replace(b"\n", b"\r\n")
    with server:
        found, subscribed = state(server, ("INBOX", "Lists.posthorn", "S&AOk-nt"))
        assert subscribed == [b"INBOX", b"Lists.posthorn"], subscribed
        assert found["INBOX"][0] == (1700000001, 109), found["INBOX"][0]
        assert found["INBOX"][1:] == [
            (7, frozenset((b"\\Seen", b"\\Answered", b"$Forwarded", b"Junk")), 23, wire),
            (9, frozenset(), 23, wire), (107, frozenset((b"\\Seen", b"\\Flagged")), 23, wire),
            (108, frozenset(), 23, wire)], found["INBOX"][1:]
        assert found["Lists.posthorn"] == [
            (1650000000, 12), (3, frozenset(), 23, wire),
            (11, frozenset((b"\\Deleted",)), 23, wire)], found["Lists.posthorn"]
        assert found["S&AOk-nt"][1:] == [(1, frozenset(), 23, wire)]
        # what another server told a client by its own change numbers is never taken for ours
        told = resynchronise(server, 600)
        assert told == [7, 9, 107, 108], told
        # its config knew what this folder is for
        client = login(server)
        uses = [line for line in client.list()[1] if b"\\Sent" in line]
        assert len(uses) == 1 and uses[0].endswith(b'Sent"'), uses
        client.logout()


main(globals())
