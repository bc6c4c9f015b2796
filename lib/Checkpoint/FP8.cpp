//===- FP8.cpp - Weights that are floats of 8 bits ------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// A linear layer "m" of `in` to `out` features has
//
//   m.weight            f8 [out, in]
//   m.weight_scale_inv  one scale for each tile of weights: [rows, columns] of
//                       tiles, or, where one is for all rows, [] or [1]
//   m.activation_scale  static activations, which are not used here; also
//   m.input_scale
//
// with W[n, k] = weight[n, k] * scale of its tile, whatever "inv" says. Scales
// are f32, bf16, f16, or powers of two (f8_e8m0, or the same typed u8).
//===----------------------------------------------------------------------===//

#include "FP8.h"
#include "qcc/Formats/PackedLayout.h"
#include <numeric>
#include "QuantizedModule.h"

using namespace qcc;

bool qcc::isFP8(const SourceTensor &tensor) {
  std::string_view type = tensor.entry.type->name;
  return type == "F8_E4M3" || type == "F8_E5M2";
}

uint64_t qcc::commonGroup(uint64_t columns, uint64_t period) {
  uint64_t group = std::gcd(columns, period);
  if (group % 32)
    group = std::gcd(group, uint64_t(32));
  return group < 4 ? 0 : group;
}

namespace {

/// Puts one module's weight together.
class ModuleReader : QuantizedModule {
public:
  ModuleReader(const ScaleTiles &tiles, std::string_view scaleName,
               SourceTensors &sources, TextPool &texts, std::string module)
      : QuantizedModule(sources, texts, std::move(module)), tiles(tiles),
        scaleName(scaleName) {}

  Result<Tensor> read() {
    weight = find("weight");
    scale = need(scaleName, *weight);
    if (scale && !isFP8(*weight))
      fail(*weight,
           "dtype F8_E4M3 or F8_E5M2 beside " + quoted(scale->entry.name),
           weight->entry.type->name);
    if (error || !checkWeight() || !checkScale())
      return std::move(error);
    Tensor tensor;
    tensor.name = texts.keep(module + ".weight");
    tensor.dims = {in, out};
    tensor.format = &kFP8Format;
    tensor.storedNumbers = {tiles.rows, tiles.columns};
    Encoding &encoding = tensor.storedEncoding;
    encoding.bits = 8;
    encoding.minifloat = std::string_view(weight->entry.type->name) == "F8_E4M3"
                             ? Minifloat::E4M3FN
                             : Minifloat::E5M2;
    encoding.scale = scaleType;
    encoding.commonScale =
        tiles.rows % PackedLayout::kRows == 0 || tiles.rows == out;
    setGroup(encoding);
    if (std::string problem = encoding.check(); !problem.empty())
      return Error(sources.what(*weight) + ": " + problem);
    takeParts(tensor,
              {weight, scale, find("activation_scale"), find("input_scale")});
    return tensor;
  }

private:
  /// A group is what of a row lies in one tile; the last may be smaller where
  /// encodings allow that.
  void setGroup(Encoding &encoding) const {
    encoding.group = unsigned(tiles.columns);
    if (in < tiles.columns || !encoding.check().empty() ||
        !encoding.takesColumns(in))
      encoding.group = unsigned(commonGroup(in, tiles.columns));
  }

  bool checkWeight() {
    const std::vector<uint64_t> &shape = weight->entry.shape;
    if (!checkMatrix(*weight))
      return false;
    out = shape[0];
    in = shape[1];
    if (in % 4)
      return fail(*weight, "columns that are a multiple of 4",
                  shapeText(shape));
    tiles.rows = tiles.rows ? tiles.rows : out;
    tiles.columns = tiles.columns ? tiles.columns : in;
    if (commonGroup(in, tiles.columns) == 0)
      return fail(*weight,
                  "scales for at least 4 columns each, columns included",
                  "one for " + std::to_string(tiles.columns) + " of " +
                      std::to_string(in));
    return true;
  }

