# reference.py - What the weights of a checkpoint give in f32.
# SPDX-License-Identifier: Apache-2.0
"""Evaluates weights that a tool dequantized with transformers' Llama in f32, and
writes the results as test/golden/compare.py reads them."""

import json
import pathlib

import numpy as np
import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "test" / "golden"
MODEL = "SmolLM2-135M-Instruct.Q4_1"
TOP = 128


def float_tensors(folder):
    """What a checkpoint holds as plain floats, widened: norms and the embedding."""
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():
                tensor = file.get_tensor(name)
                if tensor.dtype in (torch.float32, torch.float16, torch.bfloat16):
                    tensors[name] = tensor.float()
    return tensors


def f32_model(folder, matrices):
    """transformers' model of a checkpoint, with `matrices` for those that were
    quantized: {name of the module: [out, in] in f32}."""
    config = AutoConfig.from_pretrained(folder)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    if "lm_head" in matrices:
        config.tie_word_embeddings = False
    model = AutoModelForCausalLM.from_config(config, torch_dtype=torch.float32,
                                             attn_implementation="eager").eval()
    wanted = model.state_dict()
    state = {name: tensor for name, tensor in float_tensors(folder).items() if name in wanted}
    for module, matrix in matrices.items():
        if matrix.dtype != torch.float32:
            raise TypeError(f"{module}: expected f32, got {matrix.dtype}")
        state[module + ".weight"] = matrix
    if config.tie_word_embeddings:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)  # which fails where one is missing
    return model


def evaluate(model, ids, positions, new_tokens):
    greedy = []
    with torch.no_grad():
        step = model(ids, use_cache=True)
        logits = step.logits[0][positions].double()
        while True:
            greedy.append(int(step.logits[0, -1].argmax()))
            if len(greedy) == new_tokens:
                break
            # Some tools leave use_cache off in the config.
            step = model(torch.tensor([greedy[-1:]]), past_key_values=step.past_key_values,
                         use_cache=True)
    top_logits, top_ids = logits.topk(TOP, -1)
    return {"ids": ids[0].numpy().astype(np.int32),
            "logsumexp": torch.logsumexp(logits, -1).numpy(),
            "top_ids": top_ids.numpy().astype(np.int32),
            "top_logits": top_logits.numpy().astype(np.float32),
            "greedy": np.array(greedy, np.int32)}


def write_reference(folder, matrices):
    """FOLDER/reference.npz, over the prompts and positions of the golden outputs."""
    model = f32_model(folder, matrices)
    golden = np.load(GOLDEN / f"{MODEL}.npz")
    arrays = {}
    for prompt in json.loads((GOLDEN / "prompts.json").read_text()):
        ids = torch.tensor(golden[f"{prompt}/ids"].astype(np.int64))[None]
        positions = list(range(ids.shape[1]))
        if f"{prompt}/positions" in golden:
            arrays[f"{prompt}/positions"] = golden[f"{prompt}/positions"]
            positions = [int(i) for i in arrays[f"{prompt}/positions"]]
        result = evaluate(model, ids, positions, len(golden[f"{prompt}/greedy"]))
        arrays.update({f"{prompt}/{key}": value for key, value in result.items()})
    np.savez_compressed(folder / "reference.npz", **arrays)
