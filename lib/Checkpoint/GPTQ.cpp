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

#include "qcc/Formats/Bits.h"
#include <algorithm>
#include <map>
#include "QuantizedModule.h"

using namespace qcc;

namespace {

struct GPTQConfig {
  unsigned bits = 0;
  int64_t group = 0; ///< -1: one group.
  bool isSymmetric = false;
  bool hasActOrder = false;
  bool isV2 = false;
  std::string format; ///< As the config says it.
};

Result<GPTQConfig> readConfig(const Json &config, const std::string &where) {
  JsonFields fields(config, where);
  GPTQConfig result;
  // Old files have AWQ's names for the two.
  auto either = [&](const char *key, const char *old) {
    if (!fields.has(key) && !fields.has(old))
      fields.fail("key " + quoted(key) + " is missing");
    return fields.integer(key, fields.integer(old, 0));
  };
  int64_t bits = either("bits", "w_bit");
  result.group = either("group_size", "q_group_size");
  result.isSymmetric = fields.flag("sym", false);
  result.hasActOrder = fields.flag("desc_act", false);
  result.format =
      fields.text("checkpoint_format", fields.text("format", "gptq"));
  if (fields.flag("is_marlin_format", false))
    result.format = "marlin";
  result.isV2 = result.format == "gptq_v2";

  if (!result.isV2 && result.format != "gptq")
    fields.fail("GPTQ in format " + quoted(result.format) +
                " is not supported yet (supported: gptq, gptq_v2)");
  std::string other = fields.text("format", result.format);
  if (other != result.format)
    fields.fail("key 'format': expected " + quoted(result.format) +
                ", as checkpoint_format has, got " + quoted(other));
  std::string word = fields.text("pack_dtype", "int32");
  if (word != "int32")
    fields.fail("GPTQ packed in " + quoted(word) +
                " is not supported yet (supported: int32)");
  if (bits >= 5 && bits <= 7)
    fields.fail("GPTQ with " + std::to_string(bits) +
                " bits is not supported yet (supported: 2, 3, 4, 8)");
  else if (bits < 2 || bits > 8)
    fields.fail("key 'bits': expected 2, 3, 4 or 8, got " +
                std::to_string(bits));
  if (result.group != -1 && (result.group <= 0 || result.group > 1 << 30))
    fields.fail("key 'group_size': expected -1 or a positive number, got " +
                std::to_string(result.group));
  auto isSet = [&](const char *key) {
    auto it = config.find(key);
    return it != config.end() && !it->is_null() && !it->empty() &&
           *it != Json(false);
  };
  if (isSet("dynamic"))
    fields.fail("GPTQ with other parameters for some modules (key 'dynamic') "
                "is not supported yet");
  if (isSet("rotation"))
    fields.fail("GPTQ of rotated weights (key 'rotation') is not supported "
                "yet");
  if (fields.error)
    return std::move(fields.error);
  result.bits = unsigned(bits);
  return result;
}

/// The orders of k that weights stand in, as tensors of their own. Weights that
/// read the same activations have the same, which must show in the names: only
/// one tensor is made for all that are equal.
class Orders {
public:
  explicit Orders(std::vector<Tensor> &out) : out(out) {}

  /// The name of the tensor for `groupIndex`.
  std::string_view keep(SourceTensors &sources, SourceTensor &groupIndex,
                        const std::string &module, TextPool &texts) {
    const uint8_t *data = sources.data(groupIndex);
    std::string_view bytes(reinterpret_cast<const char *>(data),
                           groupIndex.entry.bytes);
    auto [known, isNew] = names.try_emplace(bytes);
    if (!isNew)
      return known->second;
    Tensor tensor;
    tensor.name = known->second = texts.keep(module + ".order");
    tensor.dims = {bytes.size() / 4};
    tensor.format = &kGroupOrderFormat;
    tensor.storedEncoding.element = ScalarType::F32;
    tensor.file = groupIndex.file;
    tensor.offset = groupIndex.entry.offset;
    tensor.bytes = bytes.size();
    tensor.parts.push_back(sources.take(groupIndex, texts));
    out.push_back(std::move(tensor));
    return known->second;
  }

private:
  std::vector<Tensor> &out;
  std::map<std::string_view, std::string_view> names;
};

/// Puts one module's weight together.
class ModuleReader : QuantizedModule {
public:
  ModuleReader(const GPTQConfig &config, SourceTensors &sources,
               TextPool &texts, Orders &orders, std::string module)
      : QuantizedModule(sources, texts, std::move(module)), config(config),
        orders(orders) {}

