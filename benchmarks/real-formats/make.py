#!/usr/bin/env python3
# make.py - Makes checkpoints of one real model with the tools that people use.
# SPDX-License-Identifier: Apache-2.0
"""Exports the GGUF model of scripts/get-models to a Hugging Face folder and lets
quantization tools write checkpoints of it, each with a reference.npz: what its
weights, dequantized by the tool, give in f32 in transformers. No GPU is needed, and
most take one to ten minutes. What is there already is left alone.

    make.py --model SmolLM2-135M-Instruct.Q4_1.gguf --output FOLDER [NAME ...]

Tools that need other releases of the same packages are run from another
environment, by name. docs/RealFormats.md tells which were used.
"""
import argparse
import os
import pathlib
import shutil
import sys

from formats import BASE, CHECKPOINTS

LICENCES = pathlib.Path("/usr/share/common-licenses")
LENGTH = 256  # of each sample

# GPTQModel asks for two, and by default has one on a machine with two cores.
os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")


def calibration(base, count):
    """Token ids of licence texts, which every Debian has."""
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    samples = []
    for path in sorted(LICENCES.iterdir()):
        if not path.is_symlink():
            ids = tokenizer.encode(path.read_text(errors="replace")).ids
            samples += [ids[i:i + LENGTH] for i in range(0, len(ids) - LENGTH + 1, LENGTH)]
    if len(samples) < count:
        sys.exit(f"make.py: error: expected {count} samples of {LENGTH} tokens in {LICENCES}, "
                 f"found {len(samples)}")
    return samples[::len(samples) // count][:count]


def make(name, output, samples):
    # Not above: --help needs no tools.
    import dequantize
    import quantize
    import reference
    folder, base = output / name, output / BASE
    tool, options = CHECKPOINTS[name]
    if not folder.exists():
        # Made elsewhere and renamed, so that an end in between leaves no half of one.
        part = output / f"{name}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        getattr(quantize, tool)(base, part, calibration(base, samples), **options)
        quantize.copy_tokenizer(base, part)
        # Of the base, where a tool copies all that is beside weights.
        (part / "reference.npz").unlink(missing_ok=True)
        part.rename(folder)
    if not (folder / "reference.npz").exists():
        reference.write_reference(folder, getattr(dequantize, tool)(folder))
    print(f"{name}: made by {tool}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="the GGUF file")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder of all")
    parser.add_argument("--samples", type=int, default=32,
                        help=f"of {LENGTH} tokens, for tools that calibrate (default 32)")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of formats.py; all by default")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(CHECKPOINTS):
        parser.error(f"unknown format '{unknown.pop()}', expected one of {', '.join(CHECKPOINTS)}")
    if not (arguments.output / BASE).exists():
        from export import export_folder
        export_folder(arguments.model, arguments.output / BASE)
    for name in arguments.names or CHECKPOINTS:
        make(name, arguments.output, arguments.samples)


if __name__ == "__main__":
    main()
