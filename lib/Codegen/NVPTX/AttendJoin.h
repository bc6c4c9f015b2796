//===- AttendJoin.h - Results of parts of attention as one ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_ATTENDJOIN_H
#define QCC_LIB_CODEGEN_NVPTX_ATTENDJOIN_H

#include "AttendPlan.h"
#include "StageKernel.h"

namespace qcc::nvptx {

/// Some records (AttendPlan.h), one after the other.
struct Records {
  Value base;
  Value count;  ///< i32, at least 1.
  int64_t most; ///< Of count.
};

/// Joins the records of a block's warps, and those of a unit's parts. Orders
/// are fixed, so that results have the same bits whichever block is the last.
class AttendJoin {
public:
  /// `factors` is the block's shared memory of factorBytes(), 16-aligned.
  AttendJoin(StageKernel &stage, const AttendPlan &plan, Value factors)
      : stage(stage), e(stage.e), plan(plan), factors(factors) {}

  static int64_t factorBytes(const AttendPlan &plan);

  /// Joins `warps`, in shared memory, into `out`, float [heads][valueDim]. With
  /// `parts` other parts to come (i32; not 1), `out` is this part's record.
  void joinWarps(const Records &warps, Value out, Value parts);
  /// For block `number` of a unit, after its record was written: the last one
  /// of all joins `parts`, in global memory, into `out`. `came` is their count.
  void joinParts(const Records &parts, Value out, Value came);

private:
  static int64_t entries(int64_t most) { return (most + 7) / 8 * 8; }
  int64_t rowBytes() const;
  Value factorsOf(Value head) {
    return e.offset(factors, e.mul(head, rowBytes()));
  }
  void findFactors(const Records &records, Value isWhole, Value statistics);
  void addUp(const Records &records, Value out);
  Value isLast(Value came, Value count);

  StageKernel &stage;
  WarpEmitter &e;
  const AttendPlan &plan;
  Value factors; ///< float [heads][rowBytes() / 4]: of each record.
};

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_ATTENDJOIN_H
