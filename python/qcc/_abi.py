# _abi.py - qcc.h in the words of ctypes.
# SPDX-License-Identifier: Apache-2.0
"""The structs, constants and functions of runtime/include/qcc-rt/qcc.h, in its
order and with its names; test/python/test_abi.py compares both."""

from __future__ import annotations

import ctypes
from ctypes import (CFUNCTYPE, POINTER, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t,
                    c_uint32, c_uint64, c_void_p)
from typing import Any

API_VERSION = 1
ERROR_BYTES = 256

OK = 0
E_ARGUMENT = -1
E_NO_MEMORY = -2
E_CPU = -3
E_DATA = -4
E_CONTEXT = -5
E_CANCELLED = -6
E_SPACE = -7
E_TEMPLATE = -8
E_NUMERIC = -9
E_DEVICE = -10
E_TOKENIZER = -11

MODEL_GPU_LAYERS = 2
MODEL_TEXT_ONLY = 4
TOKENIZE_SPECIAL = 1
TOKENIZE_PARSE = 2
TEXT_SPECIAL = 1
LOGITS_NONE = 0
LOGITS_LAST = 1
ROWS_PROMPT = 1

float_p = POINTER(c_float)
int32_p = POINTER(c_int32)
uint32_p = POINTER(c_uint32)
size_p = POINTER(c_size_t)


