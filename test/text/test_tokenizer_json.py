# test_tokenizer_json.py - tokenizer.json against Hugging Face's own library.
# SPDX-License-Identifier: Apache-2.0
"""Small tokenizers of each kind, trained here, read from a folder as qcc reads
it: ids and texts are those of the tokenizers library on difficult text."""
import json
import os
import pathlib
import struct

import pytest
from difficult_text import ALPHABETS, corpus
from text_tool import ask, build, read
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)

SIZE = int(os.environ.get("QCC_TEXT_SIZE", 1 << 20))
MARK = "▁"
CORPUS = [t for t in corpus(1, 60000)] + [pathlib.Path(__file__).read_text()]
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def train(model, trainer, normalizer=None, pre=None, decoder=None):
    tokenizer = Tokenizer(model)
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre:
        tokenizer.pre_tokenizer = pre
    if decoder:
        tokenizer.decoder = decoder
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def byte_level(pre, normalizer=None, ignore=False, decoder=None, size=1200):
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=["<|begin|>", "<|end|>"],
                                  show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    return train(models.BPE(ignore_merges=ignore), trainer, normalizer, pre,
                 decoder or decoders.ByteLevel())


BYTE_NAMES = [f"<0x{byte:02X}>" for byte in range(256)]
LLAMA_DECODER = decoders.Sequence([decoders.Replace(MARK, " "), decoders.ByteFallback(),
                                   decoders.Fuse(), decoders.Strip(" ", 1, 0)])
GEMMA_DECODER = decoders.Sequence([decoders.Replace(MARK, " "), decoders.ByteFallback(),
                                   decoders.Fuse()])


def with_bytes(tokenizer, **options):
    """The same BPE with byte fallback, as SentencePiece models are converted."""
    text = json.loads(tokenizer.to_str())
    model = text["model"]
    for name in BYTE_NAMES:
        model["vocab"].setdefault(name, len(model["vocab"]))
    model.update(byte_fallback=True, fuse_unk=True, unk_token="<unk>", **options)
    return Tokenizer.from_str(json.dumps(text))


