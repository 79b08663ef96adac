#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-install.py: what `meson install` puts below DESTDIR works from there"""
import glob
import os
import shutil
import subprocess
import tempfile

from lib import BUILD, Server, Skip, main, need


class Installed:
    """The build, installed below a folder of its own."""

    def __enter__(self):
        self.root = tempfile.mkdtemp(prefix="posthorn-install-")
        result = subprocess.run([need("meson"), "install", "-C", BUILD, "--no-rebuild", "--quiet",
                                 "--destdir", self.root], capture_output=True, text=True, check=False)
        if result.returncode != 0:
            shutil.rmtree(self.root, ignore_errors=True)
            if "sanitize" in result.stderr:
                raise Skip("this build is not for installing")
            raise AssertionError(result.stdout + result.stderr)
        return self

    def __exit__(self, kind, value, trace):
        shutil.rmtree(self.root, ignore_errors=True)

    def find(self, pattern):
        found = glob.glob(self.root + "/**/" + pattern, recursive=True)
        assert found, "%s is not installed" % pattern
        return found[0]


def test_the_sendmail_link_names_the_program():
    with Installed() as installed:
        link = installed.find("share/posthorn/sendmail")
        target = os.readlink(link)
        assert target.endswith("/bin/posthorn") and os.path.isabs(target), target
        assert os.path.exists(installed.root + target)


def test_the_installed_program_submits_mail_as_sendmail():
    with Server() as server, Installed() as installed:
        program = installed.root + os.readlink(installed.find("share/posthorn/sendmail"))
        library = os.path.dirname(installed.find("libposthorn.so.0"))
        sendmail = os.path.join(installed.root, "sendmail")
        os.symlink(program, sendmail)
        result = subprocess.run(
            [sendmail, "-C", server.config, "-f", "ben@example.org", "anna@example.org"],
            input="Subject: Installed\n\nBy sendmail.\n", text=True, capture_output=True,
            env=dict(os.environ, LD_LIBRARY_PATH=library), timeout=30, check=False)
        if result.returncode != 0:
            print("# " + result.stderr.strip())
        imap = server.imap()
        assert imap.select("INBOX")[1] == [b"1"], result.stderr
        imap.logout()


main(globals())
