//===- Folder.h - A model's folder ------------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_FOLDER_H
#define QCC_LIB_CHECKPOINT_FOLDER_H

#include "qcc/Checkpoint/Checkpoint.h"
#include "Json.h"

#include <algorithm>
#include <functional>

namespace qcc {

/// What readers ask of a folder, on disk or in memory.
struct Folder {
  std::string path;
  std::vector<std::string> names; ///< Of its files, sorted.
  std::function<Result<Checkpoint::File>(const std::string &)> open;

  bool has(std::string_view name) const {
    return std::binary_search(names.begin(), names.end(), name);
  }
  std::vector<std::string> ending(std::string_view suffix) const {
    std::vector<std::string> found;
    for (const std::string &name : names)
      if (name.ends_with(suffix))
        found.push_back(name);
    return found;
  }
  /// For messages.
  std::string pathOf(const std::string &name) const {
    return path + "/" + name;
  }
  /// The JSON object of a file.
  Result<Json> json(const std::string &name, size_t maxBytes) const {
    Result<Checkpoint::File> file = open(name);
    if (!file)
      return file.takeError();
    return parseJsonObject(*file, maxBytes);
  }
};

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_FOLDER_H
