#!/usr/bin/env python3
# make_references.py - Tiny models of each family, and what transformers says.
# SPDX-License-Identifier: Apache-2.0
#
#   make_references.py [NAME...]
#
# Needs torch and transformers, so it is run by hand and its results are checked
# in. For each name (default: all of MODELS) it writes a folder beside this file:
# what save_pretrained() writes of a random model, and reference.npz with
#
#   prompt.N, logits.N   token ids, and the f32 logits [ids, vocabulary]
#   greedy               what greedy decoding appends to prompt.0
#
# Without names also ropes.json: for each of ROPES (with the rest of the config of
# "yarn") the frequencies and the factor of cosines and sines, in sequences of `length`.
import json
import pathlib
import shutil
import sys
import zlib

import numpy as np
import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent
# Sizes that could be mistaken for one another differ.
SMALL = dict(num_hidden_layers=2, hidden_size=32, intermediate_size=40, num_attention_heads=4,
             num_key_value_heads=2, head_dim=12, vocab_size=53, max_position_embeddings=64,
             rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, pad_token_id=0)
LLAMA3 = dict(rope_type="llama3", rope_theta=5000.0, factor=8.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=32)

YARN = dict(rope_type="yarn", rope_theta=1000.0, factor=4.0,
            original_max_position_embeddings=64)

LONGROPE = dict(rope_type="longrope", rope_theta=1000.0, short_factor=[1, 1.1, 1.2, 1.5, 2, 3],
                long_factor=[1, 1.5, 2.5, 5, 8.5, 16])

