# test_examples.py - examples/python and the README, as they are.
# SPDX-License-Identifier: Apache-2.0
"""Each program runs in a Python of its own; with SmolLM2, too, where it is."""

import os
import pathlib
import re
import subprocess
import sys

import pytest
import qcc

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "python"


def run(cache, *arguments, stdin="", cwd=None):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "QCC_CACHE": str(cache),
                   "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run([sys.executable, *map(str, arguments)], env=environment, cwd=cwd,
                            input=stdin, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_each_runs(cache, checkpoint):
    for name in ("complete.py", "generate.py"):
        assert run(cache, EXAMPLES / name, checkpoint)
    assert run(cache, EXAMPLES / "chat.py", checkpoint, stdin="hi\n\n").count("> ") == 2
    # All of them, and both classes, used one compiled model.
    assert len([entry for entry in cache.iterdir() if entry.is_dir()]) == 1


def test_one_line_differs_from_the_known_snippets():
    for name, package in (("complete.py", "ctransformers"), ("generate.py", "transformers")):
        text = (EXAMPLES / name).read_text()
        assert len(re.findall(r"^.*\bqcc\b.*$", text, re.M)) == 1 and package in text


def test_the_readme(cache, checkpoint, tmp_path):
    readme = (ROOT / "README.md").read_text()
    code, = re.findall(r"```python\n(.*?)```", readme, re.S)
    (tmp_path / "model.gguf").write_bytes(checkpoint.read_bytes())
    assert run(cache, "-c", code, cwd=tmp_path)


def test_no_compiler_in_the_process(cache, checkpoint):
    """What is loaded into Python when a model answers: no LLVM."""
    code = ("import qcc, sys; llm = qcc.AutoModelForCausalLM.from_pretrained(sys.argv[1]); "
            "llm('x', max_new_tokens=2); print(open('/proc/self/maps').read())")
    maps = run(cache, "-c", code, checkpoint)
    assert "model.so" in maps and not re.search("llvm|mlir|lld", maps, re.I)


@pytest.mark.models
def test_smollm2_answers(cache, smol):
    assert "Paris" in run(cache, EXAMPLES / "generate.py", smol)
    assert len(run(cache, EXAMPLES / "complete.py", smol)) > 20
    llm = qcc.AutoModelForCausalLM.from_pretrained(smol, cache_dir=cache, seed=1)
    pieces = list(llm("AI is going to", max_new_tokens=8, temperature=0, stream=True))
    assert len(pieces) == 8 and "".join(pieces).startswith(" be a")
    assert "Paris" in llm.chat([{"role": "user", "content": "Name the capital of France."}],
                               temperature=0, max_new_tokens=20)
