#!/usr/bin/env python3
# folder_formats_test.py - More quantizers' folders, and mixed ones, to logits.
# SPDX-License-Identifier: Apache-2.0
#
#   folder_formats_test.py --qcc build/bin/qcc --tool build/bin/qcc-checkpoint-tool
#                          [unittest arguments]
"""As hugging_face_test.py, for folders whose modules differ and for the formats of
test/Inputs/hf_formats.py; matrices are compared with its decoders, too."""
import json
import pathlib
import sys

SKIP = 77
try:
    import numpy as np
except ImportError:
    print("skipped: no numpy")
    sys.exit(SKIP)

sys.dont_write_bytecode = True
from folder_case import QuantizedTestCase, oracle, run  # noqa: E402
import hf_formats  # noqa: E402
from hf_folder import BF16, F8E4M3, awq, compressed, gptq  # noqa: E402


class FormatTestCase(QuantizedTestCase):
    def quantized(self, quantizer, config, head=False, **options):
        """A folder whose modules are all quantized by `quantizer`, or, where that is a
        function of the name, by what it gives for them."""
        def choose(random, module, weight, order):
            if module == "lm_head" and not head:
                return None
            return quantizer(random, module, weight, order)
        return self.make(quantizer=choose, config={"quantization_config": config}, **options)

    def check_decoded(self, model, decode, group, relative=0):
        """The writer's values are those of an independent decoder."""
        count = 0
        for name, values in model.weights.items():
            parts = {key[len(name) - 6:]: array for key, array in model.tensors.items()
                     if key.startswith(name[:-6])}
            if len(parts) < 2:
                continue
            count += 1
            np.testing.assert_allclose(decode(parts, *values.shape, group), values, relative,
                                       err_msg=name)
        self.assertGreaterEqual(count, 14)

    def check_both(self, model):
        self.check_weights(model)
        self.check_logits(model)

    def check_packed_size(self, model, ends, percent=4):
        """At most so much more than in the file, padding aside; here there is none."""
        self.compile(model.path, "--activations=f32")
        info = json.loads(self.qcc("run", self.library, "info", "--json").stdout)
        stored = sum(a.nbytes if isinstance(a, np.ndarray) else a.bits.nbytes
                     for k, a in model.tensors.items() if k.endswith(ends))
        plain = sum(w.size * 4 for n, w in model.weights.items() if n in model.tensors)
        self.assertLessEqual(info["weight_bytes"] - plain, stored * (1 + percent / 100))

    def refuse(self, model, *parts, change=None, **config):
        """After a change of the tensors, or of the quantization config."""
        tensors, quantization = model.tensors, model.config["quantization_config"]
        model.tensors, model.config["quantization_config"] = dict(tensors), {**quantization, **config}
        if change:
            change(model.tensors)
        model.write()
        self.check_refused(model.path, *parts)
        model.tensors, model.config["quantization_config"] = tensors, quantization


