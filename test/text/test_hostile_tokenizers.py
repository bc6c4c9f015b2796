# test_hostile_tokenizers.py - Tokenizers that mean no good.
# SPDX-License-Identifier: Apache-2.0
"""Texts and tokenizer files made to crash, to grow or to take forever: an answer or one
error, soon. And where the tokenizers library has rules that are easily missed."""
import base64
import json
import struct

import pytest
from test_tokenizer_json import folder
from text_tool import ask, read
from tokenizers import Tokenizer


def tokenizer(model, **parts):
    return {"version": "1.0", "model": model, "added_tokens": [], **parts}


def bpe(**parts):
    return tokenizer({"type": "BPE", "vocab": {"a": 0}, "merges": []}, **parts)


def added(content, id=1, **flags):
    return {"id": id, "content": content, "special": False, "single_word": False, "lstrip": False,
            "rstrip": False, "normalized": False, **flags}


def image_of(tokenizer, path, **options):
    return read(folder(path / "model", json.dumps(tokenizer), **options), path)


def ids(image, text):
    key = "hex" if isinstance(text, bytes) else "text"
    text = text.hex() if isinstance(text, bytes) else text
    return ask([{"op": "tokenize", key: text, "add": False, "parse": True}], image)[0]


def refused(tokenizer, path, **options):
    with pytest.raises(ValueError) as error:
        image_of(tokenizer, path, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_bytes_beside_a_token_that_stands_alone(tmp_path):
    image = image_of(bpe(added_tokens=[added("word", single_word=True)]), tmp_path)
    for bad in (b"\xff", b"\xfd\xbf\xbf\xbf", b"\xc3", b"\xf8\x80\x80\x80"):
        assert 1 in ids(image, bad + b"word")["ids"]


def test_a_map_that_makes_no_utf8(tmp_path):
    # One character, 'a', to a byte sequence that is none.
    units = [0] * 256
    units[0] = 97 << 10
    units[97 ^ 97] = units[0]
    trie = [0] * 512
    trie[0] = 256 << 10                 # the root's children are at 256 ^ byte
    trie[256 ^ 97] = 97 | 1 << 8 | 1 << 10
    trie[256 ^ 97 ^ 1] = 0              # the value: the text at 0
    table = struct.pack(f"<I{len(trie)}I", 4 * len(trie), *trie) + b"\xfd\xbf\xbf\xbf\xbf\xbf\0"
    normalizer = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(table).decode()}
    split = {"type": "Split", "pattern": {"Regex": r"[\p{L}x]"}, "behavior": "Isolated",
             "invert": False}
    image = image_of(bpe(normalizer=normalizer, pre_tokenizer=split), tmp_path)
    answer = ids(image, "aaaa")
    assert "not UTF-8" in answer.get("error", ""), answer


def test_steps_that_grow(tmp_path):
    double = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    steps = {"type": "Sequence", "normalizers": [double] * 40}
    assert "grows to more than" in refused(
        bpe(normalizer=steps, added_tokens=[added("aaa", normalized=True)]), tmp_path)
    image = image_of(bpe(normalizer=steps), tmp_path)
    assert "grows to more than" in ids(image, "aaa")["error"]
    decoder = {"type": "Sequence", "decoders": [double] * 40}
    assert "grow so much" in refused(bpe(decoder=decoder), tmp_path)


def test_many_steps(tmp_path):
    steps = {"type": "Sequence", "normalizers": [{"type": "NFC"}] * 100000}
    assert "so many steps" in refused(bpe(normalizer=steps), tmp_path)


def test_keys_of_the_config_are_not_the_tokenizers(tmp_path):
    deep = '{"type":"Sequence","pretokenizers":[' * 60000 + "]}" * 60000
    path = folder(tmp_path / "model", json.dumps(bpe()), model={
        "tokenizer.ggml.model": "huggingface", "tokenizer.ggml.tokens": ["a"],
        "tokenizer": {"huggingface": {"json": '{"pre_tokenizer":' + deep + "}"}}})
    (path / "tokenizer.json").unlink()
    read(path, tmp_path)  # a folder without a tokenizer


def test_long_words_and_tokens(tmp_path):
    """Time is linear where the vocabulary's tokens are short."""
    word = tokenizer({"type": "WordPiece", "vocab": {"[UNK]": 0, "a": 1, "##a": 2},
                      "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 10000})
    image = image_of(word, tmp_path)
    assert ids(image, "a" * 10000)["ids"] == [1] + [2] * 9999
    unigram = tokenizer({"type": "Unigram", "unk_id": 0,
                         "vocab": [["<unk>", 0.0], ["b" * 5000, -1.0]], "byte_fallback": False})
    assert "expected at most 4096" in refused(unigram, tmp_path)


def test_white_space_that_is_taken(tmp_path):
    image = image_of(bpe(added_tokens=[added(" ", rstrip=True)]), tmp_path)
    assert ids(image, " " * 40000)["ids"] == [1] * 40000


def check(path, text, **parts):
    """The ids of the tokenizers library."""
    file = tokenizer(**parts)
    reference = Tokenizer.from_str(json.dumps(file))
    got = ids(image_of(file, path), text)["ids"]
    assert got == reference.encode(text).ids
    return got


def test_tokens_beside_the_model(tmp_path):
    """Words are not looked up among them."""
    assert check(tmp_path, "ABC", model={
        "type": "WordPiece", "vocab": {"[UNK]": 0, "a": 1, "##b": 2, "##c": 3}, "unk_token": "[UNK]",
        "continuing_subword_prefix": "##", "max_input_chars_per_word": 100},
        normalizer={"type": "Lowercase"}, added_tokens=[added("abc", id=4)]) == [1, 2, 3]


def test_ids_without_a_token(tmp_path):
    file = tokenizer({"type": "Unigram", "unk_id": 0, "byte_fallback": False,
                      "vocab": [["<unk>", 0.0], ["[", -1.0], ["a", -1.0]]})
    image = image_of(file, tmp_path, model={"vocab_size": 5})
    assert 4 not in ids(image, "[PAD4]")["ids"]


@pytest.mark.parametrize("pattern", ["a{2}?", "(?i:ß)", "(?i:[ß])", "(?i:[ß-ö])", "(?i)x|ﬁ", "\\\n"])
def test_patterns_that_pcre2_reads_differently(pattern, tmp_path):
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    assert "not supported" in refused(bpe(pre_tokenizer=split), tmp_path)


def test_word_piece_without_a_prefix(tmp_path):
    file = tokenizer({"type": "WordPiece", "vocab": {"[UNK]": 0, "a": 1}, "unk_token": "[UNK]",
                      "continuing_subword_prefix": "", "max_input_chars_per_word": 100},
                     decoder={"type": "WordPiece", "prefix": "", "cleanup": False})
    image = image_of(file, tmp_path)
    answer = ask([{"op": "detokenize", "ids": [1, 1]}], image)[0]
    assert bytes.fromhex(answer["hex"]).decode() == Tokenizer.from_str(
        json.dumps(file)).decode([1, 1])


def test_an_image_that_lies(tmp_path):
    image = image_of(bpe(), tmp_path)
    data = bytearray(image.read_bytes())
    data[40:44] = struct.pack("<I", 1)  # normalizers, of which there is no step
    image.write_bytes(data)
    with pytest.raises(RuntimeError) as error:
        ids(image, "a")
    assert "1 of 0 steps are normalizers" in str(error.value)
