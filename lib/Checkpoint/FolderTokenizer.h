//===- FolderTokenizer.h - The tokenizer's files of a folder ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_FOLDERTOKENIZER_H
#define QCC_LIB_CHECKPOINT_FOLDERTOKENIZER_H

#include "Folder.h"

namespace qcc {

/// Appends the tokenizer and the chat templates of a folder to its metadata,
/// if it has any. Weights are of use without: what is not supported is kept as
/// the message "tokenizer.unsupported", for whoever needs the tokenizer. Fails
/// on files that cannot be read. `generation` is generation_config.json or
/// null, `config` is config.json.
Error readFolderTokenizer(const Folder &folder, Json generation,
                          const Json &config, TextPool &texts,
                          std::vector<MetadataEntry> &metadata);

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_FOLDERTOKENIZER_H