class AwqPackings(FormatTestCase):
    def written(self, writer, version, group, **options):
        return self.quantized(
            lambda random, module, weight, order: writer(random, weight, group=group),
            {"quant_method": "awq", "bits": 4, "group_size": group, "version": version,
             "zero_point": True}, dtype=np.float16, **options)

    def test_gemv(self):
        for group in (32, 64, 128):
            with self.subTest(group=group):
                model = self.written(hf_formats.awq_gemv, "GEMV", group, hidden=128, ffn=256)
                self.check_decoded(model, hf_formats.decode_gemv, group)
                self.check_weights(model)
        self.check_logits(model)

    def test_gemv_fast(self):
        for group in (32, 64, 128):
            with self.subTest(group=group):
                model = self.written(hf_formats.awq_fast, "gemv_fast", group, hidden=128, ffn=256)
                self.check_decoded(model, hf_formats.decode_fast, group)
                self.check_weights(model)
        self.check_logits(model)

    def test_names_of_llm_awq(self):
        def write(random, weight, group):
            return hf_formats.awq_fast(random, weight, group=group, zeros_name="scaled_zeros")
        model = self.written(write, "gemv_fast", 64)
        self.check_decoded(model, hf_formats.decode_fast, 64)
        self.check_both(model)

    def test_packed_size(self):
        for writer, version in ((hf_formats.awq_gemv, "gemv"), (hf_formats.awq_fast, "gemv_fast")):
            model = self.written(writer, version, 128, hidden=1024, ffn=1024, layers=1)
            self.check_packed_size(model, ("qweight", "scales", "qzeros"))

    def test_refused(self):
        name = "model.layers.1.mlp.up_proj."
        model = self.written(hf_formats.awq_gemv, "gemv", 32)
        self.refuse(model, "AWQ in version 'marlin' is not supported yet (supported: gemm, gemv, "
                    "gemv_fast)", version="marlin")
        self.refuse(model, "qweight': expected a group_size of 32, 64 or at least 128 for this "
                    "version, got 16", group_size=16)
        self.refuse(model, "down_proj.scales': expected shape [64, 16], got [64, 32]", group_size=64)
        self.refuse(model, "qweight': expected dtype I16, got I32", version="gemv_fast")
        self.refuse(model, "up_proj.qzeros': expected shape [128, 4], got [128, 3]", change=lambda t:
                    t.update({name + "qzeros": t[name + "qzeros"][:, 1:].copy()}))
        self.refuse(model, "up_proj.qweight' comes without 'model.layers.1.mlp.up_proj.scales'",
                    change=lambda t: t.pop(name + "scales"))
        model = self.written(hf_formats.awq_fast, "gemv_fast", 32)
        self.refuse(model, "up_proj.qzeros': expected dtype F16, got F32", change=lambda t:
                    t.update({name + "qzeros": t[name + "qzeros"].astype(np.float32)}))
        self.refuse(model, "up_proj.qweight': expected columns that are a multiple of 64, got [32, 63]",
                    change=lambda t: t.update({name + "qweight": t[name + "qweight"][:, 1:].copy()}))


