# dequantize.py - The f32 weights of a checkpoint, by the tool that wrote it.
# SPDX-License-Identifier: Apache-2.0
"""Each function returns {module: [out, in] in f32} of the quantized matrices. Scales
are widened to f32 first, and nothing is rounded afterwards."""

import json

import torch
from safetensors import safe_open


def stored(folder):
    """All tensors of a checkpoint."""
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            tensors.update({name: file.get_tensor(name) for name in file.keys()})
    return tensors


def modules(tensors, suffix):
    return [name[:-len(suffix)] for name in tensors if name.endswith(suffix)]


def quantization_config(folder):
    return json.loads((folder / "config.json").read_text())["quantization_config"]


def plain(_folder):
    return {}


def gptqmodel(folder):
    from gptqmodel import BACKEND, GPTQModel
    from gptqmodel.nn_modules.qlinear import BaseQuantLinear
    model = GPTQModel.load(str(folder), device="cpu", backend=BACKEND.TORCH)
    tensors, result = stored(folder), {}
    for name, module in model.model.named_modules():
        if isinstance(module, BaseQuantLinear):
            # Loading casts the scales to the type of the model.
            module.scales.data = tensors[name + ".scales"].float()
            result[name] = module.dequantize_weight().t().float().contiguous()
    return result


def bitsandbytes(folder):
    from bitsandbytes import functional
    from bitsandbytes.nn import Linear4bit, Linear8bitLt
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(folder, device_map="cpu")
    result = {}
    for name, module in model.named_modules():
        if isinstance(module, Linear4bit):
            state = module.weight.quant_state
            state.dtype = torch.float32
            result[name] = functional.dequantize_4bit(module.weight.data, state)
        elif isinstance(module, Linear8bitLt):
            scales = module.weight.SCB if module.weight.SCB is not None else module.state.SCB
            result[name] = functional.int8_vectorwise_dequant(module.weight.data, scales)
    return result


def autoawq(folder):
    from awq.utils.packing_utils import dequantize_gemm
    group = quantization_config(folder)["group_size"]
    tensors = stored(folder)
    return {name: dequantize_gemm(tensors[name + ".qweight"], tensors[name + ".qzeros"],
                                  tensors[name + ".scales"].float(), 4, group).t().contiguous()
            for name in modules(tensors, ".qweight")}


def llmcompressor(folder):
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationScheme
    config, tensors, result = quantization_config(folder), stored(folder), {}
    scheme = QuantizationScheme.model_validate(config["config_groups"]["group_0"])
    compressor = BaseCompressor.get_value_from_registry(config["format"])
    for name in modules(tensors, ".weight_scale"):
        parts = {key[len(name) + 1:]: tensor for key, tensor in tensors.items()
                 if key.startswith(name + ".")}
        parts["weight_scale"] = parts["weight_scale"].float()
        result[name] = compressor.decompress(parts, scheme)["weight"]
    return result


def transformers_fp8(folder):
    tensors, result = stored(folder), {}
    tile = quantization_config(folder)["weight_block_size"]
    for name in modules(tensors, ".weight_scale_inv"):
        weight, scales = tensors[name + ".weight"].float(), tensors[name + ".weight_scale_inv"]
        # The last tile of a row or column may be a part of one.
        spread = scales.float().repeat_interleave(tile[0], 0).repeat_interleave(tile[1], 1)
        result[name] = weight * spread[:weight.shape[0], :weight.shape[1]]
    return result


def exllamav2(folder):
    from exllamav2_cpu import compiled, compiled_for_f32
    f16, f32 = compiled("exllamav2_ext"), compiled_for_f32()
    tensors, result = stored(folder), {}
    for name in modules(tensors, ".q_weight"):
        parts = {key: tensors[f"{name}.{key}"]
                 for key in ("q_weight", "q_invperm", "q_scale", "q_scale_max", "q_groups")}
        # ExLlamaV2 divides the scale, and multiplies it with the code, in f16.
        scale = parts["q_scale_max"] / 256
        torch.testing.assert_close(exllamav2_matrix(f16, parts, scale).float(),
                                   exllamav2_matrix(f32, parts, scale.float()),
                                   rtol=2 ** -9, atol=2 ** -24)
        scale = parts["q_scale_max"].float() / 256
        result[name] = exllamav2_matrix(f32, parts, scale).t().contiguous()
    return result


def exllamav2_matrix(extension, parts, scale):
    """[in, out] by ExLlamaV2's code, which may change the order of bits, here in a copy."""
    weight, inverse = parts["q_weight"].clone(), parts["q_invperm"].short()
    order = torch.argsort(parts["q_invperm"]).short()
    groups = extension.make_group_map(parts["q_groups"], weight.shape[0])
    none = torch.empty(1, 1, device="meta")
    handle = extension.make_q_matrix(weight, order, inverse, parts["q_scale"], scale,
                                     parts["q_groups"], groups, none, none, none, none, none, 0)
    matrix = torch.empty(len(order), weight.shape[1], dtype=scale.dtype)
    extension.reconstruct(handle, matrix)
    extension.free_q_matrix(handle)
    return matrix
