//===- BlockRows.h - Rows as operands of mma --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_BLOCKROWS_H
#define QCC_LIB_CODEGEN_NVPTX_BLOCKROWS_H

#include "WarpEmitter.h"

namespace qcc::nvptx {

/// Where the warps of a block find the rows that they multiply, in tiles of
/// eight.
class BlockRows {
public:
  virtual ~BlockRows() = default;
  virtual int64_t tiles() const = 0;
  /// What follows is of step `step` (i32) of k.
  virtual void beginStep(Value step) = 0;
  /// The lane's B operand of m16n8k16, two half2, from element `k` of the step
  /// on.
  virtual Values operand(int64_t tile, int64_t k) = 0;
  /// Sums of group `group` of the step, for the two rows that the lane's
  /// results have.
  virtual Values sums(int64_t tile, int64_t group) = 0;
};

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_BLOCKROWS_H
