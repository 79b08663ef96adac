#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# quickstart.sh: from a fresh Debian or Ubuntu machine to a running mail server
#
#   sh examples/quickstart.sh [--dir DIR]
#   sh examples/quickstart.sh --check [--corpus FILE] [--dir DIR]
#
# Installs missing packages, builds into build/, and starts a server on loopback ports that need no
# privileges: SMTP, IMAP and POP3 with a TLS certificate of its own, mail in SQLite, two users.
# Everything that it makes at run time is in one folder, run/ unless --dir names another. Ctrl-C
# stops the server; the second start keeps mail, users and passwords, and is quick.
#
# --check needs no terminal: it starts such a server on free ports in a folder of its own, delivers
# every message of examples/mail (and of a tar file of real mail, with --corpus), reads each back
# by IMAP and POP3, compares octets, prints a table, stops the server, and exits with 0 only when
# nothing failed.
set -eu
umask 022

top=$(cd "$(dirname "$0")/.." && pwd)
build=${POSTHORN_BUILD_DIR:-$top/build}
posthorn=$build/core/posthorn
run=$top/run
check=no
corpus=
server=

usage() {
	sed -n '3,17s/^# \{0,1\}//p' "$0"
	exit "$1"
}

while [ $# -gt 0 ]; do
	case $1 in
	--check) check=yes; shift ;;
	--corpus) [ $# -gt 1 ] || usage 2; corpus=$2; shift 2 ;;
	--dir) [ $# -gt 1 ] || usage 2; mkdir -p "$2"; run=$(cd "$2" && pwd); shift 2 ;;
	--help | -h) usage 0 ;;
	*) echo "quickstart.sh: unknown option $1" >&2; usage 2 >&2 ;;
	esac
done

say() {
	echo "* $*"
}

die() {
	echo "quickstart.sh: $*" >&2
	exit 1
}

# quietly LOG COMMAND...: its output is only shown when it fails.
quietly() {
	log=$1
	shift
	"$@" >"$log" 2>&1 || {
		tail -n 40 "$log" >&2
		die "'$*' failed; all of its output is in $log"
	}
}

build_it() {
	mkdir -p "$build"
	if [ ! -f "$build/build.ninja" ]; then
		say "Setting up the build in $build"
		quietly "$build/setup.log" meson setup "$build" "$top" --buildtype=debugoptimized -Dtests=false
	fi
	say "Building (output in $build/compile.log)"
	quietly "$build/compile.log" meson compile -C "$build"
}

# choose_ports WANTED...: those ports on loopback, or where one is taken one that is free.
choose_ports() {
	python3 - "$@" <<'END'
import random, socket, sys
held = []
for port in map(int, sys.argv[1:]):
    while True:
        try:
            held.append(socket.create_server(("127.0.0.1", port)))
            break
        except OSError:
            port = random.randrange(10000, 32768)
print(*(one.getsockname()[1] for one in held))
END
}

make_certificate() {
	[ ! -f "$run/cert.pem" ] || openssl x509 -checkend 604800 -noout -in "$run/cert.pem" >/dev/null 2>&1 ||
		rm -f "$run/cert.pem"
	[ ! -f "$run/cert.pem" ] || return 0
	say "Making a TLS certificate for localhost"
	(
		umask 077
		quietly "$run/openssl.log" openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
			-days 365 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
			-keyout "$run/key.pem" -out "$run/cert.pem"
	) || exit 1
	rm -f "$run/openssl.log"
}

write_config() {
	cat >"$run/posthorn.conf" <<END
# Written by quickstart.sh at each start; copy it to change it.
[server]
hostname = localhost
data     = $run/data

[tls]
certificate = $run/cert.pem
key         = $run/key.pem

[directory people]
plugin = passwd-file
path   = $run/users

[store mail]
plugin = sqlite
path   = {data}/mail/{domain}/{user}

[route local]
domains    = example.org
transport  = store
store      = mail
directory  = people
postmaster = anna

[listener smtp]
plugin  = smtp
address = 127.0.0.1:$smtp

[listener submission]
plugin     = smtp
service    = submission
address    = 127.0.0.1:$submission
directory  = people
mechanisms = plain, login, scram-sha-256

[listener submissions]
plugin     = smtp
service    = submission
address    = 127.0.0.1:$submissions
tls        = implicit
directory  = people
mechanisms = plain, login, scram-sha-256

[listener imap]
plugin     = imap
address    = 127.0.0.1:$imap
store      = mail
directory  = people
mechanisms = plain, login

[listener imaps]
plugin     = imap
address    = 127.0.0.1:$imaps
tls        = implicit
store      = mail
directory  = people
mechanisms = plain, login

[listener pop3]
plugin     = pop3
address    = 127.0.0.1:$pop3
store      = mail
directory  = people
mechanisms = plain

[listener pop3s]
plugin     = pop3
address    = 127.0.0.1:$pop3s
tls        = implicit
store      = mail
directory  = people
mechanisms = plain
END
}

