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
