#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""exports.py: libposthorn exports what include/posthorn declares, all of it and nothing else

    exports.py LIBRARY INCLUDE-FOLDER [UNFINISHED-HEADER...]

A header that is named as unfinished may lack functions, and must: when it is complete it has to be
taken off the command line.
"""
import glob
import os
import re
import subprocess
import sys

DECLARATION = re.compile(r"^PH_PUBLIC\s[^;{]*?\b(ph_\w+)\s*\(", re.MULTILINE)


def declared(folder):
    """Function name -> header."""
    found = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.h"))):
        with open(path, encoding="utf-8") as stream:
            text = re.sub(r"/\*.*?\*/", "", stream.read(), flags=re.DOTALL)
        for match in DECLARATION.finditer(text):
            found[match.group(1)] = os.path.basename(path)
    return found


def exported(library):
    output = subprocess.run(["nm", "-D", "--defined-only", "--without-symbol-versions", library],
                            check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in output.splitlines()]
    return {row[2] for row in rows if row[1] != "A"}


def main():
    library, folder = sys.argv[1:3]
    headers = declared(folder)
    symbols = exported(library)
    unfinished = set(sys.argv[3:])
    missing = {name: headers[name] for name in sorted(set(headers) - symbols)}
    faults = ["%s is declared in %s and not exported" % row for row in missing.items()
              if row[1] not in unfinished]
    faults += ["%s is complete: it is unfinished no more" % header
               for header in sorted(unfinished - set(missing.values()))]
    faults += ["%s is exported and in no public header" % name
               for name in sorted(symbols - set(headers))]
    if len(headers) < 50:
        faults.append("only %d declarations were found: is the pattern right?" % len(headers))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
