#!/usr/bin/env python3
# real_model_test.py - A real model as a library, served to several clients
# SPDX-License-Identifier: Apache-2.0
"""Compiles SmolLM2 to a library, serves it by `qcc serve`, and asks sixteen times
alone and sixteen times at once: the answers must be equal."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import urllib.request

MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--qcc", required=True)
    parser.add_argument("--models", required=True)
    parser.add_argument("--benchmark", required=True, help="benchmarks/serve.py")
    options = parser.parse_args()
    model = os.path.join(options.models, MODEL)
    if not options.models or not os.path.exists(model):
        print("skipped: no %s in QCC_MODELS" % MODEL)
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        library = os.path.join(folder, "smol.so")
        subprocess.run([options.qcc, model, "-o", library], check=True)
        server = subprocess.Popen([options.qcc, "serve", library, "--port", "0"],
                                  stderr=subprocess.PIPE, text=True)
        url = re.search(r"http://[^/]+", server.stderr.readline()).group(0)
        with urllib.request.urlopen(url + "/health", timeout=60) as reply:
            assert reply.status == 200
        server.terminate()
        assert server.wait(30) == 0
        server.stderr.close()
        subprocess.run([sys.executable, options.benchmark, "%s run %s" % (options.qcc, library),
                        "--rounds", "1", "--tokens", "24"], check=True)


main()
