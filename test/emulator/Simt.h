//===- Simt.h - The threads of one block on one CPU thread -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Each GPU thread is a fiber that runs until it must wait: at a block barrier,
// or in an operation that lanes of its warp do together. Blocks run one after
// the other. What a device leaves open is decided by the seed: the order of
// blocks, which warp and which lane goes on, and when a copy arrives.
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_EMULATOR_SIMT_H
#define QCC_TEST_EMULATOR_SIMT_H

#include "BlockRaces.h"
#include "Fiber.h"
#include "Launch.h"
#include "Patterns.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <cstdarg>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace qcc::emulator {

constexpr unsigned kWarpSize = 32;

struct Dim3 {
  unsigned x = 0, y = 0, z = 0;
};

/// A variable in shared memory, or (without a size) the dynamic part.
struct SharedObject {
  std::string name;
  size_t offset = 0, bytes = 0;
};

/// Which call of the module an operation came from; an index of site names.
using Site = uint32_t;

/// What the lanes of a warp bring to an operation that they do together.
struct Collective {
  uint32_t mask = 0; ///< The lanes that take part.
  const void *operands[kWarpSize] = {};
  void *results[kWarpSize] = {};
};

enum class BarrierReduction { None, Count, And, Or };

class Simt {
public:
  using Body = void (*)(void **arguments);

  Simt();
  ~Simt();
  Simt(const Simt &) = delete;
  Simt &operator=(const Simt &) = delete;

  /// The most shared memory of one block, static and dynamic together, and that
  /// with room between variables.
  static constexpr size_t kSharedBytes = 227 * 1024, kArenaBytes = 512 * 1024;

  /// Where shared memory lies; constant, below 4 GiB (so that an address fits
  /// the 32 bits that it has on a device), and aligned to its size (so that the
  /// low bits, on which swizzles and banks depend, are those of the offset).
  /// Null when memory is short.
  char *sharedMemory() const { return shared; }

  /// Runs a kernel. The dynamic part of shared memory begins at
  /// `dynamicOffset`. `sites` names the calls for messages.
  llvm::Error run(Body body, llvm::ArrayRef<void *> arguments,
                  const Launch &launch, llvm::ArrayRef<SharedObject> objects,
                  size_t dynamicOffset, llvm::ArrayRef<std::string> sites,
                  Counters &counters);

  //===--- For code that runs on a fiber ---------------------------------===//

  Dim3 threadIndex() const;
  Dim3 blockIndex() const { return block; }
  Dim3 blockSize() const { return size; }
  Dim3 gridSize() const { return grid; }
  unsigned lane() const;
  unsigned warp() const;
  unsigned warps() const;
  Counters &count() { return *counters; }

  /// Ends the launch with an error; format as of printf. Nothing on the fiber's
  /// stack is destroyed, so the caller must own nothing there.
  [[noreturn]] void fail(Site site, const char *format, ...)
      __attribute__((format(printf, 3, 4)));

  /// Ends the running thread.
  [[noreturn]] void exit();

  /// Arrives at barrier `id` and, unless only `arrive` is asked for, waits.
  /// `threads` is how many must arrive, 0 for all that have not exited. If
  /// `aligned`, the lanes of a warp must come from one call. A reduction's
  /// value (int32_t for Count, else bool) is written to `result`.
  struct BarrierArrival {
    uint32_t id = 0, threads = 0;
    bool all = true, aligned = true, wait = true;
    BarrierReduction reduction = BarrierReduction::None;
    bool predicate = false;
    void *result = nullptr;
  };
  void barrier(const BarrierArrival &arrival, Site site);

  using Complete = void (*)(Simt &, Collective &, Site);
  /// Waits until the lanes of `mask` that have not exited came to the same
  /// operation with the same mask; the last one calls `complete`.
  void collective(uint32_t mask, Complete complete, const void *operands,
                  void *result, Site site);
  /// The same for all 32 lanes, which must come from one call.
  void wholeWarp(Complete complete, const void *operands, void *result,
                 Site site);

  /// What these lanes did comes before what they do next.
  void orderWarp(uint32_t mask);

  /// Starts an asynchronous copy of `read` bytes, then zeros up to `bytes`.
  void copy(void *to, const void *from, uint32_t bytes, uint32_t read,
            Site site);
  void commitCopies();
  /// Waits for all but the `pending` last committed groups of this thread, and
  /// if `open` for what is not committed.
  void waitForCopies(uint32_t pending, bool open);

  /// Checks an access: its alignment, and that it stays inside one variable of
  /// shared memory or, if the launch lists them, one buffer.
  void checkAccess(const void *address, size_t bytes, size_t alignment,
                   Access access, Site site);
  /// A fence of the whole device.
  void fence();
  /// griddepcontrol.wait.
  void awaitLaunchBefore();
  /// That an access lies in one variable of shared memory; not for races.
  void checkShared(const void *address, size_t bytes, Site site);
  /// A load of shared memory that some lane of this warp does in a collective.
  void noteLoad(unsigned lane, const void *address, size_t bytes, Site site);

private:
  struct Thread;
  struct Warp;
  struct Barrier;

  [[noreturn]] void failIn(const char *place, const char *format,
                           va_list values);
  [[noreturn]] void failAtEnd(const char *format, ...)
      __attribute__((format(printf, 2, 3)));
  static void threadMain(void *thread);
  [[noreturn]] void leave();
  void waitAt(Site site);
  void exitThread();
  void release(unsigned thread);
  void completeBarrier(Barrier &barrier);
  void gather(uint32_t mask, bool aligned, Complete complete,
              const void *operands, void *result, Site site);
  bool completeIfGathered(Warp &warp, size_t pending);
  bool isShared(const void *address) const;
  void checkAlignment(const void *address, size_t bytes, size_t alignment,
                      Site site);
  size_t sharedOffset(const void *address) const;
  /// The variable that an access lies in; fails if there is none.
  const SharedObject &variableOf(const void *address, size_t bytes, Site site);
  void reportRace(const RaceDetector::Event *found, const void *address,
                  size_t bytes, Site site);
  void checkBuffer(const void *address, size_t bytes, Access access, Site site);
  void checkBlocks(const void *address, size_t bytes, Access access, Site site);
  void startBlock();
  int pickThread();
  llvm::Error runBlock();
  llvm::Error failure() const;
  llvm::Error deadlock() const;
  std::string blockName() const;

  char *shared = nullptr;
  FiberStacks stacks;
  std::vector<Thread> threads;
  std::vector<Warp> warpStates;
  std::vector<Barrier> barriers;
  std::vector<unsigned> warpOrder;
  std::mt19937 random;
  bool randomWarps = false;

  void *scheduler = nullptr;
  unsigned current = 0, live = 0;
  Dim3 block, size, grid;
  Body body = nullptr;
  std::vector<void *> arguments;
  CopyTiming copyTiming = CopyTiming::AtWait;
  size_t sharedEnd = 0;
  std::vector<SharedObject> sharedObjects;
  llvm::ArrayRef<std::string> siteNames;
  llvm::ArrayRef<Buffer> buffers;
  bool findRaces = false, startsEarly = false;
  RaceDetector races;
  BlockRaces blockRaces{races};
  bool countPatterns = false;
  AccessPatterns patterns;
  Counters *counters = nullptr;
  bool failed = false;
  char message[512];
};

} // namespace qcc::emulator

#endif // QCC_TEST_EMULATOR_SIMT_H
