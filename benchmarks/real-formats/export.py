# export.py - A GGUF model as the float models that tools start from.
# SPDX-License-Identifier: Apache-2.0

import json

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

# Of newer releases of transformers: (name, its old spelling).
OLD_NAMES = (("dtype", "torch_dtype"),)


def export_folder(model, folder):
    """Writes a GGUF file's weights in BF16, as models are published. transformers
    reads the file: it knows the order of rows in both."""
    place = {"pretrained_model_name_or_path": str(model.parent), "gguf_file": model.name}
    AutoModelForCausalLM.from_pretrained(
        **place, dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(**place).save_pretrained(folder)
    # Older tools (AutoAWQ) look for the keys that newer releases have renamed.
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for new, old in OLD_NAMES:
        if new in config:
            config.setdefault(old, config[new])
    config.setdefault("rope_theta", config.get("rope_parameters", {}).get("rope_theta"))
    config.pop("rope_parameters", None)
    path.write_text(json.dumps(config, indent=2) + "\n")
