//===- JsonMembers.h - Members of JSON objects that may lie -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_CHECKPOINT_JSONMEMBERS_H
#define QCC_CHECKPOINT_JSONMEMBERS_H

#include <nlohmann/json.hpp>
#include <string>

namespace qcc {

using Json = nlohmann::json;

/// A member that is there and not null, or null; also for what is no object.
inline const Json *member(const Json &object, const char *key) {
  if (!object.is_object())
    return nullptr;
  auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

/// A text; empty for null and for what is none.
inline std::string textOf(const Json *value) {
  return value && value->is_string() ? value->get_ref<const std::string &>()
                                     : std::string();
}

/// Whether a member is there and true.
inline bool isTrue(const Json &object, const char *key) {
  const Json *value = member(object, key);
  return value && *value == Json(true);
}

} // namespace qcc

#endif // QCC_CHECKPOINT_JSONMEMBERS_H
