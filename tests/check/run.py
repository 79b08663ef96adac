#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""run.py: runs `posthorn check` on every cases/NAME.conf and compares all that it prints

A case is two files: NAME.conf and NAME.expected, which holds standard error, standard output and
the exit status. In both, @DIR@ stands for the folder of the run and @PLUGINS@ for its plugins;
certificates of all sorts and a few other files are made there first. --write writes what is printed
into the expected files (then read the difference).
"""
import argparse
import concurrent.futures
import datetime
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = os.path.join(HERE, "cases")
OFFERS = ["protocol-chat", "protocol-echo", "protocol-mx", "mechanism-token",
          "mechanism-showy", "mechanism-secretive", "directory-verifying", "directory-open",
          "directory-typed", "directory-greedy", "directory-broken", "store-memory", "store-box",
          "filter-nod", "transport-drop", "transport-into-store"]


ROOT_CASES = {"server-data-foreign", "plugin-file-foreign", "tls-key-foreign"}


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def certificate(folder, name, begin, end):
    """A self-signed certificate that is valid from and to these days from now."""
    now = datetime.datetime.now(datetime.timezone.utc)
    stamp = ["%sZ" % (now + datetime.timedelta(days=days)).strftime("%Y%m%d%H%M%S")
             for days in (begin, end)]
    config = os.path.join(folder, name + ".cnf")
    with open(config, "w", encoding="ascii") as out:
        out.write("[ca]\ndefault_ca=c\n[c]\ndatabase=%s.db\nserial=%s.srl\nnew_certs_dir=.\n"
                  "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n" % (name, name))
    open(os.path.join(folder, name + ".db"), "w", encoding="ascii").close()
    with open(os.path.join(folder, name + ".srl"), "w", encoding="ascii") as out:
        out.write("01\n")
    openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=mail.example.org")
    openssl(folder, "ca", "-batch", "-selfsign", "-config", config, "-in", name + ".csr",
            "-keyfile", name + ".key", "-out", name + ".pem", "-notext",
            "-startdate", stamp[0], "-enddate", stamp[1])
    os.chmod(os.path.join(folder, name + ".key"), 0o600)


def write(folder, name, text, mode=0o644):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    os.chmod(path, mode)


def set_up(folder, options):
    """Everything that the cases name. Returns the folder of the plugins."""
    plugins = os.path.join(folder, "plugins")
    os.mkdir(plugins)
    os.mkdir(os.path.join(folder, "data"), 0o700)
    os.mkdir(os.path.join(folder, "open-data"))
    os.chmod(os.path.join(folder, "open-data"), 0o777)
    fixture = os.path.join(plugins, "fixture.so")
    copy(options.fixture, fixture)
    for offer in OFFERS:
        os.symlink("fixture.so", os.path.join(plugins, offer + ".so"))
    os.symlink("fixture.so", os.path.join(plugins, "directory-misnamed.so"))
    copy(options.old, os.path.join(plugins, "directory-old.so"))
    copy(options.nothing, os.path.join(plugins, "directory-nothing.so"))
    write(plugins, "directory-text.so", "this is no shared object\n")
    copy(options.fixture, os.path.join(plugins, "directory-shared.so"))
    os.chmod(os.path.join(plugins, "directory-shared.so"), 0o666)
    certificate(folder, "good", -1, 300)
    certificate(folder, "other", -1, 300)
    certificate(folder, "expired", -30, -2)
    certificate(folder, "soon", -30, 5)
    certificate(folder, "early", 3, 300)
    with open(os.path.join(folder, "good.key"), encoding="ascii") as key:
        write(folder, "shown.key", key.read(), 0o644)
    openssl(folder, "ec", "-in", "good.key", "-aes128", "-passout", "pass:x", "-out", "locked.key")
    os.chmod(os.path.join(folder, "locked.key"), 0o600)
    write(folder, "text", "some text\n", 0o600)
    write(folder, "token", "s3cret\n", 0o600)
    write(folder, "shown-token", "s3cret\n", 0o644)
    write(folder, "empty-token", "\n", 0o600)
    if os.geteuid() == 0:
        os.mkdir(os.path.join(folder, "foreign-data"), 0o700)
        os.chown(os.path.join(folder, "foreign-data"), 12345, 12345)
        copy(options.fixture, os.path.join(folder, "foreign.so"))
        os.chown(os.path.join(folder, "foreign.so"), 12345, 12345)
        with open(os.path.join(folder, "good.key"), encoding="ascii") as key:
            write(folder, "foreign.key", key.read(), 0o600)
        os.chown(os.path.join(folder, "foreign.key"), 12345, 12345)
    return plugins


def copy(source, target):
    with open(source, "rb") as octets:
        with open(target, "wb") as out:
            out.write(octets.read())
    os.chmod(target, 0o755)


def run_case(name, folder, plugins, options):
    path = os.path.join(folder, name + ".conf")
    with open(os.path.join(CASES, name + ".conf"), "rb") as source:
        text = source.read().replace(b"@DIR@", folder.encode()).replace(
            b"@PLUGINS@", plugins.encode())
    with open(path, "wb") as out:
        out.write(text)
    if name == "file-writable":
        os.chmod(path, 0o666)
    got = subprocess.run([options.posthorn, "check", "-c", name + ".conf"], cwd=folder,
                         capture_output=True, timeout=60, check=False)
    shown = (got.stderr + got.stdout).decode("utf-8", "backslashreplace")
    shown = shown.replace(folder, "@DIR@")
    shown = re.sub(r"(expires|expired) on \d{4}-\d\d-\d\d", r"\1 on @DATE@", shown)
    shown = re.sub(r"not valid before \d{4}-\d\d-\d\d", "not valid before @DATE@", shown)
    return shown + "exit status %d\n" % got.returncode


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--posthorn", required=True)
    parser.add_argument("--fixture", required=True)
    parser.add_argument("--old", required=True)
    parser.add_argument("--nothing", required=True)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    for name in ("posthorn", "fixture", "old", "nothing"):
        setattr(options, name, os.path.abspath(getattr(options, name)))
    os.umask(0o022)
    names = sorted(name[:-5] for name in os.listdir(CASES) if name.endswith(".conf"))
    failed = 0
    with tempfile.TemporaryDirectory(prefix="posthorn-check-") as folder:
        folder = os.path.realpath(folder)
        plugins = set_up(folder, options)
        print("1..%d" % len(names))
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            shown = list(pool.map(lambda name: run_case(name, folder, plugins, options), names))
        for number, (name, got) in enumerate(zip(names, shown), 1):
            path = os.path.join(CASES, name + ".expected")
            if options.write:
                with open(path, "w", encoding="utf-8") as out:
                    out.write(got)
            expected = ""
            if os.path.exists(path):
                with open(path, encoding="utf-8") as source:
                    expected = source.read()
            good = got == expected
            if name in ROOT_CASES and os.geteuid() != 0:
                print("ok %d - %s # SKIP needs root to give files away" % (number, name))
                continue
            failed += not good
            print("%s %d - %s" % ("ok" if good else "not ok", number, name))
            if not good:
                print("# expected:\n#   %s# got:\n#   %s" % (
                    expected.replace("\n", "\n#   "), got.replace("\n", "\n#   ")))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
