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
//                     m.weight_g_idx       i32 [in], the group of each k
//   int-quantized     m.weight             i8 [out, in]
//                     m.weight_scale       [out, groups]
//   float-quantized   m.weight             f8 [out, in], see FP8.cpp
//                     m.weight_scale       one for each tile of weights
//   mxfp4- and nvfp4-pack-quantized        see FP4.cpp
//
// Packed codes and zero points are 2^(bits - 1) more than the integers that
// they stand for. Activations stay as they are here, whatever the config has
// for them.
//===----------------------------------------------------------------------===//

#include "CompressedTensors.h"
#include "qcc/Formats/Bits.h"
#include "ElementOrders.h"
#include "GroupIndex.h"
#include "QuantizedModule.h"

using namespace qcc;

namespace {

/// Puts one module's weight together.
class ModuleReader : QuantizedModule {
public:
  ModuleReader(const WeightScheme &scheme, SourceTensors &sources,
               TextPool &texts, ElementOrders &orders, std::string module)
      : QuantizedModule(sources, texts, std::move(module)), scheme(scheme),
        orders(orders) {}

  Result<Tensor> read() {
    codes = find(scheme.isPacked ? "weight_packed" : "weight");
    scales = need("weight_scale", *codes);
    if (!scales || !checkCodes() || !checkScales() || !checkZeros() ||
        !checkOrder())
      return std::move(error);
    Tensor tensor;
    tensor.name = texts.keep(module + ".weight");
    tensor.dims = {in, out};
    tensor.format = format();
    if (hasOrder)
      tensor.order = orders.keep(sources, *groupIndex, module, in,
                                 kGroupOrderFormat, {}, texts);
    Encoding &encoding = tensor.storedEncoding;
    encoding.bits = scheme.bits;
    encoding.zero = zeros ? 0 : 1 << (scheme.bits - 1);
    encoding.zeroBits = zeros ? scheme.bits : 0;
    encoding.group = unsigned(group);
    encoding.scale = scaleType;
    if (std::string problem = encoding.check(); !problem.empty())
      return Error(sources.what(*codes) + ": " + problem);
    takeParts(tensor, {codes, scales, zeros, groupIndex, shape});
    return tensor;
  }

private:
  bool checkCodes() {
    const std::vector<uint64_t> &found = codes->entry.shape;
    if (!checkType(*codes, scheme.isPacked ? "I32" : "I8") ||
        !checkMatrix(*codes))
      return false;
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
    scaleType = floatType(*scales);
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

  bool checkOrder() {
    groupIndex = find("weight_g_idx");
    if (scheme.hasOrder && !groupIndex)
      return need("weight_g_idx", *codes);
    if (!groupIndex)
      return true;
    if (!scheme.hasOrder)
      return fail(sources.what(*groupIndex) +
                  " is there, though the config has no actorder 'group'");
    if (!checkType(*groupIndex, "I32") || !checkShape(*groupIndex, {in}))
      return false;
    Result<bool> found = hasGroupOrder(sources, *groupIndex, in, group);
    if (!found) {
      error = found.takeError();
      return false;
    }
    hasOrder = *found;
    return true;
  }

  const StoredFormat *format() const {
    if (!scheme.isPacked)
      return &kByteRowsFormat;
    if (hasOrder)
      return zeros ? &kPackedRowsZerosOrderFormat : &kPackedRowsOrderFormat;
    return zeros ? &kPackedRowsZerosFormat : &kPackedRowsFormat;
  }

  const WeightScheme &scheme;
  ElementOrders &orders;
  SourceTensor *codes = nullptr, *scales = nullptr, *zeros = nullptr,
               *shape = nullptr, *groupIndex = nullptr;
  uint64_t in = 0, out = 0, group = 0;
  bool hasOrder = false;
  ScalarType scaleType = ScalarType::None;
};

/// The module of a quantized weight, by one of its arrays; "" for others.
std::string moduleOf(const SourceTensor &tensor) {
  const std::string &name = tensor.entry.name;
  for (std::string_view suffix :
       {".weight_packed", ".weight_scale", ".weight"}) {
    bool isCode = suffix != ".weight" || isFP8(tensor) ||
                  std::string_view(tensor.entry.type->name) == "I8";
    if (name.ends_with(suffix) && isCode)
      return name.substr(0, name.size() - suffix.size());
  }
  return "";
}

} // namespace

Error qcc::readCompressedTensors(const Json &config, const std::string &where,
                                 SourceTensors &sources, TextPool &texts,
                                 std::vector<Tensor> &out) {
  Result<WeightSchemes> schemes = WeightSchemes::read(config, where);
  if (!schemes)
    return schemes.takeError();
  ElementOrders orders(out);
  for (SourceTensor &tensor : sources.all()) {
    std::string module = tensor.isTaken ? "" : moduleOf(tensor);
    if (module.empty())
      continue;
    Result<const WeightScheme *> found = schemes->of(module);
    if (!found)
      return Error(where + ": config_groups: " + found.message());
    if (!*found)
      return Error(sources.what(tensor) +
                   " is no target of any group of 'config_groups'");
    const WeightScheme &scheme = **found;
    std::string codes =
        module + (scheme.fp4 || scheme.isPacked ? ".weight_packed" : ".weight");
    if (!sources.find(codes))
      return Error(sources.what(tensor) + " comes without " + quoted(codes));
    Result<Tensor> weight =
        scheme.fp4 ? readFP4Weight(*scheme.fp4, sources, texts, module)
        : scheme.tiles
            ? readFP8Weight(*scheme.tiles, "weight_scale", sources, texts,
                            module)
            : ModuleReader(scheme, sources, texts, orders, module).read();
    if (!weight)
      return weight.takeError();
    out.push_back(std::move(*weight));
  }
  return Error();
}
