#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""install-config.py: puts the first config in place, and never over one that is there"""
import os
import shutil
import sys


def main():
    source, folder = sys.argv[1:3]
    if not os.path.isabs(folder):
        folder = os.path.join(os.environ["MESON_INSTALL_PREFIX"], folder)
    folder = os.environ.get("DESTDIR", "") + folder
    target = os.path.join(folder, "posthorn.conf")
    if os.path.exists(target):
        return
    os.makedirs(folder, mode=0o755, exist_ok=True)
    shutil.copyfile(source, target)
    os.chmod(target, 0o644)


main()