class AutoRound(FormatTestCase):
    def written(self, packing, config=None, other=None, **options):
        """`other`: a function of a module's name that gives what is different there."""
        is_awq, is_v2 = "awq" in packing, not ("gptq" in packing and "gptqmodel" not in packing)
        base = {"bits": 4, "group": 32, "sym": True, **(options.pop("base", None) or {})}

        def write(random, module, weight, order):
            mine = {**base, **(other(module) or {} if other else {})}
            if mine["bits"] == 16:
                return None
            if is_awq:
                return awq(random, weight, group=mine["group"])
            return gptq(random, weight, v2=is_v2, g_idx="absent", **mine)
        return self.quantized(write, {
            "quant_method": "auto-round", "packing_format": packing, "bits": base["bits"],
            "group_size": base["group"], "sym": base["sym"], "data_type": "int",
            **(config or {})}, **options)

    def test_packings(self):
        for packing in ("auto_round:auto_gptq", "auto_round", "auto_round:gptqmodel",
                        "auto_round:auto_awq"):
            for base in ({}, {"sym": False, "group": 64}):
                with self.subTest(packing=packing, **base):
                    model = self.written(packing, base=base)
                    self.check_weights(model)
            self.check_logits(model)
        self.check_weights(self.written("auto_round", base={"bits": 3, "sym": False}))
        self.check_weights(self.written("auto_round:auto_gptq", {"quant_method": "intel/auto-round"},
                                        base={"bits": 2, "sym": False}))

    def test_zero_points_tell_versions(self):
        model = self.written("auto_round")
        self.refuse(model, "expected 7 throughout, for sym in format 'auto_round:auto_gptq', got 8",
                    packing_format="auto_round:auto_gptq")

    def test_other_parameters_for_some_modules(self):
        def other(module):
            if module == "lm_head" or module.endswith("layers.1.mlp.up_proj"):
                return {"bits": 8, "group": 64}
            if "down_proj" in module:
                return {"bits": 16}
            if "layers.0.self_attn.q" in module:
                return {"sym": False}
        extra = {
            "lm_head": {"bits": 8, "group_size": 64, "data_type": "int", "act_bits": 16},
            "model.layers.1.mlp.down_proj": {"bits": 16},
            # An expression goes after names, the first before the second.
            ".*layers\\.1\\.mlp\\.(up|down)_.*": {"bits": 8, "group_size": 64},
            "1\\.mlp\\.up": {"bits": 2},
            "down_proj": {"bits": 16, "data_type": "float"},
            "model.layers.0.self_attn.q_proj": {"sym": False}}
        for packing in ("auto_round:auto_gptq", "auto_round"):
            model = self.written(packing, {"extra_config": extra}, other, head=True)
            self.check_weights(model)
        self.check_logits(model)

    def test_groups_and_floats_in_awq(self):
        def other(module):
            return {"bits": 16} if "down" in module else {"group": 64} if "up" in module else None
        self.check_both(self.written("auto_round:auto_awq", {"extra_config": {
            "down_proj": {"bits": 16}, "up_proj": {"group_size": 64}}}, other))

    def test_refused(self):
        model = self.written("auto_round")
        where = "config.json: quantization_config: "
        self.refuse(model, where + "AutoRound in packing 'auto_round:llm_compressor' is not supported "
                    "yet (supported: auto_round:auto_gptq, ", packing_format="auto_round:llm_compressor")
        self.refuse(model, where + "key 'packing_format' is missing, which says how",
                    packing_format=None, sym=False)
        self.refuse(model, where + "key 'bits' is missing", bits=None)
        self.refuse(model, where + "key 'bits': expected fewer than 16, got 16", bits=16)
        self.refuse(model, where + "AutoRound with data of type 'mx_fp' is not supported yet",
                    data_type="mx_fp")
        self.refuse(model, where + "AutoRound with rotated weights (key 'rotation_config')",
                    rotation_config={"a": 1})
        self.refuse(model, where + "AWQ with 8 bits is not supported (supported: 4)", bits=8,
                    packing_format="auto_round:auto_awq")
        self.refuse(model, where + "key 'extra_config': expected an object, got string",
                    extra_config="x")
        self.refuse(model, where + "extra_config: 'a': expected an object, got number",
                    extra_config={"a": 4})
        self.refuse(model, where + "extra_config: 'a': key 'bits': expected 2, 3, 4 or 8, got 1",
                    extra_config={"a": {"bits": 1}})
        self.refuse(model, where + "extra_config: pattern '(': missing closing parenthesis",
                    extra_config={"(": {"bits": 4}})
        self.refuse(model, "layers.0.mlp.up_proj.qweight': expected no codes, as 'extra_config' has it "
                    "under 'up_proj', got some", extra_config={"up_proj": {"bits": 16}})
        self.refuse(model, "layers.0.mlp.up_proj.scales': expected shape [1, 128], got [2, 128]",
                    extra_config={"up_proj": {"group_size": 64}})


