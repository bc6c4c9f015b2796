//===- ConfigReader.h - Keys of a checkpoint, checked -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_IMPORT_CONFIGREADER_H
#define QCC_LIB_IMPORT_CONFIGREADER_H

#include "qcc/Import/Architecture.h"
#include "qcc/Import/NameTable.h"

#include <optional>

namespace qcc {

/// Most positions of a context, which no known model comes near.
constexpr uint32_t kMaxContext = 1u << 24;

/// Reads keys of one checkpoint and remembers the first error.
class ConfigReader {
public:
  ConfigReader(const Checkpoint &checkpoint, const Architecture &arch);

  /// The key of `names` that is there; else the first one, or "".
  std::string find(const KeyNames &names) const;
  /// Whether the checkpoint or the family's defaults have it.
  bool has(const KeyNames &names) const {
    return checkpoint.has(find(names)) || defaultOf(names);
  }

  /// 1 to `limit`.
  uint32_t count(const KeyNames &names, uint32_t limit);
  /// 0 to `limit`; 0 also without the key.
  uint32_t countOrZero(const KeyNames &names, uint32_t limit);
  uint32_t countOr(const KeyNames &names, uint32_t fallback, uint32_t limit) {
    return has(names) ? count(names, limit) : fallback;
  }
  /// Positive and finite.
  float real(const KeyNames &names);
  float realOr(const KeyNames &names, float fallback) {
    return has(names) ? real(names) : fallback;
  }
  float realOrZero(const KeyNames &names);
  /// Whether the checkpoint says that there is none of it.
  bool isNull(const KeyNames &names) const;
  /// "" without the key.
  std::string text(const KeyNames &names);
  bool flag(const KeyNames &names);
  bool flagOr(const KeyNames &names, bool fallback) {
    return has(names) ? flag(names) : fallback;
  }
  /// `count` positive, finite numbers; none on an error.
  std::vector<float> reals(const KeyNames &names, size_t count);
  /// Of each layer, from an array of names of kinds, whether it is of the
  /// second of these.
  std::vector<bool> layerKinds(const KeyNames &names, size_t layers,
                               const std::array<std::string_view, 2> &kinds);
  /// Of each layer, from an array of flags or numbers, whether it is not 0.
  std::vector<bool> layerFlags(const KeyNames &names, size_t layers);
  bool isFlag(const KeyNames &names) const {
    const Value *value = checkpoint.findMetadata(find(names));
    return value && value->type() == ValueType::Bool;
  }
  /// Of each layer, whether an array of numbers of layers has it.
  std::vector<bool> layerSet(const KeyNames &names, size_t layers);
  bool isArray(const KeyNames &names) const {
    const Value *value = checkpoint.findMetadata(find(names));
    return value && value->isArray();
  }

  void fail(const std::string &message) {
    if (!error)
      error = checkpoint.configError(message);
  }
  /// An error about a key.
  void fail(const KeyNames &names, const std::string &message) {
    fail("key " + quoted(find(names)) + ": " + message);
  }

  Error error;

private:
  /// Of the file, or the family's default.
  uint32_t numberOf(const KeyNames &names);
  std::optional<double> defaultOf(const KeyNames &names) const;
  template <typename T>
  T take(Result<T> result);

  const Checkpoint &checkpoint;
  std::string prefix;
  const std::vector<std::pair<std::string_view, double>> *defaults;
};

} // namespace qcc

#endif // QCC_LIB_IMPORT_CONFIGREADER_H
