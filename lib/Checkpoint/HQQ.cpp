//===- HQQ.cpp - Weights of HQQ checkpoints -------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// A linear layer "m" of `in` to `out` features, whose groups are runs of k, has
//
//   m.W_q            u8 or i32 [groups of all rows / codes in a word, group]
//   m.scale, m.zero  f16, bf16 or f32 [groups of all rows, 1]
//   m.shape          i64 [2]
//   m.group_size     i32 []
//   m.axis           i32 []   1: groups are runs of k
//   m.packing        u8 [n]   a text, such as "4bit_u8"
//
// and more numbers of no use here. See StoredFormat.h for how they are read;
// W[n, k] = (code - zero) * scale.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Bits.h"
#include "QuantizedModule.h"

using namespace qcc;

namespace {

struct Packing {
  std::string_view name;
  unsigned bits, perWord;
  const char *type;
};

constexpr Packing kPackings[] = {
    {"8bit_u8", 8, 1, "U8"}, {"4bit_u8", 4, 2, "U8"}, {"3bit_32", 3, 10, "I32"},
    {"2bit_u8", 2, 4, "U8"}, {"1bit_u8", 1, 8, "U8"},
};

/// What says how a weight was made, or how it is kept while it runs.
constexpr const char *kUnused[] = {
    "nbits",      "unpack_view_dtype",   "compute_dtype", "offload_meta",
    "optimize",   "encoded_state_dict",  "round_zero",    "quant_scale",
    "quant_zero", "stores_quant_config", "channel_wise",  "view_as_float"};

/// Puts one module's weight together.
class ModuleReader : QuantizedModule {
public:
  ModuleReader(SourceTensors &sources, TextPool &texts, std::string module,
               SourceTensor &codes)
      : QuantizedModule(sources, texts, std::move(module)), codes(codes) {}

  Result<Tensor> read() {
    if (!findParts() || !checkFlags() || !readPacking() || !readShape() ||
        !checkArrays())
      return std::move(error);
    Tensor tensor;
    tensor.name = texts.keep(module + ".weight");
    tensor.dims = {in, out};
    tensor.format = &kHQQFormat;
    Encoding &encoding = tensor.storedEncoding;
    encoding.bits = packing->bits;
    encoding.group = unsigned(group);
    encoding.scale = encoding.min = scaleType;
    encoding.scaledMin = true;
    if (std::string problem = encoding.check(); !problem.empty())
      return Error(sources.what(codes) + ": " + problem);
    std::vector<SourceTensor *> parts = {&codes, scale,     zero,       shape,
                                         axis,   groupSize, packingText};
    for (const char *name : kUnused)
      parts.push_back(find(name));
    takeParts(tensor, parts);
    return tensor;
  }

private:
  bool findParts() {
    for (auto [part, name] :
         {std::pair{&scale, "scale"}, std::pair{&zero, "zero"},
          std::pair{&shape, "shape"}, std::pair{&groupSize, "group_size"},
          std::pair{&axis, "axis"}, std::pair{&packingText, "packing"}})
      if (!(*part = need(name, codes)))
        return false;
    return true;
  }

  /// Whether a scalar, where it is there, is `expected`.
  bool checkScalar(const char *name, uint8_t expected, const char *otherwise) {
    const SourceTensor *part = find(name);
    if (!part)
      return true;
    if (!checkShape(*part, {}))
      return false;
    // Of 8 or 32 bits.
    const uint8_t *data = sources.data(*part);
    bool isExpected = part->entry.bytes > 0 && data[0] == expected &&
                      std::all_of(data + 1, data + part->entry.bytes,
                                  [](uint8_t byte) { return byte == 0; });
    return isExpected || fail(sources.what(*part) + ": HQQ with " + otherwise +
                              " is not supported yet");
  }

  bool checkFlags() {
    return checkScalar("axis", 1, "groups of rows (axis 0)") &&
           checkScalar("view_as_float", 0, "codes kept as floats") &&
           checkScalar("quant_scale", 0, "quantized scales") &&
           checkScalar("quant_zero", 0, "quantized zero points") &&
           checkScalar("channel_wise", 1, "one scale for all");
  }

  bool readPacking() {
    if (!checkType(*packingText, "U8"))
      return false;
    if (packingText->entry.shape.size() != 1)
      return fail(*packingText, "one dimension",
                  shapeText(packingText->entry.shape));
    std::string_view name(
        reinterpret_cast<const char *>(sources.data(*packingText)),
        packingText->entry.bytes);
    std::string supported;
    for (const Packing &known : kPackings) {
      supported += (supported.empty() ? "" : ", ") + std::string(known.name);
      if (known.name == name)
        packing = &known;
    }
    return packing ||
           fail(sources.what(*packingText) + ": HQQ in packing " +
                quoted(name.substr(0, 32)) +
                " is not supported yet (supported: " + supported + ")");
  }

  bool readShape() {
    if (!checkType(*shape, "I64") || !checkShape(*shape, {2}) ||
        !checkType(*groupSize, "I32") || !checkShape(*groupSize, {}))
      return false;
    out = loadLE<uint64_t>(sources.data(*shape));
    in = loadLE<uint64_t>(sources.data(*shape) + 8);
    group = loadLE<uint32_t>(sources.data(*groupSize));
    if (out == 0 || in == 0 || out > kMaxFeatures || in > kMaxFeatures)
      return fail(*shape, "two numbers of 1 to 2^28", shapeText({out, in}));
    return (group != 0 && in % group == 0) ||
           fail(*groupSize,
                "what divides " + std::to_string(in) + " in features",
                std::to_string(group));
  }

  bool checkArrays() {
    const uint64_t groups = out * (in / group), perWord = packing->perWord;
    // Only words of 3 bits are filled up.
    if (packing->bits != 3 && groups % perWord)
      return fail(codes,
                  "groups of all rows that are a multiple of " +
                      std::to_string(perWord),
                  std::to_string(groups));
    scaleType = floatType(*scale);
    if (scaleType == ScalarType::None)
      return fail(*scale, "dtype F16, BF16 or F32", scale->entry.type->name);
    return checkType(codes, packing->type) &&
           checkShape(codes, {(groups + perWord - 1) / perWord, group}) &&
           checkShape(*scale, {groups, 1}) &&
           checkType(*zero, scale->entry.type->name) &&
           checkShape(*zero, {groups, 1});
  }

  SourceTensor &codes;
  SourceTensor *scale = nullptr, *zero = nullptr, *shape = nullptr,
               *groupSize = nullptr, *axis = nullptr, *packingText = nullptr;
  const Packing *packing = nullptr;
  uint64_t in = 0, out = 0, group = 0;
  ScalarType scaleType = ScalarType::None;
};

} // namespace

Error qcc::readHQQ(const Json &, const std::string &, SourceTensors &sources,
                   TextPool &texts, std::vector<Tensor> &out) {
  return readModules(
      sources, ".W_q", out, [&](std::string module, SourceTensor &tensor) {
        return ModuleReader(sources, texts, std::move(module), tensor).read();
      });
}
