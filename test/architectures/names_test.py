#!/usr/bin/env python3
# names_test.py - What folders and files of some families have that others lack.
# SPDX-License-Identifier: Apache-2.0
#
#   names_test.py --qcc build/bin/qcc [unittest arguments]
"""Tiny models (make_references.py) that are changed a little: they still give the logits
of transformers, or are refused by name."""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SKIP = 77
try:
    import numpy as np
except ImportError:
    print("skipped: no numpy")
    sys.exit(SKIP)

sys.dont_write_bytecode = True
from to_gguf import F32, STRING, U32, read_safetensors, write_gguf  # noqa: E402
from hf_folder import write_safetensors  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
OPTIONS = argparse.Namespace()


class Names(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def qcc(self, *arguments):
        return subprocess.run([OPTIONS.qcc, *map(str, arguments)], capture_output=True, text=True)

    def changed(self, name, change=lambda tensors: tensors, config=None):
        """A copy of a model, with other tensors or keys."""
        folder = self.folder / name
        shutil.copytree(HERE / name, folder, dirs_exist_ok=True)
        write_safetensors(folder / "model.safetensors",
                          change(read_safetensors(HERE / name / "model.safetensors")))
        kept = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**kept, **(config or {})}))
        return folder

    def without(self, name, key, **config):
        """A copy of a model whose config lacks a key."""
        folder = self.changed(name, config=config)
        kept = json.loads((folder / "config.json").read_text())
        del kept[key]
        (folder / "config.json").write_text(json.dumps(kept))
        return folder

    def check(self, model, name, *options):
        """The logits of transformers."""
        # Names and keys are read before a target matters.
        result = self.qcc(model, "-o", self.folder / "m.so", "--activations=f32", "--target",
                          "reference", *options)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        reference = np.load(HERE / name / "reference.npz")
        ids, expected = reference["prompt.2"], reference["logits.2"]
        result = self.qcc("run", self.folder / "m.so", "logits", "--ids", ",".join(map(str, ids)),
                          "-o", self.folder / "l.npy")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        far = np.abs(np.load(self.folder / "l.npy") - expected).max() / np.abs(expected).max()
        self.assertLess(far, 1e-5)

    def refuse(self, model, *parts, options=()):
        result = self.qcc(model, "-o", self.folder / "m.so", *options)
        self.assertNotEqual(result.returncode, 0)
        for part in parts:
            self.assertIn(part, result.stderr)

    def test_without_head(self):
        """As the first GPT-2 was saved, with the masks of its attention."""
        def change(tensors):
            tensors = {name.removeprefix("transformer."): t for name, t in tensors.items()}
            for layer in range(2):
                tensors[f"h.{layer}.attn.bias"] = np.ones((1, 1, 64, 64), np.float32)
                tensors[f"h.{layer}.attn.masked_bias"] = np.full(1, -1e4, np.float32)
            return tensors
        self.check(self.changed("gpt2", change), "gpt2")

    def test_old_buffers(self):
        """Of GPT-NeoX: masks, and frequencies of rope."""
        def change(tensors):
            for layer in range(2):
                prefix = f"gpt_neox.layers.{layer}.attention."
                tensors[prefix + "bias"] = np.ones((1, 1, 64, 64), np.float32)
                tensors[prefix + "masked_bias"] = np.full(1, -1e9, np.float32)
                tensors[prefix + "rotary_emb.inv_freq"] = np.ones(2, np.float32)
            return tensors
        self.check(self.changed("gpt_neox", change), "gpt_neox")

    def test_refined_web(self):
        """The first configs of Falcon."""
        for name, kind, keys in (("falcon-7b", "RefinedWebModel", {"multi_query": True}),
                                 ("falcon-40b", "RefinedWeb", {"n_head_kv": 2})):
            model = self.changed(name)
            config = json.loads((model / "config.json").read_text())
            old = {"n_layer": config["num_hidden_layers"], "n_head": config["num_attention_heads"],
                   "parallel_attn": True, "bias": False, "alibi": False, "model_type": kind, **keys}
            kept = {key: config[key] for key in ("hidden_size", "vocab_size", "tie_word_embeddings")}
            (model / "config.json").write_text(json.dumps({**kept, **old}))
            self.check(model, name)

    def test_positions(self):
        """Learned ones end."""
        self.check(HERE / "gpt2", "gpt2", "--context", 37)
        self.refuse(HERE / "gpt2", "tensor 'transformer.wpe.weight': expected shape [65, 32], got "
                    "[64, 32]", options=("--context", 65))
        self.refuse(self.changed("gpt2", lambda t: {k: t[k] for k in t if "wpe" not in k}),
                    "tensor 'transformer.wpe.weight' is missing")

    def test_refused(self):
        def without(end):
            return lambda tensors: {k: t for k, t in tensors.items() if not k.endswith(end)}
        self.refuse(self.changed("starcoder2", without("input_layernorm.bias")),
                    "input_layernorm.bias' is missing")
        self.refuse(self.changed("phi", without("lm_head.bias")), "'lm_head.bias' is missing")
        self.refuse(self.changed("falcon-7b", config={"alibi": True}),
                    "key 'alibi': is not supported (supported: false)")
        self.refuse(self.changed("gpt_neox", config={"hidden_act": "quick_gelu"}),
                    "unsupported activation 'quick_gelu' (supported: ")
        self.refuse(self.changed("stablelm-norms", config={"qk_layernorm": False}),
                    "layernorm.norms.weight' is not part of this architecture")
        self.refuse(self.changed("stablelm-norms", without("q_layernorm.norms.2.weight")),
                    "norm 2 is missing beside tensor")
        self.refuse(self.changed("phi", config={"qk_layernorm": True}),
                    "key 'qk_layernorm': is not supported for architecture 'phi2' "
                    "(supported: glm4moe, command-r, stablelm)")
        # The two layouts of queries, keys and values need another number of rows.
        self.refuse(self.changed("falcon-11b", config={"new_decoder_architecture": False}),
                    "query_key_value.bias': expected shape [48], got [64]")

        self.refuse(self.changed("deepseek-v2", config={"norm_topk_prob": True}),
                    "key 'norm_topk_prob': is not supported for architecture 'deepseek2' "
                    "(supported: false)")
        self.refuse(self.changed("deepseek-v3", config={"scoring_func": "softmax"}),
                    "key 'scoring_func': unsupported routing 'softmax' (supported: sigmoid)")
        self.refuse(self.changed("deepseek-v2-lite", config={"topk_method": "random"}),
                    "key 'topk_method': unsupported choice of experts 'random' "
                    "(supported: greedy, group_limited_greedy)")

        self.refuse(self.changed("deepseek-v2", config={"n_group": 0}), "key 'n_group': expected 1 to")
        self.refuse(self.changed("deepseek-v2", config={"n_group": 5}),
                    "key 'n_group': expected equal groups of two experts at least")
        # A family's defaults fit no better than what a file says.
        self.refuse(self.without("deepseek-v3", "num_experts_per_tok", topk_group=1),
                    "of which those used have 8, got 1 of 3 groups of 12 experts")
        self.refuse(self.without("deepseek-v3", "topk_group", n_group=1),
                    "key 'topk_group': expected 1 to 1, got 4")
        write_gguf(HERE / "deepseek-v3", self.folder / "scale.gguf",
                   {"deepseek2.rope.scaling.yarn_log_multiplier": (F32, 1e38)})
        self.refuse(self.folder / "scale.gguf", "expected a finite factor of scores")

    def test_each_tensor(self):
        """One of each role that is missing, has a row more or is unknown is named."""
        for path in sorted(HERE.glob("*/model.safetensors")):
            tensors = read_safetensors(path)
            # Of each role that of the last layer, and of the first expert. Learned positions
            # may be more than the context has.
            roles = {re.sub(r"\d+", "N", name): name for name in reversed(sorted(tensors))
                     if not re.search(r"(^|\.)(visual|vision_tower|multi_modal_projector|wpe)\.", name)}
            folder = self.folder / path.parent.name
            shutil.copytree(path.parent, folder)

            def refused(changed):
                write_safetensors(folder / "model.safetensors", changed)
                result = self.qcc(folder, "--emit=import", "-o", "-")
                self.assertNotEqual(result.returncode, 0)
                return result.stderr
            for name in roles.values():
                # A part of the folder; one of several experts or norms; fused experts.
                said = name.replace("language_model.", "").replace("model.model.", "model.")
                said = re.sub(r"\.(?:experts|norms)\..*|\.(?:input|output)_linear\..*", ".", said)
                with self.subTest(model=folder.name, tensor=name):
                    text = refused({key: tensors[key] for key in tensors if key != name})
                    self.assertRegex(text, rf"'{re.escape(said)}.*missing|missing.*'{re.escape(said)}"
                                     rf"|'{re.escape(said.removesuffix('weight'))}bias' is not part")
                    values = tensors[name]
                    text = refused({**tensors, name: np.concatenate([values, values[:1]])})
                    self.assertIn(f"'{said}", text)
                    if not said.endswith("."):
                        shape = ", ".join(map(str, values.shape))
                        self.assertIn(f"tensor '{said}': expected shape [{shape}], got [", text)
            text = refused({**tensors, "model.layers.0.spare.weight": np.ones((2, 3), np.float32)})
            self.assertIn("tensor 'model.layers.0.spare.weight' is not part of this architecture", text)

    def test_latents(self):
        """Sizes that do not fit, layers that are not used, and rope that is not of pairs."""
        self.refuse(self.changed("deepseek-v2-lite", config={"v_head_dim": 13}),
                    "kv_b_proj.weight': expected shape [69, 32], got [72, 32]")
        self.refuse(self.changed("deepseek-v2-lite", config={"moe_layer_freq": 2}),
                    "key 'moe_layer_freq': only 1")
        self.refuse(self.changed("deepseek-v3", config={"no_rope_layers": [1, 0]}),
                    "key 'no_rope_layers': layers without rope are not supported")

        def spare(tensors):
            more = {name.replace("layers.1.", "layers.2."): values for name, values in tensors.items()
                    if "layers.1." in name}
            return {**tensors, **more, "model.layers.2.eh_proj.weight": np.ones((2, 3), np.float32)}
        self.check(self.changed("deepseek-v3", spare), "deepseek-v3")
        self.refuse(self.changed("deepseek-v3", spare, config={"num_nextn_predict_layers": 0}),
                    "is not part of this architecture")

    def test_flat_vision(self):
        """Older configs of Qwen2-VL and 2.5-VL are of the language model, with the rest in it."""
        for name in ("qwen2_vl-vision", "qwen2_5_vl-vision"):
            folder = self.changed(name)
            config = json.loads((folder / "config.json").read_text())
            text = config.pop("text_config")
            rope = text.pop("rope_parameters")
            scaling = {"type": "mrope", "mrope_section": rope["mrope_section"]}
            (folder / "config.json").write_text(json.dumps(
                {**text, **config, "rope_theta": rope["rope_theta"], "rope_scaling": scaling}))
            self.check(folder, name)

    def test_turned_experts(self):
        """As published folders of Qwen3-VL have them."""
        def change(tensors):
            return {name: values.swapaxes(1, 2) if ".mlp.experts." in name else values
                    for name, values in tensors.items()}
        self.check(self.changed("qwen3_vl_moe-vision", change), "qwen3_vl_moe-vision")

    def test_other_language_models(self):
        """A known model of several parts, of which the language model is another one."""
        config = json.loads((HERE / "mistral3-vision/config.json").read_text())["text_config"]
        self.refuse(self.changed("mistral3-vision", config={
            "text_config": {**config, "model_type": "ministral3"}}),
            "unsupported architecture 'ministral3' (supported: llama, mistral, ")

    def test_factors(self):
        self.refuse(self.changed("olmoe", config={"clip_qkv": 8.0}),
                    "key 'clip_qkv': is not supported (supported: 0)")
        self.refuse(self.changed("qwen3", config={"logit_scale": 0.5}),
                    "key 'logit_scale': is not supported for architecture 'qwen3' "
                    "(supported: command-r, cohere2)")

    def test_activations(self):
        for name, activation in {"gelu": "gelu_erf", "gelu_fast": "gelu_tanh", "relu": "relu",
                                 "gelu_pytorch_tanh": "gelu_tanh", "silu": "silu"}.items():
            model = self.changed("gpt_neox", config={"hidden_act": name})
            result = self.qcc(model, "--emit=import", "-o", "-")
            self.assertIn(f"#llm.activation<{activation}>", result.stdout)
            shutil.rmtree(model)

        both = {"hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh"}
        result = self.qcc(self.changed("gemma2", config=both), "--emit=import", "-o", "-")
        self.assertIn("#llm.activation<gelu_tanh>", result.stdout)

    def test_row_as_vector(self):
        def change(tensors):
            return {name: values[0] if name.endswith("shared_expert_gate.weight") else values
                    for name, values in tensors.items()}
        self.check(self.changed("qwen2-moe", change), "qwen2-moe")

    def test_olmo3_defaults(self):
        """They are not those of OLMo 2."""
        model = self.changed("olmo3")
        config = json.loads((model / "config.json").read_text())
        for key in ("layer_types", "rope_parameters", "sliding_window"):
            del config[key]
        (model / "config.json").write_text(json.dumps(config))
        text = self.qcc(model, "--emit=import", "-o", "-").stdout
        self.assertEqual(text.count("window = 4096"), 2 * 3)  # state and attention, 3 of 4 layers
        self.assertIn(f"{500000 ** -0.25:.4f}", text)

    def test_more_heads_than_elements(self):
        self.refuse(self.changed("gpt2", config={"n_head": 64}), "expected at most 32 heads, got 64")

    def test_positions_have_no_rope(self):
        self.check(self.changed("gpt2", config={"no_rope_layers": [1, 1]}), "gpt2")

    def test_rope_out_of_range(self):
        rope = json.loads((HERE / "phi3/config.json").read_text())["rope_parameters"]
        tiny = {length: [1e-30] * len(rope[length]) for length in ("short_factor", "long_factor")}
        model = self.changed("phi3", config={"rope_parameters": {**rope, **tiny}})
        write_gguf(model, self.folder / "tiny.gguf")
        for path in (model, self.folder / "tiny.gguf"):
            self.refuse(path, "expected rope to turn by less than 10000 at each position")
        write_gguf(HERE / "yarn", self.folder / "factor.gguf",
                   {"qwen3.rope.scaling.attn_factor": (F32, 3e38)})
        self.refuse(self.folder / "factor.gguf",
                    "expected a finite factor of the cosines and sines of rope")

    def test_long_keys(self):
        """Not each of the values keeps a copy of the key that it stands under."""
        self.check(self.changed("llama", config={"a" * 2**20: {i: None for i in range(50000)},
                                                 "b" * 2**20: {i: 1 for i in range(50000)}}), "llama")

    def test_gguf_rope(self):
        """Of a kind that only other programs know."""
        write_gguf(HERE / "mistral", self.folder / "m.gguf",
                   {"llama.rope.scaling.type": (STRING, "dynamic")})
        self.refuse(self.folder / "m.gguf", "unsupported rope scaling 'dynamic' (supported: none, "
                    "linear, longrope, yarn)")

    def test_gguf_more_tensors(self):
        """Biases of the router, which are for sigmoids alone."""
        write_gguf(HERE / "deepseek-v3", self.folder / "m.gguf",
                   {"deepseek2.expert_gating_func": (U32, 1)})
        self.refuse(self.folder / "m.gguf",
                    "tensor 'blk.0.exp_probs_b.bias' is not part of this architecture")

    def test_gguf_spare_layers(self):
        """GGUF counts layers that only predict further tokens, and says how many they are."""
        for name, kind in (("glm4-moe-air", "glm4moe"), ("deepseek-v3", "deepseek2")):
            def spare(tensors):
                return {**tensors, **{key.replace("layers.1.", "layers.2."): tensors[key]
                                      for key in tensors if "layers.1." in key}}
            folder = self.changed(name, spare, config={"num_hidden_layers": 3})
            for count, said in ((1, None), (3, "expected less than the 3 layers")):
                write_gguf(folder, self.folder / "m.gguf",
                           {f"{kind}.nextn_predict_layers": (U32, count)})
                if said:
                    self.refuse(self.folder / "m.gguf", said)
                else:
                    self.check(self.folder / "m.gguf", name)

    def test_gguf_alibi(self):
        write_gguf(HERE / "falcon-7b", self.folder / "m.gguf",
                   {"falcon.attention.max_alibi_bias": (F32, 8.0)})
        self.refuse(self.folder / "m.gguf", "key 'falcon.attention.max_alibi_bias': is not supported "
                    "(supported: 0)")
        write_gguf(HERE / "falcon-7b", self.folder / "m.gguf",
                   {"falcon.attention.max_alibi_bias": (F32, 0.0)})
        self.check(self.folder / "m.gguf", "falcon-7b")

    def test_class_defaults(self):
        """What a config leaves out is what the class in transformers takes."""
        try:
            from transformers import AutoConfig
        except ImportError:
            self.skipTest("no transformers")
        derived = ("ffn_hidden_size", "num_kv_heads", "vocab_size")  # from what else there is
        required = ("hidden_size", "intermediate_size", "max_position_embeddings",
                    "num_attention_heads", "num_hidden_layers", "rms_norm_eps")
        for name in ("falcon-7b", "falcon-40b", "falcon-11b", "deepseek-v3", "ernie4_5", "seed_oss",
                     "exaone4", "glm4", "glm4-moe-air", "glm", "olmoe", "cohere", "cohere2"):
            folder = self.changed(name)
            path = folder / "config.json"
            config = json.loads(path.read_text())
            defaults = AutoConfig.for_model(config["model_type"]).to_dict()
            if defaults.get("num_key_value_heads") == defaults.get("num_attention_heads"):
                defaults.pop("num_key_value_heads", None)  # as many as there are
            if defaults.get("head_dim") == defaults["hidden_size"] // defaults["num_attention_heads"]:
                defaults.pop("head_dim")
            for key in [key for key in config if key not in derived and
                        isinstance(defaults.get(key), (bool, int, float))]:
                imported = []
                for changed in ({}, {key: defaults[key]}):
                    path.write_text(json.dumps({k: config[k] for k in config if k != key} | changed))
                    result = self.qcc(folder, "--emit=import", "-o", "-")
                    imported.append((result.stdout, result.stderr))
                # A config without such a size is refused.
                if key not in required or f"key '{key}' is missing" not in imported[0][1]:
                    self.assertEqual(imported[0], imported[1], (name, key))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--qcc", required=True)
    _, rest = parser.parse_known_args(namespace=OPTIONS)
    unittest.main(argv=[sys.argv[0], *rest])
