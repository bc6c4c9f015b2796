//===- LowerToX86.h - From the schedule to x86 code -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_X86_LOWERTOX86_H
#define QCC_CODEGEN_X86_LOWERTOX86_H

#include "qcc/Codegen/Common/ModelCode.h"
#include "qcc/Codegen/Common/Target.h"

namespace qcc {

struct X86Options {
  /// Storage of keys and values: f16, bf16, f32 or q8.
  std::string kv = "f16";
};

/// Lowers a module that has gone through the schedule stage (which is left as
/// it is) to an SPMD step function with barriers between dependent stages.
/// Diagnostics go to the module's context.
mlir::LogicalResult lowerToX86(mlir::ModuleOp module, const TargetSpec &target,
                               const X86Options &options,
                               llvm::StringRef stepSymbol, ModelCode &code);

} // namespace qcc

#endif // QCC_CODEGEN_X86_LOWERTOX86_H
