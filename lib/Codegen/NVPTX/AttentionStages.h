//===- AttentionStages.h - Kernels of the stages of attention ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A page of state holds, for each KV head, the keys of its 64 positions as [64
// positions][head_dim], then the values as [64 positions][value_dim]: rows that
// a warp reads along, and that matrix loads of tensor cores take. Of quantized
// elements these are bytes (StateCodes.h), and scales follow: [64
// positions][groups] of the keys, then of the values.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_ATTENTIONSTAGES_H
#define QCC_LIB_CODEGEN_NVPTX_ATTENTIONSTAGES_H

#include "dialects/LLM/LLMDialect.h"
#include "qcc/Formats/QuantizedState.h"
#include "AttendPlan.h"
#include "StageKernel.h"

namespace qcc::nvptx {

/// The maximum before any position was seen: far below every score, so that no
/// infinity appears.
constexpr double kNoScore = -1e29;

/// Shapes of a layer's state and the type of its elements.
struct StateShape {
  int64_t kvHeads, headDim, valueDim;
  Type element; ///< f16, bf16, f32; i8: quantized in groups.

  StateShape(llm::StateType type, Type element)
      : kvHeads(type.getKvHeads()), headDim(type.getHeadDim()),
        valueDim(type.getValueDim()), element(element) {}

  int64_t elementBytes() const { return element.getIntOrFloatBitWidth() / 8; }
  bool isQuantized() const { return element.isInteger(); }
  /// Bytes of the scales of a key or a value of `dim` elements.
  static int64_t scaleBytes(int64_t dim) {
    constexpr auto group = int64_t(kStateGroup);
    return (dim + group - 1) / group * 2;
  }
  int64_t valueOffset() const {
    return QCC_PAGE_TOKENS * headDim * elementBytes();
  }
  int64_t keyScalesOffset() const {
    return QCC_PAGE_TOKENS * (headDim + valueDim) * elementBytes();
  }
  int64_t valueScalesOffset() const {
    return keyScalesOffset() + QCC_PAGE_TOKENS * scaleBytes(headDim);
  }
  int64_t headBytes() const {
    return isQuantized()
               ? valueScalesOffset() + QCC_PAGE_TOKENS * scaleBytes(valueDim)
               : keyScalesOffset();
  }
  int64_t pageBytes() const { return kvHeads * headBytes(); }
};

// Each emits the body of the stage's kernel and says how it is launched.

/// A warp for each head of a row: query, key or value.
void emitRopeAppend(StageKernel &stage, llm::RopeAppendOp op, Type element);
/// A warp for each query head of a row, and one for the key and the value that
/// all heads share.
void emitLatentAppend(StageKernel &stage, llm::LatentAppendOp op, Type element);
/// Blocks as `plan` says. The warps of one share its positions, in tiles of 32,
/// and their results are joined in the order of warps. With `rope`, in steps of
/// one row, they make its queries themselves, and the blocks of the last part
/// the key and the value, which one of them appends.
void emitAttend(StageKernel &stage, llm::AttendOp op, Type element,
                const AttendPlan &plan, llm::RopeAppendOp rope);
/// Some rows of a query head for each block, their products by tensor cores:
/// keys and values go through shared memory tile by tile, and queries,
/// probabilities and outputs stay in registers. A row's bits do not depend on
/// the others'.
void emitPromptAttend(StageKernel &stage, llm::AttendOp op, Type element,
                      const AttendPlan &plan);
/// At the start of a step, by a block: of `units` units of each row's attention
/// no part is done.
void emitClearCounters(StageKernel &stage, int64_t units, Value row);

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_ATTENTIONSTAGES_H
