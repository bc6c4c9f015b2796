#!/usr/bin/env python3
# bias_test.py - Linear layers with biases, from reading to logits.
# SPDX-License-Identifier: Apache-2.0
#
#   bias_test.py --qcc build/bin/qcc --tool build/bin/qcc-checkpoint-tool
#                [unittest arguments]
"""Models of the families whose linear layers may have biases, as Hugging Face
folders and as GGUF files, compared with an evaluation in float64."""
import json
import sys

SKIP = 77
try:
    import numpy as np
except ImportError:
    print("skipped: no numpy")
    sys.exit(SKIP)

sys.dont_write_bytecode = True
from folder_case import QuantizedTestCase, TestCase, run  # noqa: E402
from exl2 import exl2  # noqa: E402
from hf_folder import BF16  # noqa: E402
from make_gguf import BOOL, F32, I32, STRING, U32, Writer  # noqa: E402
from tiny_model import byte_tokens  # noqa: E402

ALL = ("q", "k", "v", "o", "gate", "up", "down")
# Rows that are no multiple of 16.
ODD = dict(hidden=56, heads=3, kv_heads=1, ffn=92, vocab=83)
QWEN2 = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "rope_theta": 1000.0,
         "use_sliding_window": False, "sliding_window": 32768, "max_window_layers": 28}


class Llama(TestCase):
    def test_all_layers(self):
        for dtype in (np.float32, np.float16, BF16):
            with self.subTest(dtype=dtype):
                check = self.check_logits if dtype is BF16 else self.check_read
                check(self.make(biases=ALL, dtype=dtype, config={
                    "attention_bias": True, "mlp_bias": True}))

    def test_odd_sizes(self):
        self.check_logits(self.make(biases=ALL, config={"head_dim": 20}, **ODD))

    def test_some_layers(self):
        for biases in (("q",), ("k", "up"), ("v", "gate"), ("q", "v", "o"), ("down",)):
            with self.subTest(biases=biases):
                self.check_logits(self.make(biases=biases, config={"head_dim": 20}, **ODD))

    def test_zeros_between_others(self):
        """What changes nothing is left out; the other layers keep theirs."""
        model = self.make(biases=ALL, layers=3)
        for name in ("0.self_attn.k_proj", "1.mlp.gate_proj", "2.mlp.down_proj"):
            name = f"model.layers.{name}.bias"
            model.tensors[name][:] = 0
            model.weights[name][:] = 0
        model.write()
        self.check_logits(model)
        text = self.qcc(model.path, "--emit=import", "-o", "-").stdout
        self.assertNotIn("layers.0.self_attn.k_proj.bias", text)
        self.assertIn("layers.1.self_attn.k_proj.bias", text)

    def test_refused(self):
        def without(name, biases, **config):
            model = self.make(biases=biases, config=config)
            name = f"model.layers.1.{name}.bias"
            del model.tensors[name]
            model.write()
            self.check_refused(model.path, f"tensor '{name}' is missing")
        without("self_attn.o_proj", ALL, attention_bias=True)
        without("mlp.gate_proj", ALL, mlp_bias=True)
        without("self_attn.k_proj", "qkv", **QWEN2)


class Quantized(QuantizedTestCase):
    def test_gptq(self):
        for options in ({}, {"bits": 8, "sym": False}):
            with self.subTest(**options):
                model = self.make(quantize=options, biases=ALL, dtype=np.float16)
                self.check_weights(model)
                self.check_logits(model)

    def test_act_order(self):
        """Gate and up are stored in the order of down's groups, with their biases."""
        for biases in (ALL, ("gate", "down"), ("q", "up")):
            with self.subTest(biases=biases):
                model = self.make(quantize={"g_idx": "scrambled"}, biases=biases, dtype=np.float16)
                self.check_logits(model)
                text = self.qcc(model.path, "--emit=schedule", "-o", "-").stdout
                ordered = 2 + len({"gate", "up"}.intersection(biases))
                self.assertEqual(text.count("row_order = "), 2 * ordered)

    def test_awq_and_compressed_tensors(self):
        for method in ("awq", "compressed-tensors"):
            with self.subTest(method=method):
                self.check_logits(self.make(quantize={"method": method}, biases=ALL,
                                            dtype=np.float16))

    def test_exl2(self):
        def quantizer(random, module, weight, order):
            return None if module == "lm_head" else exl2(random, weight, order)
        self.check_logits(self.make(quantizer=quantizer, biases=ALL, layers=1, dtype=np.float16,
                                    config={"quantization_config": {"quant_method": "exl2"}}))

    def test_prepared_by_verify(self):
        """Integer activations against the reference, layer by layer."""
        model = self.make(quantize={"group": 64}, hidden=128, biases=ALL)
        result = self.qcc("verify", model.path)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("same most likely token", result.stdout)


