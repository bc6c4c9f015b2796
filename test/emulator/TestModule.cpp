//===- TestModule.cpp - Kernels as text -----------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "TestModule.h"

#include "llvm/AsmParser/Parser.h"
#include "llvm/Support/SourceMgr.h"

#include <stdexcept>

using namespace qcc::emulator;

TestModule::TestModule(const std::string &text)
    : context(std::make_unique<llvm::LLVMContext>()) {
  llvm::SMDiagnostic diagnostic;
  module = llvm::parseAssemblyString(
      "target triple = \"nvptx64-nvidia-cuda\"\n" + text, diagnostic, *context);
  if (!module)
    throw std::runtime_error(diagnostic.getMessage().str() + ": " +
                             diagnostic.getLineContents().str());
}

std::unique_ptr<EmulatedModule> TestModule::compile() const {
  auto result = EmulatedModule::create(*module);
  if (!result)
    throw std::runtime_error(llvm::toString(result.takeError()));
  return std::move(*result);
}

std::string TestModule::compileError() const {
  auto result = EmulatedModule::create(*module);
  return result ? "" : llvm::toString(result.takeError());
}

std::string qcc::emulator::textOf(llvm::Error error) {
  return error ? llvm::toString(std::move(error)) : "";
}

unsigned
qcc::emulator::failures(llvm::function_ref<bool(uint32_t seed)> passes) {
  unsigned count = 0;
  for (uint32_t seed = 0; seed < 20; ++seed)
    count += !passes(seed);
  return count;
}

std::string qcc::emulator::substitute(
    std::string text,
    const std::vector<std::pair<std::string, std::string>> &values) {
  for (auto &[name, value] : values)
    for (size_t at = 0; (at = text.find("$" + name, at)) != std::string::npos;
         at += value.size())
      text.replace(at, name.size() + 1, value);
  return text;
}
