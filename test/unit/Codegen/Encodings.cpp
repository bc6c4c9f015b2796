//===- Encodings.cpp - The encodings that kernels are tested with ---------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Encodings.h"

#include "qcc/Formats/GGML.h"
#include "qcc/Formats/PackedLayout.h"

using namespace qcc;
using namespace qcc::test;

Encoding qcc::test::oneLevel(unsigned bits, unsigned group, ScalarType scale) {
  Encoding encoding;
  encoding.bits = bits;
  encoding.group = group;
  encoding.scale = scale;
  return encoding;
}

Encoding qcc::test::twoLevel(unsigned bits, unsigned group, unsigned superBlock,
                             unsigned subBits, ScalarType scale) {
  Encoding encoding = oneLevel(bits, group, scale);
  encoding.superBlock = superBlock;
  encoding.subBits = subBits;
  return encoding;
}

/// Encodings that no file format of the product has.
static std::vector<NamedEncoding> foreignEncodings() {
  std::vector<NamedEncoding> list;
  Encoding e = oneLevel(3, 64, ScalarType::U8);
  e.table = {-90, -50, -25, -5, 5, 25, 50, 90};
  list.push_back({"Table3Group64U8", e});

  e = oneLevel(4, 32, ScalarType::E8M0);
  e.table = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  list.push_back({"Table4E8M0", e});

  e = oneLevel(4, 128, ScalarType::BF16);
  e.zero = 8;
  list.push_back({"Zero4Group128BF16", e});

  e = twoLevel(5, 16, 128, 7, ScalarType::F16);
  e.zero = 13;
  e.subZero = 64;
  list.push_back({"TwoLevel5Group16", e});

  e = twoLevel(4, 64, 128, 8, ScalarType::BF16);
  e.min = ScalarType::BF16;
  e.subMinBits = 8;
  list.push_back({"TwoLevel4Min8", e});

  e = oneLevel(7, 32, ScalarType::F32);
  e.zero = 64;
  e.min = ScalarType::F16;
  list.push_back({"Zero7MinF16", e});

  e = oneLevel(8, 64, ScalarType::F16);
  e.zero = 77;
  list.push_back({"Zero8Group64", e});

  e = oneLevel(1, 32, ScalarType::F16);
  e.min = ScalarType::F16;
  list.push_back({"Bits1Min", e});

  e = oneLevel(2, 8, ScalarType::F16);
  e.zero = 1;
  list.push_back({"Bits2Group8", e});

  e = oneLevel(4, 128, ScalarType::F16);
  e.min = ScalarType::F16;
  list.push_back({"Bits4Group128Min", e});

  e = oneLevel(4, 16, ScalarType::F32);
  e.table = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  e.scaleExponent = -1;
  list.push_back({"Table4Group16F32", e});

  e = oneLevel(6, 4, ScalarType::BF16);
  e.min = ScalarType::BF16;
  list.push_back({"Bits6Group4Min", e});

  e = oneLevel(4, 128, ScalarType::F16);
  e.zero = 1;
  e.zeroBits = 4;
  list.push_back({"Zeros4Group128", e});

  e = oneLevel(4, 32, ScalarType::F16);
  e.zeroBits = 4;
  list.push_back({"Zeros4Group32", e});

  e = oneLevel(8, 32, ScalarType::F16);
  e.zeroBits = 8;
  list.push_back({"Zeros8Group32", e});

  e = oneLevel(2, 64, ScalarType::F16);
  e.zeroBits = 2;
  e.zero = 1;
  list.push_back({"Zeros2Group64", e});

  e = oneLevel(3, 64, ScalarType::BF16);
  e.zeroBits = 3;
  e.min = ScalarType::F16;
  list.push_back({"Zeros3Group64Min", e});

  e = oneLevel(4, 64, ScalarType::F32);
  e.values = {-1.0f,  -0.7f, -0.53f, -0.39f, -0.28f, -0.18f, -0.091f, 0.0f,
              0.079f, 0.16f, 0.25f,  0.34f,  0.44f,  0.56f,  0.72f,   1.0f};
  list.push_back({"Values4Group64F32", e});

  e.group = 16;
  e.scale = ScalarType::F16;
  list.push_back({"Values4Group16F16", e});

  e = oneLevel(3, 32, ScalarType::BF16);
  e.values = {0.3f, -0.0f, 1e-30f, -7.25f, 1.0f / 3, 5.5f, -1e5f, 2.0f};
  e.min = ScalarType::F16;
  list.push_back({"Values3MinF16", e});

  e = oneLevel(8, 128, ScalarType::F32);
  e.minifloat = Minifloat::E4M3FN;
  list.push_back({"E4M3Group128F32", e});

  e.group = 8;
  e.scale = ScalarType::BF16;
  list.push_back({"E4M3Group8BF16", e});

  e.group = 64;
  e.scale = ScalarType::F32;
  e.commonScale = true;
  list.push_back({"E4M3CommonScale64", e});

  e.group = 16;
  list.push_back({"E4M3CommonScale16", e});

  e = oneLevel(4, 32, ScalarType::F16);
  e.zeroBits = 4;
  e.commonScale = true;
  list.push_back({"Zeros4CommonScale32", e});

  e = oneLevel(8, 96, ScalarType::F16);
  e.minifloat = Minifloat::E5M2;
  list.push_back({"E5M2Group96F16", e});

  e = twoLevel(4, 64, 0, 7, ScalarType::F16);
  e.zero = 8;
  list.push_back({"TwoLevel4OneGroup", e});

  e = twoLevel(5, 32, 0, 4, ScalarType::F16);
  e.zero = 16;
  e.subZero = -1;
  e.subSquared = true;
  e.scaleExponent = -8;
  e.commonScale = true;
  list.push_back({"CommonScaleSquared", e});

  e.bits = 2;
  e.zero = 2;
  e.group = 16;
  list.push_back({"CommonScaleSquaredGroup16", e});

  e.bits = 0;
  e.zero = 0;
  e.group = 0;
  e.spans = {{32, 8, 128, 32}, {128, 6, 32, 64}, {96, 5, 16, 96},
             {32, 4, 8, 32},   {64, 3, 4, 32},   {64, 2, 2, 64},
             {96, 2, 2, 16}};
  list.push_back({"SpansCommonScaleSquared", e});

  e = oneLevel(4, 64, ScalarType::F32);
  e.values = {-1.0f,  -0.7f, -0.53f, -0.39f, -0.28f, -0.18f, -0.091f, 0.0f,
              0.079f, 0.16f, 0.25f,  0.34f,  0.44f,  0.56f,  0.72f,   1.0f};
  e.superBlock = 192;
  e.subBits = 8;
  for (int i = 0; i < 256; ++i)
    e.subValues.push_back(float(i - 100) * float(i) / 7000);
  e.offset = ScalarType::F32;
  list.push_back({"SubValuesOffset", e});

  e = twoLevel(3, 32, 64, 2, ScalarType::F16);
  e.zero = 4;
  e.subValues = {0.5f, -3.0f, 1.25f, 0.0f};
  e.offset = ScalarType::F16;
  e.commonScale = true;
  list.push_back({"SubValuesCommonScale", e});

  e = oneLevel(4, 64, ScalarType::F32);
  e.values = {-1.0f,  -0.7f, -0.53f, -0.39f, -0.28f, -0.18f, -0.091f, 0.0f,
              0.079f, 0.16f, 0.25f,  0.34f,  0.44f,  0.56f,  0.72f,   1.0f};
  e.superBlock = 320;
  e.subBits = 8;
  e.subSigned = true;
  e.offset = ScalarType::F32;
  e.splitScale = true;
  list.push_back({"SplitScaleOffset", e});

  e.commonScale = true;
  list.push_back({"SplitScaleCommon", e});

  e = twoLevel(3, 32, 96, 4, ScalarType::BF16);
  e.zero = 3;
  e.splitScale = true;
  list.push_back({"SplitScaleGroup32", e});

  e = twoLevel(4, 16, 96, 8, ScalarType::F32);
  e.table = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  e.scaleExponent = -1;
  e.commonScale = true;
  e.subMinifloat = Minifloat::E4M3FN;
  list.push_back({"SubE4M3CommonScale", e});

  e = twoLevel(2, 64, 128, 8, ScalarType::F16);
  e.zero = 1;
  e.subMinifloat = Minifloat::E5M2;
  list.push_back({"SubE5M2Group64", e});

  e = twoLevel(4, 8, 0, 6, ScalarType::F16);
  e.min = ScalarType::F16;
  e.subMinBits = 6;
  list.push_back({"TwoLevel4MinGroup8", e});

  e = oneLevel(4, 64, ScalarType::F16);
  e.min = ScalarType::F16;
  e.scaledMin = true;
  list.push_back({"ScaledMinGroup64", e});

  e = oneLevel(3, 16, ScalarType::F32);
  e.min = ScalarType::BF16;
  e.scaledMin = true;
  list.push_back({"ScaledMinGroup16", e});

  e = oneLevel(0, 0, ScalarType::F32);
  e.minifloat = Minifloat::E4M3FN;
  e.spans = {{256, 8, 0, 128}, {32, 8, 0, 32}};
  list.push_back({"SpansE4M3", e});

  e = oneLevel(0, 0, ScalarType::BF16);
  e.spans = {{64, 7, 50, 16}, {32, 1, 0, 32}};
  e.min = ScalarType::F16;
  list.push_back({"SpansMin", e});

  e = oneLevel(0, 0, ScalarType::F16);
  e.spans = {{128, 4, 1, 128}, {32, 4, 1, 32}};
  e.zeroBits = 4;
  list.push_back({"SpansZeros", e});

  e = twoLevel(2, 32, 64, 8, ScalarType::F32);
  e.subSigned = true;
  e.table = {-128, -1, 1, 127};
  list.push_back({"TwoLevelSignedTable2", e});
  return list;
}

size_t qcc::test::columnsFor(const Encoding &encoding, size_t units) {
  size_t columns = 0;
  for (const Encoding::Span &span : encoding.spans)
    columns += span.columns;
  return columns ? columns : units * PackedLayout(encoding).unitK;
}

std::vector<NamedEncoding> qcc::test::allEncodings() {
  std::vector<NamedEncoding> list = foreignEncodings();
  for (const GGMLType &type : ggmlTypes())
    if (type.encoding)
      list.push_back({type.name, *type.encoding});
  return list;
}
