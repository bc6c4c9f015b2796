//===- TestContext.h - The dialects of code generation ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_CODEGEN_TESTCONTEXT_H
#define QCC_TEST_UNIT_CODEGEN_TESTCONTEXT_H

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"

#include "llvm/Support/Error.h"

#include <stdexcept>

namespace qcc::test {

/// One context for all tests of a process.
mlir::MLIRContext &testContext();

/// Collects diagnostics while it lives; check() throws them.
class Diagnostics {
public:
  explicit Diagnostics(mlir::MLIRContext &context)
      : handler(&context, [this](mlir::Diagnostic &diagnostic) {
          text += diagnostic.str() + "\n";
          return mlir::success();
        }) {}
  void check(bool ok, const char *what) const {
    if (!ok)
      throw std::runtime_error(std::string(what) + " failed: " + text);
  }

private:
  std::string text;
  mlir::ScopedDiagnosticHandler handler;
};

/// The value, or the error as an exception.
template <typename T>
T require(llvm::Expected<T> value) {
  if (!value)
    throw std::runtime_error(llvm::toString(value.takeError()));
  return std::move(*value);
}
inline void require(llvm::Error error) {
  if (error)
    throw std::runtime_error(llvm::toString(std::move(error)));
}

} // namespace qcc::test

#endif // QCC_TEST_UNIT_CODEGEN_TESTCONTEXT_H
