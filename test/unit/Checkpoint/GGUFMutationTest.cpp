//===- GGUFMutationTest.cpp - Damaged GGUF headers ------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Damages good files in every way of a kind and reads them. Run under ASan and
// UBSan (test/fuzz): each must be refused with an error, or accepted with every
// invariant intact, which parseExactly checks.
//===----------------------------------------------------------------------===//

#include <cstring>
#include <gtest/gtest.h>
#include "GGUFBuilder.h"

using namespace qcc;

namespace {

using Role = GGUFBuilder::Role;

std::vector<GGUFBuilder> seeds() {
  GGUFBuilder old(2);
  old.key("general.architecture", "gemma3").tensor("a", {32, 2}, 8);
  GGUFBuilder part;
  part.key("split.no", uint16_t(0))
      .key("split.count", uint16_t(1))
      .key("split.tensors.count", int32_t(1))
      .tensor("a", {1}, 0);
  return {richFile(), std::move(old), std::move(part)};
}

// A file cut anywhere is refused.
TEST(GGUFMutation, Truncation) {
  for (GGUFBuilder &seed : seeds()) {
    std::vector<uint8_t> file = seed.build();
    ASSERT_EQ(errorOf(file), "");
    for (size_t length = 0; length < file.size(); ++length)
      ASSERT_NE(errorOf({file.begin(), file.begin() + ptrdiff_t(length)}), "")
          << "of " << length << " bytes";
  }
}

TEST(GGUFMutation, EveryBitFlip) {
  size_t accepted = 0, refused = 0;
  for (GGUFBuilder &seed : seeds()) {
    std::vector<uint8_t> file = seed.build();
    for (size_t bit = 0; bit < seed.headerBytes() * 8; ++bit) {
      file[bit / 8] ^= uint8_t(1 << bit % 8);
      (errorOf(file).empty() ? accepted : refused) += 1;
      file[bit / 8] ^= uint8_t(1 << bit % 8);
    }
  }
  // Flips in values and texts are harmless, those in the structure are not.
  EXPECT_GT(accepted, 1000u);
  EXPECT_GT(refused, 1000u);
}

std::vector<uint64_t> boundaryValues(size_t fileBytes) {
  std::vector<uint64_t> values = {0, 1, ~uint64_t(0)};
  for (unsigned power : {7u, 8u, 15u, 16u, 31u, 32u, 53u, 61u, 62u, 63u})
    for (int delta : {-1, 0, 1})
      values.push_back((uint64_t(1) << power) + uint64_t(int64_t(delta)));
  for (int delta : {-2, -1, 0, 1, 2})
    values.push_back(fileBytes + uint64_t(int64_t(delta)));
  for (unsigned below : {2u, 8u, 31u, 32u, 33u})
    values.push_back(0 - uint64_t(below));
  return values;
}

// Each number of the header takes each boundary value.
TEST(GGUFMutation, BoundaryValues) {
  size_t files = 0;
  for (GGUFBuilder &seed : seeds()) {
    std::vector<uint8_t> file = seed.build();
    for (const GGUFBuilder::Field &field : seed.fields()) {
      for (uint64_t value : boundaryValues(file.size())) {
        std::vector<uint8_t> bad = file;
        std::memcpy(&bad[field.offset], &value, field.bytes);
        if (bad == file)
          continue;
        ++files;
        std::string error = errorOf(bad);
        uint64_t stored = 0;
        std::memcpy(&stored, &bad[field.offset], field.bytes);
        // No count, length, shape or place of these files can be so large.
        if (field.role != Role::Value && stored > file.size()) {
          ASSERT_NE(error, "")
              << "value " << stored << " at byte " << field.offset;
        }
      }
    }
  }
  EXPECT_GE(files, 5000u);
}

// Two numbers at once: products and sums that wrap.
TEST(GGUFMutation, PairsOfLargeNumbers) {
  GGUFBuilder seed;
  seed.tensor("a", {32, 2, 2, 2}, 2).tensor("b", {32, 2}, 0);
  std::vector<uint8_t> file = seed.build();
  const uint64_t values[] = {
      uint64_t(1) << 31, uint64_t(1) << 32,   uint64_t(1) << 33,
      uint64_t(1) << 59, uint64_t(1) << 60,   (uint64_t(1) << 60) + 32,
      uint64_t(1) << 62, uint64_t(1) << 63,   ~uint64_t(0),
      ~uint64_t(0) - 31, 0x5555555555555556u, 0x8e38e38e38e38e40u};
  for (const GGUFBuilder::Field &one : seed.fields()) {
    for (const GGUFBuilder::Field &two : seed.fields()) {
      if (one.offset >= two.offset || one.bytes != 8 || two.bytes != 8)
        continue;
      for (uint64_t a : values) {
        for (uint64_t b : values) {
          std::vector<uint8_t> bad = file;
          std::memcpy(&bad[one.offset], &a, 8);
          std::memcpy(&bad[two.offset], &b, 8);
          ASSERT_NE(errorOf(bad), "")
              << a << " at " << one.offset << ", " << b << " at " << two.offset;
        }
      }
    }
  }
}

} // namespace
