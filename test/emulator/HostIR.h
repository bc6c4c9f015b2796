//===- HostIR.h - A module for NVPTX, rewritten for the host ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_EMULATOR_HOSTIR_H
#define QCC_TEST_EMULATOR_HOSTIR_H

#include "AddressSpaces.h"

#include "llvm/ADT/StringSet.h"

namespace qcc::emulator {

struct HostKernel {
  std::string name;
  std::string
      entry; ///< void entry(void **arguments), one thread of the kernel.
  unsigned arguments = 0;
  unsigned mostThreads = 0; ///< From nvvm.maxntid; 0 if not given.
  bool exact = false;       ///< From nvvm.reqntid: as many as mostThreads.
};

struct HostModule {
  std::unique_ptr<llvm::LLVMContext> context;
  std::unique_ptr<llvm::Module> module;
  std::vector<HostKernel> kernels;
  std::vector<SharedVariable> shared;
  std::vector<GlobalVariableSymbol> variables;
  /// Names of the calls for messages; a call passes its index.
  std::vector<std::string> sites;
  /// Entries of Intrinsics.h that the module calls as kEntryPrefix + name.
  llvm::StringSet<> entries;
};

inline constexpr llvm::StringLiteral kEntryPrefix = "emulator.entry.";
/// void(Simt *, const void *, uint64_t bytes, uint32_t alignment, Access, Site)
inline constexpr llvm::StringLiteral kCheckSymbol = "emulator.check";
/// void(Simt *): a fence of the whole device, or of more.
inline constexpr llvm::StringLiteral kFenceSymbol = "emulator.fence";
/// Its address is that of the Simt.
inline constexpr llvm::StringLiteral kSimtSymbol = "emulator.simt";

/// Copies `source` into a context of its own and rewrites it: plain pointers,
/// calls of entries instead of intrinsics and inline assembly, and a check
/// before each load and store. The error names what is not supported.
llvm::Expected<HostModule> rewriteForHost(const llvm::Module &source,
                                          const llvm::DataLayout &layout,
                                          const llvm::Triple &triple);

} // namespace qcc::emulator

#endif // QCC_TEST_EMULATOR_HOSTIR_H
