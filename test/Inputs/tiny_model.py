#!/usr/bin/env python3
# tiny_model.py - Writes small but complete GGUF models with random weights.
# SPDX-License-Identifier: Apache-2.0
#
#   tiny_model.py -o FILE [--architecture llama] [--type Q4_0] [--layers 2] ...
#
# Every size is an option, so that tests can have odd head counts, mixed types or
# many layers. Also a module: `write_model` for other test scripts.
import argparse
import random
import struct

from make_gguf import ARRAY, BOOL, F32, I32, STRING, TYPES, U16, U32, Writer  # noqa: F401

# Where the f16 scales of a block are, and about how large they should be for
# weights of a size near 1/sqrt(k). Other bytes may be anything.
SCALES = {
    "Q4_0": {0: 0.01}, "Q4_1": {0: 0.01, 2: -0.075}, "Q5_0": {0: 0.005},
    "Q5_1": {0: 0.005, 2: -0.075}, "Q8_0": {0: 0.0006},
    "Q2_K": {80: 0.004, 82: 0.006}, "Q3_K": {108: 0.0008},
    "Q4_K": {0: 0.0003, 2: 0.0025}, "Q5_K": {0: 0.00015, 2: 0.0025},
    "Q6_K": {208: 0.00003},
}


def random_rows(rng, kind, elements):
    """Bytes of `elements` weights of type `kind`."""
    if kind in ("F32", "F16"):
        code = {"F32": "f", "F16": "e"}[kind]
        return struct.pack(f"<{elements}{code}", *(rng.gauss(0, 0.08) for _ in range(elements)))
    if kind == "BF16":
        full = random_rows(rng, "F32", elements)
        return b"".join(full[i + 2:i + 4] for i in range(0, len(full), 4))
    _, block, size = TYPES[kind]
    # Types without an entry in SCALES are for readers only.
    data = bytearray(rng.randbytes(elements // block * size))
    for start in range(0, len(data), size):
        for offset, scale in SCALES.get(kind, {}).items():
            struct.pack_into("<e", data, start + offset, scale * rng.uniform(0.8, 1.2))
    return bytes(data)


def byte_tokens():
    """The 256 letters of byte-level BPE, in the order of their bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    extra = iter(range(256, 512))
    return [chr(b) if b in plain else chr(next(extra)) for b in range(256)]


def write_model(path, architecture="llama", kind="Q4_0", embedding=None, layers=2, hidden=64,
                heads=2, kv_heads=1, head_dim=None, ffn=96, vocab=288, context=256, window=None,
                types=None, post_norm=False, head_norm=False, seed=1, change=None, biases=(),
                pre="gpt-2", template=None, parts=1):
    """Writes a model, in several files where `path` is "...-00001-of-0000N.gguf" and
    `parts` is N. `types` maps a part of a tensor's name to its type;
    `change(name, dims, kind)` may return other dims and kind for a tensor, or
    None to leave it out. `biases` names the linear layers with a bias: "attn_q"...
    """
    rng = random.Random(seed)
    head_dim = head_dim or hidden // heads
    w = Writer()
    w.key("general.architecture", STRING, architecture).key("general.name", STRING, "tiny")
    for name, value in {"block_count": layers, "embedding_length": hidden,
                        "feed_forward_length": ffn, "attention.head_count": heads,
                        "attention.head_count_kv": kv_heads, "attention.key_length": head_dim,
                        "attention.value_length": head_dim,
                        "context_length": context}.items():
        w.key(f"{architecture}.{name}", U32, value)
    w.key(f"{architecture}.attention.layer_norm_rms_epsilon", F32, 1e-5)
    w.key(f"{architecture}.rope.freq_base", F32, 10000.0)
    if window:
        w.key(f"{architecture}.attention.sliding_window", U32, window)
    tokens = byte_tokens() + [f"<|extra{i}|>" for i in range(vocab - 256)]
    w.key("tokenizer.ggml.model", STRING, "gpt2").key("tokenizer.ggml.pre", STRING, pre)
    w.array("tokenizer.ggml.tokens", STRING, tokens)
    w.array("tokenizer.ggml.token_type", I32, [1] * 256 + [3] * (vocab - 256))
    w.array("tokenizer.ggml.merges", STRING, [])
    w.key("tokenizer.ggml.eos_token_id", U32, 256)
    w.key("tokenizer.ggml.add_bos_token", BOOL, False)
    if template:
        w.key("tokenizer.chat_template", STRING, template)
    files = [w, *(Writer() for _ in range(parts - 1))]
    names = []

    def tensor(name, dims, default):
        chosen = next((t for part, t in (types or {}).items() if part in name), default)
        if change:
            changed = change(name, dims, chosen)
            if changed is None:
                return
            dims, chosen = changed
        count = 1
        for dim in dims:
            count *= dim
        if len(dims) == 1:
            data = struct.pack(f"<{count}f", *(rng.uniform(0.5, 1.5) for _ in range(count)))
        else:
            data = random_rows(rng, chosen, count)
        files[len(names) % parts].tensor(name, dims, chosen, data)
        names.append(name)

    tensor("token_embd.weight", [hidden, vocab], embedding or kind)
    tensor("output_norm.weight", [hidden], "F32")
    for layer in range(layers):
        def part(name, dims, default=kind, layer=layer):
            tensor(f"blk.{layer}.{name}.weight", dims, default)
        part("attn_norm", [hidden], "F32")
        part("attn_q", [hidden, heads * head_dim])
        part("attn_k", [hidden, kv_heads * head_dim])
        part("attn_v", [hidden, kv_heads * head_dim])
        part("attn_output", [heads * head_dim, hidden])
        part("ffn_norm", [hidden], "F32")
        part("ffn_gate", [hidden, ffn])
        part("ffn_up", [hidden, ffn])
        part("ffn_down", [ffn, hidden])
        for name, rows in {"attn_q": heads * head_dim, "attn_k": kv_heads * head_dim,
                           "attn_v": kv_heads * head_dim, "attn_output": hidden,
                           "ffn_gate": ffn, "ffn_up": ffn, "ffn_down": hidden}.items():
            if name in biases:
                tensor(f"blk.{layer}.{name}.bias", [rows], "F32")
        if head_norm:
            part("attn_q_norm", [head_dim], "F32")
            part("attn_k_norm", [head_dim], "F32")
        if post_norm:
            part("post_attention_norm", [hidden], "F32")
            part("post_ffw_norm", [hidden], "F32")
    for i, part in enumerate(files):
        if parts > 1:
            part.key("split.no", U16, i).key("split.count", U16, parts)
            part.key("split.tensors.count", I32, len(names))
        with open(str(path).replace("-00001-of-", f"-{i + 1:05}-of-"), "wb") as f:
            f.write(part.build())
    return path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", dest="output", required=True)
    parser.add_argument("--architecture", default="llama")
    parser.add_argument("--type", default="Q4_0", dest="kind")
    parser.add_argument("--embedding")
    for name, default in (("layers", 2), ("hidden", 64), ("heads", 2), ("kv-heads", 1),
                          ("head-dim", None), ("ffn", 96), ("vocab", 288), ("context", 256),
                          ("window", None), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--biases", nargs="*", default=())
    parser.add_argument("--post-norm", action="store_true")
    parser.add_argument("--head-norm", action="store_true")
    arguments = vars(parser.parse_args())
    write_model(arguments.pop("output"), **arguments)


if __name__ == "__main__":
    main()