class GptqDynamic(FormatTestCase):
    DYNAMIC = {
        # In this order: the first that matches from the beginning decides.
        "-:.*layers\\.1\\.mlp\\.down_proj": {},
        "+:.*\\.mlp\\.(?!gate).*": {"bits": 8, "group_size": 64},
        ".*\\.0\\.self_attn\\.[qk]_proj$": {"sym": False},
        "-:.*\\.mlp\\..*": {"comment": "too late"},
        "mlp": {"bits": 3},
        "lm_head": {"bits": 8, "group_size": -1}}

    @staticmethod
    def options(module):
        if module.endswith("layers.1.mlp.down_proj") or "gate_proj" in module:
            return None
        if "mlp" in module:
            return {"bits": 8, "group": 64}
        if module.endswith(("0.self_attn.q_proj", "0.self_attn.k_proj")):
            return {"sym": False}
        return {"bits": 8, "group": -1} if module == "lm_head" else {}

    def written(self, dynamic=DYNAMIC, **options):
        def write(random, module, weight, order):
            mine = self.options(module)
            return None if mine is None else gptq(random, weight, **mine)
        return self.quantized(write, {
            "quant_method": "gptq", "bits": 4, "group_size": 32, "sym": True, "desc_act": False,
            "lm_head": True, "checkpoint_format": "gptq", "dynamic": dynamic}, head=True, **options)

    def test_rules(self):
        self.check_both(self.written())

    def test_config_beside(self):
        model = self.written()
        quantization = model.config.pop("quantization_config")
        model.write()
        (model.path / "quantize_config.json").write_text(json.dumps(quantization))
        self.check_weights(model)
        # In both, but only there with rules.
        model.config["quantization_config"] = dict(quantization, dynamic=None)
        model.write()
        self.check_weights(model)
        model.config["quantization_config"] = dict(quantization, dynamic={"-:x": {}})
        model.write()
        self.check_refused(model.path, "quantize_config.json: key 'dynamic': expected ")

    def test_no_rules(self):
        for dynamic in (None, {}):
            model = self.make(quantize={}, quantization_config={"dynamic": dynamic})
            self.check_weights(model)

    def test_refused(self):
        model = self.written()
        where = "config.json: quantization_config: "
        self.refuse(model, where + "key 'dynamic': expected an object, got string", dynamic="x")
        self.refuse(model, where + "dynamic: '.*': expected an object, got number", dynamic={".*": 4})
        self.refuse(model, where + "dynamic: pattern '.*)': unmatched closing parenthesis",
                    dynamic={"-:.*)": {}})
        self.refuse(model, where + "dynamic: '+:x': key 'bits': expected 2, 3, 4 or 8, got 9",
                    dynamic={"+:x": {"bits": 9}})
        self.refuse(model, where + "dynamic: 'x': key 'format': expected 'gptq', as the other modules "
                    "have, got 'gptq_v2'", dynamic={"x": {"format": "gptq_v2"}})
        self.refuse(model, where + "dynamic: 'x': adapters (key 'adapter') are not supported yet",
                    dynamic={"x": {"adapter": {"rank": 8}}})
        self.refuse(model, "self_attn.k_proj.qweight': expected no codes, as 'dynamic' has it under "
                    "'-:.*self_attn', got some", dynamic={"-:.*self_attn": {}, **self.DYNAMIC})
        self.refuse(model, "lm_head.scales': expected shape [4, 96], got [1, 96]",
                    dynamic={key: value for key, value in self.DYNAMIC.items() if key != "lm_head"})


