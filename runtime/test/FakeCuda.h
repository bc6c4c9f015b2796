//===- FakeCuda.h - A CUDA driver on host memory, for tests -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// FakeCuda.cpp is built as a shared library that the runtime opens in place of
// libcuda. It checks what the real driver would check (and some that it would
// not), keeps the books, and fails where it is told to.
//
// A program that has no test in it tells the fake through the environment:
// FAKE_CUDA_KERNELS is a library with `void fake_kernels(FakeCuda *)`,
// FAKE_CUDA_MEGABYTES the memory of each device, FAKE_CUDA_CAPABILITY "8.6".
// FAKE_CUDA_BYTES "65536,131072" is one device for each number, with that
// memory.
//
// Copies and kernels are put off until something waits for them: source memory
// that is changed too early shows as wrong data, and freed memory under ASan.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_TEST_FAKECUDA_H
#define QCC_RUNTIME_TEST_FAKECUDA_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

struct FakeMemory {
  void *start;
  size_t bytes;
  bool isConstant; // copied to before the first launch, and never since
};

struct FakeLaunch {
  unsigned grid[3], block[3];
  unsigned sharedBytes;
  void *const *arguments;         // to copies of the values
  std::vector<FakeMemory> memory; // all that the device has
  bool startsEarly;               // and waits for the launch before by itself
};

struct FakeKernel {
  std::string name;
  std::vector<size_t> parameterBytes;
  /// Does the work: 0, or the CUresult that the context fails with.
  std::function<int(const FakeLaunch &)> run;
  unsigned threads = 512; // of a block, at most
};

struct FakeCuda {
  // How the driver behaves; set before it is opened.
  int version = 12040;
  int devices = 2;
  int major = 8, minor = 0;
  uint64_t memoryBytes = uint64_t(64) << 20; // of each device
  uint64_t memoryOf[8] = {};                 // of one; 0: as each
  uint64_t granule = 8192;    // mapped memory comes in pieces of as many bytes
  bool comesInPieces = false; // other memory too, each allocation for itself
  int threadsPerBlock = 1024, sharedPerBlock = 163 << 10;
  bool hasGraphs = true;        // false: capturing fails
  bool hasEarlyGraphs = true;   // false: none are made of early launches
  bool hasEarlyLaunches = true; // false: they are refused
  size_t failAt = 0;            // the n-th call fails; 0: none
  std::string failName;         // each call of this function fails
  int failWith = 999;           // CUDA_ERROR_UNKNOWN
  std::string jitLog; // not empty: modules do not load, and this is why
  /// Those that every module has, beside the fake's own.
  std::vector<FakeKernel> kernels;
  /// Gives a module the kernels of its image, or says why it does not load.
  std::function<bool(const void *image, std::vector<FakeKernel> &kernels,
                     std::string &log)>
      loadImage;

  // What happened.
  std::vector<std::string> calls; // but for those that describe errors
  std::vector<std::string> misuse;
  size_t orphans = 0; // what was left in a context that was destroyed

  // What there is now.
  size_t retained = 0; // of all contexts
  size_t deviceBuffers = 0, hostBuffers = 0, modules = 0, streams = 0,
         events = 0, reservations = 0, memories = 0, graphs = 0;

  size_t live() const {
    return retained + deviceBuffers + hostBuffers + modules + streams + events +
           reservations + memories + graphs;
  }
};

extern "C" {
/// The one instance; fake_cuda_reset() frees everything and returns it as new.
FakeCuda *fake_cuda();
FakeCuda *fake_cuda_reset();
/// Contexts on the calling thread's stack, and the device of its top (-1:
/// none).
size_t fake_cuda_depth();
int fake_cuda_current();
}

#endif // QCC_RUNTIME_TEST_FAKECUDA_H
