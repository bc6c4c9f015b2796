//===- Stages.h - Running, timing and showing stages ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_DRIVER_STAGES_H
#define QCC_LIB_DRIVER_STAGES_H

#include "qcc/Driver/Compiler.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"

#include <chrono>

namespace qcc {

/// What all stages of a compilation share: clock, log and error texts.
class Stages {
public:
  Stages(const CompileOptions &options, mlir::MLIRContext &context)
      : options(options), context(context) {}

  /// Runs `body` and logs how long it took (--time) under `name`.
  llvm::Error run(llvm::StringRef name, llvm::function_ref<llvm::Error()> body);

  /// Calls `body` with MLIR's diagnostics collected: on failure they are the
  /// error.
  llvm::Error withDiagnostics(llvm::StringRef name,
                              llvm::function_ref<llvm::LogicalResult()> body);

  /// Runs the passes that `build` adds, printing after those that the user
  /// asked for.
  llvm::Error runPasses(llvm::StringRef name, mlir::ModuleOp module,
                        llvm::function_ref<void(mlir::OpPassManager &)> build);

  /// Logs a line when verbose.
  void note(const llvm::Twine &line);

  const CompileOptions &options;
  mlir::MLIRContext &context;
};

} // namespace qcc

#endif // QCC_LIB_DRIVER_STAGES_H
