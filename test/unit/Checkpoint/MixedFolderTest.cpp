//===- MixedFolderTest.cpp - Quantized folders whose modules differ -------===//
// SPDX-License-Identifier: Apache-2.0
//
// Small folders that are right, read against the formats' definitions, and the
// same folders damaged everywhere.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Bits.h"
#include <cmath>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include "FolderBuilder.h"

using namespace qcc;

namespace {

uint8_t nibble(const std::string &bytes, size_t i) {
  return uint8_t(bytes[i / 2]) >> 4 * (i % 2) & 15;
}

/// f16 numbers 1/256, 2/256, ...
std::string halves(size_t count) {
  std::string bytes;
  for (size_t i = 0; i < count; ++i) {
    uint16_t bits = halfFromFloat(float(i + 1) / 256);
    bytes.append(reinterpret_cast<const char *>(&bits), 2);
  }
  return bytes;
}
float half(size_t i) { return float(i + 1) / 256; }

std::string floats(std::initializer_list<float> values) {
  std::string bytes;
  for (float value : values)
    bytes.append(reinterpret_cast<const char *>(&value), 4);
  return bytes;
}

/// Values of a tensor of the folder, row by row.
std::vector<float> decode(const FolderModel &model,
                          const std::string &name = "m.weight") {
  Result<Checkpoint> checkpoint = parseFolderExactly(model.files());
  if (!checkpoint) {
    ADD_FAILURE() << checkpoint.message();
    return {};
  }
  const Tensor *tensor = checkpoint->findTensor(name);
  if (!tensor) {
    ADD_FAILURE() << "no " << name;
    return {};
  }
  std::vector<float> values(tensor->elements());
  checkpoint->decodeRows(*tensor, 0, unsigned(tensor->rows()), values.data());
  return values;
}

/// `value(n, k)` for each element.
void expectValues(const FolderModel &model, size_t rows, size_t columns,
                  const std::function<float(size_t, size_t)> &value) {
  std::vector<float> values = decode(model);
  ASSERT_EQ(values.size(), rows * columns);
  for (size_t i = 0; i < values.size(); ++i) {
    float expected = value(i / columns, i % columns);
    if (std::isnan(expected))
      ASSERT_TRUE(std::isnan(values[i])) << i;
    else
      ASSERT_EQ(values[i], expected) << i;
  }
}

/// The type of each tensor of the folder.
std::map<std::string, std::string> types(const FolderModel &model) {
  Result<Checkpoint> checkpoint = parseFolderExactly(model.files());
  std::map<std::string, std::string> result;
  if (!checkpoint)
    return {{"error", checkpoint.message()}};
  for (const Tensor &tensor : checkpoint->tensors())
    result[std::string(tensor.name)] = tensor.typeName();
  return result;
}

//===----------------------------------------------------------------------===//
// Models
//===----------------------------------------------------------------------===//

/// 8 rows of 64 in groups of 32; a row has 4 words of zero points.
FolderModel gemv() {
  FolderModel model;
  model.quantization =
      R"("quant_method":"awq","version":"gemv","bits":4,"group_size":32)";
  model.arrays["m.qweight"] = {"I32", {8, 8}, someBytes(256)};
  model.arrays["m.qzeros"] = {"I32", {8, 4}, someBytes(128)};
  model.arrays["m.scales"] = {"F16", {8, 32}, halves(256)};
  return model;
}

/// 4 rows of 128 in groups of 64.
FolderModel gemvFast() {
  FolderModel model;
  model.quantization =
      R"("quant_method":"awq","version":"gemv_fast","bits":4,"group_size":64)";
  model.arrays["m.qweight"] = {"I16", {1, 128}, someBytes(256)};
  model.arrays["m.scales"] = {"F16", {16, 4}, halves(64)};
  model.arrays["m.scaled_zeros"] = {"F16", {16, 4}, halves(64)};
  return model;
}

/// Modules of 64 columns and 8 rows.
void addGPTQ(FolderModel &model, const std::string &module, unsigned bits,
             unsigned group, bool isV2 = false) {
  const uint64_t groups = 64 / group, words_ = 8 * bits / 32;
  uint32_t middle = 0;
  for (unsigned i = 0; i < 32; i += bits)
    middle |= ((1u << (bits - 1)) - !isV2) << i;
  model.arrays[module + ".qweight"] = {
      "I32", {2 * bits, 8}, someBytes(64 * bits)};
  model.arrays[module + ".scales"] = {"F16", {groups, 8}, halves(groups * 8)};
  model.arrays[module + ".qzeros"] = {
      "I32", {groups, words_}, words(middle, groups * words_)};
}

FolderModel dynamic() {
  FolderModel model;
  model.quantization =
      R"("quant_method":"gptq","bits":4,"group_size":32,"sym":true,)"
      R"("dynamic":{"-:z\\.float":{},"+:z":{"bits":8},"-:y":{},)"
      R"("a":{"bits":8,"group_size":-1},"a\\.b":{"bits":2}})";
  addGPTQ(model, "a.b", 8, 64);
  addGPTQ(model, "b.a", 4, 32);
  addGPTQ(model, "z.x", 8, 32);
  model.arrays["z.float.weight"] = {"F32", {2, 2}, someBytes(16)};
  return model;
}

FolderModel autoRound() {
  FolderModel model;
  model.quantization =
      R"("quant_method":"auto-round","packing_format":"auto_round","bits":4,)"
      R"("group_size":32,"sym":true,"extra_config":{"z":{"bits":16},)"
      R"("x.y":{"bits":8},"a\\..":{"group_size":64},"a":{"bits":2}})";
  addGPTQ(model, "m.a.b", 4, 64, true);
  addGPTQ(model, "b", 4, 32, true);
  addGPTQ(model, "x.y", 8, 32, true);
  model.arrays["m.z.weight"] = {"F32", {2, 2}, someBytes(16)};
  return model;
}

std::string group(const std::string &rest) {
  return R"("quant_method":"compressed-tensors","format":"pack-quantized",)"
         R"("config_groups":{)" +
         rest + "}";
}

/// 8 rows of 64 in groups of 32, every other k in the first.
FolderModel ordered() {
  FolderModel model;
  model.quantization =
      group(R"("g":{"targets":["Linear"],"weights":{"num_bits":4,)"
            R"("symmetric":false,"strategy":"group","group_size":32,)"
            R"("actorder":"group"}})");
  std::string order;
  for (uint32_t k = 0; k < 64; ++k)
    order += words(k % 2, 1);
  model.arrays["m.weight_packed"] = {"I32", {8, 8}, someBytes(256)};
  model.arrays["m.weight_scale"] = {"F16", {8, 2}, halves(16)};
  model.arrays["m.weight_zero_point"] = {"I32", {1, 2}, someBytes(8)};
  model.arrays["m.weight_g_idx"] = {"I32", {64}, order};
  model.arrays["m.weight_shape"] = {
      "I64", {2}, words(8, 1) + words(0, 1) + words(64, 1) + words(0, 1)};
  return model;
}

/// A group for each format.
FolderModel groups() {
  FolderModel model = ordered();
  std::string weights = R"("weights":{"num_bits":)",
              channel = R"("strategy":"channel"})";
  model.quantization = group(
      R"("a":{"targets":["Linear"],"format":"int-quantized",)" + weights +
      "8," + channel +
      R"(},"b":{"targets":["re:f"],"format":)"
      R"("float-quantized",)" +
      weights + R"(8,"type":"float",)" + channel +
      R"(},"c":{"targets":["mx"],"format":"mxfp4-pack-quantized",)" + weights +
      R"(4,"type":"float"}},"d":{"targets":["nv"],"format":)"
      R"("nvfp4-pack-quantized",)" +
      weights +
      R"(4,"type":"float"}},)"
      R"("e":{"targets":["m"],)" +
      weights +
      R"(4,"symmetric":false,)"
      R"("strategy":"group","group_size":32,"actorder":"group"}})");
  auto &arrays = model.arrays;
  arrays["i.weight"] = {"I8", {3, 32}, someBytes(96)};
  arrays["i.weight_scale"] = {"F32", {3, 1}, floats({1, 2, 3})};
  arrays["f.weight"] = {"F8_E4M3", {3, 32}, someBytes(96)};
  arrays["f.weight_scale"] = {"F32", {3, 1}, floats({1, 2, 3})};
  arrays["mx.weight_packed"] = {"U8", {2, 32}, someBytes(64)};
  arrays["mx.weight_scale"] = {"U8", {2, 2}, someBytes(4)};
  arrays["nv.weight_packed"] = {"U8", {2, 16}, someBytes(32)};
  arrays["nv.weight_scale"] = {"F8_E4M3", {2, 2}, someBytes(4)};
  arrays["nv.weight_global_scale"] = {"F32", {1}, floats({3})};
  return model;
}

/// 2 rows of 64.
FolderModel modelOpt() {
  FolderModel model;
  model.quantization = R"("quant_method":"modelopt","quant_algo":"NVFP4")";
  model.arrays["m.weight"] = {"U8", {2, 32}, someBytes(64)};
  model.arrays["m.weight_scale"] = {"F8_E4M3", {2, 4}, someBytes(8)};
  model.arrays["m.weight_scale_2"] = {"F32", {}, floats({0.3f})};
  model.arrays["m.input_scale"] = {"F32", {}, floats({1})};
  model.arrays["m.k_proj.k_scale"] = {"F32", {}, floats({1})};
  return model;
}

/// 4 rows of 32 in groups of 16; a byte has codes of two of the 8 groups.
FolderModel hqq() {
  FolderModel model;
  model.quantization = R"("quant_method":"hqq")";
  auto &arrays = model.arrays;
  arrays["m.W_q"] = {"U8", {4, 16}, someBytes(64)};
  arrays["m.scale"] = arrays["m.zero"] = {"F16", {8, 1}, halves(8)};
  arrays["m.shape"] = {
      "I64", {2}, words(4, 1) + words(0, 1) + words(32, 1) + words(0, 1)};
  arrays["m.group_size"] = {"I32", {}, words(16, 1)};
  arrays["m.axis"] = {"I32", {}, words(1, 1)};
  arrays["m.packing"] = {"U8", {7}, "4bit_u8"};
  arrays["m.quant_zero"] = {"U8", {}, std::string(1, '\0')};
  return model;
}

/// 2 experts with 4 rows of 32, gate and up in turns.
FolderModel experts() {
  FolderModel model;
  model.quantization = R"("quant_method":"mxfp4")";
  auto &arrays = model.arrays;
  arrays["m.gate_up_proj_blocks"] = {"U8", {2, 4, 1, 16}, someBytes(128)};
  arrays["m.gate_up_proj_scales"] = {"U8", {2, 4, 1}, someBytes(8)};
  arrays["m.down_proj_blocks"] = {"U8", {2, 4, 1, 16}, someBytes(128)};
  arrays["m.down_proj_scales"] = {"U8", {2, 4, 1}, someBytes(8)};
  return model;
}

//===----------------------------------------------------------------------===//
// Definitions
//===----------------------------------------------------------------------===//

TEST(AWQPackings, AreTheirDefinition) {
  const std::string codes = someBytes(256), zeros = someBytes(128);
  expectValues(gemv(), 8, 64, [&](size_t n, size_t k) {
    int code = nibble(codes, n * 64 + k), zero = nibble(zeros, n * 32 + k / 32);
    return float(code - zero) * half(n * 32 + k / 32);
  });
  FolderModel fast = gemvFast();
  auto value = [&](size_t n, size_t k) {
    size_t t = k % 32, place = 8 * (t % 8 / 2) + 4 * (t % 2) + t / 8;
    size_t at = n * 64 + k % 64 / 32 * 32 + place;
    float scale = half(k / 64 * 4 + n);
    return scale * float(nibble(codes, k / 64 * 256 + at)) + scale;
  };
  expectValues(fast, 4, 128, value);
  auto zero = fast.arrays.extract("m.scaled_zeros");
  zero.key() = "m.qzeros";
  fast.arrays.insert(std::move(zero));
  expectValues(fast, 4, 128, value);
}

constexpr float kE2M1[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
float e2m1(uint8_t code) { return code & 8 ? -kE2M1[code & 7] : kE2M1[code]; }

TEST(FP4, IsItsDefinition) {
  const std::string codes = someBytes(64), scales = someBytes(8);
  auto scale = [&](size_t i) { return floatFromE4M3FN(uint8_t(scales[i])); };
  expectValues(modelOpt(), 2, 64, [&](size_t n, size_t k) {
    return e2m1(nibble(codes, n * 64 + k)) * (scale(n * 4 + k / 16) * 0.3f);
  });
  auto only = [](const std::string &module, const std::string &format,
                 FolderModel model) {
    FolderModel result;
    result.quantization =
        group(R"("g":{"format":")" + format +
              R"(","weights":{"num_bits":4,"type":"float"}})");
    for (auto &[name, array] : model.arrays)
      if (name.starts_with(module + "."))
        result.arrays["m" + name.substr(module.size())] = array;
    return result;
  };
  expectValues(only("nv", "nvfp4-pack-quantized", groups()), 2, 32,
               [&](size_t n, size_t k) {
                 return e2m1(nibble(codes, n * 32 + k)) *
                        (scale(n * 2 + k / 16) * (1.0f / 3));
               });
  expectValues(only("mx", "mxfp4-pack-quantized", groups()), 2, 64,
               [&](size_t n, size_t k) {
                 uint8_t exponent = uint8_t(scales[n * 2 + k / 32]);
                 return std::ldexp(e2m1(nibble(codes, n * 64 + k)),
                                   exponent - 127);
               });
}

