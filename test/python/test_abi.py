# test_abi.py - _abi.py says what qcc.h says.
# SPDX-License-Identifier: Apache-2.0
"""A C compiler prints sizes, offsets and constants of the header."""

import ctypes
import inspect
import pathlib
import re
import shutil
import subprocess

import pytest
from qcc import _abi

HEADER = pathlib.Path(__file__).resolve().parents[2] / "runtime/include/qcc-rt/qcc.h"
STRUCTS = {name: value for name, value in vars(_abi).items()
           if inspect.isclass(value) and issubclass(value, ctypes.Structure)
           and hasattr(value, "_fields_")}
CONSTANTS = [name for name, value in vars(_abi).items()
             if name.isupper() and isinstance(value, int)]


def c_name(name):
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    return {"message": "qcc_message_v1"}.get(snake, f"qcc_{snake}_v1")


@pytest.fixture(scope="module")
def said_by_c(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("clang-22")
    if not compiler:
        pytest.skip("no C compiler")
    lines = []
    for name, struct in STRUCTS.items():
        lines.append(f'printf("{name} %zu\\n", sizeof({c_name(name)}));')
        for field in struct._fields_:
            lines.append(f'printf("{name}.{field[0]} %zu %zu\\n", '
                         f'offsetof({c_name(name)}, {field[0]}), '
                         f'sizeof((({c_name(name)} *)0)->{field[0]}));')
    for name in CONSTANTS:
        lines.append(f'printf("{name} %d\\n", (int)QCC_{name});')
    folder = tmp_path_factory.mktemp("abi")
    (folder / "abi.c").write_text(f'#include "{HEADER}"\nint main(void) {{\n' +
                                  "\n".join(lines) + "\nreturn 0; }\n")
    subprocess.run([compiler, "abi.c", "-o", "abi"], cwd=folder, check=True)
    text = subprocess.run(["./abi"], cwd=folder, check=True, capture_output=True, text=True).stdout
    return dict(line.split(" ", 1) for line in text.splitlines())


def test_structs(said_by_c):
    for name, struct in STRUCTS.items():
        assert said_by_c[name] == str(ctypes.sizeof(struct)), name
        for field, _ in struct._fields_:
            entry = getattr(struct, field)
            assert said_by_c[f"{name}.{field}"] == f"{entry.offset} {entry.size}", (name, field)


def test_constants(said_by_c):
    assert {name: said_by_c[name] for name in CONSTANTS} == {
        name: str(getattr(_abi, name)) for name in CONSTANTS}


def test_functions_are_those_of_the_table():
    table = re.search(r"struct qcc_api_v1 \{(.*?)\n\};", HEADER.read_text(), re.S).group(1)
    names = re.findall(r"\(\*(\w+)\)\(", table)
    assert [function[0] for function in _abi.FUNCTIONS] == names[:len(_abi.FUNCTIONS)]


def test_an_older_table_lacks_functions():
    words = (ctypes.c_uint64 * 40)(*range(1, 41))
    words[0] = 8 + 8 * 3  # struct_size, and version 0
    api = _abi.Api(ctypes.addressof(words))
    assert api.model_info
    with pytest.raises(AttributeError, match="a qcc that has no `qcc_tokenize`"):
        api.tokenize
