#!/usr/bin/env python3
# soak.py - Many clients for a long time, with every bad habit
# SPDX-License-Identifier: Apache-2.0
"""Usage: soak.py PROGRAM [--seconds 600] [--clients 64] [--max-growth 2]

Clients of PROGRAM's server ask, read slowly, leave early, send nonsense and hold
connections open, at random. Every valid request must be answered with the text that
its prompt and seed gave before the crowd came; the server's memory must not grow by
more than --max-growth percent after the first quarter, and no descriptor may be left."""

import argparse
import json
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import threading
import time


class Server:
    def __init__(self, program, options):
        self.process = subprocess.Popen([program, "serve", "--port", "0", *options],
                                        stderr=subprocess.PIPE, text=True)
        match = re.search(r"http://127\.0\.0\.1:(\d+)", self.process.stderr.readline())
        self.address = ("127.0.0.1", int(match.group(1)))

    def connect(self):
        return socket.create_connection(self.address, timeout=300)

    def resident(self):
        """Anonymous memory: the mapped weights come and go with the page cache."""
        with open("/proc/%d/status" % self.process.pid) as status:
            return int(re.search(r"RssAnon:\s+(\d+)", status.read()).group(1))

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))


def request(body, path="/v1/chat/completions"):
    data = json.dumps(body).encode()
    return (b"POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n" % (path.encode(), len(data)) + data)


def read_all(connection, size=65536, pause=0.0):
    answer = b""
    while piece := connection.recv(size):
        answer += piece
        if pause:
            time.sleep(pause)
    return answer