TEST(MXFP4, ExpertsAreTheirDefinition) {
  const std::string codes = someBytes(128), scales = someBytes(8);
  // Row `row` of the arrays.
  auto value = [&](size_t row, size_t k) {
    return std::ldexp(e2m1(nibble(codes, row * 32 + k)),
                      uint8_t(scales[row]) - 127);
  };
  std::vector<float> gate = decode(experts(), "m.gate_proj.weight"),
                     up = decode(experts(), "m.up_proj.weight"),
                     down = decode(experts(), "m.down_proj.weight");
  ASSERT_EQ(gate.size(), 128u);
  ASSERT_EQ(up.size(), 128u);
  ASSERT_EQ(down.size(), 256u);
  for (size_t i = 0; i < 256; ++i) {
    if (i < 128) {
      ASSERT_EQ(gate[i], value(i / 32 * 2, i % 32));
      ASSERT_EQ(up[i], value(i / 32 * 2 + 1, i % 32));
    }
    ASSERT_EQ(down[i], value(i / 32, i % 32));
  }
}

TEST(MXFP4, RefusesOtherShapes) {
  const std::string file = "folder/model.safetensors: tensor ";
  auto with = [](const std::string &name, std::vector<uint64_t> shape) {
    FolderModel model = experts();
    model.arrays["m." + name].shape = std::move(shape);
    return folderError(model.files());
  };
  EXPECT_EQ(with("down_proj_blocks", {2, 4, 16}),
            file + "'m.down_proj_blocks': expected experts, rows, groups and "
                   "16 bytes, of up to 2^28 rows in all, got [2, 4, 16]");
  EXPECT_EQ(with("down_proj_scales", {4, 2, 1}),
            file + "'m.down_proj_scales': expected shape [2, 4, 1], got "
                   "[4, 2, 1]");
  FolderModel model = experts();
  model.arrays.erase("m.down_proj_scales");
  EXPECT_EQ(folderError(model.files()),
            file + "'m.down_proj_blocks' comes without 'm.down_proj_scales'");
}

