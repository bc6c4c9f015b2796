#!/usr/bin/env python3
# make_gguf.py - Writes small GGUF files for tests, good and bad.
# SPDX-License-Identifier: Apache-2.0
#
#   make_gguf.py --list                 names of all files, one per line
#   make_gguf.py NAME -o FILE           writes one
#   make_gguf.py --all FOLDER           writes all as FOLDER/NAME.gguf, and
#                                       FOLDER/expected.txt: "NAME: message",
#                                       where a message is a part of the error,
#                                       or "ok"
#   make_gguf.py --fuzz-corpus FOLDER   seeds of test/fuzz/gguf_fuzz.cpp
#
# Needs nothing but Python. Also a module: `Writer` for other test scripts.

import argparse
import os
import struct

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
FORMATS = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f",
           BOOL: "?", U64: "Q", I64: "q", F64: "d"}

# name: (id, elements of a block, bytes of a block)
TYPES = {
    "F32": (0, 1, 4), "F16": (1, 1, 2), "Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20),
    "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24), "Q8_0": (8, 32, 34),
    "Q2_K": (10, 256, 84), "Q3_K": (11, 256, 110), "Q4_K": (12, 256, 144),
    "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210), "IQ2_XXS": (16, 256, 66),
    "IQ2_XS": (17, 256, 74), "IQ3_XXS": (18, 256, 98), "IQ1_S": (19, 256, 50),
    "IQ4_NL": (20, 32, 18), "IQ3_S": (21, 256, 110), "IQ2_S": (22, 256, 82),
    "IQ4_XS": (23, 256, 136), "I8": (24, 1, 1), "I16": (25, 1, 2),
    "I32": (26, 1, 4), "I64": (27, 1, 8), "F64": (28, 1, 8),
    "IQ1_M": (29, 256, 56), "BF16": (30, 1, 2), "TQ1_0": (34, 256, 54),
    "TQ2_0": (35, 256, 66), "MXFP4": (39, 32, 17), "NVFP4": (40, 64, 36),
    "Q1_0": (41, 128, 18), "Q2_0": (42, 64, 18),
}


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


