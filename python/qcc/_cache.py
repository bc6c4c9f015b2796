# _cache.py - Compiled models that are kept.
# SPDX-License-Identifier: Apache-2.0
"""compiled(): the library of a checkpoint, compiled on first use.

An entry is a folder NAME-KEY with model.so. KEY is a hash of the checkpoint's
files (path, size, times, inode), the compiler (path, size, time, version), the
machine that `native` stands for, and the options: what changes any of them makes
another entry. An entry appears whole, by a rename; of several processes that want
it, one compiles and the others wait at a lock, which ends with its holder."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import pathlib
import re
import shutil
from typing import Iterator, Sequence

from . import _compiler
from .errors import QccError

PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$")


def cache_folder() -> pathlib.Path:
    """$QCC_CACHE, else the folder `qcc` of the user's caches."""
    named = os.environ.get("QCC_CACHE")
    if named:
        return pathlib.Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(base) / "qcc"


def compiled(source: pathlib.Path, options: Sequence[str],
             folder: pathlib.Path | None = None,
             progress: _compiler.Progress = None) -> pathlib.Path:
    """The path of the library for a checkpoint and options of the compiler."""
    folder = folder or cache_folder()
    compiler = _compiler.find_compiler()
    facts = {"checkpoint": _identity(source), "compiler": _compiler_identity(compiler),
             "options": list(options)}
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
    entry = folder / f"{source.name.removesuffix('.gguf')}-{key}"
    library = entry / "model.so"
    if library.exists():
        return library
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f"{key}.lock"):
            if not library.exists():
                # Whoever holds the lock owns this folder; one that is there is
                # what a killed process left.
                partial = folder / f"{key}.partial"
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir()
                try:
                    _compiler.run([compiler, str(source), "-o", str(partial / "model.so"),
                                   *options], progress)
                    (partial / "about.json").write_text(json.dumps(facts, indent=1) + "\n")
                    os.rename(partial, entry)
                finally:
                    shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise QccError(f"cache folder {folder}: {error.strerror or error}") from error
    return library


def _identity(source: pathlib.Path) -> list[list[object]]:
    if source.is_dir():
        files = sorted(p for p in source.iterdir() if p.is_file())
    elif PART.search(source.name):
        files = sorted(source.parent.glob(PART.sub("-*.gguf", source.name)))
    else:
        files = [source]
    return [_stamp(path) for path in files]


def _stamp(path: pathlib.Path) -> list[object]:
    status = path.stat()
    return [str(path), os.path.realpath(path), status.st_size, status.st_mtime_ns,
            status.st_ctime_ns, status.st_ino]


def _compiler_identity(compiler: str) -> list[str]:
    status = os.stat(compiler)
    return _answers(compiler, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=None)
def _answers(compiler: str, size: int, time: int) -> list[str]:
    targets = _compiler.output_of("--list-targets").splitlines()
    native = [line for line in targets if line.startswith("native")]
    return [_compiler.output_of("--version").strip(), str(size), str(time), *native]


@contextlib.contextmanager
def _locked(path: pathlib.Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
