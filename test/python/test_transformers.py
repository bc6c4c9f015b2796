# test_transformers.py - With transformers' own tokenizer, streamers and cache.
# SPDX-License-Identifier: Apache-2.0
"""The snippet that everybody knows, where only the model's class comes from qcc; and
models by name, from the cache that huggingface_hub keeps."""

import contextlib
import io
import json
import pathlib

import numpy as np
import pytest
import qcc

pytest.importorskip("tokenizers")
from hf_folder import Folder  # noqa: E402
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: E402

TEMPLATE = ("{% for m in messages %}<|turn|>{{ m.role }}: {{ m.content }}{% endfor %}"
            "{% if add_generation_prompt %}<|turn|>assistant: {% endif %}")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Hugging Face folder with a tokenizer that was trained on this file."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<|end|>", "<|turn|>"],
                                  show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([pathlib.Path(__file__).read_text()], trainer)
    path = Folder(tmp_path_factory.mktemp("folder") / "m", vocab=400, layers=1, tied=True).path
    tokenizer.save(str(path / "tokenizer.json"))
    (path / "chat_template.jinja").write_text(TEMPLATE)
    (path / "tokenizer_config.json").write_text(json.dumps(
        {"eos_token": "<|end|>", "tokenizer_class": "PreTrainedTokenizerFast",
         "clean_up_tokenization_spaces": False}))
    return path


@pytest.fixture(scope="module")
def model(folder, cache):
    with qcc.AutoModelForCausalLM.from_pretrained(
            folder, torch_dtype="auto", device_map="auto", target="x86-64-v3",
            cache_dir=cache) as model:
        yield model


def test_their_tokenizer(model, folder, cache):
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ours = qcc.AutoTokenizer.from_pretrained(folder, target="x86-64-v3", cache_dir=cache)
    messages = [{"role": "user", "content": "def test(folder): na\u00efve <|end|> \U0001f600"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert ours.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == text
    inputs = tokenizer([text], return_tensors="np")
    assert ours([text], return_tensors="np")["input_ids"].tolist() == inputs["input_ids"].tolist()
    outputs = model.generate(input_ids=inputs["input_ids"],
                             attention_mask=inputs["attention_mask"], max_new_tokens=20)
    answer = tokenizer.decode(outputs[0], skip_special_tokens=True)
    assert ours.decode(outputs[0], skip_special_tokens=True) == answer
    assert ours.decode(outputs[0]) == tokenizer.decode(outputs[0])
    assert (ours.eos_token, ours.eos_token_id) == (tokenizer.eos_token, tokenizer.eos_token_id)


def test_their_streamer(model, folder):
    transformers = pytest.importorskip("transformers")
    try:
        from transformers import TextStreamer
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        streamer = TextStreamer(tokenizer)
    except ImportError as missing:
        pytest.skip(f"transformers' streamers need torch: {missing}")
    inputs = tokenizer("import pathlib", return_tensors="np")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        outputs = model.generate(np.asarray(inputs["input_ids"]), max_new_tokens=20,
                                 streamer=streamer)
    assert out.getvalue() == tokenizer.decode(outputs[0]) + "\n"


def test_models_by_name(folder, cache, tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub")
    constants = pytest.importorskip("huggingface_hub.constants")
    repository = tmp_path / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / COMMIT).symlink_to(folder)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with qcc.AutoModelForCausalLM.from_pretrained("someone/tiny", local_files_only=True,
                                                  target="x86-64-v3", cache_dir=cache) as model:
        assert model.vocab_size == 400
    with pytest.raises(qcc.QccError, match="someone/other: no such file or folder"):
        qcc.AutoModelForCausalLM.from_pretrained("someone/other", local_files_only=True)
    with pytest.raises(qcc.QccError, match="nothing.gguf: no such file or folder$"):
        qcc.AutoModelForCausalLM.from_pretrained("nothing.gguf")


def test_which_file_of_a_folder(checkpoint, tmp_path):
    from qcc.auto import checkpoint as chosen
    with pytest.raises(qcc.QccError, match="expected config.json or one GGUF file, found 0"):
        chosen(tmp_path)
    for name in ("a-00001-of-00002.gguf", "a-00002-of-00002.gguf"):
        (tmp_path / name).touch()
    assert chosen(tmp_path).name == "a-00001-of-00002.gguf"
    (tmp_path / "b.gguf").touch()
    with pytest.raises(qcc.QccError, match="found 2 GGUF files: name one with model_file="):
        chosen(tmp_path)
    assert chosen(tmp_path, "b.gguf") == tmp_path / "b.gguf"
    with pytest.raises(qcc.QccError, match="c.gguf: no such file"):
        chosen(tmp_path, "c.gguf")
