//===- Ptx.h - PTX as a module that the emulator runs -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Reads the text that a compiled model carries, so that tests run what a driver
// would be given, and not what it was made of. Known is the part of PTX that
// qcc writes; the rest is an error that names it.
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_EMULATOR_PTX_H
#define QCC_TEST_EMULATOR_PTX_H

#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>
#include <vector>

namespace qcc::emulator {

struct PtxKernel {
  std::string name;
  std::vector<size_t> parameterBytes;
  unsigned threads = 0; ///< Most of a block; 0 where it is not said.
};

struct PtxModule {
  /// For EmulatedModule::create().
  std::unique_ptr<llvm::Module> module;
  std::vector<PtxKernel> kernels;
  std::string target; ///< "sm_86"
};

llvm::Expected<PtxModule> readPtx(llvm::StringRef text,
                                  llvm::LLVMContext &context);

} // namespace qcc::emulator

#endif // QCC_TEST_EMULATOR_PTX_H
