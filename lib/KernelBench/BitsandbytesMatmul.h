//===- BitsandbytesMatmul.h - The same matmul by bitsandbytes ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_KERNELBENCH_BITSANDBYTESMATMUL_H
#define QCC_LIB_KERNELBENCH_BITSANDBYTESMATMUL_H

#include "BenchWeights.h"
#include "Peer.h"

#include <cstdint>
#include <memory>

namespace qcc::bench {

/// NF4 weights times bf16 by the shared library of bitsandbytes for CPUs
/// (libbitsandbytes_cpu.so, 0.49 or later), as its Linear4bit has it: weights
/// and scales in the order that it packs for CPUs, activations and results
/// converted from and to f32. Needs AVX512-BF16.
class BitsandbytesMatmul : public Peer {
public:
  /// `weights` have `encoding`, which is that of nf4; `input` is
  /// [tokens][columns]. Errors say what does not fit.
  static llvm::Expected<std::unique_ptr<Peer>>
  create(const std::string &library, const Encoding &encoding,
         const PeerShape &shape, const BenchWeights &weights,
         const std::vector<float> &input, size_t copies);

  const char *name() const override { return "bitsandbytes"; }
  const std::string &layout() const override { return layoutName; }
  bool multiply(size_t copy) override;
  std::vector<float> results() const override;

private:
  /// Rows whose codes of two columns follow each other.
  static constexpr size_t kBlockRows = 32;
  using Function = void(int64_t tokens, int64_t rows, int64_t columns,
                        const uint16_t *input, const uint8_t *codes,
                        const uint16_t *scales, uint16_t *result, int64_t group,
                        int64_t inputStride, int64_t resultStride);

  llvm::Error open(const std::string &path);
  void pack(const BenchWeights &weights, size_t copies);

  Function *function = nullptr;
  PeerShape shape = {};
  size_t group = 0;
  std::string layoutName = "32 rows x 2 k";
  std::vector<float> input;
  std::vector<uint8_t> codes;   ///< [copies][rows / 32][columns / 2][32]
  std::vector<uint16_t> scales; ///< [copies][columns / group][rows]
  std::vector<uint16_t> halfInput, halfResult;
};

} // namespace qcc::bench

#endif // QCC_LIB_KERNELBENCH_BITSANDBYTESMATMUL_H
