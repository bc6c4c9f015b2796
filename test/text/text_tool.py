# text_tool.py - Drives qcc-text-tool and reads vocabularies from GGUF files.
# SPDX-License-Identifier: Apache-2.0
"""Helpers of the differential tests. The tool is named by QCC_TEXT_TOOL, the
folder of real models by QCC_MODELS."""
import json
import os
import pathlib
import subprocess

TOOL = os.environ.get("QCC_TEXT_TOOL", "qcc-text-tool")


def model_file(name):
    """Path of a real model, or None where they are not at hand."""
    folder = os.environ.get("QCC_MODELS")
    path = pathlib.Path(folder) / name if folder else None
    return path if path and path.exists() else None


def text_or_hex(data):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return {"hex": data.hex()}


def spec_from_gguf(path):
    """The tokenizer of a GGUF file as a specification for `build`."""
    from gguf import GGUFReader

    fields = GGUFReader(str(path)).fields

    def get(key, default=None):
        field = fields.get("tokenizer.ggml." + key)
        return default if field is None else field.contents()

    def texts(key):
        field = fields.get("tokenizer.ggml." + key)
        if field is None:
            return []
        return [bytes(field.parts[i]) for i in field.data]

    return {
        "model": get("model"),
        "pre": get("pre", ""),
        "tokens": [text_or_hex(t) for t in texts("tokens")],
        "scores": get("scores", []),
        "types": get("token_type", []),
        "merges": [t.decode() for t in texts("merges")],
        "bos": get("bos_token_id", -1),
        "eos": get("eos_token_id", -1),
        "eot": get("eot_token_id", -1),
        "eom": get("eom_token_id", -1),
        "unk": get("unknown_token_id", -1),
        "pad": get("padding_token_id", -1),
        "add_bos": get("add_bos_token"),
        "add_eos": get("add_eos_token"),
        "add_space_prefix": get("add_space_prefix"),
    }


def build(spec, folder, name="tokenizer"):
    """Builds an image; returns its path, or raises with the tool's error."""
    folder = pathlib.Path(folder)
    spec_file, image = folder / (name + ".json"), folder / (name + ".image")
    spec_file.write_text(json.dumps(spec))
    done = subprocess.run([TOOL, "build", spec_file, image], text=True,
                          capture_output=True)
    if done.returncode:
        raise ValueError(done.stderr.strip())
    return image


def read(checkpoint, folder, name="tokenizer"):
    """The image of a folder's or GGUF file's tokenizer, as build() makes one."""
    image = pathlib.Path(folder) / (name + ".image")
    done = subprocess.run([TOOL, "read", checkpoint, image], text=True, capture_output=True)
    if done.returncode:
        raise ValueError(done.stderr.strip())
    return image


def ask(requests, image=None):
    """The answers to a list of requests."""
    lines = "".join(json.dumps(r) + "\n" for r in requests)
    command = [TOOL, "run"] + ([str(image)] if image else [])
    done = subprocess.run(command, input=lines.encode(), capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.returncode}: {done.stderr!r}")
    return [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]
