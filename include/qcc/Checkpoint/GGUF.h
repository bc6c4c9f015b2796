//===- GGUF.h - Reader of GGUF files ----------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Reads GGUF version 2 and 3, little endian, as one file or split in parts
// named `name-00001-of-0000N.gguf`. Every number is checked against the real
// size of the file before it is used: a bad file always gives an error, never
// a crash, a large allocation or a read outside the file.
//
// Stricter than the format where nothing real is lost: keys and tensor names
// must be UTF-8 without control characters, tensors must not overlap, no
// dimension may be 0, arrays do not nest, bools are 0 or 1.
//===----------------------------------------------------------------------===//

#ifndef QCC_CHECKPOINT_GGUF_H
#define QCC_CHECKPOINT_GGUF_H

#include "qcc/Checkpoint/Checkpoint.h"

namespace qcc {

/// True when the file starts with the GGUF magic.
bool isGGUF(std::span<const uint8_t> bytes);

/// Opens a GGUF file. Given any part of a split model, finds the others beside
/// it, in the same folder.
Result<Checkpoint> openGGUF(const std::string &path);

/// Bytes of one file that the caller keeps for as long as the checkpoint.
struct GGUFPart {
  std::string name; ///< Named in errors.
  std::span<const uint8_t> bytes;
};

/// Reads a GGUF model from memory. `parts` are all parts, in order.
Result<Checkpoint> parseGGUF(const std::vector<GGUFPart> &parts);

} // namespace qcc

#endif // QCC_CHECKPOINT_GGUF_H