  Result<Tensor> read() {
    if (!findParts() || !checkShapes() || !checkGroups() || !readZero())
      return std::move(error);
    Tensor tensor;
    tensor.name = texts.keep(module + ".weight");
    tensor.dims = {in, out};
    tensor.format = format();
    if (hasOrder)
      tensor.order = orders.keep(sources, *gIdx, module, texts);
    Encoding &encoding = tensor.storedEncoding;
    encoding.bits = config.bits;
    encoding.zero = int(zero);
    encoding.zeroBits = hasZeros ? config.bits : 0;
    encoding.group = unsigned(group);
    encoding.scale = scaleType;
    if (std::string problem = encoding.check(); !problem.empty())
      return Error(sources.what(*qweight) + ": " + problem);
    tensor.file = qweight->file;
    tensor.offset = qweight->entry.offset;
    // First those that the format reads, in its order.
    for (SourceTensor *part : {qweight, scales, hasZeros ? qzeros : nullptr,
                               gIdx, hasZeros ? nullptr : qzeros, bias})
      if (part) {
        tensor.parts.push_back(sources.take(*part, texts));
        tensor.bytes += part->entry.bytes;
      }
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
    if (!checkType(*qweight, "I32"))
      return false;
    // The limits keep products below 2^64.
    constexpr uint64_t most = uint64_t(1) << 28;
    if (shape.size() != 2 || shape[0] == 0 || shape[1] == 0 ||
        shape[0] > most || shape[1] > most)
      return fail(*qweight, "two dimensions of 1 to 2^28", shapeText(shape));
    in = shape[0] * 32 / config.bits;
    out = shape[1];
    if (shape[0] % config.bits || out * config.bits % 32)
      return fail(*qweight,
                  "rows that are a multiple of " + std::to_string(config.bits) +
                      " and whole words of zero points",
                  shapeText(shape));
    group = config.group == -1 ? in : uint64_t(config.group);
    if (in % group)
      return fail(sources.what(*qweight) +
                  ": expected in features that are a "
                  "multiple of group_size " +
                  std::to_string(group) + ", got " + std::to_string(in));
    groups = in / group;
    for (auto [name, type] : {std::pair{"F16", ScalarType::F16},
                              std::pair{"BF16", ScalarType::BF16}})
      if (std::string_view(scales->entry.type->name) == name)
        scaleType = type;
    if (scaleType == ScalarType::None)
      return fail(*scales, "dtype F16 or BF16", scales->entry.type->name);
    return checkShape(*scales, {groups, out}) && checkType(*qzeros, "I32") &&
           checkShape(*qzeros, {groups, out * config.bits / 32}) &&
           (!gIdx || (checkType(*gIdx, "I32") && checkShape(*gIdx, {in})));
  }

  const StoredFormat *format() const {
    if (!hasZeros)
      return hasOrder ? &kGPTQOrderFormat : &kGPTQFormat;
    if (hasOrder)
      return config.isV2 ? &kGPTQZerosOrderFormat : &kGPTQV1ZerosOrderFormat;
    return config.isV2 ? &kGPTQZerosFormat : &kGPTQV1ZerosFormat;
  }

