//===- Arena.h - Static places for buffers ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_REFERENCE_ARENA_H
#define QCC_LIB_CODEGEN_REFERENCE_ARENA_H

#include <cstdint>
#include <map>

namespace qcc {

/// Hands out byte ranges of one block of memory, first fit, 64-aligned.
class Arena {
public:
  uint64_t allocate(uint64_t bytes);
  /// `offset` came from allocate() with the same `bytes`.
  void release(uint64_t offset, uint64_t bytes);
  /// Bytes of memory that all ranges fit in.
  uint64_t size() const { return end; }

private:
  std::map<uint64_t, uint64_t> free; ///< Offset to bytes; no two adjacent.
  uint64_t end = 0;
};

} // namespace qcc

#endif // QCC_LIB_CODEGEN_REFERENCE_ARENA_H
