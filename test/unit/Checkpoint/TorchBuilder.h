//===- TorchBuilder.h - Writes torch files, bad ones too --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_UNIT_CHECKPOINT_TORCHBUILDER_H
#define QCC_TEST_UNIT_CHECKPOINT_TORCHBUILDER_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qcc {

/// Puts members one after the other into a zip archive.
class ZipBuilder {
public:
  struct Member {
    std::string name, content;
    uint16_t method = 0, flags = 0;
    std::string localName;    ///< As the name when empty.
    uint32_t header = 0;      ///< Added to the offset of the local header.
    uint64_t moreBytes = 0;   ///< Added to both sizes in the directory.
    uint64_t morePlain = 0;   ///< Added to the size without compression.
    std::string extra;        ///< In the local header.
    bool hasFields64 = false; ///< Sizes and offset in Zip64 fields.
  };

  Member &add(std::string name, std::string content);
  std::string build() const;

  std::vector<Member> members;
  std::string comment;
  bool hasRecord64 = false; ///< As torch writes it.
};

/// Pieces of pickles.
namespace pickle {
std::string u32(uint32_t value);
std::string text(std::string_view value);
std::string global(std::string_view module, std::string_view name);
/// The least opcode that holds it.
std::string integer(int64_t value);
std::string tuple(const std::vector<std::string> &items);
/// From names and values in turn.
std::string dict(const std::vector<std::string> &items);
/// A storage by its class ("FloatStorage") and length.
std::string storage(std::string_view type, std::string_view key,
                    int64_t elements);
/// A call of torch._utils._rebuild_tensor_v2.
std::string tensor(const std::string &storage, int64_t offset,
                   const std::vector<int64_t> &shape,
                   const std::vector<int64_t> &strides);
/// A program of protocol 2.
std::string program(const std::string &value);
} // namespace pickle

/// A file with this pickle, and storages "0", "1" ... with that content.
ZipBuilder torchFile(const std::string &pickle,
                     const std::vector<std::string> &storages);

/// A folder "model_type llama" with a file of two tensors "a" (F32 2x3) and
/// "b" (F16 4), and "a.tied" in the storage of "a".
ZipBuilder smallTorchFile();

} // namespace qcc

#endif // QCC_TEST_UNIT_CHECKPOINT_TORCHBUILDER_H
