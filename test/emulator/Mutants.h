//===- Mutants.h - Faults to plant in GPU code -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Each function changes one place of a module that goes to NVPTX, the n-th
// (from 0, in the order of the text) of its kind, and says whether there was
// one. A test of a kernel is good if it fails for each of them.
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_EMULATOR_MUTANTS_H
#define QCC_TEST_EMULATOR_MUTANTS_H

#include "llvm/ADT/StringRef.h"

namespace llvm {
class Module;
}

namespace qcc::emulator {

/// Removes a barrier of the block (one without a reduction).
bool dropBarrier(llvm::Module &module, unsigned index);

/// The same among those of one kernel alone.
bool dropBarrierOf(llvm::Module &module, llvm::StringRef kernel,
                   unsigned index);

/// Removes a bar.warp.sync.
bool dropWarpBarrier(llvm::Module &module, unsigned index);

/// Removes a fence.
bool dropFence(llvm::Module &module, unsigned index);

/// Removes a griddepcontrol.wait, or moves it behind all that its kernel does.
bool dropGridWait(llvm::Module &module, unsigned index);
bool delayGridWait(llvm::Module &module, unsigned index);

/// Lets cp.async.wait_group leave one group more unfinished; a wait for all
/// copies becomes one that leaves one group.
bool weakenWait(llvm::Module &module, unsigned index);

/// Exchanges the nibbles of each byte before a mask of single nibbles, such as
/// 0x0f0f0f0f or 0x00f000f0, in an `and` or in lop3: each weight is then
/// decoded from its neighbour's bits.
bool swapNibbles(llvm::Module &module, unsigned index);

} // namespace qcc::emulator

#endif // QCC_TEST_EMULATOR_MUTANTS_H
