#!/usr/bin/env python3
# synthetic.py - Llama-shaped GGUF files of full size with random weights.
# SPDX-License-Identifier: Apache-2.0
"""Writes a model of the shapes of Llama 3.2 1B or Llama 2 7B whose matrices, embedding
and head included, are random blocks of one type: enough to measure speed, which does
not depend on values. Needs numpy and gguf; memory stays below 1 GB.

    benchmarks/synthetic.py --size 7b --type Q4_K -o 7b.Q4_K.gguf
"""
import argparse
import math

import gguf
import numpy

SHAPES = {
    "1b": dict(layers=16, hidden=2048, ffn=8192, heads=32, kv_heads=8, vocab=128256, tied=True),
    "7b": dict(layers=32, hidden=4096, ffn=11008, heads=32, kv_heads=32, vocab=32000, tied=False),
}

# Where a block has its f16 scales, and how large those of weights of size 1 are: the
# inverse of the size of what they multiply. A minimum undoes the mean of the codes.
# All other bytes may be anything.
SCALES = {
    "Q4_0": {0: 1 / 4.6}, "Q8_0": {0: 1 / 74},
    "Q2_K": {80: 1 / 10, 82: 1.5 / 10}, "Q3_K": {108: 1 / 43},
    "Q4_K": {0: 1 / 170, 2: 7.5 / 170}, "Q5_K": {0: 1 / 340, 2: 15.5 / 340},
    "Q6_K": {208: 1 / 1370},
}


def random_blocks(rng, kind, rows, columns):
    """Weights [rows, columns] of a size near 1 / sqrt(columns), as bytes."""
    block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    data = numpy.frombuffer(bytearray(rng.bytes(rows * columns // block * size)), numpy.uint8)
    data = data.reshape(-1, size)
    for offset, scale in SCALES[kind].items():
        values = rng.uniform(0.5, 1.5, len(data)) * scale / math.sqrt(columns)
        data[:, offset:offset + 2] = values.astype("<f2").view(numpy.uint8).reshape(-1, 2)
    return data.reshape(rows, columns // block * size)


def tensors(shape):
    """Names and shapes, in the order of the file."""
    hidden, ffn = shape["hidden"], shape["ffn"]
    kv = hidden // shape["heads"] * shape["kv_heads"]
    yield "token_embd.weight", (shape["vocab"], hidden)
    for layer in range(shape["layers"]):
        for name, dims in {"attn_norm": (hidden,), "attn_q": (hidden, hidden),
                           "attn_k": (kv, hidden), "attn_v": (kv, hidden),
                           "attn_output": (hidden, hidden), "ffn_norm": (hidden,),
                           "ffn_gate": (ffn, hidden), "ffn_up": (ffn, hidden),
                           "ffn_down": (hidden, ffn)}.items():
            yield f"blk.{layer}.{name}.weight", dims
    yield "output_norm.weight", (hidden,)
    if not shape["tied"]:
        yield "output.weight", (shape["vocab"], hidden)


def add_vocabulary(writer, size):
    """The letters of byte-level BPE, and tokens that no text has."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    extra = iter(range(256, 512))
    letters = [chr(b) if b in plain else chr(next(extra)) for b in range(256)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    known = [*letters, "ab"]  # readers want a merge
    unused = size - len(known)
    writer.add_token_list(known + [f"<unused{i}>" for i in range(unused)])
    writer.add_token_types([gguf.TokenType.NORMAL] * len(known) +
                           [gguf.TokenType.UNUSED] * unused)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(len(known))
    writer.add_add_bos_token(False)


def write(path, name, shape, kind, seed=1):
    rng = numpy.random.Generator(numpy.random.SFC64(seed))
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    writer.add_block_count(shape["layers"])
    writer.add_context_length(8192)
    writer.add_embedding_length(shape["hidden"])
    writer.add_feed_forward_length(shape["ffn"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["kv_heads"])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(500000.0)
    writer.add_rope_dimension_count(shape["hidden"] // shape["heads"])
    writer.add_vocab_size(shape["vocab"])
    add_vocabulary(writer, shape["vocab"])
    quantized = gguf.GGMLQuantizationType[kind]
    block, size = gguf.GGML_QUANT_SIZES[quantized]
    for tensor, dims in tensors(shape):
        if len(dims) == 1:
            writer.add_tensor_info(tensor, dims, numpy.dtype(numpy.float32), 4 * dims[0])
        else:
            stored = (dims[0], dims[1] // block * size)
            writer.add_tensor_info(tensor, stored, numpy.dtype(numpy.uint8),
                                   stored[0] * stored[1], raw_dtype=quantized)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor, dims in tensors(shape):
        writer.write_tensor_data(numpy.ones(dims, numpy.float32) if len(dims) == 1
                                 else random_blocks(rng, kind, *dims))
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SHAPES, required=True)
    parser.add_argument("--type", choices=SCALES, required=True)
    parser.add_argument("-o", "--output", required=True)
    options = parser.parse_args()
    write(options.output, f"synthetic-{options.size}-{options.type}", SHAPES[options.size],
          options.type)


if __name__ == "__main__":
    main()
