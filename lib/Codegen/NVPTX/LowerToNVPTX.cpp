//===- LowerToNVPTX.cpp - From the schedule to GPU kernels ----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Codegen/NVPTX/LowerToNVPTX.h"

#include "dialects/LLM/LLMDialect.h"
#include "MatmulKernel.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/GPUToNVVM/GPUToNVVMPass.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

/// "@body.0: qz.matmul 576 -> 960".
static std::string stageName(Operation *op) {
  std::string name;
  llvm::raw_string_ostream os(name);
  os << '@' << op->getParentOfType<func::FuncOp>().getName() << ": "
     << op->getName();
  if (auto matmul = dyn_cast<qz::MatmulOp>(op)) {
    os << ' ' << matmul.getInput().getType().getColumns() << " -> "
       << matmul.getType().getDimSize(1);
    if (matmul.getEpilogue() != qz::Epilogue::None)
      os << ' ' << stringifyEnum(matmul.getEpilogue());
  }
  return name;
}

/// Everything that the code of a kernel follows from.
static std::string kernelKey(const MatmulPlan &plan, const GpuKernel &kernel) {
  qz::MatmulOp op = plan.matmul;
  qz::QuantizeOp quantize = plan.quantize;
  std::string key;
  llvm::raw_string_ostream os(key);
  for (Value weight : op.getWeights())
    os << weight.getType() << ';';
  os << stringifyEnum(op.getEpilogue()) << ';' << bool(quantize.getNorm());
  if (op.getScale())
    os << op.getScaleAttr() << ';' << op.getSoftcapAttr();
  if (quantize.getNorm())
    os << quantize.getEpsAttr();
  os << ';' << kernel.inputStride << ';' << kernel.outputStride;
  return key;
}

/// True when the rows of `op` are the logits, which lie close together.
static bool isReturnedByStep(qz::MatmulOp op) {
  return op->hasOneUse() && isa<func::ReturnOp>(*op->user_begin()) &&
         op->getParentOfType<func::FuncOp>().getName() == "step";
}

void qcc::lowerToNVPTX(ModuleOp source, const TargetSpec &target,
                       GpuCode &code) {
  MLIRContext *context = source.getContext();
  context->loadDialect<gpu::GPUDialect, NVVM::NVVMDialect, LLVM::LLVMDialect,
                       scf::SCFDialect, cf::ControlFlowDialect,
                       arith::ArithDialect, vector::VectorDialect>();
  code.module = ModuleOp::create(source.getLoc());
  OpBuilder builder = OpBuilder::atBlockEnd(code.module->getBody());
  code.module->getOperation()->setAttr(
      gpu::GPUDialect::getContainerModuleAttrName(), builder.getUnitAttr());
  auto module = gpu::GPUModuleOp::create(builder, source.getLoc(), "kernels");
  builder.setInsertionPointToStart(module.getBody());
  auto bytes = LLVM::LLVMArrayType::get(builder.getI8Type(), 0);
  LLVM::GlobalOp::create(builder, source.getLoc(), bytes,
                         /*isConstant=*/false, LLVM::Linkage::External,
                         kSharedSymbol, Attribute(), /*alignment=*/128,
                         /*addrSpace=*/3);

  llvm::StringMap<size_t> kernelOf;
  source.walk([&](Operation *op) {
    // A stage is what the schedule gave units to.
    if (!op->hasAttr("units"))
      return;
    auto matmul = dyn_cast<qz::MatmulOp>(op);
    if (!matmul) {
      auto quantize = dyn_cast<qz::QuantizeOp>(op);
      bool isPrologue =
          quantize && llvm::all_of(quantize->getUsers(), [](Operation *user) {
            return isa<qz::MatmulOp>(user);
          });
      if (!isPrologue)
        code.missing.push_back(stageName(op));
      return;
    }
    std::string why;
    std::optional<MatmulPlan> plan = planMatmul(matmul, target, why);
    if (!plan) {
      code.missing.push_back(stageName(op) + " (" + why + ")");
      return;
    }
    GpuKernel kernel;
    kernel.inputStride = rowStride(plan->k);
    int64_t columns = matmul.getType().getDimSize(1);
    kernel.outputStride =
        isReturnedByStep(matmul) ? columns * 4 : rowStride(columns);
    auto [entry, isNew] =
        kernelOf.try_emplace(kernelKey(*plan, kernel), code.kernels.size());
    if (isNew) {
      kernel.name = "matmul_" + std::to_string(entry->second);
      emitMatmulKernel(module, *plan, kernel);
      code.kernels.push_back(std::move(kernel));
    }
    code.kernels[entry->second].stages.push_back(stageName(op));
  });
}

void qcc::buildNVVMPipeline(OpPassManager &passes) {
  OpPassManager &kernels = passes.nest<gpu::GPUModuleOp>();
  kernels.addPass(createSCFToControlFlowPass());
  kernels.addPass(createConvertVectorToLLVMPass());
  kernels.addPass(createConvertGpuOpsToNVVMOps());
  kernels.addPass(createArithToLLVMConversionPass());
  // Restricted to builtin modules, but not to what stands in them directly.
  passes.addPass(createConvertControlFlowToLLVMPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
}

void qcc::registerNVVMPasses() {
  registerPass([] { return createConvertGpuOpsToNVVMOps(); });
}

std::string qcc::describeKernels(const GpuCode &code) {
  std::string text;
  llvm::raw_string_ostream os(text);
  static const char *const names[] = {"input",  "norm", "weight", "residual",
                                      "output", "rows", "r"};
  for (const GpuKernel &kernel : code.kernels) {
    os << "// " << kernel.name << ": grid (" << kernel.units
       << ", ceil(rows / r), 1), block " << kernel.threads
       << ", dynamic shared memory " << kernel.sharedBytes << " + "
       << kernel.sharedBytesPerRow << " r, r <= " << kernel.rowsPerBlock
       << "\n//   parameters:";
    for (const KernelParameter &parameter : kernel.parameters) {
      os << ' ' << names[parameter.kind];
      if (parameter.kind == KernelParameter::Weight)
        os << ' ' << parameter.index;
      os << (&parameter == &kernel.parameters.back() ? "\n" : ",");
    }
    for (const std::string &stage : kernel.stages)
      os << "//   " << stage << '\n';
  }
  for (const std::string &stage : code.missing)
    os << "// no kernel: " << stage << '\n';
  return text;
}
