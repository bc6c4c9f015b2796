#!/usr/bin/env python3
# llama_cpp_files.py - GGUF files that llama.cpp's own converter writes.
# SPDX-License-Identifier: Apache-2.0
#
#   llama_cpp_files.py LLAMA.CPP QCC [NAME...]
#
# Needs torch, transformers and a llama.cpp source tree (with its gguf-py), so it is run by
# hand. For each name (default: all of make_references.py) it converts the folder, compiles
# the file and compares the logits with those of transformers. Where the checked-in folder is
# what was converted, it writes down in llama_cpp.json what references_test.py then needs no
# llama.cpp for:
#
#   keys      [name, type, value] of the family's, as the converter wrote them
#   tensors   a digest of the names, shapes and numbers of the tensors
#
# The vocabulary is made up: tokenizers are the business of test/text.
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np

sys.dont_write_bytecode = True
LLAMA_CPP, QCC = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
sys.path[:0] = [str(LLAMA_CPP), str(LLAMA_CPP / "gguf-py")]
import gguf  # noqa: E402
import torch  # noqa: E402
from conversion import get_model_class  # noqa: E402
from conversion.base import ModelBase, ModelType, get_model_architecture  # noqa: E402

from make_references import HERE, MODELS, make, seed_of  # noqa: E402
from to_gguf import digest, write_gguf  # noqa: E402

# What its files do not say, so that the model has to be another one.
CHANGES = {
    "mistral": dict(sliding_window=None),
    "starcoder2": dict(sliding_window=None),
    "qwen2": dict(use_sliding_window=False),
    # Scores are divided by the root of head_dim; a head is hidden / heads wide.
    "gemma2": dict(query_pre_attn_scalar=10),
    "gemma3": dict(query_pre_attn_scalar=10, layer_types=None, num_hidden_layers=7),
    "gemma3-vision": dict(query_pre_attn_scalar=10, layer_types=None, num_hidden_layers=7),
    "granite": dict(hidden_size=42),
    # As many key heads as query heads in one family, and 4 * hidden; one in the other.
    "phi": dict(num_key_value_heads=4, intermediate_size=256),
    "gpt_bigcode-heads": dict(multi_query=True),
    # No layer without experts but the first ones, one eps, no bias.
    "qwen3-moe": dict(mlp_only_layers=[]),
    "deepseek-v2": dict(rms_norm_eps=1e-6),
    "falcon-11b": dict(bias=False, ffn_hidden_size=128),
}
# Keys of published configs that transformers 5 writes no more.
OLD_KEYS = {
    "gpt2": dict(n_ctx=64), "gpt_neox": dict(rotary_pct=0.25),
    "gpt_neox-sequential": dict(rotary_pct=0.25), "falcon-7b": dict(num_kv_heads=1),
    "deepseek-v3": dict(scoring_func="sigmoid", norm_topk_prob=True),
    "cohere2": dict(rotary_pct=1.0), "glm": dict(seq_length=64),
}


def write_vocabulary(model):
    words = model.find_hparam(["vocab_size"]) - 3
    writer = model.gguf_writer
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "<s>", "</s>", *(f"w{i}" for i in range(words))])
    writer.add_token_scores([0.0] * 3 + [-1.0] * words)
    writer.add_token_types([2, 3, 3] + [1] * words)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def convert(folder, path, old_keys):
    with torch.inference_mode():
        config = {**ModelBase.load_hparams(folder, False), **old_keys}
        name = get_model_architecture(config, ModelType.TEXT)
        base = get_model_class(name, mmproj=False)

        def modify_tensors(model, *arguments):
            # That of StableLM returns tensors that it means to yield.
            yield from (yield from base.modify_tensors(model, *arguments)) or ()
        kind = type(base.__name__, (base,), {
            "set_vocab": write_vocabulary, "model_arch": base.model_arch,
            "modify_tensors": modify_tensors})
        kind(folder, gguf.LlamaFileType.ALL_F32, path, model_name="m",
             hparams=config).write()


def content(path):
    """The family's keys and the tensors of a file."""
    reader = gguf.GGUFReader(path)
    prefix = reader.fields["general.architecture"].contents() + "."
    keys = [[name, int(field.types[-1]), field.contents()]
            for name, field in reader.fields.items() if name.startswith(prefix)]
    return keys, {tensor.name: tensor.data for tensor in reader.tensors}


def qcc(*arguments):
    done = subprocess.run([QCC, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(done.stderr.strip())


def distance(folder, path, temporary):
    """The largest difference of logits, in units of the largest one."""
    config = json.loads((folder / "config.json").read_text())
    trained = config.get("original_max_position_embeddings")  # of LongRope
    reference, worst = np.load(folder / "reference.npz"), 0
    for context in (["--context", trained], []) if trained else ([],):
        qcc(path, "-o", temporary / "m.so", "--activations=f32", *context)
        for i in range(3):
            ids, expected = reference[f"prompt.{i}"], reference[f"logits.{i}"]
            if trained and (len(ids) <= trained) != bool(context):
                continue
            qcc("run", temporary / "m.so", "logits", "--ids", ",".join(map(str, ids)),
                "-o", temporary / "l.npy")
            error = np.abs(np.load(temporary / "l.npy") - expected).max()
            worst = max(worst, error / np.abs(expected).max())
    return worst


def check(name, temporary, records):
    """A line about the model."""
    folder, path = temporary / "model", temporary / "m.gguf"
    if name in CHANGES:
        make(name, seed_of(name), folder, CHANGES[name])
    else:
        shutil.copytree(HERE / name, folder)
    config = json.loads((folder / "config.json").read_text())
    vocabulary = {f"w{i}": i for i in range(config.get("text_config", config)["vocab_size"])}
    (folder / "tokenizer.json").write_text(json.dumps(
        {"model": {"vocab": vocabulary}, "added_tokens": []}))
    convert(folder, path, OLD_KEYS.get(name, {}))
    keys, tensors = content(path)
    ours = write_gguf(folder, temporary / "ours.gguf")
    unlike = [key for key in {*tensors, *ours} if key not in tensors or key not in ours or
              tensors[key].shape != ours[key].shape or
              not np.allclose(tensors[key], ours[key], atol=0,
                              rtol=1e-6 if key == "rope_freqs.weight" else 0)]
    error = distance(folder, path, temporary)
    if name not in CHANGES and not unlike and error < 1e-5:
        records[name] = {"keys": keys, "tensors": digest(tensors)}
    return f"{'ok' if error < 1e-5 else 'FAILED'}: {error:.1e}, other tensors: {sorted(unlike)}"


def main():
    path = HERE / "llama_cpp.json"
    records = json.loads(path.read_text()) if path.exists() else {}
    # None stays of what is not converted any more, or not as it is checked in.
    records = {name: records[name] for name in records if name in MODELS and name not in CHANGES}
    for name in sys.argv[3:] or MODELS:
        records.pop(name, None)
        with tempfile.TemporaryDirectory() as temporary:
            try:
                line = check(name, pathlib.Path(temporary), records)
            except Exception as error:
                line = f"FAILED: {type(error).__name__}: {error}"
        print(f"{name}: {line}", flush=True)
        lines = [f"{json.dumps(key)}: {json.dumps(records[key])}" for key in sorted(records)]
        path.write_text("{" + ",\n".join(lines) + "}\n")


if __name__ == "__main__":
    main()
