# llm.py - A compiled model with the interface of ctransformers.
# SPDX-License-Identifier: Apache-2.0
"""LLM: text in, text out; tokens in, tokens out; and each step of both.

An LLM has one sequence of tokens. Calls from several threads wait for each other;
a stream ends with an error when another call changes the sequence under it. For
answers at the same time, load the model once more: the weights are shared."""

from __future__ import annotations

import operator
import os
import threading
from typing import Any, Iterator, Literal, Mapping, Sequence, overload

import numpy as np

from . import _abi, _batch
from ._model import Model
from ._session import Progress, Session
from ._text import TextStream
from .config import Config
from .errors import QccError

Messages = Sequence[Mapping[str, Any]]


class LLM:
    def __init__(self, model_path: str | os.PathLike[str], model_type: str | None = None, *,
                 config: Config | None = None, prefix: str = "qcc_model",
                 target: str | None = None) -> None:
        """Opens a library that qcc compiled. Loading runs the library's code: open
        only what you would also run.

        model_type: accepted for ctransformers' sake; the library knows its own.
        prefix: --symbol-prefix of the compiler.
        target: one of the library's targets (default: the best that runs here)."""
        self._session: Session | None = None
        self._model: Model | None = None
        self._lock = threading.RLock()
        self._config = config or Config()
        self._path = os.fspath(model_path)
        self._model = Model(self._path, prefix, target, gpu_layers=self._config.gpu_layers)
        self._use(self._config)
        self._sampling: bytes | None = None
        self._turn: object = None  # of the generation that owns the sequence
        self.stop_reason = ""

    # ---- what it is

    @property
    def model_path(self) -> str:
        return self._path

    @property
    def model_type(self) -> str:
        return self.model.info.architecture

    @property
    def config(self) -> Config:
        return self._config

    @property
    def model(self) -> Model:
        if self._model is None:
            raise QccError("the model is closed")
        return self._model

    @property
    def session(self) -> Session:
        if self._session is None:
            raise QccError("the model is closed")
        return self._session

    @property
    def device(self) -> str:
        return "cpu"

    @property
    def eos_token_id(self) -> int:
        return self.model.info.eos

    @property
    def bos_token_id(self) -> int:
        return self.model.info.bos

    @property
    def pad_token_id(self) -> int:
        return self.eos_token_id

    @property
    def vocab_size(self) -> int:
        return self.model.info.vocab

    @property
    def context_length(self) -> int:
        return self.session.context

    @property
    def logits(self) -> np.ndarray:
        """float32 [vocab_size] of the last token that was evaluated; a copy."""
        with self._lock:
            return self.session.logits()

    @property
    def tokens(self) -> list[int]:
        """The sequence: what was evaluated, and the last generated token."""
        with self._lock:
            pending = self.session.pending
            return self.session.tokens() + ([] if pending is None else [pending])

    # ---- text and tokens

    def tokenize(self, text: str, add_bos_token: bool | None = None,
                 parse_special: bool = True) -> list[int]:
        """Token ids. add_bos_token: whether the special tokens that the model's
        tokenizer adds are there (default: yes). parse_special: whether the names
        of control tokens in the text are those tokens."""
        flags = _abi.TOKENIZE_SPECIAL if add_bos_token is not False else 0
        with self._lock:
            return self.model.tokenize(text, flags | (_abi.TOKENIZE_PARSE if parse_special else 0))

    @overload
    def detokenize(self, tokens: Sequence[int] | int, decode: Literal[True] = True,
                   special: bool = False) -> str: ...

    @overload
    def detokenize(self, tokens: Sequence[int] | int, decode: Literal[False],
                   special: bool = False) -> bytes: ...

    def detokenize(self, tokens: Sequence[int] | int, decode: bool = True,
                   special: bool = False) -> str | bytes:
        """Text of tokens; of one alone, its piece of a text. `special`: control
        tokens give their names."""
        flags = _abi.TEXT_SPECIAL if special else 0
        with self._lock:
            if isinstance(tokens, (int, np.integer)):
                text = self.model.piece(int(tokens))
            else:
                text = self.model.detokenize(_ids(tokens), flags)
        return text.decode(errors="replace") if decode else text

    def is_eos_token(self, token: int) -> bool:
        """Whether the token ends an answer (a model may have several that do)."""
        with self._lock:
            return self.model.is_end(token)

    def render_chat(self, messages: Messages, tools: Sequence[Mapping[str, Any]] | None = None, *,
                    add_generation_prompt: bool = True, template: str | None = None,
                    **variables: Any) -> str:
        """The conversation as the model's chat template writes it. `tools` are
        JSON schemas of functions, `variables` further names that the template
        reads, `template` the name of one of several."""
        with self._lock:
            return self.model.render_chat(messages, tools, add_generation_prompt, template,
                                          variables)

    # ---- steps

    def eval(self, tokens: Sequence[int], *, batch_size: int | None = None,
             threads: int | None = None, progress: Progress | None = None) -> None:
        """Appends tokens to the sequence. `progress(done, total)` is called after
        each step."""
        config = self._config.changed("eval", {"batch_size": batch_size, "threads": threads})
        with self._lock:
            self._turn = None
            self._use(config)
            self._eval(tokens, config.batch_size, progress)

    def sample(self, **settings: Any) -> int:
        """Chooses a token: the settings of Config that choose. The random numbers
        start from the seed after reset() and when a setting changes."""
        config = self._config.changed("sample", settings)
        with self._lock:
            self._choose_by(config)
            return self.session.sample()

    def reset(self) -> None:
        """Forgets the sequence."""
        with self._lock:
            self._turn = self._sampling = None
            self.session.reset()

    def embed(self, *arguments: Any, **settings: Any) -> list[float]:
        raise NotImplementedError("embeddings are not supported: a compiled model gives logits")

    @property
    def embeddings(self) -> list[float]:
        return self.embed()

    def cancel(self) -> None:
        """Ends the call that runs in another thread, or else the next one, with a
        QccError (code -6)."""
        self.session.cancel()

    # ---- generating

    def generate(self, tokens: Any = None, **settings: Any) -> Any:
        """Token ids [n]: a generator of ids, as ctransformers' (settings: those of
        Config). Token ids [batch, n], as lists, a numpy array or a torch tensor:
        prompts and answers in the type given, as transformers'
        (settings: those of generate_batch())."""
        for name in ("input_ids", "inputs"):
            if tokens is None:
                tokens = settings.pop(name, None)
        if _batch.rank(tokens) == 2:
            return self.generate_batch(tokens, **settings)
        config = self._config.changed("generate", {"max_new_tokens": -1, **settings})
        return self._generate(_ids(tokens), config)

    def generate_batch(self, input_ids: Any, attention_mask: Any = None, **settings: Any) -> Any:
        """transformers' generate(): see _batch.Settings for what it takes. The
        rows share each read of the weights, and each is what it would be alone. The
        sequence is forgotten."""
        return _batch.generate(self, input_ids, attention_mask, **settings)

    @overload
    def __call__(self, prompt: str, *, stream: Literal[True], **settings: Any) -> Iterator[str]: ...

    @overload
    def __call__(self, prompt: str, *, stream: Literal[False] | None = None,
                 **settings: Any) -> str: ...

    @overload
    def __call__(self, prompt: Any = None, **settings: Any) -> Any: ...

    def __call__(self, prompt: Any = None, **settings: Any) -> Any:
        """Text: how it goes on, in pieces with stream=True (settings: those of
        Config). Token ids [batch, n]: an object with `logits`
        [batch, n, vocab_size], as transformers'."""
        if prompt is None or not isinstance(prompt, str):
            return _batch.forward(self, prompt, **settings)
        config = self._config.changed("__call__", settings)
        return self._answer(self.tokenize(prompt), config)

    def chat(self, messages: Messages, tools: Sequence[Mapping[str, Any]] | None = None, *,
             template_variables: Mapping[str, Any] | None = None, **settings: Any) -> Any:
        """The answer to a conversation, through the model's chat template; in
        pieces with stream=True."""
        config = self._config.changed("chat", settings)
        text = self.render_chat(messages, tools, **(template_variables or {}))
        # The template writes bos itself.
        return self._answer(self.tokenize(text, add_bos_token=False), config)

    def _answer(self, tokens: list[int], config: Config) -> Any:
        pieces = self._stream(tokens, config)
        if config.stream:
            return pieces
        with self._lock:
            return "".join(pieces)

    def _stream(self, tokens: list[int], config: Config) -> Iterator[str]:
        stream = TextStream(self.model, config.stops())
        for token in self._generate(tokens, config):
            text = stream.push(token)
            if text:
                yield text
            if stream.stopped:
                self.stop_reason = "stop"
                return
        text = stream.finish()
        if text:
            yield text

    def _generate(self, tokens: list[int], config: Config, past_ends: bool = False
                  ) -> Iterator[int]:
        """The loop that everything above is made of. Nothing runs between two
        tokens that were asked for."""
        with self._lock:
            if config.reset:
                self.reset()
            self._use(config)
            turn = self._turn = object()
            self._sampling = None
            self._choose_by(config)
            self._eval(tokens, config.batch_size)
            session = self.session
        advance, chosen, left = session.next, session.turn, config.max_new_tokens
        while left:
            with self._lock:
                if self._turn is not turn:
                    self._check_turn(turn)
                status = advance()
                if status == _abi.E_CONTEXT:
                    self.stop_reason = "context"
                    return
                if status:
                    session.check_next(status)
                if chosen.end and not past_ends:
                    self.stop_reason = "end"
                    return
            left -= 1
            yield chosen.token
        self.stop_reason = "length"

    def _check_turn(self, turn: object) -> None:
        if self._turn is not turn:
            self.session  # says so when it is closed
            raise QccError("another call changed the sequence while this one generated: "
                           "load the model once for each stream")

    def _eval(self, tokens: Sequence[int], batch: int, progress: Progress | None = None) -> None:
        pending = self.session.pending
        if pending is not None:
            tokens = [pending, *tokens]
        self.session.eval(_ids(tokens), batch, progress)
        self.session.pending = None

    def _choose_by(self, config: Config) -> None:
        sampling = config.sampling()
        if bytes(sampling) != self._sampling:
            self.session.set_sampling(sampling)
            self._sampling = bytes(sampling)

    def _use(self, config: Config, sequences: int = 1) -> None:
        """Makes the session, or one with other threads or context or more sequences
        for the same sequence."""
        old = self._session
        threads, context = max(config.threads, 0), max(config.context_length, 0)
        if old:
            threads, context = threads or old.options[0], context or old.options[1]
            if (threads, context) == old.options[:2] and sequences <= old.sequences:
                return
            sequences = max(sequences, old.sequences)
        new = Session(self.model, threads, context, config.batch_size, sequences)
        if old:
            if old.length:
                new.restore(old.save())
            new.pending = old.pending
            old.close()
            self._turn = self._sampling = None
        self._session = new

    # ---- the end

    def close(self) -> None:
        """Frees the state. The object cannot be used any more."""
        with self._lock:
            session, self._session, self._turn = self._session, None, None
            model, self._model = self._model, None
            if session:
                session.close()
            if model:
                model.close()

    def __enter__(self) -> LLM:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._model is None:
            return "<qcc.LLM closed>"
        info = self._model.info
        return f"<qcc.LLM {info.name!r} ({info.architecture}) for {info.target}>"


def _ids(tokens: Any) -> list[int]:
    """Of whatever holds whole numbers: a list, an array, a tensor."""
    return [operator.index(token) for token in tokens]


def load(path: str | os.PathLike[str], *, prefix: str = "qcc_model", target: str | None = None,
         **settings: Any) -> LLM:
    """Opens a library that qcc compiled; the settings are those of Config."""
    return LLM(path, config=Config().changed("load", settings), prefix=prefix, target=target)
