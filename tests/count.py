#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""count.py: `N passed, N failed` from meson's testlog.json

A test that prints TAP counts once for each of its cases, any other counts once. A program that
crashed or ran out of time counts as one failure more. The exit status is 1 when anything failed
or nothing ran.
"""
import json
import re
import sys

LINES = 8  # told before and behind a case that failed
CASE = re.compile(r"^(not )?ok\b(?:[^#\n]*)(#\s*(?:SKIP|TODO)\b)?", re.MULTILINE | re.IGNORECASE)


def count(entry):
    """(passed, failed, skipped) of one line of the log."""
    good = entry["result"] in ("OK", "EXPECTEDFAIL")
    if entry["result"] == "SKIP":
        return 0, 0, 1
    cases = list(CASE.finditer(entry.get("stdout") or ""))
    failed = sum(bool(case.group(1)) and not case.group(2) for case in cases)
    skipped = sum(bool(case.group(2)) for case in cases)
    passed = len(cases) - failed - skipped
    if not cases:
        return int(good), int(not good), 0
    return passed, failed + int(not good and not failed), skipped


def tell(entry):
    """What failed, and the lines behind it; bounded: the log has the rest."""
    print("FAILED: %s (%s)" % (entry["name"], entry["result"].lower()))
    lines = (entry.get("stdout") or "").splitlines()
    for number, line in enumerate(lines):
        if line.startswith("not ok") and "# TODO" not in line:
            around = lines[max(0, number - LINES):number + LINES]
            print("\n".join("    " + text[:300] for text in around if not text.startswith("ok")))


def main():
    total = [0, 0, 0]
    try:
        with open(sys.argv[1], encoding="utf-8") as stream:
            entries = [json.loads(line) for line in stream if line.strip()]
    except OSError as error:
        print("count.py: %s" % error, file=sys.stderr)
        entries = []
    for entry in entries:
        result = count(entry)
        total = [a + b for a, b in zip(total, result)]
        if result[1]:
            tell(entry)
    if total[2]:
        print("%d skipped" % total[2])
    print("%d passed, %d failed" % (total[0], total[1]))
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    sys.exit(main())
