//===- Json.h - JSON files of a model's folder ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_JSON_H
#define QCC_LIB_CHECKPOINT_JSON_H

#include "qcc/Checkpoint/Checkpoint.h"
#include <nlohmann/json.hpp>

namespace qcc {

using Json = nlohmann::json;

/// Parses a file that must be one JSON object. Fails, naming the file and the
/// byte, on what is no JSON, on a key that occurs twice in an object, on depth
/// above 32, and on files above `maxBytes`. Nothing recurses.
Result<Json> parseJsonObject(const Checkpoint::File &file, size_t maxBytes);

/// Appends an object's members as metadata: "a": {"b": 1} becomes
/// "<prefix>a.b". Arrays of numbers of a kind, of bools or of strings stay
/// arrays; the members of others are numbered ("a.0.b"). A null is as good as
/// absent, but that its key is appended to `nulls`.
void flattenJson(const Json &object, const std::string &prefix, TextPool &texts,
                 std::vector<MetadataEntry> &out,
                 std::vector<std::string_view> *nulls = nullptr);

/// The names of the members of an object in a file that parseJsonObject takes,
/// in the order of the file, which Json does not keep: of the member of the
/// root that `path` names, or a member of that. Empty when there is none.
std::vector<std::string> keysInOrder(const Checkpoint::File &file,
                                     std::span<const std::string> path);

/// Reads members of an object and remembers the first error. A null is as good
/// as absent.
class JsonFields {
public:
  /// `where` begins each message: "folder/config.json: quantization_config".
  JsonFields(const Json &object, std::string where)
      : object(object), where(std::move(where)) {}

  bool has(const char *key) const { return find(key) != nullptr; }
  int64_t integer(const char *key, int64_t fallback);
  bool flag(const char *key, bool fallback);
  std::string text(const char *key, const std::string &fallback);
  /// Sets the error if there is none yet: "<where>: message".
  void fail(const std::string &message);

  Error error;

private:
  const Json *find(const char *key) const;
  void mismatch(const char *key, const char *expected, const Json &got);

  const Json &object;
  std::string where;
};

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_JSON_H