TEST(HQQ, IsItsDefinition) {
  const std::string codes = someBytes(64);
  auto value = [](uint8_t code, size_t g) {
    return (float(code) - half(g)) * half(g);
  };
  expectValues(hqq(), 4, 32, [&](size_t n, size_t k) {
    size_t g = n * 2 + k / 16;
    uint8_t byte = uint8_t(codes[g % 4 * 16 + k % 16]);
    return value(g < 4 ? byte >> 4 : byte & 15, g);
  });
  FolderModel model = hqq();
  model.arrays["m.packing"].bytes = "3bit_32";
  model.arrays["m.W_q"] = {"I32", {1, 16}, someBytes(64)};
  expectValues(model, 4, 32, [&](size_t n, size_t k) {
    size_t g = n * 2 + k / 16;
    auto *bytes = reinterpret_cast<const uint8_t *>(codes.data());
    return value(loadLE<uint32_t>(bytes + k % 16 * 4) >> 3 * (9 - g) & 7, g);
  });
}

TEST(CompressedTensors, OrderOfGroups) {
  const std::string codes = someBytes(256), zeros = someBytes(8);
  FolderModel model = ordered();
  // Packed in the order of groups: even k, then odd ones.
  expectValues(model, 8, 64, [&](size_t n, size_t j) {
    size_t g = j / 32, k = j % 32 * 2 + g;
    int zero = nibble(zeros.substr(g * 4, 4), n);
    return float(nibble(codes, n * 64 + k) - zero) * half(n * 2 + g);
  });
  std::vector<float> order = decode(model, "m.order");
  ASSERT_EQ(order.size(), 64u);
  for (size_t j = 0; j < 64; ++j)
    EXPECT_EQ(order[j], float(j % 32 * 2 + j / 32));
}

