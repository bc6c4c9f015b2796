//===- Payload.h - Adds a weights segment to a linked ELF file --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// How the weights get into the file without passing through a linker:
//
//   linked image                      artefact
//   +--------------------+           +--------------------+ 0
//   | headers            |           | headers            |  one PT_NOTE became
//   | R, RX, RW segments |    =>     | R, RX, RW segments |  PT_LOAD(weights)
//   | symbols            |           | symbols            |
//   | section headers    |           | zeros              |
//   +--------------------+           +--------------------+ payloadOffset()
//                                    | weights, footer    |  page-aligned
//                                    +--------------------+ tailOffset()
//                                    | section names      |
//                                    | section headers    |  + .qcc.weights
//                                    +--------------------+ fileSize()
//
// The program header table cannot grow in a linked file. The entry of the ELF
// note is free to be reused: code reads the payload note by its symbol, and
// tools find the copy by its section. The section of the weights makes strip
// and objcopy keep the segment.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_PACKAGE_PAYLOAD_H
#define QCC_LIB_PACKAGE_PAYLOAD_H

#include "qcc-rt/qcc_payload.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <array>
#include <cstdint>
#include <string>

namespace qcc {

/// Weights beyond this cannot be addressed on x86-64 anyway; below it no sum of
/// offsets in this library can overflow.
constexpr uint64_t maxWeightBytes = uint64_t(1) << 46;

/// BLAKE3 of the weights.
using WeightHash = std::array<uint8_t, 32>;

/// A linked image with room for weights, in memory but for the weights.
class PayloadImage {
public:
  /// Takes the bytes of a linked file that holds the payload note, and makes
  /// room for `weightBytes` bytes of weights and their footer (0: none are
  /// embedded; at most maxWeightBytes).
  static llvm::Expected<PayloadImage> create(llvm::StringRef image,
                                             uint64_t weightBytes);

  /// Completes both notes. `fileName` is empty for embedded weights.
  void describe(uint64_t bytes, const WeightHash &hash,
                llvm::StringRef fileName);

  llvm::StringRef head() const { return headBytes; }
  llvm::StringRef tail() const { return tailBytes; }
  uint64_t payloadOffset() const { return payload; }
  uint64_t tailOffset() const { return payload + embedded; }
  uint64_t fileSize() const { return tailOffset() + tailBytes.size(); }

private:
  PayloadImage() = default;

  std::string headBytes, tailBytes;
  uint64_t payload = 0;      // file offset of the weights
  uint64_t embedded = 0;     // their size, footer included
  uint64_t recordOffset = 0; // file offsets of the payload note and its copy
  uint64_t noteOffset = 0;
  int64_t delta = 0; // from the payload note to the weights, in memory
};

} // namespace qcc

#endif // QCC_LIB_PACKAGE_PAYLOAD_H
