# _session.py - A sequence of tokens and its state.
# SPDX-License-Identifier: Apache-2.0
"""Session: evaluating and sampling, for one thread at a time. Most of it is about one
sequence, the first; a batch has several, which advance together."""

from __future__ import annotations

import ctypes
import threading
from ctypes import POINTER, byref, c_float, c_int32, c_size_t, c_uint32, c_void_p, cast
from functools import partial
from typing import Any, Callable, Iterator, Sequence

import numpy as np

from . import _abi
from ._model import Handle, Model
from .errors import QccError

# Up to so many tokens go in one step as if they were generated (qcc_eval_v1).
FEW = 16
Progress = Callable[[int, int], Any]


class Session:
    def __init__(self, model: Model, threads: int = 0, context: int = 0, batch: int = 0,
                 sequences: int = 1) -> None:
        self._ending = threading.RLock()  # cancel() comes from other threads
        self.model, self._api = model, model.api
        self._handle = Handle("session", 0)
        self.options = (max(threads, 0), max(context, 0), max(batch, 0))
        self.sequences = sequences
        options = _abi.SessionOptions(threads=self.options[0], context=self.options[1],
                                      batch=self.options[2], sequences=sequences)
        address, why = c_void_p(), ctypes.create_string_buffer(_abi.ERROR_BYTES)
        status = self._api.session_create(model.address, byref(options), byref(address), why,
                                          len(why))
        if status != _abi.OK:
            raise QccError(why.value.decode(errors="replace"), status)
        self._handle = Handle("session", address.value or 0)
        model.count_session(1)
        capacity = model.info.row_capacity
        self._batch = min(self.options[2] or capacity, capacity)
        self.context: int = self._api.context(self.address)
        self._has_logits = False  # of the sequence's last token
        # Evaluates the pending token, if there is one, and chooses the next, which is
        # pending then: `turn.token`; `turn.end` tells whether it ends an answer. What
        # it returns is for check_next(). Between two tokens the weights pass through
        # the caches, so that all that is touched here is read from memory again: hence
        # one call, with arguments that need no conversion and are made once.
        self.turn = _abi.Next(token=-1)
        known = hasattr(self._api, "next")
        self.next: Callable[[], int] = partial(  # not after close()
            _abi.untyped(self._api.next) if known else self._next_in_steps,
            c_void_p(address.value), byref(self.turn))
        self._sampled = c_int32()
        self._sampled_ref = byref(self._sampled)
        self._rows: Any = None

    @property
    def address(self) -> int:
        return self._handle.address

    def close(self) -> None:
        with self._ending:
            address = self._handle.take()
            if address:
                self._api.session_destroy(address)
                self.model.count_session(-1)

    def __del__(self) -> None:
        self.close()

    def _check(self, status: int) -> None:
        if status != _abi.OK:
            text = self._api.last_error(self.address).decode(errors="replace")
            raise QccError(text or "an argument is not accepted", status)

    def check_next(self, status: int) -> None:
        """Raises what next() returned, unless it is 0."""
        if status:
            self._has_logits = False
            self._check(status)

    def _next_in_steps(self, *_: Any) -> int:
        """qcc_next() for a library that is older than that function."""
        turn = self.turn
        if turn.token >= 0:
            request = _abi.Eval(tokens=(c_int32 * 1)(turn.token), count=1,
                                want=_abi.LOGITS_LAST, batch=1)
            status: int = self._api.eval(self.address, byref(request))
            if status:
                return status
            turn.token = -1
        status = self._api.sample(self.address, 0, None, self._sampled_ref)
        if not status:
            turn.token = self._sampled.value
            turn.end = self._api.is_end(self.model.address, turn.token)
        return status

    @property
    def pending(self) -> int | None:
        """The token that next() chose last, until it is evaluated."""
        return self.turn.token if self.turn.token >= 0 else None

    @pending.setter
    def pending(self, token: int | None) -> None:
        self.turn.token = -1 if token is None else token

    @property
    def length(self) -> int:
        return self._api.length(self.address, 0)

    def eval(self, tokens: Sequence[int], batch: int = 0,
             progress: Progress | None = None) -> None:
        """Appends tokens; all or nothing. It goes back to the interpreter after
        each step, so that Ctrl-C ends it."""
        start, count = self.length, len(tokens)
        try:
            for done in self._steps(0, tokens, batch):
                self._has_logits = done == count
                if progress:
                    progress(done, count)
        except BaseException:
            self.truncate(start)
            raise

    def _steps(self, sequence: int, tokens: Sequence[int], batch: int) -> Iterator[int]:
        """Appends tokens to a sequence, and says after each step how many."""
        array, count = self.model.tokens(tokens), len(tokens)
        length = self._api.length(self.address, sequence)
        if not count:
            raise QccError("no tokens to evaluate", _abi.E_ARGUMENT)
        if count > self.context - length:
            raise QccError(f"{count} tokens do not fit into a context of {self.context} that "
                           f"holds {length}", _abi.E_CONTEXT)
        few = batch <= 0 and count <= FEW
        step = count if few else min(batch, self._batch) if batch > 0 else self._batch
        base = ctypes.addressof(array)
        for done in range(0, count, step):
            rows = min(step, count - done)
            request = _abi.Eval(
                sequence=sequence, tokens=cast(base + 4 * done, _abi.int32_p), count=rows,
                want=_abi.LOGITS_LAST if done + rows == count else _abi.LOGITS_NONE,
                batch=0 if few else step)
            self._check(self._api.eval(self.address, byref(request)))
            yield done + rows

    def forward(self, tokens: Sequence[int]) -> np.ndarray:
        """Appends tokens and returns the logits of all of them, [count, vocab]."""
        array, vocab, count = self.model.tokens(tokens), self.model.info.vocab, len(tokens)
        few = count <= FEW
        step = count if few else self._batch
        result = np.empty((count, vocab), np.float32)
        raw = np.empty(step * vocab + 16, np.float32)
        skip = -raw.ctypes.data % 64 // 4
        logits = raw[skip:skip + step * vocab].reshape(step, vocab)
        sequence, outputs = (c_uint32 * step)(), (c_uint32 * step)(*range(step))
        start = self.length
        try:
            for done in range(0, count, step):
                rows = min(step, count - done)
                request = _abi.Rows(
                    flags=0 if few else _abi.ROWS_PROMPT, rows=rows, outputs=rows,
                    token=cast(ctypes.addressof(array) + 4 * done, _abi.int32_p),
                    sequence=cast(sequence, _abi.uint32_p), output=cast(outputs, _abi.uint32_p),
                    logits=cast(logits.ctypes.data, _abi.float_p))
                self._check(self._api.step(self.address, byref(request)))
                result[done:done + rows] = logits[:rows]
                self._has_logits = False
        except BaseException:
            self.truncate(start)
            raise
        return result

    def start(self, sequence: int, prompt: Sequence[int]) -> int:
        """Evaluates a prompt in one of a batch's sequences, and chooses what follows."""
        for _ in self._steps(sequence, prompt, 0):
            pass
        return self._choose(sequence, None)

    def has_room(self, sequence: int) -> bool:
        return self._api.length(self.address, sequence) < self.context

    def advance(self, sequences: Sequence[int], tokens: Sequence[int]) -> list[int]:
        """Evaluates a generated token of each sequence, up to FEW of them in one step,
        and chooses what follows. None depends on the others."""
        count, vocab = len(tokens), self.model.info.vocab
        if self._rows is None:
            raw = np.empty(FEW * vocab + 16, np.float32)
            self._rows = raw[-raw.ctypes.data % 64 // 4:]  # 64-aligned
        request = _abi.Rows(rows=count, outputs=count, token=(c_int32 * count)(*tokens),
                            sequence=(c_uint32 * count)(*sequences),
                            output=(c_uint32 * count)(*range(count)),
                            logits=cast(self._rows.ctypes.data, _abi.float_p))
        self._check(self._api.step(self.address, byref(request)))
        return [self._choose(sequence, cast(self._rows.ctypes.data + 4 * vocab * row, _abi.float_p))
                for row, sequence in enumerate(sequences)]

    def _choose(self, sequence: int, logits: Any) -> int:
        self._check(self._api.sample(self.address, sequence, logits, self._sampled_ref))
        return self._sampled.value

    def logits(self) -> np.ndarray:
        """A copy of the last token's logits, [vocab]."""
        self._need_logits()
        array = cast(self._api.logits(self.address), POINTER(c_float * self.model.info.vocab)).contents
        return np.array(array, np.float32)

    def _need_logits(self) -> None:
        if not self._has_logits:
            raise QccError("there are no logits: evaluate tokens first", _abi.E_ARGUMENT)

    def set_sampling(self, sampling: _abi.Sampling) -> None:
        """Starts the random numbers from the seed, too."""
        self._check(self._api.set_sampling(self.address, byref(sampling)))

    def sample(self) -> int:
        self._need_logits()
        status = self._api.sample(self.address, 0, None, self._sampled_ref)
        if status:
            self._check(status)
        return self._sampled.value

    def cancel(self) -> None:
        with self._ending:
            self._api.cancel(self.address, 1)

    def tokens(self) -> list[int]:
        count = self._api.length(self.address, 0)
        if not count:
            return []
        return cast(self._api.tokens(self.address, 0), _abi.int32_p)[:count]

    def truncate(self, length: int) -> None:
        self._check(self._api.truncate(self.address, 0, length))
        self._has_logits = False

    def reset(self) -> None:
        """Forgets all sequences."""
        self.pending = None
        for sequence in range(1, self.sequences):
            self._check(self._api.truncate(self.address, sequence, 0))
        self.truncate(0)

    def save(self) -> bytes:
        needed = c_size_t()
        self._api.state_save(self.address, 0, None, 0, byref(needed))
        data = ctypes.create_string_buffer(needed.value)
        self._check(self._api.state_save(self.address, 0, data, len(data), byref(needed)))
        return data.raw

    def restore(self, state: bytes) -> None:
        self._check(self._api.state_restore(self.address, 0, state, len(state)))
        self._has_logits = False