//===----------------------------------------------------------------------===//
// Which parameters a module has
//===----------------------------------------------------------------------===//

using Types = std::map<std::string, std::string>;

TEST(MixedFolder, ModulesHaveTheirOwn) {
  EXPECT_EQ(types(dynamic()), (Types{{"a.b.weight", "GPTQ-8-g64"},
                                     {"b.a.weight", "GPTQ-4-g32"},
                                     {"z.x.weight", "GPTQ-8-g32"},
                                     {"z.float.weight", "F32"}}));
  EXPECT_EQ(types(autoRound()), (Types{{"m.a.b.weight", "GPTQ-4-g64"},
                                       {"b.weight", "GPTQ-4-g32"},
                                       {"x.y.weight", "GPTQ-8-g32"},
                                       {"m.z.weight", "F32"}}));
  EXPECT_EQ(types(groups()), (Types{{"m.weight", "packed-4-g32"},
                                    {"m.order", "group order"},
                                    {"i.weight", "int8-8-g32"},
                                    {"f.weight", "FP8-8-g32"},
                                    {"mx.weight", "MXFP4-4-g32"},
                                    {"nv.weight", "NVFP4-4-g16"}}));
}

// The order of a file is not that of the alphabet.
TEST(MixedFolder, TheFirstRuleOfTheFileDecides) {
  for (bool isTwoFirst : {false, true}) {
    FolderModel model;
    model.quantization =
        R"("quant_method":"gptq","bits":4,"group_size":32,"other":[{"dynamic":)"
        R"({"m":{"bits":2}}}],"dynamic":{)";
    model.quantization += isTwoFirst ? R"("m":{"bits":2},"[a-z]":{"bits":8}})"
                                     : R"("[a-z]":{"bits":8},"m":{"bits":2}})";
    addGPTQ(model, "m", 8, 32);
    EXPECT_EQ(folderError(model.files()).empty(), !isTwoFirst);
  }
}