# add_user NAME: with a random password, kept in passwords.txt to be shown again.
add_user() {
	if grep -q "^$1 " "$run/passwords.txt" 2>/dev/null; then
		return 0
	fi
	say "Adding the user $1"
	password=$(openssl rand -hex 8)
	printf '%s\n' "$password" | "$posthorn" user add -c "$run/posthorn.conf" --stdin "$1" >"$run/user.log" 2>&1 || {
		cat "$run/user.log" >&2
		die "'posthorn user add' failed"
	}
	rm -f "$run/user.log"
	(
		umask 077
		echo "$1 $password" >>"$run/passwords.txt"
	)
}

password_of() {
	sed -n "s/^$1 //p" "$run/passwords.txt"
}

# The server must run as somebody else than root: as root, its folder is given to that user.
prepare() {
	mkdir -p "$run/data"
	chmod 700 "$run" "$run/data"
	make_certificate
	set -- $(choose_ports 2525 2587 2465 2143 2993 2110 2995)
	smtp=$1 submission=$2 submissions=$3 imap=$4 imaps=$5 pop3=$6 pop3s=$7
	write_config
	[ -e "$run/users" ] || (umask 077 && : >"$run/users")
	add_user anna@example.org
	add_user ben@example.org
}

stop_server() {
	[ -n "$server" ] || return 0
	pid=$server
	server=
	kill -TERM "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
}

# Waits until each port answers or the server has ended.
wait_until_ready() {
	python3 - "$server" "$@" <<'END'
import os, socket, sys, time
pid, ports, end = int(sys.argv[1]), list(map(int, sys.argv[2:])), time.monotonic() + 30
while ports and time.monotonic() < end:
    try:
        with open("/proc/%d/stat" % pid) as stat:
            if stat.read().rsplit(")", 1)[1].split()[0] == "Z":
                break
        with socket.create_connection(("127.0.0.1", ports[0]), 1) as one:
            one.settimeout(5)
            ports.pop(0)
    except FileNotFoundError:
        break
    except OSError:
        time.sleep(0.02)
sys.exit(1 if ports else 0)
END
}

start_server() {
	say "Starting the server (log in $run/log)"
	"$posthorn" serve -c "$run/posthorn.conf" </dev/null >"$run/log" 2>&1 &
	server=$!
	wait_until_ready "$smtp" "$submission" "$submissions" "$imap" "$imaps" "$pop3" "$pop3s" || {
		cat "$run/log" >&2
		die "the server did not start"
	}
}

show() {
	anna=$(password_of anna@example.org) ben=$(password_of ben@example.org)
	cat <<END

Posthorn is running on 127.0.0.1: SMTP $smtp, submission $submission (TLS $submissions),
IMAP $imap (TLS $imaps), POP3 $pop3 (TLS $pop3s)

  user              password
  anna@example.org  $anna
  ben@example.org   $ben

Copy these three lines into another terminal: the first sends a message, the others read it.

printf 'From: anna@example.org\r\nTo: ben@example.org\r\nSubject: Hello\r\n\r\nHello Ben.\r\n' | curl -s --cacert $run/cert.pem -u anna@example.org:$anna smtps://127.0.0.1:$submissions --mail-from anna@example.org --mail-rcpt ben@example.org -T -
curl -s --cacert $run/cert.pem -u ben@example.org:$ben 'imaps://127.0.0.1:$imaps/INBOX;MAILINDEX=1'
curl -s --cacert $run/cert.pem -u ben@example.org:$ben pop3s://127.0.0.1:$pop3s/1

Everything is in $run: posthorn.conf, data, log, users, certificate. Ctrl-C stops the server.
END
}

run_check() {
	mkdir -p "$run"
	run=$(mktemp -d "$run/check.XXXXXX")
	prepare
	start_server
	say "Delivering and reading back"
	status=0
	python3 "$top/examples/check/check.py" --smtp "127.0.0.1:$smtp" --imap "127.0.0.1:$imap" \
		--pop3 "127.0.0.1:$pop3" --tls starttls --cafile "$run/cert.pem" --user anna@example.org \
		--password "$(password_of anna@example.org)" ${corpus:+--corpus "$corpus"} || status=$?
	stop_server
	if [ "$status" = 0 ]; then
		rm -rf "$run"
	else
		echo "The server's folder is kept in $run; its log is $run/log" >&2
	fi
	exit "$status"
}

. "$top/examples/packages.sh"
[ -z "$corpus" ] || [ -r "$corpus" ] || die "cannot read $corpus"
install_missing $BUILD_PACKAGES
build_it
trap 'stop_server' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
[ "$check" = no ] || run_check
prepare
start_server
show
trap 'echo; say "Stopping"; stop_server; exit 0' INT TERM HUP
wait "$server" || {
	tail -n 20 "$run/log" >&2
	server=
	die "the server ended by itself; its log is $run/log"
}
