//===- HuggingFace.h - Reader of Hugging Face folders -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A folder with config.json and weights in safetensors or torch files, one or
// several.
// Metadata are the members of config.json under their own names, nested ones
// with dots ("rope_parameters.rope_theta"); those of generation_config.json
// begin with "generation_config.", and those of a quantizer's side file join
// "quantization_config.".
//
// Tensors have the names of the files, except that a weight which a quantizer
// keeps as several arrays is one tensor "<module>.weight". Dimensions are in
// the order of Tensor, the reverse of the file's.
//===----------------------------------------------------------------------===//

#ifndef QCC_CHECKPOINT_HUGGINGFACE_H
#define QCC_CHECKPOINT_HUGGINGFACE_H

#include "qcc/Checkpoint/Checkpoint.h"

namespace qcc {

/// Opens a folder, or a file of weights with the config beside it. Reads only
/// files of that folder.
Result<Checkpoint> openHuggingFace(const std::string &path);

/// A file of a folder, whose bytes the caller keeps for as long as the
/// checkpoint.
struct FolderFile {
  std::string name;
  std::span<const uint8_t> bytes;
};

/// Reads a folder from memory. Errors name it "folder".
Result<Checkpoint> parseHuggingFace(const std::vector<FolderFile> &files);

} // namespace qcc

#endif // QCC_CHECKPOINT_HUGGINGFACE_H
