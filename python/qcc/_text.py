# _text.py - Text of tokens that arrive one by one.
# SPDX-License-Identifier: Apache-2.0
"""TextStream: whole characters, up to the first of several stop texts."""

from __future__ import annotations

import codecs
from typing import Sequence

from ._model import Model


class TextStream:
    """Holds back bytes of an unfinished character and text that may become a stop
    text, as qcc_generate() does."""

    def __init__(self, model: Model, stop: Sequence[str] = ()) -> None:
        if "" in stop:
            raise ValueError("a stop text is empty")
        self._model, self._stop = model, stop
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped = False

    def push(self, token: int) -> str:
        """The text that the token makes certain, perhaps none."""
        return self._take(self._decoder.decode(self._model.piece(token)))

    def finish(self) -> str:
        """What was held back, unless a stop text was found."""
        if self.stopped:
            return ""
        text = self._take(self._decoder.decode(b"", final=True)) + self._held
        self._held = ""
        return text

    def _take(self, text: str) -> str:
        if not self._stop or not text:
            return text
        text = self._held + text
        found = [at for at in (text.find(stop) for stop in self._stop) if at >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[:min(found)]
        longest = max(len(stop) for stop in self._stop)
        for at in range(max(0, len(text) - longest + 1), len(text)):
            if any(stop.startswith(text[at:]) for stop in self._stop):
                self._held = text[at:]
                return text[:at]
        self._held = ""
        return text
