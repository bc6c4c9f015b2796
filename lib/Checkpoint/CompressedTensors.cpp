//===- CompressedTensors.cpp - Weights of compressed-tensors --------------===//
// SPDX-License-Identifier: Apache-2.0
//
// What llm-compressor and others write (quant_method "compressed-tensors"). A
// linear layer "m" of `in` to `out` features has, by the config's format,
//
//   pack-quantized    m.weight_packed      i32 [out, in * bits / 32]
//                     m.weight_scale       [out, groups]
//                     m.weight_zero_point  i32 [out * bits / 32, groups]
//                     m.weight_shape       i64 [2]
//   int-quantized     m.weight             i8 [out, in]
//                     m.weight_scale       [out, groups]
//   float-quantized   m.weight             f8 [out, in], see FP8.cpp
//                     m.weight_scale       one for each tile of weights
//
// Packed codes and zero points are 2^(bits - 1) more than the integers that
// they stand for. Activations stay as they are here, whatever the config has
// for them.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Bits.h"
#include "FP8.h"
#include "QuantizedModule.h"

using namespace qcc;

namespace {

struct WeightScheme {
  bool isPacked = false;
  unsigned bits = 0;
  int64_t group = -1; ///< -1: one for each row.
  bool isSymmetric = true;
  std::optional<ScaleTiles> tiles; ///< Set for codes that are floats.
};

/// The only member of an object, or null.
const Json *onlyMember(const Json *object) {
  return object && object->is_object() && object->size() == 1
             ? &object->begin().value()
             : nullptr;
}

const Json *member(const Json *object, const char *key) {
  if (!object || !object->is_object())
    return nullptr;
  auto it = object->find(key);
  return it == object->end() || it->is_null() ? nullptr : &*it;
}

/// Which weights share a scale in format float-quantized.
void readTiles(JsonFields &scheme, const Json &weights, ScaleTiles &tiles) {
  std::string strategy = scheme.text("strategy", "tensor");
  if (scheme.text("type", "float") != "float" ||
      scheme.integer("num_bits", 8) != 8 || !scheme.flag("symmetric", true)) {
    scheme.fail("expected symmetric floats of 8 bits for format "
                "'float-quantized'");
  } else if (strategy == "channel") {
    tiles = {1, 0};
  } else if (strategy == "group") {
    int64_t group = scheme.integer("group_size", 0);
    if (group <= 0 || group > 1 << 28)
      scheme.fail("key 'group_size': expected a positive number, got " +
                  std::to_string(group));
    tiles = {1, uint64_t(group)};
  } else if (strategy == "block") {
    const Json *size = member(&weights, "block_structure");
    if (!size || !readScaleTiles(*size, tiles))
      scheme.fail("key 'block_structure': expected two positive numbers");
  } else if (strategy != "tensor") {
    scheme.fail("strategy " + quoted(strategy) +
                " is not supported yet (supported: tensor, channel, group, "
                "block)");
  }
}

Result<WeightScheme> readScheme(const Json &config, const std::string &where) {
  JsonFields fields(config, where);
  const Json *group = onlyMember(member(&config, "config_groups"));
  const Json *weights = member(group, "weights");
  if (!weights || !weights->is_object()) {
    fields.fail("expected one group with weights in 'config_groups', which is "
                "all that is supported yet");
    return std::move(fields.error);
  }
  JsonFields groupFields(*group, where + ": config_groups");
  JsonFields scheme(*weights, where + ": weights");
  std::string format =
      groupFields.text("format", fields.text("format", "pack-quantized"));
  int64_t bits = scheme.integer("num_bits", 8);
  std::string strategy = scheme.text("strategy", "tensor");
  std::string order = scheme.text("actorder", "static");
  WeightScheme result;
  if (format == "float-quantized") {
    readTiles(scheme, *weights, result.tiles.emplace());
    for (JsonFields *each : {&fields, &groupFields, &scheme})
      if (each->error)
        return std::move(each->error);
    return result;
  }
  result.isPacked = format == "pack-quantized";
  result.isSymmetric = scheme.flag("symmetric", true);
  if (!result.isPacked && format != "int-quantized")
    fields.fail("format " + quoted(format) +
                " is not supported yet (supported: pack-quantized, "
                "int-quantized, float-quantized)");
  if (scheme.text("type", "int") != "int")
    scheme.fail("expected type 'int' for format " + quoted(format) + ", got " +
                quoted(scheme.text("type", "int")));
  if (result.isPacked ? bits != 4 && bits != 8 : bits != 8)
    scheme.fail(std::to_string(bits) +
                " bits are not supported yet in format " + quoted(format) +
                " (supported: " + (result.isPacked ? "4, 8)" : "8)"));
  if (!result.isPacked && !result.isSymmetric)
    scheme.fail("zero points are not supported yet in format " +
                quoted(format));
  if (strategy == "group") {
    result.group = scheme.integer("group_size", 0);
    if (result.group <= 0 || result.group > 1 << 30)
      scheme.fail("key 'group_size': expected a positive number, got " +
                  std::to_string(result.group));
  } else if (strategy != "channel") {
    scheme.fail("strategy " + quoted(strategy) +
                " is not supported yet (supported: group, channel)");
  }
  if (order != "static" && order != "weight")
    scheme.fail("act-order of kind " + quoted(order) +
                " is not supported yet (supported: static, weight)");
  for (JsonFields *each : {&fields, &groupFields, &scheme})
    if (each->error)
      return std::move(each->error);
  result.bits = unsigned(bits);
  return result;
}

/// Puts one module's weight together.
class ModuleReader : QuantizedModule {
public:
  ModuleReader(const WeightScheme &scheme, SourceTensors &sources,
               TextPool &texts, std::string module)
      : QuantizedModule(sources, texts, std::move(module)), scheme(scheme) {}