  /// Groups are runs of k (in order, or all zero as some tools write for that),
  /// or k stand in another order; they all have the same size.
  bool checkGroups() {
    if (!gIdx) {
      if (config.hasActOrder && groups > 1)
        return fail(sources.what(*qweight) + " comes without " +
                    quoted(module + ".g_idx") +
                    ", though the config has desc_act");
      return true;
    }
    const uint8_t *data = sources.data(*gIdx);
    bool isSorted = true;
    for (uint64_t k = 0; k < in && isSorted; ++k)
      isSorted = loadLE<uint32_t>(data + k * 4) == k / group;
    if (isSorted || isZero(*gIdx))
      return true;
    // An order is a vector of f32, which holds integers up to here.
    if (in > uint64_t(1) << 24)
      return fail(*gIdx, "at most 2^24 elements in another order",
                  std::to_string(in));
    std::vector<uint64_t> sizes(groups);
    for (uint64_t k = 0; k < in; ++k) {
      uint32_t index = loadLE<uint32_t>(data + k * 4);
      if (index >= groups)
        return fail(*gIdx, "groups below " + std::to_string(groups),
                    std::to_string(index));
      ++sizes[index];
    }
    for (uint64_t g = 0; g < groups; ++g)
      if (sizes[g] != group)
        return fail(*gIdx, "groups of " + std::to_string(group) + " elements",
                    std::to_string(sizes[g]) + " in group " +
                        std::to_string(g));
    hasOrder = true;
    return true;
  }

  /// Finds out whether all zero points are the same.
  bool readZero() {
    const uint32_t mask = (1u << config.bits) - 1;
    uint32_t field = 0;
    if (isUniform(field)) {
      zero = config.isV2 ? field : field + 1;
      // A config that names the wrong format would shift all weights.
      const uint32_t middle = 1u << (config.bits - 1);
      if (config.isSymmetric && zero != middle)
        return fail(*qzeros,
                    std::to_string(config.isV2 ? middle : middle - 1) +
                        " throughout, for sym in format " +
                        quoted(config.format),
                    std::to_string(field));
      // All ones plus 1 is 0 to the readers that the others follow.
      if (zero <= mask)
        return true;
    }
    hasZeros = true;
    zero = !config.isV2 && config.bits == 3 ? 1 : 0;
    return true;
  }

  /// Whether qzeros has the same field everywhere, and which.
  bool isUniform(uint32_t &field) const {
    const uint8_t *data = sources.data(*qzeros);
    field = loadLE<uint32_t>(data) & ((1u << config.bits) - 1);
    // `bits` words hold 32 fields; each line is a number of whole words.
    const uint64_t line = qzeros->entry.shape[1];
    for (uint64_t i = 0; i < qzeros->entry.bytes / 4; ++i) {
      uint32_t expected = 0;
      for (uint64_t bit = 0; bit < 32; ++bit) {
        uint64_t place = (i % line * 32 + bit) % config.bits;
        expected |= (field >> place & 1) << bit;
      }
      if (loadLE<uint32_t>(data + i * 4) != expected)
        return false;
    }
    return true;
  }

  const GPTQConfig &config;
  Orders &orders;
  SourceTensor *qweight = nullptr, *qzeros = nullptr, *scales = nullptr,
               *gIdx = nullptr, *bias = nullptr;
  uint64_t in = 0, out = 0, group = 0, groups = 0;
  uint32_t zero = 0;
  bool hasZeros = false, hasOrder = false;
  ScalarType scaleType = ScalarType::None;
};

} // namespace

Error qcc::readGPTQ(const Json &config, const std::string &where,
                    SourceTensors &sources, TextPool &texts,
                    std::vector<Tensor> &out) {
  Result<GPTQConfig> parameters = readConfig(config, where);
  if (!parameters)
    return parameters.takeError();
  Orders orders(out);
  static constexpr std::string_view suffix = ".qweight";
  for (SourceTensor &tensor : sources.all()) {
    const std::string &name = tensor.entry.name;
    if (!name.ends_with(suffix))
      continue;
    Result<Tensor> weight =
        ModuleReader(*parameters, sources, texts, orders,
                     name.substr(0, name.size() - suffix.size()))
            .read();
    if (!weight)
      return weight.takeError();
    out.push_back(std::move(*weight));
  }
  return Error();
}
