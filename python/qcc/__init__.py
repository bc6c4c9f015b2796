# __init__.py - Compile quantized language models, and use them.
# SPDX-License-Identifier: Apache-2.0
"""qcc compiles a checkpoint into one library, and this package calls it:

    import qcc
    llm = qcc.AutoModelForCausalLM.from_pretrained("model.gguf")
    print(llm("AI is going to"))

compile() and load() are the two halves of from_pretrained()."""

from ._compiler import compile, find_compiler
from .auto import AutoModelForCausalLM, AutoTokenizer
from .config import Config
from .errors import CompileError, QccError
from .llm import LLM, load
from .tokenizer import TextStreamer, Tokenizer

__version__ = "0.1.0"
__all__ = ["AutoModelForCausalLM", "AutoTokenizer", "CompileError", "Config", "LLM", "QccError",
           "TextStreamer", "Tokenizer", "compile", "find_compiler", "load"]
