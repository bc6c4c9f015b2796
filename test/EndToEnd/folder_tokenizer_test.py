#!/usr/bin/env python3
# folder_tokenizer_test.py - Tokenizers of Hugging Face folders.
# SPDX-License-Identifier: Apache-2.0
#
#   folder_tokenizer_test.py --qcc build/bin/qcc [unittest arguments]
"""Trains tokenizers with the library `tokenizers`, compiles small models with
them and compares the token ids of difficult text with those of the library. Exits 77 (skipped) where `tokenizers` or numpy are missing."""
import json
import pathlib
import sys

SKIP = 77
try:
    import numpy  # noqa: F401
    from tokenizers import (AddedToken, Regex, Tokenizer, models, pre_tokenizers, processors,
                            trainers)
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(SKIP)

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test" / "text"))
sys.dont_write_bytecode = True
from difficult_text import corpus  # noqa: E402
from folder_case import FolderCase, run  # noqa: E402

FIXTURE = ROOT.parent / "shared" / "fixtures" / "tokenizer-smollm2"
VOCAB = 1200
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s|"
          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def split(digits):
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(LLAMA3 % digits), "isolated"), BYTES])


# Pre-tokenizer and ignore_merges.
KINDS = {
    "gpt-2": (GPT2, False),
    "smollm": (pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), GPT2]), False),
    "llama-bpe": (split(r"\p{N}{1,3}"), True),
    "dbrx": (split(r"\p{N}{1,3}"), False),
    "qwen2": (split(r"\p{N}"), False),
}


