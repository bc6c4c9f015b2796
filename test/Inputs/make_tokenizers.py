#!/usr/bin/env python3
# make_tokenizers.py - Seeds of test/fuzz/tokenizer_fuzz.cpp.
# SPDX-License-Identifier: Apache-2.0
#
#   make_tokenizers.py --fuzz-corpus FOLDER
import argparse
import json
import os
import struct

MARK = "▁"
LETTERS = list("abcdeHlorWd12345 ',.!") + [MARK, "北", "<s>", "</s>", "<unk>"]


def bpe(**options):
    tokens = LETTERS + ["ll", "ell", "He", "aa"] + [f"<0x{b:02X}>" for b in (10, 0xCC, 0x81, 0xF0)]
    return {"type": "BPE", "vocab": {t: i for i, t in enumerate(tokens)},
            "merges": [["l", "l"], "e ll", "H e", ["a", "a"]], "unk_token": "<unk>", **options}


def added(*texts, **flags):
    return [{"id": LETTERS.index(t), "content": t, "special": True, **flags} for t in texts]


def sequence(key, *steps):
    return {"type": "Sequence", key: list(steps)}


def regex(pattern, behavior="Isolated"):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior}


UNIGRAM = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0]] + [
    [t, -1.5 * i] for i, t in enumerate(LETTERS[:-1] + ["ll", "ell"])]}
JSON = [
    {"model": bpe(byte_fallback=True, fuse_unk=True), "added_tokens": added("<s>", "</s>"),
     "normalizer": sequence("normalizers", {"type": "Prepend", "prepend": MARK}, {
         "type": "Replace", "pattern": {"String": " "}, "content": MARK}),
     "decoder": sequence("decoders", {"type": "Replace", "pattern": {"String": MARK},
                                      "content": " "}, {"type": "ByteFallback"},
                         {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1,
                                            "stop": 0})},
    {"model": bpe(ignore_merges=True), "normalizer": {"type": "NFC"},
     "added_tokens": added("<s>", normalized=True, lstrip=True, rstrip=True, single_word=True),
     "pre_tokenizer": sequence("pretokenizers", regex(
         r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"),
         {"type": "ByteLevel", "add_prefix_space": True, "use_regex": False}),
     "decoder": {"type": "ByteLevel"},
     "post_processor": {"type": "TemplateProcessing", "single": [
         {"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]}},
    {"model": bpe(), "pre_tokenizer": sequence(
        "pretokenizers", {"type": "Punctuation", "behavior": "Contiguous"},
        {"type": "ByteLevel"}, {"type": "Digits", "individual_digits": False},
        regex("[0-9][0-9]", "MergedWithNext"), regex("[ae]", "MergedWithPrevious")),
     "decoder": {"type": "ByteLevel"}},
    {"model": UNIGRAM, "normalizer": sequence("normalizers", {"type": "Nmt"}, {"type": "NFKC"}, {
        "type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}),
     "pre_tokenizer": {"type": "Metaspace", "replacement": MARK, "prepend_scheme": "first"},
     "decoder": {"type": "Metaspace", "replacement": MARK}},
    {"model": {"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##",
               "max_input_chars_per_word": 10,
               "vocab": {t: i for i, t in enumerate(["<unk>", "a", "##a", "b", "he", "##ll"])}},
     "normalizer": {"type": "BertNormalizer"}, "pre_tokenizer": {"type": "BertPreTokenizer"},
     "decoder": {"type": "WordPiece", "prefix": "##"}},
    {"model": bpe(), "normalizer": sequence(
        "normalizers", {"type": "Strip", "strip_left": True}, {"type": "Lowercase"},
        {"type": "StripAccents"}, {"type": "NFD"}, {"type": "Precompiled",
                                                    "precompiled_charsmap": "BAAAAAAAAABhAA=="}),
     "pre_tokenizer": sequence("pretokenizers", {"type": "WhitespaceSplit"},
                               {"type": "Whitespace"},
                               {"type": "CharDelimiterSplit", "delimiter": "."})},
]


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3) + varint(value)


def sentence_piece(kind, charsmap=b""):
    out = b""
    for i, text in enumerate(["<unk>", "<s>", "</s>", *LETTERS[:-3], "ll", "<0x41>"]):
        kinds = {0: 2, 1: 3, 2: 3}
        out += field(1, field(1, text.encode()) + field(2, -float(i)) +
                     field(3, 6 if text == "<0x41>" else kinds.get(i, 1)))
    out += field(2, field(3, kind) + field(35, 1) + field(40, 0))
    return out + field(3, field(2, charsmap) + field(3, 1) + field(4, 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fuzz-corpus", metavar="FOLDER", required=True)
    folder = parser.parse_args().fuzz_corpus
    os.makedirs(folder, exist_ok=True)
    seeds = [json.dumps(seed, ensure_ascii=False).encode() for seed in JSON]
    seeds += [sentence_piece(1), sentence_piece(2), sentence_piece(1, b"\4\0\0\0\0\0\0\0a\0")]
    for number, seed in enumerate(seeds):
        with open(os.path.join(folder, f"tokenizer-{number}"), "wb") as out:
            out.write(seed)


if __name__ == "__main__":
    main()
