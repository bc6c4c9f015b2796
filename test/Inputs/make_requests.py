#!/usr/bin/env python3
# make_requests.py - Requests to the server, for its fuzzer
# SPDX-License-Identifier: Apache-2.0
"""Writes seeds of the corpus: bodies that use every field, and whole requests."""
import argparse
import json
import os

MESSAGE = {"role": "user", "content": "hi"}
BODIES = [
    {"messages": [{"role": "developer", "content": [{"type": "text", "text": "é"}]}, MESSAGE],
     "model": "m", "stream": True, "stream_options": {"include_usage": True}, "n": 2,
     "temperature": 0.5, "top_p": 0.9, "top_k": 4, "min_p": 0.1, "repeat_penalty": 1.1,
     "repetition_penalty": 1.2, "repeat_last_n": 8, "frequency_penalty": 0.1,
     "presence_penalty": -0.1, "seed": 7, "stop": ["\n", "</s>"], "logit_bias": {"5": -3},
     "logprobs": True, "top_logprobs": 3, "max_tokens": 4, "max_completion_tokens": 5,
     "ignore_eos": False, "response_format": {"type": "text"}, "tools": [], "best_of": 2,
     "modalities": ["text"], "chat_template_kwargs": {"enable_thinking": False}},
    {"messages": [{"role": "assistant", "content": None, "tool_calls": [{}]}], "user": "x"},
    {"prompt": "hello", "max_tokens": -1, "logprobs": 2, "stop": "x", "logit_bias": [[5, 1e2]]},
    {"prompt": ["a", [1, 2]], "echo": True, "suffix": "", "n": 3},
    {"prompt": [1, 2, 3], "use_beam_search": False, "seed": -1},
    {"content": "hi", "add_special": True, "parse_special": False, "with_pieces": True},
    {"tokens": [1, 2, 999]},
]


def seeds():
    bodies = [json.dumps(body, ensure_ascii=False).encode() for body in BODIES]
    for body in bodies:
        # The byte in front says which path the fuzzer gives it to.
        kind = {b"m": b"m", b"p": b"c", b"c": b"t", b"t": b"d"}[body[2:3]]
        yield kind + body
    head = b"Host: localhost\r\nOrigin: https://a.example\r\nSec-Fetch-Site: same-origin\r\n"
    for body in bodies[:2]:
        yield b"POST /v1/x HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body)
    yield (b"POST /v1/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
           b"2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n")
    yield b"GET /v1/models?x=1 HTTP/1.0\r\nHost: [::1]:9\r\nConnection: keep-alive\r\n\r\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fuzz-corpus", metavar="FOLDER", required=True)
    folder = parser.parse_args().fuzz_corpus
    os.makedirs(folder, exist_ok=True)
    for number, seed in enumerate(seeds()):
        with open(os.path.join(folder, f"request-{number}"), "wb") as out:
            out.write(seed)


if __name__ == "__main__":
    main()
