# to_gguf.py - A folder as llama.cpp's converter has it in one file.
# SPDX-License-Identifier: Apache-2.0
"""write_gguf() writes a float folder of transformers as a GGUF file: other names, rows
of Q and K in pairs for some families, and 1 added to norms that mean 1 + w. Written
from what GGUF files hold; nothing here knows how qcc reads them."""
import hashlib
import json
import pathlib
import re
import struct
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Inputs"))
from make_gguf import BOOL, F32, I32, STRING, U32, Writer  # noqa: E402

ARCHITECTURES = {"mistral": "llama", "gemma3_text": "gemma3", "olmo3": "olmo2",
                 "gpt_neox": "gptneox", "gpt_bigcode": "starcoder", "phi": "phi2", "mixtral": "llama",
                 "qwen2_moe": "qwen2moe", "qwen3_moe": "qwen3moe", "gpt_oss": "gpt-oss",
                 "deepseek_v2": "deepseek2", "deepseek_v3": "deepseek2", "glm": "chatglm", "glm4_moe": "glm4moe",
                 "cohere": "command-r", "qwen2_vl_text": "qwen2vl", "qwen2_5_vl_text": "qwen2vl",
                 "qwen3_vl_text": "qwen3vl", "qwen3_vl_moe_text": "qwen3vlmoe"}
# Numbers that only some families have.
FLOATS = {"attention.scale": "attention_multiplier", "embedding_scale": "embedding_multiplier",
          "residual_scale": "residual_multiplier", "logit_scale": "logits_scaling",
          "attn_logit_softcapping": "attn_logit_softcapping",
          "final_logit_softcapping": "final_logit_softcapping"}
# What some families call a key that most have.
KEYS = {"n_embd": "hidden_size", "n_layer": "num_hidden_layers",
        "n_head": "num_attention_heads", "n_positions": "max_position_embeddings",
        "n_inner": "intermediate_size", "ffn_hidden_size": "intermediate_size",
        "layer_norm_eps": "norm_epsilon", "layer_norm_epsilon": "norm_epsilon"}
# Whose rows of Q and K are in pairs.
ADJACENT = ("llama", "smollm3", "granite", "granitemoe")
# Whose norms multiply by 1 + w in a folder.
OFFSET = ("gemma", "gemma2", "gemma3")
NAMES = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q",
         "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
         "self_attn.k_norm": "attn_k_norm", "self_attn.q_layernorm.norms": "attn_q_norm",
         "self_attn.k_layernorm.norms": "attn_k_norm", "post_attention_layernorm": "ffn_norm",
         "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
         "block_sparse_moe.gate": "ffn_gate_inp", "mlp.gate": "ffn_gate_inp",
         "mlp.router": "ffn_gate_inp", "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
         "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
         "mlp.shared_expert.up_proj": "ffn_up_shexp",
         "mlp.shared_expert.down_proj": "ffn_down_shexp",
         "block_sparse_moe.router.layer": "ffn_gate_inp",
         "block_sparse_moe.experts.gate_proj": "ffn_gate_exps",
         "block_sparse_moe.experts.up_proj": "ffn_up_exps",
         "block_sparse_moe.experts.down_proj": "ffn_down_exps",
         "block_sparse_moe.experts.w1": "ffn_gate_exps",
         "block_sparse_moe.experts.w3": "ffn_up_exps",
         "block_sparse_moe.experts.w2": "ffn_down_exps",
         "mlp.shared_experts.gate_proj": "ffn_gate_shexp",
         "mlp.shared_experts.up_proj": "ffn_up_shexp",
         "mlp.shared_experts.down_proj": "ffn_down_shexp",
         "self_attn.q_a_proj": "attn_q_a", "self_attn.q_a_layernorm": "attn_q_a_norm",
         "self_attn.q_b_proj": "attn_q_b", "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa",
         "self_attn.kv_a_layernorm": "attn_kv_a_norm", "self_attn.kv_b_proj": "attn_kv_b",
         "mlp.experts.gate_proj": "ffn_gate_exps", "mlp.experts.up_proj": "ffn_up_exps",
         "mlp.experts.down_proj": "ffn_down_exps",
         "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
         "ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output",
         "ln_2": "ffn_norm", "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down",
         "attention.query_key_value": "attn_qkv", "attention.dense": "attn_output",
         "self_attention.query_key_value": "attn_qkv", "self_attention.dense": "attn_output",
         "post_self_attn_layernorm": "post_attention_norm", "post_mlp_layernorm": "post_ffw_norm",
         "self_attn.dense": "attn_output", "mlp.dense_h_to_4h": "ffn_up",
         "mlp.dense_4h_to_h": "ffn_down", "ln_attn": "attn_norm_2", "ln_mlp": "attn_norm"}
