# config.py - What generation can be told.
# SPDX-License-Identifier: Apache-2.0
"""Config: the settings of an LLM object, with the names of ctransformers and the
defaults of compiled executables. Each can be given to a call, too."""

from __future__ import annotations

import dataclasses
from typing import Any, Sequence

from . import _abi


@dataclasses.dataclass
class Config:
    # Choosing a token: penalties, top_k, top_p, min_p, temperature, in this order.
    top_k: int = 40
    top_p: float = 0.95
    temperature: float = 0.8
    repetition_penalty: float = 1.0
    last_n_tokens: int = 64  # that penalties look at; -1: all
    seed: int = -1  # -1: a random one
    min_p: float = 0.05
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0

    # Evaluating
    batch_size: int = -1  # positions of a prompt step; -1: the model's own
    threads: int = -1  # -1: the physical cores

    # Generating
    max_new_tokens: int = 256  # -1: until the model ends or the context is full
    stop: Sequence[str] | str | None = None
    stream: bool = False
    reset: bool = True  # forget what came before

    # Loading
    context_length: int = -1  # -1: the model's own
    gpu_layers: int = -1  # 0: none; -1: all where a GPU can run them
    mmap: bool = True
    mlock: bool = False

    def __post_init__(self) -> None:
        # ctransformers' names for what compiled models do in one way.
        for name, only in (("mmap", True), ("mlock", False)):
            if getattr(self, name) != only:
                raise ValueError(f"{name}={getattr(self, name)!r} is not supported, expected "
                                 f"{only!r}")

        if self.gpu_layers < -1:
            raise ValueError(f"gpu_layers={self.gpu_layers!r} is not supported, expected -1 or "
                             "more")

    def changed(self, where: str, changes: dict[str, Any]) -> Config:
        """A copy with those changes that are not None; a TypeError names what is
        no setting."""
        for name in changes:
            if name not in Config.__dataclass_fields__:
                raise TypeError(f"'{name}' is an invalid keyword argument for {where}()")
        return dataclasses.replace(self, **{name: value for name, value in changes.items()
                                            if value is not None})

    def stops(self) -> list[str]:
        if self.stop is None:
            return []
        return [self.stop] if isinstance(self.stop, str) else list(self.stop)

    def sampling(self) -> _abi.Sampling:
        return _abi.Sampling(
            top_k=self.top_k, temperature=self.temperature, top_p=self.top_p, min_p=self.min_p,
            repeat_penalty=self.repetition_penalty, frequency_penalty=self.frequency_penalty,
            presence_penalty=self.presence_penalty, repeat_last=self.last_n_tokens,
            seed=self.seed)
