//===- LowerToNVPTX.cpp - From the schedule to GPU kernels ----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Codegen/NVPTX/LowerToNVPTX.h"

#include "Program.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/GPUToNVVM/GPUToNVVMPass.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

/// An empty gpu.module in a module of its own, with the blocks' shared memory.
static OwningOpRef<ModuleOp> createModule(ModuleOp source) {
  OwningOpRef<ModuleOp> result = ModuleOp::create(source.getLoc());
  OpBuilder builder = OpBuilder::atBlockEnd(result->getBody());
  result->getOperation()->setAttr(gpu::GPUDialect::getContainerModuleAttrName(),
                                  builder.getUnitAttr());
  auto module = gpu::GPUModuleOp::create(builder, source.getLoc(), "kernels");
  builder.setInsertionPointToStart(module.getBody());
  auto bytes = LLVM::LLVMArrayType::get(builder.getI8Type(), 0);
  LLVM::GlobalOp::create(builder, source.getLoc(), bytes,
                         /*isConstant=*/false, LLVM::Linkage::External,
                         kSharedSymbol, Attribute(), /*alignment=*/128,
                         /*addrSpace=*/3);
  return result;
}

LogicalResult qcc::lowerToNVPTX(ModuleOp source, const TargetSpec &target,
                                const NVPTXOptions &options, ModelCode &code,
                                std::vector<GpuKernel> &kernels) {
  MLIRContext *context = source.getContext();
  context->loadDialect<gpu::GPUDialect, NVVM::NVVMDialect, LLVM::LLVMDialect,
                       scf::SCFDialect, cf::ControlFlowDialect,
                       arith::ArithDialect, vector::VectorDialect>();
  Type kvElement = kvElementType(source, options.kv);
  if (!kvElement)
    return failure();
  OwningOpRef<ModuleOp> module = createModule(source);
  Program program(source, *module->getOps<gpu::GPUModuleOp>().begin(), target,
                  kvElement);
  if (failed(program.build()))
    return failure();
  kernels = program.kernels;
  code.gpu = std::move(program.launches);

  for (llm::KVStateOp state : source.getOps<llm::KVStateOp>()) {
    StateShape shape(cast<llm::StateType>(state.getType()), kvElement);
    code.states.push_back(
        {uint64_t(shape.pageBytes()), uint32_t(state.getWindow()), 0});
  }
  code.arenaBytes = (program.arenaBytes + 4095) / 4096 * 4096;
  describeModel(
      source, options.kv, [](qz::Activations kind) { return kind; }, code);
  code.module = std::move(module);
  return success();
}

GpuImage qcc::ptxImage(const TargetSpec &target, llvm::StringRef ptx) {
  GpuImage image;
  image.kind = QCC_GPU_PTX;
  image.architecture = target.gpuArchitecture;
  image.specific = target.isSpecificGpu();
  image.cudaVersion = target.cudaVersion;
  image.data = ptx.str();
  image.data.push_back('\0');
  return image;
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

//===----------------------------------------------------------------------===//
// Description
//===----------------------------------------------------------------------===//

static void describe(llvm::raw_ostream &os, const qcc_gpu_operand_v1 &operand) {
  static const char *const addresses[] = {"arena",  "weights",    "state",
                                          "token",  "position",   "sequence",
                                          "output", "page table", "logits"};
  static const char *const numbers[] = {"count", "r", "pages per sequence"};
  if (operand.kind >= QCC_GPU_COUNT) {
    os << numbers[operand.kind - QCC_GPU_COUNT];
    return;
  }
  os << addresses[operand.kind];
  if (operand.kind <= QCC_GPU_STATE)
    os << ' ' << operand.value;
}

std::string qcc::describeKernels(const std::vector<GpuKernel> &kernels,
                                 const LaunchProgram &program) {
  std::string text;
  llvm::raw_string_ostream os(text);
  for (const GpuKernel &kernel : kernels) {
    os << "// " << kernel.name << ": grid (" << kernel.units
       << ", ceil(count / r), 1), block " << kernel.threads
       << ", dynamic shared memory " << kernel.sharedBytes << " + "
       << kernel.sharedBytesPerRow << " r, r <= " << kernel.rowsPerBlock
       << '\n';
    for (const std::string &stage : kernel.stages)
      os << "//   " << stage << '\n';
  }
  auto describeLaunch = [&](const char *title, const Launch &launch) {
    os << "// " << title << ' ' << kernels[launch.kernel].name << " for each "
       << (launch.per == QCC_GPU_PER_ROW ? "row" : "output") << ", layer "
       << launch.layer << ':';
    for (const qcc_gpu_operand_v1 &operand : launch.operands) {
      os << (&operand == &launch.operands.front() ? " " : ", ");
      describe(os, operand);
    }
    os << '\n';
  };
  for (const Launch &launch : program.launches)
    describeLaunch("launch", launch);
  for (const Launch &launch : program.promptLaunches)
    describeLaunch("prompt launch", launch);
  for (const Launch &launch : program.severalLaunches)
    describeLaunch("launch of several", launch);
  return text;
}
