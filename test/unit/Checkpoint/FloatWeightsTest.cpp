//===- FloatWeightsTest.cpp - bitsandbytes and FP8 in folders -------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Small folders that are right, read against the formats' definitions, and the
// same folders with one thing wrong.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Bits.h"
#include "qcc/Formats/PackedWeight.h"
#include <cmath>
#include <functional>
#include <gtest/gtest.h>
#include "FolderBuilder.h"

using namespace qcc;

namespace {

using Array = FolderModel::Array;

std::string floats(const std::vector<float> &values) {
  std::string bytes(values.size() * 4, '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// Value `i` of arrays of floats.
float someFloat(size_t i) { return 0.01f * float(i % 37) - 0.123f; }
std::string someFloats(size_t count) {
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i)
    values.push_back(someFloat(i));
  return floats(values);
}

std::string errorAfter(FolderModel model,
                       const std::function<void(FolderModel &)> &change) {
  change(model);
  return folderError(model.files());
}

/// Rows of "m.weight" as values.
std::vector<std::vector<float>> decode(const FolderModel &model,
                                       std::string &type) {
  FolderFiles files = model.files();
  Result<Checkpoint> checkpoint = parseFolderExactly(files);
  if (!checkpoint) {
    ADD_FAILURE() << checkpoint.message();
    return {};
  }
  const Tensor *weight = checkpoint->findTensor("m.weight");
  if (!weight) {
    ADD_FAILURE() << "no m.weight";
    return {};
  }
  type = weight->typeName();
  std::vector<std::vector<float>> rows(weight->rows());
  for (uint64_t row = 0; row < weight->rows(); ++row) {
    rows[row].resize(weight->rowElements());
    checkpoint->decodeRows(*weight, row, 1, rows[row].data());
  }
  return rows;
}

//===----------------------------------------------------------------------===//
// bitsandbytes, 4 bits
//===----------------------------------------------------------------------===//

constexpr char kState[] = "m.weight.quant_state.bitsandbytes__nf4";

/// 6 rows of 96: blocks of 64 cross rows.
FolderModel nf4(bool nested) {
  FolderModel model;
  model.quantization = R"("quant_method":"bitsandbytes","load_in_4bit":true,)"
                       R"("bnb_4bit_quant_type":"nf4")";
  auto &arrays = model.arrays;
  arrays["m.weight"] = {"U8", {288, 1}, someBytes(288)};
  arrays["m.weight.quant_map"] = {"F32", {16}, someFloats(16)};
  arrays["m.weight.absmax"] = nested ? Array{"U8", {9}, someBytes(9)}
                                     : Array{"F32", {9}, someFloats(9)};
  std::string state = R"({"quant_type":"nf4","blocksize":64,"shape":[6,96])";
  if (nested) {
    state += R"(,"nested_blocksize":256,"nested_offset":0.106683701276779)";
    arrays["m.weight.nested_absmax"] = {"F32", {1}, floats({0.7f})};
    arrays["m.weight.nested_quant_map"] = {"F32", {256}, someFloats(256)};
  }
  state += "}";
  arrays[kState] = {"U8", {state.size()}, state};
  return model;
}

/// Nested scales of rows that are whole blocks.
FolderModel nested(uint64_t out, uint64_t in, uint64_t nestedBlock) {
  FolderModel model;
  model.quantization = R"("quant_method":"bitsandbytes","load_in_4bit":true)";
  uint64_t blocks = out * in / 64,
           outer = (blocks + nestedBlock - 1) / nestedBlock;
  auto &arrays = model.arrays;
  arrays["m.weight"] = {"U8", {out * in / 2, 1}, someBytes(out * in / 2)};
  arrays["m.weight.quant_map"] = {"F32", {16}, someFloats(16)};
  arrays["m.weight.absmax"] = {"U8", {blocks}, someBytes(blocks)};
  arrays["m.weight.nested_absmax"] = {"F32", {outer}, someFloats(outer)};
  arrays["m.weight.nested_quant_map"] = {"F32", {256}, someFloats(256)};
  std::string state =
      R"({"quant_type":"nf4","blocksize":64,"nested_offset":0.25,"shape":[)" +
      std::to_string(out) + "," + std::to_string(in) +
      R"(],"nested_blocksize":)" + std::to_string(nestedBlock) + "}";
  arrays[kState] = {"U8", {state.size()}, state};
  return model;
}

TEST(Bitsandbytes, NestedScalesStayNested) {
  // Rows that share a scale, have several, or a part of two; panels likewise.
  const struct {
    uint64_t out, in, nestedBlock;
    unsigned superBlock; ///< 0: none.
    bool isSplit, isCommon;
  } cases[] = {
      {9, 512, 32, 512, false, false},    {3, 8192, 64, 4096, false, false},
      {5, 3072, 32, 2048, true, false},   {3, 20480, 256, 16384, true, false},
      {70, 128, 32, 128, true, true},     {60, 576, 256, 576, true, true},
      {20, 1088, 256, 1088, true, false}, {2, 64, 32, 0, false, false},
  };
  for (const auto &c : cases) {
    SCOPED_TRACE(std::to_string(c.out) + " x " + std::to_string(c.in));
    FolderModel model = nested(c.out, c.in, c.nestedBlock);
    FolderFiles files = model.files();
    Result<Checkpoint> checkpoint = parseFolderExactly(files);
    ASSERT_TRUE(bool(checkpoint)) << checkpoint.message();
    const Encoding &encoding = *checkpoint->findTensor("m.weight")->encoding();
    EXPECT_EQ(encoding.superBlock, c.superBlock);
    EXPECT_EQ(encoding.splitScale, c.isSplit);
    EXPECT_EQ(encoding.commonScale, c.isCommon);
    EXPECT_EQ(encoding.isTwoLevel(), c.superBlock != 0);

    std::string type, codes = someBytes(c.out * c.in / 2),
                      scales = someBytes(c.out * c.in / 64);
    std::vector<std::vector<float>> rows = decode(model, type);
    for (size_t i = 0; i < c.out * c.in; ++i) {
      uint8_t byte = uint8_t(codes[i / 2]);
      float scale = someFloat(uint8_t(scales[i / 64])) *
                    someFloat(i / 64 / c.nestedBlock);
      scale = scale + 0.25f;
      ASSERT_EQ(rows[i / c.in][i % c.in],
                someFloat(i % 2 ? byte & 15 : byte >> 4) * scale)
          << i;
    }
  }
}

/// That the packed "m.weight" of 32 rows is at most 4 % larger than `bytes`.
void expectPackedSmall(const FolderModel &model, double bytes) {
  FolderFiles files = model.files();
  Result<Checkpoint> checkpoint = parseFolderExactly(files);
  ASSERT_TRUE(bool(checkpoint)) << checkpoint.message();
  const Tensor &weight = *checkpoint->findTensor("m.weight");
  PackedWeight packed(*weight.encoding(), weight.rowElements());
  EXPECT_LT(double(packed.bytes(32)), 1.04 * bytes);
}

TEST(Bitsandbytes, NestedScalesArePackedSmall) {
  for (uint64_t in : {128, 192, 384, 576, 896, 2880, 4096, 11008, 14336})
    expectPackedSmall(nested(32, in, 256), double(32 * in / 2 + 32 * in / 64));
}

TEST(Bitsandbytes, FourBitsAreTheirDefinition) {
  for (bool nested : {false, true}) {
    SCOPED_TRACE(nested);
    std::string type, codes = someBytes(288), scales = someBytes(9);
    std::vector<std::vector<float>> rows = decode(nf4(nested), type);
    EXPECT_EQ(type, "NF4-4-g32");
    ASSERT_EQ(rows.size(), 6u);
    for (size_t i = 0; i < 6 * 96; ++i) {
      uint8_t byte = uint8_t(codes[i / 2]);
      float scale = someFloat(i / 64);
      if (nested) {
        float product = someFloat(uint8_t(scales[i / 64])) * 0.7f;
        scale = product + 0.106683701276779f;
      }
      ASSERT_EQ(rows[i / 96][i % 96],
                someFloat(i % 2 ? byte & 15 : byte >> 4) * scale)
          << i;
    }
  }
}

/// Weights may be typed as what they are kept in.
TEST(Bitsandbytes, FourBitsInOtherTypes) {
  std::string type;
  FolderModel model = nf4(false);
  std::vector<std::vector<float>> rows = decode(model, type);
  model.arrays["m.weight"] = {"BF16", {144, 1}, someBytes(288)};
  EXPECT_EQ(decode(model, type), rows);
}

/// FP4 differs by name only.
TEST(Bitsandbytes, FourBitsOfBothTypes) {
  for (bool nested : {false, true}) {
    std::string type;
    FolderModel model = nf4(nested);
    std::vector<std::vector<float>> rows = decode(model, type);
    Array state = model.arrays[kState];
    model.arrays.erase(kState);
    state.bytes.replace(state.bytes.find("nf4"), 3, "fp4");
    model.arrays["m.weight.quant_state.bitsandbytes__fp4"] = state;
    EXPECT_NE(folderError(model.files()), "");
    model.quantization.replace(model.quantization.find("nf4"), 3, "fp4");
    EXPECT_EQ(decode(model, type), rows);
    EXPECT_EQ(type, "FP4-4-g32");
  }
}

TEST(Bitsandbytes, RefusesFourBits) {
  const std::string file = "folder/model.safetensors: tensor ";
  const std::string state = file + "'" + kState + "'";
  auto with = [](const std::function<void(FolderModel &)> &change) {
    return errorAfter(nf4(true), change);
  };
  auto withState = [&](const std::string &text) {
    return with([&](FolderModel &m) {
      m.arrays[kState] = {"U8", {text.size()}, text};
    });
  };
  EXPECT_EQ(with([](FolderModel &) {}), "");
  EXPECT_EQ(with([](FolderModel &m) { m.arrays.erase(kState); }),
            file + "'m.weight' comes without its quant_state");
  EXPECT_EQ(with([](FolderModel &m) { m.arrays.erase("m.weight"); }),
            state + " comes without 'm.weight'");
  EXPECT_EQ(with([](FolderModel &m) { m.arrays.erase("m.weight.absmax"); }),
            file + "'m.weight' comes without 'm.weight.absmax'");
  EXPECT_EQ(
      with([](FolderModel &m) { m.arrays.erase("m.weight.nested_absmax"); }),
      file + "'m.weight' comes without 'm.weight.nested_absmax'");
  EXPECT_EQ(with([](FolderModel &m) {
              m.arrays["m.weight"] = {"U8", {287, 1}, someBytes(287)};
            }),
            file + "'m.weight': expected 288 bytes, for shape [6, 96], got "
                   "287");
  EXPECT_EQ(with([](FolderModel &m) {
              m.arrays["m.weight.absmax"] = {"F32", {9}, someFloats(9)};
            }),
            file + "'m.weight.absmax': expected dtype U8, got F32");
  EXPECT_EQ(with([](FolderModel &m) {
              m.arrays["m.weight.absmax"] = {"U8", {8}, someBytes(8)};
            }),
            file + "'m.weight.absmax': expected shape [9], got [8]");
  EXPECT_EQ(with([](FolderModel &m) {
              m.arrays["m.weight.nested_absmax"] = {"F32", {2}, someFloats(2)};
            }),
            file + "'m.weight.nested_absmax': expected shape [1], got [2]");
  EXPECT_EQ(with([](FolderModel &m) {
              m.arrays["m.weight.quant_map"].bytes.replace(12, 4,
                                                           floats({INFINITY}));
            }),
            file + "'m.weight.quant_map': expected finite values, got one that "
                   "is not, for code 3");

  EXPECT_EQ(with([](FolderModel &m) {
              m.arrays["m.weight.nested_quant_map"].bytes.replace(
                  400, 4, floats({NAN}));
            }),
            file + "'m.weight.nested_quant_map': expected finite values, got "
                   "one that is not, for code 100");

  EXPECT_EQ(withState("{"), state + ": not JSON at byte 2");
  EXPECT_EQ(withState(R"({"quant_type":"fp4","blocksize":64,"shape":[6,96]})"),
            state + ": key 'quant_type': expected 'nf4', as the name has, got "
                    "'fp4'");
  EXPECT_EQ(withState(R"({"quant_type":"nf4","blocksize":60,"shape":[6,96]})"),
            state +
                ": key 'blocksize': expected a power of two of 32 to 65536, "
                "got 60");
  EXPECT_EQ(withState(R"({"quant_type":"nf4","blocksize":64,"shape":[6]})"),
            state + ": key 'shape': expected two numbers of 1 to 2^28");
  EXPECT_EQ(withState(R"({"quant_type":"nf4","blocksize":64,"shape":[6,-96]})"),
            state + ": key 'shape': expected two numbers of 1 to 2^28");
  EXPECT_EQ(withState(R"({"quant_type":"nf4","blocksize":64,"shape":[192,3]})"),
            state + ": expected in features that are a multiple of 4, got 3");
  EXPECT_EQ(
      withState(R"({"quant_type":"nf4","blocksize":64,"nested_blocksize":256,)"
                R"("shape":[6,96]})"),
      state + ": key 'nested_offset': expected a number");
  EXPECT_EQ(
      withState(R"({"quant_type":"nf4","blocksize":64,"nested_blocksize":256,)"
                R"("nested_offset":1e39,"shape":[6,96]})"),
      state + ": key 'nested_offset': expected a finite f32");

  auto withConfig = [&](const std::string &config) {
    return with([&](FolderModel &m) {
      m.quantization = R"("quant_method":"bitsandbytes")" + config;
    });
  };
  const std::string config = "folder/config.json: quantization_config: ";
  EXPECT_EQ(withConfig(""),
            config + "expected one of load_in_4bit and load_in_8bit, got none");
  EXPECT_EQ(withConfig(R"(,"load_in_4bit":true,"load_in_8bit":true)"),
            config + "expected one of load_in_4bit and load_in_8bit, got both");
  EXPECT_EQ(withConfig(R"(,"load_in_8bit":true)"),
            "folder/config.json: quantization_config: expected load_in_4bit, "
            "for " +
                state);
  EXPECT_EQ(withConfig(R"(,"load_in_4bit":true,"bnb_4bit_quant_type":"fp4")"),
            state + ": key 'quant_type': expected 'fp4', as the config has, "
                    "got 'nf4'");
}

//===----------------------------------------------------------------------===//
// bitsandbytes, 8 bits
//===----------------------------------------------------------------------===//

FolderModel int8() {
  FolderModel model;
  model.quantization = R"("quant_method":"bitsandbytes","load_in_8bit":true)";
  model.arrays["m.weight"] = {"I8", {3, 40}, someBytes(120)};
  model.arrays["m.SCB"] = {"F32", {3}, someFloats(3)};
  model.arrays["m.weight_format"] = {"U8", {}, std::string(1, '\0')};
  return model;
}

TEST(Bitsandbytes, EightBitsAreTheirDefinition) {
  std::string type, codes = someBytes(120);
  std::vector<std::vector<float>> rows = decode(int8(), type);
  EXPECT_EQ(type, "LLM.int8-8-g8");
  ASSERT_EQ(rows.size(), 3u);
  for (size_t i = 0; i < 120; ++i)
    ASSERT_EQ(rows[i / 40][i % 40],
              float(int8_t(codes[i])) * (someFloat(i / 40) / 127.0f));
}

TEST(Bitsandbytes, RefusesEightBits) {
  const std::string file = "folder/model.safetensors: tensor ";
  auto with = [](const std::function<void(FolderModel &)> &change) {
    return errorAfter(int8(), change);
  };
  EXPECT_EQ(with([](FolderModel &m) { m.arrays.erase("m.weight_format"); }),
            "");
  EXPECT_EQ(with([](FolderModel &m) { m.arrays.erase("m.SCB"); }),
            file + "'m.weight' comes without its scales (SCB)");
  EXPECT_EQ(with([](FolderModel &m) { m.arrays.erase("m.weight"); }),
            file + "'m.SCB' comes without 'm.weight'");
  EXPECT_EQ(with([](FolderModel &m) { m.arrays["m.weight"].type = "U8"; }),
            file + "'m.weight': expected dtype I8, got U8");
  EXPECT_EQ(with([](FolderModel &m) { m.arrays["m.SCB"].shape = {3, 1}; }),
            file + "'m.SCB': expected shape [3], got [3, 1]");
  EXPECT_EQ(
      with([](FolderModel &m) { m.arrays["m.weight_format"].bytes = "\2"; }),
      file + "'m.weight_format': expected 0 (rows), got 2, an order for "
             "old GPUs");
  EXPECT_EQ(with([](FolderModel &m) {
              m.quantization =
                  R"("quant_method":"bitsandbytes","load_in_4bit":true)";
            }),
            "folder/config.json: quantization_config: expected load_in_8bit, "
            "for " +
                file + "'m.SCB'");
}

//===----------------------------------------------------------------------===//
// FP8
//===----------------------------------------------------------------------===//

/// 5 rows of 96 in tiles of 2 x 64, of which some are partial.
FolderModel fp8() {
  FolderModel model;
  model.quantization = R"("quant_method":"fp8","weight_block_size":[2,64])";
  model.arrays["m.weight"] = {"F8_E4M3", {5, 96}, someBytes(480)};
  model.arrays["m.weight_scale_inv"] = {"F32", {3, 2}, someFloats(6)};
  return model;
}

/// `scale(row, column)` of each weight.
void expectFP8(const FolderModel &model, const std::string &expectedType,
               const std::function<float(size_t, size_t)> &scale) {
  std::string type, codes = someBytes(480);
  std::vector<std::vector<float>> rows = decode(model, type);
  EXPECT_EQ(type, expectedType);
  ASSERT_EQ(rows.size(), 5u);
  for (size_t i = 0; i < 480; ++i) {
    float value = floatFromE4M3FN(uint8_t(codes[i]));
    if (model.arrays.at("m.weight").type == "F8_E5M2")
      value = floatFromHalf(uint16_t(uint8_t(codes[i]) << 8));
    value *= scale(i / 96, i % 96);
    if (std::isnan(value))
      ASSERT_TRUE(std::isnan(rows[i / 96][i % 96])) << i;
    else
      ASSERT_EQ(rows[i / 96][i % 96], value) << i;
  }
}

TEST(FP8, TilesAreTheirDefinition) {
  auto tile = [](size_t row, size_t column) {
    return someFloat(row / 2 * 2 + column / 64);
  };
  expectFP8(fp8(), "FP8-8-g64", tile);
  FolderModel model = fp8();
  model.arrays["m.weight"].type = "F8_E5M2";
  expectFP8(model, "FP8-8-g64", tile);
  // Static activations are left to whoever wants them.
  model.arrays["m.activation_scale"] = {"F32", {}, someFloats(1)};
  expectFP8(model, "FP8-8-g64", tile);
}

TEST(FP8, TilesArePackedSmall) {
  FolderModel model;
  model.arrays["m.weight"] = {"F8_E4M3", {64, 576}, someBytes(64 * 576)};
  for (uint64_t k : {16, 48, 64, 128, 576}) {
    model.quantization = R"("quant_method":"fp8","weight_block_size":[32,)" +
                         std::to_string(k) + "]";
    const uint64_t n = 2 * ((576 + k - 1) / k);
    model.arrays["m.weight_scale_inv"] = {"F32", {2, n / 2}, someFloats(n)};
    expectPackedSmall(model, 32 * 576);
  }
}

TEST(FP8, PowersOfTwo) {
  for (const char *type : {"F8_E8M0", "U8"}) {
    FolderModel model = fp8();
    model.arrays["m.weight_scale_inv"] = {
        type, {3, 2}, "\x70\x71\x72\x7f\x80\x81"};
    expectFP8(model, "FP8-8-g64", [](size_t row, size_t column) {
      const int exponents[] = {-15, -14, -13, 0, 1, 2};
      return std::ldexp(1.0f, exponents[row / 2 * 2 + column / 64]);
    });
  }
}

TEST(FP8, OneScaleForAll) {
  FolderModel model = fp8();
  model.quantization = R"("quant_method":"fp8","weight_block_size":null)";
  for (std::vector<uint64_t> shape : {std::vector<uint64_t>{}, {1}, {1, 1}}) {
    model.arrays["m.weight_scale_inv"] = {"F32", shape, floats({0.37f})};
    expectFP8(model, "FP8-8-g96", [](size_t, size_t) { return 0.37f; });
  }
}

std::string schemeText(const std::string &rest) {
  return R"("quant_method":"compressed-tensors","format":"float-quantized",)"
         R"("config_groups":{"group_0":{"targets":["Linear"],"weights":{)"
         R"("num_bits":8,"type":"float","symmetric":true)" +
         rest + "}}}";
}

TEST(FP8, CompressedTensors) {
  FolderModel model = fp8();
  model.arrays.erase("m.weight_scale_inv");
  std::string &config = model.quantization;
  Array &scale = model.arrays["m.weight_scale"];

  config = schemeText(R"(,"strategy":"channel")");
  scale = {"F32", {5, 1}, someFloats(5)};
  expectFP8(model, "FP8-8-g96",
            [](size_t row, size_t) { return someFloat(row); });
  EXPECT_EQ(errorAfter(model,
                       [](FolderModel &m) {
                         m.arrays["m.weight_scale"].shape = {1, 5};
                       }),
            "folder/model.safetensors: tensor 'm.weight_scale': expected shape "
            "[5, 1], got [1, 5]");

  config = schemeText(R"(,"strategy":"group","group_size":48)");
  scale = {"F32", {5, 2}, someFloats(10)};
  expectFP8(model, "FP8-8-g16", [](size_t row, size_t column) {
    return someFloat(row * 2 + column / 48);
  });

  config = schemeText(R"(,"strategy":"block","block_structure":[4,32])");
  scale = {"F32", {2, 3}, someFloats(6)};
  expectFP8(model, "FP8-8-g32", [](size_t row, size_t column) {
    return someFloat(row / 4 * 3 + column / 32);
  });

  config = schemeText(R"(,"strategy":"tensor")");
  scale = {"F32", {1}, someFloats(1)};
  expectFP8(model, "FP8-8-g96", [](size_t, size_t) { return someFloat(0); });

  const std::string where =
      "folder/config.json: quantization_config: weights: ";
  auto with = [&](const std::string &rest) {
    config = schemeText(rest);
    return folderError(model.files());
  };
  EXPECT_EQ(with(R"(,"strategy":"token")"),
            where + "strategy 'token' is not supported yet (supported: tensor, "
                    "channel, group, block)");
  EXPECT_EQ(with(R"(,"strategy":"group","group_size":0)"),
            where + "key 'group_size': expected a positive number, got 0");
  EXPECT_EQ(with(R"(,"strategy":"block","block_structure":[4])"),
            where + "key 'block_structure': expected two positive numbers");
}

TEST(FP8, Refuses) {
  const std::string file = "folder/model.safetensors: tensor ";
  auto with = [](const std::function<void(FolderModel &)> &change) {
    return errorAfter(fp8(), change);
  };
  EXPECT_EQ(with([](FolderModel &m) { m.arrays.erase("m.weight_scale_inv"); }),
            file + "'m.weight' comes without 'm.weight_scale_inv'");
  EXPECT_EQ(with([](FolderModel &m) { m.arrays.erase("m.weight"); }),
            file + "'m.weight_scale_inv' comes without 'm.weight'");
  EXPECT_EQ(with([](FolderModel &m) { m.arrays["m.weight"].type = "I8"; }),
            file + "'m.weight': expected dtype F8_E4M3 or F8_E5M2 beside "
                   "'m.weight_scale_inv', got I8");
  EXPECT_EQ(with([](FolderModel &m) {
              m.arrays["m.weight_scale_inv"] = {"F32", {2, 3}, someFloats(6)};
            }),
            file + "'m.weight_scale_inv': expected shape [3, 2], got [2, 3]");
  EXPECT_EQ(with([](FolderModel &m) {
              m.arrays["m.weight_scale_inv"] = {"I32", {3, 2}, someFloats(6)};
            }),
            file + "'m.weight_scale_inv': expected dtype F32, F16, BF16, "
                   "F8_E8M0 or U8, got I32");
  EXPECT_EQ(with([](FolderModel &m) { m.arrays["m.weight"].shape = {480, 1}; }),
            file + "'m.weight': expected columns that are a multiple of 4, got "
                   "[480, 1]");
  auto withConfig = [&](const std::string &config) {
    return with([&](FolderModel &m) {
      m.quantization = R"("quant_method":"fp8")" + config;
    });
  };
  const std::string config = "folder/config.json: quantization_config: ";
  for (const char *size : {"[128]", "[0,128]", "[-1,2]", "128", "[1.5,2]",
                           "[\"a\",2]", "[1,4294967296]"})
    EXPECT_EQ(withConfig(",\"weight_block_size\":" + std::string(size))
                  .substr(0, 105),
              (config + "key 'weight_block_size': expected two positive "
                        "numbers or null, got '")
                  .substr(0, 105));
  EXPECT_EQ(withConfig(R"(,"weight_block_size":[2,3])"),
            file + "'m.weight': expected scales for at least 4 columns each, "
                   "columns included, got one for 3 of 96");
  EXPECT_EQ(withConfig(R"(,"weight_scale_semantics":"inverse")"),
            config + "scales that divide (key 'weight_scale_semantics': "
                     "'inverse') are not supported yet");
}

//===----------------------------------------------------------------------===//
// Mutations: nothing is read out of bounds
//===----------------------------------------------------------------------===//

TEST(FloatWeightsMutation, EveryByteOfTheHeader) {
  for (const FolderModel &model : {nf4(true), nf4(false), int8(), fp8()}) {
    FolderFiles files = model.files();
    std::string &weights = files["model.safetensors"];
    const std::string original = weights;
    uint64_t length;
    std::memcpy(&length, original.data(), 8);
    for (size_t i = 8; i < 8 + length; ++i)
      for (char byte : {'0', '9', ' ', '"', char(original[i] ^ 1)}) {
        weights = original;
        weights[i] = byte;
        folderError(files); // Reads whatever is accepted.
      }
  }
}

TEST(FloatWeightsMutation, StateNumbers) {
  for (const char *number : {"0", "-1", "1", "33", "64", "65537", "4294967296",
                             "18446744073709551615", "1e300", "null", "[]"})
    for (const char *key : {"blocksize", "nested_blocksize", "shape0", "shape1",
                            "nested_offset"}) {
      auto value = [&](const char *name, const char *normal) {
        return std::string(name == std::string(key) ? number : normal);
      };
      std::string state =
          R"({"quant_type":"nf4","blocksize":)" + value("blocksize", "64") +
          R"(,"nested_blocksize":)" + value("nested_blocksize", "256") +
          R"(,"nested_offset":)" + value("nested_offset", "0.5") +
          R"(,"shape":[)" + value("shape0", "6") + "," + value("shape1", "96") +
          "]}";
      FolderModel model = nf4(true);
      model.arrays[kState] = {"U8", {state.size()}, state};
      folderError(model.files());
    }
}

//===----------------------------------------------------------------------===//
// NVFP4
//===----------------------------------------------------------------------===//

TEST(FP4, ScalesArePackedAsTheyAre) {
  for (uint64_t in : {16, 48, 576}) {
    SCOPED_TRACE(in);
    FolderModel model;
    model.quantization = R"("quant_method":"modelopt","quant_algo":"NVFP4")";
    model.arrays["m.weight"] = {"U8", {32, in / 2}, someBytes(32 * in / 2)};
    model.arrays["m.weight_scale"] = {
        "F8_E4M3", {32, in / 16}, someBytes(2 * in)};
    model.arrays["m.weight_scale_2"] = {"F32", {}, floats({0.3f})};
    // Rows of 32.
    uint64_t padded = (in + 31) / 32 * 32;
    expectPackedSmall(model, 32.0 * double(padded) * 9 / 16);
    model.arrays["m.weight_scale_2"].bytes = floats({1e-39f});
    EXPECT_EQ(folderError(model.files()),
              "folder/model.safetensors: tensor 'm.weight_scale_2': expected a "
              "finite number that has an inverse, got 0.000000");
  }
}

} // namespace
