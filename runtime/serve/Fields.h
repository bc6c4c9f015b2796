//===- Fields.h - Checked reading of a JSON object --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_SERVE_FIELDS_H
#define QCC_RUNTIME_SERVE_FIELDS_H

#include "Requests.h"

#include <nlohmann/json.hpp>

namespace qcc::serve {

using Json = nlohmann::json;

/// The JSON object in a body. Throws RequestError for anything else, and for
/// one that is nested more than maxJsonDepth deep.
Json parseObject(std::string_view body);

/// The members of an object. A member that is absent or null gives `otherwise`;
/// one of another type or out of range throws RequestError.
class Fields {
public:
  explicit Fields(const Json &object) : object(object) {}

  /// The member, or nullptr if it is absent or null.
  const Json *find(const char *name) const;
  bool flag(const char *name, bool otherwise) const;
  int64_t integer(const char *name, int64_t otherwise, int64_t least,
                  int64_t most) const;
  float number(const char *name, float otherwise, double least,
               double most) const;
  std::string text(const char *name, const std::string &otherwise) const;

private:
  const Json &object;
};

/// "a string", "an array", ...
std::string kindOf(const Json &value);

/// Throws that `name` is not what was expected.
[[noreturn]] void refuse(const std::string &name, const std::string &found,
                         const std::string &expected);

/// A token id below `vocab`.
int32_t tokenId(const Json &value, const std::string &name, uint32_t vocab);

} // namespace qcc::serve

#endif // QCC_RUNTIME_SERVE_FIELDS_H
