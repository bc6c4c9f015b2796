# test_llama_cpp.py - Vocabularies of GGUF files against llama.cpp.
# SPDX-License-Identifier: Apache-2.0
"""Writes files that hold a vocabulary and nothing else, and compares the ids of
difficult text with llama.cpp's. Skipped without the package llama_cpp."""
import ctypes
import os
import re
import unicodedata

import pytest
from difficult_text import corpus
from test_tokenizer_json import byte_level
from text_tool import ask, model_file, read
from tokenizers import pre_tokenizers

gguf = pytest.importorskip("gguf")
llama_cpp = pytest.importorskip("llama_cpp")
SIZE = int(os.environ.get("QCC_TEXT_SIZE", 1 << 20))

# One name of each pre-tokenizer. Not compared are those where llama.cpp differs from the
# tokenizers library, which docs/RationaleText.md lists.
NAMES = ["gpt-2", "smollm", "llama-bpe", "dbrx", "glm4", "qwen2", "qwen35", "ufakzeka", "laguna",
         "jais-2", "deepseek-v3", "spark2_5", "deepseek-coder", "deepseek-llm", "bloom", "viking",
         "seed-coder", "bailingmoe", "exaone-moe", "minicpm5", "falcon", "chameleon", "default"]


# Special tokens to put into text.
NAMED = {"SmolLM2-135M-Instruct.Q4_1": ["<|im_start|>", "<|im_end|>", "<repo_name>", "<|endoftext|>"],
         "gemma-3-270m-Q4_K_M": ["<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>", "<unused7>"]}


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

    def ids(self, text, parse=False):
        return self.model.tokenize(text.encode(), add_bos=False, special=parse)

    def text(self, ids, special=False):
        """The bytes of an answer. Those of byte-level BPE come piece by piece, as its server
        sends them: of a whole text llama.cpp removes spaces before dots in some families."""
        vocab, buffer = self.model._model.vocab, ctypes.create_string_buffer(64 * len(ids) + 64)
        if llama_cpp.llama_vocab_type(vocab) == llama_cpp.LLAMA_VOCAB_TYPE_BPE:
            sizes = (llama_cpp.llama_token_to_piece(vocab, i, buffer, len(buffer), 0, special)
                     for i in ids)
            return b"".join(buffer.raw[:size] for size in sizes)
        size = llama_cpp.llama_detokenize(vocab, (llama_cpp.llama_token * len(ids))(*ids), len(ids),
                                          buffer, len(buffer), False, special)
        return buffer.raw[:size]


def check_texts(answers, image, reference, special=False):
    """What the ids of these answers stand for is llama.cpp's."""
    answers = [answer["ids"] for answer in answers]
    back = ask([{"op": "detokenize", "ids": ids, "special": special} for ids in answers], image)
    pairs = ((bytes.fromhex(answer["hex"]), reference.text(ids, special))
             for ids, answer in zip(answers, back, strict=True))
    wrong = [pair for pair in pairs if pair[0] != pair[1]]
    assert not wrong, (len(wrong), len(answers), min(wrong, key=lambda w: len(w[0])))


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
    tokens, types, merges = tables
    path = write(tmp_path / "vocab.gguf", tokens, types, merges, name)
    image, reference = read(path, tmp_path), Reference(path)
    texts = [known(t) for t in corpus(seed=name, size=SIZE // 4)]
    if name in ("deepseek-coder", "deepseek-llm"):  # it takes these spaces for another sign
        texts = [re.sub(r"(?=\s)[^\0-\x7f]", "", t) for t in texts]
    answers = ask([{"op": "tokenize", "text": t} for t in texts], image)
    wrong = []
    for text, answer in zip(texts, answers, strict=True):
        want = reference.ids(text)
        if answer.get("ids") != want:
            wrong.append((text, [tokens[i] for i in answer["ids"]], [tokens[i] for i in want]))
    assert not wrong, (len(wrong), len(texts), min(wrong, key=lambda w: len(w[0])))
    check_texts(answers, image, reference)


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
    image, reference = read(path, tmp_path), Reference(path)
    texts = [known(t) for t in corpus(seed=kind, size=SIZE // 4)]
    # Spaces alone get no prefix there.
    texts = [t for t in texts if t.strip(" ") and "\0" not in t]
    answers = ask([{"op": "tokenize", "text": t} for t in texts], image)
    wrong = [(t, [pieces[i].piece for i in a["ids"]], [pieces[i].piece for i in reference.ids(t)])
             for t, a in zip(texts, answers, strict=True) if a.get("ids") != reference.ids(t)]
    assert not wrong, (len(wrong), len(texts), min(wrong, key=lambda w: len(w[0])))
    check_texts(answers, image, reference)


@pytest.mark.parametrize("parse", [False, True])
@pytest.mark.parametrize("name", ["SmolLM2-135M-Instruct.Q4_1", "gemma-3-270m-Q4_K_M"])
def test_real_models(name, parse, tmp_path):
    path = model_file(name + ".gguf")
    if not path:
        pytest.skip("no QCC_MODELS")
    image, reference = read(path, tmp_path), Reference(path)
    texts = [known(t) for t in corpus(seed=name, size=SIZE // 4, names=NAMED[name] if parse else ())]
    # Gemma's "</s>" is HTML; llama.cpp takes it for the end of an answer. SmolLM2
    # has no tokens for some bytes, which llama.cpp drops after merging.
    unlike = "</s>" if "gemma" in name else "[\x04\x06\x13\x14\x16\x1d]"
    texts = [re.sub(unlike, "", t) for t in texts]
    answers = ask([{"op": "tokenize", "text": t, "parse": parse} for t in texts], image)
    wrong = []
    for text, answer in zip(texts, answers, strict=True):
        want = reference.ids(text, parse)
        if answer.get("ids") != want:
            wrong.append((text, answer["ids"], want))
    assert not wrong, (len(wrong), len(texts), min(wrong, key=lambda w: len(w[0])))
    check_texts(answers, image, reference, parse)
