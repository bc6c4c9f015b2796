# test_install.py - What the wheel holds, with a compiler and without.
# SPDX-License-Identifier: Apache-2.0
"""Wheels are made by hatchling from a copy of what it reads, and used from where
they are unpacked, away from the checkout."""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

pytest.importorskip("hatchling")
ROOT = pathlib.Path(__file__).resolve().parents[2]
WHERE = "import qcc; print(qcc.__file__); print(qcc.find_compiler())"


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "python", folder / "python",
                    ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def wheel(source, **environment):
    result = subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
                            cwd=source, env={**os.environ, **environment}, capture_output=True,
                            text=True)
    assert result.returncode == 0, result.stderr
    built, = (source / "dist").glob("*.whl")
    unpacked = source.parent / "site"
    # As pip does: files that were programs are programs.
    with zipfile.ZipFile(built) as archive:
        archive.extractall(unpacked)
        for entry in archive.infolist():
            if entry.external_attr >> 16 & 0o111:
                (unpacked / entry.filename).chmod(0o755)
    return built.name, unpacked


def use(folder, **environment):
    return subprocess.run([sys.executable, "-B", "-c", WHERE], text=True, capture_output=True,
                          cwd=folder.parent, env={"PATH": "", "PYTHONPATH": str(folder),
                                                  **environment})


def test_without_a_build(source):
    name, folder = wheel(source)
    assert name == "qcc-0.1.0-py3-none-any.whl"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"qcc/__init__.py", "qcc/py.typed"} <= files
    assert all(file.startswith(("qcc/", "qcc-0.1.0.dist-info/")) for file in files)
    result = use(folder)
    assert result.returncode and "cannot find the compiler: build qcc" in result.stderr
    assert use(folder, QCC="/bin/sh").stdout.splitlines()[1] == "/bin/sh"


def test_with_a_build(source):
    for name in ("bin/qcc", "lib/qcc/libqcc_rt.a"):
        path = source / "build" / name
        path.parent.mkdir(parents=True)
        path.touch()
    shutil.copy("/bin/true", source / "build/bin/qcc")
    name, folder = wheel(source)
    assert "-py3-none-linux_" in name and "any" not in name
    assert (folder / "qcc/compiler/lib/qcc/libqcc_rt.a").exists()
    program = folder / "qcc/compiler/bin/qcc"
    assert use(folder).stdout.splitlines() == [str(folder / "qcc/__init__.py"), str(program)]
    assert subprocess.run([program]).returncode == 0


def test_builds_what_is_missing(source):
    """With the scripts of a checkout, if the first of them says that it can."""
    scripts = {"install-deps": 'test "$1" = --check && test -e installed',
               "build": "mkdir -p build/bin build/lib/qcc; cp /bin/true build/bin/qcc"}
    (source / "scripts").mkdir()
    for name, text in scripts.items():
        (source / "scripts" / name).write_text(f"#!/bin/sh\nset -e\n{text}\n")
        (source / "scripts" / name).chmod(0o755)
    assert "any" in wheel(source)[0] and not (source / "build").exists()
    shutil.rmtree(source / "dist")
    (source / "installed").touch()
    name, folder = wheel(source)
    assert "any" not in name and use(folder).returncode == 0


def test_a_named_build_must_be_one(source):
    with pytest.raises(AssertionError, match="expected bin/qcc, found none"):
        wheel(source, QCC_BUILD=str(source / "elsewhere"))