def text_of(answer, stream):
    """The answer's text, or None if it is not a whole good answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        return None
    if not stream:
        return json.loads(body)["choices"][0]["message"]["content"]
    # Events, with the lines of the chunks between them.
    if not body.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"):
        return None
    text = ""
    for line in body.decode().split("\n"):
        if line.startswith("data: {"):
            choices = json.loads(line[6:])["choices"]
            text += choices[0]["delta"].get("content", "") if choices else ""
    return text


NONSENSE = [b"\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST /v1/completions HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST /v1/completions HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
            request({"messages": 3}), request({"prompt": [10 ** 9]}, "/v1/completions"),
            request({"prompt": "x", "n": -1}, "/v1/completions"),
            b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n[[["]


class Crowd:
    def __init__(self, server, clients, asked):
        self.server, self.asked = server, asked
        self.counts = {}
        self.failures = []
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.start = time.monotonic()
        self.threads = [threading.Thread(target=self.live, args=(i,)) for i in range(clients)]

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def fail(self, what):
        self.failures.append("after %.0f s: %s" % (time.monotonic() - self.start, what))

    def live(self, seed):
        chance = random.Random(seed)
        habits = [self.ask] * 6 + [self.read_slowly, self.leave, self.leave, self.talk_nonsense,
                                   self.dawdle]
        while not self.stop.is_set():
            habit = chance.choice(habits)
            try:
                habit(chance)
                self.count(habit.__name__)
            except OSError as error:
                if habit in (self.ask, self.read_slowly):
                    self.fail("%s: %s" % (habit.__name__, error))
            except Exception as error:
                self.fail("%s: %r" % (habit.__name__, error))

    def one(self, chance):
        body, expected = chance.choice(self.asked)
        stream = chance.random() < 0.6
        return dict(body, stream=stream), stream, expected

    def ask(self, chance, size=65536, pause=0.0):
        body, stream, expected = self.one(chance)
        with self.server.connect() as connection:
            connection.sendall(request(body))
            answer = read_all(connection, size, pause)
        if text_of(answer, stream) != expected:
            self.fail("asked %r, expected %r, got %r" % (body, expected, answer[-300:]))

    def read_slowly(self, chance):
        self.ask(chance, 256, chance.uniform(0.001, 0.02))

    def leave(self, chance):
        body, _, _ = self.one(chance)
        data = request(dict(body, max_tokens=400, ignore_eos=True))
        with self.server.connect() as connection:
            if chance.random() < 0.3:  # in the middle of the request
                connection.sendall(data[:chance.randrange(len(data))])
                return
            connection.sendall(data)
            time.sleep(chance.uniform(0, 0.5))
            if body["stream"] and chance.random() < 0.5:
                connection.recv(chance.randrange(1, 500))

    def talk_nonsense(self, chance):
        data = chance.choice(NONSENSE)
        if chance.random() < 0.3:
            data = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 2000)))
        with self.server.connect() as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            read_all(connection)

    def dawdle(self, chance):
        with self.server.connect() as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHo")
            time.sleep(chance.uniform(0, 1))


def questions():
    words = "fox bear wolf cat dog lion tiger horse cow pig".split()
    for i, word in enumerate(words * 2):
        content = "Tell me about the %s." % word + " Please." * (i * 5 % 40)
        yield dict(messages=[{"role": "system", "content": "You are brief."},
                             {"role": "user", "content": content}],
                   max_tokens=4 + i % 12, seed=i, temperature=1.0 if i % 2 else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--max-growth", type=float, default=2, metavar="PERCENT")
    options = parser.parse_args()

    server = Server(options.program, [])
    asked = []
    for body in questions():
        with server.connect() as connection:
            connection.sendall(request(body))
            asked.append((body, text_of(read_all(connection), False)))
    assert all(text is not None for _, text in asked)
    # All sequences as long as they ever become, at once: memory of the KV cache is
    # used again, and not given back.
    longest = max((body for body, _ in asked), key=lambda body: len(str(body)))
    full = [server.connect() for _ in range(16)]
    for i, connection in enumerate(full):
        message = {"role": "user", "content": "%d %s" % (i, longest["messages"][1]["content"])}
        connection.sendall(request(dict(longest, messages=[message], max_tokens=450,
                                        ignore_eos=True)))
    for connection in full:
        read_all(connection)
        connection.close()
    time.sleep(4)  # until the server has let go of them
    before = server.descriptors()

    crowd = Crowd(server, options.clients, asked)
    for thread in crowd.threads:
        thread.start()
    start, samples = time.monotonic(), []
    while (elapsed := time.monotonic() - start) < options.seconds and \
            server.process.poll() is None and len(crowd.failures) < 10:
        samples.append((elapsed, server.resident()))
        time.sleep(min(1, options.seconds / 40))
    printed = len(crowd.failures)
    for failure in crowd.failures[:10]:
        print("FAILED:", failure, flush=True)
    crowd.stop.set()
    for thread in crowd.threads:
        thread.join()

    failures = crowd.failures
    if len(samples) < 4 or elapsed < options.seconds:
        failures.append("it ended after %.0f s" % elapsed)
    elif server.process.poll() is not None:
        failures.append("the server ended with %d" % server.process.returncode)
    else:
        deadline = time.monotonic() + 30
        while server.descriptors() > before and time.monotonic() < deadline:
            time.sleep(0.1)
        left = server.descriptors() - before
        quarter = options.seconds / 4
        early = statistics.median(m for t, m in samples if quarter <= t < 2 * quarter)
        late = statistics.median(m for t, m in samples if t >= 3 * quarter)
        growth = 100 * (late / early - 1)
        print("memory: %.1f MB in the second quarter, %.1f MB in the last: %+.2f %%"
              % (early / 1e3, late / 1e3, growth))
        print("descriptors: %d more than before" % left)
        if growth > options.max_growth:
            failures.append("memory grew by %.2f %%" % growth)
        if left > 0:
            failures.append("%d descriptors are left open" % left)
    server.process.terminate()
    code = server.process.wait(30)
    if code != 0:
        failures.append("the server ended with %d" % code)
    server.process.stderr.close()
    print("in %.0f s, by %d clients: %s" % (options.seconds, options.clients, ", ".join(
        "%s %d" % item for item in sorted(crowd.counts.items()))))
    for failure in failures[printed:]:
        print("FAILED:", failure)
    sys.exit(bool(failures))


main()