def char_level(normalizer, pre=None, decoder=LLAMA_DECODER, bytes=True, **options):
    trainer = trainers.BpeTrainer(vocab_size=1500, show_progress=False, limit_alphabet=400,
                                  special_tokens=["<unk>", "<s>", "</s>"])
    # Trained in words, as merges across them are rare; used without.
    tokenizer = train(models.BPE(unk_token="<unk>"), trainer, normalizer,
                      split(MARK, "merged_with_next"), decoder)
    text = json.loads(tokenizer.to_str())
    text["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(text))
    if pre:
        tokenizer.pre_tokenizer = pre
    if bytes:
        return with_bytes(tokenizer, **options)
    text = json.loads(tokenizer.to_str())
    text["model"].update(options)
    return Tokenizer.from_str(json.dumps(text))


def llama2():
    tokenizer = char_level(normalizers.Sequence([normalizers.Prepend(MARK),
                                                 normalizers.Replace(" ", MARK)]))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def gemma():
    tokenizer = char_level(normalizers.Replace(" ", MARK),
                           pre_tokenizers.Split(" ", "merged_with_previous"), GEMMA_DECODER)
    tokenizer.add_tokens([AddedToken("\n\n", normalized=False),
                          AddedToken(MARK * 3, normalized=False),
                          AddedToken("<b>", normalized=False)])
    return tokenizer


def unigram(normalizer=None, pre=None, decoder=None, bytes=False):
    trainer = trainers.UnigramTrainer(vocab_size=4000, show_progress=False, unk_token="<unk>",
                                      special_tokens=["<pad>", "</s>"])
    metaspace = pre_tokenizers.Metaspace()
    tokenizer = train(models.Unigram(), trainer, normalizer, pre or metaspace,
                      decoder or decoders.Metaspace())
    if bytes:
        text = json.loads(tokenizer.to_str())
        text["model"]["byte_fallback"] = True
        text["model"]["vocab"] += [[name, -20.0] for name in BYTE_NAMES]
        tokenizer = Tokenizer.from_str(json.dumps(text))
        tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    return tokenizer


def word_piece(normalizer, pre, **options):
    trainer = trainers.WordPieceTrainer(
        vocab_size=1500, show_progress=False, limit_alphabet=400,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    tokenizer = train(models.WordPiece(unk_token="[UNK]", **options), trainer, normalizer, pre,
                      decoders.WordPiece())
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def flagged(tokenizer):
    tokenizer.add_tokens([
        AddedToken("<l>", lstrip=True, normalized=False),
        AddedToken("<r>", rstrip=True, normalized=False),
        AddedToken("<lr>", lstrip=True, rstrip=True, normalized=False),
        AddedToken("word", single_word=True, normalized=False),
        AddedToken("ЖЩ", normalized=True),
        AddedToken("<N>", normalized=True, lstrip=True)])
    tokenizer.add_special_tokens([AddedToken("<|turn|>", normalized=False)])
    return tokenizer


def charsmap():
    """A precompiled map as SentencePiece has it, out of a model trained here."""
    import io

    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2 as pb
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c d e f g h"] * 10), model_writer=model, vocab_size=12,
        model_type="unigram", minloglevel=2, hard_vocab_limit=False)
    return pb.ModelProto.FromString(model.getvalue()).normalizer_spec.precompiled_charsmap


FALCON = pre_tokenizers.Sequence([
    pre_tokenizers.Punctuation("contiguous"), GPT2,
    pre_tokenizers.Digits(individual_digits=False), split("[0-9][0-9][0-9]")])
BERT = pre_tokenizers.BertPreTokenizer()
FORMS = {"nfc": normalizers.NFC, "nfd": normalizers.NFD, "nfkc": normalizers.NFKC,
         "nfkd": normalizers.NFKD}

KINDS = {
    "gpt2": lambda: byte_level(GPT2),
    "prefix-space": lambda: byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "qwen": lambda: byte_level(pre_tokenizers.Sequence([split(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
        r"\s*[\r\n]+|\s+(?!\S)|\s+"), BYTES]), normalizers.NFC()),
    "any-regex": lambda: byte_level(pre_tokenizers.Sequence([split(
        r"\p{Han}+|[\p{Greek}\p{Cyrillic}]+|(?<=\w)[^\S\n]|\b\d{1,4}\b|\w+(?:-\w+)*|[[;:]!?]++|."),
        BYTES]), ignore=True),
    "behaviors": lambda: byte_level(pre_tokenizers.Sequence([
        split(r"\d", "contiguous"), split("[aeiou]", "merged_with_previous"),
        split("[,.]+", "merged_with_next"), split(r"\S+", "removed", True), BYTES])),
    # Matches of no characters: places to split at.
    "places": lambda: byte_level(pre_tokenizers.Sequence([
        split(r"\p{N}+"), split(r"(?=(\d{3})+(?!\d))"), split(r"(?<=[aeiou])|\s*"), BYTES])),
    "places-behaviors": lambda: byte_level(pre_tokenizers.Sequence([
        split(r"(?=[A-Z])", "merged_with_previous"), split(r"x*|(?=y)", "merged_with_next"),
        split(r"(?<=,)|z*", "contiguous"), split(r"(?=\d)|\s+", "removed"), BYTES])),
    "falcon": lambda: byte_level(FALCON),
    "byte-normalizer-free": lambda: byte_level(pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation(), pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.WhitespaceSplit(), BYTES])),
    "flags": lambda: flagged(byte_level(GPT2, normalizers.Lowercase())),
    "llama2": llama2,
    "gemma": gemma,
    "gemma-flags": lambda: flagged(gemma()),
    "characters": lambda: char_level(
        normalizers.Sequence([normalizers.Strip(), normalizers.Replace(Regex(r"\s+"), MARK)]),
        bytes=False, fuse_unk=False, unk_token="<unk>"),
    "ignore-merges": lambda: char_level(
        normalizers.Replace(" ", MARK), pre_tokenizers.Metaspace(prepend_scheme="first"),
        ignore_merges=True),
    "unigram": unigram,
    "unigram-bytes": lambda: unigram(
        normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(),
                              normalizers.Replace(Regex(" {2,}"), " ")]), bytes=True),
    "unigram-charsmap": lambda: unigram(
        normalizers.Sequence([normalizers.Precompiled(charsmap()),
                              normalizers.Replace(Regex(" {2,}"), " ")]),
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(),
                                 pre_tokenizers.Metaspace()])),
    "bert": lambda: word_piece(normalizers.BertNormalizer(), BERT),
    "bert-cased": lambda: word_piece(normalizers.BertNormalizer(lowercase=False), BERT,
                                     max_input_chars_per_word=12),
    "whitespace": lambda: word_piece(normalizers.Sequence([normalizers.NFD(),
                                                           normalizers.StripAccents()]),
                                     pre_tokenizers.Whitespace()),
    **{form: (lambda make=make: byte_level(GPT2, make())) for form, make in FORMS.items()},
}


