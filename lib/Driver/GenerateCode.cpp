//===- GenerateCode.cpp - Code generation as a pass -----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Passes.h"

#include "qcc/Codegen/Common/Target.h"
#include "qcc/Codegen/NVPTX/LowerToNVPTX.h"
#include "qcc/Codegen/Reference/Reference.h"
#include "qcc/Codegen/X86/LowerToX86.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace qcc {
#define GEN_PASS_DEF_GENERATECODEPASS
#include "qcc/Driver/Passes.h.inc"
} // namespace qcc

using namespace mlir;
using namespace qcc;

namespace {
struct GenerateCodePass : qcc::impl::GenerateCodePassBase<GenerateCodePass> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    const TargetSpec *spec = findTarget(target);
    if (!spec) {
      module.emitError() << "unknown target '" << target << "'";
      return signalPassFailure();
    }
    ModelCode code;
    LogicalResult result = failure();
    if (spec->isGpu()) {
      std::vector<GpuKernel> kernels;
      NVPTXOptions options;
      options.kv = kv;
      result = lowerToNVPTX(module, *spec, options, code, kernels);
    } else if (spec->isReference()) {
      layoutReferenceWeights(module, 0);
      ReferenceOptions options;
      if (kv == "q8")
        options.kv = kv;
      result = lowerToReference(module, options, code);
    } else {
      X86Options options;
      options.kv = kv;
      result = lowerToX86(module, *spec, options, stepSymbolName(0), code);
    }
    if (failed(result))
      return signalPassFailure();
    if (spec->isGpu())
      module->setAttr(gpu::GPUDialect::getContainerModuleAttrName(),
                      UnitAttr::get(&getContext()));
    Block *body = module.getBody();
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(*body)))
      op.erase();
    body->getOperations().splice(body->end(),
                                 code.module->getBody()->getOperations());
  }
};
} // namespace
