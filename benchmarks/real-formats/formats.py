# formats.py - The formats that make.py makes and measure_formats.py measures.
# SPDX-License-Identifier: Apache-2.0
"""SmolLM2 is 576 wide, of which 64 is the largest power of two that divides it (its
down projections read 1536), so most groups here have 64."""

BASE = "bf16"
# What the others' speed is compared with, and the same with the embedding, and so
# the head, as folders have it.
BASELINE, FLOAT_HEAD = "gguf-q4_1", "gguf-q4_1-bf16-head"

# name: (tool, its options)
CHECKPOINTS = {
    BASE: ("plain", {}),
    "gptq-w4-g128": ("gptqmodel", {"bits": 4, "group_size": 128}),
    "gptq-w4-g64": ("gptqmodel", {"bits": 4, "group_size": 64}),
    "gptq-w4-g32-asym-act": ("gptqmodel", {"bits": 4, "group_size": 32, "sym": False,
                                           "desc_act": True}),
    "gptq-w8-g64": ("gptqmodel", {"bits": 8, "group_size": 64}),
    "awq-w4-g64": ("autoawq", {"q_group_size": 64}),
    "bnb-nf4": ("bitsandbytes", {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}),
    "bnb-nf4-dq": ("bitsandbytes", {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4",
                                    "bnb_4bit_use_double_quant": True}),
    "bnb-int8": ("bitsandbytes", {"load_in_8bit": True}),
    "ct-w4a16-g64": ("llmcompressor", {"config_groups": {"group_0": {
        "targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "symmetric": True,
                                           "strategy": "group", "group_size": 64}}}}),
    "ct-w8a8-int8": ("llmcompressor", {"targets": "Linear", "scheme": "W8A8"}),
    "ct-fp8": ("llmcompressor", {"targets": "Linear", "scheme": "FP8_DYNAMIC"}),
    "hf-fp8-b64": ("transformers_fp8", {"weight_block_size": (64, 64)}),
    "exl2-4.0": ("exllamav2", {"bits": 4.0, "head_bits": 6, "measured": 1}),
}

# Types of --quantize that BASE is also compiled with.
ROUNDED = ("q8_0", "q4_0", "q4_1", "int8", "int4-g128", "nf4")
NAMES = (BASELINE, FLOAT_HEAD, *CHECKPOINTS, *(f"quantize-{kind}" for kind in ROUNDED))


def sources(model, folder):
    """{name: (what qcc compiles, its options)}; not all may be there."""
    of_folder = {name: (folder / name, ()) for name in CHECKPOINTS}
    rounded = {f"quantize-{kind}": (folder / BASE, ("--quantize", kind)) for kind in ROUNDED}
    return {BASELINE: (model, ()), FLOAT_HEAD: (folder / f"{FLOAT_HEAD}.gguf", ()), **of_folder,
            **rounded}
