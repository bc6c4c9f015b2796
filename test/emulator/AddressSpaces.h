//===- AddressSpaces.h - One flat address space ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_EMULATOR_ADDRESSSPACES_H
#define QCC_TEST_EMULATOR_ADDRESSSPACES_H

#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>
#include <vector>

namespace qcc::emulator {

constexpr unsigned kSharedSpace = 3;

/// A variable that was in shared memory and is now an external symbol.
struct SharedVariable {
  std::string name;   ///< In the source, for messages.
  std::string symbol; ///< In the new module.
  size_t bytes = 0;   ///< 0: the dynamic part of shared memory.
  size_t alignment = 1;
};

/// A variable in global memory, which code may also reach by its address.
struct GlobalVariableSymbol {
  std::string symbol; ///< In the new module.
  size_t bytes = 0;
};

struct FlatModule {
  std::unique_ptr<llvm::Module> module;
  std::vector<SharedVariable> shared;
  std::vector<GlobalVariableSymbol> variables;
};

/// Copies a module so that all pointers are plain ones of a host with the given
/// layout and triple. Kernels keep their names and get the C convention.
llvm::Expected<FlatModule> flattenAddressSpaces(llvm::Module &source,
                                                const llvm::DataLayout &layout,
                                                const llvm::Triple &triple);

} // namespace qcc::emulator

#endif // QCC_TEST_EMULATOR_ADDRESSSPACES_H
