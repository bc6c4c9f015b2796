# _batch.py - Token ids in and out, as transformers does it.
# SPDX-License-Identifier: Apache-2.0
"""generate() and forward() for token ids with a batch dimension, given as lists,
as a numpy array or as a torch tensor. Prompts that were padded on the left come
with an attention mask."""

from __future__ import annotations

import dataclasses
import operator
from typing import TYPE_CHECKING, Any, Callable, Iterator, Sequence

import numpy as np

from ._session import FEW
from ._text import TextStream
from .config import Config

if TYPE_CHECKING:
    from .llm import LLM


def _is_torch(value: Any) -> bool:
    return type(value).__module__.split(".")[0] == "torch"


def rank(tokens: Any) -> int:
    """1 for ids, 2 for a batch of them; a TypeError for what is neither."""
    if hasattr(tokens, "ndim"):
        found = int(tokens.ndim)
    else:
        found, inner = 0, tokens
        while isinstance(inner, Sequence) and not isinstance(inner, (str, bytes)) and found < 3:
            found, inner = found + 1, inner[0] if len(inner) else 0
    if found not in (1, 2):
        raise TypeError("expected token ids [n] or [batch, n]: lists, a numpy array or a torch "
                        f"tensor, got {type(tokens).__name__} of {found} dimensions")
    return found


def _rows(name: str, ids: Any) -> list[list[int]]:
    if rank(ids) != 2:
        raise TypeError(f"{name}: expected [batch, n], got one dimension")
    rows = ids.tolist() if hasattr(ids, "tolist") else [list(row) for row in ids]
    return [[operator.index(token) for token in row] for row in rows]


def _like(given: Any, rows: list[list[int]]) -> Any:
    """The rows in the type that the ids were given in."""
    if _is_torch(given):
        return given.new_tensor(rows)
    if isinstance(given, np.ndarray):
        return np.array(rows, given.dtype)
    return rows


def _prompts(ids: Any, mask: Any) -> tuple[list[list[int]], list[list[int]]]:
    """The rows, and the tokens of each that the mask leaves."""
    rows = _rows("input_ids", ids)
    if mask is None:
        return rows, rows
    masks = _rows("attention_mask", mask)
    if [len(row) for row in masks] != [len(row) for row in rows]:
        raise ValueError("attention_mask: expected the shape of input_ids")
    for number, row in enumerate(masks):
        if row != sorted(row):
            raise ValueError(f"attention_mask, row {number}: expected padding on the left only")
    return rows, [[token for token, kept in zip(row, keep) if kept]
                  for row, keep in zip(rows, masks)]


@dataclasses.dataclass
class Settings:
    """What transformers' generate() takes and a compiled model does, with
    transformers' defaults. `seed` is ours: -1 is a random one."""

    max_new_tokens: int | None = None
    max_length: int | None = None
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    min_p: float | None = None
    repetition_penalty: float = 1.0
    eos_token_id: int | Sequence[int] | None = None
    pad_token_id: int | None = None
    stop_strings: str | Sequence[str] | None = None
    streamer: Any = None
    seed: int = -1
    tokenizer: Any = None  # for stop_strings; the model has its own
    # Accepted with these values, which say what happens anyway.
    num_beams: int = 1
    num_return_sequences: int = 1
    use_cache: bool = True
    token_type_ids: Any = None

    def __post_init__(self) -> None:
        for name, only in (("num_beams", 1), ("num_return_sequences", 1), ("use_cache", True)):
            if getattr(self, name) != only:
                raise ValueError(f"{name}={getattr(self, name)!r} is not supported, expected "
                                 f"{only!r}")

    def most(self, given: int) -> int:
        """How many tokens follow a row of `given`, padding included."""
        if self.max_new_tokens is not None:
            return self.max_new_tokens
        return 20 if self.max_length is None else self.max_length - given

    def config(self) -> Config:
        return Config(
            temperature=self.temperature if self.do_sample else 0.0,
            top_k=self.top_k, top_p=self.top_p, min_p=self.min_p or 0.0, seed=self.seed,
            repetition_penalty=self.repetition_penalty, last_n_tokens=-1)

    def stops(self) -> list[str]:
        given = self.stop_strings or []
        return [given] if isinstance(given, str) else list(given)

    def ends(self, llm: LLM) -> Callable[[int], bool]:
        if self.eos_token_id is None:
            return llm.model.is_end
        given = self.eos_token_id
        return set(given if isinstance(given, Sequence) else [given]).__contains__


