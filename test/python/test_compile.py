# test_compile.py - Running the compiler, and keeping what it made.
# SPDX-License-Identifier: Apache-2.0
"""Most tests use a program in the compiler's place, which is quick and can fail."""

import os
import pathlib
import subprocess
import sys
import threading

import pytest
import qcc
from qcc import _cache

# Copies the model; counts its runs; waits, writes and fails as it is told.
FAKE = """#!/bin/sh
case "$1" in
  --version) echo "qcc 0.0"; exit ;;
  --list-targets) echo "native  this machine: fake"; exit ;;
esac
echo run >> "$FAKE_LOG"
echo "   0.1 s  import" >&2
sleep "${FAKE_SLEEP:-0}"
[ -z "$FAKE_ERROR" ] || { echo "qcc: error: $FAKE_ERROR" >&2; exit 1; }
cp "$1" "$3"
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    program = tmp_path / "fake-qcc"
    program.write_text(FAKE)
    program.chmod(0o755)
    log = tmp_path / "log"
    log.touch()
    monkeypatch.setenv("QCC", str(program))
    monkeypatch.setenv("FAKE_LOG", str(log))
    monkeypatch.setenv("QCC_CACHE", str(tmp_path / "cache"))
    model = tmp_path / "m.gguf"
    model.write_text("one")
    return model


def runs(model):
    return len((model.parent / "log").read_text().splitlines())


def test_the_compilers_error_is_the_exception(tmp_path):
    bad = tmp_path / "bad.gguf"
    bad.write_text("hello, world")
    with pytest.raises(qcc.CompileError, match="bad.gguf: expected a GGUF file") as caught:
        qcc.compile(bad, output=tmp_path / "bad.so")
    assert caught.value.returncode == 1 and caught.value.command[1] == str(bad)
    assert not (tmp_path / "bad.so").exists()
    with pytest.raises(qcc.CompileError, match="nowhere"):
        qcc.compile("nowhere.gguf", target="x86-64-v3", output=tmp_path / "x.so")
    with pytest.raises(qcc.CompileError, match="target"):
        qcc.compile(bad, target=["x86-64-v3", "z80"], output=tmp_path / "x.so")


def test_progress_gets_lines(fake, tmp_path, capsys):
    lines = []
    assert qcc.compile(fake, tmp_path / "o.so", progress=lines.append) == tmp_path / "o.so"
    assert lines == ["   0.1 s  import"]
    qcc.compile(fake, tmp_path / "o.so", progress=True)
    assert "import" in capsys.readouterr().err


def test_options_are_the_command_line(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_ERROR", "no")
    with pytest.raises(qcc.CompileError) as caught:
        qcc.compile(fake, tmp_path / "o.so", target=("a", "b"), quantize="q4_k", kv="f16",
                    activations="a8", context_length=7, external_weights=True,
                    extra_args=["--time"])
    assert caught.value.command[4:] == [
        "--target=a,b", "--quantize=q4_k", "--activations=a8", "--kv=f16", "--context=7",
        "--weights=external", "--time"]


def test_no_compiler(monkeypatch):
    monkeypatch.setenv("QCC", "/nonexistent/qcc")
    with pytest.raises(qcc.QccError, match="QCC=/nonexistent/qcc: expected the qcc program"):
        qcc.find_compiler()
    monkeypatch.delenv("QCC")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("qcc._compiler.PACKAGE", pathlib.Path("/nonexistent/python/qcc"))
    with pytest.raises(qcc.QccError, match="cannot find the compiler"):
        qcc.find_compiler()


def test_an_interrupt_ends_the_compiler(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_SLEEP", "5")

    def interrupt(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        qcc.compile(fake, tmp_path / "o.so", progress=interrupt)
    assert not (tmp_path / "o.so").exists()


def test_cache_compiles_once(fake):
    first = _cache.compiled(fake, ["--kv=f16"])
    assert first.read_text() == "one" and first.parent.name.startswith("m-")
    assert _cache.compiled(fake, ["--kv=f16"]) == first and runs(fake) == 1


def test_cache_knows_what_changes(fake, monkeypatch):
    first = _cache.compiled(fake, [])
    assert _cache.compiled(fake, ["--kv=f32"]) != first
    fake.write_text("two")
    second = _cache.compiled(fake, [])
    assert second != first and second.read_text() == "two"
    program = pathlib.Path(os.environ["QCC"])
    program.write_text(FAKE + "# newer\n")
    assert _cache.compiled(fake, []) not in (first, second)
    assert runs(fake) == 4


def test_cache_knows_all_files_of_a_checkpoint(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    first = _cache._identity(folder)
    (folder / "model.safetensors").write_text("")
    assert len(_cache._identity(folder)) == 2 and first[0] in _cache._identity(folder)
    for part in (1, 2):
        (tmp_path / f"m-0000{part}-of-00002.gguf").touch()
    assert len(_cache._identity(tmp_path / "m-00001-of-00002.gguf")) == 2


def test_cache_after_errors_and_kills(fake, monkeypatch):
    monkeypatch.setenv("FAKE_ERROR", "out of luck")
    with pytest.raises(qcc.CompileError, match="out of luck"):
        _cache.compiled(fake, [])
    cache = pathlib.Path(os.environ["QCC_CACHE"])
    left, = cache.iterdir()
    assert left.suffix == ".lock"
    # What a killed process leaves.
    partial = left.with_suffix(".partial")
    partial.mkdir()
    (partial / "model.so").write_text("half")
    monkeypatch.delenv("FAKE_ERROR")
    assert _cache.compiled(fake, []).read_text() == "one"
    assert not partial.exists()


def test_cache_that_cannot_be_written(fake, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("QCC_CACHE", str(tmp_path / "file"))
    with pytest.raises(qcc.QccError, match="cache folder .*file: "):
        _cache.compiled(fake, [])


def test_processes_share_one_compilation(fake, monkeypatch):
    monkeypatch.setenv("FAKE_SLEEP", "0.5")
    code = ("import sys, pathlib; sys.path.insert(0, sys.argv[1]); from qcc import _cache; "
            "print(_cache.compiled(pathlib.Path(sys.argv[2]), []))")
    package = str(pathlib.Path(qcc.__file__).parent.parent)
    processes = [subprocess.Popen([sys.executable, "-c", code, package, str(fake)],
                                  stdout=subprocess.PIPE, text=True) for _ in range(3)]
    paths = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(paths) == 1 and runs(fake) == 1


def test_threads_share_one_compilation(fake, monkeypatch):
    monkeypatch.setenv("FAKE_SLEEP", "0.2")
    threads = [threading.Thread(target=_cache.compiled, args=(fake, [])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert runs(fake) == 1