  Result<Tensor> read() {
    codes = find(scheme.isPacked ? "weight_packed" : "weight");
    scales = need("weight_scale", *codes);
    if (!scales || !checkCodes() || !checkScales() || !checkZeros())
      return std::move(error);
    Tensor tensor;
    tensor.name = texts.keep(module + ".weight");
    tensor.dims = {in, out};
    tensor.format = !scheme.isPacked ? &kByteRowsFormat
                    : zeros          ? &kPackedRowsZerosFormat
                                     : &kPackedRowsFormat;
    Encoding &encoding = tensor.storedEncoding;
    encoding.bits = scheme.bits;
    encoding.zero = zeros ? 0 : 1 << (scheme.bits - 1);
    encoding.zeroBits = zeros ? scheme.bits : 0;
    encoding.group = unsigned(group);
    encoding.scale = scaleType;
    if (std::string problem = encoding.check(); !problem.empty())
      return Error(sources.what(*codes) + ": " + problem);
    tensor.file = codes->file;
    tensor.offset = codes->entry.offset;
    for (SourceTensor *part : {codes, scales, zeros, shape})
      if (part) {
        tensor.bytes += part->entry.bytes;
        tensor.parts.push_back(sources.take(*part, texts));
      }
    return tensor;
  }

private:
  bool checkCodes() {
    const std::vector<uint64_t> &found = codes->entry.shape;
    if (!checkType(*codes, scheme.isPacked ? "I32" : "I8"))
      return false;
    // The limits keep products below 2^64.
    constexpr uint64_t most = uint64_t(1) << 28;
    if (found.size() != 2 || found[0] == 0 || found[1] == 0 ||
        found[0] > most || found[1] > most)
      return fail(*codes, "two dimensions of 1 to 2^28", shapeText(found));
    out = found[0];
    in = scheme.isPacked ? found[1] * 32 / scheme.bits : found[1];
    group = scheme.group == -1 ? in : uint64_t(scheme.group);
    if (in % group)
      return fail(sources.what(*codes) +
                  ": expected in features that are a multiple of group_size " +
                  std::to_string(group) + ", got " + std::to_string(in));
    if (!scheme.isPacked)
      return true;
    shape = need("weight_shape", *codes);
    if (!shape || !checkType(*shape, "I64") || !checkShape(*shape, {2}))
      return false;
    const uint8_t *data = sources.data(*shape);
    std::vector<uint64_t> stated = {loadLE<uint64_t>(data),
                                    loadLE<uint64_t>(data + 8)};
    return stated == std::vector<uint64_t>{out, in} ||
           fail(*shape, shapeText({out, in}) + ", as the codes have",
                shapeText(stated));
  }

  bool checkScales() {
    for (auto [name, type] : {std::pair{"F16", ScalarType::F16},
                              std::pair{"BF16", ScalarType::BF16},
                              std::pair{"F32", ScalarType::F32}})
      if (std::string_view(scales->entry.type->name) == name)
        scaleType = type;
    if (scaleType == ScalarType::None)
      return fail(*scales, "dtype F16, BF16 or F32", scales->entry.type->name);
    return checkShape(*scales, {out, in / group});
  }

  bool checkZeros() {
    if (scheme.isSymmetric)
      return true;
    zeros = need("weight_zero_point", *codes);
    if (zeros && out * scheme.bits % 32)
      return fail(*codes, "rows that are whole words of zero points",
                  shapeText(codes->entry.shape));
    return zeros && checkType(*zeros, "I32") &&
           checkShape(*zeros, {out * scheme.bits / 32, in / group});
  }

  const WeightScheme &scheme;
  SourceTensor *codes = nullptr, *scales = nullptr, *zeros = nullptr,
               *shape = nullptr;
  uint64_t in = 0, out = 0, group = 0;
  ScalarType scaleType = ScalarType::None;
};

} // namespace

Error qcc::readCompressedTensors(const Json &config, const std::string &where,
                                 SourceTensors &sources, TextPool &texts,
                                 std::vector<Tensor> &out) {
  Result<WeightScheme> scheme = readScheme(config, where);
  if (!scheme)
    return scheme.takeError();
  if (scheme->tiles)
    return readFP8Weights(*scheme->tiles, "weight_scale", sources, texts, out);
  const std::string_view suffix =
      scheme->isPacked ? ".weight_packed" : ".weight_scale";
  for (SourceTensor &tensor : sources.all()) {
    const std::string &name = tensor.entry.name;
    if (!name.ends_with(suffix))
      continue;
    std::string module = name.substr(0, name.size() - suffix.size());
    if (!scheme->isPacked && !sources.find(module + ".weight"))
      return Error(sources.what(tensor) + " comes without " +
                   quoted(module + ".weight"));
    Result<Tensor> weight =
        ModuleReader(*scheme, sources, texts, std::move(module)).read();
    if (!weight)
      return weight.takeError();
    out.push_back(std::move(*weight));
  }
  return Error();
}
