# quantize.py - One function for each tool, which writes a checkpoint.
# SPDX-License-Identifier: Apache-2.0
"""Each takes the folder of the float model, the folder to write, calibration (lists
of token ids) and the tool's options, and calls the tool as its users do. Tools are
imported when they are called, for they do not all fit in one environment."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def copy_tokenizer(base, folder):
    for name in TOKENIZER:
        if (base / name).exists():
            shutil.copyfile(base / name, folder / name)


def plain(base, folder, _calibration):
    shutil.copytree(base, folder, dirs_exist_ok=True)


def gptqmodel(base, folder, calibration, **options):
    from gptqmodel import BACKEND, GPTQModel, QuantizeConfig
    config = QuantizeConfig(offload_to_disk=False, **options)
    model = GPTQModel.load(str(base), config, device="cpu")
    model.quantize([{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in calibration],
                   batch_size=1, backend=BACKEND.TORCH)
    model.save(str(folder))


def bitsandbytes(base, folder, _calibration, **options):
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    if options.get("load_in_4bit"):
        options["bnb_4bit_compute_dtype"] = torch.bfloat16
    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.bfloat16, device_map="cpu",
        quantization_config=BitsAndBytesConfig(**options))
    model.save_pretrained(folder)


def autoawq(base, folder, calibration, **options):
    import torch
    from awq import AutoAWQForCausalLM
    # Its search changes weights and puts them back from what .cpu() returned, which
    # on a CPU is no copy.
    torch.Tensor.cpu = torch.Tensor.clone
    # Its search evaluates each layer a hundred times: few samples must do here, and
    # without the search for clipped weights, which takes as long again.
    calibration = calibration[::len(calibration) // 2]
    model = AutoAWQForCausalLM.from_pretrained(str(base), device_map="cpu", safetensors=True)
    model.quantize(None, quant_config={"w_bit": 4, "version": "GEMM", "zero_point": True,
                                       **options},
                   calib_data=calibration, max_calib_samples=len(calibration),
                   max_calib_seq_len=len(calibration[0]), apply_clip=False)
    model.save_quantized(str(folder))


def llmcompressor(base, folder, _calibration, **options):
    import torch
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16, device_map="cpu")
    oneshot(model=model, recipe=QuantizationModifier(ignore=["lm_head"], **options))
    model.save_pretrained(folder, save_compressed=True)


def transformers_fp8(base, folder, _calibration, **options):
    import torch
    from transformers import AutoModelForCausalLM, FineGrainedFP8Config
    from transformers.quantizers.quantizer_finegrained_fp8 import FineGrainedFP8HfQuantizer
    # It insists on a GPU, which rounding does not need.
    FineGrainedFP8HfQuantizer.validate_environment = lambda self, *args, **kwargs: None
    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.bfloat16, device_map="cpu",
        quantization_config=FineGrainedFP8Config(**options))
    model.save_pretrained(folder)


def exllamav2(base, folder, calibration, bits, head_bits, measured):
    """`measured` of the samples are used to choose the bits of each matrix."""
    import pandas
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    length = len(calibration[0])
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        # Decoded texts may have fewer tokens than before, so there is one more.
        texts = [tokenizer.decode(ids) for ids in [*calibration, calibration[0]]]
        pandas.DataFrame({"text": texts}).to_parquet(work / "texts", engine="fastparquet")
        # In a process of its own, for it changes what torch does.
        converter = pathlib.Path(__file__).with_name("exllamav2_cpu.py")
        subprocess.run([
            sys.executable, str(converter), "--in_dir", str(base), "--out_dir", str(work / "job"),
            "--compile_full", str(folder), "--cal_dataset", str(work / "texts"),
            "--bits", str(bits), "--head_bits", str(head_bits),
            "--dataset_rows", str(len(calibration)), "--length", str(length),
            "--measurement_rows", str(measured), "--measurement_length", str(length)],
            check=True)
