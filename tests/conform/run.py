#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""run.py: the conformance kit against one store or stack of ours, as TAP

    run.py NAME [--scale F] [more words for `posthorn conform store`]

Names: see sections.py. Without --scale it is 0.01; the whole run is --scale 1.
"""
import os
import shutil
import subprocess
import sys
import tempfile

import sections

SOURCE = os.environ.get("POSTHORN_SOURCE_DIR") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("POSTHORN_BUILD_DIR") or os.path.join(SOURCE, "build")
PROGRAM = os.environ.get("POSTHORN_PROGRAM") or os.path.join(BUILD, "core", "posthorn")
PLUGINS = os.environ.get("POSTHORN_PLUGINS") or os.path.join(BUILD, "plugins")

SERVER = """[server]
hostname = mail.example.org
data = {dir}/data
plugin-path = {plugins}
"""


def write_config(folder, text):
    """The config's path."""
    with open(os.path.join(folder, "key"), "w", encoding="ascii") as stream:
        stream.write("0123456789abcdef" * 4 + "\n")
    os.chmod(os.path.join(folder, "key"), 0o600)
    path = os.path.join(folder, "posthorn.conf")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write((SERVER + text).format(dir=folder, plugins=PLUGINS))
    return path


def missing(text):
    """The first plugin of the stack that was not built, or None."""
    for line in text.splitlines():
        key, _, name = line.partition(" = ")
        if key == "plugin" and not os.path.exists(os.path.join(PLUGINS, "store-%s.so" % name)):
            return name
    return None


def main():
    section, text = sections.STACKS[sys.argv[1]]
    words = sys.argv[2:]
    if missing(text):
        print("1..0 # SKIP the plugin '%s' was not built" % missing(text))
        return 0
    if not any(word.startswith("--scale") for word in words):
        words = ["--scale", "0.01"] + words
    words = ["--foreign", os.path.join(os.path.dirname(os.path.abspath(__file__)), "deliver.py")] + words
    folder = tempfile.mkdtemp(prefix="posthorn-conform-")
    try:
        config = write_config(folder, text)
        return subprocess.run([PROGRAM, "conform", "store", "-c", config, "--tap", *words, section],
                              check=False).returncode
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
