//===- PayloadTest.cpp - The weights segment of a linked file -------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Payload.h"

#include "Inputs/Fixture.h"
#include "Linker.h"
#include "TestSupport.h"

#include "llvm/Support/MemoryBuffer.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <random>
#include <unistd.h>

using qcc::PayloadImage;

/// A library without weights.
static std::string linkedLibrary(const std::string &name) {
  auto object = llvm::MemoryBuffer::getFile(PACKAGE_OBJECT_ONE);
  if (!object)
    return "";
  auto linked = qcc::link((*object)->getMemBufferRef(), PACKAGE_SUPPORT_DIR,
                          optionsFor(name, qcc::PackageOptions::SharedLibrary));
  if (!linked) {
    ADD_FAILURE() << llvm::toString(linked.takeError());
    return "";
  }
  return *linked;
}

/// Sizes that no test can write: the file has a hole in place of the weights.
TEST(Payload, LoadsSparseFilesOfAnySize) {
  TempFolder folder;
  std::string path = folder / "model.so";
  for (uint64_t bytes : {(uint64_t(1) << 31) - 1, (uint64_t(1) << 32) + 7,
                         uint64_t(700) << 30}) {
    SCOPED_TRACE(bytes);
    auto image = PayloadImage::create(linkedLibrary(path), bytes);
    ASSERT_TRUE(static_cast<bool>(image));
    image->describe(bytes, qcc::WeightHash{1, 2, 3}, "");
    qcc_payload_footer_t footer = {};
    std::memcpy(footer.magic, QCC_PAYLOAD_MAGIC, sizeof footer.magic);
    footer.version = QCC_PAYLOAD_VERSION;
    footer.bytes = bytes;
    footer.hash[0] = 1, footer.hash[1] = 2, footer.hash[2] = 3;

    ::unlink(path.c_str());
    int fd = ::open(path.c_str(), O_WRONLY | O_CREAT, 0777);
    ASSERT_GE(fd, 0);
    auto put = [&](const void *data, uint64_t size, uint64_t offset) {
      EXPECT_EQ(::pwrite(fd, data, size, offset), ssize_t(size));
    };
    put(image->head().data(), image->head().size(), 0);
    put("#", 1, image->payloadOffset() + bytes - 1);
    put(&footer, sizeof footer, image->tailOffset() - sizeof footer);
    put(image->tail().data(), image->tail().size(), image->tailOffset());
    ::close(fd);

    Outcome headers = run({"readelf", "-lSW", path});
    EXPECT_EQ(headers.output.find("arning"), std::string::npos)
        << headers.output;
    void *handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_TRUE(handle) << ::dlerror();
    auto query = reinterpret_cast<const fixture_api *(*)(uint32_t)>(
        ::dlsym(handle, "qcc_model_query"));
    ASSERT_TRUE(query);
    uint64_t found = 0, offset = 0;
    auto *weights =
        static_cast<const char *>(query(1)->weights(&found, &offset));
    ASSERT_TRUE(weights);
    EXPECT_EQ(found, bytes);
    EXPECT_EQ(offset, image->payloadOffset());
    EXPECT_EQ(weights[0], 0);
    EXPECT_EQ(weights[bytes - 1], '#');
    EXPECT_EQ(::dlclose(handle), 0);
  }
}

/// A linked file that is not what LLD makes is refused, never misread.
TEST(Payload, DamagedImages) {
  std::string image = linkedLibrary("model.so");
  ASSERT_FALSE(image.empty());
  auto attempt = [](llvm::StringRef bytes) {
    auto result = PayloadImage::create(bytes, 1000);
    if (result)
      return std::string();
    return llvm::toString(result.takeError());
  };
  EXPECT_EQ(attempt(image), "");
  EXPECT_EQ(attempt(""),
            "cannot add the weights: expected a 64-bit little-endian ELF file");
  EXPECT_EQ(attempt(image.substr(0, image.size() - 1)),
            "cannot add the weights: a header table lies outside of the file");
  std::string renamed = image;
  size_t name = renamed.find(".qcc.payload");
  ASSERT_NE(name, std::string::npos);
  renamed[name + 1] = 'x';
  EXPECT_EQ(attempt(renamed), "cannot add the weights: expected a section "
                              "'.qcc.payload', got none");

  for (size_t size = 0; size < image.size(); size += 97)
    EXPECT_NE(attempt(llvm::StringRef(image).take_front(size)), "");
  // Any header byte may be anything; only crashes and wild reads count.
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string damaged = image;
    for (int i = 0; i < 3; ++i) {
      size_t tables = image.size() - 64 * 30;
      size_t at = random() % 2 ? random() % 1000
                               : tables + random() % (image.size() - tables);
      damaged[at] = static_cast<char>(random());
    }
    attempt(damaged);
  }
}
