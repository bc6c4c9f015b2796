//===- RowStages.h - Kernels of stages that work on single rows -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// One block, or a few, for each row of the step.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_ROWSTAGES_H
#define QCC_LIB_CODEGEN_NVPTX_ROWSTAGES_H

#include "dialects/LLM/LLMDialect.h"
#include "StageKernel.h"

namespace qcc::nvptx {

/// Blocks that share a row of `items` for one thread each.
unsigned blocksFor(int64_t items);
/// Emits `body` for each of `items`, which the threads of all blocks of a row
/// share.
void forItems(StageKernel &stage, int64_t items,
              llvm::function_ref<void(Value)> body);

// Each emits the body of the stage's kernel and says how it is launched.
void emitEmbedding(StageKernel &stage, llm::EmbeddingOp op);
/// Also begins the counts of `units` units of attention: emitClearCounters().
void emitRotations(StageKernel &stage, llm::RotationsOp op, int64_t units);
void emitAddNorm(StageKernel &stage, llm::AddNormOp op);
void emitSelectOutputs(StageKernel &stage, llm::SelectOutputsOp op);

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_ROWSTAGES_H