# Linear layers that are stored as [in, out].
TURNED = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
POST_NORM_NAMES = {"post_attention_layernorm": "post_attention_norm",
                   "pre_feedforward_layernorm": "ffn_norm",
                   "post_feedforward_layernorm": "post_ffw_norm"}
EPSILONS = (("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
            ("attention.layer_norm_epsilon", "norm_epsilon"))
OUTER_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm",
               "lm_head": "output", "transformer.wte": "token_embd",
               "transformer.wpe": "position_embd", "transformer.ln_f": "output_norm",
               "transformer.word_embeddings": "token_embd", "gpt_neox.embed_in": "token_embd",
               "gpt_neox.final_layer_norm": "output_norm", "embed_out": "output",
               "model.final_layernorm": "output_norm"}


def read_safetensors(path):
    data = path.read_bytes()
    size, = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            tensors[name] = np.frombuffer(data[8 + size + start:8 + size + end],
                                          np.float32).reshape(entry["shape"])
    return tensors


def pairs(weight, heads):
    """Rows of a head from (i, i + n/2) to (2i, 2i+1)."""
    halves = weight.reshape(heads, 2, -1, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def stacked(tensors):
    """The matrices of experts as one of three dimensions, rows (out features) before
    columns, gate and up apart; norms of heads as one matrix."""
    result, experts = {}, {}
    # Biases are gpt-oss's, whose matrices are [experts, in, out].
    is_turned = any(name.endswith("experts.gate_up_proj_bias") for name in tensors)
    for name, values in tensors.items():
        name = name.replace("moe.input_linear.weight", "moe.experts.gate_up_proj")
        name = name.replace("moe.output_linear.weight", "moe.experts.down_proj")
        if match := re.fullmatch(r"(.*\.(?:experts|norms))\.(\d+)(\..*)", name):
            experts.setdefault(match[1] + match[3], {})[int(match[2])] = values
        elif name.endswith(("experts.gate_up_proj", "experts.down_proj")) and not is_turned:
            module, _, part = name.rpartition(".")
            parts = {"gate_up_proj": ("gate_proj", "up_proj")}.get(part, (part,))
            for part, half in zip(parts, np.split(values, len(parts), axis=1)):
                result[f"{module}.{part}.weight"] = half
        elif name.endswith(("experts.gate_up_proj", "experts.gate_up_proj_bias")):
            ending = ".bias" if name.endswith("_bias") else ".weight"
            module = name[:name.index("gate_up_proj")]
            for i, part in enumerate(("gate_proj", "up_proj")):
                half = values[..., i::2]
                result[module + part + ending] = half.swapaxes(1, 2) if half.ndim == 3 else half
        elif name.endswith("experts.down_proj"):
            result[name + ".weight"] = values.swapaxes(1, 2)
        elif name.endswith("experts.down_proj_bias"):
            result[name.replace("_bias", ".bias")] = values
        else:
            result[name] = values
    for name, parts in experts.items():
        result[name] = np.stack([parts[i] for i in range(len(parts))])
    return result


def mxfp4(weight):
    """Codes of E2M1 and exponents of scales for groups of 32 of rows that MXFP4 holds
    exactly."""
    values = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
    groups = weight.reshape(*weight.shape[:-1], -1, 32)
    largest = np.abs(groups).max(axis=-1, keepdims=True)
    scale = np.exp2(np.ceil(np.log2(largest / 6)))
    codes = np.abs(np.abs(groups / scale)[..., None] - values).argmin(axis=-1)
    assert (np.sign(groups) * values[codes] * scale == groups).all()
    return (codes + 8 * (groups < 0)).astype(np.uint8), (np.log2(scale[..., 0]) + 127).astype(np.uint8)


def blocks(weight, kv_heads, head_dim):
    """Rows of the queries, key and value of each key head, as all queries, keys, values."""
    heads = weight.reshape(kv_heads, -1, head_dim, *weight.shape[1:])
    return np.concatenate([part.reshape(-1, *weight.shape[1:])
                           for part in (heads[:, :-2], heads[:, -2], heads[:, -1])])


def usual(config):
    """The config with the keys that most families have, none of them left out."""
    config = {**config, **{KEYS[key]: config[key] for key in config if key in KEYS}}
    width, heads = config["hidden_size"], config["num_attention_heads"]
    if not config.get("intermediate_size"):
        config["intermediate_size"] = 4 * width
    config.setdefault("head_dim", width // heads)
    if config.get("new_decoder_architecture"):
        config["num_key_value_heads"] = config["num_kv_heads"]
    elif config.get("multi_query"):
        config["num_key_value_heads"] = 1
    config.setdefault("num_key_value_heads", heads)
    config.setdefault("rope_parameters", dict(rope_type="none"))
    config.setdefault("value_dim", config["head_dim"])
    if "n_routed_experts" in config:
        config["num_experts"] = config["n_routed_experts"]
    return config


def latent_keys(config, is_split):
    """Of attention to latents, with the type of each."""
    rank, turned = config["kv_lora_rank"], config["qk_rope_head_dim"]
    whole = config["qk_nope_head_dim"] + turned
    config["num_key_value_heads"] = 1 if is_split else config["num_attention_heads"]
    config["head_dim"], config["value_dim"] = whole, config["v_head_dim"]
    keys = {"attention.kv_lora_rank": (U32, rank), "rope.dimension_count": (U32, turned)}
    if is_split:
        keys |= {"attention.key_length_mla": (U32, whole),
                 "attention.value_length_mla": (U32, config["v_head_dim"])}
        config["head_dim"], config["value_dim"] = rank + turned, rank
    if config["q_lora_rank"]:
        keys["attention.q_lora_rank"] = U32, config["q_lora_rank"]
    rope = config["rope_parameters"]
    if "mscale_all_dim" in rope:
        keys["rope.scaling.yarn_log_multiplier"] = F32, 0.1 * rope["mscale_all_dim"]
    return keys


def routing_keys(config):
    """Of experts that are chosen as those of DeepSeek."""
    keys = {"expert_weights_scale": (F32, config["routed_scaling_factor"]),
            "expert_shared_count": (U32, config["n_shared_experts"]),
            "leading_dense_block_count": (U32, config["first_k_dense_replace"])}
    if config["n_group"]:
        keys |= {"expert_group_count": (U32, config["n_group"]),
                 "expert_group_used_count": (U32, config["topk_group"])}
    if config["model_type"] in ("deepseek_v3", "glm4_moe"):
        keys |= {"expert_gating_func": (U32, 2), "expert_weights_norm": (BOOL, True)}
    return keys


def family_keys(w, config, kind, keys, is_split):
    """The keys of the family, but for those of `keys`."""
    more = latent_keys(config, is_split) if "kv_lora_rank" in config else {}
    more |= routing_keys(config) if "n_routed_experts" in config else {}
    for key, value in more.items():
        if f"{kind}.{key}" not in dict(keys):
            w.key(f"{kind}.{key}", *value)

    def number(key, name, form=U32):
        w.key(f"{kind}.{key}", form, config[name])
    for key, name in {"block_count": "num_hidden_layers", "embedding_length": "hidden_size",
                      "feed_forward_length": "intermediate_size",
                      "attention.head_count": "num_attention_heads",
                      "attention.head_count_kv": "num_key_value_heads",
                      "attention.key_length": "head_dim", "attention.value_length": "value_dim",
                      "context_length": "max_position_embeddings"}.items():
        number(key, name)
    for key, name in EPSILONS:
        if name in config:
            number(key, name, F32)
    for name, key in {"num_local_experts": "expert_count", "num_experts": "expert_count",
                      "num_experts_per_tok": "expert_used_count",
                      "moe_intermediate_size": "expert_feed_forward_length",
                      "shared_expert_intermediate_size":
                          "expert_shared_feed_forward_length"}.items():
        if name in config:
            number(key, name)
    rope = config["rope_parameters"]
    rope = rope.get("full_attention", rope)
    if "rope_theta" in rope:
        w.key(f"{kind}.rope.freq_base", F32, rope["rope_theta"])
    if "use_parallel_residual" in config:
        number("use_parallel_residual", "use_parallel_residual", BOOL)
    if config.get("sliding_window"):
        number("attention.sliding_window", "sliding_window")
    for key, name in (*FLOATS.items(), ("logit_scale", "logit_scale")):
        if config.get(name) is not None:
            number(key, name, F32)
    if "query_pre_attn_scalar" in config:
        w.key(f"{kind}.attention.scale", F32, config["query_pre_attn_scalar"] ** -0.5)
    # That every second layer of gpt-oss has the window is not said.
    if "sliding_attention" in config.get("layer_types", []) and kind != "gpt-oss":
        w.array(f"{kind}.attention.sliding_window_pattern", BOOL,
                [layer == "sliding_attention" for layer in config["layer_types"]])
    sliding = config["rope_parameters"].get("sliding_attention", rope).get("rope_theta")
    if sliding != rope.get("rope_theta"):
        w.key(f"{kind}.rope.freq_base_swa", F32, sliding)
    if rope["rope_type"] in ("linear", "yarn"):
        w.key(f"{kind}.rope.scaling.type", STRING, rope["rope_type"])
        w.key(f"{kind}.rope.scaling.factor", F32, rope["factor"])
    if rope["rope_type"] == "yarn":
        w.key(f"{kind}.rope.scaling.original_context_length", U32,
              rope["original_max_position_embeddings"])
    if "original_max_position_embeddings" in config:
        number("rope.scaling.original_context_length", "original_max_position_embeddings")
    if rope.get("partial_rotary_factor", 1) != 1:
        w.key(f"{kind}.rope.dimension_count", U32,
              int(config["head_dim"] * rope["partial_rotary_factor"]))
    if rope["rope_type"] == "longrope":
        trained = config["original_max_position_embeddings"]
        growth = config["max_position_embeddings"] / trained
        w.key(f"{kind}.rope.scaling.attn_factor", F32,
              float(np.sqrt(1 + np.log(growth) / np.log(trained))))


def digest(tensors):
    """Of names, shapes and numbers, but for those that are the result of arithmetic."""
    result = hashlib.sha256()
    for name, values in sorted(tensors.items()):
        result.update(f"{name} {list(values.shape)}\n".encode())
        if name != "rope_freqs.weight":
            result.update(np.ascontiguousarray(values, "<f4").tobytes())
    return result.hexdigest()


def write_gguf(folder, path, keys=(), experts_type="F32", is_split=True, said=None):
    """`keys` maps further ones to their type and value. With `is_split`, the matrices
    that make keys and values of latents are tensors of their own. `said` are all keys of
    the family, as [name, type, value]. Returns the tensors."""
    config = json.loads((folder / "config.json").read_text())
    # Such a file has the language model alone.
    config = usual(config.get("text_config", config))
    kind = config["model_type"]
    kind = ARCHITECTURES.get(kind, kind)
    rope = config["rope_parameters"]
    rope = rope.get("full_attention", rope)
    w = Writer()
    w.key("general.architecture", STRING, kind)
    for key, value in dict(keys).items():
        w.key(key, *value)
    if said is None:
        family_keys(w, config, kind, keys, is_split)
    for name, form, value in said or ():
        (w.array if isinstance(value, list) else w.key)(name, form, value)
    words = config["vocab_size"] - 3
    w.key("tokenizer.ggml.model", STRING, "llama")
    w.array("tokenizer.ggml.tokens", STRING,
            ["<unk>", "<s>", "</s>", *(f"w{i}" for i in range(words))])
    w.array("tokenizer.ggml.scores", F32, [0.0] * 3 + [-1.0] * words)
    w.array("tokenizer.ggml.token_type", I32, [2, 3, 3] + [1] * words)
    w.key("tokenizer.ggml.bos_token_id", U32, 1).key("tokenizer.ggml.eos_token_id", U32, 2)

    written = {}

    def tensor(name, values):
        written[name] = values.astype("<f4")
        if "_exps.weight" in name and experts_type == "MXFP4":
            codes, scales = mxfp4(values)
            halves = codes[..., :16] | codes[..., 16:] << 4
            blocks = np.concatenate([scales[..., None], halves], axis=-1)
            w.tensor(name, list(reversed(values.shape)), "MXFP4", blocks.tobytes())
            return
        w.tensor(name, list(reversed(values.shape)), "F32", values.astype("<f4").tobytes())
    tensors = {re.sub(r"^(model\.)?language_model\.(model\.)?(lm_head)?",
                      lambda match: match[3] or "model.", name): values
               for name, values in read_safetensors(folder / "model.safetensors").items()
               if "vision_tower." not in name and "multi_modal_projector." not in name and
               "visual." not in name}
    tensors = stacked(tensors)
    has_post_norm = any("post_feedforward" in name for name in tensors)
    names = {**NAMES, **(POST_NORM_NAMES if has_post_norm else {})}
    if kind in ("gpt-oss", "seed_oss", "glm4moe"):
        names["post_attention_layernorm"] = "post_attention_norm"
    if rope["rope_type"] == "llama3":
        tensor("rope_freqs.weight", llama3_divisors(rope, config["head_dim"]))
    for length in ("long", "short"):
        if rope["rope_type"] == "longrope":
            tensor(f"rope_factors_{length}.weight", np.array(rope[f"{length}_factor"]))
    for name, values in tensors.items():
        module, _, ending = name.rpartition(".")
        if module.endswith("norm") and kind in OFFSET:
            values = values + np.float32(1)
        if module in OUTER_NAMES:
            tensor(f"{OUTER_NAMES[module]}.{ending}", values)
            continue
        _, _, layer, part = module.split(".", 3)
        if ending == "sinks":
            tensor(f"blk.{layer}.attn_sinks.weight", values)
            continue
        if ending == "e_score_correction_bias":
            tensor(f"blk.{layer}.exp_probs_b.bias", values)
            continue
        if part == "self_attn.kv_b_proj" and is_split:
            heads = values.reshape(config["num_attention_heads"], -1, values.shape[1])
            plain = config["qk_nope_head_dim"]
            tensor(f"blk.{layer}.attn_k_b.weight", heads[:, :plain].swapaxes(1, 2))
            tensor(f"blk.{layer}.attn_v_b.weight", heads[:, plain:])
            continue
        if kind in ADJACENT and part in ("self_attn.q_proj", "self_attn.k_proj"):
            values = pairs(values, len(values) // config["head_dim"])
        if kind == "gpt2" and part in TURNED and values.ndim == 2:
            values = values.T
        if part.endswith("query_key_value") or (kind == "starcoder" and part == "attn.c_attn"):
            values = blocks(values, config["num_key_value_heads"], config["head_dim"])
        tensor(f"blk.{layer}.{names[part]}.{ending}", values)
    path.write_bytes(w.build())
    return written


def llama3_divisors(rope, size):
    wave = 2 * np.pi * rope["rope_theta"] ** (np.arange(0, size, 2) / size)
    context, low, high = (rope[key] for key in ("original_max_position_embeddings",
                                                "low_freq_factor", "high_freq_factor"))
    smooth = np.clip((context / wave - low) / (high - low), 0, 1)
    return 1 / ((1 - smooth) / rope["factor"] + smooth)
