#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""machine.py: a newcomer's first hour on a bare Debian 12 that systemd has booted

As root, with mmdebstrap and systemd-container installed:

    python3 tests/machine/machine.py [FOLDER]

makes the smallest Debian in FOLDER (default: a temporary one, removed at the end), boots it as a
container, gets the committed state of this tree there, and does as the pages say: the quickstart as
an ordinary user who may use sudo, then the installation and the unit. A FOLDER that has a system
already is used again, which leaves out the minutes of downloads.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGES = "systemd,systemd-sysv,dbus,sudo,git,ca-certificates,procps,iproute2"
BOOT_SECONDS = 90


class Machine:
    """A Debian root below a folder, booted by systemd-nspawn."""

    def __init__(self, folder):
        self.root = os.path.join(folder, "root")
        self.log = os.path.join(folder, "boot.log")
        self.process = None
        self.leader = None

    def make(self):
        if os.path.exists(self.root + "/etc/debian_version"):
            return
        subprocess.run(["mmdebstrap", "--variant=minbase", "--include=" + PACKAGES, "bookworm",
                        self.root], check=True, stderr=subprocess.DEVNULL)
        shutil.copy("/etc/resolv.conf", self.root + "/etc/resolv.conf")
        self.chroot("useradd -m -s /bin/bash ada")
        with open(self.root + "/etc/sudoers.d/ada", "w", encoding="ascii") as file:
            file.write("ada ALL=(ALL) NOPASSWD:ALL\n")

    def chroot(self, command):
        subprocess.run(["chroot", self.root, "sh", "-c", command], check=True)

    def copy_tree(self):
        """The committed state, as a clone would have it, owned by the ordinary user."""
        shutil.rmtree(self.root + "/home/ada/posthorn", ignore_errors=True)
        subprocess.run(["git", "clone", "-q", TREE, self.root + "/home/ada/posthorn"], check=True)
        self.chroot("chown -R ada:ada /home/ada/posthorn")

    def boot(self, network):
        """Without @network the machine has a loopback interface of its own and nothing else."""
        command = ["systemd-nspawn", "-D", self.root, "-b", "--register=no", "--keep-unit",
                   "-M", "posthorn-machine", "--link-journal=no"]
        with open(self.log, "w", encoding="utf-8") as log:
            # The container's own list of calls knows no Landlock; the unit's list is what is tried.
            self.process = subprocess.Popen(
                command + ([] if network else ["--private-network"]), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=dict(os.environ, SYSTEMD_SECCOMP="0"),
                start_new_session=True)
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            self.leader = self.find_leader()
            if self.leader and "running" in self.run("systemctl is-system-running")[1]:
                return
            time.sleep(0.5)
        raise SystemExit("the machine did not boot: see " + self.log)

    def find_leader(self):
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True,
                               text=True, check=False).stdout.split()
        return found[0] if found else None

    def run(self, command, user="root", seconds=1500):
        """The exit status and all output of a shell command on the machine."""
        result = subprocess.run(
            ["nsenter", "-t", self.leader, "-m", "-u", "-i", "-p", "-n", "-C", "chroot", "/",
             "su", "-", user, "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False)
        return result.returncode, result.stdout

    def stop(self):
        if self.process is None:
            return
        if self.leader:
            self.run("systemctl poweroff")
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None


class Tally:
    """Says of each step whether it held, and counts."""

    def __init__(self, machine):
        self.machine = machine
        self.passed = self.failed = 0

    def step(self, title, command, *wanted, user="root", seconds=1500):
        status, output = self.machine.run(command, user, seconds)
        missing = [text for text in wanted if text not in output]
        if status == 0 and not missing:
            self.passed += 1
            print("ok     " + title, flush=True)
            return
        self.failed += 1
        print("FAILED %s (status %d)" % (title, status))
        for text in missing:
            print("       no '%s' in:" % text)
        print("       " + output[-2000:].replace("\n", "\n       "), flush=True)


CURL = "curl -s -m 10 --user anna@localhost:secret-123 "
MAIL = "printf 'To: anna@localhost\\nSubject: Hello\\n\\nHello Anna.\\n'"


def quickstart(tally):
    tally.step("the quickstart passes for an ordinary user with sudo",
               "cd posthorn && sh examples/quickstart.sh --check", " 0 failed", user="ada")


def install(tally):
    step = tally.step
    step("meson installs it",
         "cd /home/ada/posthorn && git config --global --replace-all safe.directory '*'"
         " && rm -rf build-install && meson setup build-install --prefix=/usr --sysconfdir=/etc"
         " --localstatedir=/var -Dtests=false && meson install -C build-install")
    step("plugins outside the tree find it", "pkg-config --exists --print-errors posthorn")
    step("its user and folders are made",
         "systemd-sysusers && systemd-tmpfiles --create posthorn.conf && id posthorn")
    step("the configuration that comes with it is right", "posthorn check", "no mistakes found")
    step("systemd has nothing to say about the unit",
         "systemd-analyze verify posthorn.service 2>&1; true")


def service(tally):
    step = tally.step
    step("the unit starts", "systemctl daemon-reload && systemctl enable --now posthorn"
         " && systemctl is-active posthorn && systemctl show -P StatusText posthorn", "Serving")
    step("the worker is not root and has a filter of calls",
         "grep -E '^(Uid|CapEff|Seccomp)' /proc/$(pgrep -f '^/usr/bin/posthorn worker')/status",
         "CapEff:\t0000000000000000", "Seccomp:\t2")
    step("it has given up its rights to files and calls",
         "journalctl -b -u posthorn --no-pager | grep 'files=no\\|calls=no'"
         "; test $? = 1")
    step("a user is added", "posthorn user add --stdin anna@localhost <<< secret-123", "Added")
    step("root sends mail", MAIL + " | posthorn send anna@localhost")
    step("an ordinary user sends mail by sendmail",
         MAIL + " | /usr/share/posthorn/sendmail anna@localhost", user="ada")
    step("curl reads it by IMAP", CURL + "'imap://127.0.0.1/INBOX;MAILINDEX=2'", "Hello Anna.")
    step("systemd reloads it", "systemctl reload posthorn && systemctl is-active posthorn")
    step("a worker that is killed comes again",
         "kill -9 $(pgrep -f '^/usr/bin/posthorn worker'); sleep 2; " + CURL
         + "imap://127.0.0.1/ -X 'STATUS INBOX (MESSAGES)'", "MESSAGES 2")
    step("the supervisor, killed, is started again by systemd",
         "kill -9 $(systemctl show -P MainPID posthorn); sleep 5; systemctl is-active posthorn && "
         + CURL + "imap://127.0.0.1/ -X 'STATUS INBOX (MESSAGES)'", "MESSAGES 2")
    step("it stops within the unit's time",
         "systemctl stop posthorn && systemctl show -P Result posthorn", "success")
    step("a bad configuration is refused with its line",
         "cp -p /etc/posthorn/posthorn.conf /root/good.conf;"
         " sed -i 's/^plugin = sqlite/plugin = sqllite/' /etc/posthorn/posthorn.conf;"
         " systemctl start posthorn; journalctl -b -u posthorn --no-pager -n 20;"
         " cp -p /root/good.conf /etc/posthorn/posthorn.conf; systemctl reset-failed posthorn",
         "posthorn.conf:", "sqllite")
    step("and serves again once it is mended",
         "systemctl start posthorn && " + CURL + "imap://127.0.0.1/ -X 'STATUS INBOX (MESSAGES)'",
         "MESSAGES 2")


def pam(tally):
    step = tally.step
    step("a directory of PAM is configured",
         "printf 'auth required pam_unix.so\\naccount required pam_unix.so\\n' > /etc/pam.d/posthorn;"
         " printf '%s\\n' '' '[directory system]' 'plugin = pam' 'isolate = 1'"
         " '[listener imap-system]' 'plugin = imap' 'address = 127.0.0.1:1143' 'store = mail'"
         " 'directory = system' 'mechanisms = plain, login' >> /etc/posthorn/posthorn.conf"
         " && echo ada:secret-456 | chpasswd && posthorn check")
    step("a user of the system logs in by it, under the unit and its drop-in for PAM",
         "mkdir -p /etc/systemd/system/posthorn.service.d"
         " && cp /usr/share/posthorn/systemd/pam.conf /etc/systemd/system/posthorn.service.d"
         " && systemctl daemon-reload && systemctl restart posthorn"
         " && curl -sS -m 20 --user ada:secret-456 imap://127.0.0.1:1143/",
         "INBOX")


def main():
    if os.geteuid() != 0:
        raise SystemExit("machine.py boots a container: run it as root")
    for program in ("mmdebstrap", "systemd-nspawn"):
        if shutil.which(program) is None:
            raise SystemExit("%s is missing: apt-get install mmdebstrap systemd-container" % program)
    kept = len(sys.argv) > 1
    folder = sys.argv[1] if kept else tempfile.mkdtemp(prefix="posthorn-machine-", dir="/var/tmp")
    os.makedirs(folder, exist_ok=True)
    machine = Machine(folder)
    tally = Tally(machine)
    try:
        machine.make()
        machine.copy_tree()
        machine.boot(network=True)
        quickstart(tally)
        machine.stop()
        machine.boot(network=False)
        install(tally)
        service(tally)
        pam(tally)
    finally:
        machine.stop()
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
    print("%d passed, %d failed" % (tally.passed, tally.failed))
    raise SystemExit(1 if tally.failed else 0)


if __name__ == "__main__":
    main()
