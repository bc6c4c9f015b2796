//===- LLMDialect.h - The language model dialect ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef DIALECTS_LLM_LLMDIALECT_H
#define DIALECTS_LLM_LLMDIALECT_H

#include "dialects/QZ/QZDialect.h"

#include "dialects/LLM/LLMDialect.h.inc"
#include "dialects/LLM/LLMEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/LLM/LLMAttrs.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/LLM/LLMTypes.h.inc"

#include "mlir/Interfaces/InferTypeOpInterface.h"

namespace qcc::llm {
/// The type of rows of the values that `state` keeps of each position.
mlir::RankedTensorType valueRows(StateType state);
} // namespace qcc::llm

#define GET_OP_CLASSES
#include "dialects/LLM/LLMOps.h.inc"

#endif // DIALECTS_LLM_LLMDIALECT_H