class CompressedGroups(FormatTestCase):
    """Groups of modules that differ, and formats that only these use."""
    INT4 = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 32}

    def config(self, groups, format_="mixed-precision"):
        return {"quant_method": "compressed-tensors", "format": format_, "config_groups": groups,
                "ignore": ["lm_head"]}

    def test_groups(self):
        groups = {
            "group_1": {"targets": ["Linear"], "weights": self.INT4, "format": "pack-quantized"},
            "group_0": {"targets": ["re:.*mlp\\..*", "model.layers.0.self_attn.o_proj"], "weights": {
                "num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"},
                "format": "int-quantized"},
            "group_2": {"targets": ["model.layers.1.mlp.up_proj"], "weights": {
                **self.INT4, "num_bits": 2}, "format": "pack-quantized"},
            "group_3": {"targets": ["re:.*layers\\.0\\.mlp\\.down"], "weights": {
                "num_bits": 4, "type": "float", "group_size": 32}, "format": "mxfp4-pack-quantized"},
            "group_4": {"targets": ["LlamaAttention"], "weights": None}}

        def write(random, module, weight, order):
            if module == "model.layers.1.mlp.up_proj":
                return compressed(random, weight, bits=2, scale_type=BF16)
            # Of expressions the first in the alphabet, as compressed-tensors has it.
            if module == "model.layers.0.mlp.down_proj":
                return hf_formats.mxfp4(random, weight)
            if "mlp" in module or module == "model.layers.0.self_attn.o_proj":
                return compressed(random, weight, bits=8, group=-1, packed=False)
            return compressed(random, weight)
        model = self.quantized(write, self.config(groups))
        self.check_both(model)
        where = "config.json: quantization_config: "
        self.refuse(model, where + "config_groups: group_1: key 'format' is missing, which the config "
                    "leaves to groups", config_groups={**groups, "group_1": {
                        "targets": ["Linear"], "weights": self.INT4}})
        self.refuse(model, "self_attn.k_proj.weight_packed' is no target of any group",
                    config_groups={**groups, "group_1": {**groups["group_1"], "targets": ["lm_head"]}})
        self.refuse(model, where + "config_groups: group_2: target 'Linear' is also one of another "
                    "group", config_groups={**groups, "group_2": {**groups["group_2"],
                                                                  "targets": ["Linear"]}})
        self.refuse(model, where + "config_groups: pattern '*': quantifier does not follow a repeatable item",
                    config_groups={**groups, "group_2": {**groups["group_2"], "targets": ["re:*"]}})
        self.refuse(model, where + "config_groups: group_2: key 'targets': expected an array of "
                    "strings, got number",
                    config_groups={**groups, "group_2": {**groups["group_2"], "targets": [1]}})
        self.refuse(model, where + "config_groups: group_2: key 'targets': expected an array of "
                    "strings, got string",
                    config_groups={**groups, "group_2": {**groups["group_2"], "targets": "Linear"}})
        self.refuse(model, where + "scheme 'W4A16' by its name is not supported yet",
                    config_groups={"W4A16": ["Linear"]})
        self.refuse(model, where + "group_2: weights: key 'group_size': expected a positive number, got "
                    "0", config_groups={**groups, "group_2": {**groups["group_2"], "weights": {
                        **self.INT4, "group_size": 0}}})
        self.refuse(model, "up_proj.weight_shape': expected [128, 32], as the codes have, got [128, 64]",
                    config_groups={key: group for key, group in groups.items() if key != "group_2"} | {
                        "group_2": {**groups["group_2"], "weights": self.INT4}})
        self.refuse(model, "model.layers.0.mlp.gate_proj.weight': expected dtype F8_E4M3 or F8_E5M2 "
                    "beside 'model.layers.0.mlp.gate_proj.weight_scale', got I8",
                    config_groups={**groups, "group_0": {**groups["group_0"], "weights": {
                        "num_bits": 8, "type": "float", "strategy": "channel"},
                        "format": "float-quantized"}})

    def ordered(self, weights=None, **options):
        return self.quantized(
            lambda random, module, weight, order:
                hf_formats.packed_order(random, weight, order, **options),
            self.config({"group_0": {"targets": ["Linear"], "weights": {
                **self.INT4, "actorder": "group", **(weights or {})}}}, "pack-quantized"))

    def test_order_of_groups(self):
        for weights, options in (({}, {}), ({"symmetric": False}, {"sym": False}),
                                 ({"num_bits": 8, "actorder": "dynamic"}, {"bits": 8})):
            with self.subTest(**options):
                model = self.ordered(weights, **options)
                self.check_decoded(model, hf_formats.decode_packed_order, 32)
                self.check_both(model)

    def test_order_of_groups_refused(self):
        model = self.ordered()
        name = "model.layers.1.mlp.up_proj.weight_g_idx"
        groups = model.config["quantization_config"]["config_groups"]
        self.refuse(model, "weight_g_idx' is there, though the config has no actorder 'group'",
                    config_groups={"g": {"targets": ["Linear"], "weights": self.INT4}})
        self.refuse(model, "act-order of kind 'other' is not supported yet (supported: static, weight, "
                    "group)", config_groups={"g": {"targets": ["Linear"], "weights": {
                        **self.INT4, "actorder": "other"}}})
        self.refuse(model, "comes without '" + name, change=lambda t: t.pop(name))
        self.refuse(model, "up_proj.weight_g_idx': expected groups of 32 elements, got 0 in group 0",
                    change=lambda t: t.update({name: np.ones(64, np.int32)}))
        self.refuse(model, "up_proj.weight_g_idx': expected groups below 2, got 4294967295",
                    change=lambda t: t.update({name: np.arange(-1, 63, dtype=np.int32)}))
        self.refuse(model, "up_proj.weight_g_idx': expected shape [64], got [63]",
                    change=lambda t: t.update({name: np.zeros(63, np.int32)}))
        self.refuse(model, "act-order of kind 'group' is not supported yet in format 'int-quantized'",
                    format="int-quantized", config_groups={"g": {**groups["group_0"], "weights": {
                        "num_bits": 8, "strategy": "channel", "actorder": "group"}}})
        # -1 stands for the order of k, which is what groups without an index have.
        plain = self.quantized(lambda random, module, weight, order: compressed(random, weight),
                               model.config["quantization_config"])
        for name in [n for n in plain.tensors if n.endswith("weight_packed")]:
            plain.tensors[name[:-6] + "g_idx"] = np.full(
                plain.tensors[name].shape[1] * 8, -1, np.int32)
        plain.write()
        self.check_weights(plain)

    def floats(self, format_, group, writer, **options):
        return self.quantized(
            lambda random, module, weight, order: writer(random, weight),
            self.config({"group_0": {"targets": ["Linear"], "weights": {
                "num_bits": 4, "type": "float", "symmetric": True, "group_size": group,
                "strategy": "tensor_group" if group == 16 else "group"}}}, format_), **options)

    def test_mxfp4(self):
        model = self.floats("mxfp4-pack-quantized", 32, hf_formats.mxfp4)
        # Of a cache in FP8, which is not used.
        model.tensors["model.layers.0.self_attn.k_scale"] = BF16(np.ones(1))
        model.write()
        self.check_decoded(model, hf_formats.decode_mxfp4, 32)
        self.check_both(model)
        self.check_packed_size(model, ("weight_packed", "weight_scale"))
        name = "model.layers.1.mlp.up_proj.weight_"
        self.refuse(model, "weights: key 'group_size': expected 32 for format 'mxfp4-pack-quantized', got"
                    " 16", config_groups={"g": {"weights": {"num_bits": 4, "type": "float",
                                                            "group_size": 16}}})
        self.refuse(model, "expected symmetric floats of 4 bits for format 'mxfp4-pack-quantized'",
                    config_groups={"g": {"weights": {"num_bits": 4, "type": "int"}}})
        self.refuse(model, "up_proj.weight_scale': expected shape [128, 2], got [128, 1]",
                    change=lambda t: t.update({name + "scale": t[name + "scale"][:, 1:].copy()}))
        self.refuse(model, "up_proj.weight_scale': expected dtype U8 or F8_E8M0, got I8",
                    change=lambda t: t.update({name + "scale": t[name + "scale"].view(np.int8)}))
        self.refuse(model, "up_proj.weight_packed': expected dtype U8, got I8",
                    change=lambda t: t.update({name + "packed": t[name + "packed"].view(np.int8)}))
        self.refuse(model, "up_proj.weight_packed': expected in features that are a multiple of 32, got"
                    " 62", change=lambda t: t.update({name + "packed": t[name + "packed"][:, 1:].copy()}))

    def test_nvfp4(self):
        model = self.floats("nvfp4-pack-quantized", 16, hf_formats.nvfp4)
        self.check_decoded(model, hf_formats.decode_nvfp4, 16, relative=1.3e-7)
        self.check_both(model)
        name = "model.layers.1.mlp.up_proj.weight_"
        for value in (0, np.inf, np.nan):
            self.refuse(model, "up_proj.weight_global_scale': expected a finite number that has an inverse",
                        change=lambda t: t.update({name + "global_scale": np.array([value], np.float32)}))
        self.refuse(model, "up_proj.weight_global_scale': expected shape [1], got [2]", change=lambda t:
                    t.update({name + "global_scale": np.ones(2, np.float32)}))
        self.refuse(model, "comes without '" + name + "global_scale'",
                    change=lambda t: t.pop(name + "global_scale"))
        self.refuse(model, "up_proj.weight_scale': expected dtype F8_E4M3, got U8",
                    change=lambda t: t.update({name + "scale": t[name + "scale"].bits}))
        self.refuse(model, "up_proj.weight_scale' comes without '" + name + "packed'",
                    change=lambda t: t.pop(name + "packed"))

    def test_packed_size_of_nvfp4(self):
        sizes = dict(hidden=512, ffn=512, heads=8, kv_heads=4, layers=1)
        self.check_packed_size(self.floats("nvfp4-pack-quantized", 16, hf_formats.nvfp4, **sizes),
                               ("weight_packed", "weight_scale"), percent=1)


