//===- EmulatedProgram.h - A GPU's launch program in the emulator -*- C++ -*-=//
// SPDX-License-Identifier: Apache-2.0
//
// What --emit=ptx would write of a module that has gone through the schedule,
// run on the CPU launch by launch as qcc_gpu.h says. Each launch may touch
// nothing but what its operands name.
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_CODEGEN_EMULATEDPROGRAM_H
#define QCC_TEST_UNIT_CODEGEN_EMULATEDPROGRAM_H

#include "qcc/Codegen/NVPTX/LowerToNVPTX.h"
#include "Emulator.h"

#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace qcc::test {

/// Sizes of what a qcc_step_v1 points to.
struct StepSizes {
  uint64_t weights = 0, sequences = 0, pages = 0;
};

class EmulatedProgram {
public:
  /// Throws std::runtime_error with the diagnostics on an error.
  EmulatedProgram(mlir::ModuleOp scheduled, const TargetSpec &target,
                  const NVPTXOptions &options);

  const ModelCode &code() const { return model; }
  /// What run() follows; tests may change it.
  std::vector<Launch> launches;
  /// The same for prompt steps, where they have launches of their own.
  std::vector<Launch> promptLaunches;
  /// The same for generating steps with several rows.
  std::vector<Launch> severalLaunches;

  /// Runs a step whose pointers are those of the host, each time in another
  /// order of blocks and warps. Throws std::runtime_error when the emulator
  /// stops.
  void run(const qcc_step_v1 &step, const StepSizes &sizes);

  /// Of the kernels of the last step, by name, with patterns if asked for.
  std::map<std::string, emulator::Counters> counters;
  bool countPatterns = false;

  /// Changes the IR before it is run; false when `change` found no place.
  bool mutate(const std::function<bool(llvm::Module &)> &change);
  /// Takes the changes back.
  void restore();

private:
  ModelCode model;
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> original;
  std::unique_ptr<emulator::EmulatedModule> emulated;
  uint32_t seed = 0;
};

} // namespace qcc::test

#endif // QCC_TEST_UNIT_CODEGEN_EMULATEDPROGRAM_H
