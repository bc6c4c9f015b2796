#!/usr/bin/env bash
# sanitize.sh - Builds a part of qcc under sanitizers and runs its tests there.
# SPDX-License-Identifier: Apache-2.0
#
#   sanitize.sh SOURCE BUILD SANITIZERS [CMAKE OPTIONS]
#
# LLVM's archives are not instrumented, so this is for the parts without LLVM.
set -euo pipefail
source=$1 build=$2 sanitizers=$3
shift 3
mkdir -p "$build"
log=$build/build.log
# Lines for reports; all of what debuggers want takes a quarter of the time more.
flags="-O2 -gline-tables-only -DNDEBUG"
launcher=()
command -v ccache >/dev/null &&
  launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
{
  cmake -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCMAKE_C_FLAGS_RELWITHDEBINFO="$flags" -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="$flags" \
    -DCMAKE_C_COMPILER=clang-22 -DCMAKE_CXX_COMPILER=clang++-22 \
    -DQCC_SANITIZE="$sanitizers" "${launcher[@]}" "$@" &&
    cmake --build "$build" -j 2
} >"$log" 2>&1 || {
  tail -n 60 "$log"
  exit 1
}
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
exec ctest --test-dir "$build" -j 2 --output-on-failure --no-tests=error