def folder(path, tokenizer, config=None, model=None):
    """A folder with this tokenizer.json and next to no weights."""
    path.mkdir(exist_ok=True)
    text = tokenizer if isinstance(tokenizer, str) else tokenizer.to_str()
    (path / "tokenizer.json").write_text(text)
    (path / "config.json").write_text(json.dumps({"model_type": "llama", **(model or {})}))
    if config:
        (path / "tokenizer_config.json").write_text(json.dumps(config))
    header = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    return path


def names_of(tokenizer):
    """Texts that touch what is added."""
    out = []
    for token in tokenizer.get_added_tokens_decoder().values():
        out += [token.content, " " + token.content + "  ", "x" + token.content]
    return out


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_equals_the_tokenizers_library(kind, tmp_path):
    tokenizer = KINDS[kind]()
    image = read(folder(tmp_path / "model", tokenizer), tmp_path)
    # A text that spells the name of a byte token is that token there.
    texts = [t.replace("<0x", "<0") for t in corpus(seed=11, size=SIZE, names=names_of(tokenizer))]
    answers = ask([{"op": "tokenize", "text": t, "add": True, "parse": True} for t in texts],
                  image)
    expected = tokenizer.encode_batch(texts)
    wrong = [(t, a, e.tokens) for t, a, e in zip(texts, answers, expected, strict=True)
             if a.get("ids") != e.ids]
    assert not wrong, (len(wrong), len(texts), min(wrong, key=lambda w: len(w[0])))
    specials = [t.content for t in tokenizer.get_added_tokens_decoder().values()]
    back = ask([{"op": "detokenize", "ids": a["ids"]} for a in answers], image)
    wrong = []
    for text, answer, want in zip(texts, back, expected, strict=True):
        # There the prefix of a token that starts an answer stays.
        first = next((t for t in want.tokens if t not in specials), "")
        if first.startswith("##"):
            continue
        got = bytes.fromhex(answer["hex"]).decode("utf-8", "replace")
        if got != tokenizer.decode(want.ids):
            wrong.append((text, got, tokenizer.decode(want.ids), want.tokens))
    assert not wrong, (len(wrong), len(texts), min(wrong, key=lambda w: len(w[0])))


@pytest.mark.parametrize("pre", ["gemma4", "sarvam-moe"])
def test_marked_spaces_of_gguf(pre, tmp_path):
    """GGUF names the whole pipeline of such a vocabulary by its pre-tokenizer."""
    tokenizer = char_level(normalizers.Replace(" ", MARK), split(r"[^\n]+|\n+"), GEMMA_DECODER)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    special = {"<unk>": 2, "<s>": 3, "</s>": 3, **dict.fromkeys(BYTE_NAMES, 6)}
    image = build({"model": "gpt2", "pre": pre, "tokens": tokens,
                   "types": [special.get(token, 1) for token in tokens],
                   "merges": [" ".join(pair) for pair in model["merges"]]}, tmp_path)
    # What spells a byte token or a mark is that there.
    texts = [t.replace("<0x", "<0").replace(MARK, "") for t in corpus(seed=pre, size=SIZE)]
    expected = tokenizer.encode_batch(texts)
    answers = ask([{"op": "tokenize", "text": t, "parse": True} for t in texts], image)
    wrong = [(t, a, e.tokens) for t, a, e in zip(texts, answers, expected, strict=True)
             if a.get("ids") != e.ids]
    assert not wrong, (len(wrong), len(texts), min(wrong, key=lambda w: len(w[0])))
    back = ask([{"op": "detokenize", "ids": e.ids} for e in expected], image)
    wrong = [(t, b) for t, b in zip(texts, back, strict=True)
             if "<s>" not in t and "</s>" not in t and "<unk>" not in t
             and bytes.fromhex(b["hex"]) != t.encode()]
    assert not wrong, (len(wrong), len(texts), min(wrong, key=lambda w: len(w[0])))


