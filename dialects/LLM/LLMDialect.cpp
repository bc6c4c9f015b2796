//===- LLMDialect.cpp - Registration of llm -------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "dialects/LLM/LLMDialect.h"

#include "mlir/IR/DialectImplementation.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace qcc::llm;

#include "dialects/LLM/LLMDialect.cpp.inc"
#include "dialects/LLM/LLMEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/LLM/LLMAttrs.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/LLM/LLMTypes.cpp.inc"

LogicalResult StateType::verify(function_ref<InFlightDiagnostic()> emitError,
                                int64_t kvHeads, int64_t headDim,
                                int64_t otherValueDim) {
  // Bounds that keep products of sizes far from overflow.
  constexpr int64_t kMax = int64_t(1) << 20;
  if (kvHeads < 1 || kvHeads > kMax || headDim < 1 || headDim > kMax)
    return emitError() << "expected 1 to " << kMax
                       << " heads and elements, got " << kvHeads << " and "
                       << headDim;
  if (otherValueDim < 0 || otherValueDim > kMax)
    return emitError() << "expected values of 1 to " << kMax
                       << " elements, got " << otherValueDim;
  return success();
}

void LLMDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/LLM/LLMAttrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/LLM/LLMTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/LLM/LLMOps.cpp.inc"
      >();
}
