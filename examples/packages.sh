# SPDX-License-Identifier: LGPL-2.1-or-later
# packages.sh: the Debian and Ubuntu packages that building and testing need, and how to get them
#
# Sourced by quickstart.sh and tests/run.sh. install_missing says what it does before it does it.

# To build everything and to run the server.
BUILD_PACKAGES="gcc libc6-dev pkg-config meson ninja-build python3 openssl curl ca-certificates
	libglib2.0-dev libjson-glib-dev libssl-dev libsqlite3-dev libcrypt-dev libargon2-dev
	libseccomp-dev libxxhash-dev libzstd-dev libcurl4-openssl-dev libldap-dev libpq-dev libunbound-dev
	libpam0g-dev libkrb5-dev libgsasl-dev"

# What the tests use besides.
TEST_PACKAGES="g++ clang libclang-rt-dev binutils procps swaks libnet-ssleay-perl isync systemd sqlite3
	gsasl msmtp mpop fetchmail node-nodemailer krb5-kdc krb5-admin-server krb5-user libpam-wrapper"

installed() {
	dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p'
}

# install_missing PACKAGE...: installs those that are not there; silent when all are.
install_missing() {
	command -v dpkg-query >/dev/null || {
		echo "This is neither Debian nor Ubuntu; going on with what is installed. Needed:"
		echo "  $*" | tr -s '\n\t ' ' '
		echo
		return 0
	}
	have=" $(installed "$@" | tr '\n' ' ') "
	missing=
	for package in "$@"; do
		case $have in *" $package "*) ;; *) missing="$missing $package" ;; esac
	done
	[ -n "$missing" ] || return 0
	as_root=
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || {
			echo "Please install these packages as root and start again:$missing" >&2
			return 1
		}
		as_root=sudo
	fi
	echo "Installing with apt-get:$missing"
	export DEBIAN_FRONTEND=noninteractive
	APT_LOG=$(mktemp)
	if $as_root apt-get install -y --no-install-recommends $missing >"$APT_LOG" 2>&1; then
		rm -f "$APT_LOG"
		return 0
	fi
	if $as_root apt-get update >"$APT_LOG" 2>&1 &&
		$as_root apt-get install -y --no-install-recommends $missing >>"$APT_LOG" 2>&1; then
		rm -f "$APT_LOG"
		return 0
	fi
	tail -n 20 "$APT_LOG" >&2
	echo "apt-get could not install them; its output is in $APT_LOG" >&2
	return 1
}
