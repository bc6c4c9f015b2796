//===- TileEmulation.h - AMX on machines that have none ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Replaces the intrinsics of tile registers in a module by calls of functions
// that do what the manual says of each instruction, so that a kernel for them
// runs on any CPU that has the rest of its instructions. A tile knows its
// shape: an operand that the hardware would refuse is an error.
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_CODEGEN_TILEEMULATION_H
#define QCC_TEST_UNIT_CODEGEN_TILEEMULATION_H

#include "llvm/IR/Module.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace qcc::test {

/// Rewrites all of `module`. Throws std::runtime_error at an intrinsic or a use
/// of a tile that it does not know.
void emulateTiles(llvm::Module &module);

/// What rewritten modules call.
std::vector<std::pair<const char *, void *>> tileFunctions();

/// Products of tiles since the start of the process.
uint64_t tileProductCount();
/// The first refusal since the last call; empty if there was none.
std::string takeTileFault();

} // namespace qcc::test

#endif // QCC_TEST_UNIT_CODEGEN_TILEEMULATION_H
