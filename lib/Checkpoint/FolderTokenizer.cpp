//===- FolderTokenizer.cpp - The tokenizer's files of a folder ------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "FolderTokenizer.h"
#include "ChatTemplates.h"
#include "HuggingFaceTokenizer.h"

using namespace qcc;

/// A limit that no known file comes near.
static constexpr size_t kMaxTokenizerBytes = size_t(64) << 20;

/// The file that holds the vocabulary, the first of those that tools prefer.
static const char *vocabularyFile(const Folder &folder) {
  for (const char *known : {"tokenizer.json", "tokenizer.model", "vocab.json"})
    if (folder.has(known) &&
        (folder.has("merges.txt") || known != std::string_view("vocab.json")))
      return known;
  return nullptr;
}

static Error readJson(const Folder &folder, const char *name, Json &out) {
  Result<Json> json = folder.json(name, kMaxTokenizerBytes);
  if (!json)
    return json.takeError();
  out = std::move(*json);
  return Error();
}

/// Makes the vocabulary in files.tokenizer one with its merges.
static Error joinMerges(const Folder &folder, const char *name,
                        TokenizerFiles &files, Error &unsupported) {
  Result<Checkpoint::File> merges = folder.open("merges.txt");
  if (!merges)
    return merges.takeError();
  Result<Json> whole =
      vocabularyTokenizer(std::move(files.tokenizer),
                          {reinterpret_cast<const char *>(merges->bytes.data()),
                           merges->bytes.size()},
                          files.config);
  if (whole)
    files.tokenizer = std::move(*whole);
  else
    unsupported = Error(folder.pathOf(name) + ": " + whole.message());
  return Error();
}

/// Files of their own come before what the tokenizer's config says, and that
/// before what a processor of images has.
static Error readTemplates(const Folder &folder, const Json &tokenizerConfig,
                           ChatTemplates &templates, Error &unsupported) {
  for (const std::string &name : folder.ending(".jinja")) {
    bool isDefault = name == "chat_template.jinja";
    if (!isDefault && !name.starts_with(kTemplateFolder))
      continue;
    Result<Checkpoint::File> file = folder.open(name);
    if (!file)
      return file.takeError();
    std::string_view stem(name);
    stem.remove_prefix(isDefault ? 0 : kTemplateFolder.size());
    stem.remove_suffix(std::string_view(".jinja").size());
    templates[isDefault ? "default" : std::string(stem)].assign(
        file->bytes.begin(), file->bytes.end());
  }
  for (const char *name : {"tokenizer_config.json", "chat_template.json"}) {
    if (!templates.empty() || !folder.has(name))
      continue;
    Json processor;
    bool isProcessor = name == std::string_view("chat_template.json");
    if (isProcessor)
      if (Error error = readJson(folder, name, processor))
        return error;
    Result<ChatTemplates> read =
        readConfigTemplates(isProcessor ? processor : tokenizerConfig);
    if (read)
      templates = std::move(*read);
    else
      unsupported = Error(folder.pathOf(name) + ": " + read.message());
  }
  return Error();
}

Error qcc::readFolderTokenizer(const Folder &folder, Json generation,
                               const Json &config, TextPool &texts,
                               std::vector<MetadataEntry> &metadata) {
  const char *name = vocabularyFile(folder);
  if (!name)
    return Error();
  TokenizerFiles files{{}, {}, std::move(generation), config, {}, {}};
  for (auto [file, out] : {std::pair("tokenizer_config.json", &files.config),
                           std::pair("added_tokens.json", &files.added)})
    if (folder.has(file))
      if (Error error = readJson(folder, file, *out))
        return error;
  Error unsupported;
  std::optional<Checkpoint::File> model;
  if (name == std::string_view("tokenizer.model")) {
    Result<Checkpoint::File> file = folder.open(name);
    if (!file)
      return file.takeError();
    model = std::move(*file);
    files.sentencePiece = model->bytes;
    if (files.sentencePiece.empty())
      return Error(folder.pathOf(name) + ": is empty");
  } else if (Error error = readJson(folder, name, files.tokenizer)) {
    return error;
  }
  if (name == std::string_view("vocab.json"))
    if (Error error = joinMerges(folder, name, files, unsupported))
      return error;
  ChatTemplates templates;
  if (!unsupported)
    unsupported = readTokenizer(folder.pathOf(name), files, texts, metadata);
  if (!unsupported)
    if (Error error =
            readTemplates(folder, files.config, templates, unsupported))
      return error;
  appendChatTemplates(templates, texts, metadata);
  if (unsupported)
    metadata.push_back({"tokenizer.unsupported",
                        Value::string(texts.keep(unsupported.message()))});
  return Error();
}
