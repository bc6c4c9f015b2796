#!/usr/bin/env python3
# make_k_quants.py - Makes the golden blocks of K-quants with ggml itself.
# SPDX-License-Identifier: Apache-2.0
#
#   make_k_quants.py LIBGGML -o k_quants.npz
#
# LIBGGML: libggml-base.so of a build of llama.cpp for plain x86-64, without FMA.
"""Writes, for each type, the blocks of k_quants.special_rows(), and the SHA-256
of the fields of the blocks of many rows like those of a model."""
import argparse
import ctypes
import sys

import numpy as np

sys.dont_write_bytecode = True
import k_quants  # noqa: E402

IDS = {"q2_k": 10, "q3_k": 11, "q4_k": 12, "q5_k": 13, "q6_k": 14}


def quantize(library, name, rows):
    """Blocks [n, bytes]."""
    rows = np.ascontiguousarray(rows, np.float32)
    blocks = np.zeros((rows.size // k_quants.BLOCK, k_quants.SIZES[name]), np.uint8)
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
        ctypes.c_int64, ctypes.c_void_p]
    size = library.ggml_quantize_chunk(IDS[name], rows.ctypes.data, blocks.ctypes.data, 0,
                                       rows.shape[0], rows.shape[1], None)
    assert size == blocks.size
    return blocks


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("-o", "--output", required=True)
    options = parser.parse_args()
    library = ctypes.CDLL(options.library)
    arrays = {}
    for name in IDS:
        arrays[name] = quantize(library, name, k_quants.special_rows())
        blocks = quantize(library, name, k_quants.model_rows())
        arrays[name + "_sha256"] = np.array(k_quants.digest(k_quants.fields(name, blocks)))
    np.savez_compressed(options.output, **arrays)


if __name__ == "__main__":
    main()