def train(kind):
    pre, ignore = KINDS[kind]
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore))
    tokenizer.pre_tokenizer = pre
    trainer = trainers.BpeTrainer(
        vocab_size=1000, special_tokens=["<|begin|>", "<|end|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    texts = [*corpus(1, 20000), pathlib.Path(__file__).read_text()]
    tokenizer.train_from_iterator(texts, trainer)
    # One that is text, and one beyond the vocabulary, with a hole before.
    tokenizer.add_tokens([AddedToken("<tag>", normalized=False)])
    tokenizer.add_special_tokens([AddedToken("<|turn|>", normalized=False)])
    return tokenizer


class TestCase(FolderCase):
    def make(self, tokenizer, config=None, template=None, vocab=VOCAB, model=None):
        folder = super().make(vocab=vocab, layers=1, tied=True, config=model)
        files = {"tokenizer.json": tokenizer if isinstance(tokenizer, str)
                 else tokenizer.to_str(), "chat_template.jinja": template,
                 "tokenizer_config.json": json.dumps(config) if config else None}
        for name, text in files.items():
            (folder.path / name).unlink(missing_ok=True)
            if text is not None:
                (folder.path / name).write_text(text)
        return folder.path

    def check_ids(self, tokenizer, specials, seeds=3):
        for seed in range(seeds):
            # An argument holds no NUL.
            text = "".join(corpus(100 + seed, 6000, specials)).replace("\0", "")
            result = self.qcc("run", self.library, "tokenize", "--json", text)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertEqual(json.loads(result.stdout)["ids"], tokenizer.encode(text).ids)


class Tokenizers(TestCase):
    def test_splits(self):
        for kind in KINDS:
            with self.subTest(kind=kind):
                tokenizer = train(kind)
                path = self.make(tokenizer)
                self.compile(path)
                self.check_ids(tokenizer, ["<|begin|>", "<tag>", "<|turn|>"])

    def test_bos_eos_and_template(self):
        tokenizer = train("qwen2")
        tokenizer.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single="<|begin|> $A <|end|>",
                                          special_tokens=[("<|begin|>", 0), ("<|end|>", 1)])])
        # As older versions write merges.
        text = json.loads(tokenizer.to_str())
        text["model"]["merges"] = [" ".join(pair) for pair in text["model"]["merges"]]
        turn = tokenizer.token_to_id("<|turn|>")
        path = self.make(json.dumps(text),
                         config={"bos_token": {"content": "<|begin|>"}, "eos_token": "<|end|>"},
                         template="{% for m in messages %}{{ m.content }}{% endfor %}",
                         model={"eos_token_id": [1, turn]})
        self.compile(path)
        self.check_ids(tokenizer, ["<|begin|>"], seeds=1)
        facts = json.loads(self.qcc("inspect", "--json", path).stdout)
        self.assertEqual(facts["tokenizer"]["tokenizer.ggml.bos_token_id"], 0)
        self.assertEqual(facts["tokenizer"]["tokenizer.ggml.eos_token_ids"], [1, turn])
        self.assertIn("messages", facts["chat_template"])
        info = json.loads(self.qcc("run", self.library, "info", "--json").stdout)
        self.assertEqual((info["bos"], info["eos"]), (0, 1))

    def test_templates_by_name(self):
        said = "{{ raise_exception('%s ' ~ tools|tojson ~ thinks ~ messages[0].content) }}"
        path = self.make(train("gpt-2"), config={"chat_template": [
            {"name": "default", "template": said % "plain"},
            {"name": "tool_use", "template": said % "with tools"}]})
        self.compile(path)
        tools = self.folder / "tools.json"
        for text, options, expected in [
                (None, [], "plain nullHi"),
                ('[{"name": "f"}]', [], 'with tools [{"name": "f"}]Hi'),
                ("[]", ["--chat-variables", '{"thinks": false}'], "with tools []FalseHi"),
                ("{}", [], "tools: expected a JSON array, got dict"),
                ("", ["--chat-variables", "[1"], "variables: JSON: expected")]:
            with self.subTest(tools=text, options=options):
                if text is not None:
                    tools.write_text(text)
                    options = [*options, "--tools", tools]
                result = self.qcc("run", self.library, *options, "Hi")
                self.assertEqual(result.returncode, 1)
                self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
                self.assertIn(expected, result.stderr)

    def test_a_published_one(self):
        if not FIXTURE.exists():
            self.skipTest("no tokenizer-smollm2 beside this checkout")
        tokenizer = Tokenizer.from_file(str(FIXTURE / "tokenizer.json"))
        read = [(FIXTURE / name).read_text() for name in
                ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")]
        self.compile(self.make(read[0], config=json.loads(read[1]), template=read[2],
                               vocab=49152))
        self.check_ids(tokenizer, ["<|im_start|>", "<|im_end|>"], seeds=5)


class Refused(TestCase):
    def refuse(self, change, part, **options):
        text = json.loads(self.tokenizer)
        change(text)
        path = self.make(json.dumps(text), **options)
        result = self.qcc(path, "-o", self.library)
        self.assertEqual(result.returncode, 1, part)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertIn("tokenizer.json: ", result.stderr)
        self.assertIn(part, result.stderr)
        # What does not need it works.
        self.assertEqual(self.qcc("inspect", path).returncode, 0)
        self.assertEqual(self.qcc(path, "--emit=import", "-o", "-").returncode, 0)

    def test_all(self):
        self.tokenizer = train("gpt-2").to_str()

        def change(*keys, value):
            def apply(text):
                for key in keys[:-1]:
                    text = text[key]
                text[keys[-1]] = value
            return apply
        refuse = self.refuse
        refuse(change("model", "type", value="WordLevel"), "a tokenizer of type 'WordLevel'")
        refuse(change("model", "dropout", value=0.1), "BPE with dropout")
        refuse(change("model", "vocab", "x", value=-1), "token 'x': expected an id below")
        refuse(change("model", "vocab", "x", value=5), "id 5 is that of two tokens")
        refuse(change("model", "merges", 0, value=1), "merges: expected texts or pairs")
        refuse(change("model", "merges", 0, value="a no-such"), "merge 0 needs 'no-such'")
        refuse(change("normalizer", value={"type": "ByteLevel"}), "normalizer 'ByteLevel'")
        refuse(change("normalizer", value={"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
               "precompiled_charsmap: expected a trie")
        refuse(change("pre_tokenizer", value={"type": "UnicodeScripts"}),
               "pre_tokenizer 'UnicodeScripts'")
        refuse(change("decoder", value={"type": "CTC"}), "decoder 'CTC'")

        def pattern(text):
            return change("pre_tokenizer", value={"type": "Split", "behavior": "Isolated",
                                                  "pattern": {"Regex": text}})
        for text, part in (("(?<x>a)", "has '(?<', which is not supported"),
                           ("[a&&b]", "has '&&' in a class"), ("a(", "has an open group"),
                           (r"\p{Cn}", "has property 'Cn'"), (r"(a)\1", r"has '\1'"),
                           ("(?i)ss", "has 'ss' without case"),
                           ("(?<=a+)b", "cannot compile the pattern")):
            refuse(pattern(text), part)
        refuse(change("normalizer", value={"type": "Replace", "pattern": {"Regex": "a*"},
                                           "content": "b"}), "matches the empty text")
        refuse(change("post_processor", value={"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<|turn|>"}}, {"Sequence": {"id": "A"}}]}),
            "adds other tokens than bos and eos", config={"bos_token": "<|begin|>"})
        refuse(change("version", value="1.0"), "expected at most 900 tokens", vocab=900)
        refuse(change("version", value="1.0"), "token '<x>' is missing, which is bos_token",
               config={"bos_token": "<x>"})


if __name__ == "__main__":
    run("--qcc")
