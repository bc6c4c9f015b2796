//===- Registry.cpp - Every dialect and pass of qcc -----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Driver/Registry.h"

#include "Passes.h"

#include "dialects/LLM/LLMDialect.h"
#include "qcc/Codegen/Common/Backend.h"
#include "qcc/Codegen/NVPTX/LowerToNVPTX.h"
#include "qcc/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

void qcc::registerAllDialects(DialectRegistry &registry) {
  registry.insert<arith::ArithDialect, cf::ControlFlowDialect,
                  func::FuncDialect, gpu::GPUDialect, LLVM::LLVMDialect,
                  llm::LLMDialect, math::MathDialect, NVVM::NVVMDialect,
                  qz::QZDialect, scf::SCFDialect, vector::VectorDialect>();
  registerBackendTranslations(registry);
}

void qcc::registerAllPasses() {
  registerPasses();
  registerQCCDriverPasses();
  registerBackendPasses();
  registerNVVMPasses();
  PassPipelineRegistration<>("qcc-llvm-dialect",
                             "Structured code to the LLVM dialect",
                             buildLLVMDialectPipeline);
  PassPipelineRegistration<>("qcc-nvvm", "Kernels of a GPU to the LLVM dialect",
                             buildNVVMPipeline);
  registerCanonicalizerPass();
  registerCSEPass();
  registerInlinerPass();
  registerSymbolDCEPass();
}

bool qcc::isPass(llvm::StringRef name) {
  static const bool registered = (registerAllPasses(), true);
  (void)registered;
  return PassInfo::lookup(name) != nullptr;
}