# Of large blocks whose characters are all alike, some; of the others each.
LARGE = [(0x3400, 0x4DC0), (0x4E00, 0xA000), (0xAC00, 0xD7A4), (0xE000, 0xF900),
         (0x17000, 0x18D00), (0x20000, 0x323B0), (0x323B0, 0xE0000), (0xE0200, 0x110000)]
CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000 and (
    c % 97 == 0 or not any(a + 4 < c < b - 4 for a, b in LARGE) or c == 0x2B739)]


NORMALIZERS = {
    "bert": normalizers.BertNormalizer(), "lowercase": normalizers.Lowercase(),
    "bert-cased": normalizers.BertNormalizer(lowercase=False),
    "accents": normalizers.StripAccents(), "nmt": normalizers.Nmt(),
    "strip": normalizers.Strip(), "charsmap": None,
    **{form: make() for form, make in FORMS.items()},
}


@pytest.mark.parametrize("name", sorted(NORMALIZERS))
def test_every_code_point_is_normalized_alike(name, tmp_path):
    normalizer = NORMALIZERS[name] or normalizers.Precompiled(charsmap())
    tokenizer = Tokenizer(models.BPE({"a": 0}, []))
    tokenizer.normalizer = normalizer
    image = read(folder(tmp_path / "model", tokenizer), tmp_path)
    texts = ["".join(f"a{c}b\u0327\u0301{c}\u0301 " for c in CHARACTERS[i:i + 16])
             for i in range(0, len(CHARACTERS), 16)]
    assert differences(image, "normalize", "text", texts, normalizer.normalize_str) == []


def differences(image, op, key, texts, reference):
    """The code points of the texts that differ."""
    def wrong(texts):
        answers = ask([{"op": op, "text": t} for t in texts], image)
        return [t for t, a in zip(texts, answers, strict=True) if a.get(key) != reference(t)]

    found = wrong(texts)
    # Once more, one by one, for a short message.
    singles = [f"a{c}b\u0327\u0301{c}\u0301" for c in sorted(set("".join(found[:4000])))]
    return [hex(ord(t[1])) for t in wrong(singles)] or found


PRE_TOKENIZERS = {
    "bert": BERT, "whitespace": pre_tokenizers.Whitespace(),
    "whitespace-split": pre_tokenizers.WhitespaceSplit(),
    "digits": pre_tokenizers.Digits(individual_digits=True),
    "punctuation": pre_tokenizers.Punctuation(),
    "word": split(r"\w"), "no-word": split(r"\W+"), "number": split(r"\d"),
    "letters": split(r"\p{L}|\p{M}+"), "signs": split(r"[\p{P}\p{S}]"),
    "spaces": split(r"\s"), "no-spaces": split(r"[\S]"),
    "any-case": split("(?i:[a-zà-öα-ωа-я])"), "han": split(r"\p{Han}+"),
}


@pytest.mark.parametrize("name", sorted(PRE_TOKENIZERS))
def test_every_code_point_is_split_alike(name, tmp_path):
    pre = PRE_TOKENIZERS[name]
    tokenizer = Tokenizer(models.BPE({"a": 0}, []))
    tokenizer.pre_tokenizer = pre
    image = read(folder(tmp_path / "model", tokenizer), tmp_path)
    texts = ["".join(f"a{c}a1{c} {c}+{c}{c}  " for c in CHARACTERS[i:i + 32])
             for i in range(0, len(CHARACTERS), 32)]
    assert differences(image, "words", "words", texts, lambda t: [
        word for word, _ in pre.pre_tokenize_str(t)]) == []
