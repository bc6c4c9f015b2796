//===- WeightReads.h - Which thread reads which weights ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Takes the weights' pages away before each turn of a thread and gives each one
// back when the thread reaches for it. What a turn read is exact to a page,
// whatever the code does with it; prefetching does not count.
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_CODEGEN_WEIGHTREADS_H
#define QCC_TEST_UNIT_CODEGEN_WEIGHTREADS_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace qcc::test {

/// While one exists, reads of the weights raise SIGSEGV, which it handles. One
/// at a time, and only one thread may run.
class WeightReads {
public:
  /// `weights` begin a page, and have the rest of their last one.
  explicit WeightReads(std::span<uint8_t> weights);
  ~WeightReads();
  WeightReads(const WeightReads &) = delete;
  WeightReads &operator=(const WeightReads &) = delete;

  /// `thread` runs from here on.
  void begin(unsigned thread);

  /// The threads that read any whole page of [offset, offset + bytes) in a turn
  /// of theirs, one for each such turn, in order.
  std::vector<unsigned> readers(size_t offset, size_t bytes) const;

  static constexpr size_t kPage = 4096;

private:
  struct Turn {
    unsigned thread;
    std::vector<uint8_t> read; ///< Of each page, whether it was.
  };

  std::span<uint8_t> weights;
  std::vector<Turn> turns;
};

} // namespace qcc::test

#endif // QCC_TEST_UNIT_CODEGEN_WEIGHTREADS_H
