# test_sentencepiece.py - tokenizer.model against SentencePiece itself.
# SPDX-License-Identifier: Apache-2.0
"""Models of both types, trained here, read from a folder that has no
tokenizer.json, and the same for vocab.json with merges.txt."""
import io
import json
import os
import random

import pytest
import sentencepiece
from difficult_text import ALPHABETS, corpus
from sentencepiece import sentencepiece_model_pb2 as pb
from test_tokenizer_json import byte_level, folder
from text_tool import ask, read
from tokenizers import AddedToken, Regex, normalizers, pre_tokenizers

SIZE = int(os.environ.get("QCC_TEXT_SIZE", 1 << 20))


def sentences():
    rng = random.Random(3)
    words = ["".join(rng.choice(a) for _ in range(rng.randrange(1, 6)))
             for a in ALPHABETS for _ in range(60)]
    return [" ".join(rng.choice(words) for _ in range(20)) for _ in range(2000)]


def train(**options):
    model = io.BytesIO()
    defaults = dict(vocab_size=2500, byte_fallback=True, normalization_rule_name="identity",
                    remove_extra_whitespaces=False, character_coverage=0.98, minloglevel=2)
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(sentences()),
                                             model_writer=model, **{**defaults, **options})
    return model.getvalue()


KINDS = {
    "bpe": dict(model_type="bpe"),
    "bpe-no-prefix": dict(model_type="bpe", add_dummy_prefix=False),
    "bpe-nfkc": dict(model_type="bpe", normalization_rule_name="nmt_nfkc",
                     remove_extra_whitespaces=True),
    "unigram": dict(model_type="unigram", vocab_size=900),
    "unigram-nfkc": dict(model_type="unigram", vocab_size=900, normalization_rule_name="nmt_nfkc_cf",
                         remove_extra_whitespaces=True, byte_fallback=False),
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_equals_sentencepiece(kind, tmp_path):
    model = train(**KINDS[kind])
    reference = sentencepiece.SentencePieceProcessor(model_proto=model)
    path = folder(tmp_path / "model", "{}", config={"add_bos_token": False,
                                                    "add_eos_token": False})
    (path / "tokenizer.json").unlink()
    (path / "tokenizer.model").write_bytes(model)
    image = read(path, tmp_path)
    # SentencePiece ends a text at NUL.
    texts = [t for t in corpus(seed=9, size=SIZE) if "\0" not in t]
    texts += [random.Random(4).choice(sentences())[:60] for _ in range(50)]
    answers = ask([{"op": "tokenize", "text": t, "add": True} for t in texts], image)
    for text, answer in zip(texts, answers, strict=True):
        assert answer.get("ids") == reference.encode(text), text
    back = ask([{"op": "detokenize", "ids": a["ids"]} for a in answers], image)
    for text, answer, ids in zip(texts, back, answers, strict=True):
        if not any(map(reference.is_unknown, ids["ids"])):
            assert bytes.fromhex(answer["hex"]).decode() == reference.decode(ids["ids"]), text


def test_vocab_and_merges(tmp_path):
    qwen = byte_level(pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
        r"\s*[\r\n]+|\s+(?!\S)|\s+"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]), normalizers.NFC())
    gpt2 = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))
    for name, tokenizer in (("Qwen2Tokenizer", qwen), ("GPT2TokenizerFast", gpt2)):
        tokenizer.add_tokens([AddedToken("<tag>", normalized=False)])
        tables = json.loads(tokenizer.to_str())
        path = folder(tmp_path / "model", "{}", config={
            "tokenizer_class": name, "eos_token": "<|end|>", "added_tokens_decoder": {
                str(t.pop("id")): t for t in tables["added_tokens"]}})
        (path / "tokenizer.json").unlink()
        (path / "vocab.json").write_text(json.dumps(tables["model"]["vocab"]))
        (path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(
            " ".join(pair) for pair in tables["model"]["merges"]) + "\n")
        image = read(path, tmp_path)
        texts = corpus(seed=12, size=SIZE // 4, names=["<tag>", "<|begin|>"])
        answers = ask([{"op": "tokenize", "text": t, "parse": True} for t in texts], image)
        for text, answer, want in zip(texts, answers, tokenizer.encode_batch(texts), strict=True):
            assert answer.get("ids") == want.ids, text


def test_lying_files_are_refused(tmp_path):
    good = train(model_type="bpe", vocab_size=600)
    path = folder(tmp_path / "model", "{}")
    (path / "tokenizer.json").unlink()

    def refuse(data, part):
        (path / "tokenizer.model").write_bytes(data)
        with pytest.raises(ValueError, match=part):
            read(path, tmp_path)

    def changed(change):
        proto = pb.ModelProto.FromString(good)
        change(proto)
        return proto.SerializeToString()

    def kind(proto):
        proto.trainer_spec.model_type = pb.TrainerSpec.WORD

    def suffix(proto):
        proto.trainer_spec.treat_whitespace_as_suffix = True

    def byte(proto):
        proto.pieces[5].piece = "<0xZZ>"

    def charsmap(proto):
        proto.normalizer_spec.precompiled_charsmap = b"\x08\0\0\0abc"

    refuse(good[:-3], "expected a protobuf field at byte")
    refuse(b"", "is empty")
    refuse(b"\x0a\x01", "expected a protobuf field")
    refuse(b"\x10\x01", "expected pieces, got none")
    refuse(changed(kind), "a model of type 3 is not supported")
    refuse(changed(suffix), "treat_whitespace_as_suffix")
    refuse(changed(byte), "piece 5: expected <0x00> to <0xFF>")
    refuse(changed(charsmap), "precompiled_charsmap.*expected a trie")
    # Each byte in turn: an error or a tokenizer, never a crash.
    rng = random.Random(5)
    for _ in range(60):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        (path / "tokenizer.model").write_bytes(data)
        try:
            read(path, tmp_path)
        except ValueError as error:
            assert len(str(error).splitlines()) == 1, error