class ModelOpt(FormatTestCase):
    def test_nvfp4(self):
        model = self.quantized(
            lambda random, module, weight, order: hf_formats.nvfp4(random, weight, modelopt=True),
            {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]})
        model.tensors["model.layers.0.self_attn.k_proj.k_scale"] = np.array(1, np.float32)
        model.tensors["model.layers.0.self_attn.v_proj.v_scale"] = np.array(1, np.float32)
        model.write()
        self.check_decoded(model, hf_formats.decode_nvfp4, 16)
        self.check_both(model)
        name = "model.layers.1.mlp.up_proj.weight"
        self.refuse(model, "up_proj.weight_scale_2' comes without '" + name + "'",
                    change=lambda t: t.pop(name))
        self.refuse(model, "comes without '" + name + "_scale'", change=lambda t: t.pop(name + "_scale"))
        self.refuse(model, "up_proj.weight' has dtype U8, which is not supported yet",
                    change=lambda t: t.pop(name + "_scale_2"))
        where = "config.json: quantization_config: "
        self.refuse(model, where + "ModelOpt by 'W4A8_AWQ' is not supported yet (supported: FP8, NVFP4)",
                    quant_algo="W4A8_AWQ")
        self.refuse(model, where + "key 'quant_algo' is missing", quant_algo=None)

    def test_its_own_config(self):
        """FP8 by the file that older versions wrote alone."""
        def write(random, module, weight, order):
            codes = F8E4M3(random.integers(0, 0x7F, weight.shape))
            codes.bits |= random.integers(0, 2, weight.shape, np.uint8) << 7
            scale = np.float32(np.abs(weight).max() / 448)
            return {"weight": codes, "weight_scale": np.array(scale),
                    "input_scale": np.array(1, np.float32)}, codes.values() * float(scale)
        model = self.quantized(write, None)
        side = model.path / "hf_quant_config.json"
        side.write_text(json.dumps({"producer": {"name": "modelopt"}, "quantization": {
            "quant_algo": "FP8", "exclude_modules": ["lm_head"]}}))
        self.check_both(model)
        side.write_text("{}")
        self.check_refused(model.path, "hf_quant_config.json: key 'quantization': expected an object, "
                           "got none")


