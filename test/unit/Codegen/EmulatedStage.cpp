//===- EmulatedStage.cpp - A matmul stage of a GPU in the emulator --------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "EmulatedStage.h"
#include "TestContext.h"

#include "qcc/Codegen/Common/Backend.h"
#include "qcc/Formats/PackedWeight.h"
#include "qcc/Transforms/Passes.h"
#include "qcc/Transforms/Transforms.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include "llvm/Transforms/Utils/Cloning.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

using namespace mlir;
using namespace qcc;
using namespace qcc::test;

DeviceMemory::DeviceMemory(size_t bytes)
    : size(bytes), memory(static_cast<uint8_t *>(
                       std::aligned_alloc(256, (bytes + 256) / 256 * 256))) {
  std::memset(memory.get(), 0, bytes);
}

DeviceMemory qcc::test::packWeight(const Encoding &encoding,
                                   const std::vector<Fields> &rows, size_t k) {
  PackedWeight packed(encoding, k);
  DeviceMemory result(packed.bytes(rows.size()));
  for (size_t row = 0; row < rows.size(); row += PackedLayout::kRows)
    packed.packPanel(
        &rows[row],
        unsigned(std::min<size_t>(PackedLayout::kRows, rows.size() - row)),
        result.as<uint8_t>() + row / PackedLayout::kRows * packed.panelBytes);
  return result;
}

DeviceMemory qcc::test::placeRows(const std::vector<std::vector<float>> *values,
                                  size_t rows, size_t stride) {
  DeviceMemory result((rows + 1) * stride);
  std::fill_n(result.as<float>(), (rows + 1) * stride / 4,
              std::numeric_limits<float>::quiet_NaN());
  for (size_t row = 0; values && row < rows; ++row)
    std::copy((*values)[row].begin(), (*values)[row].end(),
              result.as<float>() + row * stride / 4);
  return result;
}

std::vector<std::vector<float>> qcc::test::takeRows(const DeviceMemory &memory,
                                                    size_t rows, size_t stride,
                                                    size_t columns) {
  std::vector<std::vector<float>> result;
  for (size_t row = 0; row <= rows; ++row) {
    const float *from = memory.as<float>() + row * stride / 4;
    if (row < rows)
      result.emplace_back(from, from + columns);
    else if (!std::all_of(from, from + columns,
                          [](float x) { return std::isnan(x); }))
      throw std::runtime_error("a row that does not exist was written");
  }
  return result;
}

EmulatedStage::EmulatedStage(const std::string &text,
                             const std::string &targetName)
    : target(findTarget(targetName)) {
  Diagnostics diagnostics(testContext());
  OwningOpRef<ModuleOp> module =
      parseSourceString<ModuleOp>(text, &testContext());
  diagnostics.check(bool(module), "parsing");
  ScheduleOptions schedule;
  schedule.generate = schedule.prompt = schedule.felt = qz::Activations::F16;
  PassManager passes(&testContext());
  passes.addPass(createVerifyFusedPass());
  buildLayoutPipeline(passes);
  buildSchedulePipeline(passes, schedule);
  diagnostics.check(succeeded(passes.run(*module)), "scheduling");
  lower(*module);
}

EmulatedStage::EmulatedStage(ModuleOp scheduled, const std::string &targetName)
    : target(findTarget(targetName)) {
  lower(scheduled);
}

void EmulatedStage::lower(ModuleOp scheduled) {
  Diagnostics diagnostics(*scheduled.getContext());
  diagnostics.check(target, "finding the target");
  std::vector<GpuKernel> kernels;
  diagnostics.check(
      succeeded(lowerToNVPTX(scheduled, *target, {}, code, kernels)),
      "lowering");
  // Those of steps with several rows want rows that another stores.
  auto isRun = [&](const GpuKernel &kernel) {
    return kernel.outputStride && !kernel.name.starts_with("several_");
  };
  for (const GpuKernel &kernel : kernels)
    if (isRun(kernel))
      matmuls.push_back(kernel);
  PassManager passes(scheduled.getContext());
  buildNVVMPipeline(passes);
  diagnostics.check(succeeded(passes.run(*code.module)), "lowering to nvvm");
  Operation *gpuModule = *code.module->getOps<gpu::GPUModuleOp>().begin();
  original = require(translateToLLVM(gpuModule, llvmContext, *target));
  require(optimizeLLVM(*original, *target));
  // Changes of other kernels would not show.
  for (const GpuKernel &kernel : kernels)
    if (!isRun(kernel))
      original->getFunction(kernel.name)->eraseFromParent();
  restore();
}

bool EmulatedStage::mutate(const std::function<bool(llvm::Module &)> &change) {
  std::unique_ptr<llvm::Module> mutant = llvm::CloneModule(*original);
  if (!change(*mutant))
    return false;
  emulated = require(emulator::EmulatedModule::create(*mutant));
  return true;
}

void EmulatedStage::restore() {
  emulated = require(emulator::EmulatedModule::create(*original));
}

std::vector<std::vector<float>>
EmulatedStage::run(const StageRows &in, const emulator::Launch &options,
                   emulator::Counters *counters, unsigned index) {
  const GpuKernel &kernel = matmuls.at(index);
  size_t rows = in.x->size(), stride = size_t(kernel.outputStride);
  DeviceMemory input = placeRows(in.x, rows, size_t(kernel.inputStride));
  DeviceMemory output = placeRows(in.residual, rows, stride);
  DeviceMemory norm(in.norm ? in.norm->size() * 4 : 0);
  if (in.norm)
    std::copy(in.norm->begin(), in.norm->end(), norm.as<float>());
  StageOperands<void *> at{};
  at.hasNorm = in.norm;
  at.input = input.as<void>();
  at.norm = norm.as<void>();
  at.output = output.as<void>();
  at.rows = uint32_t(rows);
  at.rowsPerBlock = uint32_t(in.rowsPerBlock);

  // Nothing else may be touched, and only the output written.
  std::vector<emulator::Buffer> buffers = {{at.input, input.bytes(), false},
                                           {at.norm, norm.bytes(), false, true},
                                           {at.output, output.bytes(), true}};
  for (const DeviceMemory *weight : in.weights) {
    at.weights.push_back(weight->as<void>());
    buffers.push_back({at.weights.back(), weight->bytes(), false, true});
  }

  emulator::Launch launch = options;
  launch.gridX = kernel.units;
  launch.gridY = (at.rows + at.rowsPerBlock - 1) / at.rowsPerBlock;
  launch.blockX = kernel.threads;
  launch.dynamicSharedBytes =
      kernel.sharedBytes + at.rowsPerBlock * kernel.sharedBytesPerRow;
  launch.startsEarly = code.gpu->startsEarly;
  launch.buffers = buffers;
  require(
      emulated->launch(kernel.name, launch, at.arguments(kernel), counters));

  return takeRows(output, rows, stride, in.columns);
}

std::string EmulatedStage::launch(const emulator::Launch &launch,
                                  void *const *arguments, unsigned index) {
  const GpuKernel &kernel = matmuls.at(index);
  return llvm::toString(emulated->launch(
      kernel.name, launch, {arguments, kernel.parameters.size()}));
}

std::string EmulatedStage::ptx() const {
  std::unique_ptr<llvm::Module> copy = llvm::CloneModule(*original);
  auto text = require(generateCode(*copy, *target, CodeKind::Assembly));
  return std::string(text.begin(), text.end());
}
