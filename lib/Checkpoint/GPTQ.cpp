//===- GPTQ.cpp - Weights of GPTQ checkpoints -----------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// A linear layer "m" of `in` to `out` features has
//
//   m.qweight  i32 [in * bits / 32, out]       codes, packed along in
//   m.scales   f16 or bf16 [groups, out]
//   m.qzeros   i32 [groups, out * bits / 32]   zero points, packed along out
//   m.g_idx    i32 [in]                        group of each k; may be absent
//   m.bias     [out]                           some tools write one of zeros
//
// with W[n, k] = scales[g, n] * (code[k, n] - zero[g, n]), g = g_idx[k]. The
// first format stores zero - 1, "gptq_v2" stores zero.
//===----------------------------------------------------------------------===//

#include "GPTQ.h"
#include "qcc/Formats/Bits.h"
#include "GroupIndex.h"
#include "QuantizedModule.h"

using namespace qcc;

namespace {

/// Puts one module's weight together.
class ModuleReader : QuantizedModule {
public:
  ModuleReader(const GPTQScheme &scheme, SourceTensors &sources,
               TextPool &texts, ElementOrders &orders, std::string module)
      : QuantizedModule(sources, texts, std::move(module)), scheme(scheme),
        orders(orders) {}

  Result<Tensor> read() {
    if (!findParts() || !checkShapes() || !checkGroups() || !readZero())
      return std::move(error);
    Tensor tensor;
    tensor.name = texts.keep(module + ".weight");
    tensor.dims = {in, out};
    tensor.format = format();
    if (hasOrder)
      tensor.order =
          orders.keep(sources, *gIdx, module, in, kGroupOrderFormat, {}, texts);
    Encoding &encoding = tensor.storedEncoding;
    encoding.bits = scheme.bits;
    encoding.zero = int(zero);
    encoding.zeroBits = hasZeros ? scheme.bits : 0;
    encoding.group = unsigned(group);
    encoding.scale = scaleType;
    if (std::string problem = encoding.check(); !problem.empty())
      return Error(sources.what(*qweight) + ": " + problem);
    takeParts(tensor, {qweight, scales, hasZeros ? qzeros : nullptr, gIdx,
                       hasZeros ? nullptr : qzeros, bias});
    return tensor;
  }

private:
  bool findParts() {
    qweight = sources.find(module + ".qweight");
    qzeros = sources.find(module + ".qzeros");
    scales = sources.find(module + ".scales");
    gIdx = sources.find(module + ".g_idx");
    if (SourceTensor *tensor = sources.find(module + ".bias");
        tensor && isZero(*tensor))
      bias = tensor;
    for (const char *name : {".qzeros", ".scales"})
      if (!sources.find(module + name))
        return fail(sources.what(*qweight) + " comes without " +
                    quoted(module + name));
    return true;
  }

  bool checkShapes() {
    const std::vector<uint64_t> &shape = qweight->entry.shape;
    if (!checkType(*qweight, "I32") || !checkMatrix(*qweight))
      return false;
    in = shape[0] * 32 / scheme.bits;
    out = shape[1];
    constexpr uint64_t most = uint64_t(1) << 28;
    if (in > most)
      return fail(*qweight, "up to 2^28 in features", shapeText(shape));
    if (shape[0] % scheme.bits || out * scheme.bits % 32)
      return fail(*qweight,
                  "rows that are a multiple of " + std::to_string(scheme.bits) +
                      " and whole words of zero points",
                  shapeText(shape));
    // The last group may be smaller, as long as it is whole chunks of k.
    group = scheme.group == -1 ? in : std::min(uint64_t(scheme.group), in);
    if (in % group && group % 32)
      return fail(sources.what(*qweight) +
                  ": expected in features that are a "
                  "multiple of group_size " +
                  std::to_string(group) + ", got " + std::to_string(in));
    groups = (in + group - 1) / group;
    scaleType = floatType(*scales);
    if (scaleType != ScalarType::F16 && scaleType != ScalarType::BF16)
      return fail(*scales, "dtype F16 or BF16", scales->entry.type->name);
    return checkShape(*scales, {groups, out}) && checkType(*qzeros, "I32") &&
           checkShape(*qzeros, {groups, out * scheme.bits / 32}) &&
           (!gIdx || (checkType(*gIdx, "I32") && checkShape(*gIdx, {in})));
  }

  const StoredFormat *format() const {
    if (!hasZeros)
      return hasOrder ? &kGPTQOrderFormat : &kGPTQFormat;
    if (hasOrder)
      return scheme.isV2 ? &kGPTQZerosOrderFormat : &kGPTQV1ZerosOrderFormat;
    return scheme.isV2 ? &kGPTQZerosFormat : &kGPTQV1ZerosFormat;
  }

  /// Groups are runs of k (in order, or all zero as some tools write for that),
  /// or k stand in another order; they all have the same size.
  bool checkGroups() {
    if (!gIdx) {
      if (scheme.hasActOrder && groups > 1)
        return fail(sources.what(*qweight) + " comes without " +
                    quoted(module + ".g_idx") +
                    ", though the config has desc_act");
      return true;
    }
    Result<bool> found = hasGroupOrder(sources, *gIdx, in, group);
    if (!found) {
      error = found.takeError();
      return false;
    }
    hasOrder = *found;
    return true;
  }

  /// Finds out whether all zero points are the same.
  bool readZero() {
    const uint32_t mask = (1u << scheme.bits) - 1;
    uint32_t field = 0;
    if (isUniform(field)) {
      zero = scheme.isV2 ? field : field + 1;
      // A config that names the wrong format would shift all weights.
      const uint32_t middle = 1u << (scheme.bits - 1);
      if (scheme.isSymmetric && zero != middle)
        return fail(*qzeros,
                    std::to_string(scheme.isV2 ? middle : middle - 1) +
                        " throughout, for sym in format " +
                        quoted(scheme.format),
                    std::to_string(field));
      // All ones plus 1 is 0 to the readers that the others follow.
      if (zero <= mask)
        return true;
    }
    hasZeros = true;
    zero = !scheme.isV2 && scheme.bits == 3 ? 1 : 0;
    return true;
  }

  /// Whether qzeros has the same field everywhere, and which.
  bool isUniform(uint32_t &field) const {
    const uint8_t *data = sources.data(*qzeros);
    field = loadLE<uint32_t>(data) & ((1u << scheme.bits) - 1);
    // `bits` words hold 32 fields; each line is a number of whole words.
    const uint64_t line = qzeros->entry.shape[1];
    for (uint64_t i = 0; i < qzeros->entry.bytes / 4; ++i) {
      uint32_t expected = 0;
      for (uint64_t bit = 0; bit < 32; ++bit) {
        uint64_t place = (i % line * 32 + bit) % scheme.bits;
        expected |= (field >> place & 1) << bit;
      }
      if (loadLE<uint32_t>(data + i * 4) != expected)
        return false;
    }
    return true;
  }

  const GPTQScheme &scheme;
  ElementOrders &orders;
  SourceTensor *qweight = nullptr, *qzeros = nullptr, *scales = nullptr,
               *gIdx = nullptr, *bias = nullptr;
  uint64_t in = 0, out = 0, group = 0, groups = 0;
  uint32_t zero = 0;
  bool hasZeros = false, hasOrder = false;
  ScalarType scaleType = ScalarType::None;
};

} // namespace

Result<Tensor> qcc::readGPTQWeight(const GPTQScheme &scheme,
                                   SourceTensors &sources, TextPool &texts,
                                   ElementOrders &orders, std::string module) {
  return ModuleReader(scheme, sources, texts, orders, std::move(module)).read();
}
