//===- Backend.h - From MLIR to machine code --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The end of every pipeline: structured MLIR to the LLVM dialect, to LLVM IR,
// through LLVM's optimizer, to an object, assembly (PTX) or text. Nothing here
// depends on the machine that runs it, only on the target: the same input gives
// the same bytes.
//
// Generated code is position independent. Floating-point operations are never
// contracted or reordered: where a fused multiply-add is wanted, the IR says
// so.
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_COMMON_BACKEND_H
#define QCC_CODEGEN_COMMON_BACKEND_H

#include "qcc/Codegen/Common/Target.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallVector.h"
#include <memory>

namespace mlir {
class DialectRegistry;
class OpPassManager;
} // namespace mlir

namespace llvm {
class LLVMContext;
class Module;
} // namespace llvm

namespace qcc {

/// Registers the translations to LLVM IR that translateToLLVM needs. Call it on
/// the registry of the MLIRContext before modules are made.
void registerBackendTranslations(mlir::DialectRegistry &registry);

/// Adds the passes that turn scf, cf, arith, math, vector and func into the
/// LLVM dialect.
void buildLLVMDialectPipeline(mlir::OpPassManager &passes);

/// Registers these passes for textual pipelines and printing.
void registerBackendPasses();

/// Translates a module of the LLVM dialect (a builtin module or a gpu.module)
/// and marks every definition with the target's CPU and features. All
/// definitions but the step function and kernels become internal.
llvm::Expected<std::unique_ptr<llvm::Module>>
translateToLLVM(mlir::Operation *module, llvm::LLVMContext &context,
                const TargetSpec &target);

/// Makes the target's triple and data layout those of `module`.
llvm::Error prepareForTarget(llvm::Module &module, const TargetSpec &target);

/// Runs LLVM's optimizer (-O3 without anything that changes results).
llvm::Error optimizeLLVM(llvm::Module &module, const TargetSpec &target);

enum class CodeKind { Object, Assembly };

/// Generates code; `module` is used up.
llvm::Expected<llvm::SmallVector<char, 0>>
generateCode(llvm::Module &module, const TargetSpec &target, CodeKind kind);

} // namespace qcc

#endif // QCC_CODEGEN_COMMON_BACKEND_H
