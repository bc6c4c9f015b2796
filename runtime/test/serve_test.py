#!/usr/bin/env python3
# serve_test.py - The server of a compiled model, byte by byte
# SPDX-License-Identifier: Apache-2.0
#
# Usage: serve_test.py PROGRAM. PROGRAM is the demo model as an executable. Needs
# the standard library only; the official client is in test/serve.

import concurrent.futures
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PROGRAM = None
SLOW = 299  # a token whose step takes about a second, and far longer under TSan


class Server:
    def __init__(self, *options):
        self.process = subprocess.Popen([PROGRAM, "serve", "--port", "0", *options],
                                        stderr=subprocess.PIPE, text=True)
        self.first = self.process.stderr.readline()
        match = re.search(r"http://127\.0\.0\.1:(\d+)/v1", self.first)
        assert match, self.first
        self.port = int(match.group(1))
        self.lines = []
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line)

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(600)
        self.reader.join()
        self.process.stderr.close()
        return code

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=600)

    def raw(self, data):
        """All that comes back until the server closes."""
        with self.connect() as s:
            s.sendall(data)
            answer = b""
            while piece := s.recv(65536):
                answer += piece
            return answer

    def call(self, method, path, body=None, headers=()):
        """Status, headers and body, of a connection of its own."""
        data = b"" if body is None else (
            body if isinstance(body, bytes) else json.dumps(body).encode())
        head = "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" % (method, path)
        head += "".join("%s: %s\r\n" % h for h in headers)
        if body is not None:
            head += "Content-Length: %d\r\n" % len(data)
        answer = self.raw(head.encode() + b"\r\n" + data)
        head, _, rest = answer.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:])
        if fields.get("Transfer-Encoding") == "chunked":
            rest = join_chunks(rest)
        return int(lines[0].split()[1]), fields, rest

    def ask(self, path, **body):
        status, _, answer = self.call("POST", path, body)
        return status, json.loads(answer)

    def metric(self, name):
        _, _, text = self.call("GET", "/metrics")
        return float(re.search(r"^%s (\S+)$" % re.escape(name), text.decode(), re.M).group(1))


def join_chunks(data):
    result = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        n = int(size, 16)
        if n == 0:
            assert data == b"\r\n", data
            return result
        result += data[:n]
        assert data[n:n + 2] == b"\r\n"
        data = data[n + 2:]


def events(body):
    parts = body.decode().split("\n\n")
    assert parts.pop() == ""
    parts = [p for p in parts if p != ": waiting"]  # a comment, when it takes long
    assert all(p.startswith("data: ") for p in parts), parts
    assert parts.pop() == "data: [DONE]"
    return [json.loads(p[6:]) for p in parts]


class ServeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0

    def assert_error(self, status, answer, expected, text):
        self.assertEqual(status, expected, answer)
        error = answer["error"]
        self.assertEqual(set(error), {"message", "type", "param", "code"})
        self.assertIn(text, error["message"])
        self.assertFalse(error["message"].endswith("."))

    # Paths

    def test_paths(self):
        call = self.server.call
        status, fields, body = call("GET", "/")
        self.assertEqual(status, 200)
        self.assertTrue(fields["Content-Type"].startswith("text/html"))
        self.assertIn("default-src 'none'", fields["Content-Security-Policy"])
        self.assertNotRegex(body.decode(), r"(src|href)=|https?://")
        status, fields, body = call("HEAD", "/")
        self.assertEqual((status, body), (200, b""))
        self.assertGreater(int(fields["Content-Length"]), 1000)
        self.assertEqual(json.loads(call("GET", "/health")[2]), {"status": "ok"})
        models = json.loads(call("GET", "/v1/models")[2])
        self.assertEqual([m["id"] for m in models["data"]], ["demo 1"])
        self.assertEqual(json.loads(call("GET", "/v1/models/demo%201")[2]), models["data"][0])
        self.assertEqual(call("GET", "/v1/models/other")[0], 404)
        for method, path, expected in [("GET", "/v1/completions", 405), ("POST", "/health", 405),
                                       ("GET", "/../etc/passwd", 404), ("GET", "/v1", 404),
                                       ("BREW", "/", 405), ("OPTIONS", "/", 405)]:
            status, _, body = call(method, path)
            self.assertEqual(status, expected, (method, path))
            self.assertIn("message", json.loads(body)["error"])
        self.assertIn(b"# TYPE qcc_generated_tokens_total counter", call("GET", "/metrics")[2])

    def test_tokenize(self):
        status, answer = self.server.ask("/tokenize", content="hi<|im_end|>")
        self.assertEqual(status, 200)
        status, plain = self.server.ask("/tokenize", content="hi<|im_end|>", parse_special=False,
                                        with_pieces=True)
        self.assertGreater(len(plain["tokens"]), len(answer["tokens"]))
        self.assertEqual("".join(t["piece"] for t in plain["tokens"]), "hi<|im_end|>")
        _, text = self.server.ask("/detokenize", tokens=[t["id"] for t in plain["tokens"]])
        self.assertEqual(text["content"], "hi<|im_end|>")
        for path, body, text in [("/tokenize", {}, "content is missing"),
                                 ("/tokenize", {"content": 3}, "content is 3, expected a string"),
                                 ("/detokenize", {"tokens": [1, 300]}, "tokens is 300"),
                                 ("/detokenize", {"tokens": [-1]}, "tokens is -1")]:
            self.assert_error(*self.server.ask(path, **body), 400, text)

    # Answers

    def test_whole_and_streamed_answers_agree(self):
        body = dict(messages=[{"role": "user", "content": "hello"}], max_tokens=20, n=2, seed=3,
                    logprobs=True, top_logprobs=2)
        status, whole = self.server.ask("/v1/chat/completions", **body)
        self.assertEqual(status, 200)
        self.assertEqual(whole["object"], "chat.completion")
        texts = [c["message"]["content"] for c in whole["choices"]]
        self.assertNotEqual(*texts)
        self.assertEqual(whole["usage"]["completion_tokens"], 40)
        status, fields, data = self.server.call(
            "POST", "/v1/chat/completions",
            dict(body, stream=True, stream_options={"include_usage": True}))
        self.assertEqual(fields["Content-Type"], "text/event-stream")
        chunks = events(data)
        self.assertEqual(chunks[-1]["choices"], [])
        self.assertEqual(chunks[-1]["usage"]["completion_tokens"], 40)
        self.assertEqual({c["object"] for c in chunks}, {"chat.completion.chunk"})
        for i, choice in enumerate(whole["choices"]):
            mine = [c["choices"][0] for c in chunks if c["choices"] and
                    c["choices"][0]["index"] == i]
            self.assertEqual(mine[0]["delta"], {"role": "assistant", "content": ""})
            self.assertEqual("".join(c["delta"].get("content", "") for c in mine), texts[i])
            self.assertEqual([c["finish_reason"] for c in mine],
                             [None] * (len(mine) - 1) + ["length"])
            scores = sum((c["logprobs"]["content"] for c in mine if c["logprobs"]), [])
            self.assertEqual(scores, choice["logprobs"]["content"])
            self.assertEqual(len(scores), 20)

    def test_completions(self):
        ids = self.server.ask("/tokenize", content="hello you")[1]["tokens"]
        body = dict(max_tokens=6, temperature=0, logprobs=1, ignore_eos=True)
        _, text = self.server.ask("/v1/completions", prompt="hello you", **body)
        _, both = self.server.ask("/v1/completions", prompt=[ids, ids[:2]], n=2, **body)
        self.assertEqual(len(both["choices"]), 4)
        self.assertEqual([c["index"] for c in both["choices"]], [0, 1, 2, 3])
        self.assertEqual(both["choices"][0]["text"], text["choices"][0]["text"])
        self.assertEqual(both["choices"][1]["text"], text["choices"][0]["text"])
        self.assertEqual(both["usage"]["prompt_tokens"], len(ids) + 2)
        scores = text["choices"][0]["logprobs"]
        self.assertEqual(len(scores["tokens"]), 6)
        self.assertEqual([len(t) for t in scores["top_logprobs"]], [1] * 6)
        self.assertEqual(scores["text_offset"][0], 0)
        _, echo = self.server.ask("/v1/completions", prompt="hello you", echo=True, max_tokens=6,
                                  temperature=0, ignore_eos=True)
        self.assertEqual(echo["choices"][0]["text"], "hello you" + text["choices"][0]["text"])
        # As the command line answers.
        alone = subprocess.run([PROGRAM, "--raw", "--greedy", "-n", "6", "hello you"],
                               capture_output=True, check=True, timeout=60)
        self.assertEqual(alone.stdout.decode().rstrip("\n"),
                         text["choices"][0]["text"].rstrip("\n"))

    def test_template_variables(self):
        body = dict(messages=[{"role": "user", "content": "hello"}], max_tokens=8, temperature=0)
        plain = self.server.ask("/v1/chat/completions", **body)[1]["usage"]["prompt_tokens"]
        for variables, same in [({}, True), ({"add_generation_prompt": False}, False)]:
            _, answer = self.server.ask("/v1/chat/completions", chat_template_kwargs=variables,
                                        **body)
            self.assertEqual(answer["usage"]["prompt_tokens"] == plain, same, answer)
        status, answer = self.server.ask("/v1/chat/completions",
                                         chat_template_kwargs={"messages": []}, **body)
        self.assert_error(status, answer, 400, "chat_template_kwargs has messages")

    def test_stop(self):
        body = dict(prompt="hello there", max_tokens=30, seed=5, temperature=1)
        text = self.server.ask("/v1/completions", **body)[1]["choices"][0]["text"]
        stop = text[len(text) // 2:][:3]
        choice = self.server.ask("/v1/completions", stop=["zzzz", stop], **body)[1]["choices"][0]
        self.assertEqual(choice["text"], text[:text.index(stop)])
        self.assertEqual(choice["finish_reason"], "stop")

    def test_many_at_once(self):
        def ask(i):
            body = dict(prompt="hello " * (i % 9) + str(i), max_tokens=30, seed=i)
            return self.server.ask("/v1/completions", **body)[1]["choices"][0]["text"]
        alone = [ask(i) for i in range(40)]
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            self.assertEqual(list(pool.map(ask, range(40))), alone)

    # Errors

    def test_bad_values(self):
        good = dict(messages=[{"role": "user", "content": "x"}])
        for change, text in [
            (dict(messages=None), "messages is missing"),
            (dict(messages=[]), "messages is an empty array"),
            (dict(messages="x"), "messages is a string"),
            (dict(messages=[3]), "messages[0] is 3"),
            (dict(messages=[{"role": "user"}]), "messages[0] has no content"),
            (dict(messages=[{"content": "x"}]), "messages[0] has no role"),
            (dict(messages=[{"role": "user", "content": "a\0b"}]), "NUL"),
            (dict(messages=[{"role": "user", "content": [{"type": "image_url"}]}]),
             "not supported"),
            (dict(messages=[{"role": "tool", "content": "x", "tool_call_id": "1"}]),
             "tool_call_id, which is not supported"),
            (dict(tools=[{"type": "function"}]), "tools is not supported"),
            (dict(response_format={"type": "json_object"}), "response_format"),
            (dict(grammar="root ::= x"), "grammar is not supported"),
            (dict(temperature=-1), "temperature is -1, expected a number from 0"),
            (dict(temperature="hot"), "temperature is a string"),
            (dict(top_p=1.5), "top_p is 1.5"),
            (dict(n=0), "n is 0"), (dict(n=1000), "n is 1000"), (dict(n=1.5), "n is 1.5"),
            (dict(n=2**70), "n is"),
            (dict(max_tokens=0), "max_tokens is 0"),
            (dict(max_tokens=2**40), "max_tokens is 1099511627776"),
            (dict(top_k=-5), "top_k is -5"), (dict(seed="x"), "seed is a string"),
            (dict(seed=2**63), "seed is 9223372036854775808"),
            (dict(stop=""), "a stop text has 0 bytes"), (dict(stop=[1]), "stop is 1"),
            (dict(stop=["x"] * 17), "stop has 17 texts"),
            (dict(stream="yes"), "stream is a string"),
            (dict(stream_options=[]), "stream_options is an array"),
            (dict(logit_bias={"x": 1}), "logit_bias"), (dict(logit_bias={"300": 1}), "logit_bias"),
            (dict(logit_bias={"1": "a"}), "logit_bias is a string"),
            (dict(top_logprobs=3), "top_logprobs needs logprobs"),
            (dict(logprobs=True, top_logprobs=21), "top_logprobs is 21"),
            (dict(best_of=3), "best_of is not supported"),
            (dict(chat_template_kwargs="x"), "chat_template_kwargs is a string"),
        ]:
            with self.subTest(change):
                status, answer = self.server.ask("/v1/chat/completions", **{**good, **change})
                self.assert_error(status, answer, 400, text)
        for prompt, text in [(None, "prompt is missing"), ([], "prompt is an empty array"),
                             ({}, "prompt is an object"), ([[1], 2], "prompt is an array with 2"),
                             ([300], "prompt is 300"), ([-1], "prompt is -1"),
                             ([1.5], "prompt is 1.5"), ([["x"]], "prompt is a string"),
                             (["x"] * 129, "129 answers"), ([[]], "the prompt is empty"),
                             ("x" * 600, "context of 512")]:
            with self.subTest(prompt):
                status, answer = self.server.ask("/v1/completions", prompt=prompt)
                self.assert_error(status, answer, 400, text)

    def test_bad_bodies(self):
        for body, text in [(b"", "not JSON"), (b"{", "not JSON"), (b"[]", "expected an object"),
                           (b"3", "the body is 3"), (b"\xff\xfe", "not JSON"),
                           (b'{"prompt": "\xff"}', "not JSON"), (b'{"prompt": 1e999}', "not JSON"),
                           (b"[" * 100000, "nested more than 64"),
                           (b'{"a":' * 100000, "nested more than 64"),
                           # A quote and brackets in a string are none.
                           (b'{"a": "\\"' + b"[" * 100 + b'"} x', "not JSON"),
                           (b'{"prompt": "x"} x', "not JSON"),
                           (b'{"prompt": NaN}', "not JSON")]:
            status, _, answer = self.server.call("POST", "/v1/completions", body)
            self.assert_error(status, json.loads(answer), 400, text)

    def test_long_chunk_lines(self):
        head = (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n")
        for rest in (b"1;" + b"a" * 200000, b"0\r\n" + b"x: a\r\n" * 40000):
            answer = self.server.raw(head + rest)
            self.assertIn(b" 431 ", answer.split(b"\r\n")[0])

    def test_requests_that_would_grow(self):
        text = b'{"content": "' + b"a b " * 200000 + b'"}'
        status, _, answer = self.server.call("POST", "/tokenize", text)
        self.assert_error(status, json.loads(answer), 400, "expected at most 262144")

    def test_many_parts(self):
        """What is read takes time in proportion to its bytes: a quadratic reader takes
        longer than the connection waits."""
        objects = b'{"prompt": "x", "x": [' + b",".join([b"{}"] * 2000000) + b"]}"
        status, _, _ = self.server.call("POST", "/v1/completions", objects)
        self.assertIn(status, (200, 400))
        keys = {"k%d" % i: 0 for i in range(300000)}
        message = {"role": "user", "content": "x"}
        for body in ({"messages": [message], "chat_template_kwargs": keys},
                     {"messages": [{**message, **keys}]}):
            status, _, _ = self.server.call("POST", "/v1/chat/completions", body)
            self.assertIn(status, (200, 400))

    def test_bad_http(self):
        ok = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
        for data, status in [
            (b"\r\n\r\nnonsense\r\n\r\n", 400), (b"\x16\x03\x01\x02\x00" * 20, 400),
            (b"GET / HTTP/3.0\r\n\r\n", 400),
            (ok + b"X: " + b"y" * 9000 + b"\r\n\r\n", 431),
            (ok + b"X: y\r\n" * 2000 + b"\r\n", 431),
            (ok + b"Content-Length: -1\r\n\r\n", 400), (ok + b"Content-Length: x\r\n\r\n", 400),
            (ok + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
            (ok + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            (ok + b"Transfer-Encoding: chunked\r\n\r\n-2\r\nab\r\n0\r\n\r\n", 400),
            (ok + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400),
            (ok + b"Content-Length: 99999999999\r\n\r\n", 413),
            (ok + b"Bad Header: x\r\n\r\n", 400), (ok + b"X: a\0b\r\n\r\n", 400),
        ]:
            with self.subTest(data[:80]):
                answer = self.server.raw(data)
                self.assertEqual(int(answer.split()[1]), status, answer)

    def test_keep_alive_pipelining_and_continue(self):
        one = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        last = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        self.assertEqual(self.server.raw(one * 5 + last).count(b"200 OK"), 6)
        body = json.dumps(dict(prompt="x", max_tokens=2)).encode()
        post = (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n"
                % len(body))
        self.assertEqual(self.server.raw((post + b"\r\n" + body) * 3 + last).count(b"200 OK"), 4)
        with self.server.connect() as s:
            s.sendall(post + b"Expect: 100-continue\r\nConnection: close\r\n\r\n")
            self.assertEqual(s.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            s.sendall(body)
            self.assertIn(b"200 OK", s.recv(65536))
        chunked = (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                   b"Transfer-Encoding: chunked\r\n\r\n")
        chunked += b"".join(b"1\r\n%c\r\n" % c for c in body) + b"0\r\n\r\n"
        self.assertIn(b"200 OK", self.server.raw(chunked))
        old = json.dumps(dict(prompt="x", max_tokens=2, stream=True)).encode()
        answer = self.server.raw(b"POST /v1/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n"
                                 % len(old) + old)
        self.assertTrue(answer.endswith(b"\n\ndata: [DONE]\n\n"), answer)

    # Other web pages

    def test_origins(self):
        call = self.server.call
        for headers, status in [
            ([("Origin", "http://evil.example")], 403),
            ([("Origin", "http://127.0.0.1")], 403),
            ([("Origin", "http://localhost")], 200),
            ([("Origin", "https://x.example"), ("Sec-Fetch-Site", "same-origin")], 200),
        ]:
            answer = call("GET", "/health", headers=headers)
            self.assertEqual(answer[0], status, headers)
            self.assertNotIn("Access-Control-Allow-Origin", answer[1])
        for host, status in [("evil.example", 403), ("127.0.0.1:99", 200), ("[::1]:80", 200),
                             ("localhost.evil.example", 403), ("127.evil.example", 403)]:
            answer = self.server.raw(b"GET /health HTTP/1.0\r\nHost: %s\r\n\r\n" % host.encode())
            self.assertEqual(int(answer.split()[1]), status, host)

    # Clients that leave

    def test_a_client_that_leaves_cancels(self):
        before = self.server.metric('qcc_answers_total{reason="cancelled"}')
        for stream in (False, True):
            body = json.dumps(dict(prompt=[SLOW], max_tokens=400, stream=stream,
                                   logit_bias={str(SLOW): 1000})).encode()
            with self.server.connect() as s:
                s.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                          b"Content-Length: %d\r\n\r\n" % len(body) + body)
                if stream:
                    s.recv(1000)
                time.sleep(0.1)
        deadline = time.monotonic() + 600
        while self.server.metric('qcc_answers_total{reason="cancelled"}') < before + 2:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def test_slow_headers_do_not_stop_others(self):
        idle = [self.server.connect() for _ in range(200)]
        for i, s in enumerate(idle):
            s.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Le"[:i % 45])
        status, _ = self.server.ask("/v1/completions", prompt="x", max_tokens=3)
        self.assertEqual(status, 200)
        for s in idle:
            s.close()


class OptionsTest(unittest.TestCase):
    def run_server(self, *options):
        server = Server(*options)
        self.addCleanup(server.stop)
        return server

    def test_api_keys(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("first key\r\nsecond\n\n")
            file.flush()
            server = self.run_server("--api-key-file", file.name)
        self.assertEqual(server.call("GET", "/health")[0], 200)
        self.assertEqual(server.call("GET", "/")[0], 200)
        for value, status in [("Bearer first key", 200), ("Bearer second", 200),
                              ("Bearer secon", 401), ("Bearer secondd", 401), ("Bearer ", 401),
                              ("second", 401), ("Basic second", 401)]:
            answer = server.call("GET", "/v1/models", headers=[("Authorization", value)])
            self.assertEqual(answer[0], status, value)
        status, fields, body = server.call("POST", "/v1/completions", {"prompt": "x"})
        self.assertEqual((status, fields["WWW-Authenticate"]), (401, "Bearer"))
        self.assertEqual(json.loads(body)["error"]["code"], "invalid_api_key")
        for content in ("", "\n\n"):
            with tempfile.NamedTemporaryFile("w") as file:
                file.write(content)
                file.flush()
                result = subprocess.run([PROGRAM, "serve", "--api-key-file", file.name],
                                        capture_output=True, text=True, timeout=60)
            self.assertEqual(result.returncode, 1)
            self.assertIn("has no API key", result.stderr)

    def test_limits(self):
        server = self.run_server("--parallel", "1", "--queue", "2", "--timeout", "0.5",
                                 "--max-body", "1", "--alias", "small", "--ctx", "100")
        models = json.loads(server.call("GET", "/v1/models")[2])
        self.assertEqual(models["data"][0]["id"], "small")
        self.assertEqual(models["data"][0]["max_model_len"], 100)
        self.assertEqual(server.call("POST", "/v1/completions", b" " * (1 << 20 | 1))[0], 413)
        # One runs, one waits; the other place is for other clients.
        self.assertEqual(server.ask("/v1/completions", prompt=["x"] * 2, max_tokens=1)[0], 200)
        status, answer = server.ask("/v1/completions", prompt=["x"] * 3)
        self.assertEqual((status, answer["error"]["code"]), (429, "queue_full"))
        slow = dict(prompt=[SLOW] * 3, max_tokens=50, logit_bias={str(SLOW): 1000})
        status, answer = server.ask("/v1/completions", **slow)
        self.assertEqual((status, answer["error"]["code"]), (408, "timeout"))
        _, _, body = server.call("POST", "/v1/completions", dict(slow, stream=True))
        self.assertEqual(events(body)[-1]["error"]["code"], "timeout")

    def test_allowed_origins(self):
        server = self.run_server("--allow-origin", "https://a.example",
                                 "--allow-origin", "https://b.example")
        status, fields, _ = server.call("OPTIONS", "/v1/models", headers=[
            ("Origin", "https://b.example"), ("Access-Control-Request-Headers", "x-a, x-b")])
        self.assertEqual(status, 204)
        self.assertEqual(fields["Access-Control-Allow-Origin"], "https://b.example")
        self.assertEqual(fields["Access-Control-Allow-Headers"], "x-a, x-b")
        self.assertEqual(server.call("GET", "/health", headers=[
            ("Origin", "https://c.example")])[0], 403)

    def test_says_that_anyone_may_call(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("key")
            file.flush()
            for options, warns in [(["--host", "0.0.0.0"], True), (["--host", "127.0.0.2"], False),
                                   (["--host", "0.0.0.0", "--api-key-file", file.name], False)]:
                server = subprocess.Popen([PROGRAM, "serve", "--port", "0", *options],
                                          stderr=subprocess.PIPE, text=True)
                self.assertIn("http://" + options[1], server.stderr.readline())
                server.terminate()
                self.assertEqual("warning: who reaches" in server.stderr.read(), warns, options)
                server.stderr.close()
                self.assertEqual(server.wait(60), 0)

    def test_usage_errors(self):
        server = self.run_server()
        for options, code, text in [(["--port", str(server.port)], 1, "cannot listen at 127.0.0.1"),
                                    (["--host", "no.such.host.invalid"], 1, "cannot find the host"),
                                    (["--port", "70000"], 2, "--port"),
                                    (["--parallel", "0"], 2, "--parallel"),
                                    (["--paralel", "2"], 2, "did you mean `--parallel`?"),
                                    (["--api-key-file", "/no/such"], 1, "/no/such")]:
            result = subprocess.run([PROGRAM, "serve", *options], capture_output=True, text=True,
                                    timeout=60)
            self.assertEqual(result.returncode, code, result.stderr)
            self.assertIn(text, result.stderr)

    def test_ends_when_asked(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            server = Server("-v", "--drain", "600")
            idle = server.connect()  # does not hold it up
            body = json.dumps(dict(prompt=[SLOW], max_tokens=2)).encode()
            with server.connect() as s:
                s.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                          b"Content-Length: %d\r\n\r\n" % len(body) + body)
                while server.metric("qcc_requests_running") == 0:
                    time.sleep(0.01)
                server.process.send_signal(number)
                self.assertIn(b"200 OK", s.recv(65536))  # what runs may end
            self.assertEqual(server.stop(), 0)
            idle.close()
            self.assertTrue(any("POST /v1/completions 200" in line for line in server.lines))
        server = Server()
        body = json.dumps(dict(prompt=[SLOW] * 9, max_tokens=400,
                               logit_bias={str(SLOW): 1000})).encode()
        with server.connect() as s:
            s.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                      b"Content-Length: %d\r\n\r\n" % len(body) + body)
            while server.metric("qcc_requests_running") == 0:
                time.sleep(0.01)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            self.assertEqual(server.stop(), 0)  # the second signal does not wait

    def test_leaves_nothing_open(self):
        server = self.run_server()
        folder = "/proc/%d/fd" % server.process.pid
        server.ask("/v1/completions", prompt="x", max_tokens=3)
        before = len(os.listdir(folder))
        for i in range(50):
            server.ask("/v1/completions", prompt="x" * i or "y", max_tokens=3, stream=i % 2 == 0) \
                if i % 2 else server.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n"
                                         b"Connection: close\r\n\r\n")
        deadline = time.monotonic() + 20
        while len(os.listdir(folder)) > before:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
