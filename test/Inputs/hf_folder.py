# hf_folder.py - Small Hugging Face folders, and what they compute.
# SPDX-License-Identifier: Apache-2.0
"""Writes random models of the Llama and Qwen2 families as folders with config.json and
safetensors, plain or as GPTQ tools write them, and evaluates them in float64
with numpy. Everything is written from the formats' descriptions; nothing here
knows how qcc reads them."""
import json
import pathlib
import struct

import numpy as np

DTYPES = {np.dtype(np.float32): "F32", np.dtype(np.float16): "F16", np.dtype(np.int32): "I32",
          np.dtype(np.int16): "I16", np.dtype(np.uint8): "U8", np.dtype(np.int64): "I64",
          np.dtype(np.int8): "I8"}


class BF16:
    """The upper halves of float32 numbers."""

    def __init__(self, values):
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        self.bits = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
        self.shape = self.bits.shape

    def values(self):
        return (self.bits.astype(np.uint32) << 16).view(np.float32)


class F8E4M3:
    """Floats of 8 bits by their codes."""

    def __init__(self, bits):
        self.bits = np.ascontiguousarray(bits, np.uint8)
        self.shape = self.bits.shape

    def values(self):
        sign = np.where(self.bits & 0x80, -1.0, 1.0)
        exponent, mantissa = self.bits.astype(int) >> 3 & 15, self.bits & 7
        value = np.where(exponent, np.ldexp(1 + mantissa / 8, exponent - 7),
                         np.ldexp(mantissa / 8, -6))
        return sign * np.where((self.bits & 0x7F) == 0x7F, np.nan, value)


def as_values(array):
    return array.values() if isinstance(array, (BF16, F8E4M3)) else array


