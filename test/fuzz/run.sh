#!/usr/bin/env bash
# run.sh - Fuzzes the readers of untrusted files and reports what was covered.
# SPDX-License-Identifier: Apache-2.0
#
#   test/fuzz/run.sh [RUNS [BUILD_FOLDER]]
#
# Builds the fuzz targets twice, under ASan + UBSan and for coverage; replays
# the corpus, runs at least RUNS (10^6) executions from it, then prints the
# number of executions and the lines of lib/ that the corpus and the new inputs
# reach. Exits with an error at the first finding, which is left in BUILD_FOLDER.
set -euo pipefail
runs=${1:-1000000}
here=$(cd "$(dirname "$0")" && pwd)
build=${2:-$here/../../build/fuzz}
mkdir -p "$build"
build=$(cd "$build" && pwd)
suffix=-22 # of the packages in scripts/apt-packages-test.txt
command -v clang++$suffix >/dev/null ||
  { echo "clang++$suffix is missing: install scripts/apt-packages-test.txt"; exit 1; }
launcher=()
command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)

configure() { # folder, options...
  local folder=$1
  shift
  cmake -S "$here" -B "$folder" -G Ninja -DCMAKE_CXX_COMPILER=clang++$suffix \
    -DQCC_FUZZ=ON "${launcher[@]}" "$@" >"$folder.log" ||
    { cat "$folder.log"; exit 1; }
  cmake --build "$folder" --target gguf_fuzz >"$folder.log" ||
    { cat "$folder.log"; exit 1; }
}
configure "$build/asan"
configure "$build/coverage" -DQCC_SANITIZE= -DQCC_COVERAGE=ON

seeds=$build/seeds/gguf found=$build/found/gguf
mkdir -p "$found"
python3 "$here/../Inputs/make_gguf.py" --fuzz-corpus "$seeds"

export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1
limits=(-timeout=5 -rss_limit_mb=512 -malloc_limit_mb=256 -max_len=4096)
log=$build/gguf_fuzz.log
"$build/asan/gguf_fuzz" "${limits[@]}" -runs=0 "$here/corpus/gguf" "$seeds" \
  >"$log" 2>&1 || { tail -40 "$log"; exit 1; }
"$build/asan/gguf_fuzz" "${limits[@]}" -runs="$runs" -print_final_stats=1 \
  -artifact_prefix="$build/" "$found" "$here/corpus/gguf" "$seeds" \
  >"$log" 2>&1 || { tail -40 "$log"; exit 1; }
executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
echo "gguf_fuzz: $executions executions, $rate per second, 0 findings"
[ "$executions" -ge "$runs" ] || { echo "fewer than $runs executions"; exit 1; }

LLVM_PROFILE_FILE=$build/gguf.profraw "$build/coverage/gguf_fuzz" -runs=0 \
  "$found" "$here/corpus/gguf" "$seeds" >/dev/null 2>&1
llvm-profdata$suffix merge -sparse "$build/gguf.profraw" -o "$build/gguf.profdata"
llvm-cov$suffix report "$build/coverage/gguf_fuzz" \
  -instr-profile="$build/gguf.profdata" "$here/../../lib" |
  awk '/^Filename/ || /\.(cpp|h|inc) / || /^TOTAL/ {
         printf "%-28s lines %6s of %6s, %s\n", $1, $8 - $9, $8, $10 }' |
  grep -v '^Filename'
