//===- MutantCheck.h - Whether a check notices planted faults ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_CODEGEN_MUTANTCHECK_H
#define QCC_TEST_UNIT_CODEGEN_MUTANTCHECK_H

#include "EmulatedProgram.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"

#include <gtest/gtest.h>

namespace qcc::test {

/// A kind of fault. `plant` plants the fault of that number, counted from 0,
/// and says whether there is one.
struct Mutant {
  const char *name;
  bool (*plant)(llvm::Module &module, unsigned number);
};

/// Expects each fault of each kind to be caught, at least one of each, and the
/// program as it is not to be.
inline void expectCaught(EmulatedProgram &program,
                         llvm::ArrayRef<Mutant> mutants,
                         llvm::function_ref<bool()> isCaught) {
  ASSERT_FALSE(isCaught());
  for (const Mutant &mutant : mutants) {
    unsigned count = 0;
    while (program.mutate(
        [&](llvm::Module &module) { return mutant.plant(module, count); })) {
      EXPECT_TRUE(isCaught()) << mutant.name << ' ' << count;
      ++count;
    }
    EXPECT_GT(count, 0u) << mutant.name;
  }
  program.restore();
  EXPECT_FALSE(isCaught());
}

} // namespace qcc::test

#endif // QCC_TEST_UNIT_CODEGEN_MUTANTCHECK_H
