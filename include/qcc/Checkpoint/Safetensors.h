//===- Safetensors.h - Reader of safetensors files --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
//   u64 length, length bytes of JSON, data
//
// The JSON names each tensor's type, shape and bytes of the data. Every number
// is checked: sizes are those of type and shape, tensors neither overlap nor
// leave holes, and the last one ends with the file. Stricter than the format's
// own library where nothing real is lost: no name or key occurs twice, and
// names hold no control characters.
//===----------------------------------------------------------------------===//

#ifndef QCC_CHECKPOINT_SAFETENSORS_H
#define QCC_CHECKPOINT_SAFETENSORS_H

#include "qcc/Support/Error.h"
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace qcc {

/// A type of the format.
struct SafetensorsType {
  const char *name; ///< "BF16".
  unsigned bits;    ///< Of an element.
};

/// One tensor of a file.
struct SafetensorsEntry {
  std::string name;
  const SafetensorsType *type = nullptr; ///< Static.
  /// As in the file: the last dimension is contiguous. A dimension may be 0.
  std::vector<uint64_t> shape;
  uint64_t offset = 0; ///< Of the first byte, in the file. Not aligned.
  uint64_t bytes = 0;
};

/// "[4, 512]".
std::string shapeText(const std::vector<uint64_t> &shape);

/// True when the file can be nothing else: a plausible length and a brace.
bool isSafetensors(std::span<const uint8_t> bytes);

/// Reads the header. `path` is named in errors. Entries come in order of their
/// data.
Result<std::vector<SafetensorsEntry>>
readSafetensors(const std::string &path, std::span<const uint8_t> bytes);

} // namespace qcc

#endif // QCC_CHECKPOINT_SAFETENSORS_H
