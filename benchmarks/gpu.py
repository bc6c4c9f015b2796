#!/usr/bin/env python3
# gpu.py - Speed of a compiled model of 8B on a GPU.
# SPDX-License-Identifier: Apache-2.0
"""Makes a model of the shapes of Llama 3.1 8B with random weights of 4 bits in groups of
128 (head included, the embedding in BF16), compiles it and measures on the first GPU:
decode of one sequence and of sixteen in one step, prompts, and each as a share of what
the GPU can do. That is a copy's bandwidth and a product of two matrices in f16, both
by torch where it is there. Needs numpy.

    benchmarks/gpu.py --qcc build/bin/qcc --target sm_90a --dir /big/disk
"""
import argparse
import json
import pathlib
import subprocess
import sys
import time

import numpy

import full_sizes
from full_sizes import Folder

LAYERS, HIDDEN, VOCAB = 32, 4096, 128256


def folder(layers):
    settings = full_sizes.gptq_config()
    settings["quantization_config"]["lm_head"] = True
    config = full_sizes.config("llama", layers, HIDDEN, 14336, 32, 8, 128, VOCAB, **settings)
    return full_sizes.build(config, Folder.gptq, head=Folder.gptq)


def fill(path, model):
    """Weights of a size near 1 / sqrt(inputs); codes may be anything."""
    rng = numpy.random.Generator(numpy.random.SFC64(1))
    header = 8 + int.from_bytes(open(path, "rb").read(8), "little")
    noise = rng.bytes(1 << 26)
    with open(path, "r+b") as file:
        for name, entry in model.entries.items():
            start, end = entry["data_offsets"]
            size, dims = end - start, entry["shape"]
            file.seek(header + start)
            if name.endswith(".qweight"):
                for at in range(0, size, len(noise)):
                    part = min(len(noise), size - at)
                    skip = int(rng.integers(0, 4096))  # not the same bytes again
                    file.write(noise[skip:][:part] + noise[:max(0, part + skip - len(noise))])
            elif name.endswith(".scales"):
                inputs = dims[0] * 128
                values = rng.uniform(0.5, 1.5, dims) / (4.6 * inputs ** 0.5)
                file.write(values.astype("<f2").tobytes())
            elif name.endswith("norm.weight"):
                file.write(b"\x80\x3f" * dims[0])
            elif entry["dtype"] == "BF16":
                values = rng.standard_normal((1 << 20,), dtype=numpy.float32)
                halves = (values.view("<u4") >> 16).astype("<u2").tobytes()
                for at in range(0, size, len(halves)):
                    file.write(halves[:min(len(halves), size - at)])


def ceilings():
    """(bytes/s of a copy, reads and writes counted; operations/s in f16), or Nones."""
    try:
        import torch
    except ImportError:
        return None, None

    def median(run, count=10):
        times = []
        for i in range(count + 3):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            run()
            end.record()
            torch.cuda.synchronize()
            if i >= 3:
                times.append(begin.elapsed_time(end) * 1e-3)
        return sorted(times)[len(times) // 2]
    source = torch.empty(1 << 32, dtype=torch.uint8, device="cuda").random_()
    target = torch.empty_like(source)
    copied = 2 * source.numel() / median(lambda: target.copy_(source))
    del source, target
    a, b = (torch.randn(8192, 8192, dtype=torch.float16, device="cuda") for _ in range(2))
    multiplied = 2 * 8192 ** 3 / median(lambda: a @ b)
    del a, b
    torch.cuda.empty_cache()
    return copied, multiplied


def bench(program, *arguments):
    run = subprocess.run([str(program), "bench", "--json", "-ngl", "99", *map(str, arguments)],
                         capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{program} bench: {run.stderr}")
    return json.loads(run.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--qcc", required=True)
    parser.add_argument("--target", default="sm_90a")
    parser.add_argument("--dir", type=pathlib.Path, required=True,
                        help="where the model goes; what is there is used again")
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--make", action="store_true", help="only make and compile the model")
    parser.add_argument("--prompt", type=int, default=2048)
    parser.add_argument("--depth", type=int, default=0)
    options = parser.parse_args()
    options.dir.mkdir(exist_ok=True)
    source, program = options.dir / "model", options.dir / f"model.{options.target}"
    if not program.exists():
        start = time.monotonic()
        if not source.exists():
            model = folder(options.layers)
            model.write(source)
            fill(source / "model.safetensors", model)
        made = time.monotonic()
        subprocess.run([options.qcc, source, "--target", f"x86-64-v3,{options.target}", "-o",
                        program], check=True)
        print(f"made in {made - start:.0f} s, compiled in {time.monotonic() - made:.0f} s",
              flush=True)
    if options.make:
        return

    copied, multiplied = ceilings()
    if copied:
        print(f"copy {copied * 1e-9:.0f} GB/s, products in f16 {multiplied * 1e-12:.0f} TFLOP/s")
    one = bench(program, "-p", 0, "-n", 128, "-r", 3, "-d", options.depth)
    copied = copied or one["read_bandwidth_gb_per_second"] * 1e9
    bytes_read = one["weight_bytes_per_token"] + options.depth * one["kv_bytes_per_token"]
    rate = one["decode_tokens_per_second"]
    print(f"{one['device']}, {one['target']}: decode {rate:.1f} tokens/s, {1e3 / rate:.3f} ms, "
          f"{rate * bytes_read * 1e-9:.0f} GB/s, {rate * bytes_read / copied:.3f} of the bandwidth")
    many = bench(program, "-p", 0, "-n", 64, "-r", 3, "-d", options.depth, "--parallel", 16)
    both = many["decode_tokens_per_second"]
    print(f"16 sequences: {both:.0f} tokens/s, a step {16e3 / both:.3f} ms, "
          f"{16 * rate / both:.2f} x that of one")
    prompt = bench(program, "-p", options.prompt, "-n", 0, "-r", 3)
    speed = prompt["prefill_tokens_per_second"]
    # What each token multiplies: all matrices but the head.
    products = 2 * options.layers * (HIDDEN * (2 * HIDDEN + 2 * 1024) + 3 * HIDDEN * 14336)
    share = f", {speed * products / multiplied:.3f} of the peak" if multiplied else ""
    print(f"prompt of {options.prompt}: {speed:.0f} tokens/s, "
          f"{speed * products * 1e-12:.1f} TFLOP/s{share}")


if __name__ == "__main__":
    main()