# Class, and what differs from those members of SMALL that its config has.
MODELS = {
    "llama": ("Llama", dict(tie_word_embeddings=False, rope_parameters=LLAMA3)),
    "llama-linear": ("Llama", dict(
        hidden_size=48, num_attention_heads=3, num_key_value_heads=1, head_dim=14,
        intermediate_size=32, tie_word_embeddings=True,
        rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0))),
    "llama-biases": ("Llama", dict(
        intermediate_size=37, attention_bias=True, mlp_bias=True, tie_word_embeddings=True)),
    # The second layer has a window.
    "qwen2": ("Qwen2", dict(
        num_attention_heads=3, num_key_value_heads=1, head_dim=14, intermediate_size=33,
        tie_word_embeddings=True, use_sliding_window=True, sliding_window=5,
        max_window_layers=1)),
    "mistral": ("Mistral", dict(sliding_window=9, tie_word_embeddings=False)),
    "qwen3": ("Qwen3", dict(num_attention_heads=5, num_key_value_heads=1,
                            tie_word_embeddings=True)),
    "gemma": ("Gemma", dict(num_key_value_heads=1)),
    "gemma2": ("Gemma2", dict(
        num_key_value_heads=1, head_dim=10, sliding_window=5, query_pre_attn_scalar=20,
        attn_logit_softcapping=2.0, final_logit_softcapping=0.5)),
    # Query scalar and pattern are not what head_dim and the class say.
    "gemma3": ("Gemma3Text", dict(
        num_hidden_layers=3, head_dim=10, sliding_window=5, query_pre_attn_scalar=20,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_parameters=dict(
            sliding_attention=dict(rope_type="default", rope_theta=100.0),
            full_attention=dict(rope_type="linear", rope_theta=10000.0, factor=2.0)))),
    # A language model beside a vision tower.
    "gemma3-vision": ("Gemma3", dict(
        sliding_window=5, vocab_size=61, head_dim=10,
        layer_types=["sliding_attention", "full_attention"])),
    # Others of several parts: a flat config in older files, and rope of three positions.
    "mistral3-vision": ("Mistral3", dict(
        model_type="mistral", sliding_window=None, vocab_size=61, head_dim=10,
        num_attention_heads=3, num_key_value_heads=1)),
    "qwen2_vl-vision": ("Qwen2VL", dict(
        hidden_size=42, num_attention_heads=3, num_key_value_heads=1, head_dim=14,
        intermediate_size=64, vocab_size=61, tie_word_embeddings=True,
        rope_parameters=dict(rope_type="default", rope_theta=2000.0, mrope_section=[3, 2, 2]))),
    "qwen2_5_vl-vision": ("Qwen2_5_VL", dict(
        num_key_value_heads=1, head_dim=8, intermediate_size=37, vocab_size=61,
        rope_parameters=dict(rope_type="default", rope_theta=1000.0, mrope_section=[1, 1, 2]))),
    "qwen3_vl-vision": ("Qwen3VL", dict(
        num_key_value_heads=1, vocab_size=61, intermediate_size=37,
        rope_parameters=dict(rope_type="default", rope_theta=1000.0, mrope_section=[2, 2, 2]))),
    "qwen3_vl_moe-vision": ("Qwen3VLMoe", dict(
        num_experts=7, num_experts_per_tok=3, moe_intermediate_size=12, num_key_value_heads=1,
        vocab_size=61,
        rope_parameters=dict(rope_type="default", rope_theta=1000.0, mrope_section=[2, 2, 2]))),
    # Rope of pairs in folders, too.
    "ernie4_5": ("Ernie4_5", dict(num_attention_heads=3, num_key_value_heads=1, head_dim=14)),
    "seed_oss": ("SeedOss", dict(num_attention_heads=3, num_key_value_heads=1, head_dim=14)),
    # Layers without a window have no rope, unless all are so.
    "exaone4": ("Exaone4", dict(
        num_hidden_layers=4, num_key_value_heads=1, sliding_window=5, intermediate_size=24)),
    "exaone4-full": ("Exaone4", dict(
        sliding_window=None, layer_types=["full_attention"] * 2, tie_word_embeddings=True)),
    # Half of each head turns, in pairs; norms of what is added, too, and none.
    "glm4": ("Glm4", dict(num_attention_heads=3, num_key_value_heads=1)),
    "glm": ("Glm", dict(num_key_value_heads=1, head_dim=8)),
    "olmoe": ("Olmoe", dict(num_experts=6, num_experts_per_tok=3, intermediate_size=20)),
    # Norms by mean and variance without a bias, one for both parts of a layer.
    "cohere": ("Cohere", dict(logit_scale=0.25, tie_word_embeddings=True)),
    "cohere-norms": ("Cohere", dict(use_qk_norm=True, num_key_value_heads=1)),
    "cohere2": ("Cohere2", dict(
        num_hidden_layers=4, sliding_window=5, logit_scale=0.5, intermediate_size=24,
        head_dim=8)),
    "granite": ("Granite", dict(
        num_attention_heads=3, num_key_value_heads=1, head_dim=14,
        embedding_multiplier=2.0, attention_multiplier=0.5, residual_multiplier=0.6,
        logits_scaling=3.0, tie_word_embeddings=True)),
    "granitemoe": ("GraniteMoe", dict(
        num_local_experts=5, num_experts_per_tok=2, intermediate_size=20, head_dim=8,
        num_key_value_heads=1, embedding_multiplier=2.0, attention_multiplier=0.5,
        residual_multiplier=0.6, logits_scaling=3.0, tie_word_embeddings=True)),
    # Rows of experts that are no whole panels; in one, experts more than a panel has
    # rows, and layers without.
    "mixtral": ("Mixtral", dict(num_local_experts=5, num_experts_per_tok=2,
                                num_attention_heads=3, num_key_value_heads=1, head_dim=14,
                                tie_word_embeddings=False)),
    "qwen2-moe": ("Qwen2Moe", dict(
        num_experts=6, num_experts_per_tok=3, moe_intermediate_size=32,
        shared_expert_intermediate_size=28, num_attention_heads=3, num_key_value_heads=1,
        head_dim=14, tie_word_embeddings=False)),
    "qwen3-moe": ("Qwen3Moe", dict(
        num_hidden_layers=3, mlp_only_layers=[1], num_experts=17, num_experts_per_tok=4,
        moe_intermediate_size=12, norm_topk_prob=True,
        num_attention_heads=3, num_key_value_heads=1, tie_word_embeddings=True)),
    "gpt-oss": ("GptOss", dict(
        num_local_experts=4, num_experts_per_tok=3, intermediate_size=32, head_dim=10,
        num_attention_heads=6, num_key_value_heads=2, sliding_window=5,
        tie_word_embeddings=False, max_position_embeddings=256, rope_parameters=dict(
            rope_type="yarn", rope_theta=1000.0, factor=4.0, truncate=False, beta_fast=32.0,
            beta_slow=1.0, original_max_position_embeddings=64))),
    # Keys, values and latents of other sizes each; two kinds of rope.
    "deepseek-v2-lite": ("DeepseekV2", dict(
        num_hidden_layers=3, hidden_size=48, num_attention_heads=3, num_key_value_heads=3,
        q_lora_rank=None, kv_lora_rank=32, qk_nope_head_dim=10, qk_rope_head_dim=6, v_head_dim=14,
        first_k_dense_replace=1, n_routed_experts=5, num_experts_per_tok=2, n_shared_experts=2,
        moe_intermediate_size=12, rms_norm_eps=1e-6, max_position_embeddings=256,
        rope_parameters=dict(
            rope_type="yarn", rope_theta=1000.0, factor=4.0, mscale=0.707, mscale_all_dim=0.707,
            original_max_position_embeddings=64))),
    # Norms of latents do not have the eps of the others. More heads than go together.
    "deepseek-v2": ("DeepseekV2", dict(
        hidden_size=36, num_attention_heads=9, num_key_value_heads=9, q_lora_rank=22,
        kv_lora_rank=32, qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=6,
        n_routed_experts=12, num_experts_per_tok=3, topk_method="group_limited_greedy", n_group=4,
        topk_group=2, routed_scaling_factor=2.5, n_shared_experts=1, moe_intermediate_size=16,
        rms_norm_eps=1e-2)),
    "deepseek-v3": ("DeepseekV3", dict(
        num_attention_heads=2, num_key_value_heads=2, q_lora_rank=24,
        kv_lora_rank=16, qk_nope_head_dim=12, qk_rope_head_dim=8, head_dim=8, v_head_dim=10,
        first_k_dense_replace=0, n_routed_experts=12, num_experts_per_tok=3, n_group=3,
        topk_group=2, routed_scaling_factor=1.5, moe_intermediate_size=20, rms_norm_eps=1e-6,
        tie_word_embeddings=False, max_position_embeddings=256, rope_parameters=dict(
            rope_type="yarn", rope_theta=1000.0, factor=4.0, mscale=1.0, mscale_all_dim=1.0,
            original_max_position_embeddings=64))),
    # Half of each head turns; norms of heads and biases of projections are the config's.
    "glm4-moe": ("Glm4Moe", dict(
        num_hidden_layers=3, num_attention_heads=3, num_key_value_heads=1, head_dim=12,
        use_qk_norm=True, n_routed_experts=6, num_experts_per_tok=2, moe_intermediate_size=12,
        routed_scaling_factor=1.5, n_group=3, topk_group=2, tie_word_embeddings=False)),
    "glm4-moe-air": ("Glm4Moe", dict(
        num_attention_heads=5, num_key_value_heads=1, head_dim=8, attention_bias=True,
        n_routed_experts=9, num_experts_per_tok=3, n_shared_experts=2, moe_intermediate_size=16,
        tie_word_embeddings=False)),
    # The fourth layer has no rope.
    "smollm3": ("SmolLM3", dict(num_hidden_layers=4, num_attention_heads=3,
                                num_key_value_heads=1, head_dim=10, intermediate_size=24)),
    "olmo2": ("Olmo2", dict(num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                            tie_word_embeddings=False)),
    # The rope of layers with a window is not scaled.
    "olmo3": ("Olmo3", dict(
        num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=1, head_dim=8,
        sliding_window=5, tie_word_embeddings=False, max_position_embeddings=256,
        rope_parameters=dict(sliding_attention=dict(rope_type="default", rope_theta=1000.0),
                             full_attention=YARN))),
    # 12 of 16 elements turn, by other amounts in prompts of more than 32.
    "phi3": ("Phi3", dict(
        num_attention_heads=2, num_key_value_heads=1, head_dim=16, sliding_window=9,
        tie_word_embeddings=False, original_max_position_embeddings=32,
        rope_parameters=dict(LONGROPE, partial_rotary_factor=0.75))),
    # Norms by mean and variance, no gate, and heads of another size than hidden / heads.
    "starcoder2": ("Starcoder2", dict(
        num_attention_heads=3, num_key_value_heads=1, head_dim=10, sliding_window=9,
        tie_word_embeddings=False)),
    # Learned positions, and linear layers that are stored as [in, out].
    "gpt2": ("GPT2", {}),
    # One key head, or one for each query head, all of them in one tensor.
    "gpt_bigcode": ("GPTBigCode", dict(num_key_value_heads=1)),
    "gpt_bigcode-heads": ("GPTBigCode", dict(
        hidden_size=24, num_attention_heads=3, num_key_value_heads=3, multi_query=False)),
    # A quarter of each head turns.
    "gpt_neox": ("GPTNeoX", dict(hidden_size=64)),
    "gpt_neox-sequential": ("GPTNeoX", dict(
        use_parallel_residual=False, attention_bias=False)),
    "stablelm": ("StableLm", dict(hidden_size=64, use_qkv_bias=True)),
    # Both parts of a layer share a norm.
    "stablelm-parallel": ("StableLm", dict(use_parallel_residual=True)),
    # Each head has a norm of its own by mean and variance.
    "stablelm-norms": ("StableLm", dict(
        qk_layernorm=True, use_parallel_residual=True, rope_parameters=dict(
            rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5))),
    "falcon-7b": ("Falcon", dict(num_attention_heads=2)),
    "falcon-40b": ("Falcon", dict(
        num_kv_heads=2, new_decoder_architecture=True, tie_word_embeddings=False)),
    "falcon-11b": ("Falcon", dict(
        num_kv_heads=2, new_decoder_architecture=True, num_ln_in_parallel_attn=1,
        ffn_hidden_size=40, bias=True)),
    # The head has a bias.
    "phi": ("Phi", dict(hidden_size=64, num_key_value_heads=1)),
    "yarn": ("Qwen3", dict(
        num_attention_heads=3, num_key_value_heads=1, head_dim=20, tie_word_embeddings=False,
        max_position_embeddings=256, rope_parameters=YARN)),
}
LONG = dict(rope_type="longrope", rope_theta=1000.0, original_max_position_embeddings=64,
            short_factor=[1.0 + i / 8 for i in range(10)],
            long_factor=[1.0 + i * i / 4 for i in range(10)])
