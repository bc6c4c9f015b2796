//===- Emulator.h - GPU code on the CPU ------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Runs the LLVM IR that goes to NVPTX on the CPU, so that its numbers, its
// synchronization and its use of memory are tested where there is no GPU. It
// shows missing waits and barriers, races in shared memory and between blocks,
// deadlocks, divergence, misaligned accesses and accesses outside shared
// memory. Blocks run one after the other: one that waits for another never
// ends, and races in global memory are looked for between blocks alone. It
// cannot show speed.
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_EMULATOR_EMULATOR_H
#define QCC_TEST_EMULATOR_EMULATOR_H

#include "Launch.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <memory>

namespace llvm {
class Module;
}

namespace qcc::emulator {

/// One launch at a time per object; objects are independent of each other.
class EmulatedModule {
public:
  using Launch = emulator::Launch;
  using Counters = emulator::Counters;

  /// Compiles the kernels (functions of the ptx_kernel convention) of a module
  /// as it goes to NVPTX; the module itself is not changed. The error names the
  /// intrinsic, inline assembly or other construct that is not supported.
  static llvm::Expected<std::unique_ptr<EmulatedModule>>
  create(const llvm::Module &nvptxModule);
  ~EmulatedModule();

  /// Runs all blocks of a kernel and returns when they are done. `arguments`
  /// points to the value of each argument, as cuLaunchKernel takes them; device
  /// pointers are plain pointers. `counters`, if given, is set. After an error,
  /// which says what went wrong and where, results are undefined.
  llvm::Error launch(llvm::StringRef kernel, const Launch &launch,
                     llvm::ArrayRef<void *> arguments,
                     Counters *counters = nullptr);

private:
  struct Parts;
  explicit EmulatedModule(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts;
};

} // namespace qcc::emulator

#endif // QCC_TEST_EMULATOR_EMULATOR_H
