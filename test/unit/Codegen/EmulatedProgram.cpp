//===- EmulatedProgram.cpp - A GPU's launch program in the emulator -------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "EmulatedProgram.h"
#include "TestContext.h"

#include "qcc/Codegen/Common/Backend.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Pass/PassManager.h"

#include "llvm/Transforms/Utils/Cloning.h"

#include <algorithm>

using namespace mlir;
using namespace qcc;
using namespace qcc::test;

EmulatedProgram::EmulatedProgram(ModuleOp scheduled, const TargetSpec &target,
                                 const NVPTXOptions &options) {
  std::vector<GpuKernel> kernels;
  if (failed(lowerToNVPTX(scheduled, target, options, model, kernels)))
    throw std::runtime_error("lowering failed");
  // Modules written by hand do not say it.
  auto step = scheduled.lookupSymbol<func::FuncOp>("step");
  model.vocab =
      uint32_t(cast<RankedTensorType>(step.getResultTypes()[0]).getDimSize(1));
  PassManager passes(scheduled.getContext());
  buildNVVMPipeline(passes);
  if (failed(passes.run(*model.module)))
    throw std::runtime_error("lowering to nvvm failed");
  Operation *gpuModule = *model.module->getOps<gpu::GPUModuleOp>().begin();
  original = require(translateToLLVM(gpuModule, llvmContext, target));
  require(optimizeLLVM(*original, target));
  restore();
  launches = model.gpu->launches;
  promptLaunches = model.gpu->promptLaunches;
  severalLaunches = model.gpu->severalLaunches;
}

bool EmulatedProgram::mutate(
    const std::function<bool(llvm::Module &)> &change) {
  std::unique_ptr<llvm::Module> mutant = llvm::CloneModule(*original);
  if (!change(*mutant))
    return false;
  emulated = require(emulator::EmulatedModule::create(*mutant));
  return true;
}

void EmulatedProgram::restore() {
  emulated = require(emulator::EmulatedModule::create(*original));
}

namespace {
/// The parameters of one launch and the memory that they name.
struct Parameters {
  struct Slot {
    void *address = nullptr;
    uint32_t number = 0;
    bool isNumber = false;
  };
  std::vector<Slot> slots;
  std::vector<emulator::Buffer> buffers;

  void number(uint64_t value) {
    slots.push_back({nullptr, uint32_t(value), true});
  }
  void memory(const void *start, uint64_t bytes, bool isWritten,
              uint64_t offset = 0, bool isConstant = false) {
    auto *address = const_cast<uint8_t *>(static_cast<const uint8_t *>(start));
    slots.push_back({address + offset});
    buffers.push_back({address, size_t(bytes), isWritten, isConstant});
  }
};
} // namespace

static void bind(Parameters &parameters, const qcc_gpu_operand_v1 &operand,
                 uint32_t count, uint32_t rowsPerBlock, const ModelCode &model,
                 const qcc_step_v1 &step, const StepSizes &sizes) {
  switch (operand.kind) {
  case QCC_GPU_ARENA:
    return parameters.memory(step.arena, model.arenaBytes, true, operand.value);
  case QCC_GPU_WEIGHTS:
    if (operand.value + operand.bytes > sizes.weights)
      throw std::runtime_error("a launch names bytes behind the weights");
    return parameters.memory(step.weights + operand.value, operand.bytes,
                             /*isWritten=*/false, 0, /*isConstant=*/true);
  case QCC_GPU_STATE:
    return parameters.memory(
        step.state[operand.value],
        sizes.pages * model.states.at(operand.value).page_bytes, true);
  case QCC_GPU_TOKEN:
    return parameters.memory(step.token, step.rows * 4, false);
  case QCC_GPU_POSITION:
    return parameters.memory(step.position, step.rows * 4, false);
  case QCC_GPU_SEQUENCE:
    return parameters.memory(step.sequence, step.rows * 4, false);
  case QCC_GPU_OUTPUT:
    return parameters.memory(step.output, step.outputs * 4, false);
  case QCC_GPU_PAGE_TABLE:
    return parameters.memory(
        step.page_table, sizes.sequences * step.pages_per_sequence * 4, false);
  case QCC_GPU_LOGITS:
    return parameters.memory(step.logits,
                             uint64_t(step.outputs) * model.vocab * 4, true);
  case QCC_GPU_COUNT:
    return parameters.number(count);
  case QCC_GPU_ROWS_PER_BLOCK:
    return parameters.number(rowsPerBlock);
  case QCC_GPU_PAGES_PER_SEQUENCE:
    return parameters.number(step.pages_per_sequence);
  default:
    throw std::runtime_error("an operand of an unknown kind");
  }
}

void EmulatedProgram::run(const qcc_step_v1 &step, const StepSizes &sizes) {
  counters.clear();
  const std::vector<Launch> *program = &launches;
  if (step.flags & QCC_STEP_PROMPT) {
    if (!promptLaunches.empty())
      program = &promptLaunches;
  } else if (step.rows > 1 && !severalLaunches.empty()) {
    program = &severalLaunches;
  }
  for (const Launch &launch : *program) {
    uint32_t count = launch.per == QCC_GPU_PER_ROW ? step.rows : step.outputs;
    if (count == 0)
      continue;
    uint32_t r = std::min(count, launch.rowsPerBlock);
    Parameters parameters;
    for (const qcc_gpu_operand_v1 &operand : launch.operands)
      bind(parameters, operand, count, r, model, step, sizes);
    std::vector<void *> arguments;
    for (Parameters::Slot &slot : parameters.slots)
      arguments.push_back(slot.isNumber ? static_cast<void *>(&slot.number)
                                        : static_cast<void *>(&slot.address));
    const LaunchKernel &kernel = model.gpu->kernels.at(launch.kernel);
    emulator::Launch shape;
    shape.gridX = launch.units;
    shape.gridY = (count + r - 1) / r;
    shape.blockX = kernel.threads;
    shape.dynamicSharedBytes =
        launch.sharedBytes + r * launch.sharedBytesPerRow;
    if (shape.dynamicSharedBytes > kernel.mostSharedBytes)
      throw std::runtime_error(kernel.name + " asks for more shared memory "
                                             "than its kernel says");
    shape.startsEarly = model.gpu->startsEarly;
    shape.seed = seed++;
    shape.buffers = parameters.buffers;
    shape.countPatterns = countPatterns;
    require(emulated->launch(kernel.name, shape, arguments,
                             &counters[kernel.name]));
  }
}
