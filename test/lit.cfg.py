# lit.cfg.py - How the text tests run.
# SPDX-License-Identifier: Apache-2.0
#
# Features (REQUIRES:), all reported as unsupported where they are missing:
#   real-models       QCC_MODELS holds the models of scripts/get-models
#   real-formats      QCC_REAL_FORMATS holds the checkpoints of benchmarks/real-formats
#   shared-fixtures   small checkpoints of other tools lie beside the repository
#   avx2, avx512-vnni the processor has them
#   ptxas, nvdisasm   NVIDIA's tools, from test/requirements-gpu.txt, the PATH or an
#                     installed toolkit
# Substitutions: %python (with test/requirements.txt), %inputs (test/Inputs),
#   %models, %real_formats, %ptxas.
import os
import pathlib
import shutil

import lit.formats

config.name = "qcc"
config.test_format = lit.formats.ShTest(False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "corpus"]
config.test_source_root = os.path.join(config.qcc_source_dir, "test")
config.test_exec_root = os.path.join(config.qcc_build_dir, "test", "lit")

config.environment["PATH"] = os.pathsep.join(
    [os.path.join(config.qcc_build_dir, "bin"), config.llvm_tools_dir, os.environ["PATH"]])
config.environment["QCC_MODELS"] = config.qcc_models
config.substitutions += [
    ("%python", config.python),
    ("%inputs", os.path.join(config.test_source_root, "Inputs")),
    ("%models", config.qcc_models),
    ("%real_formats", config.qcc_real_formats),
]
if os.environ.get("QCC_OPT_VERIFY_ROUNDTRIP"):
    config.substitutions.append((r"\bqcc-opt\b", "qcc-opt --verify-roundtrip"))

models = pathlib.Path(config.qcc_models or "/nonexistent")
if all((models / name).is_file() for name in
       ("SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-Q4_K_M.gguf")):
    config.available_features.add("real-models")
# In each the reference is written last.
formats = pathlib.Path(config.qcc_real_formats or "/nonexistent")
if all((formats / name / "reference.npz").is_file() for name in
       ("bf16", "gptq-w4-g64", "awq-w4-g64", "bnb-nf4", "ct-w4a16-g64", "hf-fp8-b64")):
    config.available_features.add("real-formats")
if pathlib.Path(config.qcc_source_dir, "../shared/fixtures").is_dir():
    config.available_features.add("shared-fixtures")
flags = pathlib.Path("/proc/cpuinfo").read_text().split("flags", 1)[-1].split("\n", 1)[0].split()
for feature in ("avx2", "avx512_vnni"):
    if feature in flags:
        config.available_features.add(feature.replace("_", "-"))

# Their options for check-ptx.py are %gpu_tools.
gpu_folders = [*pathlib.Path(config.python).parent.parent.glob(
                   "lib/python*/site-packages/nvidia/*/bin"), *os.environ["PATH"].split(os.pathsep),
               "/usr/local/cuda/bin"]
gpu_tools = {}
for tool in ("ptxas", "nvdisasm"):
    if found := shutil.which(tool, path=os.pathsep.join(map(str, gpu_folders))):
        config.available_features.add(tool)
        gpu_tools[tool] = found
config.substitutions += [
    ("%gpu_tools", " ".join(f"--{tool} {path}" for tool, path in gpu_tools.items())),
    ("%ptxas", gpu_tools.get("ptxas", ""))]
