# _model.py - A compiled model in a library.
# SPDX-License-Identifier: Apache-2.0
"""Model: the part of the C interface that has no state - text, tokens, numbers."""

from __future__ import annotations

import ctypes
import json
import os
import weakref
from ctypes import byref, c_char_p, c_int32, c_size_t, c_void_p
from typing import Any, Mapping, Sequence

from . import _abi
from .errors import QccError

# Sessions do not survive fork(): a child must neither use nor destroy them.
_live: "weakref.WeakSet[Handle]" = weakref.WeakSet()


class Handle:
    """Something that the C interface made. It is closed once; a child process
    forgets it."""

    def __init__(self, what: str, address: int) -> None:
        self._what, self._address, self._why = what, address, "is closed"
        _live.add(self)

    @property
    def address(self) -> int:
        if not self._address:
            raise QccError(f"the {self._what} {self._why}")
        return self._address

    def take(self) -> int:
        """The address, for the last time; 0 if it is closed."""
        address, self._address = self._address, 0
        return address


def _forget_all() -> None:
    for handle in list(_live):
        if handle.take():
            handle._why = "was opened before fork(): open it in the child process"


os.register_at_fork(after_in_child=_forget_all)


class Info:
    """Numbers and names of a model, from qcc_model_info_v1."""

    vocab: int
    hidden: int
    layers: int
    context: int
    row_capacity: int
    bos: int
    eos: int
    eot: int
    add_bos: int
    has_chat_template: int
    parameters: int
    weight_bytes: int
    weight_bytes_per_token: int
    kv_bytes_per_token: int
    name: str
    architecture: str
    target: str
    compiler: str
    activations: str
    kv: str
    json: str
    checkpoint: str
    chat_template: str | None
    device: str | None  # the GPU that runs the model
    device_unused: str | None  # why code for a GPU is not used
    gpu_layers: int  # the last so many run on the GPU

    def __init__(self, info: _abi.ModelInfo) -> None:
        for name in Info.__annotations__:
            value = getattr(info, name)
            setattr(self, name, value.decode() if isinstance(value, bytes) else value)


