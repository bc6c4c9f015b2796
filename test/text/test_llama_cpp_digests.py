#!/usr/bin/env python3
# test_llama_cpp_digests.py - Ids and answers are those that llama.cpp gave.
# SPDX-License-Identifier: Apache-2.0
"""Compares the vocabularies of the two real models with digests of what llama.cpp
made of a megabyte of difficult text, of the answer to its ids, and of the answer to
ids at random; and SmolLM2's with each pre-tokenizer. `test_llama_cpp_digests.py`,
run with the package llama_cpp and QCC_MODELS, makes the digests again."""
import functools
import hashlib
import json
import pathlib
import random
import re

import pytest
from difficult_text import corpus, is_known
from text_tool import ask, build, model_file, read, spec_from_gguf

DIGESTS = pathlib.Path(__file__).parent / "Inputs" / "llama_cpp_digests.json"
SMOL, GEMMA = "SmolLM2-135M-Instruct.Q4_1", "gemma-3-270m-Q4_K_M"

# Special tokens to put into text.
NAMED = {SMOL: ["<|im_start|>", "<|im_end|>", "<repo_name>", "<|endoftext|>"],
         GEMMA: ["<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>", "<unused7>"]}

# One name of each pre-tokenizer. Not compared are those where llama.cpp differs from the
# tokenizers library, which docs/RationaleText.md lists.
NAMES = ["gpt-2", "smollm", "llama-bpe", "dbrx", "glm4", "qwen2", "qwen35", "ufakzeka", "laguna",
         "jais-2", "deepseek-v3", "spark2_5", "deepseek-coder", "deepseek-llm", "bloom", "viking",
         "seed-coder", "bailingmoe", "exaone-moe", "minicpm5", "falcon", "chameleon", "default",
         "superbpe"]

# What the two read differently (docs/RationaleText.md). Gemma's "</s>" is HTML, which
# llama.cpp takes for the end of an answer. SmolLM2 has no tokens for some bytes, which
# llama.cpp drops after merging.
UNLIKE = {SMOL: "[\x04\x06\x13\x14\x16\x1d]", GEMMA: "</s>"}
# These take spaces, or digits, outside of ASCII for another sign.
UNSEEN = {"deepseek-coder": r"(?=\s)[^\0-\x7f]", "deepseek-llm": r"(?=\s)[^\0-\x7f]",
          "superbpe": r"(?=\d)[^\0-\x7f]"}
CASES = [(SMOL, None), (GEMMA, None)] + [(SMOL, name) for name in NAMES]


def texts_of(model, pre):
    size = 1 << (17 if pre else 20)
    texts = ("".join(c for c in t if c != "ſ" and is_known(c))
             for t in corpus(pre or model, size * 3 // 2, () if pre else NAMED[model]))
    texts = [re.sub(UNLIKE[model], "", t) for t in texts]
    if pre in UNSEEN:
        texts = [re.sub(UNSEEN[pre], "", t) for t in texts]
    assert sum(len(t.encode()) for t in texts) >= size
    return texts


def random_ids(model, count):
    """Any tokens in any order: those of bytes make no UTF-8, or only by chance."""
    rng = random.Random(model)
    return [[rng.randrange(count) for _ in range(rng.randrange(1, 40))] for _ in range(8000)]


def digest(parts):
    """Of a list of ids or bytes for each text."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def digests(model, pre, vocabulary):
    """Of all that is compared, by name. `vocabulary.encode` takes texts, `decode` lists
    of ids and whether special tokens are shown."""
    texts = texts_of(model, pre)
    ids = vocabulary.encode(texts, parse=pre is None)
    found = {"texts": digest(texts), "ids": digest(ids),
             "answers": digest(vocabulary.decode(ids, pre is None))}
    if pre is None:
        chosen = random_ids(model, vocabulary.size)
        found["random ids"] = digest(vocabulary.decode(chosen, False))
        found["random ids, special"] = digest(vocabulary.decode(chosen, True))
    return found


read_spec = functools.cache(spec_from_gguf)


class Ours:
    """The tokenizer of a GGUF file, or of it with another pre-tokenizer."""

    def __init__(self, path, folder, pre=None):
        self.image = build({**read_spec(path), "pre": pre}, folder) if pre else read(path, folder)
        self.size = ask([{"op": "info"}], self.image)[0]["vocab"]

    def encode(self, texts, parse):
        requests = [{"op": "tokenize", "text": t, "parse": parse} for t in texts]
        return [answer["ids"] for answer in ask(requests, self.image)]

    def decode(self, lists, special):
        requests = [{"op": "detokenize", "ids": ids, "special": special} for ids in lists]
        return [bytes.fromhex(answer["hex"]) for answer in ask(requests, self.image)]


@pytest.mark.parametrize("model,pre", CASES)
def test_llama_cpp_digests(model, pre, tmp_path):
    path = model_file(model + ".gguf")
    if not path:
        pytest.skip("no QCC_MODELS")
    expected = json.loads(DIGESTS.read_text())[pre or model]
    found = digests(model, pre, Ours(path, tmp_path, pre))
    assert found["texts"] == expected["texts"], "the texts are others than llama.cpp was given"
    assert found == expected


def main():
    import tempfile

    from test_llama_cpp import Reference, write
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        for model, pre in CASES:
            path = model_file(model + ".gguf")
            if pre:
                spec = read_spec(path)
                path = write(pathlib.Path(folder) / f"{pre}.gguf", spec["tokens"], spec["types"],
                             spec["merges"], pre)
            result[pre or model] = digests(model, pre, Reference(path))
    DIGESTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