def generate(llm: LLM, input_ids: Any, attention_mask: Any = None, **settings: Any) -> Any:
    for name in settings:
        if name not in Settings.__dataclass_fields__:
            raise TypeError(f"'{name}' is an invalid keyword argument for generate()")
    chosen = Settings(**settings)
    rows, prompts = _prompts(input_ids, attention_mask)
    streamer = chosen.streamer
    if streamer is not None:
        if len(rows) != 1:
            raise ValueError(f"streamer: expected a batch of 1, got {len(rows)}")
        streamer.put(_like(_arrays(input_ids), rows))
    with llm._lock:
        for row, token in _answers(llm, rows, prompts, chosen):
            rows[row].append(token)
            if streamer is not None:
                streamer.put(_like(_arrays(input_ids), [[token]])[0])
    if streamer is not None:
        streamer.end()
    length = max(len(row) for row in rows)
    pad = llm.pad_token_id if chosen.pad_token_id is None else chosen.pad_token_id
    return _like(input_ids, [row + [pad] * (length - len(row)) for row in rows])


def _arrays(given: Any) -> Any:
    """Streamers ask for shapes: lists go to them as numpy arrays."""
    return given if hasattr(given, "ndim") else np.empty(0, np.int64)


class _Row:
    """A row that goes on until `left` is 0."""

    def __init__(self, number: int, left: int, text: TextStream) -> None:
        self.number, self.left, self.text = number, left, text
        self.token = 0  # the last one, which has no state yet

    def take(self, token: int, is_end: Callable[[int], bool]) -> None:
        self.token = token
        self.text.push(token)
        self.left = 0 if is_end(token) or self.text.stopped else self.left - 1


def _answers(llm: LLM, rows: list[list[int]], prompts: list[list[int]],
             chosen: Settings) -> Iterator[tuple[int, int]]:
    """Each generated id with the number of its row, those that end a row, too. Rows
    advance together, up to as many as are evaluated as they would be one by one, so
    that a row is what it would be alone and a batch of any size has the state of a
    few."""
    for first in range(0, len(rows), FEW):
        few = slice(first, first + FEW)
        for row, token in _answer_few(llm, rows[few], prompts[few], chosen):
            yield first + row, token


def _answer_few(llm: LLM, rows: list[list[int]], prompts: list[list[int]],
                chosen: Settings) -> Iterator[tuple[int, int]]:
    config, is_end, stops = chosen.config(), chosen.ends(llm), chosen.stops()
    llm.reset()
    llm._use(config, len(rows))
    session, turn = llm.session, object()
    llm._turn = turn
    session.set_sampling(config.sampling())
    running = [_Row(number, chosen.most(len(row)), TextStream(llm.model, stops))
               for number, row in enumerate(rows)]
    try:
        for row in running:
            if row.left > 0:
                row.take(session.start(row.number, prompts[row.number]), is_end)
                yield row.number, row.token
        while True:
            llm._check_turn(turn)
            running = [row for row in running if row.left > 0 and session.has_room(row.number)]
            if not running:
                break
            tokens = session.advance([row.number for row in running],
                                     [row.token for row in running])
            for row, token in zip(running, tokens):
                row.take(token, is_end)
                yield row.number, token
    finally:
        if llm._turn is turn:
            llm.reset()


@dataclasses.dataclass
class CausalLMOutput:
    """`logits` is float32 [batch, n, vocab_size]."""

    logits: Any


def forward(llm: LLM, input_ids: Any, attention_mask: Any = None) -> CausalLMOutput:
    rows, prompts = _prompts(input_ids, attention_mask)
    if len({len(row) for row in rows}) != 1:
        raise ValueError("input_ids: expected rows of one length")
    logits = np.zeros((len(rows), len(rows[0]), llm.vocab_size), np.float32)
    with llm._lock:
        for row, prompt in enumerate(prompts):
            llm.reset()
            logits[row, len(rows[row]) - len(prompt):] = llm.session.forward(prompt)
    if _is_torch(input_ids):
        import torch  # it is there: the ids are its tensors
        return CausalLMOutput(torch.from_numpy(logits))
    return CausalLMOutput(logits)
