//===- RowHeads.h - Norms and rotations of the heads of a row ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_ROWHEADS_H
#define QCC_LIB_CODEGEN_NVPTX_ROWHEADS_H

#include "AttentionStages.h"

namespace qcc::nvptx {

/// Stores element `index` (i32) of a head.
using PutElement = llvm::function_ref<void(Value index, Value x)>;

/// One head of a row as its warp sees it.
struct Head {
  Value in;           ///< Its f32.
  Value norm;         ///< Weights of its norm; null without one.
  Value factor, mean; ///< Of the norm; a null mean is 0.
  double scale = 1;   ///< What its elements are multiplied by in the end.
};

/// What of a head turns: elements [0, 2 pairs), the rest does not.
struct RopeShape {
  int64_t headDim, pairs;
  bool adjacent;
};

/// Norms, rotates and scales a head, by one warp.
void emitRope(StageKernel &stage, const RopeShape &rope, const Head &head,
              Value rotations, PutElement put);

/// The heads of row `row` (i32) of an llm.rope_append of the stage, each made
/// by one warp.
class RowHeads {
public:
  RowHeads(StageKernel &stage, llm::RopeAppendOp op, const StateShape &shape,
           Value row);

  /// Head `number` (i32) of the queries, or of the keys or values.
  void query(Value number, PutElement put);
  void key(Value number, PutElement put);
  void value(Value number, PutElement put);

  Value start;   ///< Address of the row.
  int64_t heads; ///< Of queries.

private:
  Head normed(Value number, int64_t first, Value weight);

  StageKernel &stage;
  WarpEmitter &e;
  llm::RopeAppendOp op;
  const StateShape &shape;
  Value rotations;
  RopeShape rope;
};

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_ROWHEADS_H
