# llama_cpp.py - Builds llama-bench from a source distribution on PyPI.
# SPDX-License-Identifier: Apache-2.0

import shutil
import sys
import tarfile

from measure import Failure, run

# The version that docs/Performance.md quotes.
VERSION = "0.3.36"


def build_llama_bench(cache, jobs):
    """Path of llama-bench, built for this machine; a second call finds it."""
    build = cache / f"llama.cpp-{VERSION}" / "build"
    program = build / "bin" / "llama-bench"
    if program.exists():
        return program
    if not shutil.which("cmake"):
        raise Failure("cmake is not installed; it builds llama.cpp (or give --peer)")
    cache.mkdir(parents=True, exist_ok=True)
    archive = cache / f"llama_cpp_python-{VERSION}.tar.gz"
    if not archive.exists():
        print(f"downloading llama-cpp-python {VERSION}", flush=True)
        run([sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary",
             "llama-cpp-python", "--dest", str(cache), f"llama-cpp-python=={VERSION}"])
    source = cache / f"llama_cpp_python-{VERSION}" / "vendor" / "llama.cpp"
    if not (source / "CMakeLists.txt").exists():
        with tarfile.open(archive) as file:
            if hasattr(tarfile, "data_filter"):
                file.extractall(cache, filter="data")
            else:
                file.extractall(cache)
    print(f"building llama.cpp in {build} (once, many minutes)", flush=True)
    # What its own documentation recommends for a CPU build: defaults, optimized
    # for the machine that builds it.
    run(["cmake", "-S", str(source), "-B", str(build), "-DCMAKE_BUILD_TYPE=Release",
         "-DGGML_NATIVE=ON", "-DBUILD_SHARED_LIBS=OFF", "-DLLAMA_BUILD_TESTS=OFF",
         "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_SERVER=OFF", "-DLLAMA_BUILD_TOOLS=ON",
         "-DLLAMA_CURL=OFF", "-DLLAMA_OPENSSL=OFF"])
    run(["cmake", "--build", str(build), "-j", str(jobs), "--target", "llama-bench"])
    return program
