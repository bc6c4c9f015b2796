#!/usr/bin/env python3
# make_hqq.py - A folder whose weights the HQQ library quantized.
# SPDX-License-Identifier: Apache-2.0
"""Wrote test/Inputs/hqq. Needs torch, safetensors and hqq 0.2.8, which no test does.

  make_hqq.py FOLDER
"""
import argparse
import json
import pathlib

import numpy as np
import torch
from hqq.core.quantize import BaseQuantizeConfig, HQQLinear
from safetensors.torch import save_file

OUT, IN = 12, 64


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    tensors, expected = {}, {}
    for bits, group, dtype in ((4, 64, torch.float16), (3, 32, torch.bfloat16), (8, 64, torch.float32),
                               (2, 16, torch.float16), (1, 32, torch.float16)):
        module, config = f"b{bits}", BaseQuantizeConfig(nbits=bits, group_size=group, axis=1)
        layer = HQQLinear(torch.nn.Linear(IN, OUT, bias=False), config, compute_dtype=dtype, device="cpu")
        tensors.update({f"{module}.{name}": tensor.contiguous()
                        for name, tensor in layer.state_dict().items()})
        # As the library dequantizes, but not in the type of the scales.
        codes = layer.unpack(dtype=torch.float64)[:OUT * IN // group]
        values = (codes - layer.meta["zero"].double()) * layer.meta["scale"].double()
        expected[module] = values.reshape(OUT, IN).float().numpy()
    save_file(tensors, folder / "model.safetensors")
    config = BaseQuantizeConfig(nbits=4, group_size=64, axis=1)
    (folder / "config.json").write_text(json.dumps({
        "model_type": "llama", "quantization_config": {
            "quant_config": config, "quant_method": "hqq", "skip_modules": ["lm_head"]}},
        indent=1) + "\n")
    np.savez_compressed(folder / "expected.npz", **expected)


if __name__ == "__main__":
    main()
