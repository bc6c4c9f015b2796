#!/usr/bin/env python3
# gpu_cli_test.py - A model with code for GPUs, from the command line
# SPDX-License-Identifier: Apache-2.0
"""Runs the demo program with a fake driver in the loader's path, and with a folder in its
place that has none: which code runs, what is told, and that both give the same tokens."""

import json
import os
import subprocess
import sys
import tempfile


def main():
    program, driver, old_driver, kernels = sys.argv[1:]

    def run(*arguments, gpu=driver, code=0, **variables):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("QCC_")}
        environment.update(FAKE_CUDA_KERNELS=kernels, **variables)
        if gpu:
            environment["LD_LIBRARY_PATH"] = gpu
        result = subprocess.run([program, *arguments], capture_output=True, text=True,
                                env=environment, timeout=120)
        assert result.returncode == code, (arguments, result)
        return result

    def info(*arguments, **variables):
        return json.loads(run("info", "--json", *arguments, **variables).stdout)

    found = info()
    assert (found["target"], found["device"]) == ("sm_80", "Fake GPU"), found
    assert found["device_weight_bytes"] == 9600 and found["device_memory_bytes"] == 64 << 20
    assert "device          Fake GPU, 0.1 of 0.1 GB free" in run("info").stdout
    for arguments in (("--gpu-layers", "0"), ("-ngl", "0"), ("--n-gpu-layers=0",)):
        assert info(*arguments)["device"] is None, arguments
    assert info(QCC_GPU_LAYERS="0")["device"] is None
    for arguments in (("-ngl", "99"), ("--gpu-layers", "auto"), ("-ngl", "2")):
        assert info(*arguments)["device"] == "Fake GPU", arguments

    prompt = ("--raw", "hello", "--greedy", "-n", "24")
    on_gpu, on_cpu = run(*prompt), run(*prompt, "-ngl", "0")
    assert on_gpu.stdout == on_cpu.stdout and on_gpu.stdout
    assert run(*prompt, gpu=old_driver).stdout == on_cpu.stdout, "without graphs"
    assert on_gpu.stderr == on_cpu.stderr == "", (on_gpu, on_cpu)
    assert ", target sm_80 on Fake GPU, context 512" in run(*prompt, "-v").stderr
    bench = json.loads(run("bench", "-p", "20", "-n", "6", "-r", "2", "--json").stdout)
    assert bench["device"] == "Fake GPU" and bench["device_used_bytes"] > 9600, bench
    assert abs(bench["read_bandwidth_gb_per_second"] - 2039.04) < 1, bench
    assert "on Fake GPU" in run("bench", "-p", "20", "-n", "6", "-r", "1").stdout

    split = info("-ngl", "1")
    assert (split["device"], split["gpu_layers"]) == ("Fake GPU", 1) and found["gpu_layers"] == 2
    assert "1 of 2 layers there" in run("info", "-ngl", "1").stdout
    assert run(*prompt, "-ngl", "1").stdout == on_cpu.stdout
    failed = run("info", "-ngl", "many", code=2)
    assert "expected a number or auto, found `many`" in failed.stderr, failed.stderr

    # Without a driver the CPU's code runs, and it is said why.
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "libcuda.so.1"), "w", encoding="ascii") as file:
            file.write("not a library")
        found = info(gpu=None, LD_LIBRARY_PATH=folder)
        assert found["device"] is None and found["target"].startswith("x86-64"), found
        assert found["device_unused"].startswith(
            "no NVIDIA driver: libcuda.so.1 cannot be opened ("), found
        assert "device          none: no NVIDIA driver" in run(
            "info", gpu=None, LD_LIBRARY_PATH=folder).stdout
        failed = run(*prompt, "-ngl", "99", gpu=None, code=1, LD_LIBRARY_PATH=folder)
        assert failed.stderr.startswith("error: no NVIDIA driver: "), failed.stderr
        there = run(*prompt, gpu=None, LD_LIBRARY_PATH=folder)
        assert there.stdout == on_cpu.stdout
        assert there.stderr.startswith("note: runs on the CPU: no NVIDIA driver: "), there.stderr


main()