class Qwen2(QuantizedTestCase):
    def test_folder(self):
        for tied in (False, True):
            for head_dim in (None, 20):
                with self.subTest(tied=tied, head_dim=head_dim):
                    heads = {"heads": 4, "kv_heads": 2} if head_dim is None else {}
                    config = {**QWEN2, **({"head_dim": head_dim} if head_dim else {})}
                    check = self.check_read if tied else self.check_logits
                    check(self.make(biases="qkv", tied=tied, config=config, **{**ODD, **heads}))

    def test_gptq(self):
        """With the biases of zeros that tools write for the other layers."""
        model = self.make(biases="qkv", config=QWEN2, quantize={"bias": 0}, dtype=np.float16)
        self.check_weights(model)
        self.check_logits(model)

    def test_window(self):
        used = {**QWEN2, "use_sliding_window": True, "sliding_window": 7, "max_window_layers": 2}
        types = ["full_attention", "sliding_attention", "full_attention"]
        for config in (used, {**used, "max_window_layers": 0}, {**used, "layer_types": types},
                       {**QWEN2, "sliding_window": None, "layer_types": ["full_attention"] * 3}):
            with self.subTest(**config):
                check = self.check_logits if config is used else self.check_read
                check(self.make(biases="qkv", layers=3, config=config))

        def refuse(message, **config):
            self.check_refused(self.make(biases="qkv", layers=3, config={**used, **config}).path,
                               "config.json: key 'layer_types': ", message)
        refuse("a window", layer_types=types, use_sliding_window=False)
        refuse("got 2", layer_types=types[1:])
        refuse("'chunked_attention'", layer_types=types[1:] + ["chunked_attention"])


class Gguf(TestCase):
    """The folder's model as its converter writes it: names, shapes, and where rope turns
    adjacent pairs, rows of q and k in that order, and their biases with them."""
    NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
             "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
             "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
             "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
             "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}

    def convert(self, model, architecture, adjacent, leave_out=(), pre="qwen2"):
        config, vocab = model.config, model.config["vocab_size"]
        head_dim = config.get("head_dim") or \
            config["hidden_size"] // config["num_attention_heads"]
        w = Writer()
        w.key("general.architecture", STRING, architecture).key("general.name", STRING, "tiny")
        for key, name in {"block_count": "num_hidden_layers", "embedding_length": "hidden_size",
                          "feed_forward_length": "intermediate_size",
                          "attention.head_count": "num_attention_heads",
                          "attention.head_count_kv": "num_key_value_heads",
                          "context_length": "max_position_embeddings"}.items():
            w.key(f"{architecture}.{key}", U32, config[name])
        for key in ("key_length", "value_length"):
            w.key(f"{architecture}.attention.{key}", U32, head_dim)
        w.key(f"{architecture}.attention.layer_norm_rms_epsilon", F32, config["rms_norm_eps"])
        w.key(f"{architecture}.rope.freq_base", F32, config["rope_theta"])
        w.key("tokenizer.ggml.model", STRING, "gpt2").key("tokenizer.ggml.pre", STRING, pre)
        tokens = byte_tokens() + ["12"] + [f"<|extra{i}|>" for i in range(vocab - 257)]
        w.array("tokenizer.ggml.tokens", STRING, tokens)
        w.array("tokenizer.ggml.token_type", I32, [1] * 257 + [3] * (vocab - 257))
        w.array("tokenizer.ggml.merges", STRING, ["1 2"])
        w.key("tokenizer.ggml.eos_token_id", U32, 257)
        w.key("tokenizer.ggml.add_bos_token", BOOL, False)
        for name, values in model.weights.items():
            base, _, kind = name.rpartition(".")
            if base.startswith("model.layers."):
                number, _, part = base[len("model.layers."):].partition(".")
                converted = f"blk.{number}.{self.NAMES[part]}.{kind}"
            else:
                converted = f"{self.NAMES[base]}.{kind}"
            if adjacent and base.endswith(("q_proj", "k_proj")):
                halves = values.reshape(-1, 2, head_dim // 2, *values.shape[1:])
                values = halves.swapaxes(1, 2).reshape(values.shape)
            if converted not in leave_out:
                w.tensor(converted, list(values.shape[::-1]), "F32",
                         np.ascontiguousarray(values, np.float32).tobytes())
        path = self.folder / "model.gguf"
        path.write_bytes(w.build())
        return path

    def test_llama(self):
        for biases in (ALL, ("q", "o")):
            with self.subTest(biases=biases):
                model = self.make(biases=biases, config={"head_dim": 20}, **{**ODD, "vocab": 288})
                check = self.check_logits if biases is ALL else self.check_read
                check(model, self.convert(model, "llama", adjacent=True))

    def test_qwen2(self):
        for tied in (False, True):
            with self.subTest(tied=tied):
                model = self.make(biases="qkv", tied=tied, config={**QWEN2, "head_dim": 20},
                                  **{**ODD, "vocab": 288})
                path = self.convert(model, "qwen2", adjacent=False)
                self.check_read(model, path)
        path = self.convert(model, "qwen2", adjacent=False, leave_out=("blk.1.attn_v.bias",))
        self.check_refused(path, "tensor 'blk.1.attn_v.bias' is missing")

    def test_tokenizer(self):
        """Digits of Qwen stand alone, whatever is merged."""
        model = self.make(biases="qkv", layers=1, vocab=288, config=QWEN2)
        one, two, both = byte_tokens().index("1"), byte_tokens().index("2"), 256
        for pre, ids in (("qwen2", [one, two]), ("gpt-2", [both])):
            self.compile(self.convert(model, "qwen2", adjacent=False, pre=pre),
                         "--target=reference")
            result = self.qcc("run", self.library, "tokenize", "--json", "12")
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertEqual(json.loads(result.stdout)["ids"], ids)


if __name__ == "__main__":
    run("--qcc", "--tool")
