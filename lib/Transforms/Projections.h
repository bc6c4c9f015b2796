//===- Projections.h - Matmuls before an attention --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// What the patterns of qcc-merge-projections share.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_TRANSFORMS_PROJECTIONS_H
#define QCC_LIB_TRANSFORMS_PROJECTIONS_H

#include "dialects/LLM/LLMDialect.h"

#include "mlir/IR/PatternMatch.h"

namespace qcc {

int64_t columns(mlir::Value rows);
/// Rows of `columns` elements like those of `like`.
mlir::RankedTensorType rowsType(mlir::Value like, int64_t columns);

/// The matmul that makes `value` if it can be joined with others, else null
/// after saying why.
qz::MatmulOp matchProjection(mlir::Value value, mlir::Operation *anchor,
                             mlir::PatternRewriter &rewriter);

/// Whether two matmuls read the same activations: one value, or two equal
/// quantize operations.
bool readSameRows(qz::MatmulOp a, qz::MatmulOp b);

/// The weights and biases of several projections side by side.
struct Segments {
  mlir::SmallVector<mlir::Value> weights, biases;
  mlir::SmallVector<int64_t> biasOf;

  Segments(std::initializer_list<qz::MatmulOp> projections);
};

/// How a query or key turns. Without rope one pair turns by nothing, which
/// multiplies by 1 and adds 0, so that there is one form of what follows.
struct Rotation {
  mlir::DenseF32ArrayAttr frequencies;
  mlir::FloatAttr factor;
  mlir::UnitAttr adjacent;

  Rotation(llm::RopeOp rope, mlir::Builder &builder);
  bool operator==(const Rotation &) const = default;
};

/// Those for attention whose heads share a latent key and value.
void populateMergeLatentAttentionPatterns(mlir::RewritePatternSet &patterns);

} // namespace qcc

#endif // QCC_LIB_TRANSFORMS_PROJECTIONS_H
