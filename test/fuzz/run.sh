#!/usr/bin/env bash
# run.sh - Fuzzes the readers of untrusted input and reports what was covered.
# SPDX-License-Identifier: Apache-2.0
#
#   test/fuzz/run.sh [--build | --run] [RUNS [BUILD_FOLDER [READER...]]]
#
# Builds the fuzz targets twice, under ASan + UBSan and for coverage, unless --run
# says that they are there; and unless --build says that this is all, for each
# READER (default: all of them, below) replays the corpus, runs at least RUNS (10^6)
# executions from it, then prints their number and the lines of lib/ (of the runtime, for
# what is its own) that the corpus and the new inputs reach. Exits with an error at
# the first finding, which is left in BUILD_FOLDER.
set -euo pipefail
part=all
case ${1:-} in --build | --run) part=${1#--}; shift ;; esac
runs=${1:-1000000}
here=$(cd "$(dirname "$0")" && pwd)
build=${2:-$here/../../build/fuzz}
readers=("${@:3}")
[ ${#readers[@]} -gt 0 ] ||
  readers=(chat_template gguf hugging_face serve tokenize tokenizer tokenizer_image torch)
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
  cmake --build "$folder" --target "${readers[@]/%/_fuzz}" >"$folder.log" ||
    { cat "$folder.log"; exit 1; }
}
if [ $part != run ]; then
  configure "$build/asan"
  # The corpus runs once through it: quick to build is what counts.
  configure "$build/coverage" -DQCC_SANITIZE= -DQCC_COVERAGE=ON -DCMAKE_BUILD_TYPE=None
fi
[ $part != build ] || exit 0

export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1
limits=(-timeout=5 -rss_limit_mb=512 -malloc_limit_mb=256 -max_len=4096)

fuzz() { # reader, script that writes seeds and its arguments, folder of what is covered
  local fuzzer=$1_fuzz script=($2) corpus=()
  [ ! -d "$here/corpus/$1" ] || corpus=("$here/corpus/$1")
  local seeds=$build/seeds/$1 found=$build/found/$1 log=$build/$1_fuzz.log
  mkdir -p "$found"
  local limits=("${limits[@]}") sources=${3:-lib}
  # The tables of Unicode and what AddressSanitizer keeps of them.
  [ "$1" != tokenizer ] || limits+=(-rss_limit_mb=1024)
  python3 "$here/../Inputs/${script[0]}" "${script[@]:1}" --fuzz-corpus "$seeds"
  "$build/asan/$fuzzer" "${limits[@]}" -runs=0 "${corpus[@]}" "$seeds" \
    >"$log" 2>&1 || { tail -40 "$log"; exit 1; }
  "$build/asan/$fuzzer" "${limits[@]}" -runs="$runs" -print_final_stats=1 \
    -artifact_prefix="$build/" "$found" "${corpus[@]}" "$seeds" \
    >"$log" 2>&1 || { tail -40 "$log"; exit 1; }
  local executions rate
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
  echo "$fuzzer: $executions executions, $rate per second, 0 findings"
  [ "$executions" -ge "$runs" ] || { echo "fewer than $runs executions"; exit 1; }

  LLVM_PROFILE_FILE=$build/$1.profraw "$build/coverage/$fuzzer" -runs=0 \
    "$found" "${corpus[@]}" "$seeds" >/dev/null 2>&1
  llvm-profdata$suffix merge -sparse "$build/$1.profraw" -o "$build/$1.profdata"
  llvm-cov$suffix report "$build/coverage/$fuzzer" \
    -instr-profile="$build/$1.profdata" "$here/../../$sources" |
    awk '/^Filename/ || /\.(cpp|h|inc) / || /^TOTAL/ {
           printf "%-28s lines %6s of %6s, %s\n", $1, $8 - $9, $8, $10 }' |
    grep -v '^Filename'
}

for reader in "${readers[@]}"; do
  case $reader in
  chat_template | tokenize | tokenizer_image)
    fuzz "$reader" "make_texts.py $reader" runtime/text ;;
  gguf) fuzz gguf make_gguf.py ;;
  hugging_face) fuzz hugging_face make_folder.py ;;
  serve) fuzz serve make_requests.py runtime/serve ;;
  tokenizer) fuzz tokenizer make_tokenizers.py ;;
  torch) fuzz torch make_torch.py ;;
  *) echo "no reader $reader"; exit 1 ;;
  esac
done