class Struct(ctypes.Structure):
    """Starts with struct_size, which making one fills in."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(struct_size=ctypes.sizeof(self), **fields)
        for name, value in fields.items():  # ctypes drops what does not fit
            if isinstance(value, int) and getattr(self, name) != value:
                raise ValueError(f"{name}: {value} is out of range")


class ModelOptions(Struct):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("target", c_char_p),
                ("gpu_layers", c_int32), ("reserved", c_uint32)]


class ModelInfo(Struct):
    _fields_ = [
        ("struct_size", c_uint32), ("vocab", c_uint32), ("hidden", c_uint32),
        ("layers", c_uint32), ("context", c_uint32), ("row_capacity", c_uint32),
        ("bos", c_int32), ("eos", c_int32), ("eot", c_int32), ("has_chat_template", c_uint32),
        ("parameters", c_uint64), ("weight_bytes", c_uint64),
        ("weight_bytes_per_token", c_uint64), ("kv_bytes_per_token", c_uint64),
        ("name", c_char_p), ("architecture", c_char_p), ("target", c_char_p),
        ("compiler", c_char_p), ("activations", c_char_p), ("kv", c_char_p), ("json", c_char_p),
        ("chat_template", c_char_p), ("weights", c_void_p), ("add_bos", c_uint32),
        ("state_count", c_uint32), ("checkpoint", c_char_p), ("weight_types", c_char_p),
        ("matmul_count", c_uint32), ("reserved", c_uint32), ("matmul_columns", c_uint64),
        ("device", c_char_p), ("device_unused", c_char_p), ("device_memory_bytes", c_uint64),
        ("device_free_bytes", c_uint64), ("device_weight_bytes", c_uint64),
        ("device_used_bytes", c_uint64), ("device_bandwidth", c_double),
        ("gpu_layers", c_uint32), ("reserved_layers", c_uint32),
    ]


class SessionOptions(Struct):
    _fields_ = [("struct_size", c_uint32), ("threads", c_uint32), ("context", c_uint32),
                ("sequences", c_uint32), ("batch", c_uint32), ("reserved", c_uint32)]


class Sampling(Struct):
    _fields_ = [
        ("struct_size", c_uint32), ("top_k", c_int32), ("temperature", c_float),
        ("top_p", c_float), ("min_p", c_float), ("repeat_penalty", c_float),
        ("frequency_penalty", c_float), ("presence_penalty", c_float), ("repeat_last", c_int32),
        ("reserved", c_int32), ("seed", c_int64),
    ]


class Message(ctypes.Structure):
    _fields_ = [("role", c_char_p), ("content", c_char_p)]


class Chat(Struct):
    _fields_ = [
        ("struct_size", c_uint32), ("add_generation_prompt", c_int32),
        ("messages", POINTER(Message)), ("count", c_size_t), ("tools", c_char_p),
        ("variables", c_char_p), ("name", c_char_p),
    ]


class Eval(Struct):
    _fields_ = [
        ("struct_size", c_uint32), ("sequence", c_uint32), ("tokens", int32_p),
        ("count", c_size_t), ("want", c_uint32), ("batch", c_uint32), ("on_logits", c_void_p),
        ("on_progress", c_void_p), ("user", c_void_p),
    ]


class Rows(Struct):
    _fields_ = [
        ("struct_size", c_uint32), ("flags", c_uint32), ("rows", c_uint32),
        ("outputs", c_uint32), ("token", int32_p), ("sequence", uint32_p), ("output", uint32_p),
        ("logits", float_p), ("trace", float_p), ("matmul_inputs", float_p),
    ]


class Token(Struct):
    _fields_ = [("struct_size", c_uint32), ("token", c_int32), ("text", c_void_p),
                ("bytes", c_size_t), ("logits", float_p)]


class Generate(Struct):
    _fields_ = [
        ("struct_size", c_uint32), ("sequence", c_uint32), ("prompt", int32_p),
        ("prompt_count", c_size_t), ("max_tokens", c_int64), ("flags", c_uint32),
        ("batch", c_uint32), ("stop", POINTER(c_char_p)), ("stop_count", c_size_t),
        ("on_token", c_void_p), ("on_progress", c_void_p), ("user", c_void_p),
        ("draft_max", c_uint32), ("reserved", c_uint32),
    ]


class Generated(Struct):
    _fields_ = [("struct_size", c_uint32), ("stop", c_uint32), ("prompt_tokens", c_uint64),
                ("tokens", c_uint64), ("prompt_seconds", c_double),
                ("generate_seconds", c_double), ("drafted", c_uint64),
                ("accepted", c_uint64)]


class Next(Struct):
    _fields_ = [("struct_size", c_uint32), ("sequence", c_uint32), ("token", c_int32),
                ("end", c_int32)]


# The table after its struct_size and version: name, result, arguments. Calls
# through these release the interpreter lock while they run.
FUNCTIONS: list[tuple[Any, ...]] = [
    ("model_open", c_int32, POINTER(ModelOptions), POINTER(c_void_p), c_char_p, c_size_t),
    ("model_close", None, c_void_p),
    ("model_info", c_int32, c_void_p, POINTER(ModelInfo)),
    ("tokenize", c_int32, c_void_p, c_char_p, c_size_t, c_uint32, int32_p, c_size_t, size_p),
    ("detokenize", c_int32, c_void_p, int32_p, c_size_t, c_uint32, c_char_p, c_size_t, size_p),
    ("piece", c_int32, c_void_p, c_int32, c_uint32, c_char_p, c_size_t, size_p),
    ("is_end", c_int32, c_void_p, c_int32),
    ("apply_chat", c_int32, c_void_p, POINTER(Message), c_size_t, c_int32, c_char_p, c_size_t,
     size_p, c_char_p, c_size_t),
    ("session_create", c_int32, c_void_p, POINTER(SessionOptions), POINTER(c_void_p), c_char_p,
     c_size_t),
    ("session_destroy", None, c_void_p),
    ("last_error", c_char_p, c_void_p),
    ("eval", c_int32, c_void_p, POINTER(Eval)),
    ("step", c_int32, c_void_p, POINTER(Rows)),
    ("logits", c_void_p, c_void_p),
    ("set_sampling", c_int32, c_void_p, POINTER(Sampling)),
    ("sample", c_int32, c_void_p, c_uint32, float_p, int32_p),
    ("generate", c_int32, c_void_p, POINTER(Generate), POINTER(Generated)),
    ("cancel", None, c_void_p, c_int32),
    ("length", c_size_t, c_void_p, c_uint32),
    ("tokens", c_void_p, c_void_p, c_uint32),
    ("truncate", c_int32, c_void_p, c_uint32, c_size_t),
    ("state_save", c_int32, c_void_p, c_uint32, c_void_p, c_size_t, size_p),
    ("state_restore", c_int32, c_void_p, c_uint32, c_void_p, c_size_t),
    ("threads", c_uint32, c_void_p),
    ("context", c_uint32, c_void_p),
    ("state_bytes", c_uint64, c_void_p),
    ("matmul", c_int32, c_void_p, c_uint32, c_void_p),
    ("render_chat", c_int32, c_void_p, POINTER(Chat), c_char_p, c_size_t, size_p, c_char_p,
     c_size_t),
    ("set_sequence_sampling", c_int32, c_void_p, c_uint32, POINTER(Sampling)),
    ("copy", c_int32, c_void_p, c_uint32, c_uint32, c_size_t),
    ("profile", c_int32, c_void_p, c_int32),
    ("profile_info", c_int32, c_void_p, c_void_p),
    ("stage_time", c_int32, c_void_p, c_uint32, c_void_p),
    ("next", c_int32, c_void_p, POINTER(Next)),
]


class Api:
    """The functions of a library's table as attributes. Those that an older
    library does not have are missing."""

    def __init__(self, table: int) -> None:
        size = c_uint32.from_address(table).value
        at = 2 * ctypes.sizeof(c_uint32)
        for name, result, *arguments in FUNCTIONS:
            if at + ctypes.sizeof(c_void_p) > size:
                break
            address = c_void_p.from_address(table + at).value or 0
            setattr(self, name, CFUNCTYPE(result, *arguments)(address))
            at += ctypes.sizeof(c_void_p)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the model was compiled by a qcc that has no `qcc_{name}`")


def untyped(function: Any) -> Any:
    """The same function of int32_t for arguments that are C objects already: ctypes
    does not look at what it would convert."""
    return CFUNCTYPE(c_int32)(ctypes.cast(function, c_void_p).value or 0)


def query(library: ctypes.CDLL, prefix: str) -> int:
    """Address of the table; 0 when the library wants a newer caller. An
    AttributeError when it is no compiled model."""
    function = getattr(library, f"{prefix}_query")
    function.restype, function.argtypes = c_void_p, [c_uint32]
    return function(API_VERSION) or 0
