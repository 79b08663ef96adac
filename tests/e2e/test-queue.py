#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-queue.py: mail that waits: retries, reports, restarts, holds, priorities, damage

The route `out` leads to a transport that fails on command (plugin-flaky.c); all times are short.
"""
import email
import email.policy
import json
import os
import random
import shutil
import subprocess
import sys
import time

import lib
from lib import BUILD, SOURCE, Server, main, wait_for

sys.path.insert(0, os.path.join(SOURCE, "tests", "powerloss"))
from rebuild import rebuild  # noqa: E402

FLAKY = os.path.join(BUILD, "tests", "e2e", "plugin-flaky.so")
QUEUE = """
[queue]
retry = 200ms, 300ms, 400ms
lifetime = 30s
warn-after = 20s

[route out]
domains = *
transport = %s:plugin-flaky
ledger = {data}/ledger
""" % FLAKY
CONFIG = lib.WHOLE + QUEUE


def message(name, body="hello\r\n"):
    return ("X-Ledger: %s\r\nFrom: <anna@example.org>\r\nSubject: %s\r\n\r\n%s" % (
        name, name, body)).encode()


def ledger(server):
    """(attempt, [recipients], name) of each delivery."""
    try:
        with open(os.path.join(server.values["data"], "ledger"), encoding="utf-8") as stream:
            rows = [line.split() for line in stream]
    except FileNotFoundError:
        return []
    return [(int(row[0]), row[1].split(","), row[2]) for row in rows]


def names(server):
    return [row[2] for row in ledger(server)]


def down(server, is_down):
    path = os.path.join(server.values["data"], "ledger.down")
    if is_down:
        with open(path, "w", encoding="utf-8"):
            pass
    else:
        os.unlink(path)


def inbox(server, user="anna@example.org"):
    client = server.imap(user)
    client.select("INBOX", readonly=True)
    octets = [part[1] for part in client.fetch("1:*", "(BODY.PEEK[])")[1]
              if isinstance(part, tuple)] if client.search(None, "ALL")[1][0] else []
    client.logout()
    return [email.message_from_bytes(one, policy=email.policy.default) for one in octets]


def reports(server, action):
    """Delivery reports in the inbox that tell of such an action, with the rows about it."""
    found = []
    for mail in inbox(server):
        if mail.get_content_type() != "multipart/report":
            continue
        status = list(mail.iter_parts())[1].get_payload()
        rows = [row for row in status[1:] if row["Action"] == action]
        if rows:
            found.append((mail, status[:1] + rows))
    return found


def test_mail_for_others_is_delivered_from_the_queue():
    with Server(CONFIG) as server:
        server.send(message("one"), ["joe@far.example"], "anna@example.org")
        wait_for(lambda: names(server) == ["one"], 10, "the delivery")
        assert ledger(server)[0][:2] == (1, ["joe@far.example"])


def test_recipients_of_one_destination_come_in_one_delivery():
    with Server(CONFIG) as server:
        server.send(message("many"), ["a@far.example", "b@far.example", "c@other.example",
                                      "anna@example.org"], "anna@example.org")
        wait_for(lambda: len(ledger(server)) == 2, 10, "both deliveries")
        assert sorted(row[1] for row in ledger(server)) == [["a@far.example", "b@far.example"],
                                                            ["c@other.example"]]
        wait_for(lambda: len(inbox(server)) == 1, 10, "the local recipient's copy")


def test_what_is_put_off_is_tried_again():
    with Server(CONFIG) as server:
        server.send(message("late"), ["later2@far.example"], "anna@example.org")
        wait_for(lambda: names(server) == ["late"], 15, "the third attempt")
        assert ledger(server)[0][0] == 3


def test_what_is_refused_comes_back_to_its_sender():
    with Server(CONFIG) as server:
        server.send(message("bad"), ["fail@far.example", "good@far.example"], "anna@example.org")
        mail, status = wait_for(lambda: reports(server, "failed"), 10, "the report")[0]
        assert names(server) == ["bad"]
        assert status[1]["Final-Recipient"].endswith("fail@far.example")
        assert status[1]["Status"] == "5.1.1"
        assert "no such user here" in status[1]["Diagnostic-Code"]
        assert status[1]["Remote-MTA"].endswith("flaky.example.net")
        assert mail["Return-Path"] == "<>"
        assert len(reports(server, "failed")) == 1


def test_nothing_is_reported_about_a_report():
    with Server(CONFIG) as server:
        client = server.smtp()
        client.sendmail("", ["fail@far.example"], message("null"))
        client.quit()
        wait_for(lambda: server.events("failed"), 10, "the failure")
        time.sleep(0.3)
        assert not inbox(server)


def test_success_is_reported_when_it_was_asked_for():
    with Server(CONFIG) as server:
        client = server.smtp()
        client.mail("anna@example.org", ["RET=HDRS", "ENVID=one"])
        for to, notify in (("relay@far.example", "SUCCESS,FAILURE"), ("fail@far.example", "NEVER"),
                           ("ben@example.org", "SUCCESS")):
            assert client.rcpt(to, ["NOTIFY=" + notify])[0] == 250
        assert client.data(message("asked"))[0] == 250
        mail, status = wait_for(lambda: reports(server, "relayed"), 10, "the relayed one")[0]
        assert status[0]["Original-Envelope-Id"] == "one"
        wait_for(lambda: reports(server, "delivered"), 10, "the local one")
        client.mail("anna@example.org")
        client.rcpt("ben@example.org", ["NOTIFY=SUCCESS"])
        assert client.data(message("local"))[0] == 250
        wait_for(lambda: len(reports(server, "delivered")) == 2, 10, "one that was not queued")
        client.quit()
        assert not reports(server, "failed")


def test_what_ends_together_is_told_in_one_report():
    with Server(CONFIG.replace("[route out]", "[route out]\ndelay = 4s")) as server:
        client = server.smtp()
        client.mail("anna@example.org")
        many = ["fail%d@f%d.example" % (at, at) for at in range(12)] + ["relay%d@r%d.example" % (at, at)
                                                                          for at in range(5)]
        for to in many + ["good@g.example"]:
            assert client.rcpt(to, ["NOTIFY=SUCCESS,FAILURE"])[0] == 250
        assert client.data(message("many"))[0] == 250
        wait_for(lambda: len(inbox(server)) >= 1, 10, "the report")
        told = [str(row["Final-Recipient"]).split("; ")[1]
                for mail in inbox(server) for row in list(mail.iter_parts())[1].get_payload()[1:]]
        assert sorted(told) == sorted(many), told
        assert len(inbox(server)) == 1, "%d reports" % len(inbox(server))
        started = time.monotonic()
        client.mail("anna@example.org")
        for to in ("slow@s.example", "fail@t.example", "fail@u.example"):
            client.rcpt(to)
        assert client.data(message("slow"))[0] == 250
        client.quit()
        wait_for(lambda: len(inbox(server)) == 2, 10, "the report that waits for nobody long")
        assert time.monotonic() - started < 3.5 and "slow" not in names(server)


def test_late_mail_is_reported_and_then_given_up():
    config = CONFIG.replace("lifetime = 30s", "lifetime = 2s").replace("warn-after = 20s",
                                                                     "warn-after = 600ms")
    with Server(config) as server:
        server.send(message("never"), ["silent@dead.example"], "anna@example.org")
        mail, status = wait_for(lambda: reports(server, "delayed"), 10, "the warning")[0]
        assert status[1]["Will-Retry-Until"]
        mail, status = wait_for(lambda: reports(server, "failed"), 10, "the report")[0]
        assert status[1]["Status"] in ("5.4.7", "5.4.1"), status[1]["Status"]
        assert len(reports(server, "delayed")) == 1
        assert not names(server)


def test_a_deadline_of_the_sender_is_kept():
    with Server(CONFIG.replace("warn-after = 20s", "warn-after = 400ms").replace(
            "lifetime = 30s", "lifetime = 20s")) as server:
        client = server.smtp()
        if not client.has_extn("deliverby"):
            raise lib.Skip("this server does not offer DELIVERBY")
        for by, to in (("2;R", "silent1@r.example"), ("2;N", "silent2@n.example")):
            assert client.mail("anna@example.org", ["BY=" + by])[0] == 250
            client.rcpt(to, ["NOTIFY=FAILURE,DELAY"])
            assert client.data(message("by-" + by[-1]))[0] == 250
        client.quit()
        wait_for(lambda: reports(server, "failed"), 10, "the one that comes back")
        assert len(reports(server, "failed")) == 1
        assert [row["recipients"][0]["address"] for row in listed(server)] == ["silent2@n.example"]
        wait_for(lambda: "silent2@n.example" in str([status[1]["Final-Recipient"] for _, status
                                                     in reports(server, "delayed")]), 10, "the note")


def test_the_queue_survives_a_stop():
    server = Server(CONFIG)
    with server:
        down(server, True)
        for i in range(20):
            server.send(message("kept-%d" % i), ["joe@far.example"], "anna@example.org")
        assert server.stop() == 0
        down(server, False)
        server.start()
        wait_for(lambda: len(names(server)) == 20, 15, "all of them")
        assert sorted(names(server)) == sorted("kept-%d" % i for i in range(20))


def test_a_dead_destination_does_not_stop_others():
    with Server(CONFIG.replace("retry = 200ms, 300ms, 400ms", "retry = 1min")) as server:
        client = server.smtp()
        for i in range(50):
            client.sendmail("anna@example.org", ["silent%d@dead.example" % i],
                            message("dead-%d" % i))
        client.sendmail("anna@example.org", ["joe@far.example"], message("alive"))
        client.quit()
        wait_for(lambda: names(server) == ["alive"], 5, "the other destination")
        assert 3 <= len(server.events("deferred")) <= 25, len(server.events("deferred"))
        stats = json.loads(server.run("queue", "stats", "--json").stdout)
        assert stats["destinations-paused"] == 1 and stats["mails"] == 50, stats


def listed(server, *words):
    result = server.run("queue", "list", "--json", *words)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def fill(server):
    """Six mails that cannot be delivered, from two senders to three destinations."""
    down(server, True)
    for i in range(6):
        server.send(message("mail-%d" % i), ["joe%d@%s.example" % (i, "abc"[i % 3])],
                    ["anna@example.org", "ben@example.org"][i % 2])


def test_an_administrator_sees_and_changes_the_queue():
    with Server(CONFIG.replace("retry = 200ms, 300ms, 400ms", "retry = 5min")) as server:
        fill(server)
        wait_for(lambda: all(row["recipients"][0]["state"] == "waiting" for row in listed(server)),
                 10, "the first attempts")
        assert len(listed(server)) == 6
        assert len(listed(server, "--sender", "ben@*")) == 3
        assert len(listed(server, "--domain", "a.example", "--sender", "ANNA@example.org")) == 1
        assert not listed(server, "--older", "1h") and len(listed(server, "--younger", "1h")) == 6
        one = listed(server, "--recipient", "joe2@*")[0]
        assert one["recipients"][0]["reason"] == "it is down"
        text = server.run("queue", "show", one["id"], "--body").stdout
        assert "X-Ledger: mail-2" in text and "joe2@c.example" in text
        assert server.run("queue", "show", "nothing").returncode == 1
        assert server.run("queue", "delete").returncode == 2
        assert "1 recipients deleted" in server.run("queue", "delete", one["id"]).stdout
        assert server.run("queue", "hold", "--destination", "a.example").returncode == 0
        assert len(listed(server, "--state", "held")) == 2
        down(server, False)
        server.run("queue", "retry", "--all")
        wait_for(lambda: len(names(server)) == 3, 10, "the others")
        stats = json.loads(server.run("queue", "stats", "--json").stdout)
        assert stats["mails"] == 2 and stats["held"] == 2, stats
        status = json.loads(server.run("status", "--json").stdout)
        assert status["queue"]["mails"] == 2
        assert "2 mails" in server.run("status").stdout
        server.run("queue", "release", "--all")
        wait_for(lambda: len(names(server)) == 5, 10, "what was held")
        assert not listed(server)


def test_the_queue_can_be_changed_without_a_server():
    server = Server(CONFIG)
    with server:
        fill(server)
        server.stop()
        assert len(listed(server)) == 6
        result = server.run("queue", "delete", "--sender", "ben@example.org", "--yes")
        assert "3 recipients deleted" in result.stdout, result.stdout + result.stderr
        assert len(listed(server)) == 3
        down(server, False)
        server.start()
        wait_for(lambda: len(names(server)) == 3, 10, "the others")


def test_mail_of_a_route_that_is_gone_is_held():
    server = Server(CONFIG)
    with server:
        fill(server)
        server.stop()
        server.write_config(lib.WHOLE)
        server.start()
        wait_for(lambda: len(listed(server, "--state", "held")) == 6, 10, "it to be held")
        assert "[route out]" in listed(server)[0]["recipients"][0]["reason"]
        server.stop()
        server.write_config(CONFIG)
        down(server, False)
        server.start()
        server.run("queue", "release", "--all")
        wait_for(lambda: len(names(server)) == 6, 10, "all of it")


def test_damage_costs_one_mail_and_no_other():
    server = Server(CONFIG)
    with server:
        fill(server)
        server.stop()
        folder = os.path.join(server.values["data"], "queue")
        path = [os.path.join(folder, name) for name in os.listdir(folder)
                if name.endswith(".mail")][0]
        with open(path, "r+b") as stream:
            octets = stream.read()
            stream.seek(octets.index(b"Subject: mail-3"))
            stream.write(b"subject: MAIL-3")
        down(server, False)
        server.start()
        wait_for(lambda: len(names(server)) == 5, 10, "the others")
        assert "mail-3" not in names(server)
        assert server.events("queue-damaged")
        assert [row["recipients"][0]["state"] for row in listed(server)] == ["held"]
        server.stop()
        for name in os.listdir(folder):
            if name.endswith(".index"):
                os.unlink(os.path.join(folder, name))
        server.start()
        wait_for(lambda: len(names(server)) == 10, 10, "all once more: the index was lost")
        assert "mail-3" not in names(server)


def test_a_full_disk_is_temporary_and_loses_nothing():
    if os.geteuid() != 0:
        raise lib.Skip("only root may mount")
    server = Server(CONFIG)
    path = server.values["data"]
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=0700", "none", path],
                      stderr=subprocess.DEVNULL, check=False).returncode != 0:
        raise lib.Skip("cannot mount a tmpfs here")
    try:
        with server:
            down(server, True)
            kept, codes = [], []
            for number in range(60):
                client = server.smtp()
                client.mail("anna@example.org")
                client.rcpt("joe@far.example")
                code, text = client.data(message("full-%d" % number, "x" * 70 * 3000))
                codes.append(code)
                assert code == 250 or text.startswith(b"4.3."), (code, text)
                client.close()
                if codes[-1] == 250:
                    kept.append("full-%d" % number)
                elif len(codes) - len(kept) > 3:
                    break
            assert kept and {code // 100 for code in codes} == {2, 4}, codes
            server.stop()
            down(server, False)
            server.start()
            wait_for(lambda: sorted(names(server)) == sorted(kept), 15, "what was taken")
    finally:
        subprocess.run(["umount", "-l", path], check=False)


def test_the_power_goes_and_nothing_acknowledged_is_lost():
    server = Server(CONFIG.replace("[queue]", "[queue]\nsegment-size = 64K"))
    data, trace, taken = server.values["data"], os.path.join(server.dir, "trace"), []
    try:
        down(server, True)
        for survival in (0, 0.5, 0.1):
            base, after = os.path.join(server.dir, "base"), os.path.join(server.dir, "after")
            shutil.rmtree(base, ignore_errors=True)
            shutil.copytree(data, base, ignore=shutil.ignore_patterns("*.sock"))
            with open(trace, "wb"):
                pass
            server.environment = {
                "LD_PRELOAD": os.path.join(BUILD, "tests", "powerloss", "libpowerloss.so"),
                "POWERLOSS_ROOT": data, "POWERLOSS_TRACE": trace}
            server.start()
            client = server.smtp()
            for _ in range(20):
                name = "power-%d" % len(taken)
                client.sendmail("anna@example.org", ["joe@%s.example" % name],
                                message(name, "y" * random.randrange(30000)))
                taken.append(name)
            server.kill()
            rebuild(trace, base, data, after, survival, random.Random(7))
            shutil.rmtree(data)
            os.rename(after, data)
        down(server, False)
        server.environment = {}
        server.start()
        wait_for(lambda: set(names(server)) == set(taken), 20, "everything that was taken")
    finally:
        server.__exit__(None, None, None)


main(globals())