def write_safetensors(path, tensors, metadata=None):
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, array in tensors.items():
        special = {BF16: "BF16", F8E4M3: "F8_E4M3"}.get(type(array))
        bytes_ = array.bits.tobytes() if special else array.tobytes()
        dtype = special or DTYPES[array.dtype]
        header[name] = {"dtype": dtype, "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + len(bytes_)]}
        data += bytes_
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def pack(codes, bits):
    """Codes [n, m] along the first axis into words [n * bits / 32, m]."""
    stream = codes.astype(np.uint64)[:, None, :] >> np.arange(bits, dtype=np.uint64)[None, :, None]
    stream = (stream & np.uint64(1)).reshape(-1, 32, codes.shape[1])
    shifts = np.arange(32, dtype=np.uint64)[None, :, None]
    return (stream << shifts).sum(axis=1).astype(np.uint32).view(np.int32)


def gptq(random, weight, bits=4, group=32, sym=True, v2=False, g_idx="order",
         scale_type=np.float16, bias=None, zero=None, order=None):
    """GPTQ tensors of a matrix [out, in] by suffix, and its new values. `order` is a
    generator of random numbers: matrices that read the same rows have the same."""
    out, k = weight.shape
    group = k if group == -1 else group
    starts = np.arange(0, k, group)  # The last group may be smaller.
    groups = len(starts)
    middle = 1 << (bits - 1)
    scales = np.maximum.reduceat(np.abs(weight), starts, axis=1).T / middle + 1e-6  # [groups, out]
    scales = BF16(scales) if scale_type is BF16 else scales.astype(scale_type)
    zeros = np.full((groups, out), middle if zero is None else zero, np.int64)
    if not sym and zero is None:
        zeros = random.integers(1 if bits == 3 else 0, 1 << bits, (groups, out))
    where = np.arange(k) // group
    if g_idx == "scrambled":
        where = (order or random).permutation(where)
    values = as_values(scales).astype(np.float64)
    codes = np.rint(weight.T / values[where]) + zeros[where]
    codes = np.clip(codes, 0, (1 << bits) - 1).astype(np.int64)
    # The first format has one less, taken from whole words where words are whole.
    less = 0 if v2 else 1
    qzeros = pack((zeros - (less if bits == 3 else 0)).T, bits).T.copy()
    if bits != 3:
        qzeros = (qzeros.view(np.uint32) - np.uint32(less * 0xFFFFFFFF // ((1 << bits) - 1))).view(np.int32)
    tensors = {"qweight": pack(codes, bits), "qzeros": qzeros, "scales": scales}
    if g_idx != "absent":
        order = np.zeros(k, np.int64) if g_idx == "zeros" else where
        tensors["g_idx"] = order.astype(np.int32)
    if bias is not None:
        tensors["bias"] = np.full(out, bias, np.float16)
    # Exact in float32 too.
    return tensors, ((codes - zeros[where]) * values[where]).T


def awq(random, weight, group=32, order=None):
    """AWQ tensors (GEMM) of a matrix [out, in] by suffix, and its new values."""
    out, k = weight.shape
    group = k if group == -1 else group
    blocks = weight.reshape(out, k // group, group)
    scales = ((blocks.max(axis=2) - blocks.min(axis=2)) / 15 + 1e-6).T.astype(np.float16)
    values = scales.astype(np.float64)
    zeros = np.clip(np.rint(-blocks.min(axis=2).T / values), 0, 15).astype(np.int64)
    where = np.arange(k) // group
    codes = np.clip(np.rint(weight.T / values[where]) + zeros[where], 0, 15).astype(np.int64)

    def words(numbers):
        places = numbers.reshape(len(numbers), -1, 8)[:, :, [0, 2, 4, 6, 1, 3, 5, 7]]
        return (places << np.arange(0, 32, 4)).sum(axis=2).astype(np.uint32).view(np.int32)
    return {"qweight": words(codes), "qzeros": words(zeros), "scales": scales}, \
        ((codes - zeros[where]) * values[where]).T


def compressed(random, weight, bits=4, group=32, sym=True, packed=True, scale_type=np.float16,
               order=None):
    """compressed-tensors of a matrix [out, in] by suffix, and its new values."""
    out, k = weight.shape
    group = k if group == -1 else group
    blocks = weight.reshape(out, k // group, group)
    middle = 1 << (bits - 1)
    scales = np.abs(blocks).max(axis=2) / middle + 1e-6
    scales = BF16(scales) if scale_type is BF16 else scales.astype(scale_type)
    zeros = np.zeros(scales.shape, np.int64) if sym else random.integers(-3, 3, scales.shape)
    values = as_values(scales).astype(np.float64).repeat(group, axis=1)
    codes = np.clip(np.rint(weight / values) + zeros.repeat(group, axis=1), -middle, middle - 1)
    tensors = {"weight_scale": scales}
    if packed:
        tensors["weight_packed"] = pack((codes + middle).astype(np.int64).T, bits).T.copy()
        tensors["weight_shape"] = np.array(weight.shape, np.int64)
    else:
        tensors["weight"] = codes.astype(np.int8)
    if not sym:
        tensors["weight_zero_point"] = pack(zeros + middle, bits)
    return tensors, (codes - zeros.repeat(group, axis=1)) * values


LINEAR = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
          "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


class Folder:
    """A random model. `config` changes config.json; `quantize` holds arguments of
    gptq() for all linear layers, and with head=True for the head. Instead, `quantizer`
    may be a function of (random, module, weight, order) that gives a module's tensors by
    suffix and its new values, or None where it stays as it is. `biases` names the
    linear layers with a bias: "q", "gate"..."""

    def __init__(self, path, seed=1, layers=2, hidden=64, ffn=128, heads=4, kv_heads=2, vocab=96,
                 dtype=np.float32, tied=False, quantize=None, head=False, shards=1, config=None,
                 quantization_config=None, file="model.safetensors", apart=False,
                 quantizer=None, biases=()):
        self.path = pathlib.Path(path)
        self.path.mkdir(exist_ok=True)
        random = np.random.default_rng(seed)
        self.config = {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
            "hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": kv_heads,
            "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "rope_scaling": None, "tie_word_embeddings": tied, "vocab_size": vocab}
        choose, quantizer = quantizer, gptq
        if quantize is not None and quantize.get("method") == "awq":
            quantizer = awq
            quantize = {key: value for key, value in quantize.items() if key != "method"}
            self.config["quantization_config"] = {
                "quant_method": "awq", "bits": 4, "group_size": quantize.get("group", 32),
                "version": "gemm", "zero_point": True, **(quantization_config or {})}
        elif quantize is not None and quantize.get("method") == "compressed-tensors":
            quantizer = compressed
            quantize = {key: value for key, value in quantize.items() if key != "method"}
            group = quantize.get("group", 32)
            self.config["quantization_config"] = {
                "quant_method": "compressed-tensors",
                "format": "pack-quantized" if quantize.get("packed", True) else "int-quantized",
                "config_groups": {"group_0": {"targets": ["Linear"], "weights": {
                    "num_bits": quantize.get("bits", 4), "type": "int",
                    "symmetric": quantize.get("sym", True), "group_size": group,
                    "strategy": "channel" if group == -1 else "group",
                    **(quantization_config or {})}}}}
        elif quantize is not None:
            self.config["quantization_config"] = {
                "quant_method": "gptq", "bits": quantize.get("bits", 4),
                "group_size": quantize.get("group", 32), "sym": quantize.get("sym", True),
                "desc_act": quantize.get("g_idx") == "scrambled",
                "checkpoint_format": "gptq_v2" if quantize.get("v2") else "gptq"}
            self.config["quantization_config"].update(quantization_config or {})
        self.config.update(config or {})
        self.tensors, self.weights = {}, {}

        def plain(name, *shape, scale):
            values = (random.normal(0, scale, shape)).astype(np.float32)
            if len(shape) == 1:
                values += 1
            array = BF16(values) if dtype is BF16 else values.astype(dtype)
            self.tensors[name] = array
            self.weights[name] = as_values(array).astype(np.float64)

        # Apart, so that the other values do not depend on which biases there are.
        bias_random = np.random.default_rng((seed, 1))

        def bias(module, out):
            values = bias_random.normal(0, 0.5, out).astype(np.float32)
            array = BF16(values) if dtype is BF16 else values.astype(dtype)
            self.tensors[module + ".bias"] = array
            self.weights[module + ".bias"] = as_values(array).astype(np.float64)

        def linear(module, out, k, order=None):
            name = module + ".weight"
            plain(name, out, k, scale=k ** -0.5)
            weight = self.weights[name]
            if choose:
                made = choose(random, module, weight, order)
            elif quantize is None or (module == "lm_head" and not head):
                made = None
            else:
                made = quantizer(random, weight, order=order, **quantize)
            if made is None:
                return
            del self.tensors[name]
            parts, self.weights[name] = made
            for suffix, array in parts.items():
                self.tensors[f"{module}.{suffix}"] = array

        head_dim = self.config.get("head_dim") or hidden // heads
        sizes = {"q": (heads * head_dim, hidden), "k": (kv_heads * head_dim, hidden),
                 "v": (kv_heads * head_dim, hidden), "o": (hidden, heads * head_dim),
                 "gate": (ffn, hidden), "up": (ffn, hidden), "down": (hidden, ffn)}
        plain("model.embed_tokens.weight", vocab, hidden, scale=1)
        for i in range(layers):
            prefix = f"model.layers.{i}."
            plain(prefix + "input_layernorm.weight", hidden, scale=0.1)
            plain(prefix + "post_attention_layernorm.weight", hidden, scale=0.1)
            for module in LINEAR:
                kind = module.split(".")[1][:-5]
                # Q, K and V read the same rows, and so do gate and up.
                rows = {"q": 1, "k": 1, "v": 1, "gate": 2, "up": 2}.get(kind)
                if apart or rows is None:
                    linear(prefix + module, *sizes[kind])
                else:
                    linear(prefix + module, *sizes[kind],
                           np.random.default_rng((seed, i, rows)))
                if kind in biases:
                    bias(prefix + module, sizes[kind][0])
        plain("model.norm.weight", hidden, scale=0.1)
        if not tied:
            linear("lm_head", vocab, hidden)
        self.shards, self.file = shards, file
        self.write()

    def write(self):
        (self.path / "config.json").write_text(json.dumps(self.config))
        if self.shards == 1:
            write_safetensors(self.path / self.file, self.tensors, {"format": "pt"})
            return
        names = list(self.tensors)
        weight_map = {}
        for i in range(self.shards):
            file = f"model-{i + 1:05}-of-{self.shards:05}.safetensors"
            part = names[i::self.shards]
            write_safetensors(self.path / file, {name: self.tensors[name] for name in part})
            weight_map.update({name: file for name in part})
        (self.path / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {"total_size": 0}, "weight_map": weight_map}))

    def frequencies(self, size):
        """Of rope, for `size` turning elements of a head."""
        rope = self.config.get("rope_parameters") or {}
        scaling = self.config.get("rope_scaling") or rope
        theta = rope.get("rope_theta", self.config.get("rope_theta"))
        inverse = 1 / theta ** (np.arange(0, size, 2) / size)
        kind = scaling.get("rope_type", scaling.get("type", "default"))
        if kind == "linear":
            return inverse / scaling["factor"]
        if kind != "llama3":
            return inverse
        context = scaling["original_max_position_embeddings"]
        low, high = (context / scaling[key] for key in ("low_freq_factor", "high_freq_factor"))
        wave = 2 * np.pi / inverse
        smooth = ((context / wave - scaling["low_freq_factor"]) /
                  (scaling["high_freq_factor"] - scaling["low_freq_factor"]))
        between = (1 - smooth) * inverse / scaling["factor"] + smooth * inverse
        return np.where(wave > low, inverse / scaling["factor"],
                        np.where(wave < high, inverse, between))

    def logits(self, ids, inputs=None):
        """[len(ids), vocab] in float64, as transformers' Llama and Qwen2 compute them. What
        enters each matmul is added to `inputs`, by the name of its weight."""
        config, w = self.config, self.weights
        heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        head_dim = config.get("head_dim") or config["hidden_size"] // heads
        share = config.get("partial_rotary_factor", 1)
        turning = int(head_dim * share)
        angles = np.arange(len(ids))[:, None] * self.frequencies(turning)
        cos, sin = (np.concatenate([f(angles)] * 2, axis=1)[:, None] for f in (np.cos, np.sin))

        def norm(x, name):
            return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + config["rms_norm_eps"]) * w[name]

        def linear(x, name):
            if inputs is not None:
                inputs[name] = x
            return x @ w[name].T + w.get(name[:-len("weight")] + "bias", 0)

        def rope(x):
            part, rest = x[..., :turning], x[..., turning:]
            a, b = np.split(part, 2, axis=-1)
            turned = part * cos + np.concatenate([-b, a], axis=-1) * sin
            return np.concatenate([turned, rest], axis=-1)

        x = w["model.embed_tokens.weight"][ids]
        distance = np.arange(len(ids))[:, None] - np.arange(len(ids))
        for i in range(config["num_hidden_layers"]):
            window = config.get("sliding_window") or len(ids)
            if config["model_type"] == "qwen2":
                # What Qwen2Config makes of its keys when it has no layer_types.
                slides = config["use_sliding_window"] and i >= config["max_window_layers"]
                kinds = config.get("layer_types")
                if not (kinds[i] == "sliding_attention" if kinds else slides):
                    window = len(ids)
            mask = (distance < 0) | (distance >= window)
            prefix = f"model.layers.{i}."
            h = norm(x, prefix + "input_layernorm.weight")
            q, k, v = (linear(h, f"{prefix}self_attn.{n}_proj.weight") for n in "qkv")
            q = rope(q.reshape(len(ids), heads, head_dim))
            k = rope(k.reshape(len(ids), kv_heads, head_dim)).repeat(heads // kv_heads, axis=1)
            v = v.reshape(len(ids), kv_heads, head_dim).repeat(heads // kv_heads, axis=1)
            scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(head_dim)
            scores = np.where(mask, -np.inf, scores)
            p = np.exp(scores - scores.max(axis=-1, keepdims=True))
            p /= p.sum(axis=-1, keepdims=True)
            a = np.einsum("hqk,khd->qhd", p, v).reshape(len(ids), -1)
            x = x + linear(a, prefix + "self_attn.o_proj.weight")
            h = norm(x, prefix + "post_attention_layernorm.weight")
            gate = linear(h, prefix + "mlp.gate_proj.weight")
            up = linear(h, prefix + "mlp.up_proj.weight")
            x = x + linear(gate / (1 + np.exp(-gate)) * up, prefix + "mlp.down_proj.weight")
        x = norm(x, "model.norm.weight")
        head = "model.embed_tokens.weight" if config["tie_word_embeddings"] else "lm_head.weight"
        return linear(x, head)