// What stands where members in their order are kept is not taken for those.
TEST(MixedFolder, RefusesListsOfRules) {
  for (const char *key : {"dynamic", "extra_config"})
    for (const char *rules : {"[]", "[1]", "[[]]", R"([["m",{}]])", "[null]"}) {
      FolderModel model;
      model.quantization =
          R"("quant_method":"gptq","bits":4,"group_size":32,")" +
          std::string(key) + "\":" + rules;
      addGPTQ(model, "m", 4, 32);
      EXPECT_EQ(folderError(model.files()),
                "folder/config.json: quantization_config: key '" +
                    std::string(key) + "': expected an object, got array");
    }
}

// A config whose expressions would take years.
TEST(MixedFolder, HostileExpressionsEnd) {
  FolderModel model = dynamic();
  std::string rules;
  for (int i = 0; i < 250; ++i)
    rules += (i ? "," : "") + std::string("\"(x+x+)+[yz]{") +
             std::to_string(i + 1) + "}\":{}";
  model.quantization =
      R"("quant_method":"gptq","bits":4,"group_size":32,"dynamic":{)" + rules +
      "}";
  model.arrays.clear();
  for (int i = 0; i < 64; ++i)
    addGPTQ(model, std::string(900, 'x') + std::to_string(i), 4, 32);
  EXPECT_TRUE(folderError(model.files())
                  .starts_with("folder/config.json: quantization_config: "
                               "dynamic: patterns that take too long to match "
                               "against 'xxx"));
}

//===----------------------------------------------------------------------===//
// Mutations: nothing is read out of bounds
//===----------------------------------------------------------------------===//

TEST(MixedFolderMutation, EveryByteOfHeaderAndConfig) {
  for (const FolderModel &model :
       {gemv(), gemvFast(), dynamic(), autoRound(), ordered(), groups(),
        modelOpt(), hqq(), experts()}) {
    FolderFiles files = model.files();
    ASSERT_EQ(folderError(files), "");
    for (const char *name : {"model.safetensors", "config.json"}) {
      const std::string original = files[name];
      size_t begin = 0, end = original.size();
      if (name == std::string("model.safetensors")) {
        uint64_t length;
        std::memcpy(&length, original.data(), 8);
        begin = 8;
        end = 8 + length;
      }
      for (size_t i = begin; i < end; ++i)
        for (char byte : {'0', '9', ' ', '"', char(original[i] ^ 1)}) {
          files[name] = original;
          files[name][i] = byte;
          folderError(files); // Reads whatever is accepted.
        }
      files[name] = original;
    }
  }
}

TEST(MixedFolderMutation, EveryArrayMissing) {
  for (const FolderModel &model :
       {gemv(), gemvFast(), ordered(), groups(), modelOpt(), hqq(), experts()})
    for (const auto &[name, array] : model.arrays) {
      if (name == "m.input_scale" || name == "m.k_proj.k_scale")
        continue;
      FolderModel changed = model;
      changed.arrays.erase(name);
      // Without codes there is no weight, and the rest is left to the importer.
      if (!name.ends_with("qweight") && name != "m.quant_zero" &&
          !name.ends_with("_bias"))
        EXPECT_NE(folderError(changed.files()), "") << name;
      // Of the right size, but not of the right kind.
      changed = model;
      changed.arrays[name].shape = {1, 1, array.bytes.size()};
      changed.arrays[name].type = "U8";
      EXPECT_NE(folderError(changed.files()), "") << name;
    }
}

} // namespace
