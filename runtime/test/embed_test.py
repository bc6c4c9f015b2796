#!/usr/bin/env python3
# embed_test.py - The embedding example, built as a user builds it
# SPDX-License-Identifier: Apache-2.0
#
# Usage: embed_test.py CMAKE BUILD EXAMPLE MODEL.so [PROGRAM]
#
# Installs the header and its packages from the build folder BUILD, builds
# EXAMPLE by CMake and by pkg-config, and runs both with MODEL.so. With PROGRAM,
# the same model as an executable, the answers must be its answer.

import os
import subprocess
import sys
import tempfile


def call(*args, env=None):
    result = subprocess.run(args, capture_output=True, text=True, timeout=300, env=env,
                            errors="replace")
    if result.returncode != 0:
        sys.exit("%s: exit code %d\n%s%s" % (" ".join(args), result.returncode,
                                             result.stdout, result.stderr))
    return result.stdout


def main():
    cmake, build, example, model = sys.argv[1:5]
    with tempfile.TemporaryDirectory() as folder:
        prefix = os.path.join(folder, "prefix")
        call(cmake, "--install", build, "--prefix", prefix, "--component", "qcc_headers")
        by_cmake = os.path.join(folder, "build")
        call(cmake, "-S", example, "-B", by_cmake, "-DCMAKE_PREFIX_PATH=" + prefix)
        call(cmake, "--build", by_cmake)

        env = dict(os.environ, PKG_CONFIG_PATH=os.path.join(prefix, "lib/pkgconfig"))
        flags = call("pkg-config", "--cflags", "--libs", "qcc", env=env).split()
        by_pkg_config = os.path.join(folder, "embed")
        call(os.environ.get("CC", "cc"), "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror",
             os.path.join(example, "embed.c"), *flags, "-o", by_pkg_config)

        answers = [call(program, model, "hello", "12")
                   for program in (os.path.join(by_cmake, "embed"), by_pkg_config)]
        if len(sys.argv) > 5:
            answers.append(call(sys.argv[5], "--greedy", "-n", "12", "hello"))
        if not answers[0].strip() or len({a.rstrip("\n") for a in answers}) != 1:
            sys.exit("answers differ or are empty: %r" % answers)
        bad = subprocess.run([by_pkg_config, "/no/such.so", "x"], capture_output=True,
                             text=True)
        if bad.returncode != 1 or not bad.stderr.startswith("error: "):
            sys.exit("a missing model gave %d: %s" % (bad.returncode, bad.stderr))


main()
