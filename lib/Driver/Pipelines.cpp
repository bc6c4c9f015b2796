//===- Pipelines.cpp - The stages of each kind of target ------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Pipelines.h"

#include "dialects/LLM/LLMDialect.h"
#include "qcc/Codegen/Common/Backend.h"
#include "qcc/Codegen/Reference/Reference.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace qcc;

void qcc::registerPipelineDialects(DialectRegistry &registry) {
  registry.insert<arith::ArithDialect, func::FuncDialect, LLVM::LLVMDialect,
                  llm::LLMDialect, qz::QZDialect, scf::SCFDialect>();
  registerBackendTranslations(registry);
}

static llvm::Error lowerReference(Stages &stages, ModuleOp module,
                                  unsigned index, uint64_t weightBase,
                                  StageHook hook, ModelCode &code) {
  layoutReferenceWeights(module, weightBase);
  auto goOn = hook("layout", module);
  if (!goOn)
    return goOn.takeError();
  if (!*goOn)
    return llvm::Error::success();
  return stages.run("lower reference", [&] {
    return stages.withDiagnostics("lower reference", [&] {
      ReferenceOptions options;
      options.index = index;
      return lowerToReference(module, options, code);
    });
  });
}

llvm::Error qcc::lowerForTarget(Stages &stages, ModuleOp module,
                                const TargetSpec &target, unsigned index,
                                uint64_t weightBase, StageHook hook,
                                ModelCode &code) {
  if (target.isReference()) {
    if (llvm::Error error =
            lowerReference(stages, module, index, weightBase, hook, code))
      return error;
  } else {
    return llvm::createStringError("no code generator for target '" +
                                   StringRef(target.name) + "'");
  }
  if (!code.module)
    return llvm::Error::success();
  return stages.runPasses("llvm dialect", *code.module, buildLLVMDialectPipeline);
}