ROPES = [
    YARN,
    {**YARN, "truncate": False},
    {**YARN, "attention_factor": 0.75},
    {**YARN, "mscale": 1.0, "mscale_all_dim": 0.5},
    {**YARN, "mscale": 0.5},
    {**YARN, "factor": None},
    {**YARN, "factor": 0.5, "beta_fast": 8.0, "beta_slow": 2.0},
    # Bounds that meet.
    {**YARN, "rope_theta": 1e12, "beta_fast": 10.2, "beta_slow": 10.1, "truncate": False},
    {**YARN, "original_max_position_embeddings": 2},
    {**LLAMA3, "rope_theta": 10000.0},
    dict(rope_type="linear", rope_theta=10000.0, factor=3.0),
    dict(rope_type="default", rope_theta=2.5),
    LONG,
    {**LONG, "attention_factor": 1.25},
    {**LONG, "factor": 9.0},
]
# Lengths of sequences, where they matter.
ROPE_LENGTHS = {"longrope": (64, 65)}
PROMPT_LENGTHS = (7, 1, 37)
GREEDY = 16


# The rest of models that see images, which is not read.
TOWER = dict(hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2,
             image_size=14, patch_size=7)
QWEN_TOKENS = dict(vision_start_token_id=54, vision_end_token_id=55, image_token_id=56,
                   video_token_id=57)
