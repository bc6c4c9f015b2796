//===- GGUF.cpp - GGUF models of one or several files ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Each part of a split model is a GGUF file with its own tensors and data;
// only the first has the metadata. A part says which one it is (split.no, from
// 0) and how many there are (split.count). Names of the other files are made
// from the name of the given one, never from text in a file.
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/GGUF.h"
#include <algorithm>
#include <cstdio>
#include "GGUFPart.h"

using namespace qcc;
using namespace qcc::gguf;

bool qcc::isGGUF(std::span<const uint8_t> bytes) {
  static constexpr uint8_t magic[] = {'G', 'G', 'U', 'F'};
  return bytes.size() >= 4 && std::equal(magic, magic + 4, bytes.begin());
}

//===----------------------------------------------------------------------===//
// Joining parts
//===----------------------------------------------------------------------===//

/// A number of the `split.` group; `fallback` when absent.
static Result<uint64_t> splitNumber(const std::string &path, const Part &part,
                                    std::string_view key, uint64_t fallback) {
  const Value *value = find(part, key);
  if (!value)
    return fallback;
  Result<uint64_t> number = value->as<uint64_t>(key);
  if (!number)
    return Error(path + ": " + number.message());
  return number;
}

/// Checks that `part` is part `index` of `count`.
static Error checkSplit(const std::string &path, const Part &part, size_t index,
                        size_t count) {
  Result<uint64_t> splitCount = splitNumber(path, part, "split.count", 1);
  if (!splitCount)
    return splitCount.takeError();
  // Some writers give 0 for a model that is not split.
  if (std::max<uint64_t>(*splitCount, 1) != count)
    return mismatchError(path + ": key 'split.count'", std::to_string(count),
                         std::to_string(*splitCount));
  Result<uint64_t> number = splitNumber(path, part, "split.no", 0);
  if (!number)
    return number.takeError();
  if (*number != index)
    return mismatchError(path + ": key 'split.no'", std::to_string(index),
                         std::to_string(*number));
  return Error();
}

static Result<Checkpoint> join(std::vector<Checkpoint::File> files) {
  Part all;
  for (size_t i = 0; i < files.size(); ++i) {
    Result<Part> part = readPart(files[i].path, files[i].bytes);
    if (!part)
      return part.takeError();
    if (Error error = checkSplit(files[i].path, *part, i, files.size()))
      return error;
    for (Tensor &tensor : part->tensors)
      tensor.file = uint32_t(i);
    if (i == 0) {
      all = std::move(*part);
      continue;
    }
    all.tensors.insert(all.tensors.end(),
                       std::make_move_iterator(part->tensors.begin()),
                       std::make_move_iterator(part->tensors.end()));
  }

  if (files.size() > 1) {
    Result<uint64_t> total = splitNumber(
        files[0].path, all, "split.tensors.count", all.tensors.size());
    if (!total)
      return total.takeError();
    if (*total != all.tensors.size())
      return mismatchError(files[0].path + ": key 'split.tensors.count'",
                           std::to_string(all.tensors.size()) +
                               " (in all parts)",
                           std::to_string(*total));
  }
  Checkpoint::Contents contents;
  contents.format = "GGUF v" + std::to_string(all.version);
  contents.path = contents.configPath = files.front().path;
  contents.files = std::move(files);
  contents.metadata = std::move(all.metadata);
  contents.tensors = std::move(all.tensors);
  return Checkpoint::create(std::move(contents));
}

Result<Checkpoint> qcc::parseGGUF(const std::vector<GGUFPart> &parts) {
  if (parts.empty())
    return Error("a GGUF model has at least one part");
  std::vector<Checkpoint::File> files;
  for (const GGUFPart &part : parts)
    files.push_back({part.name, part.bytes, std::nullopt});
  return join(std::move(files));
}

//===----------------------------------------------------------------------===//
// Finding parts
//===----------------------------------------------------------------------===//

/// "-00002-of-00003.gguf" for part index 1 of 3.
static std::string splitSuffix(uint64_t index, uint64_t count) {
  char buffer[64];
  int length =
      std::snprintf(buffer, sizeof(buffer), "-%05llu-of-%05llu.gguf",
                    (unsigned long long)(index + 1), (unsigned long long)count);
  return std::string(buffer, size_t(length));
}

namespace {

/// Which part a file is, and of how many; 0 of 1 for a model in one file.
struct SplitPosition {
  uint64_t number, count;
};

} // namespace

static Result<SplitPosition> readSplitPosition(const Checkpoint::File &file) {
  Result<Part> part = readPart(file.path, file.bytes);
  if (!part)
    return part.takeError();
  Result<uint64_t> count = splitNumber(file.path, *part, "split.count", 1);
  if (!count)
    return count.takeError();
  Result<uint64_t> number = splitNumber(file.path, *part, "split.no", 0);
  if (!number)
    return number.takeError();
  return SplitPosition{*number, *count};
}

Result<Checkpoint> qcc::openGGUF(const std::string &path) {
  Result<Checkpoint::File> given = Checkpoint::File::map(path);
  if (!given)
    return given.takeError();
  Result<SplitPosition> position = readSplitPosition(*given);
  if (!position)
    return position.takeError();
  auto [number, count] = *position;

  std::vector<Checkpoint::File> files;
  if (count <= 1) {
    files.push_back(std::move(*given));
    return join(std::move(files));
  }
  if (count > UINT16_MAX || number >= count)
    return mismatchError(
        path + ": keys 'split.no' and 'split.count'", "a part of at most 65535",
        std::to_string(number) + " of " + std::to_string(count));
  std::string suffix = splitSuffix(number, count);
  if (!path.ends_with(suffix))
    return Error(path + ": this is part " + std::to_string(number + 1) +
                 " of " + std::to_string(count) +
                 ": expected a name that ends in " + quoted(suffix));
  std::string prefix = path.substr(0, path.size() - suffix.size());
  for (uint64_t i = 0; i < count; ++i) {
    if (i == number) {
      files.push_back(std::move(*given));
      continue;
    }
    Result<Checkpoint::File> file =
        Checkpoint::File::map(prefix + splitSuffix(i, count));
    if (!file)
      return file.takeError();
    files.push_back(std::move(*file));
  }
  return join(std::move(files));
}
