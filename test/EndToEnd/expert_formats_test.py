#!/usr/bin/env python3
# expert_formats_test.py - Experts whose matrices quantizers wrote, to logits.
# SPDX-License-Identifier: Apache-2.0
#
#   expert_formats_test.py --qcc build/bin/qcc [unittest arguments]
"""A mixture of experts with a tensor set for each matrix of each expert must give the logits
of the same mixture in floats. Scales that are common to a tensor are another in each expert."""
import json
import sys

SKIP = 77
try:
    import numpy as np
except ImportError:
    print("skipped: no numpy")
    sys.exit(SKIP)

sys.dont_write_bytecode = True
from folder_case import FolderCase, run  # noqa: E402
import hf_formats  # noqa: E402
from hf_folder import awq, compressed, gptq, write_safetensors  # noqa: E402

HIDDEN, MIDDLE, EXPERTS, VOCAB = 64, 128, 4, 48
CONFIG = dict(
    model_type="qwen3_moe", num_hidden_layers=1, hidden_size=HIDDEN, intermediate_size=64,
    num_attention_heads=2, num_key_value_heads=1, head_dim=32, vocab_size=VOCAB,
    max_position_embeddings=64, rms_norm_eps=1e-6, tie_word_embeddings=False, num_experts=EXPERTS,
    num_experts_per_tok=2, moe_intermediate_size=MIDDLE, norm_topk_prob=True, rope_theta=1000.0)
# Modules that stay floats, as configs of compressed-tensors and ModelOpt name them.
FLOATS = ["lm_head", "re:.*mlp.gate$"]


def floats_of_4_bits(form, group, strategy):
    weights = {"num_bits": 4, "type": "float", "symmetric": True, "group_size": group,
               "strategy": strategy}
    return {"quant_method": "compressed-tensors", "format": form, "ignore": FLOATS,
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}}


INT4 = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 32}
FORMATS = {
    "gptq": (lambda r, w: gptq(r, w, g_idx="absent"),
             {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": True, "desc_act": False}),
    "awq": (lambda r, w: awq(r, w), {"quant_method": "awq", "bits": 4, "group_size": 32,
                                     "version": "gemm", "zero_point": True}),
    "compressed-tensors": (lambda r, w: compressed(r, w), {
        "quant_method": "compressed-tensors", "format": "pack-quantized", "ignore": FLOATS,
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": INT4}}}),
    "nvfp4": (hf_formats.nvfp4, floats_of_4_bits("nvfp4-pack-quantized", 16, "tensor_group")),
    "mxfp4": (hf_formats.mxfp4, floats_of_4_bits("mxfp4-pack-quantized", 32, "group")),
    "modelopt": (lambda r, w: hf_formats.nvfp4(r, w, modelopt=True),
                 {"quant_method": "modelopt", "quant_algo": "NVFP4",
                  "ignore": ["lm_head", "*mlp.gate"]}),
    "hqq": (hf_formats.hqq, {"quant_method": "hqq", "skip_modules": ["lm_head"]}),
}


def matrices(random):
    """Those of all layers, by module."""
    p = "model.layers.0."
    shapes = {p + "self_attn.q_proj": (64, HIDDEN), p + "self_attn.k_proj": (32, HIDDEN),
              p + "self_attn.v_proj": (32, HIDDEN), p + "self_attn.o_proj": (HIDDEN, 64)}
    for expert in range(EXPERTS):
        e = p + f"mlp.experts.{expert}."
        shapes |= {e + "gate_proj": (MIDDLE, HIDDEN), e + "up_proj": (MIDDLE, HIDDEN),
                   e + "down_proj": (HIDDEN, MIDDLE)}
    return {name: random.normal(size=shape) * shape[1] ** -0.5 * random.uniform(0.8, 1.2)
            for name, shape in shapes.items()}


def others(random):
    """Tensors that stay as they are."""
    p = "model.layers.0."
    shapes = {"model.embed_tokens": (VOCAB, HIDDEN), "lm_head": (VOCAB, HIDDEN), "model.norm": (HIDDEN,),
              p + "input_layernorm": (HIDDEN,), p + "post_attention_layernorm": (HIDDEN,),
              p + "self_attn.q_norm": (32,), p + "self_attn.k_norm": (32,),
              p + "mlp.gate": (EXPERTS, HIDDEN)}
    return {name + ".weight": (random.normal(size=shape) * HIDDEN ** -0.5 if len(shape) == 2 else
                               1 + 0.1 * random.normal(size=shape)).astype(np.float32)
            for name, shape in shapes.items()}


class Experts(FolderCase):
    def logits_of(self, name, config, tensors, target):
        path = self.folder / name
        path.mkdir()
        (path / "config.json").write_text(json.dumps({**CONFIG, **config}))
        write_safetensors(path / "model.safetensors", tensors)
        self.compile(path, "--activations=f32", "--target", target)
        return self.logits([3, 7, 11, 5, 9, 22, 1])

    def check(self, name, target):
        write, config = FORMATS[name]
        random = np.random.default_rng(5)
        stored, plain = others(random), {}
        plain |= stored
        for module, matrix in matrices(random).items():
            parts, values = write(random, matrix)
            stored |= {f"{module}.{part}": array for part, array in parts.items()}
            plain[module + ".weight"] = values.astype(np.float32)
        expected = self.logits_of("plain-" + name + target, {}, plain, target)
        got = self.logits_of(name + target, {"quantization_config": config}, stored, target)
        self.assertLess(np.abs(got - expected).max() / np.abs(expected).max(), 1e-5)

    def test_values(self):
        for name in FORMATS:
            with self.subTest(format=name):
                self.check(name, "reference")

    def test_packed(self):
        self.check("nvfp4", "native")


if __name__ == "__main__":
    run("--qcc")