QWEN3_TOWER = dict(depth=1, hidden_size=8, intermediate_size=12, num_heads=2, patch_size=4,
                   out_hidden_size=32, num_position_embeddings=16, deepstack_visual_indexes=[0])
VISION = {
    "gemma3": dict(mm_tokens_per_image=4, boi_token_index=54, eoi_token_index=55,
                   image_token_index=56, vision_config=TOWER),
    "mistral3": dict(image_token_index=56, spatial_merge_size=1,
                     vision_config=dict(TOWER, model_type="pixtral", head_dim=4)),
    "qwen2_vl": dict(QWEN_TOKENS, vision_config=dict(
        depth=1, embed_dim=8, mlp_ratio=2, num_heads=2, patch_size=4, hidden_size=42)),
    "qwen2_5_vl": dict(QWEN_TOKENS, vision_config=dict(
        depth=1, hidden_size=8, intermediate_size=12, num_heads=2, patch_size=4,
        out_hidden_size=32)),
    "qwen3_vl": dict(QWEN_TOKENS, vision_config=QWEN3_TOWER),
    "qwen3_vl_moe": dict(QWEN_TOKENS, vision_config=QWEN3_TOWER)}


def wrapped(name, text):
    """The config of a model with this language model."""
    return {"text_config": text} if name.endswith("-vision") else text


