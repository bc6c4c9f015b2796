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
        # Texts of tokens that neither end within a character nor begin or complete a
        # stop text, wherever they follow nothing that is held back.
        self._plain = model.plain_texts.setdefault(frozenset(stop), {})
        self._begun = {text[:size] for text in stop for size in range(1, len(text))}
        self._longest = max(map(len, stop), default=0)
        self._clear = True  # nothing is held back
        self._held = ""
        self.stopped = False

    def push(self, token: int) -> str:
        """The text that the token makes certain, perhaps none."""
        clear = self._clear
        if clear:
            text = self._plain.get(token)
            if text is not None:
                return text
        text = self._take(self._decoder.decode(self._model.piece(token)))
        self._clear = not (self._held or self.stopped or self._decoder.getstate()[0])
        if clear and self._clear:
            self._plain[token] = text
        return text

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
        found = [text.find(stop) for stop in self._stop if stop in text]
        if found:
            self.stopped, self._held = True, ""
            return text[:min(found)]
        for at in range(max(0, len(text) - self._longest + 1), len(text)):
            if text[at:] in self._begun:
                self._held = text[at:]
                return text[:at]
        self._held = ""
        return text
