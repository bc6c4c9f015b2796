#!/usr/bin/env python3
# references_test.py - Tiny models of each family against transformers.
# SPDX-License-Identifier: Apache-2.0
#
#   references_test.py --qcc build/bin/qcc --model llama [unittest arguments]
"""Compiles a checkpoint that transformers wrote (make_references.py) and compares
its logits and greedy tokens with those that transformers computed. The same model in
a GGUF file must give them too."""
import argparse
import json
import pathlib
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
from to_gguf import digest, mxfp4, read_safetensors, stacked, write_gguf  # noqa: E402
from hf_folder import write_safetensors  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
OPTIONS = argparse.Namespace()


# What else older configs could leave out, where it is this.
ASSUMED = {
    "starcoder2": dict(norm_epsilon=1e-5, use_bias=True),
    "gpt_bigcode": dict(layer_norm_epsilon=1e-5, n_inner=None, multi_query=True,
                        tie_word_embeddings=True),
    "gpt2": dict(layer_norm_epsilon=1e-5, n_inner=None, tie_word_embeddings=True),
    "gpt_neox": dict(layer_norm_eps=1e-5, attention_bias=True, use_parallel_residual=True,
                     rotary_pct=0.25),
    "stablelm": dict(layer_norm_eps=1e-5, partial_rotary_factor=0.25, use_qkv_bias=False),
    "falcon": dict(layer_norm_epsilon=1e-5, bias=False, multi_query=True,
                   new_decoder_architecture=False, parallel_attn=True, tie_word_embeddings=True),
    "phi": dict(layer_norm_eps=1e-5, partial_rotary_factor=0.5)}
# Other names of keys in such configs.
OLD_KEYS = {"gpt_neox": dict(rope_theta="rotary_emb_base", partial_rotary_factor="rotary_pct")}


def older(config):
    """A config as versions of transformers before 5 wrote it, without what its class
    assumes."""
    config = dict(config)
    if "text_config" in config:
        return {**config, "text_config": older(config["text_config"])}
    if config["model_type"].startswith(("gemma", "smollm3")):
        del config["tie_word_embeddings"]
    if "moe_intermediate_size" in config and "num_local_experts" in config:
        config["num_experts"] = config.pop("num_local_experts")
    config.pop("no_rope_layers", None)
    if config.get("use_sliding_window"):
        del config["layer_types"]
    else:
        config.pop("use_sliding_window", None)
    rope = config.pop("rope_parameters", dict(rope_theta=None, rope_type="default"))
    if "full_attention" in rope:
        base = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
        if base != rope["rope_theta"]:
            config["rope_local_base_freq"] = base
    if "sliding_attention" in config.get("layer_types", []):
        period = 1 + config.pop("layer_types").index("full_attention")
        # The other families have one, which their classes know.
        if config.pop("_sliding_window_pattern", None):
            config["sliding_window_pattern"] = period
    config["rope_theta"] = rope["rope_theta"]
    if "partial_rotary_factor" in rope:
        config["partial_rotary_factor"] = rope["partial_rotary_factor"]
    scaling = {key: value for key, value in rope.items()
               if key not in ("rope_theta", "partial_rotary_factor")}
    config["rope_scaling"] = None if rope["rope_type"] == "default" else scaling
    for key, old in OLD_KEYS.get(config["model_type"], {}).items():
        config[old] = config.pop(key)
    for key, value in ASSUMED.get(config["model_type"], {}).items():
        if config[key] == value:
            del config[key]
    return config


def distances(got, expected):
    """The largest difference in each row, in units of the largest logit."""
    return np.abs(got - expected).max(axis=1) / np.abs(expected).max()


def distance(got, expected):
    return distances(got, expected).max()