def randomize(model, seed):
    """Weights that keep rows near unit length, and norms that are told from 1."""
    random = torch.Generator().manual_seed(seed)
    scale = getattr(model.get_input_embeddings(), "scalar_embed_scale", 1)
    tables = {id(module.weight) for module in model.modules()
              if isinstance(module, torch.nn.Embedding)}
    turned = {id(module.weight) for module in model.modules()
              if isinstance(module, transformers.pytorch_utils.Conv1D)}
    for name, weight in model.named_parameters():
        values = torch.randn(weight.shape, generator=random)
        if id(weight) in tables:
            # Small, so that a tied head does not only repeat the last token.
            values *= 0.2 / scale
        elif name.endswith(("sinks", "proj_bias")):
            pass
        elif weight.dim() == 3 and hasattr(model.config, "swiglu_limit"):
            values = round_mxfp4(values * weight.shape[1] ** -0.5)
        elif weight.dim() > 1:
            values *= weight.shape[0 if id(weight) in turned else -1] ** -0.5
        elif weight.dim() == 1:
            # A norm that starts at 0 multiplies by 1 + w.
            values = 0.3 * values + weight.mean().round().item()
        weight.data.copy_(values)
    for name, buffer in model.named_buffers():
        if name.endswith("e_score_correction_bias"):
            buffer.copy_(0.2 * torch.randn(buffer.shape, generator=random))


def round_mxfp4(weight):
    """To what MXFP4 can hold, in groups of 32 of the second dimension of three."""
    values = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    groups = weight.reshape(weight.shape[0], -1, 32, weight.shape[2])
    scale = torch.exp2(torch.ceil(torch.log2(groups.abs().amax(2, keepdim=True) / 6)))
    near = (groups.abs() / scale)[..., None].sub(values).abs().argmin(-1)
    return (groups.sign() * values[near] * scale).reshape(weight.shape)


def make(name, seed, folder, further=()):
    """Writes `folder`, which is no more than that, with `further` changes of the config."""
    family, changes = MODELS[name]
    changes = {**changes, **dict(further)}
    kind = getattr(transformers, family + "Config")
    is_vision = name.endswith("-vision")
    known = {*kind().to_dict(), *kind.attribute_map}
    small = {key: value for key, value in SMALL.items() if is_vision or key in known}
    config = kind(**VISION.get(name.removesuffix("-vision") if is_vision else "", {}),
                  **wrapped(name, {**small, **changes}))
    config._attn_implementation = "eager"
    kind = family.removesuffix("Text")
    tasks = ("ForConditionalGeneration",) if is_vision else ("ForCausalLM", "LMHeadModel")
    whole = next(kind + task for task in tasks if hasattr(transformers, kind + task))
    model = getattr(transformers, whole)(config).eval()
    randomize(model, seed)
    model.tie_weights()
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "model.safetensors").chmod(0o644)

    random = np.random.default_rng(seed)
    vocabulary = config.get_text_config().vocab_size
    reference = {}
    with torch.no_grad():
        for i, length in enumerate(PROMPT_LENGTHS):
            ids = random.integers(3, vocabulary, length)
            reference[f"prompt.{i}"] = ids.astype(np.int32)
            reference[f"logits.{i}"] = model(torch.tensor(ids)[None]).logits[0].numpy()
        ids = reference["prompt.0"].tolist()
        for _ in range(GREEDY):
            ids.append(int(model(torch.tensor(ids)[None]).logits[0, -1].argmax()))
    reference["greedy"] = np.array(ids[PROMPT_LENGTHS[0]:], np.int32)
    np.savez(folder / "reference.npz", **reference)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{name}: {size} bytes, greedy {reference['greedy'].tolist()}")


def make_ropes():
    family, changes = MODELS["yarn"]
    made = []
    for parameters in ROPES:
        config = getattr(transformers, family + "Config")(
            **{**SMALL, **changes, "rope_parameters": dict(parameters)})
        rope = transformers.models.qwen3.modeling_qwen3.Qwen3RotaryEmbedding(config)
        for length in ROPE_LENGTHS.get(parameters["rope_type"], (1,)):
            rope(torch.zeros(1), torch.arange(length)[None])
            made.append({"rope_parameters": parameters, "length": length,
                         "frequencies": rope.inv_freq.tolist(),
                         "factor": float(rope.attention_scaling)})
    (HERE / "ropes.json").write_text(json.dumps(made, indent=1) + "\n")


def seed_of(name):
    return zlib.crc32(name.encode())


if __name__ == "__main__":
    for chosen in sys.argv[1:] or MODELS:
        make(chosen, seed_of(chosen), HERE / chosen)
    if not sys.argv[1:]:
        make_ropes()
