//===- AttendPlan.h - How blocks share attention ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A block has some query heads of one KV head, so that a key is read once for
// all of them, and in generating steps a part of the positions: one row with a
// long context fills a GPU. How many parts a row has follows from its position
// alone. The block that comes last joins the parts, in their order.
//
// In prompt steps that may round to 16 bits, a block has one query head of many
// rows, whose keys and values tensor cores multiply. Those rows of one sequence
// that follow each other read a key once.
//
// Between blocks of a unit, a part of the arena behind the memory plan has
//
//   uint32_t came[QCC_GENERATE_ROWS][units]   parts that are done, modulo all:
//                                             0 before and after a launch
//   record   part[QCC_GENERATE_ROWS][units][parts], from recordsOffset() on
//
// where a record is float output[heads][valueDim], maximum[heads], sum[heads].
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_ATTENDPLAN_H
#define QCC_LIB_CODEGEN_NVPTX_ATTENDPLAN_H

#include "dialects/LLM/LLMDialect.h"

#include <cstdint>

namespace qcc::nvptx {

/// Positions that a warp takes at once, one for each lane.
constexpr int64_t kTilePositions = 32;

struct AttendPlan {
  int64_t heads = 0; ///< Query heads of a block.
  int64_t units = 0; ///< Blocks that have all heads of a row.
  int64_t parts = 1; ///< Most blocks that share the positions of a unit.
  int64_t valueDim = 0;

  bool onTensorCores = false;   ///< For some rows, as emitPromptAttend() does.
  int64_t tilePositions = 0;    ///< Positions at once; they divide a page.
  bool queriesInShared = false; ///< Not in registers.
  int64_t blocks = 0;           ///< On a multiprocessor.
  /// Most rows of a block on tensor cores.
  static constexpr int64_t kPromptRows = 64;

  bool isSplit() const { return parts > 1; }
  int64_t recordBytes() const { return heads * (valueDim + 2) * 4; }
  int64_t recordsOffset() const;
  /// 0 where nothing is split.
  int64_t scratchBytes() const;
};

/// `isPrompt`: for prompt steps, whose rows fill a GPU without parts. `element`
/// is what the state stores: f16, bf16 or f32.
AttendPlan planAttend(llm::AttendOp op, mlir::Type element, bool isPrompt);

/// The stage before an attention that makes nothing but its queries, key and
/// value: a step of one row can leave it to the attention. Null for others.
llm::RopeAppendOp ropeOf(llm::AttendOp op);

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_ATTENDPLAN_H
