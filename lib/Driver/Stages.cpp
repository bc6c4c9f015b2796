//===- Stages.cpp - Running, timing and showing stages --------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Stages.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Pass/Pass.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Format.h"

using namespace mlir;
using namespace qcc;

llvm::Error Stages::run(StringRef name,
                        llvm::function_ref<llvm::Error()> body) {
  auto start = std::chrono::steady_clock::now();
  if (llvm::Error error = body())
    return error;
  if (options.time && options.log) {
    std::chrono::duration<double> seconds =
        std::chrono::steady_clock::now() - start;
    *options.log << llvm::format("%8.3f s  ", seconds.count()) << name << '\n';
  }
  return llvm::Error::success();
}

llvm::Error
Stages::withDiagnostics(StringRef name,
                        llvm::function_ref<llvm::LogicalResult()> body) {
  std::string text;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() == DiagnosticSeverity::Error && text.empty())
      text = diagnostic.str();
    return success();
  });
  if (succeeded(body()))
    return llvm::Error::success();
  if (text.empty())
    text = "failed without saying why";
  return llvm::createStringError(options.input + ": stage '" + name +
                                 "': " + text);
}

llvm::Error Stages::runPasses(StringRef name, ModuleOp module,
                              llvm::function_ref<void(OpPassManager &)> build) {
  return run(name, [&] {
    return withDiagnostics(name, [&] {
      PassManager passes(&context);
      if (!options.printAfter.empty() && options.log)
        passes.enableIRPrinting(
            nullptr,
            [&](Pass *pass, Operation *) {
              return llvm::is_contained(options.printAfter,
                                        pass->getArgument().str());
            },
            /*printModuleScope=*/true, /*printAfterOnlyOnChange=*/false,
            /*printAfterOnlyOnFailure=*/false, *options.log);
      build(passes);
      return passes.run(module);
    });
  });
}

void Stages::note(const llvm::Twine &line) {
  if (options.verbose && options.log)
    *options.log << line << '\n';
}