  bool checkScale() {
    std::string_view type = scale->entry.type->name;
    scaleType = type == "F8_E8M0" || type == "U8" ? ScalarType::E8M0
                                                  : floatType(*scale);
    if (scaleType == ScalarType::None)
      return fail(*scale, "dtype F32, F16, BF16, F8_E8M0 or U8",
                  scale->entry.type->name);
    auto count = [](uint64_t size, uint64_t tile) {
      return (size + tile - 1) / tile;
    };
    std::vector<uint64_t> shape = {count(out, tiles.rows),
                                   count(in, tiles.columns)};
    // Dimensions of one are left out by some tools.
    const std::vector<uint64_t> &found = scale->entry.shape;
    if (shape[1] == 1 && (found == std::vector<uint64_t>{shape[0]} ||
                          (shape[0] == 1 && found.empty())))
      return true;
    return checkShape(*scale, shape);
  }

  ScaleTiles tiles;
  const std::string_view scaleName;
  SourceTensor *weight = nullptr, *scale = nullptr;
  uint64_t in = 0, out = 0;
  ScalarType scaleType = ScalarType::None;
};

} // namespace

Result<Tensor> qcc::readFP8Weight(const ScaleTiles &tiles,
                                  std::string_view scaleName,
                                  SourceTensors &sources, TextPool &texts,
                                  std::string module) {
  return ModuleReader(tiles, scaleName, sources, texts, std::move(module))
      .read();
}

Error qcc::readFP8Weights(const ScaleTiles &tiles, std::string_view scaleName,
                          SourceTensors &sources, TextPool &texts,
                          std::vector<Tensor> &out) {
  const std::string suffix = ".weight";
  const std::string scaleSuffix = "." + std::string(scaleName);
  for (SourceTensor &tensor : sources.all()) {
    const std::string &name = tensor.entry.name;
    if (name.ends_with(scaleSuffix)) {
      std::string weightName =
          name.substr(0, name.size() - scaleSuffix.size()) + suffix;
      SourceTensor *weight = sources.find(weightName);
      if (!weight)
        return Error(sources.what(tensor) + " comes without " +
                     quoted(weightName));
      if (!isFP8(*weight))
        return mismatchError(sources.what(*weight),
                             "dtype F8_E4M3 or F8_E5M2 beside " + quoted(name),
                             weight->entry.type->name);
    }
    if (!name.ends_with(suffix) || !isFP8(tensor))
      continue;
    Result<Tensor> weight =
        readFP8Weight(tiles, scaleName, sources, texts,
                      name.substr(0, name.size() - suffix.size()));
    if (!weight)
      return weight.takeError();
    out.push_back(std::move(*weight));
  }
  return Error();
}

bool qcc::readScaleTiles(const Json &size, ScaleTiles &tiles) {
  if (!size.is_array() || size.size() != 2)
    return false;
  for (const Json &number : size)
    if (!number.is_number_unsigned() || number.get<uint64_t>() == 0 ||
        number.get<uint64_t>() > uint64_t(1) << 28)
      return false;
  tiles = {size[0].get<uint64_t>(), size[1].get<uint64_t>()};
  return true;
}

Error qcc::readFP8(const Json &config, const std::string &where,
                   SourceTensors &sources, TextPool &texts,
                   std::vector<Tensor> &out) {
  JsonFields fields(config, where);
  ScaleTiles tiles;
  auto size = config.find("weight_block_size");
  if (size != config.end() && !size->is_null() && !readScaleTiles(*size, tiles))
    fields.fail(
        "key 'weight_block_size': expected two positive numbers or "
        "null, got " +
        quoted(size->dump(-1, ' ', false, Json::error_handler_t::replace)));
  std::string semantics = fields.text("weight_scale_semantics", "multiply");
  if (semantics == "inverse")
    fields.fail("scales that divide (key 'weight_scale_semantics': 'inverse') "
                "are not supported yet");
  if (fields.error)
    return std::move(fields.error);
  return readFP8Weights(tiles, "weight_scale_inv", sources, texts, out);
}
