//===- Ptxas.h - Machine code for GPUs by NVIDIA's assembler ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// PTX is compiled by the driver when a model first runs on a machine. Where
// NVIDIA's toolkit is at hand while a model is compiled, its assembler can do
// that ahead of time.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_DRIVER_PTXAS_H
#define QCC_LIB_DRIVER_PTXAS_H

#include "qcc/Codegen/Common/LaunchProgram.h"
#include "qcc/Codegen/Common/Target.h"

#include "llvm/Support/Error.h"

namespace qcc {

class Ptxas {
public:
  /// Finds the assembler: the program of that path or, for "auto", `ptxas` on
  /// the PATH, then of the toolkit that CUDA_PATH or CUDA_HOME names, then of
  /// the one that is installed. It is run once, for its version.
  static llvm::Expected<Ptxas> find(llvm::StringRef name);

  /// Assembles PTX that was made for `target`.
  llvm::Expected<GpuImage> assemble(const TargetSpec &target,
                                    llvm::StringRef ptx) const;

private:
  std::string path;
  uint32_t cudaMajor = 0;
};

} // namespace qcc

#endif // QCC_LIB_DRIVER_PTXAS_H
