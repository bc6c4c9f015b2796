# common.sh - What the scripts share; sourced by them.
# SPDX-License-Identifier: Apache-2.0
#
# QCC_BUILD is the build folder (default: build), QCC_MODELS the folder of the
# real models (default: models in the build folder), QCC_JOBS the number of
# compilers that run at once (default: what processors and memory allow).
set -euo pipefail

program=$(basename "$0")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${QCC_BUILD:-$root/build}
models=${QCC_MODELS:-$build/models}

say() { printf '== %s\n' "$*"; }

die() {
  printf '%s: error: %s\n' "$program" "$*" >&2
  exit 1
}

# quietly LOG COMMAND...: the output goes to a file, and is shown on failure.
quietly() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 || {
    tail -n 40 "$log" >&2
    die "'$1' failed, see $log"
  }
}

# A compiler of MLIR code takes up to 1.5 GB.
jobs() {
  local processors gigabytes
  processors=$(nproc)
  gigabytes=$(awk '/^MemAvailable:/ { print int($2 / 1500000) }' /proc/meminfo)
  [ "$gigabytes" -ge 1 ] || gigabytes=1
  echo "${QCC_JOBS:-$((gigabytes < processors ? gigabytes : processors))}"
}

# python_environment FOLDER [REQUIREMENTS]: a virtual environment, since Debian
# keeps pip out of the system's Python.
python_environment() {
  local folder=$1
  [ -x "$folder/bin/pip" ] || quietly "$folder.log" python3 -m venv --clear "$folder"
  [ $# -lt 2 ] || quietly "$folder.log" "$folder/bin/python" -m pip install \
    --disable-pip-version-check --quiet -r "$2"
}

# configure_and_build OPTIONS -- TARGETS
configure_and_build() {
  local options=()
  while [ "$1" != -- ]; do
    options+=("$1")
    shift
  done
  shift
  mkdir -p "$build"
  quietly "$build/configure.log" \
    cmake -S "$root" --preset release -B "$build" "${options[@]}"
  local targets=()
  [ $# -eq 0 ] || targets=(--target "$@")
  NINJA_STATUS="[%f/%t %es] " cmake --build "$build" -j "$(jobs)" "${targets[@]}" ||
    die "the build failed"
}
