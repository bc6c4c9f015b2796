# tokenizer.py - A compiled model's tokenizer with the interface of transformers.
# SPDX-License-Identifier: Apache-2.0
"""Tokenizer, and the Encoding that it returns."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import numpy as np

from . import _abi
from ._batch import rank
from ._model import Model
from ._text import TextStream

Messages = Sequence[Mapping[str, Any]]


class Encoding(dict[str, Any]):
    """`input_ids` and `attention_mask`, as items and as attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def to(self, device: Any) -> Encoding:
        """The same with tensors on a device; what is no tensor stays."""
        return Encoding({name: value.to(device) if hasattr(value, "to") else value
                         for name, value in self.items()})


class Tokenizer:
    padding_side = "left"

    def __init__(self, library: str) -> None:
        self._model = Model(library, text_only=True)

    @property
    def vocab_size(self) -> int:
        return self._model.info.vocab

    @property
    def bos_token_id(self) -> int | None:
        return self._id(self._model.info.bos)

    @property
    def eos_token_id(self) -> int | None:
        return self._id(self._model.info.eos)

    @property
    def pad_token_id(self) -> int | None:
        return self.eos_token_id

    @property
    def bos_token(self) -> str | None:
        return self._name(self.bos_token_id)

    @property
    def eos_token(self) -> str | None:
        return self._name(self.eos_token_id)

    @property
    def pad_token(self) -> str | None:
        return self.eos_token

    @property
    def chat_template(self) -> str | None:
        return self._model.info.chat_template

    @staticmethod
    def _id(token: int) -> int | None:
        return token if token >= 0 else None

    def _name(self, token: int | None) -> str | None:
        return None if token is None else self.decode([token])

    def encode(self, text: str, add_special_tokens: bool = True,
               return_tensors: str | None = None) -> Any:
        return self(text, add_special_tokens, return_tensors)["input_ids"]

    def __call__(self, text: str | Sequence[str], add_special_tokens: bool = True,
                 return_tensors: str | None = None, padding: bool = False) -> Encoding:
        """Ids of a text or of several. return_tensors: None for lists, "np" or "pt"
        for arrays with a batch dimension; padding (on the left) makes the rows of
        several texts equal in length."""
        texts = [text] if isinstance(text, str) else list(text)
        flags = _abi.TOKENIZE_PARSE | (_abi.TOKENIZE_SPECIAL if add_special_tokens else 0)
        rows = [self._model.tokenize(each, flags) for each in texts]
        return self._encoding(rows, isinstance(text, str), return_tensors, padding)

    def _encoding(self, rows: list[list[int]], single: bool, tensors: str | None,
                  padding: bool) -> Encoding:
        masks = [[1] * len(row) for row in rows]
        if padding:
            length = max(map(len, rows), default=0)
            pad = self.pad_token_id or 0
            masks = [[0] * (length - len(row)) + mask for row, mask in zip(rows, masks)]
            rows = [[pad] * (length - len(row)) + row for row in rows]
        values = {"input_ids": rows, "attention_mask": masks}
        if tensors is None:
            return Encoding({name: value[0] if single else value
                             for name, value in values.items()})
        if tensors not in ("np", "pt"):
            raise ValueError(f"return_tensors={tensors!r}: expected None, 'np' or 'pt'")
        if len({len(row) for row in rows}) > 1:
            raise ValueError("texts of several lengths make no tensor: give padding=True")
        if tensors == "pt":
            import torch  # who asks for its tensors has it
            return Encoding({name: torch.tensor(value) for name, value in values.items()})
        return Encoding({name: np.array(value, np.int64) for name, value in values.items()})

    def decode(self, token_ids: Any, skip_special_tokens: bool = False) -> Any:
        """Text of ids; of [batch, n] a list of texts."""
        ids = token_ids.tolist() if hasattr(token_ids, "tolist") else token_ids
        if isinstance(ids, int):
            ids = [ids]
        if len(ids) and rank(ids) == 2:
            return [self.decode(row, skip_special_tokens) for row in ids]
        flags = 0 if skip_special_tokens else _abi.TEXT_SPECIAL
        return self._model.detokenize(ids, flags).decode(errors="replace")

    def batch_decode(self, sequences: Any, skip_special_tokens: bool = False) -> list[str]:
        return [self.decode(row, skip_special_tokens) for row in sequences]

    def apply_chat_template(self, conversation: Messages,
                            tools: Sequence[Mapping[str, Any]] | None = None,
                            documents: Sequence[Mapping[str, Any]] | None = None,
                            chat_template: str | None = None,
                            add_generation_prompt: bool = False, tokenize: bool = True,
                            return_tensors: str | None = None, return_dict: bool = True,
                            **variables: Any) -> Any:
        """The conversation as the model's template writes it: a text, or its ids.
        `tools` are JSON schemas; `chat_template` the name of one of the model's
        templates; `variables` further names that it reads."""
        if documents is not None:
            variables["documents"] = list(documents)
        text = self._model.render_chat(conversation, tools, add_generation_prompt, chat_template,
                                       variables)
        if not tokenize:
            return text
        encoding = self(text, add_special_tokens=False, return_tensors=return_tensors)
        return encoding if return_dict else encoding["input_ids"]

    def close(self) -> None:
        self._model.close()

    def __enter__(self) -> Tokenizer:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


class TextStreamer:
    """Prints the text of generate(streamer=...) as it comes. `on_text(text)` in
    a class of your own may do something else with it."""

    def __init__(self, tokenizer: Tokenizer, skip_prompt: bool = False,
                 skip_special_tokens: bool = True) -> None:
        self._tokenizer, self._skip_prompt = tokenizer, skip_prompt
        self._skip_special = skip_special_tokens
        self._stream: TextStream | None = None

    def put(self, value: Any) -> None:
        if self._stream is None:  # the prompt
            self._stream = TextStream(self._tokenizer._model)
            if not self._skip_prompt:
                self.on_text(self._tokenizer.decode(value[0], self._skip_special))
            return
        for token in value.tolist():
            self.on_text(self._stream.push(token))

    def end(self) -> None:
        if self._stream is not None:
            self.on_text(self._stream.finish() + "\n")
        self._stream = None

    def on_text(self, text: str) -> None:
        print(text, end="", flush=True)
