#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""deliver.py: delivers one message as another program would: into a maildir, or to an mbox

    deliver.py USER DOMAIN DATA

For `posthorn conform store --foreign`: what is there under DATA says which of the two it is.
"""
import fcntl
import os
import sys
import time

MESSAGE = "From: a@example.net\nSubject: foreign\n\nDelivered by another program.\n"


def to_maildir(folder):
    name = "%d.%d.foreign" % (time.time(), time.time_ns())
    with open(os.path.join(folder, "tmp", name), "w", encoding="ascii") as stream:
        stream.write(MESSAGE)
    os.rename(os.path.join(folder, "tmp", name), os.path.join(folder, "new", name))


def to_mbox(path):
    with open(path, "a", encoding="ascii") as stream:
        fcntl.lockf(stream, fcntl.LOCK_EX)
        stream.seek(0, os.SEEK_END)
        stream.write("From a@example.net Thu Jan  1 00:00:00 2026\n" + MESSAGE + "\n")


def main():
    user, _domain, data = sys.argv[1:4]
    for folder, folders, files in os.walk(data):
        if user not in folder:
            continue
        if "new" in folders and "cur" in folders and "tmp" in folders:
            return to_maildir(folder)
        if "inbox" in files:
            return to_mbox(os.path.join(folder, "inbox"))
    return sys.exit("deliver.py: no mail of '%s' below '%s'" % (user, data))


main()
