#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# run.sh: installs what is missing, builds, runs every test; the last line counts them
#
#   sh tests/run.sh [--suite NAME]... [--build DIR] [--sanitize]
#
# --suite NAME   only these of: unit style plugin wire conform abi crash fuzz-smoke e2e
# --build DIR    build folder (build-test)
# --sanitize     build with AddressSanitizer and UndefinedBehaviorSanitizer (in build-asan)
#
# The exit status is 0 when everything passed. A corpus of real mail is used where there is one:
# POSTHORN_CORPUS names a tar file of messages, else ../shared/corpus/real-mail.tar.gz is tried.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
build=$top/build-test
suites=
setup=--buildtype=debugoptimized
while [ $# -gt 0 ]; do
	case $1 in
	--suite) suites="$suites --suite $2"; shift 2 ;;
	--build) build=$2; shift 2 ;;
	--sanitize) build=$top/build-asan setup="$setup -Db_sanitize=address,undefined"; shift ;;
	--help) sed -n '3,13s/^# \{0,1\}//p' "$0"; exit 0 ;;
	*) echo "run.sh: unknown option $1; try --help" >&2; exit 2 ;;
	esac
done

. "$top/examples/packages.sh"
install_missing $BUILD_PACKAGES $TEST_PACKAGES

if [ -z "${POSTHORN_CORPUS:-}" ]; then
	for corpus in "$top/../shared/corpus/real-mail.tar.gz" "$top/../../shared/corpus/real-mail.tar.gz"; do
		[ ! -r "$corpus" ] || POSTHORN_CORPUS=$(cd "$(dirname "$corpus")" && pwd)/$(basename "$corpus")
	done
fi
if [ -n "${POSTHORN_CORPUS:-}" ]; then
	export POSTHORN_CORPUS
else
	echo "No corpus of real mail here: the messages of examples/mail are used alone."
fi

[ -f "$build/build.ninja" ] || meson setup "$build" "$top" $setup -Dtests=true
echo "Building in $build"
meson compile -C "$build"

status=0
meson test -C "$build" --no-rebuild --print-errorlogs $suites || status=$?
python3 "$top/tests/count.py" "$build/meson-logs/testlog.json" || status=1
exit $status
