//===- torch_fuzz.cpp - Fuzzes the reader of torch files ------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// The input is a torch file when it begins as a zip archive, and otherwise the
// pickle of one, beside storages "0" to "3" of 64, 16, 2 and 0 bytes. What is
// accepted is read in full.
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/HuggingFace.h"
#include <string>
#include "ReadAll.h"

using namespace qcc;

/// Keeps the compiler from removing reads.
static volatile uint64_t sink;

template <typename T>
static void put(std::string &out, T value) {
  out.append(reinterpret_cast<const char *>(&value), sizeof(T));
}

/// A stored archive of these members.
static std::string
zipOf(const std::vector<std::pair<std::string, std::string>> &members) {
  std::string file, directory;
  for (const auto &[name, content] : members) {
    // What both headers have in common, from the version to the lengths.
    std::string common;
    put(common, uint16_t(20));
    common.append(12, '\0');
    put(common, uint32_t(content.size()));
    put(common, uint32_t(content.size()));
    put(common, uint16_t(name.size()));
    put(common, uint16_t(0));
    directory += "PK\x01\x02";
    put(directory, uint16_t(20));
    directory += common + std::string(10, '\0');
    put(directory, uint32_t(file.size()));
    directory += name;
    file += "PK\x03\x04" + common + name + content;
  }
  const size_t start = file.size();
  file += directory + "PK\x05\x06" + std::string(4, '\0');
  put(file, uint16_t(members.size()));
  put(file, uint16_t(members.size()));
  put(file, uint32_t(directory.size()));
  put(file, uint32_t(start));
  put(file, uint16_t(0));
  return file;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const std::string config = R"({"model_type":"llama"})";
  std::string wrapped;
  std::span<const uint8_t> file(data, size);
  if (size < 2 || data[0] != 'P' || data[1] != 'K') {
    wrapped = zipOf({{"t/data.pkl", std::string(data, data + size)},
                     {"t/data/0", std::string(64, '\x3f')},
                     {"t/data/1", std::string(16, '\x40')},
                     {"t/data/2", "ab"},
                     {"t/data/3", ""}});
    file = {reinterpret_cast<const uint8_t *>(wrapped.data()), wrapped.size()};
  }
  std::vector<FolderFile> files = {
      {"config.json",
       {reinterpret_cast<const uint8_t *>(config.data()), config.size()}},
      {"pytorch_model.bin", file}};
  if (Result<Checkpoint> checkpoint = parseHuggingFace(files))
    sink = fuzz::readAll(*checkpoint);
  else if (checkpoint.message().empty())
    __builtin_trap();
  return 0;
}
