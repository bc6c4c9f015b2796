//===- DeviceImageTest.cpp - Which code runs on which GPU -----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "device/Device.h"
#include "device/Image.h"

#include "gtest/gtest.h"

#include <cstring>
#include <elf.h>
#include <string>
#include <vector>

using namespace qcc::rt;
using namespace qcc::rt::device;

namespace {

Image ptx(uint32_t architecture, uint32_t cuda = 11000, uint32_t specific = 0) {
  return {Image::Ptx, architecture, specific, cuda, "x", 2};
}

Image cubin(uint32_t architecture, uint32_t cuda = 11000,
            uint32_t specific = 0) {
  return {Image::Cubin, architecture, specific, cuda, "x", 1};
}

/// The index of the choice, or the text of the error.
std::string choose(const std::vector<Image> &images, uint32_t architecture,
                   int driver = 13000) {
  DeviceInfo device = {};
  strcpy(device.name, "Tesla T4");
  device.architecture = architecture;
  ErrorText error;
  const Image *chosen = nullptr;
  qcc_status status = chooseImage(images.data(), uint32_t(images.size()),
                                  device, driver, chosen, error);
  if (status != QCC_OK) {
    EXPECT_EQ(status, QCC_E_DEVICE);
    EXPECT_EQ(chosen, nullptr);
    return error.get();
  }
  return std::to_string(chosen - images.data());
}

TEST(DeviceImage, RunsOn) {
  EXPECT_TRUE(runsOn(ptx(80), 80));
  EXPECT_TRUE(runsOn(ptx(80), 90));
  EXPECT_TRUE(runsOn(ptx(80), 120));
  EXPECT_FALSE(runsOn(ptx(86), 80));
  EXPECT_TRUE(runsOn(cubin(80), 86));
  EXPECT_FALSE(runsOn(cubin(80), 90));
  EXPECT_FALSE(runsOn(cubin(89), 86));
  EXPECT_TRUE(runsOn(ptx(90, 12000, 1), 90));
  EXPECT_FALSE(runsOn(ptx(90, 12000, 1), 100));
  EXPECT_FALSE(runsOn(cubin(100, 12080, 1), 103));
}

TEST(DeviceImage, ChoosesTheNearest) {
  std::vector<Image> images = {
      ptx(80),        cubin(80),         ptx(86, 11010),     cubin(86, 11010),
      ptx(90, 11080), ptx(90, 12000, 1), cubin(90, 12000, 1)};
  EXPECT_EQ(choose(images, 80), "1");
  EXPECT_EQ(choose(images, 86), "3");
  EXPECT_EQ(choose(images, 89), "3");
  EXPECT_EQ(choose(images, 90), "6");
  EXPECT_EQ(choose(images, 100), "4"); // sm_90a does not run there
  EXPECT_EQ(choose(images, 90, 11080), "4");
  EXPECT_EQ(choose(images, 90, 11040), "2");
}

TEST(DeviceImage, SaysWhatTheFileHas) {
  EXPECT_EQ(
      choose({ptx(80), cubin(80), ptx(90, 12000, 1), ptx(120, 12080)}, 75),
      "Tesla T4 has compute capability 7.5; this file has code for sm_80, "
      "sm_90a, sm_120");
  EXPECT_EQ(choose({}, 75), "this file has no code for a GPU");
  // A list that is too long for a line is cut between names.
  std::vector<Image> many;
  for (uint32_t i = 0; i < 40; ++i)
    many.push_back(ptx(80 + i));
  std::string text = choose(many, 75);
  EXPECT_LT(text.size(), QCC_ERROR_BYTES - 1);
  EXPECT_TRUE(text.ends_with("sm_90")) << text;
}

TEST(DeviceImage, SaysThatTheDriverIsTooOld) {
  EXPECT_EQ(choose({ptx(90, 11080), ptx(90, 12030, 1)}, 90, 11040),
            "the NVIDIA driver is too old: it supports CUDA 11.4, the code for "
            "sm_90 needs 11.8 or newer");
}

//===----------------------------------------------------------------------===//
// checkImage
//===----------------------------------------------------------------------===//

qcc_status check(Image::Kind kind, const std::string &bytes) {
  ErrorText error;
  qcc_status status =
      checkImage({kind, 80, 0, 11000, bytes.data(), bytes.size()}, error);
  EXPECT_EQ(status == QCC_OK, std::string(error.get()).empty());
  return status;
}

TEST(DeviceImage, PtxEndsWithItsOnlyNul) {
  EXPECT_EQ(check(Image::Ptx, std::string("text\0", 5)), QCC_OK);
  EXPECT_EQ(check(Image::Ptx, std::string("text", 4)), QCC_E_DATA);
  EXPECT_EQ(check(Image::Ptx, std::string("te\0xt\0", 6)), QCC_E_DATA);
  EXPECT_EQ(check(Image::Ptx, std::string("\0", 1)), QCC_E_DATA);
  EXPECT_EQ(check(Image::Ptx, ""), QCC_E_DATA);
  ErrorText error;
  EXPECT_EQ(checkImage({Image::Ptx, 80, 0, 11000, nullptr, 0}, error),
            QCC_E_DATA);
  EXPECT_EQ(checkImage({Image::Cubin, 80, 0, 11000, nullptr, 0}, error),
            QCC_E_DATA);
  EXPECT_EQ(check(Image::Kind(7), "text"), QCC_E_DATA);
}

/// The smallest ELF file that looks like a cubin: a header, one segment and two
/// sections, with `payload` bytes in the second.
std::string elf(uint64_t payload = 100) {
  Elf64_Ehdr header = {};
  memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_machine = 190;
  header.e_phoff = sizeof header;
  header.e_phnum = 1;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_shoff = header.e_phoff + sizeof(Elf64_Phdr);
  header.e_shnum = 2;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shstrndx = 1;
  Elf64_Phdr segment = {};
  Elf64_Shdr sections[2] = {};
  segment.p_offset = sections[1].sh_offset = header.e_shoff + sizeof sections;
  segment.p_filesz = sections[1].sh_size = payload;
  sections[1].sh_type = SHT_PROGBITS;
  std::string file(reinterpret_cast<char *>(&header), sizeof header);
  file.append(reinterpret_cast<char *>(&segment), sizeof segment);
  file.append(reinterpret_cast<char *>(sections), sizeof sections);
  file.append(payload, 'p');
  return file;
}

TEST(DeviceImage, CubinLiesInsideItsBytes) {
  std::string good = elf();
  EXPECT_EQ(check(Image::Cubin, good), QCC_OK);
  for (size_t bytes = 0; bytes < good.size(); ++bytes)
    EXPECT_EQ(check(Image::Cubin, good.substr(0, bytes)), QCC_E_DATA) << bytes;
  // Every single byte of the tables at its largest: no read outside (ASan), and
  // no crash; most are refused.
  size_t refused = 0, tables = good.size() - 100;
  for (size_t i = 0; i < tables; ++i) {
    std::string bad = good;
    bad[i] = '\xff';
    refused += check(Image::Cubin, bad) != QCC_OK;
  }
  EXPECT_GT(refused, tables / 4);
}

} // namespace