class Writer:
    """A GGUF file. Numbers that the format derives can be overridden."""

    def __init__(self, version=3, alignment=32):
        self.version, self.alignment = version, alignment
        self.keys, self.infos, self.data = [], [], b""
        self.key_count = self.tensor_count = None

    def key(self, name, kind, value):
        body = string(value) if kind == STRING else struct.pack("<" + FORMATS[kind], value)
        return self.raw_key(name, kind, body)

    def array(self, name, kind, values, count=None):
        body = struct.pack("<IQ", kind, len(values) if count is None else count)
        for value in values:
            body += string(value) if kind == STRING else struct.pack("<" + FORMATS[kind], value)
        return self.raw_key(name, ARRAY, body)

    def raw_key(self, name, kind, body):
        self.keys.append(string(name) + struct.pack("<I", kind) + body)
        return self

    def tensor(self, name, dims, kind, data=None, offset=None):
        """`kind` is a name of TYPES or any id; data defaults to a fixed pattern."""
        ident, block, size = TYPES[kind] if isinstance(kind, str) else (kind, 1, 4)
        self.data += bytes(-len(self.data) % self.alignment)
        if offset is None:
            offset = len(self.data)
        if data is None:
            count = 1
            for dim in dims:
                count *= dim
            data = bytes((37 * i + 11) & 255 for i in range(min(count // block * size, 1 << 16)))
        self.infos.append(string(name) + struct.pack("<I", len(dims)) +
                          b"".join(struct.pack("<Q", d) for d in dims) +
                          struct.pack("<IQ", ident, offset))
        self.data += data
        return self

    def build(self):
        tensors = len(self.infos) if self.tensor_count is None else self.tensor_count
        keys = len(self.keys) if self.key_count is None else self.key_count
        header = b"GGUF" + struct.pack("<IQQ", self.version, tensors, keys)
        header += b"".join(self.keys) + b"".join(self.infos)
        if self.data:
            header += bytes(-len(header) % self.alignment) + self.data
        return header


def every_value_type():
    w = Writer().key("general.architecture", STRING, "llama")
    for kind in FORMATS:
        w.key(f"key.{kind}", kind, 1)
        w.array(f"array.{kind}", kind, [0, 1, 1])
    return w.array("strings", STRING, ["a", "", "\u2581b"])


def tiny_vocabulary(w):
    w.key("tokenizer.ggml.model", STRING, "llama")
    w.array("tokenizer.ggml.tokens", STRING, ["<unk>", "<s>", "</s>", "\u2581a"])
    w.array("tokenizer.ggml.scores", F32, [0.0, 0.0, 0.0, -1.0])
    w.array("tokenizer.ggml.token_type", I32, [2, 3, 3, 1])
    w.key("tokenizer.ggml.bos_token_id", U32, 1)
    return w.key("tokenizer.chat_template", STRING, "{{ messages }}")


def every_tensor_type():
    w = tiny_vocabulary(Writer().key("general.architecture", STRING, "llama"))
    for name, (_, block, _) in TYPES.items():
        w.tensor(f"tensor.{name}", [max(block, 32), 2], name)
    return w


def split_part(index, count=2, total=2):
    w = Writer()
    if index == 0:
        w.key("general.architecture", STRING, "llama")
    w.key("split.no", U16, index).key("split.count", U16, count)
    return w.key("split.tensors.count", I32, total).tensor(f"part.{index}", [32], "F32")


def one_tensor(dims=(8,), kind="F32", **options):
    return Writer().tensor("t", list(dims), kind, **options)


def with_key(name, kind, value):
    return Writer().key(name, kind, value)


def patched(writer, offset, data):
    built = bytearray(writer.build())
    built[offset:offset + len(data)] = data
    return bytes(built)


def counts(tensors=None, keys=None):
    w = Writer().key("a", U8, 1)
    w.tensor_count, w.key_count = tensors, keys
    return w


BIG = 1 << 63

# name: (bytes or Writer, part of the error; None when the file is good)
FILES = {
    # good
    "minimal": (Writer().key("general.architecture", STRING, "llama"), None),
    "version-2": (Writer(2).key("general.architecture", STRING, "llama"), None),
    "value-types": (every_value_type(), None),
    "tensor-types": (every_tensor_type(), None),
    "alignment-64": (Writer(alignment=64).key("general.alignment", U32, 64)
                     .tensor("a", [3], "F32").tensor("b", [3], "F32"), None),
    "split-00001-of-00002": (split_part(0), None),
    "split-00002-of-00002": (split_part(1), None),
    # header
    "empty": (b"", "the file is empty"),
    "not-gguf": (b"hello, world", "expected a GGUF file"),
    "ggjt": (b"tjgg\3\0\0\0", "from before GGUF"),
    "magic-only": (b"GGUF", "before the end of the file"),
    "version-0": (Writer(0), "GGUF version: expected 2 or 3, got 0"),
    "version-1": (Writer(1), "GGUF version 1 is obsolete"),
    "version-4": (Writer(4), "GGUF version: expected 2 or 3, got 4"),
    "big-endian": (Writer(3 << 24), "big-endian"),
    "key-count-huge": (counts(keys=BIG), "number of keys: expected at most"),
    "key-count-plus-1": (counts(keys=2), "number of keys: expected at most"),
    "tensor-count-huge": (counts(tensors=BIG), "number of tensors: expected at most"),
    "tensor-count-plus-1": (counts(tensors=1), "number of tensors: expected at most"),
    # keys
    "key-empty": (with_key("", U64, 1), "expected 1 to 65535 bytes, got 0"),
    "key-not-utf8": (with_key(b"\xff", U8, 1), "expected UTF-8"),
    "key-control": (with_key("a\x1bb", U8, 1), "control characters"),
    "key-twice": (Writer().key("a", U8, 1).key("a", U8, 2), "key 'a' occurs twice"),
    "key-length-huge": (patched(with_key("a", U8, 1), 24, struct.pack("<Q", BIG)),
                        "before the end of the file"),
    "value-type-unknown": (Writer().raw_key("a", 13, bytes(8)), "expected 0 to 12, got 13"),
    "value-bool-2": (Writer().raw_key("a", BOOL, b"\2"), "expected a bool of 0 or 1, got 2"),
    "string-length-huge": (Writer().raw_key("a", STRING, struct.pack("<Q", BIG)),
                           "before the end of the file"),
    "array-count-huge": (Writer().array("a", U64, [], count=1 << 61),
                         "before the end of the file"),
    "array-strings-huge": (Writer().array("a", STRING, [], count=BIG), "strings in the rest"),
    "array-type-unknown": (Writer().raw_key("a", ARRAY, struct.pack("<IQ", 99, 0)),
                           "element type: expected 0 to 12, got 99"),
    "array-nested": (Writer().raw_key("a", ARRAY, struct.pack("<IQ", ARRAY, 1)),
                     "array of arrays"),
    "alignment-0": (with_key("general.alignment", U32, 0), "expected a power of two"),
    "alignment-24": (with_key("general.alignment", U32, 24), "expected a power of two"),
    "alignment-huge": (with_key("general.alignment", U32, 1 << 31), "expected a power of two"),
    "alignment-u64": (with_key("general.alignment", U64, 32), "expected u32, got u64"),
    # tensors
    "name-empty": (Writer().tensor("", [8], "F32"), "expected 1 to 63 bytes, got 0"),
    "name-long": (Writer().tensor("n" * 64, [8], "F32"), "expected 1 to 63 bytes, got 64"),
    "name-not-utf8": (Writer().tensor(b"\xc0\x80", [8], "F32"), "expected UTF-8"),
    "name-twice": (Writer().tensor("t", [8], "F32").tensor("t", [8], "F32"),
                   "tensor 't' occurs twice"),
    "dims-5": (one_tensor([1] * 5), "at most 4 dimensions, got 5"),
    "dim-0": (one_tensor([8, 0]), "no dimension of 0"),
    "dims-wrap": (one_tensor([1 << 32, 1 << 32]), "fewer than 2^64 elements"),
    "bytes-wrap": (one_tensor([1 << 31, 1 << 31]), "fewer than 2^64 bytes"),
    "dim-not-blocks": (one_tensor([48, 2], "Q4_0"), "multiple of 32 (Q4_0)"),
    "type-removed": (one_tensor([32], 31), "(Q4_0_4_4) was removed"),
    "type-unknown": (one_tensor([32], 1000), "ggml type 1000 is unknown"),
    "offset-unaligned": (one_tensor(offset=4), "expected a multiple of 32"),
    "offset-past-end": (one_tensor(offset=64), "is it truncated?"),
    "offset-wraps": (one_tensor(offset=(1 << 64) - 32), "is it truncated?"),
    "overlap": (Writer().tensor("a", [16], "F32").tensor("b", [8], "F32", offset=32),
                "tensors 'a' and 'b' overlap"),
    "data-truncated": (one_tensor().build()[:-1], "is it truncated?"),
    # splits
    "split-alone": (split_part(1), "expected a name that ends in '-00002-of-00002.gguf'"),
    "split-count-huge": (Writer().key("split.no", U16, 0).key("split.count", U64, BIG),
                         "expected a part of at most 65535"),
    "split-total-00001-of-00001": (split_part(0, count=1, total=9), None),
}


def content(name):
    value = FILES[name][0]
    return value.build() if isinstance(value, Writer) else value


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def write_corpus(folder):
    os.makedirs(folder, exist_ok=True)
    for name in FILES:
        write(os.path.join(folder, name), content(name))
    parts = [content("split-00001-of-00002"), content("split-00002-of-00002")]
    write(os.path.join(folder, "split"),
          b"SPLT" + b"".join(struct.pack("<H", len(p)) + p for p in parts))
    # One type each: small inputs make quick mutations.
    for name, (_, block, _) in TYPES.items():
        write(os.path.join(folder, f"type-{name}"),
              Writer().tensor("t", [block], name).build())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name", nargs="?", choices=sorted(FILES))
    parser.add_argument("-o", dest="output")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--all", metavar="FOLDER")
    parser.add_argument("--fuzz-corpus", metavar="FOLDER")
    args = parser.parse_args()
    if args.list:
        print("\n".join(FILES))
    elif args.all:
        os.makedirs(args.all, exist_ok=True)
        with open(os.path.join(args.all, "expected.txt"), "w") as expected:
            for name, (_, message) in FILES.items():
                write(os.path.join(args.all, name + ".gguf"), content(name))
                expected.write(f"{name}: {message or 'ok'}\n")
    elif args.fuzz_corpus:
        write_corpus(args.fuzz_corpus)
    elif args.name and args.output:
        write(args.output, content(args.name))
    else:
        parser.error("give a name and -o FILE, --list, --all or --fuzz-corpus")


if __name__ == "__main__":
    main()
