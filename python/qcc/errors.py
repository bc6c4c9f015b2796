# errors.py - What goes wrong, as exceptions.
# SPDX-License-Identifier: Apache-2.0
"""Exceptions of this package; each is a QccError."""

from __future__ import annotations

from typing import Any, Sequence


class QccError(RuntimeError):
    """A call failed. `code` is the status of the C interface (`QCC_E_*` of
    qcc.h), or 0 where the failure is not of a compiled model."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class CompileError(QccError):
    """The compiler refused a checkpoint. The message is the compiler's own;
    `text` is all that it wrote."""

    def __init__(self, command: Sequence[str], returncode: int, text: str) -> None:
        self.command = list(command)
        self.returncode = returncode
        self.text = text
        lines = text.strip().splitlines()
        first = next((i for i, line in enumerate(lines) if "error:" in line), 0)
        message = "\n".join(lines[first:])
        if not message:
            how = f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"
            message = f"the compiler ended with {how} and wrote nothing"
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        return CompileError, (self.command, self.returncode, self.text)
