#!/bin/sh
# Builds the fuzz targets with clang and runs each for SECONDS.
#   tests/fuzz/run.sh SECONDS [TARGET...]
# Prints one line a target; inputs that failed stay in build-fuzz/found/TARGET. What a run learned is
# kept in build-fuzz/corpus/TARGET and is the start of the next one.
set -eu

seconds=${1:?usage: tests/fuzz/run.sh SECONDS [TARGET...]}
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

passed=0
failed=0
for name; do
	seeds=$top/tests/fuzz/corpus/$name
	learned=$build/corpus/$name
	found=$build/found/$name
	log=$build/$name.log
	mkdir -p "$learned" "$found" "$seeds"
	dict=
	[ ! -f "$top/tests/fuzz/$name.dict" ] || dict=-dict=$top/tests/fuzz/$name.dict
	if ASAN_OPTIONS=detect_leaks=1 "$build/tests/fuzz/fuzz-$name" -max_total_time="$seconds" \
		-timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
		-artifact_prefix="$found/" $dict "$learned" "$seeds" >"$log" 2>&1; then
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
		echo "pass $name: $runs runs"
		passed=$((passed + 1))
	else
		echo "FAIL $name: $log"
		grep -m 3 -E 'ERROR|SUMMARY|runtime error' "$log" || true
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
