#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-outside.py: examples and new plugins of every kind work with an installed tree alone

Installs this build into a folder, copies the examples there, and makes a new plugin of each kind;
builds them with pkg-config as a stranger would, and runs their own tests.
"""
import base64
import hmac
import imaplib
import os
import shutil
import smtplib
import subprocess
import sys
import tempfile
import time

SOURCE = os.environ["POSTHORN_SOURCE_DIR"]
BUILD = os.environ["POSTHORN_BUILD_DIR"]


def run(words, **options):
    """The output; the test fails with it when the program does."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError("%s\n%s%s" % (" ".join(words), done.stdout, done.stderr))
    return done.stdout


def stage(folder):
    """Installs; the environment in which the installed tree is used."""
    run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", folder])
    for where, _, names in os.walk(folder):
        if "posthorn.pc" in names:
            break
    else:
        raise AssertionError("there is no posthorn.pc")
    root = os.path.dirname(os.path.dirname(where))
    return dict(os.environ, PKG_CONFIG_PATH=where, LD_LIBRARY_PATH=os.path.dirname(where),
                PATH=os.path.join(root, "bin") + ":" + os.environ["PATH"]), root


def build_and_test(source, environment, build=None):
    """Every test of the project passes; nothing of this tree's source is seen."""
    build = build or source + "-build"
    run(["meson", "setup", build, source, "--fatal-meson-warnings", "-Dwerror=true"],
        env=environment)
    run(["meson", "compile", "-C", build], env=environment)
    run(["meson", "test", "-C", build, "--print-errorlogs"], env=environment)


def try_example(folder, environment, name):
    source = os.path.join(folder, name)
    shutil.copytree(os.path.join(SOURCE, "examples", "plugins", name), source)
    build_and_test(source, environment)
    with open(os.path.join(source, name + ".c"), encoding="utf-8") as stream:
        assert len(stream.readlines()) < 300, "the example has grown to 300 lines"


def test_example_store(folder, environment, _root):
    try_example(folder, environment, "store-memory")


def test_example_directory(folder, environment, _root):
    try_example(folder, environment, "directory-web")


def test_power_loss(folder, environment, root):
    """The rule about power finds its library in the installed tree, and a sync that is left out."""
    config = os.path.join(folder, "power.conf")
    with open(config, "w", encoding="utf-8") as stream:
        stream.write("[server]\nhostname = mail.example.org\ndata = %s/power\n"
                     "[store mail]\nplugin = sqlite\n" % folder)
    words = [os.path.join(root, "bin", "posthorn"), "conform", "store", "-c", config, "--scale",
             "0.01", "--rule", "power-loss", "mail"]
    output = run(words, env=environment)
    if "before a sanitizer" not in output:
        assert output.startswith("ok"), output
        done = subprocess.run(words[:-1] + ["--ignore-sync", "file:-wal", "mail"], check=False,
                              env=environment, capture_output=True, text=True)
        assert done.returncode == 1 and done.stdout.startswith("FAIL"), done.stdout


def serve(folder, environment, program):
    """Mail goes in by SMTP and comes out by IMAP, with the example config as it was written."""
    process = subprocess.Popen([program, "serve", "-c", "build/example.conf"], cwd=folder,
                               env=environment, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(100):
            try:
                client = smtplib.SMTP("127.0.0.1", 1025, timeout=10)
                break
            except OSError:
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.1)
        client.sendmail("a@example.net", ["anna@localhost"], b"Subject: new\r\n\r\nHello\r\n")
        client.quit()
        reader = imaplib.IMAP4("127.0.0.1", 1143, timeout=10)
        reader.login("anna", "secret")
        assert reader.select("INBOX")[1] == [b"1"]
        assert b"Hello" in reader.fetch("1", "(BODY.PEEK[TEXT])")[1][0][1]
        reader.logout()
    finally:
        process.terminate()
        process.wait(10)


def new_plugin(folder, environment, root, kind, example):
    """A new plugin passes its own test; nothing of it has the example's name. Its folder."""
    program = os.path.join(root, "bin", "posthorn")
    source = os.path.join(folder, "%s-shelf" % kind)
    run([program, "new-plugin", kind, "shelf"], cwd=folder, env=environment)
    build_and_test(source, environment, os.path.join(source, "build"))
    again = subprocess.run([program, "new-plugin", kind, "shelf"], cwd=folder, env=environment,
                           check=False, capture_output=True)
    assert again.returncode == 1, "a folder was written over"
    for name in os.listdir(source):  # the folder is whole, and the example's name is gone
        assert example not in name, name
    with open(os.path.join(source, kind + "-shelf.c"), encoding="utf-8") as stream:
        assert len(stream.readlines()) < 300, "the example has grown to 300 lines"
    return source


def test_new_plugin_store(folder, environment, root):
    source = new_plugin(folder, environment, root, "store", "memory")
    serve(source, environment, os.path.join(root, "bin", "posthorn"))


def test_new_plugin_directory(folder, environment, root):
    source = new_plugin(folder, environment, root, "directory", "list")
    words = ["posthorn", "auth", "test", "-c", "build/example.conf", "anna@localhost", "--password-stdin"]
    assert "right" in run(words, cwd=source, env=environment, input="secret\n")
    run(["posthorn", "conform", "directory", "-c", "build/example.conf", "--user", "anna@localhost",
         "--password", "secret", "--change", "people"], cwd=source, env=environment)


def test_new_plugin_mechanism(folder, environment, root):
    source = new_plugin(folder, environment, root, "mechanism", "token")
    text = b"anna\t4102444800"
    badge = text + b"\t" + hmac.digest(b"0123456789abcdef", text, "sha256").hex().encode()
    output = run(["posthorn", "conform", "mechanism", "-c", "build/example.conf", "--responses",
                  base64.b64encode(badge).decode(), "signed"], cwd=source, env=environment)
    assert "ok    good-login" in output, output


def test_new_plugin_filter(folder, environment, root):
    new_plugin(folder, environment, root, "filter", "words")


def test_new_plugin_transport(folder, environment, root):
    new_plugin(folder, environment, root, "transport", "folder")


def test_new_plugin_protocol(folder, environment, root):
    new_plugin(folder, environment, root, "protocol", "clock")


def main():
    folder = tempfile.mkdtemp(prefix="posthorn-outside-")
    tests = [value for name, value in globals().items() if name.startswith("test_")]
    status = 0
    print("TAP version 13\n1..%d" % len(tests))
    try:
        environment, root = stage(folder)
        for number, test in enumerate(tests, 1):
            name = test.__name__[len("test_"):].replace("_", "-")
            try:
                test(folder, environment, root)
                print("ok %d - %s" % (number, name))
            except AssertionError as error:
                status = 1
                print("not ok %d - %s" % (number, name))
                print("# " + str(error).replace("\n", "\n# "))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