class Bitsandbytes(FormatTestCase):
    def written(self, kind, nested, **options):
        return self.quantized(
            lambda random, module, weight, order: hf_formats.bnb4(random, weight, None, kind, nested),
            {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": kind,
             "bnb_4bit_use_double_quant": nested, "llm_int8_skip_modules": ["lm_head"]}, **options)

    def test_four_bits(self):
        """Blocks that end with rows, and that cross them (rows of 96)."""
        decoder = oracle()
        for kind in ("nf4", "fp4"):
            for nested in (False, True):
                for sizes in ({}, dict(hidden=96, ffn=128, heads=3, kv_heads=1)):
                    with self.subTest(kind=kind, nested=nested, **sizes):
                        model = self.written(kind, nested, **sizes)
                        for name, got in self.check_weights(model).items():
                            if decoder and name + ".absmax" in model.tensors:
                                np.testing.assert_array_equal(
                                    got, decoder.bnb4_dequant(model.tensors, name), name)
        self.check_logits(self.written("fp4", True))
        self.check_logits(self.written("nf4", False, layers=1))


class Hqq(FormatTestCase):
    def written(self, head=False, **options):
        return self.quantized(
            lambda random, module, weight, order: hf_formats.hqq(random, weight, **options),
            {"quant_method": "hqq", "skip_modules": ["lm_head"]}, head=head)

    def test_widths(self):
        for bits, group, scale_type in ((4, 64, np.float16), (8, 32, BF16), (3, 16, np.float16),
                                        (2, 32, BF16), (1, 8, np.float16)):
            with self.subTest(bits=bits):
                model = self.written(bits=bits, group=group, scale_type=scale_type)
                self.check_decoded(model, hf_formats.decode_hqq, group)
                self.check_weights(model)
        self.check_logits(self.written(head=True))
        model = self.written(bits=8)
        self.check_logits(model)
        self.check_packed_size(model, ("W_q", "scale", "zero"))

    def test_what_the_library_wrote(self):
        """Its codes, and its scales and zero points in float64 (make_hqq.py)."""
        folder = pathlib.Path(hf_formats.__file__).parent / "hqq"
        expected = np.load(folder / "expected.npz")
        self.assertEqual(sorted(expected), ["b1", "b2", "b3", "b4", "b8"])
        for name, values in expected.items():
            got = self.values(folder, name + ".weight", values.shape)
            np.testing.assert_allclose(got, values, 1e-6, 1e-7 * np.abs(values).max(), err_msg=name)

    def test_refused(self):
        model = self.written()
        name = "model.layers.1.mlp.up_proj."
        for part, value, message in (
                ("axis", 0, "HQQ with groups of rows (axis 0) is not supported yet"),
                ("view_as_float", 1, "HQQ with codes kept as floats is not supported yet"),
                ("group_size", 24, "expected what divides 64 in features, got 24")):
            self.refuse(model, f"up_proj.{part}': {message}", change=lambda t: t.update(
                {name + part: np.array(value, t[name + part].dtype)}))
        self.refuse(model, "HQQ in packing '4bit_i8' is not supported yet (supported: 8bit_u8, ",
                    change=lambda t: t.update({name + "packing": np.frombuffer(b"4bit_i8", np.uint8)}))
        self.refuse(model, "up_proj.scale': expected shape [128, 1], got [1, 128]",
                    change=lambda t: t.update({name + "scale": t[name + "scale"].T.copy()}))
        self.refuse(model, "up_proj.zero': expected dtype F16, got F32",
                    change=lambda t: t.update({name + "zero": t[name + "zero"].astype(np.float32)}))
        self.refuse(model, "up_proj.W_q': expected shape [64, 64], got [128, 32]",
                    change=lambda t: t.update({name + "W_q": t[name + "W_q"].reshape(128, 32)}))
        self.refuse(model, "up_proj.W_q' comes without '" + name + "zero'",
                    change=lambda t: t.pop(name + "zero"))


class Others(FormatTestCase):
    def test_methods_refused_by_name(self):
        for method in ("exl3", "bitblas", "qqq", "torchao", "marlin", "quanto", "aqlm",
                       "fbgemm_fp8", "bitnet"):
            with self.subTest(method=method):
                model = self.make(config={"quantization_config": {"quant_method": method}})
                self.check_refused(model.path, "config.json: quantization_config: quantization by '"
                                   f"{method}' is not supported yet (supported: auto-round, awq, ")

    def test_formats_of_gptq_refused_by_name(self):
        for format_ in ("marlin", "bitblas", "qqq", "gptq_p", "exllama"):
            model = self.make(quantize={}, quantization_config={"checkpoint_format": format_})
            self.check_refused(model.path, f"GPTQ in format '{format_}' is not supported yet "
                               "(supported: gptq, gptq_v2)")
        model = self.make(quantize={}, quantization_config={"is_marlin_format": True})
        self.check_refused(model.path, "GPTQ in format 'marlin' is not supported yet")


if __name__ == "__main__":
    run("--qcc", "--tool")
