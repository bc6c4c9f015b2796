# auto.py - from_pretrained(): from a checkpoint to a model in one call.
# SPDX-License-Identifier: Apache-2.0
"""AutoModelForCausalLM and AutoTokenizer, with the arguments of ctransformers and
those of transformers that mean something here."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any, Sequence

from ._cache import PART, compiled
from ._compiler import PathLike, Progress, options_of
from .config import Config
from .errors import QccError
from .llm import LLM
from .tokenizer import Tokenizer

# What a folder from the Hugging Face Hub needs of its repository.
FOLDER_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
# Arguments of transformers and ctransformers that say what happens anyway.
ONLY: dict[str, tuple[Any, ...]] = {
    "hf": (True, False), "lib": (None,), "trust_remote_code": (False, None),
    "device_map": (None, "auto", "cpu"), "torch_dtype": (None, "auto"), "dtype": (None, "auto"),
    "low_cpu_mem_usage": (True, False, None), "use_safetensors": (True, None),
    "attn_implementation": (None,), "quantization_config": (None,), "use_fast": (True, None),
}


@dataclasses.dataclass
class Source:
    """Which checkpoint, and how it is compiled."""

    model_type: str | None = None  # the checkpoint says it
    model_file: str | None = None
    gguf_file: str | None = None  # transformers' name of the same
    revision: str | None = None
    local_files_only: bool = False
    target: str | Sequence[str] | None = None
    quantize: str | None = None
    activations: str | None = None
    kv: str | None = None
    external_weights: bool = False
    compiler_args: Sequence[str] = ()
    cache_dir: PathLike | None = None
    progress: Progress = None

    @classmethod
    def split(cls, arguments: dict[str, Any]) -> tuple[Source, dict[str, Any]]:
        """From the arguments of from_pretrained(), and the others."""
        for name, accepted in ONLY.items():
            if arguments.get(name, accepted[0]) not in accepted:
                raise ValueError(f"from_pretrained(): {name}={arguments[name]!r} is not supported, "
                                 f"expected {' or '.join(map(repr, accepted))}")
        own = {name: value for name, value in arguments.items()
               if name in cls.__dataclass_fields__}
        others = {name: value for name, value in arguments.items()
                  if name not in own and name not in ONLY}
        return cls(**own), others

    def library(self, name: PathLike) -> pathlib.Path:
        """Compiled now, or earlier."""
        path = checkpoint(name, self.model_file or self.gguf_file, self.revision,
                          self.local_files_only)
        options = options_of(self.target, self.quantize, self.activations, self.kv, None,
                             self.external_weights, self.compiler_args)
        if path.suffix == ".so":
            if options:
                raise ValueError(f"{path} is compiled already: {' '.join(options)} has no effect")
            return path
        folder = pathlib.Path(self.cache_dir) if self.cache_dir else None
        return compiled(path, options, folder, self.progress)


def checkpoint(name: PathLike, model_file: str | None = None, revision: str | None = None,
               local_files_only: bool = False) -> pathlib.Path:
    """The file or folder that a path or the name of a repository stands for."""
    path = pathlib.Path(os.path.abspath(os.fspath(name)))
    if not path.exists():
        path = _from_hub(os.fspath(name), model_file, revision, local_files_only)
    if path.is_dir() and model_file:
        path = path / model_file
        if not path.is_file():
            raise QccError(f"{path}: no such file")
    elif path.is_dir() and not (path / "config.json").exists():
        # Of a file in several parts the first is given.
        files = [file for file in sorted(path.glob("*.gguf"))
                 if not PART.search(file.name) or "-00001-of-" in file.name]
        if len(files) != 1:
            raise QccError(f"{path}: expected config.json or one GGUF file, found "
                           f"{len(files)} GGUF files: name one with model_file=")
        path = files[0]
    return path


def _from_hub(name: str, model_file: str | None, revision: str | None,
              local_files_only: bool) -> pathlib.Path:
    missing = f"{name}: no such file or folder"
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise QccError(missing)
    try:
        import huggingface_hub
    except ImportError:
        raise QccError(f"{missing}; the package huggingface_hub, which gets models by name, is "
                       "not installed") from None
    try:
        folder = huggingface_hub.snapshot_download(
            name, revision=revision, local_files_only=local_files_only,
            allow_patterns=[model_file] if model_file else FOLDER_FILES)
    except Exception as error:
        raise QccError(f"{missing}, and huggingface_hub did not get it: {error}") from error
    return pathlib.Path(folder)


class AutoModelForCausalLM:
    @classmethod
    def from_pretrained(cls, model_path_or_repo_id: PathLike, *, config: Config | None = None,
                        **kwargs: Any) -> LLM:
        """A model of a GGUF file, a Hugging Face folder, a library that qcc
        compiled, or a repository of the Hugging Face Hub. What is not compiled yet
        is compiled, and kept in cache_dir (default: $QCC_CACHE, else qcc in the
        user's cache folder).

        model_file (or gguf_file): which file of a folder or repository.
        target, quantize, activations, kv, external_weights, progress: as of
        compile(); compiler_args: further options of the compiler.
        revision, local_files_only: as of huggingface_hub.
        Everything else is a setting of Config."""
        source, settings = Source.split(kwargs)
        chosen = (config or Config()).changed("from_pretrained", settings)
        return LLM(source.library(model_path_or_repo_id), config=chosen)


class AutoTokenizer:
    @classmethod
    def from_pretrained(cls, model_path_or_repo_id: PathLike, **kwargs: Any) -> Tokenizer:
        """The tokenizer of a model, with what AutoModelForCausalLM takes: both
        with the same arguments share one compiled library."""
        source, others = Source.split(kwargs)
        for name in others:
            raise TypeError(f"'{name}' is an invalid keyword argument for from_pretrained()")
        return Tokenizer(str(source.library(model_path_or_repo_id)))
