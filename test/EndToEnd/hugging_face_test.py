#!/usr/bin/env python3
# hugging_face_test.py - Hugging Face folders from reading to logits.
# SPDX-License-Identifier: Apache-2.0
#
#   hugging_face_test.py --qcc build/bin/qcc --tool build/bin/qcc-checkpoint-tool
#                        [unittest arguments]
"""Small folders made here are compiled and compared with an evaluation in float64
(test/Inputs/hf_folder.py); each weight, packed and unpacked again, with the
values by the format's definition, bit for bit, and where a checkout has it beside
it with format_oracle.py. What is not supported is refused by name."""
import itertools
import json
import struct
import sys

SKIP = 77
try:
    import numpy as np
except ImportError:
    print("skipped: no numpy")
    sys.exit(SKIP)

sys.dont_write_bytecode = True
from folder_case import QuantizedTestCase, TestCase, oracle, run  # noqa: E402
from hf_folder import BF16, Folder, as_values  # noqa: E402


class Plain(TestCase):
    def test_types(self):
        for dtype in (np.float32, np.float16, BF16):
            with self.subTest(dtype=dtype):
                self.check_logits(self.make(dtype=dtype))

    def test_tied_head(self):
        model = self.make(tied=True)
        self.check_logits(model)
        # Some tools write the table twice.
        model.tensors["lm_head.weight"] = model.tensors["model.embed_tokens.weight"]
        model.write()
        self.check_read(model)

    def test_shards(self):
        model = self.make(shards=3)
        self.check_read(model)
        self.check_read(model, model.path / "model-00002-of-00003.safetensors")
        (model.path / "model-00003-of-00003.safetensors").unlink()
        self.check_refused(model.path, "model.safetensors.index.json",
                           "'model-00003-of-00003.safetensors' is missing")

    def test_a_file_of_the_folder(self):
        model = self.make(file="weights.safetensors")
        self.check_read(model)
        self.check_read(model, model.path / "weights.safetensors")

    def test_shapes(self):
        self.check_logits(self.make(config={"head_dim": 24}, heads=3, kv_heads=1))
        self.check_logits(self.make(config={"sliding_window": 9, "model_type": "mistral"}))
        self.check_logits(self.make(config={"partial_rotary_factor": 0.5}))

    def test_layers_without_rope(self):
        model = self.make(config={"model_type": "smollm3", "no_rope_layers": [0, 1]})
        layers = self.qcc(model.path, "--emit=import", "-o", "-").stdout.split("func.func ")[1:]
        self.assertEqual(["llm.rope" in layer for layer in layers], [False, True, False])
        for wrong in ([1], [1, -1], ["a", "b"], 2):
            self.check_refused(self.make(config={"no_rope_layers": wrong}).path,
                               "config.json: key 'no_rope_layers'")
        self.check_refused(self.make(config={"no_rope_layer_interval": -1}).path,
                           "config.json: key 'no_rope_layer_interval'")

    def test_rope(self):
        llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                  "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
        self.check_logits(self.make(config={"rope_theta": 500000.0, "rope_scaling": llama3}))
        self.check_read(self.make(config={
            "rope_theta": None, "rope_parameters": {**llama3, "rope_theta": 1000}}))
        self.check_read(self.make(config={"rope_scaling": {"type": "linear", "factor": 4}}))
        for rope, message in (
                ({"rope_type": "dynamic", "factor": 4.0}, "unsupported rope scaling 'dynamic' "
                 "(supported: none, linear, llama3, longrope, yarn)"),
                ({"rope_type": "longrope", "long_factor": [1.0] * 3}, "key "
                 "'rope_parameters.short_factor' is missing"),
                ({"rope_type": "longrope", "short_factor": [1.0] * 3},
                 "key 'rope_scaling.short_factor': expected 8 positive numbers, got 3"),
                ({"rope_type": "su", "short_factor": [1.0] * 7 + [0.0]},
                 "key 'rope_scaling.short_factor': expected 8 positive numbers, got 8 with others"),
                ({"rope_type": "longrope", "short_factor": "1"}, "key 'rope_scaling.short_factor'"),
                ({"type": "linear", "factor": 1e-9}, "expected rope to turn by less than 10000 "),
                ({"type": "linear", "factor": -1}, "key 'rope_scaling.factor': expected a positive"),
                ({"rope_type": "yarn", "factor": 4, "beta_slow": 0}, "key 'rope_scaling.beta_slow'"),
                ({"rope_type": "yarn", "factor": 1e-40}, "expected rope to turn by less"),
                ({"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 0},
                 "key 'rope_scaling.original_max_position_embeddings': expected 1 to")):
            model = self.make(config={"rope_scaling": rope})
            self.check_refused(model.path, "config.json: ", message)
        model = self.make(config={"rope_scaling": {"type": "yarn", "factor": 4}, "rope_theta": 1.0})
        self.check_refused(model.path, "config.json: key 'rope_theta': expected more than 1")

    def test_biases_of_zeros(self):
        """What some tools write for layers without."""
        model = self.make(config={"attention_bias": True})
        for name in [n for n in model.weights if n.endswith("_proj.weight")]:
            model.tensors[name[:-6] + "bias"] = np.zeros(len(model.weights[name]), np.float16)
        model.write()
        self.check_read(model)

    def test_unaligned_data(self):
        """A header may end anywhere, so no number need be aligned."""
        model = self.make()
        path = model.path / "model.safetensors"
        data = path.read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        path.write_bytes(struct.pack("<Q", length + 3 - length % 2) + data[8:8 + length] +
                         b" " * (3 - length % 2) + data[8 + length:])
        self.check_read(model)

    def test_refused(self):
        model = self.make()
        tensors = dict(model.tensors)

        def refuse(change, *parts, config=None):
            model.tensors = dict(tensors)
            change(model.tensors)
            saved = dict(model.config)
            model.config.update(config or {})
            model.write()
            model.config = saved
            self.check_refused(model.path, *parts)

        def nothing(_):
            pass
        refuse(lambda t: t.pop("lm_head.weight"), "tensor 'lm_head.weight' is missing")
        refuse(lambda t: t.update({"lm_head.bias": np.ones(96, np.float32)}),
               "tensor 'lm_head.bias': a bias that is not zero is not supported here")
        refuse(lambda t: t.update({"model.norm.bias": np.ones(64, np.float32)}),
               "tensor 'model.norm.bias': a bias that is not zero is not supported here")
        refuse(lambda t: t.update({"model.layers.0.self_attn.q_proj.bias": np.ones(63, np.float32)}),
               "tensor 'model.layers.0.self_attn.q_proj.bias': expected shape [64], got [63]")
        refuse(lambda t: t.update({"model.layers.0.self_attn.q_proj.bias":
                                   np.ones((1, 64), np.float32)}),
               "tensor 'model.layers.0.self_attn.q_proj.bias': expected shape [64], got [1, 64]")
        refuse(lambda t: t.update({"model.layers.0.self_attn.q_proj.bias": np.zeros(63, np.float32)}),
               "tensor 'model.layers.0.self_attn.q_proj.bias': expected shape [64], got [63]")
        refuse(lambda t: t.update({"model.layers.0.self_attn.x.bias": np.zeros(64, np.float32)}),
               "tensor 'model.layers.0.self_attn.x.bias' is not part of this architecture")
        refuse(lambda t: t.update({"model.norm.weight": np.ones(63, np.float32)}),
               "tensor 'model.norm.weight': expected shape [64], got [63]")
        refuse(lambda t: t.update({"x": np.ones(4, np.uint8)}), "model.safetensors: tensor 'x'",
               "dtype U8")
        refuse(nothing, "unsupported architecture 'bloom' (supported: llama, mistral, ",
               config={"model_type": "bloom"})
        refuse(nothing, "unsupported activation 'quick_gelu' (supported: silu, swish, ",
               config={"hidden_act": "quick_gelu"})
        for key in ("alibi", "add_cross_attention", "scale_attn_by_inverse_layer_idx"):
            refuse(nothing, f"config.json: key '{key}': is not supported (supported: false)",
                   config={key: True})
        refuse(nothing, "config.json: key 'qk_layernorm': is not supported for architecture 'llama' "
               "(supported: glm4moe, command-r, stablelm)", config={"qk_layernorm": True})
        refuse(nothing, "mixture-of-experts models are not supported for architecture 'qwen2' "
               "(supported: llama, qwen2moe, ", config={"model_type": "qwen2", "num_local_experts": 8})
        refuse(nothing, "quantization by 'exl3' is not supported yet",
               config={"quantization_config": {"quant_method": "exl3", "bits": 4}})
        refuse(nothing, "AWQ in version 'marlin' is not supported yet (supported: gemm, gemv, gemv_fast)",
               config={"quantization_config": {"quant_method": "awq", "version": "Marlin"}})
        refuse(nothing, "key 'quant_method' is missing",
               config={"quantization_config": {"bits": 4}})
        refuse(nothing, "config.json: key 'hidden_size': expected 1 to", config={"hidden_size": 0})
        refuse(nothing, "config.json: key 'hidden_size'", config={"hidden_size": "64"})
        refuse(nothing, "key 'layer_types': expected one of each of 2 layers, got 1",
               config={"layer_types": ["full_attention"]})
        refuse(nothing, "key 'layer_types': unsupported layer 'linear_attention' (supported: "
               "full_attention, sliding_attention)",
               config={"layer_types": ["full_attention", "linear_attention"]})
        refuse(nothing, "key 'layer_types'", config={"layer_types": [1, 2]})
        refuse(nothing, "key 'layer_types': layers with a window, of which key 'sliding_window' "
               "says nothing", config={"layer_types": ["sliding_attention"] * 2})
        for key, family in (("attn_logit_softcapping", "gemma2"), ("final_logit_softcapping", "gemma2"),
                            *((key, "granite, granitemoe") for key in (
                                "embedding_multiplier", "residual_multiplier", "logits_scaling"))):
            refuse(nothing, f"key '{key}': is not supported for architecture 'llama' "
                   f"(supported: {family})", config={key: 30.0})
        granite = {"model_type": "granite"}
        refuse(nothing, "key 'residual_multiplier': expected a number nearer to 1",
               config={**granite, "residual_multiplier": 1e-30})
        refuse(nothing, "key 'logits_scaling': expected a positive number",
               config={**granite, "logits_scaling": -2})
        refuse(nothing, "key 'final_logit_softcapping': expected a positive number",
               config={"model_type": "gemma2", "final_logit_softcapping": -2})
        refuse(lambda t: t.update({"model.layers.0.self_attn.qkv_proj.weight":
                                   t.pop("model.layers.0.self_attn.q_proj.weight")}),
               "tensor 'model.layers.0.self_attn.qkv_proj.weight': expected shape [128, 64], got")
        refuse(nothing, "key 'use_bidirectional_attention': attention to later positions",
               config={"use_bidirectional_attention": True})
        refuse(nothing, "key 'query_pre_attn_scalar': expected a positive number",
               config={"query_pre_attn_scalar": -1})
        refuse(nothing, "key 'rope_parameters.sliding_attention.rope_type': rope scaling 'linear' of "
               "layers with a window", config={"rope_parameters": {
                   "sliding_attention": {"rope_type": "linear", "factor": 2.0}}})

    def test_folders_that_hold_no_model(self):
        empty = self.folder / "empty"
        empty.mkdir()
        self.check_refused(empty, "expected a Hugging Face folder with config.json")
        model = self.make()
        (model.path / "model.safetensors").rename(model.path / "pytorch_model.bin")
        self.check_refused(model.path, "pytorch_model.bin: expected a zip archive, as torch.save")
        (model.path / "pytorch_model.bin").unlink()
        self.check_refused(model.path, "expected weights in safetensors or torch files, got none")
        (model.path / "config.json").write_text('{"a": 1, "a": 2}')
        self.check_refused(model.path, "config.json: key 'a' occurs twice")
        (model.path / "config.json").write_text('{"a": 1')
        self.check_refused(model.path, "config.json: not JSON at byte 8")
        (model.path / "config.json").write_text('{"a": %s}' % ("[" * 5000 + "]" * 5000))
        self.check_refused(model.path, "config.json: nested deeper than 32")


class Gptq(QuantizedTestCase):
    def check_weights(self, model):
        """Also against the oracle."""
        decoder = oracle()
        quantized = 0
        for name, got in super().check_weights(model).items():
            parts = {suffix: model.tensors.get(name[:-6] + suffix)
                     for suffix in ("qweight", "qzeros", "scales", "g_idx")}
            if parts["qweight"] is None:
                continue
            quantized += 1
            if decoder:
                quantization = model.config["quantization_config"]
                parts["scales"] = as_values(parts["scales"])
                self.assertTrue(np.array_equal(got, decoder.gptq_dequant(
                    **parts, bits=quantization["bits"],
                    v1=quantization["checkpoint_format"] == "gptq")), name)
        self.assertGreaterEqual(quantized, 7 * model.config["num_hidden_layers"])

    def test_codes_and_scales_stay(self):
        for options in ({}, {"bits": 2}, {"bits": 8}, {"group": 64}, {"group": -1},
                        {"g_idx": "absent"}, {"g_idx": "zeros"}, {"v2": True},
                        {"bits": 2, "v2": True, "group": 64}, {"bits": 8, "group": -1},
                        {"sym": False, "zero": 5}, {"scale_type": BF16}, {"bias": 0},
                        {"bits": 3}, {"bits": 3, "sym": False}, {"sym": False},
                        {"sym": False, "v2": True, "bits": 8}, {"bits": 2, "sym": False, "group": 64},
                        {"g_idx": "scrambled"}, {"g_idx": "scrambled", "sym": False, "bits": 3},
                        {"g_idx": "scrambled", "sym": False, "v2": True}):
            with self.subTest(**options):
                model = self.make(quantize=options, head=True)
                self.check_weights(model)

    def test_every_kind(self):
        """All widths and groups, symmetric and not, in both versions."""
        orders = itertools.cycle(("order", "scrambled", "zeros", "absent"))
        for bits, group, sym, v2 in itertools.product(
                (2, 3, 4, 8), (32, 64, 128, -1), (True, False), (False, True)):
            options = dict(bits=bits, group=group, sym=sym, v2=v2, g_idx=next(orders))
            with self.subTest(**options):
                self.check_weights(self.make(quantize=options, layers=1, ffn=256))

    def test_static_groups(self):
        """Act-order that leaves k where they are."""
        model = self.make(quantize={"sym": False}, quantization_config={
            "desc_act": True, "static_groups": True, "act_group_aware": True})
        self.check_weights(model)
        self.assertNotIn('"order"', self.qcc("inspect", "--json", model.path).stdout)

    def test_smaller_last_group(self):
        """GPTQModel leaves what group_size does not divide in the last group."""
        sizes = dict(hidden=96, ffn=160, heads=3, kv_heads=1)
        for options in ({}, {"sym": False}, {"bits": 3, "sym": False, "v2": True},
                        {"g_idx": "scrambled", "sym": False}):
            with self.subTest(**options):
                model = self.make(quantize={"group": 64, **options}, head=True, **sizes)
                self.check_weights(model)
                self.check_logits(model)
        self.check_read(self.make(quantize={"group": 64, "g_idx": "zeros"}, **sizes))
        self.assertIn('"GPTQ-4-g64"', self.qcc("inspect", "--json", model.path).stdout)
        # All of a row is less than a group.
        self.check_weights(self.make(quantize={"group": 128}, **{**sizes, "ffn": 96}))

    def test_logits(self):
        for options in ({}, {"bits": 8, "group": 64}, {"bits": 2}, {"group": -1, "v2": True},
                        {"bias": 0, "g_idx": "zeros"}, {"sym": False, "bits": 3},
                        {"g_idx": "scrambled"}, {"g_idx": "scrambled", "sym": False, "group": 64}):
            with self.subTest(**options):
                self.check_logits(self.make(quantize=options, head=True, dtype=BF16))
                self.check_read(self.make(quantize=options, head=False, dtype=BF16))

    def test_shards(self):
        """A weight's arrays may lie in different files."""
        model = self.make(quantize={}, shards=5)
        self.check_weights(model)
        self.check_read(model)

    def test_config_beside(self):
        model = self.make(quantize={}, file="gptq_model-4bit-32g.safetensors")
        quantization = model.config.pop("quantization_config")
        model.write()
        # As AutoGPTQ first wrote it.
        for key in ("quant_method", "checkpoint_format"):
            del quantization[key]
        side = model.path / "quantize_config.json"
        side.write_text(json.dumps(quantization))
        self.check_read(model)
        model.config["quantization_config"] = dict(quantization, quant_method="gptq", bits=8)
        model.write()
        self.check_refused(model.path, "quantize_config.json: key 'bits': expected 8, as "
                           "config.json has, got '4'")

    def test_inspect(self):
        model = self.make(quantize={"group": 64})
        result = self.qcc("inspect", "--json", model.path)
        self.assertEqual(result.returncode, 0, result.stderr)
        facts = json.loads(result.stdout)
        self.assertEqual(facts["format"], "safetensors, GPTQ")
        self.assertEqual(facts["architecture"], "llama")
        self.assertEqual(facts["config"]["quantization_config.bits"], 4)
        self.assertEqual(facts["parameters"], sum(w.size for w in model.weights.values()))
        self.assertEqual(facts["types"]["GPTQ-4-g64"]["tensors"], 14)
        tensor, = (t for t in facts["tensors"]
                   if t["name"] == "model.layers.1.mlp.down_proj.weight")
        self.assertEqual(tensor["shape"], [128, 64])
        self.assertEqual([part["name"].rpartition(".")[2] for part in tensor["parts"]],
                         ["qweight", "scales", "g_idx", "qzeros"])
        self.assertEqual(tensor["parts"][0]["shape"], [64, 16])
        self.assertIn("GPTQ-4-g64", self.qcc("inspect", model.path).stdout)

    def test_the_encoding_reaches_the_schedule(self):
        model = self.make(quantize={"group": 64})
        result = self.qcc(model.path, "--emit=schedule", "-o", "-")
        self.assertIn("#qz.encoding<bits = 4, zero = 8, group = 64, scale = f16>", result.stdout)

    def test_packed_size(self):
        """At most 4 % more than in the file, padding aside; here there is none."""
        model = self.make(quantize={}, hidden=256, ffn=512, layers=1, head=True, vocab=256)
        result = self.qcc(model.path, "-o", self.library, "--activations=f32")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        info = json.loads(self.qcc("run", self.library, "info", "--json").stdout)
        parts = sum(a.size * 4 if k.endswith("qweight") else a.size * 2
                    for k, a in model.tensors.items() if k.endswith(("qweight", "scales")))
        plain = sum(w.size * 4 for n, w in model.weights.items()
                    if n in model.tensors)
        self.assertLessEqual(info["weight_bytes"], (parts + plain) * 1.04)

    def test_refused(self):
        def refuse(*parts, config=None, hidden=64, ffn=128, **options):
            model = self.make(quantize=options, quantization_config=config, hidden=hidden, ffn=ffn)
            self.check_refused(model.path, *parts)

        model = self.make(quantize={"g_idx": "scrambled"}, apart=True)
        self.check_refused(model.path, "tensors 'model.layers.0.self_attn.q_proj.weight' and "
                           "'model.layers.0.self_attn.k_proj.weight': expected the same order of k")
        model.tensors["model.layers.0.mlp.down_proj.g_idx"][:] = 1
        model.write()
        self.check_refused(model.path, "down_proj.g_idx': expected groups of 32 elements, got 0 in "
                           "group 0")
        model.tensors["model.layers.0.mlp.down_proj.g_idx"][:] = 9
        model.write()
        self.check_refused(model.path, "down_proj.g_idx': expected groups below 4, got 9")
        k = (1 << 24) + 32
        model.tensors = {
            "m.qweight": np.zeros((k // 8, 8), np.int32), "m.qzeros": np.zeros((k // 32, 1), np.int32),
            "m.scales": np.zeros((k // 32, 8), np.float16), "m.g_idx": np.zeros(k, np.int32)}
        model.tensors["m.g_idx"][-1] = 1
        model.write()
        self.check_refused(model.path, "m.g_idx': expected at most 2^24 elements in another order, "
                           "got 16777248")
        refuse("comes without", ".g_idx', though the config has desc_act", g_idx="absent",
               config={"desc_act": True})
        refuse("GPTQ with 5 bits is not supported yet (supported: 2, 3, 4, 8)", config={"bits": 5})
        refuse("key 'bits': expected 2, 3, 4 or 8, got 16", config={"bits": 16})
        refuse("key 'bits': expected an integer, got '\"4\"'", config={"bits": "4"})
        refuse("qweight': expected in features that are a multiple of group_size 48, got",
               config={"group_size": 48})
        refuse("group_size': expected -1 or a positive number, got 0", config={"group_size": 0})
        refuse("scales': expected shape [2, 64], got [4, 64]", config={"group_size": 64})
        refuse("qweight': group must be 4, 8, 16 or a multiple of 32, got 24", group=24, hidden=96,
               ffn=192)
        refuse("expected 8 throughout, for sym in format 'gptq_v2', got 7",
               config={"checkpoint_format": "gptq_v2"})
        refuse("expected 7 throughout, for sym in format 'gptq', got 8", v2=True,
               config={"checkpoint_format": "gptq"})
        refuse("GPTQ in format 'marlin' is not supported yet", config={"checkpoint_format": "marlin"})
        refuse("GPTQ packed in 'int16' is not supported yet", config={"pack_dtype": "int16"})
        # Eight bits claimed for codes of four: half of the in features.
        refuse("scales': expected shape [2, 64], got [4, 64]", config={"bits": 8})
        refuse("scales': expected dtype F16 or BF16, got F32", scale_type=np.float32)
        for missing in ("qzeros", "scales"):
            model = self.make(quantize={})
            del model.tensors[f"model.layers.0.mlp.up_proj.{missing}"]
            model.write()
            self.check_refused(model.path, "up_proj.qweight' comes without "
                               f"'model.layers.0.mlp.up_proj.{missing}'")


class Awq(QuantizedTestCase):
    def test_config_beside(self):
        """In the file and with the names that AutoAWQ had first."""
        model = self.make(quantize={"method": "awq", "group": 64})
        del model.config["quantization_config"]
        model.write()
        side = model.path / "quant_config.json"
        side.write_text('{"zero_point": true, "q_group_size": 64, "w_bit": 4, "version": "GEMM"}')
        self.check_weights(model)
        self.assertIn("safetensors, AWQ", self.qcc("inspect", model.path).stdout)
        side.write_text('{"zero_point": true, "q_group_size": 32, "w_bit": 4, "version": "GEMM"}')
        self.check_refused(model.path, "down_proj.scales': expected shape [4, 64], got [2, 64]")

    def test_codes_and_scales_stay(self):
        for group in (32, 64, -1):
            with self.subTest(group=group):
                model = self.make(quantize={"method": "awq", "group": group})
                for name, expected in model.weights.items():
                    got = self.values(model.path, name, expected.shape)
                    self.assertTrue(np.array_equal(got, expected.astype(np.float32)), name)

    def test_logits(self):
        for group in (32, 64):
            self.check_logits(self.make(quantize={"method": "awq", "group": group}, dtype=np.float16))

    def test_refused(self):
        def refuse(*parts, change=None, **config):
            model = self.make(quantize={"method": "awq"}, quantization_config=config)
            if change:
                change(model.tensors)
                model.write()
            self.check_refused(model.path, *parts)
        refuse("AWQ with 8 bits is not supported", bits=8)
        refuse("AWQ without zero points is not supported yet", zero_point=False)
        refuse("group_size': expected -1 or a positive number, got 0", group_size=0)
        refuse("qweight': expected in features that are a multiple of group_size 48", group_size=48)
        refuse("scales': expected shape [2, 64], got [4, 64]", group_size=64)
        name = "model.layers.1.mlp.up_proj."
        refuse("up_proj.qweight' comes without", change=lambda t: t.pop(name + "qzeros"))
        refuse("qzeros': expected shape [2, 16], got [2, 15]",
               change=lambda t: t.update({name + "qzeros": t[name + "qzeros"][:, 1:].copy()}))
        refuse("scales': expected dtype F16", change=lambda t: t.update(
            {name + "scales": t[name + "scales"].astype(np.float32)}))


class CompressedTensors(QuantizedTestCase):
    CASES = ({}, {"sym": False}, {"bits": 8, "group": 64}, {"bits": 8, "sym": False},
             {"group": -1}, {"scale_type": BF16}, {"scale_type": np.float32},
             {"bits": 8, "group": -1, "packed": False}, {"bits": 8, "group": 32, "packed": False})

    def test_codes_and_scales_stay(self):
        for options in self.CASES:
            with self.subTest(**options):
                model = self.make(quantize={"method": "compressed-tensors", **options})
                for name, expected in model.weights.items():
                    got = self.values(model.path, name, expected.shape)
                    self.assertTrue(np.array_equal(got, expected.astype(np.float32)), name)

    def test_logits(self):
        for options in self.CASES[1::3]:
            with self.subTest(**options):
                self.check_logits(self.make(quantize={"method": "compressed-tensors", **options}))

    def test_refused(self):
        def refuse(*parts, options=None, change=None, **config):
            model = self.make(quantize={"method": "compressed-tensors", **(options or {})},
                              quantization_config=config)
            if change:
                change(model)
                model.write()
            self.check_refused(model.path, *parts)
        refuse("weights: 3 bits are not supported yet in format 'pack-quantized' (supported: 2, 4, 8)",
               num_bits=3)
        refuse("expected type 'int' for format 'pack-quantized', got 'float'", type="float")
        refuse("strategy 'block' is not supported yet", strategy="block")
        refuse("key 'group_size': expected a positive number, got 0", group_size=0)
        refuse("weight_packed': expected in features that are a multiple of group_size 48", group_size=48)
        refuse("weight_zero_point'", "comes without", symmetric=False)
        name = "model.layers.1.mlp.up_proj."
        refuse("up_proj.weight_packed' comes without",
               change=lambda m: m.tensors.pop(name + "weight_scale"))
        refuse("weight_shape': expected [128, 64], as the codes have, got [128, 65]",
               change=lambda m: m.tensors[name + "weight_shape"].__setitem__(1, 65))
        refuse("format 'marlin-24' is not supported yet", change=lambda m: m.config[
            "quantization_config"].update(format="marlin-24"))
        refuse("expected groups with weights in 'config_groups'", change=lambda m: m.config[
            "quantization_config"].update(config_groups={}))


class NoTokenizer(TestCase):
    def test_text_is_refused(self):
        model = self.make()
        self.compile(model.path, "--target=reference")
        self.logits([1, 2, 3])
        for arguments in (["hello"], ["tokenize", "hello"], ["logits", "-p", "hello", "-o", "l.npy"]):
            result = self.qcc("run", self.library, *arguments)
            self.assertEqual(result.returncode, 1, arguments)
            self.assertIn("this model has no tokenizer", result.stderr)

    def test_verify(self):
        model = self.make(quantize={"group": 64}, hidden=128)
        result = self.qcc("verify", model.path)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("same most likely token", result.stdout)
        result = self.qcc("verify", model.path, "--prompt", "hello")
        self.assertEqual(result.returncode, 1)
        self.assertIn("the model has no tokenizer for --prompt", result.stderr)


if __name__ == "__main__":
    run("--qcc", "--tool")
