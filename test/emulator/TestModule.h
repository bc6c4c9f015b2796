//===- TestModule.h - Kernels as text --------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_EMULATOR_TESTMODULE_H
#define QCC_TEST_EMULATOR_TESTMODULE_H

#include "Emulator.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"

#include <cstdint>
#include <string>
#include <vector>

namespace qcc::emulator {

/// A module for NVPTX from LLVM IR without triple and layout.
class TestModule {
public:
  explicit TestModule(const std::string &text);

  llvm::Module &operator*() { return *module; }

  /// Compiles the module as it is now; throws what() if that fails.
  std::unique_ptr<EmulatedModule> compile() const;
  /// The error of compiling it; empty if there is none.
  std::string compileError() const;

private:
  std::unique_ptr<llvm::LLVMContext> context;
  std::unique_ptr<llvm::Module> module;
};

/// The error's text; empty if there is none.
std::string textOf(llvm::Error error);

/// Launches with arguments that are pointers to data, or values.
template <typename... T>
std::string launch(EmulatedModule &module, const char *kernel,
                   const Launch &options, Counters *counters, T... arguments) {
  void *pointers[] = {static_cast<void *>(&arguments)..., nullptr};
  return textOf(module.launch(
      kernel, options, llvm::ArrayRef(pointers, sizeof...(T)), counters));
}

/// How many of 20 seeds a test fails for.
unsigned failures(llvm::function_ref<bool(uint32_t seed)> passes);

/// The text with each $name replaced.
std::string
substitute(std::string text,
           const std::vector<std::pair<std::string, std::string>> &values);

} // namespace qcc::emulator

#endif // QCC_TEST_EMULATOR_TESTMODULE_H
