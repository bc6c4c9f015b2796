#!/usr/bin/env python3
# exllamav2_cpu.py - ExLlamaV2's converter, without a GPU.
# SPDX-License-Identifier: Apache-2.0
"""ExLlamaV2 is written for CUDA. What its converter needs of its extension is compiled
for the CPU from the sources in the installed package (cuda-on-cpu/CudaOnCpu.h stands
for CUDA), and what its Python puts on a GPU stays on the CPU. Run as a program it
is that converter, with its arguments:

    exllamav2_cpu.py -i FOLDER -o SCRATCH -cf RESULT -b 4.0 ...
"""
import contextlib
import importlib.util
import pathlib
import re
import runpy
import sys
import tempfile

import torch
from torch.overrides import TorchFunctionMode

GLUE = pathlib.Path(__file__).resolve().parent / "cuda-on-cpu"
SOURCES = ("ext_quant.cpp", "cpp/quantize_func.cpp", "cuda/quantize.cu", "cuda/pack_tensor.cu",
           "cuda/q_matrix.cu")
# The last has what some GPUs lack.
CUDA_HEADERS = ("cuda_runtime.h", "cuda_fp16.h", "curand_kernel.h", "c10/cuda/CUDAGuard.h",
                "ATen/cuda/CUDAContext.h", "cuda/compat.cuh")
# How many scales are tried for each group: 96 there, which would take most of the time.
SCALES = 8
LAUNCH = re.compile(r"(\w+(?:<\w+>)?)<<<(.*?)>>>\s*\(", re.DOTALL)


def package():
    """Where ExLlamaV2 is; not imported, for that would compile it for CUDA."""
    spec = importlib.util.find_spec("exllamav2")
    if spec is None:
        raise ModuleNotFoundError("exllamav2 is not installed")
    return pathlib.Path(spec.submodule_search_locations[0])


def translated(folder):
    """Copies the extension's sources to `folder`, with launches of kernels as C++."""
    source = package() / "exllamav2_ext"
    for path in source.rglob("*"):
        if path.suffix in (".cpp", ".h", ".cu", ".cuh"):
            copy = folder / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            text = LAUNCH.sub(
                r"cuda_on_cpu::launch([](auto... values) { \1(values...); }, \2)(",
                path.read_text())
            copy.with_suffix(".cpp" if path.suffix == ".cu" else path.suffix).write_text(text)
    for name in CUDA_HEADERS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('#include "CudaOnCpu.h"\n')


def compiled(name, *flags, edit=None):
    """The extension as the module `name`; `edit` may change its sources first."""
    from torch.utils.cpp_extension import load
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = pathlib.Path(name_of_folder)
        translated(folder)
        if edit:
            edit(folder)
        # Functions that nothing calls need others that are not compiled.
        sections = ["-ffunction-sections", "-fvisibility=hidden"]
        return load(name, [str(GLUE / "ExLlamaV2.cpp"),
                           *(str((folder / source).with_suffix(".cpp")) for source in SOURCES)],
                    extra_include_paths=[str(folder), str(GLUE)], build_directory=str(folder),
                    extra_cflags=["-O3", "-march=native", "-fno-strict-aliasing", *sections,
                                  *flags],
                    extra_ldflags=["-Wl,--gc-sections"])


def compiled_for_f32():
    """The same with f32 for f16, that is, with reconstruct() rounding nothing there."""
    def edit(folder):
        # Without the order of bits that is made for f16.
        path = folder / "config.h"
        path.write_text(re.sub(r"(#define QMODE_\dBIT) 1", r"\1 0", path.read_text()))
    return compiled("exllamav2_f32", "-DCUDA_HALF_IS_FLOAT", edit=edit)


def on_cpu(value):
    if isinstance(value, torch.device) and value.type == "cuda":
        return torch.device("cpu")
    return "cpu" if isinstance(value, str) and value.startswith("cuda") else value


class CpuForCuda(TorchFunctionMode):
    """Puts on the CPU what is meant for a GPU. What is moved is a copy, as there, and
    products of f16 are sums in f32, as there."""

    MOVES = (torch.Tensor.to, torch.Tensor.cpu, torch.Tensor.cuda)
    PRODUCTS = (torch.matmul, torch.Tensor.matmul, torch.nn.functional.linear,
                torch.nn.functional.scaled_dot_product_attention)

    def __torch_function__(self, function, _types, arguments=(), options=None):
        options = {key: on_cpu(value) for key, value in (options or {}).items()}
        if function is torch.Tensor.cuda:
            return arguments[0].clone()
        if function in self.PRODUCTS and arguments[0].dtype == torch.half:
            return function(*map(widened, arguments), **options).half()
        result = function(*map(on_cpu, arguments), **options)
        return result.clone() if function in self.MOVES and result is arguments[0] else result


def widened(value):
    return value.float() if torch.is_tensor(value) and value.dtype == torch.half else value


def rms_norm(inputs, weight, output, epsilon):
    values = inputs.float()
    scale = torch.rsqrt(values.pow(2).mean(-1, keepdim=True) + epsilon)
    output.copy_(values * scale * weight.float())


def rope(values, sin, cos, past, _heads, _head_dim, _offsets, neox):
    """Of [batch, position, head, element], in place."""
    if not neox:
        raise NotImplementedError("rope of pairs that stand side by side")
    count = values.shape[1]
    sin, cos = (table[0, 0, past:past + count, None].float() for table in (sin, cos))
    low, high = values.float().chunk(2, -1)
    values.copy_(values.float() * cos + torch.cat((-high, low), -1) * sin)


def read_tensor(path, start, size, tensor):
    tensor.view(-1).view(torch.uint8).copy_(
        torch.from_file(path, size=start + size, dtype=torch.uint8)[start:])


@contextlib.contextmanager
def stand_ins():
    """Makes `import exllamav2` find the compiled extension, and a GPU."""
    module = sys.modules["exllamav2_ext"] = compiled("exllamav2_ext")
    module.rms_norm, module.rope_, module.stloader_read = rms_norm, rope, read_tensor
    import torch._dynamo  # which does not like what is changed below
    torch.version.cuda = torch.version.cuda or "none"
    torch.cuda.device_count = lambda: 1
    torch.cuda.synchronize = torch.cuda.set_device = torch.cuda.set_stream = lambda *_: None
    torch.cuda.Stream = torch.cuda.stream = torch.cuda.device = lambda *_: contextlib.nullcontext()
    with CpuForCuda():
        yield


def main():
    with stand_ins():
        from exllamav2.conversion.adaptivegptq import AdaptiveQuantizer
        AdaptiveQuantizer.p_grid = SCALES
        runpy.run_module("exllamav2.conversion.convert_exl2", run_name="__main__")


if __name__ == "__main__":
    main()