class Model:
    """An open library. Any number of threads may use it."""

    def __init__(self, path: str, prefix: str = "qcc_model", target: str | None = None,
                 text_only: bool = False, gpu_layers: int = -1) -> None:
        """text_only: there will be no session, so nothing is asked of CPU and GPU.
        gpu_layers: the last so many run on a GPU; -1 for as many as there is memory for,
        unless QCC_GPU_LAYERS says how many."""
        self.path = os.path.abspath(path)
        self._handle: Handle | None = None
        self._sessions, self._closing = 0, False
        try:
            library = ctypes.CDLL(self.path)
            table = _abi.query(library, prefix)
        except OSError as error:
            raise QccError(f"{path}: cannot load, expected a library that qcc compiled "
                           f"(-o NAME.so): {error}") from None
        except AttributeError:
            raise QccError(f"{path}: not a compiled model: no symbol `{prefix}_query`") from None
        if not table:
            raise QccError(f"{path}: needs a newer Python package")
        self.api = _abi.Api(table)
        flags = _abi.MODEL_TEXT_ONLY if text_only else 0
        if gpu_layers >= 0:
            flags |= _abi.MODEL_GPU_LAYERS
        options = _abi.ModelOptions(target=target.encode() if target else None, flags=flags,
                                    gpu_layers=gpu_layers)
        address, why = c_void_p(), ctypes.create_string_buffer(_abi.ERROR_BYTES)
        self._check(self.api.model_open(byref(options), byref(address), why, len(why)), why)
        self._handle = Handle("model", address.value or 0)
        raw = _abi.ModelInfo()
        self.api.model_info(self.address, byref(raw))
        self.info = Info(raw)
        self._pieces: dict[int, bytes] = {}
        self.plain_texts: dict[frozenset[str], dict[int, str]] = {}  # of TextStream

    @property
    def address(self) -> int:
        assert self._handle is not None
        return self._handle.address

    def close(self) -> None:
        """Now, or when the last session is closed: the garbage collector may come
        to a model before it comes to its sessions."""
        self._closing = True
        if self._handle and not self._sessions:
            address = self._handle.take()
            if address:
                self.api.model_close(address)

    def count_session(self, change: int) -> None:
        self._sessions += change
        if self._closing:
            self.close()

    def __del__(self) -> None:
        self.close()

    @staticmethod
    def _check(status: int, why: Any = None) -> None:
        if status == _abi.E_TOKENIZER:
            raise QccError("this model has no tokenizer: use token ids", status)
        if status != _abi.OK:
            text = why.value.decode(errors="replace") if why is not None else ""
            raise QccError(text or "an argument is not accepted", status)

    def _filled(self, call: Any, make: Any, guess: int, why: Any = None) -> tuple[Any, int]:
        """A buffer by `make(size)` that `call(buffer, size, byref(needed))` filled."""
        needed = c_size_t()
        while True:
            buffer = make(guess)
            status = call(buffer, guess, byref(needed))
            if status != _abi.E_SPACE:
                self._check(status, why)
                return buffer, needed.value
            guess = needed.value

    def tokenize(self, text: str | bytes, flags: int) -> list[int]:
        data = text.encode() if isinstance(text, str) else bytes(text)

        def call(buffer: Any, size: int, needed: Any) -> int:
            return self.api.tokenize(self.address, data, len(data), flags, buffer, size, needed)

        tokens, count = self._filled(call, lambda n: (c_int32 * n)(), len(data) + 8)
        return tokens[:count]

    def detokenize(self, tokens: Sequence[int], flags: int) -> bytes:
        array = self.tokens(tokens)

        def call(buffer: Any, size: int, needed: Any) -> int:
            return self.api.detokenize(self.address, array, len(array), flags, buffer, size,
                                       needed)

        text, count = self._filled(call, ctypes.create_string_buffer, 8 * len(array) + 64)
        return text.raw[:count]

    def tokens(self, tokens: Sequence[int]) -> Any:
        """As a C array; a ValueError names what is no token of the model."""
        for token in tokens:
            if not 0 <= token < self.info.vocab:
                raise ValueError(f"token {token}: expected 0 to {self.info.vocab - 1}")
        return (c_int32 * len(tokens))(*tokens)

    def piece(self, token: int) -> bytes:
        """Bytes of one token, perhaps a part of a character; b"" of control tokens
        and of all tokens of a model without a tokenizer."""
        piece = self._pieces.get(token)
        if piece is None:
            def call(buffer: Any, size: int, needed: Any) -> int:
                status = self.api.piece(self.address, token, 0, buffer, size, needed)
                return _abi.OK if status == _abi.E_TOKENIZER else status

            text, count = self._filled(call, ctypes.create_string_buffer, 64)
            piece = self._pieces[token] = text.raw[:count]
        return piece

    def is_end(self, token: int) -> bool:
        return bool(self.api.is_end(self.address, token))

    def render_chat(self, messages: Sequence[Mapping[str, Any]], tools: Any = None,
                    add_generation_prompt: bool = True, name: str | None = None,
                    variables: Mapping[str, Any] | None = None) -> str:
        """The conversation as the model's chat template writes it."""
        try:
            chat = _abi.Chat(
                add_generation_prompt=int(add_generation_prompt),
                tools=json.dumps(list(tools)).encode() if tools else None,
                variables=json.dumps({**(variables or {}), "messages": list(messages)}).encode(),
                name=name.encode() if name else None)
        except TypeError as error:
            raise TypeError(f"messages, tools and variables of a chat go to its template as "
                            f"JSON: {error}") from None
        why = ctypes.create_string_buffer(_abi.ERROR_BYTES)

        def call(buffer: Any, size: int, needed: Any) -> int:
            return self.api.render_chat(self.address, byref(chat), buffer, size, needed, why,
                                        len(why))

        text, count = self._filled(call, ctypes.create_string_buffer, 4096, why)
        return text.raw[:count].decode()