class Reference(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.model = HERE / OPTIONS.model
        self.reference = np.load(self.model / "reference.npz")

    def qcc(self, *arguments):
        result = subprocess.run([OPTIONS.qcc, *map(str, arguments)], capture_output=True,
                                text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def compile(self, model, *options):
        self.qcc(model, "-o", self.folder / "m.so", "--activations=f32", *options)

    def logits(self, ids, *options):
        self.qcc("run", self.folder / "m.so", "logits", "--ids", ",".join(map(str, ids)), "-o",
                 self.folder / "l.npy", *options)
        return np.load(self.folder / "l.npy")

    def prompts(self):
        for i in range(3):
            yield self.reference[f"prompt.{i}"], self.reference[f"logits.{i}"]

    def contexts(self):
        """Options, and least and most tokens of sequences that are computed like those of
        transformers with them: LongRope depends on the length of a sequence there, and
        here on the longest that there may be."""
        config = json.loads((self.model / "config.json").read_text())
        config = config.get("text_config", config)
        if config.get("rope_parameters", {}).get("rope_type") != "longrope":
            longest = config.get("max_position_embeddings") or config["n_positions"]
            return [((), 1, longest)]
        trained = config["original_max_position_embeddings"]
        return [(("--context", trained), 1, trained),
                ((), trained + 1, config["max_position_embeddings"])]

    def check(self, model, *options):
        for context, least, most in self.contexts():
            self.compile(model, *options, *context)
            for ids, expected in self.prompts():
                if least <= len(ids) <= most:
                    self.assertLess(distance(self.logits(ids), expected), 1e-5)
            # One position at a time, as tokens are generated.
            ids = [*self.reference["prompt.0"], *self.reference["greedy"]]
            if least <= len(ids) <= most:
                logits = self.logits(ids[:-1], "--batch", "1")
                greedy = self.reference["greedy"].tolist()
                self.assertEqual(logits[-len(greedy):].argmax(axis=1).tolist(), greedy)

    def test_native(self):
        self.check(self.model, "--target", "native")

    def test_reference(self):
        self.check(self.model, "--target", "reference")

    def test_gguf(self):
        config = json.loads((self.model / "config.json").read_text())
        if "kv_lora_rank" in config and config["rms_norm_eps"] != 1e-6:
            self.skipTest("such a file has one eps for all norms")
        # What llama.cpp's converter makes of it, where that is the same model.
        records = json.loads((HERE / "llama_cpp.json").read_text())
        record = records.get(self.model.name, {})
        tensors = write_gguf(self.model, self.folder / "m.gguf", said=record.get("keys"))
        if record:
            self.assertEqual(digest(tensors), record["tensors"])
        # Matrices of latents come in another shape than in folders; for the others it is
        # names, numbers and orders of rows that differ, which both targets read alike.
        target = "native" if "kv_lora_rank" in config else "reference"
        self.check(self.folder / "m.gguf", "--target", target)

    def test_gguf_of_one_matrix(self):
        """The way from latents to keys and values in one tensor, as in older files."""
        config = json.loads((self.model / "config.json").read_text())
        if config.get("rms_norm_eps") != 1e-6 or "kv_lora_rank" not in config:
            self.skipTest("no latents, or with another eps")
        write_gguf(self.model, self.folder / "m.gguf", is_split=False)
        self.check(self.folder / "m.gguf", "--target", "reference")

    def test_mxfp4(self):
        """Experts that are rounded to it already, in files that say so."""
        config = json.loads((self.model / "config.json").read_text())
        if config["model_type"] != "gpt_oss":
            self.skipTest("no experts in MXFP4")
        write_gguf(self.model, self.folder / "m.gguf", experts_type="MXFP4")
        self.check(self.folder / "m.gguf", "--target", "reference")
        tensors = read_safetensors(self.model / "model.safetensors")
        for name in [name for name in tensors if name.endswith(("gate_up_proj", "down_proj"))]:
            codes, scales = mxfp4(tensors.pop(name).swapaxes(1, 2))
            tensors[name + "_blocks"] = codes[..., ::2] | codes[..., 1::2] << 4
            tensors[name + "_scales"] = scales
        folder = self.folder / "mxfp4"
        folder.mkdir()
        config["quantization_config"] = {"quant_method": "mxfp4"}
        (folder / "config.json").write_text(json.dumps(config))
        write_safetensors(folder / "model.safetensors", tensors)
        for target in ("native", "reference"):
            self.check(folder, "--target", target)

    def test_fused_experts(self):
        """A tensor of all experts' gate and up, as newer versions keep it in memory."""
        tensors = read_safetensors(self.model / "model.safetensors")
        matrices = stacked(tensors)
        gates = [name for name in matrices if name.endswith(".experts.gate_proj.weight")]
        if not gates or "block_sparse_moe" in gates[0] or any("gate_up" in n for n in tensors):
            self.skipTest("no experts, or fused ones")
        fused = {name: values for name, values in tensors.items() if ".experts." not in name}
        for name in gates:
            module = name.removesuffix("gate_proj.weight")
            up, down = (matrices[f"{module}{part}_proj.weight"] for part in ("up", "down"))
            fused[module + "gate_up_proj"] = np.concatenate([matrices[name], up], axis=1)
            fused[module + "down_proj"] = down
        folder = self.folder / "fused"
        folder.mkdir()
        shutil.copy(self.model / "config.json", folder)
        write_safetensors(folder / "model.safetensors", fused)
        self.check(folder, "--target", "reference")

    def test_older_config(self):
        """Says the same."""
        folder = self.folder / self.model.name
        shutil.copytree(self.model, folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(older(config)))
        self.assertEqual(self.qcc(folder, "--emit=import", "-o", "-"),
                         self.qcc(self.model, "--emit=import", "-o", "-"))

    def test_quantized(self):
        """Rounded weights are near, the nearer the more bits they have, and are not the same.
        With experts, a few rows choose others, which is another model for them."""
        config = json.loads((self.model / "config.json").read_text())
        near = 0.9 if "num_experts_per_tok" in config.get("text_config", config) else 1.0
        context, least, most = self.contexts()[0]
        prompts = [prompt for prompt in self.prompts() if least <= len(prompt[0]) <= most]
        prompts.pop(1)  # the others have all lengths of rows
        middle = []
        # What each format's kernels do is compared elsewhere. One is enough to see that
        # those of this family are right together, with the narrower registers, too.
        for kind, bound, targets in (("q8_0", 0.06, ("reference",)),
                                     ("q4_0", 0.9, ("reference", "x86-64-v3"))):
            rounded, all_far = [], []
            for target in targets:
                self.compile(self.model, "--quantize", kind, "--target", target, *context)
                rounded.append([self.logits(ids) for ids, _ in prompts])
            for *others, got in zip(*rounded):
                for reference in others:
                    self.assertLess(distance(got, reference), 1e-5)
            for got, (_, expected) in zip(rounded[-1], prompts):
                far = distances(got, expected)
                self.assertLess(np.quantile(far, near), bound)
                self.assertGreater(far.max(), 2e-4)
                all_far.extend(far)
            middle.append(np.median(all_far))
        self.assertLess(2 * middle[0], middle[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--qcc", required=True)
    parser.add_argument("--model", required=True)
    _, rest = parser.parse_known_args(namespace=OPTIONS)
    unittest.main(argv=[sys.argv[0], *rest])
