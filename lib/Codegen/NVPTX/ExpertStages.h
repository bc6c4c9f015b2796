//===- ExpertStages.h - Kernels around the matmuls of experts ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_NVPTX_EXPERTSTAGES_H
#define QCC_LIB_CODEGEN_NVPTX_EXPERTSTAGES_H

#include "dialects/LLM/LLMDialect.h"
#include "StageKernel.h"

namespace qcc::nvptx {

// Each emits the body of the stage's kernel and says how it is launched.

/// A warp for each row.
void emitRoute(StageKernel &stage, llm::RouteOp op);
/// One block, or a few, for each row.
void emitCombine(StageKernel &stage, llm::CombineOp op);

} // namespace qcc::nvptx

#endif // QCC_LIB_CODEGEN_NVPTX_EXPERTSTAGES_H
