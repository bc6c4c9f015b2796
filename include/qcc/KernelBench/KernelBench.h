//===- KernelBench.h - One matmul alone, beside ggml's ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Compiles one matmul for this machine, with the quantization of its
// activations, and runs it on random data on one thread; with a library of ggml
// also what that makes of the same bytes. Both are compared with the scalar
// meaning of the weights.
//===----------------------------------------------------------------------===//

#ifndef QCC_KERNELBENCH_KERNELBENCH_H
#define QCC_KERNELBENCH_KERNELBENCH_H

#include "qcc/Codegen/Common/Target.h"

#include "llvm/Support/raw_ostream.h"
#include <string>
#include <vector>

namespace qcc {

struct KernelBenchOptions {
  std::string format; ///< A type of ggml, or of --quantize: "Q4_K".
  /// "MxNxK": M rows of activations of K elements, times N rows of weights.
  std::string shape;
  const TargetSpec *target = nullptr; ///< A CPU, not the reference.
  /// a8, a8g16, a16 or f32; empty: as in a step of a model with M rows.
  std::string activations;
  std::string ggml;         ///< Path of libggml.so; empty: without.
  std::string bitsandbytes; ///< Of libbitsandbytes_cpu.so; the same.
  unsigned rounds = 5;
};

/// What one side of the comparison gave.
struct KernelBenchResult {
  std::string name;            ///< "qcc", "ggml", "bitsandbytes".
  std::string layout;          ///< Of the weights: "R16K4", "CPU_REPACK".
  std::vector<double> seconds; ///< Of one matmul, of each round.
  double error = 0; ///< Root mean square, relative to that of the results.
  double median() const;
};

struct KernelBenchReport {
  std::string format, target, activations;
  size_t tokens = 0, rows = 0, columns = 0;
  size_t weightBytes = 0;
  bool fromMemory = false; ///< Weights are not in caches.
  double bandwidth = 0;    ///< Of memory, bytes a second; one thread.
  double macPeak = 0;      ///< Products of the best instruction, a second.
  std::vector<KernelBenchResult> results;

  double macs() const {
    return double(tokens) * double(rows) * double(columns);
  }
  /// Seconds that the machine needs at least, to multiply or to read.
  double limit() const;
};

llvm::Expected<KernelBenchReport>
benchKernel(const KernelBenchOptions &options);

void printKernelBench(const KernelBenchReport &report, bool json,
                      llvm::raw_ostream &os);

} // namespace qcc

#endif // QCC_KERNELBENCH_KERNELBENCH_H
