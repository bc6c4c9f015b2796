#!/usr/bin/env python3
# serve.py - What a server gains by answering many at once
# SPDX-License-Identifier: Apache-2.0
"""Usage: serve.py PROGRAM [--streams 16] [--tokens 128] [--rounds 5]

Asks the server of PROGRAM, a compiled model ("qcc run model.so" for a library), for answers one after the other and for
several at once, in turns, and prints tokens a second of both, their ratio, and
whether each answer was the same. Run it on a machine that does nothing else."""

import argparse
import concurrent.futures
import http.client
import json
import re
import shlex
import statistics
import subprocess
import sys
import time

WORDS = ("fox bear wolf cat dog lion tiger horse cow pig hen duck owl crow ant bee "
         "goat hare lynx mole newt seal swan toad wasp moth").split()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    command = [*shlex.split(options.program), "serve", "--port", "0", "--parallel", str(options.streams)]
    if options.threads:
        command += ["--threads", str(options.threads)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    host = re.search(r"http://([^/]+)", server.stderr.readline()).group(1)

    def ask(i):
        connection = http.client.HTTPConnection(host)
        prompt = ("This is the story of a %s and of what it learned on a long day in the "
                  "forest. It begins early in the morning." % WORDS[i % len(WORDS)])
        connection.request("POST", "/v1/completions", json.dumps(dict(
            prompt=prompt, max_tokens=options.tokens, temperature=0, ignore_eos=True)))
        answer = json.load(connection.getresponse())
        return answer["choices"][0]["text"], answer["usage"]["completion_tokens"]

    def measure(workers, count):
        start = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            answers = list(pool.map(ask, range(count)))
        return (sum(tokens for _, tokens in answers) / (time.perf_counter() - start),
                [text for text, _ in answers])

    try:
        alone = measure(1, options.streams)[1]  # warm, and all texts
        rounds, same = [], True
        for _ in range(options.rounds):
            one, _ = measure(1, 4)
            many, texts = measure(options.streams, options.streams)
            same = same and texts == alone
            rounds.append((one, many, many / one))
            print("one %7.1f tokens/s   %d at once %7.1f tokens/s   ratio %.2f"
                  % (one, options.streams, many, many / one), flush=True)
        print("median ratio %.2f; answers %s" % (
            statistics.median(ratio for _, _, ratio in rounds), "equal" if same else "DIFFER"))
    finally:
        server.terminate()
        server.wait(30)
    sys.exit(not same)


main()
