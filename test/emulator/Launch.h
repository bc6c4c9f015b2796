//===- Launch.h - What a launch is given and what it counts ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_EMULATOR_LAUNCH_H
#define QCC_TEST_EMULATOR_LAUNCH_H

#include "llvm/ADT/ArrayRef.h"

#include <cstddef>
#include <cstdint>

namespace qcc::emulator {

/// When an asynchronous copy happens. A device may choose any time between the
/// copy's issue and the wait that covers it, so a right kernel gives the same
/// result for each of these.
enum class CopyTiming {
  AtWait,  ///< As late as possible: a missing wait leaves poison.
  AtIssue, ///< At once: a buffer refilled while others read it shows up.
  Random,  ///< One of the two, chosen for each copy.
};

/// Global memory that a kernel may use.
struct Buffer {
  const void *data = nullptr;
  size_t bytes = 0;
  bool writable = true;
  /// No launch ever writes it, so that it may be read before
  /// griddepcontrol.wait.
  bool constant = false;
};

struct Launch {
  unsigned gridX = 1, gridY = 1, gridZ = 1;
  unsigned blockX = 1, blockY = 1, blockZ = 1;
  size_t dynamicSharedBytes = 0;
  /// Chooses the order of blocks, warps and lanes. The same seed repeats a run.
  uint32_t seed = 0;
  CopyTiming copies = CopyTiming::AtWait;
  /// Whether it is an error if no barrier orders two accesses to the same
  /// shared memory, or if a copy that was not waited for may still write there.
  /// Without this, such faults show only by what they do to the results.
  bool findRaces = true;
  /// Whether to count requests, conflicts and sectors (at some cost in time).
  bool countPatterns = false;
  /// Whether the launch may begin before the one before it has ended. A thread
  /// that touches a buffer that is not constant before griddepcontrol.wait, or
  /// that ends without it, is an error then. Needs the buffers.
  bool startsEarly = false;
  /// If any are given, an access to other memory (but shared memory, the
  /// module's variables and the thread's own) is an error, as is a store to one
  /// that is not writable.
  llvm::ArrayRef<Buffer> buffers = {};
};

/// What happened in one launch, over all blocks.
struct Counters {
  uint64_t blocks = 0;
  uint64_t barriers = 0;     ///< Completed block barriers.
  uint64_t warpBarriers = 0; ///< Completed bar.warp.sync.
  uint64_t exchanges = 0;    ///< Completed shuffles, votes and reductions.
  uint64_t matrixLoads = 0;  ///< ldmatrix, once per warp.
  /// Shared-memory cycles of ldmatrix beyond one for each 8 x 8 matrix.
  uint64_t matrixLoadConflicts = 0;
  uint64_t mmas = 0; ///< mma.sync, once per warp.
  /// Asynchronous copies of 4, 8 and 16 bytes, once per thread.
  uint64_t copies4 = 0, copies8 = 0, copies16 = 0;
  /// Bytes that asynchronous copies read from global memory.
  uint64_t copiedBytes = 0;
  /// Of these, where copies were begun before griddepcontrol.wait.
  uint64_t earlyCopiedBytes = 0;
  /// Loads and stores that were checked, once per thread.
  uint64_t accesses = 0;

  // With countPatterns, of loads and stores by warps:
  /// To shared memory, and their cycles beyond one for each 128 bytes.
  uint64_t sharedRequests = 0, sharedConflicts = 0;
  /// To global memory (copies too), the 32-byte sectors that they touch, and
  /// the bytes that they ask for; 32 sectors / bytes is 1 at best.
  uint64_t globalRequests = 0, globalSectors = 0, globalBytes = 0;
};

} // namespace qcc::emulator

#endif // QCC_TEST_EMULATOR_LAUNCH_H
