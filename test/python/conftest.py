# conftest.py - The models that tests of the Python package use.
# SPDX-License-Identifier: Apache-2.0
"""QCC is the compiler, QCC_MODELS the folder of the real models, if there is one."""

import os
import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent / "python"), str(TESTS / "Inputs")]

import qcc  # noqa: E402
from tiny_model import write_model  # noqa: E402

# Roles in brackets, and what else a request may bring.
TEMPLATE = ("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
            "{% if tools %}{{ tools[0].function.name }}{% endif %}"
            "{% if mood %}({{ mood }}){% endif %}"
            "{% if add_generation_prompt %}[assistant]{% endif %}")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A GGUF file: byte-level BPE without merges, so that a byte is a token."""
    return pathlib.Path(write_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf",
                                    template=TEMPLATE, context=128))


@pytest.fixture(scope="session")
def library(checkpoint):
    return qcc.compile(checkpoint, output=checkpoint.with_suffix(".so"), target="x86-64-v3")


@pytest.fixture
def llm(library):
    with qcc.load(library, threads=1) as llm:
        yield llm


@pytest.fixture(scope="session")
def folder_library(tmp_path_factory):
    """A model that transformers wrote, without a tokenizer, and its answers."""
    return qcc.compile(TESTS / "architectures" / "llama", target="x86-64-v3", kv="f32",
                       output=tmp_path_factory.mktemp("folder") / "llama.so")


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def smol():
    path = pathlib.Path(os.environ.get("QCC_MODELS", "")) / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not path.is_file():
        pytest.skip("no SmolLM2 in QCC_MODELS")
    return path
