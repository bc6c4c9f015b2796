//===- EmulatedStage.h - A matmul stage of a GPU in the emulator -*- C++ -*-==//
// SPDX-License-Identifier: Apache-2.0
//
// Takes a module in the fused form through layout, schedule and the GPU's code
// generation, up to the LLVM IR that goes to NVPTX, and runs one of its kernels
// on the CPU as a driver would launch it.
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_CODEGEN_EMULATEDSTAGE_H
#define QCC_TEST_UNIT_CODEGEN_EMULATEDSTAGE_H

#include "qcc/Codegen/NVPTX/LowerToNVPTX.h"
#include "qcc/Formats/Encoding.h"
#include "Emulator.h"

#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace qcc::test {

/// Memory as a driver gives it: aligned to 256 bytes.
class DeviceMemory {
public:
  explicit DeviceMemory(size_t bytes);
  size_t bytes() const { return size; }
  template <typename T>
  T *as() const {
    return reinterpret_cast<T *>(memory.get());
  }

private:
  struct Free {
    void operator()(uint8_t *memory) const { free(memory); }
  };
  size_t size;
  std::unique_ptr<uint8_t[], Free> memory;
};

/// A weight in R16K4.
DeviceMemory packWeight(const Encoding &encoding,
                        const std::vector<Fields> &rows, size_t k);

/// Rows `stride` bytes apart and one more, all NaN but for `values`, which may
/// be null.
DeviceMemory placeRows(const std::vector<std::vector<float>> *values,
                       size_t rows, size_t stride);
/// The first `columns` of each row. Throws std::runtime_error when the row
/// after the last was written.
std::vector<std::vector<float>> takeRows(const DeviceMemory &memory,
                                         size_t rows, size_t stride,
                                         size_t columns);

/// What a launch works on. Rows lie as the kernel's strides say; the output
/// starts as NaN but where the residual is added in place.
struct StageRows {
  const std::vector<std::vector<float>> *x = nullptr;
  const std::vector<float> *norm = nullptr;
  std::vector<const DeviceMemory *> weights;
  const std::vector<std::vector<float>> *residual = nullptr;
  size_t columns = 0; ///< Of the result.
  unsigned rowsPerBlock = 8;
};

/// Where the operands of a launch lie, as addresses of the host or of a device.
template <typename Address>
struct StageOperands {
  Address input, norm, output;
  std::vector<Address> weights;
  uint32_t rows, rowsPerBlock;
  bool hasNorm = false;

  /// One pointer to each of the kernel's arguments, which lie in here.
  std::vector<void *> arguments(const GpuKernel &kernel);
};

template <typename Address>
std::vector<void *> StageOperands<Address>::arguments(const GpuKernel &kernel) {
  // The rows and their norm, the activations, which have no place, then the
  // weights and the residual.
  std::vector<void *> operands = {&input};
  if (hasNorm)
    operands.push_back(&norm);
  operands.push_back(nullptr);
  for (Address &weight : weights)
    operands.push_back(&weight);
  operands.push_back(&output);
  std::vector<void *> list;
  for (const KernelParameter &parameter : kernel.parameters) {
    if (parameter.kind == KernelParameter::Operand)
      list.push_back(operands.at(parameter.index));
    else if (parameter.index == QCC_GPU_COUNT)
      list.push_back(&rows);
    else if (parameter.index == QCC_GPU_ROWS_PER_BLOCK)
      list.push_back(&rowsPerBlock);
    else // The result, which may be the logits.
      list.push_back(&output);
  }
  return list;
}

class EmulatedStage {
public:
  /// Throws std::runtime_error with the diagnostics on an error.
  EmulatedStage(const std::string &module, const std::string &target);
  /// The stages of a module that has gone through the schedule.
  EmulatedStage(mlir::ModuleOp scheduled, const std::string &target);

  /// Of the matmuls, in the order in which a step first needs them.
  const GpuKernel &kernel(unsigned index = 0) const {
    return matmuls.at(index);
  }

  /// Changes the IR before it is run; false when `change` found no place.
  bool mutate(const std::function<bool(llvm::Module &)> &change);
  /// Takes the changes back.
  void restore();

  /// Rows of the result. Throws std::runtime_error when the emulator stops.
  std::vector<std::vector<float>> run(const StageRows &rows,
                                      const emulator::Launch &options,
                                      emulator::Counters *counters = nullptr,
                                      unsigned index = 0);

  /// One launch of a kernel; empty, or why the emulator stopped.
  std::string launch(const emulator::Launch &launch, void *const *arguments,
                     unsigned index = 0);

  /// PTX of the unchanged kernels.
  std::string ptx() const;

private:
  void lower(mlir::ModuleOp scheduled);

  const TargetSpec *target;
  ModelCode code;
  std::vector<GpuKernel> matmuls;
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> original;
  std::unique_ptr<emulator::EmulatedModule> emulated;
};

} // namespace qcc::test

#endif // QCC_TEST_UNIT_CODEGEN_EMULATEDSTAGE_H
