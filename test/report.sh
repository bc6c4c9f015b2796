#!/usr/bin/env bash
# report.sh - Runs a test and keeps what it prints for the end of the run.
# SPDX-License-Identifier: Apache-2.0
#
#   report.sh FILE COMMAND...
set -euo pipefail
mkdir -p "$(dirname "$1")"
"${@:2}" 2>&1 | tee "$1"
