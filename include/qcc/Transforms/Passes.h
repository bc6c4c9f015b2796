//===- Passes.h - Declarations of all passes --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Constructors, option structs and registration that TableGen makes from
// Passes.td. Pipelines are in Transforms.h.
//===----------------------------------------------------------------------===//

#ifndef QCC_TRANSFORMS_PASSES_H
#define QCC_TRANSFORMS_PASSES_H

#include "dialects/LLM/LLMDialect.h"
#include "dialects/QZ/QZDialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace qcc {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "qcc/Transforms/Passes.h.inc"

/// Registers every pass, and the pipelines `qcc-fuse`, `qcc-layout` and
/// `qcc-schedule`, for textual pipelines.
void registerPasses();
} // namespace qcc

#endif // QCC_TRANSFORMS_PASSES_H
