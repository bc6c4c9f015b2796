# test_named_templates.py - Models with several chat templates.
# SPDX-License-Identifier: Apache-2.0
"""Which files and keys hold chat templates, and which of them count. Where transformers is
installed it is asked, too."""
import json
import pathlib
import subprocess

import gguf
import pytest
from test_tokenizer_json import folder
from text_tool import TOOL

TOKENIZER = json.dumps({
    "version": "1.0", "added_tokens": [],
    "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}})
TWO = [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}]


def templates(checkpoint):
    done = subprocess.run([TOOL, "templates", checkpoint], text=True, capture_output=True)
    if done.returncode:
        assert len(done.stderr.splitlines()) == 1, done.stderr
        raise ValueError(done.stderr.strip())
    return json.loads(done.stdout)


def model(path, files):
    path = folder(path / "model", TOKENIZER, config={"tokenizer_class": "PreTrainedTokenizerFast"})
    for name, content in files.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return pathlib.Path(path)


def config(chat_template):
    return {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": chat_template}


FOLDERS = {
    "none": ({}, {}),
    "null": ({"tokenizer_config.json": config(None)}, {}),
    "text": ({"tokenizer_config.json": config("C")}, {"default": "C"}),
    "list": ({"tokenizer_config.json": config(TWO)}, {"default": "D", "tool_use": "T"}),
    "list with a name twice": (
        {"tokenizer_config.json": config([*TWO, {"name": "default", "template": "E"}])},
        {"default": "E", "tool_use": "T"}),
    "list without a default": (
        {"tokenizer_config.json": config([{"name": "rag", "template": "R"}])}, {"rag": "R"}),
    "object": ({"tokenizer_config.json": config({"default": "D", "rag": "R"})},
               {"default": "D", "rag": "R"}),
    "file": ({"chat_template.jinja": "J", "tokenizer_config.json": config("C")}, {"default": "J"}),
    "file before a list": (
        {"chat_template.jinja": "J", "tokenizer_config.json": config(TWO)}, {"default": "J"}),
    "files": ({"chat_template.jinja": "J", "additional_chat_templates/tool_use.jinja": "T",
               "additional_chat_templates/a b.jinja": "B", "additional_chat_templates/x.txt": "X",
               "other.jinja": "O"}, {"default": "J", "tool_use": "T", "a b": "B"}),
    "files without a default": (
        {"additional_chat_templates/tool_use.jinja": "T", "tokenizer_config.json": config("C")},
        {"tool_use": "T"}),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_folders(name, tmp_path):
    files, want = FOLDERS[name]
    path = model(tmp_path, files)
    assert templates(path) == want
    try:
        from transformers import AutoTokenizer
    except ImportError:
        return
    theirs = AutoTokenizer.from_pretrained(path).chat_template
    if theirs is None or isinstance(theirs, str):
        theirs = {"default": theirs} if theirs else {}
    assert theirs == want


def test_the_template_of_a_processor_is_the_last_choice(tmp_path):
    """Gemma 3 and others that see images; their tokenizers have none."""
    files = {"chat_template.json": {"chat_template": "P"}}
    assert templates(model(tmp_path, files)) == {"default": "P"}
    files["tokenizer_config.json"] = config("C")
    assert templates(model(tmp_path, files)) == {"default": "C"}


@pytest.mark.parametrize("bad", [1, [1], [{"name": "x"}], [{"template": "x"}], {"x": 1}, True,
                                 [{"name": 1, "template": "x"}], [TWO]])
def test_malformed_ones_are_refused(bad, tmp_path):
    with pytest.raises(ValueError) as error:
        templates(model(tmp_path, {"tokenizer_config.json": config(bad)}))
    assert ("tokenizer_config.json: key 'chat_template': expected a text, or texts by name"
            in str(error.value))


def vocabulary(path, write):
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(["a", "aa"])
    writer.add_token_types([1, 1])
    writer.add_token_merges(["a a"])
    write(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("given, want", [
    ("text", {"default": "text"}), (TWO, {"default": "D", "tool_use": "T"}),
    ([{"name": "rag", "template": "R"}], {"rag": "R"})])
def test_gguf(given, want, tmp_path):
    path = vocabulary(tmp_path / "m.gguf", lambda writer: writer.add_chat_template(given))
    assert templates(path) == want


def test_gguf_with_a_name_of_nothing(tmp_path):
    path = vocabulary(tmp_path / "m.gguf",
                      lambda writer: writer.add_array("tokenizer.chat_templates", ["rag"]))
    with pytest.raises(ValueError, match="key 'tokenizer.chat_template.rag' is missing, which "
                                         "'tokenizer.chat_templates' names"):
        templates(path)


@pytest.mark.parametrize("names", (["rag", "rag"], ["r\0g"]))
def test_gguf_with_bad_names(names, tmp_path):
    def write(writer):
        writer.add_array("tokenizer.chat_templates", names)
        if "rag" in names:
            writer.add_string("tokenizer.chat_template.rag", "R")
    with pytest.raises(ValueError, match="expected names that differ, got 'r.*g' (twice|with a NUL byte)"):
        templates(vocabulary(tmp_path / "m.gguf", write))
