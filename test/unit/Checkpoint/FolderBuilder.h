//===- FolderBuilder.h - Writes Hugging Face folders, bad ones too *- C++
//-*-==//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_CHECKPOINT_FOLDERBUILDER_H
#define QCC_TEST_UNIT_CHECKPOINT_FOLDERBUILDER_H

#include "qcc/Checkpoint/HuggingFace.h"
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace qcc {

/// A safetensors file from a header and data as they are given.
std::string safetensorsFile(std::string_view header, std::string_view data);

/// One tensor's entry of a header: "\"name\":{...}".
std::string headerEntry(std::string_view name, std::string_view type,
                        const std::vector<uint64_t> &shape, uint64_t begin,
                        uint64_t end);

/// Files of a folder by name.
using FolderFiles = std::map<std::string, std::string>;

/// Puts tensors one after the other into a file.
class SafetensorsBuilder {
public:
  SafetensorsBuilder &tensor(std::string_view name, std::string_view type,
                             const std::vector<uint64_t> &shape,
                             std::string_view bytes);
  std::string build() const;

  std::string header, data;
};

/// `count` bytes, byte i being i * 7 + 3.
std::string someBytes(size_t count);
/// `count` times the same 32-bit word.
std::string words(uint32_t word, size_t count);

/// A folder by its arrays, so that tests can change one.
struct FolderModel {
  struct Array {
    std::string type;
    std::vector<uint64_t> shape;
    std::string bytes;
  };

  std::string quantization; ///< Members of quantization_config.
  std::map<std::string, Array> arrays;

  /// config.json and model.safetensors.
  FolderFiles files() const;
};

/// A folder with tensors of several plain types, and one GPTQ weight "m" of 64
/// to 16 features in groups of 32, with every optional part.
FolderFiles gptqFolder();

/// Reads copies of exactly these bytes, so that a read past them is seen.
/// Checks every invariant of what was accepted and reads all of it.
Result<Checkpoint> parseFolderExactly(const FolderFiles &files);

/// The error of parseFolderExactly; "" when accepted.
std::string folderError(const FolderFiles &files);

} // namespace qcc

#endif // QCC_TEST_UNIT_CHECKPOINT_FOLDERBUILDER_H
