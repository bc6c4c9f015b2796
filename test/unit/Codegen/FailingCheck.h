//===- FailingCheck.h - Whether a check of gtest fails ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_CODEGEN_FAILINGCHECK_H
#define QCC_TEST_UNIT_CODEGEN_FAILINGCHECK_H

#include "llvm/ADT/STLFunctionalExtras.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace qcc::test {

/// Whether `check` fails an assertion, which the test that calls this does not,
/// or throws. For faults that are planted.
inline bool fails(llvm::function_ref<void()> check) {
  testing::TestPartResultArray results;
  testing::ScopedFakeTestPartResultReporter reporter(
      testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD,
      &results);
  try {
    check();
  } catch (const std::runtime_error &) {
    return true;
  }
  for (int i = 0; i < results.size(); ++i)
    if (results.GetTestPartResult(i).failed())
      return true;
  return false;
}

} // namespace qcc::test

#endif // QCC_TEST_UNIT_CODEGEN_FAILINGCHECK_H
