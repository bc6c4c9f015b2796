#!/usr/bin/env python3
# fresh_test.py - Models of each family that transformers makes on the spot.
# SPDX-License-Identifier: Apache-2.0
#
#   fresh_test.py --qcc build/bin/qcc [--seed N] [NAME...]
#
# Needs torch, which is too large for test/requirements.txt, and is skipped without.
"""As references_test.py does with the models that are checked in, with others: new random
weights in the families of make_references.py, and where it can be an odd number of heads, heads
that are wider than hidden / heads, and a head that is tied where theirs is not or the other
way round. From a folder and from a GGUF file."""
import argparse
import json
import pathlib
import sys
import tempfile
import zlib

SKIP = 77
try:
    import numpy as np
    import torch  # noqa: F401
    import transformers  # noqa: F401
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(SKIP)

sys.dont_write_bytecode = True
import references_test  # noqa: E402
from make_references import MODELS, make  # noqa: E402
from to_gguf import write_gguf  # noqa: E402

ODD = dict(num_attention_heads=3, num_key_value_heads=1)
# Those whose heads are hidden / heads wide.
NARROW = dict(num_attention_heads=3, num_key_value_heads=3, hidden_size=42)
CHANGES = {
    "llama": dict(ODD, hidden_size=48, head_dim=18, tie_word_embeddings=True),
    "llama-biases": dict(num_attention_heads=5, num_key_value_heads=5, hidden_size=40,
                         tie_word_embeddings=False),
    "mistral": dict(ODD, head_dim=14, tie_word_embeddings=True),
    "qwen2": dict(tie_word_embeddings=False), "qwen3": dict(tie_word_embeddings=False),
    "gemma": dict(ODD, hidden_size=48, head_dim=14),
    "gemma2": dict(ODD, hidden_size=48, head_dim=18),
    "gemma3": dict(num_attention_heads=5, num_key_value_heads=1, hidden_size=40, head_dim=14),
    "granite": dict(tie_word_embeddings=False), "granitemoe": dict(ODD, head_dim=14),
    "mixtral": dict(tie_word_embeddings=True, num_experts_per_tok=3),
    "qwen3-moe": dict(tie_word_embeddings=False, num_experts_per_tok=1),
    "qwen2-moe": dict(num_experts=7, tie_word_embeddings=True),
    "gpt-oss": dict(num_attention_heads=5, num_key_value_heads=5, head_dim=14),
    "olmo2": dict(NARROW, tie_word_embeddings=True), "olmoe": dict(NARROW, hidden_size=48),
    "smollm3": dict(head_dim=14, tie_word_embeddings=False),
    "starcoder2": dict(head_dim=14, tie_word_embeddings=True), "cohere": NARROW,
    "gpt2": dict(num_attention_heads=3, hidden_size=42),
    "gpt_bigcode": dict(num_attention_heads=5, hidden_size=60),
    "gpt_neox": dict(num_attention_heads=3, hidden_size=72),
    "gpt_neox-sequential": dict(num_attention_heads=5, hidden_size=40),
    "stablelm": dict(num_attention_heads=3, num_key_value_heads=1, hidden_size=48),
    "falcon-7b": dict(num_attention_heads=3, hidden_size=36),
    "phi": dict(num_attention_heads=5, num_key_value_heads=1, hidden_size=60),
}


def check(name, seed, temporary):
    folder = temporary / name
    make(name, zlib.crc32(f"{name} {seed}".encode()), folder, CHANGES.get(name, {}).items())
    case = references_test.Reference("test_native")
    case.folder, case.model = temporary, folder
    case.reference = np.load(folder / "reference.npz")
    case.test_native()
    config = json.loads((folder / "config.json").read_text())
    if "kv_lora_rank" not in config or config["rms_norm_eps"] == 1e-6:
        write_gguf(folder, temporary / "m.gguf")
        case.check(temporary / "m.gguf", "--target", "reference")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--qcc", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    references_test.OPTIONS.qcc = options.qcc
    failed = []
    for name in options.names or MODELS:
        with tempfile.TemporaryDirectory() as temporary:
            try:
                check(name, options.seed, pathlib.Path(temporary))
            except Exception as error:  # Of each model, what is wrong with it.
                failed.append(name)
                print(f"{name}: FAILED: {type(error).__name__}: {error}", flush=True)
    print(f"{len(options.names or MODELS) - len(failed)} passed, {len(failed)} failed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
