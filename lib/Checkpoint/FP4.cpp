//===- FP4.cpp - Weights that are floats of 4 bits ------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Codes are E2M1 floats. MXFP4 has a power of two for each 32 of them; NVFP4 an
// E4M3 float for each 16, and one f32 for all, by which compressed-tensors
// divides and ModelOpt multiplies.
//===----------------------------------------------------------------------===//

#include "FP4.h"
#include "qcc/Formats/Bits.h"
#include <cmath>
#include "QuantizedModule.h"

using namespace qcc;

const FP4Layout qcc::kMXFP4Layout = {
    kMXFP4Format, "weight_packed",     "weight_scale", nullptr,
    32,           "input_global_scale"};
const FP4Layout qcc::kNVFP4Layout = {kNVFP4DividedFormat,
                                     "weight_packed",
                                     "weight_scale",
                                     "weight_global_scale",
                                     16,
                                     "input_global_scale"};
const FP4Layout qcc::kModelOptNVFP4Layout = {
    kNVFP4MultipliedFormat, "weight", "weight_scale",
    "weight_scale_2",       16,       "input_scale"};

namespace {

/// Twice the values of E2M1, which are then integers.
constexpr int8_t kDoubledE2M1[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                     0, -1, -2, -3, -4, -6, -8, -12};

/// Puts one module's weight together.
class ModuleReader : QuantizedModule {
public:
  ModuleReader(const FP4Layout &layout, SourceTensors &sources, TextPool &texts,
               std::string module)
      : QuantizedModule(sources, texts, std::move(module)), layout(layout) {}

  Result<Tensor> read() {
    codes = find(layout.codes);
    scale = need(layout.scale, *codes);
    if (!scale || !checkCodes() || !checkScale() || !checkGlobalScale())
      return std::move(error);
    Tensor tensor;
    tensor.name = texts.keep(module + ".weight");
    tensor.dims = {in, out};
    tensor.format = &layout.format;
    Encoding &encoding = tensor.storedEncoding;
    encoding = mxfp4Encoding();
    encoding.group = layout.group;
    if (layout.globalScale)
      setTwoLevels(encoding);
    if (std::string problem = encoding.check(); !problem.empty())
      return Error(sources.what(*codes) + ": " + problem);
    takeParts(tensor, {codes, scale, globalScale,
                       layout.inputScale ? find(layout.inputScale) : nullptr});
    return tensor;
  }

private:
  /// One scale for all of a row, as far as an encoding allows, and a float of 8
  /// bits for each group.
  void setTwoLevels(Encoding &encoding) const {
    encoding.scale = ScalarType::F32;
    encoding.commonScale = true;
    encoding.superBlock =
        unsigned(std::min((in + 31) / 32 * 32, kMaxSuperBlock));
    encoding.subBits = 8;
    encoding.subMinifloat = Minifloat::E4M3FN;
  }

  bool checkCodes() {
    const std::vector<uint64_t> &shape = codes->entry.shape;
    if (!checkType(*codes, "U8") || !checkMatrix(*codes))
      return false;
    out = shape[0];
    in = shape[1] * 2;
    return in % layout.group == 0 ||
           fail(*codes,
                "in features that are a multiple of " +
                    std::to_string(layout.group),
                std::to_string(in));
  }

  bool checkScale() {
    if (layout.globalScale)
      return checkType(*scale, "F8_E4M3") &&
             checkShape(*scale, {out, in / layout.group});
    std::string_view type = scale->entry.type->name;
    if (type != "U8" && type != "F8_E8M0")
      return fail(*scale, "dtype U8 or F8_E8M0", type);
    return checkShape(*scale, {out, in / layout.group});
  }

  bool checkGlobalScale() {
    if (!layout.globalScale)
      return true;
    globalScale = need(layout.globalScale, *codes);
    if (!globalScale || !checkType(*globalScale, "F32"))
      return false;
    if (!globalScale->entry.shape.empty() && !checkShape(*globalScale, {1}))
      return false;
    float value = loadLE<float>(sources.data(*globalScale));
    return (std::isfinite(value) && std::isfinite(1 / value)) ||
           fail(*globalScale, "a finite number that has an inverse",
                std::to_string(value));
  }

  const FP4Layout &layout;
  SourceTensor *codes = nullptr, *scale = nullptr, *globalScale = nullptr;
  uint64_t in = 0, out = 0;
};

} // namespace

Encoding qcc::mxfp4Encoding() {
  Encoding encoding;
  encoding.bits = 4;
  encoding.table.assign(std::begin(kDoubledE2M1), std::end(kDoubledE2M1));
  encoding.scaleExponent = -1;
  encoding.group = 32;
  encoding.scale = ScalarType::E8M0;
  return encoding;
}

Result<Tensor> qcc::readFP4Weight(const FP4Layout &layout,
                                  SourceTensors &sources, TextPool &texts,
                                  std::string module) {
  return ModuleReader(layout, sources, texts, std::move(module)).read();
}
