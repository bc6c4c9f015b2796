# _compiler.py - Runs the qcc program.
# SPDX-License-Identifier: Apache-2.0
"""compile(): a checkpoint in, a library out. The compiler is a process of its
own: no LLVM is loaded into Python, and whatever happens to it is an exception."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
from typing import Callable, Sequence, Union

from .errors import CompileError, QccError

PathLike = Union[str, "os.PathLike[str]"]
# True writes the compiler's lines to stderr; a function is called with each.
Progress = Union[bool, Callable[[str], object], None]

PACKAGE = pathlib.Path(__file__).resolve().parent


def find_compiler() -> str:
    """The qcc program: $QCC, else the one inside this package, else build/bin/qcc
    of the checkout that this package is used from, else the one on PATH."""
    named = os.environ.get("QCC")
    if named:
        found = shutil.which(named)
        if not found:
            raise QccError(f"QCC={named}: expected the qcc program, found none")
        return os.path.abspath(found)
    for path in (PACKAGE / "compiler" / "bin" / "qcc",
                 PACKAGE.parent.parent / "build" / "bin" / "qcc"):
        if os.access(path, os.X_OK):
            return str(path)
    found = shutil.which("qcc")
    if not found:
        raise QccError("cannot find the compiler: build qcc and install this package again from "
                       "its checkout, or set QCC to the qcc program, or put it on PATH")
    return os.path.abspath(found)


def output_of(*arguments: str) -> str:
    """What the compiler prints for questions such as --version."""
    command = [find_compiler(), *arguments]
    result = _start(command, stdout=subprocess.PIPE)
    text, errors = result.communicate()
    if result.returncode:
        raise CompileError(command, result.returncode, errors)
    return text


def compile(model: PathLike, output: PathLike | None = None, *,
            target: str | Sequence[str] | None = None, quantize: str | None = None,
            activations: str | None = None, kv: str | None = None,
            context_length: int | None = None, external_weights: bool = False,
            progress: Progress = None, extra_args: Sequence[str] = ()) -> pathlib.Path:
    """Compiles a GGUF file or a Hugging Face folder, and returns the path of the
    result: `output`, or NAME.so in the current folder. A name without .so makes an
    executable, which load() cannot use.

    target: one or several of `qcc --list-targets` (default: this machine).
    quantize, activations, kv, context_length: the options of these names.
    external_weights: weights in a file beside the result.
    progress: True shows what the compiler does, a function gets each line.
    extra_args: further options of the compiler.

    Raises CompileError with the compiler's text. Nothing is left behind then."""
    source = os.path.abspath(os.fspath(model))
    if output is None:
        name = pathlib.Path(source).name
        output = name.removesuffix(".gguf") + ".so"
    options = options_of(target, quantize, activations, kv, context_length, external_weights,
                         extra_args)
    command = [find_compiler(), source, "-o", os.path.abspath(os.fspath(output)), *options]
    run(command, progress)
    return pathlib.Path(output)


def options_of(target: str | Sequence[str] | None, quantize: str | None, activations: str | None,
               kv: str | None, context_length: int | None, external_weights: bool,
               extra_args: Sequence[str]) -> list[str]:
    """The command line that says the same."""
    if target is not None and not isinstance(target, str):
        target = ",".join(target)
    values = {"target": target, "quantize": quantize, "activations": activations, "kv": kv,
              "context": context_length, "weights": "external" if external_weights else None}
    options = [f"--{name}={value}" for name, value in values.items() if value is not None]
    return options + list(extra_args)


def run(command: list[str], progress: Progress = None) -> None:
    """Runs the compiler to its end; an exception (Ctrl-C, too) ends it."""
    show: Callable[[str], object] | None
    if progress is True:
        def show(line: str) -> None:
            print(line, file=sys.stderr, flush=True)
    else:
        show = progress or None
    if show:
        command = [*command, "-v", "--time"]
    process = _start(command, stdout=subprocess.DEVNULL)
    lines = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if show:
                show(line.rstrip("\n"))
        process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        assert process.stderr is not None
        process.stderr.close()
    if process.returncode:
        raise CompileError(command, process.returncode, "".join(lines))


def _start(command: list[str], stdout: int) -> "subprocess.Popen[str]":
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout,
                                stderr=subprocess.PIPE, text=True, errors="replace")
    except OSError as error:
        raise QccError(f"{command[0]}: cannot run: {error.strerror}") from None
