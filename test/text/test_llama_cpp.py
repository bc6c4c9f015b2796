# test_llama_cpp.py - Vocabularies of GGUF files against llama.cpp.
# SPDX-License-Identifier: Apache-2.0
"""Writes files that hold a vocabulary and nothing else, and compares the ids of
difficult text with llama.cpp's. Skipped without the package llama_cpp."""
import ctypes
import os
import pathlib
import re
import unicodedata

import pytest
from difficult_text import corpus
from test_tokenizer_json import byte_level
from test_llama_cpp_digests import (GEMMA, NAMED, NAMES, SMOL, UNLIKE, UNSEEN, Ours, random_ids,
                                    read_spec)
from text_tool import model_file
from tokenizers import pre_tokenizers

gguf = pytest.importorskip("gguf")
llama_cpp = pytest.importorskip("llama_cpp")
SIZE = int(os.environ.get("QCC_TEXT_SIZE", 1 << 20))

def write(path, tokens, types, merges, pre):
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


class Reference:
    def __init__(self, path):
        self.model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
        self.vocab = self.model._model.vocab
        self.size = llama_cpp.llama_vocab_n_tokens(self.vocab)

    def encode(self, texts, parse):
        return [self.model.tokenize(t.encode(), add_bos=False, special=parse) for t in texts]

    def decode(self, lists, special):
        return [self.answer(ids, special) for ids in lists]

    def answer(self, ids, special):
        """The bytes of an answer. Those of byte-level BPE come piece by piece, as its server
        sends them: of a whole text llama.cpp removes spaces before dots in some families."""
        buffer = ctypes.create_string_buffer(512 * len(ids) + 512)
        if llama_cpp.llama_vocab_type(self.vocab) == llama_cpp.LLAMA_VOCAB_TYPE_BPE:
            sizes = (llama_cpp.llama_token_to_piece(self.vocab, i, buffer, len(buffer), 0, special)
                     for i in ids)
            return b"".join(buffer.raw[:size] for size in sizes)
        size = llama_cpp.llama_detokenize(self.vocab, (llama_cpp.llama_token * len(ids))(*ids),
                                          len(ids), buffer, len(buffer), False, special)
        return buffer.raw[:size]


def check(texts, ours, reference, parse=False):
    """The ids of these texts, and what these stand for, are llama.cpp's."""
    ids, wanted = ours.encode(texts, parse), reference.encode(texts, parse)
    wrong = [found for found in zip(texts, ids, wanted, strict=True) if found[1] != found[2]]
    assert not wrong, (len(wrong), len(texts), min(wrong, key=lambda w: len(w[0])))
    check_answers(ids, ours, reference, parse)


def check_answers(ids, ours, reference, special):
    found = zip(ids, ours.decode(ids, special), reference.decode(ids, special), strict=True)
    wrong = [pair for pair in found if pair[1] != pair[2]]
    assert not wrong, (len(wrong), len(ids), min(wrong, key=lambda w: len(w[0])))


def known(text):
    """Without the characters that one of the two does not know, and without the
    long s, which llama.cpp does not fold ("'ſ" is "'s" for the published patterns)."""
    return "".join(c for c in text if c != "ſ" and unicodedata.category(c) not in ("Cn", "Co"))


@pytest.fixture(scope="session")
def tables():
    import json
    model = json.loads(byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False),
                                  size=3000).to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    types = [3 if t.startswith("<|") else 1 for t in tokens]
    return tokens, types, [" ".join(pair) for pair in model["merges"]]


@pytest.mark.parametrize("name", NAMES)
def test_pre_tokenizers(name, tables, tmp_path):
    path = write(tmp_path / "vocab.gguf", *tables, name)
    texts = [known(t) for t in corpus(seed=name, size=SIZE)]
    if name in UNSEEN:
        texts = [re.sub(UNSEEN[name], "", t) for t in texts]
    check(texts, Ours(path, tmp_path), Reference(path))


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_sentence_piece(kind, prefix, tmp_path):
    from sentencepiece import sentencepiece_model_pb2 as pb
    from test_sentencepiece import KINDS, train
    # It has no byte fallback for Unigram.
    model = pb.ModelProto.FromString(train(**{**KINDS[kind], "add_dummy_prefix": prefix,
                                              "byte_fallback": kind == "bpe"}))
    pieces = model.pieces
    path = tmp_path / "vocab.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_tokenizer_model("llama" if kind == "bpe" else "t5")
    writer.add_token_list([p.piece for p in pieces])
    writer.add_token_scores([p.score for p in pieces])
    writer.add_token_types([p.type for p in pieces])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_space_prefix(prefix)
    writer.add_remove_extra_whitespaces(False)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    texts = [known(t) for t in corpus(seed=kind, size=SIZE)]
    # Spaces alone get no prefix there.
    texts = [t for t in texts if t.strip(" ") and "\0" not in t]
    check(texts, Ours(path, tmp_path), Reference(path))


@pytest.mark.parametrize("parse", [False, True])
@pytest.mark.parametrize("name", [SMOL, GEMMA])
def test_real_models(name, parse, tmp_path):
    path = model_file(name + ".gguf")
    if not path:
        pytest.skip("no QCC_MODELS")
    ours, reference = Ours(path, tmp_path), Reference(path)
    texts = [known(t) for t in corpus(seed=name, size=SIZE, names=NAMED[name] if parse else ())]
    check([re.sub(UNLIKE[name], "", t) for t in texts], ours, reference, parse)
    check_answers(random_ids(name, reference.size), ours, reference, parse)


def published():
    """GGUF files of vocabularies, such as those of llama.cpp's folder `models`."""
    folder = os.environ.get("QCC_VOCABULARIES")
    return sorted(pathlib.Path(folder).glob("*.gguf")) if folder else []


def unlike(path):
    """What docs/RationaleText.md says of texts that the two read differently: white space
    of deepseek-llm, bytes without a token, and "</s>" where it is no control token."""
    spec = read_spec(path)
    tokens = spec["tokens"]
    parts = [UNSEEN.get(spec["pre"], "")]
    if spec["model"] == "gpt2":
        letters = bytes_char()
        parts += [re.escape(chr(b)) for b in range(128) if letters[b] not in tokens]
    if "</s>" in tokens and spec["types"][tokens.index("</s>")] == 4:
        parts.append("</s>")
    return "|".join(part for part in parts if part)


def unspelled_tokens(path):
    """Tokens of byte-level BPE that spell no bytes, which llama.cpp shows as errors."""
    spec = read_spec(path)
    letters = set(bytes_char().values())
    return {i for i, (token, kind) in enumerate(zip(spec["tokens"], spec["types"], strict=True))
            if spec["model"] == "gpt2" and kind == 1 and not letters.issuperset(token)}


def bytes_char():
    """The printable character that stands for each byte in byte-level vocabularies."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + i) for i, b in enumerate(others)}}


@pytest.mark.parametrize("path", published(), ids=lambda path: path.stem)
def test_published_vocabularies(path, tmp_path):
    if read_spec(path)["model"] == "bert":
        pytest.skip("of embedding models")
    ours, reference = Ours(path, tmp_path), Reference(path)
    texts = [known(t) for t in corpus(seed=path.stem, size=SIZE)]
    if pattern := unlike(path):
        texts = [re.sub(pattern, "", t) for t in texts]
    check(texts, ours, reference)
    unspelled = unspelled_tokens(path)
    chosen = [[i for i in ids if i not in unspelled]
              for ids in random_ids(path.stem, reference.size)]
    check_answers(chosen, ours, reference, True)
