#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""look.py: a filter for `plugin = exec`: one line of JSON a question, one line an answer

Refuses mail for addresses that begin with "trap", marks what has a suspicious subject, and keeps
aside what is said to be spam already.

    [filter look]
    plugin  = exec
    command = /path/to/look.py
    stages  = recipient, message
"""
import json
import sys


def recipient(question):
    if question["recipient"].startswith("trap"):
        return {"verdict": "reject", "text": "nobody reads that"}
    return {}


def message(question):
    header = {name.lower(): value for name, value in question["header"]}
    if header.get("x-spam-flag", "").lower() == "yes":
        return {"verdict": "quarantine", "text": "marked as spam"}
    if "you have won" in header.get("subject", "").lower():
        return {"edits": [["add-header", "X-Suspicious", "yes"]]}
    return {}


for line in sys.stdin:
    asked = json.loads(line)
    answer = {"recipient": recipient, "message": message}.get(asked["ask"], lambda _: {})(asked)
    print(json.dumps(answer), flush=True)
