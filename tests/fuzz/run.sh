#!/bin/sh
# Builds the fuzz targets with clang and runs each for SECONDS, two at a time.
#   tests/fuzz/run.sh [--tap] SECONDS [TARGET...]
# With --tap, as the tests run it, every run begins from the same seed, so that no change waits for
# the luck of another; without it each run takes its own. Prints one line a target; inputs that
# failed stay in build-fuzz/found/TARGET. What a run learned is kept in build-fuzz/corpus/TARGET and is
# the start of the next one.
set -eu

tap=false seed=0
[ "${1:-}" != --tap ] || { tap=true seed=1; shift; }
seconds=${1:?usage: tests/fuzz/run.sh [--tap] SECONDS [TARGET...]}
shift
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${POSTHORN_FUZZ_BUILD:-$top/build-fuzz}

mkdir -p "$build"
if [ ! -f "$build/build.ninja" ]; then
	CC=clang meson setup "$build" "$top" -Dfuzzing=true -Db_sanitize=address,undefined \
		-Db_lundef=false -Dc_args="-fsanitize=fuzzer-no-link -fno-sanitize-recover=all" \
		>"$build/build.log" 2>&1 || { tail -20 "$build/build.log"; exit 1; }
fi
ninja -C "$build" -j2 fuzz-programs >"$build/build.log" 2>&1 || { tail -20 "$build/build.log"; exit 1; }

if [ $# -eq 0 ]; then
	for source in "$top"/tests/fuzz/fuzz-*.c; do
		name=$(basename "$source" .c)
		set -- "$@" "${name#fuzz-}"
	done
fi

# run_one NAME: leaves "pass ..." or "FAIL ..." in NAME.result.
run_one() {
	seeds=$top/tests/fuzz/corpus/$1
	learned=$build/corpus/$1
	found=$build/found/$1
	log=$build/$1.log
	mkdir -p "$learned" "$found"
	[ -d "$seeds" ] || seeds=
	dict=
	[ ! -f "$top/tests/fuzz/$1.dict" ] || dict=-dict=$top/tests/fuzz/$1.dict
	if LD_LIBRARY_PATH="$build/core" ASAN_OPTIONS=detect_leaks=1:detect_odr_violation=0 "$build/tests/fuzz/fuzz-$1" -max_total_time="$seconds" -seed="$seed" \
		-timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
		-artifact_prefix="$found/" $dict "$learned" $seeds >"$log" 2>&1; then
		echo "pass $1: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs"
	else
		echo "FAIL $1: $log: $(grep -m 1 -E 'ERROR|runtime error|SUMMARY' "$log" || true)"
	fi >"$build/$1.result"
}

total=$#
passed=0
failed=0
number=0
! $tap || echo "1..$total"
while [ $# -gt 0 ]; do
	first=$1 second=${2:-}
	shift
	[ -z "$second" ] || shift
	run_one "$first" &
	[ -z "$second" ] || run_one "$second" &
	wait
	for name in $first $second; do
		number=$((number + 1))
		line=$(cat "$build/$name.result")
		case $line in
		pass*) passed=$((passed + 1)); word=ok ;;
		*) failed=$((failed + 1)); word='not ok' ;;
		esac
		if $tap; then echo "$word $number $line"; else echo "$line"; fi
	done
done
$tap || echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
