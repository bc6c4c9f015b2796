//===- TorchArchiveTest.cpp - Archives, shards and damaged torch files ----===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include <gtest/gtest.h>
#include "FolderBuilder.h"
#include "TorchBuilder.h"

using namespace qcc;

namespace {

FolderFiles folderOf(const std::string &torch) {
  return {{"config.json", R"({"model_type":"llama"})"},
          {"pytorch_model.bin", torch}};
}

std::string errorOf(const std::string &torch) {
  std::string message = folderError(folderOf(torch));
  static const std::string prefix = "folder/pytorch_model.bin: ";
  EXPECT_TRUE(message.empty() || message.starts_with(prefix)) << message;
  return message.substr(std::min(message.size(), prefix.size()));
}

/// The error after `change` was made to member `index` of a good archive.
template <typename Change>
std::string memberError(size_t index, const Change &change) {
  ZipBuilder zip = smallTorchFile();
  change(zip.members[index]);
  return errorOf(zip.build());
}

using Member = ZipBuilder::Member;

//===----------------------------------------------------------------------===//
// Archives
//===----------------------------------------------------------------------===//

TEST(TorchArchive, Reads) {
  ZipBuilder zip = smallTorchFile();
  zip.comment = "PK\x05\x06 is not the end";
  EXPECT_EQ(errorOf(zip.build()), "");
  zip.comment = std::string(65535, 'x');
  EXPECT_EQ(errorOf(zip.build()), "");
  zip.hasRecord64 = true;
  EXPECT_EQ(errorOf(zip.build()), "");
  for (Member &member : zip.members)
    member.hasFields64 = true;
  EXPECT_EQ(errorOf(zip.build()), "");
  zip.members[2].extra = std::string(64, 'Z'); // torch aligns data by this
  EXPECT_EQ(errorOf(zip.build()), "");
  // What else may be there, and not be read.
  zip.add("top/.data/serialization_id", "12");
  zip.add("top/data/", "");
  zip.add("top/code/more", "?").method = 8;
  EXPECT_EQ(errorOf(zip.build()), "");
}

TEST(TorchArchive, RefusesMembers) {
  EXPECT_EQ(memberError(0, [](Member &m) { m.method = 8; }),
            "zip member 'top/data.pkl' is compressed or encrypted, which is "
            "not supported");
  EXPECT_EQ(memberError(2, [](Member &m) { m.method = 8; }),
            "zip member 'top/data/0' is compressed or encrypted, which is not "
            "supported");
  EXPECT_EQ(memberError(3, [](Member &m) { m.flags = 1; }),
            "zip member 'top/data/1' is compressed or encrypted, which is not "
            "supported");
  EXPECT_EQ(memberError(1, [](Member &m) { m.content = "big"; }),
            "byte order: expected 'little', got 'big'");
  EXPECT_EQ(memberError(0, [](Member &m) { m.name = "data.pkl"; }),
            "expected a zip archive of torch.save with <name>/data.pkl, got "
            "none in it");
  EXPECT_EQ(memberError(0, [](Member &m) { m.name = "a/b/data.pkl"; }),
            "expected a zip archive of torch.save with <name>/data.pkl, got "
            "none in it");
  EXPECT_EQ(memberError(3, [](Member &m) { m.name = "pot/data.pkl"; }),
            "zip members 'pot/data.pkl' and 'top/data.pkl': expected one "
            "pickle, got two");
  EXPECT_EQ(memberError(3, [](Member &m) { m.name = "top/data/0"; }),
            "member 'top/data/0' occurs twice");
  EXPECT_EQ(
      memberError(
          0, [](Member &m) { m.name = std::string(2000, 'x') + "/data.pkl"; })
          .find("zip member 'xxx"),
      0u);
}

TEST(TorchArchive, RefusesDirectories) {
  EXPECT_EQ(memberError(2, [](Member &m) { m.localName = "top/data/1"; }),
            "member 'top/data/0': the local header disagrees with the "
            "directory");
  auto noHeader = [](const std::string &error) {
    EXPECT_EQ(error.find("member 'top/data/0': expected a local header at "),
              0u)
        << error;
  };
  noHeader(memberError(2, [](Member &m) { m.header = 1; }));
  noHeader(memberError(2, [](Member &m) { m.header = 1u << 31; }));
  noHeader(memberError(2, [](Member &m) { m.header = ~0u - 700; }));
  EXPECT_EQ(memberError(2, [](Member &m) { m.morePlain = 1; }),
            "member 'top/data/0': expected as many stored bytes as plain ones, "
            "25, got 24");
  EXPECT_EQ(memberError(2, [](Member &m) { m.moreBytes = 60; }),
            "members 'top/data/0' and 'top/data/1' overlap");
  auto past = [](const std::string &error) {
    EXPECT_NE(error.find("got a directory at "), std::string::npos) << error;
  };
  past(memberError(2, [](Member &m) { m.moreBytes = 10000; }));
  past(memberError(2, [](Member &m) {
    m.hasFields64 = true;
    m.moreBytes = ~uint64_t(0) - 100;
  }));
  // A size that says "in Zip64 fields", where there are none.
  EXPECT_EQ(memberError(2, [](Member &m) { m.moreBytes = ~uint32_t(0) - 24; }),
            "member 'top/data/0': the Zip64 fields that it needs are missing");
}

TEST(TorchArchive, RefusesEnds) {
  const std::string file = smallTorchFile().build();
  const size_t end = file.size() - 22;
  auto patched = [&](std::string bytes, size_t offset, uint64_t value,
                     size_t size) {
    bytes.replace(offset, size,
                  std::string(reinterpret_cast<const char *>(&value), size));
    return errorOf(bytes);
  };
  EXPECT_EQ(patched(file, end + 4, 1, 2),
            "a zip archive in several files is not supported");
  EXPECT_EQ(patched(file, end + 8, 4, 2),
            "a zip archive in several files is not supported");
  EXPECT_EQ(patched(file, end + 8, 0x00060006, 4)
                .find("zip directory: "
                      "expected 6 members, "
                      "got none at byte "),
            0u);
  EXPECT_EQ(patched(file, end + 8, 0x00040004, 4)
                .find("zip directory: "
                      "expected "),
            0u);
  EXPECT_NE(patched(file, end + 12, 17, 4), "");
  EXPECT_NE(patched(file, end + 16, 17, 4), "");
  for (size_t field : {10, 12, 16})
    EXPECT_NE(patched(file, end + field, ~0u, field == 10 ? 2 : 4), "");

  ZipBuilder zip = smallTorchFile();
  zip.hasRecord64 = true;
  const std::string file64 = zip.build();
  const size_t locator = file64.size() - 42, record = locator - 56;
  for (size_t offset : {4, 24, 32, 40, 48})
    for (uint64_t value :
         {uint64_t(0), uint64_t(1), uint64_t(1) << 63, ~uint64_t(0),
          uint64_t(record), uint64_t(file64.size()), uint64_t(1) << 20})
      EXPECT_NE(patched(file64, record + offset, value, 8), "");
  for (uint64_t value : {uint64_t(0), uint64_t(record) - 1,
                         uint64_t(record) + 1, uint64_t(locator), ~uint64_t(0)})
    EXPECT_EQ(patched(file64, locator + 8, value, 8),
              "zip end record: expected a Zip64 record that ends at " +
                  std::to_string(locator) + ", got none at " +
                  std::to_string(value));
  EXPECT_EQ(patched(file64, locator + 16, 2, 4),
            "a zip archive in several files is not supported");
  std::string many = file64;
  EXPECT_EQ(patched(many.replace(record + 24, 8, many, record + 32, 8),
                    record + 32, 0, 8),
            "a zip archive in several files is not supported");
}

TEST(TorchArchive, RefusesOtherFiles) {
  EXPECT_EQ(errorOf(""), "expected a zip archive, as torch.save writes, got a "
                         "file that starts with ''");
  EXPECT_EQ(errorOf("GGUF1234"), "expected a zip archive, as torch.save "
                                 "writes, got a file that starts with 'GGUF'");
  EXPECT_EQ(errorOf("PK\x03\x04"),
            "zip end record: expected at least 22 bytes, got 4");
  EXPECT_EQ(errorOf("PK\x03\x04" + std::string(200000, '\0')),
            "the file has no zip directory at its end (is it truncated?)");
  EXPECT_EQ(
      errorOf("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."),
      "expected a zip archive, as torch.save writes, got the format of "
      "torch before 1.6 (load it and save it again)");
}

//===----------------------------------------------------------------------===//
// Folders
//===----------------------------------------------------------------------===//

TEST(TorchFolder, FindsWeights) {
  const std::string torch = smallTorchFile().build();
  FolderFiles files = {{"config.json", "{}"}};
  EXPECT_EQ(folderError(files),
            "folder: expected weights in safetensors or torch files, got none");
  // What Trainer leaves beside the model.
  for (const char *name : {"training_args.bin", "optimizer.pt", "scheduler.pt",
                           "rng_state_0.pth", "adapter_model.bin"})
    files[name] = "PK?";
  EXPECT_EQ(folderError(files),
            "folder: expected weights in safetensors or torch files, got none");
  for (const char *name :
       {"gptq_model-4bit-128g.bin", "model.pt", "model.pth"}) {
    FolderFiles with = files;
    with[name] = torch;
    EXPECT_EQ(folderError(with), "");
  }
  // Others lie beside the one that has the usual name.
  files["other.bin"] = "?";
  EXPECT_NE(folderError(files), "");
  files["pytorch_model.bin"] = torch;
  EXPECT_EQ(folderError(files), "");
  // Safetensors come first.
  SafetensorsBuilder b;
  files["model.safetensors"] = b.tensor("x", "F32", {1}, "1234").build();
  files["pytorch_model.bin"] = "?";
  auto checkpoint = parseFolderExactly(files);
  ASSERT_TRUE(checkpoint) << checkpoint.message();
  EXPECT_EQ(checkpoint->format(), "safetensors");
}

TEST(TorchFolder, ReadsShards) {
  using namespace pickle;
  auto shard = [](const std::string &name, const std::string &content) {
    return torchFile(
               program(dict(
                   {text(name),
                    tensor(storage("ByteStorage", "0", int64_t(content.size())),
                           0, {int64_t(content.size() / 2), 1, 2},
                           {2, 2, 1})})),
               {content})
        .build();
  };
  FolderFiles files = {{"config.json",
                        R"({"quantization_config":{"quant_method":"gptq",)"
                        R"("bits":4,"group_size":32}})"},
                       {"a.bin", shard("m.bias", "abcd")},
                       {"b.bin", shard("y", "efgh")},
                       {"c.bin", "not listed"}};
  auto error = [&](const std::string &map) {
    files["pytorch_model.bin.index.json"] = "{\"weight_map\":" + map + "}";
    return folderError(files);
  };
  EXPECT_EQ(error(R"({"m.bias":"a.bin","y":"b.bin"})"),
            "folder/a.bin: tensor 'm.bias' has dtype U8, which is not "
            "supported yet");
  EXPECT_EQ(error(R"({"m.bias":"a.bin","z":"b.bin"})"),
            "folder/b.bin: tensor 'z' is missing, which the index has there");
  EXPECT_EQ(error(R"({"m.bias":"a.bin","y":"d.bin"})"),
            "folder/pytorch_model.bin.index.json: file 'd.bin' is missing");
  EXPECT_EQ(error(R"({"y":"b.safetensors"})"),
            "folder/pytorch_model.bin.index.json: tensor 'y': expected the "
            "name of a torch file in this folder, got '\"b.safetensors\"'");
  EXPECT_EQ(error(R"({"y":"../b.bin"})"),
            "folder/pytorch_model.bin.index.json: tensor 'y': expected the "
            "name of a torch file in this folder, got '\"../b.bin\"'");
}

//===----------------------------------------------------------------------===//
// Damage
//===----------------------------------------------------------------------===//

TEST(TorchMutation, Truncation) {
  for (bool has64 : {false, true}) {
    ZipBuilder zip = smallTorchFile();
    zip.hasRecord64 = has64;
    const std::string file = zip.build();
    for (size_t length = 0; length < file.size(); ++length)
      ASSERT_NE(errorOf(file.substr(0, length)), "") << length << " bytes";
  }
  // The pickle alone, in a good archive.
  const std::string program = smallTorchFile().members[0].content;
  for (size_t length = 0; length < program.size(); ++length) {
    ZipBuilder zip = smallTorchFile();
    zip.members[0].content.resize(length);
    ASSERT_NE(errorOf(zip.build()), "") << length << " bytes";
  }
}

TEST(TorchMutation, EveryBitFlip) {
  ZipBuilder zip = smallTorchFile();
  zip.hasRecord64 = true;
  std::string file = zip.build();
  size_t accepted = 0, refused = 0;
  for (size_t bit = 0; bit < file.size() * 8; ++bit) {
    file[bit / 8] ^= char(1 << bit % 8);
    (errorOf(file).empty() ? accepted : refused) += 1;
    file[bit / 8] ^= char(1 << bit % 8);
  }
  // Flips in weights, checksums, times and versions are harmless.
  EXPECT_GT(accepted, 1000u);
  EXPECT_GT(refused, 4000u);
}

TEST(TorchMutation, OpcodesInThePickle) {
  const std::string program = smallTorchFile().members[0].content;
  ZipBuilder zip = smallTorchFile();
  std::string &content = zip.members[0].content;
  size_t refused = 0;
  auto test = [&] { refused += !errorOf(zip.build()).empty(); };
  for (size_t i = 0; i < program.size(); ++i) {
    for (char opcode : std::string_view("(.012GJKMNQRTUXabcehij]qrst)u}\x80"
                                        "\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c"
                                        "\x8d\x93\x94\x95\x7f\xff")) {
      content = program;
      content[i] = opcode;
      test();
      content = program;
      content.insert(i, 1, opcode);
      test();
    }
    content = program;
    content.erase(i, 1);
    test();
  }
  EXPECT_GT(refused, 20000u);
}

} // namespace
