//===- EXL2.cpp - Weights of ExLlamaV2 ------------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// A linear layer "m" of `in` to `out` features has
//
//   m.q_weight     i32 [packed rows, out rounded up to 32]
//   m.q_scale      i32 [groups, out rounded up to 32 / 8]
//   m.q_scale_max  f16 [groups]
//   m.q_groups     i16 [2 * groups]   bits and the first packed row of each
//   m.q_invperm    i32 or i16 [in]    the place of each k in the packed order
//   m.q_perm       the same inverted; not always there
//   m.bias         f16 [out]; not always there
//
// See StoredFormat.h for how they are read. A group's bits tell how many k its
// packed rows hold. ExLlamaV2 makes groups of 32, 64 and 128, once also of 16
// with 2 bits, and leaves what remains in the last.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Bits.h"
#include "ElementOrders.h"
#include "QuantizedModule.h"

using namespace qcc;

namespace {

constexpr std::string_view kSuffix = ".q_weight";

/// Puts one module's weight together.
class ModuleReader : QuantizedModule {
public:
  ModuleReader(SourceTensors &sources, TextPool &texts, ElementOrders &orders,
               std::string module, SourceTensor &weight)
      : QuantizedModule(sources, texts, std::move(module)), orders(orders),
        weight(weight) {}

  Result<Tensor> read() {
    if (!findParts() || !checkShapes() || !readGroups() || !readOrder())
      return std::move(error);
    Tensor tensor;
    tensor.name = texts.keep(module + ".weight");
    tensor.dims = {in, out};
    tensor.format = &kEXL2Format;
    tensor.storedEncoding = encoding();
    if (std::string problem = tensor.storedEncoding.check(); !problem.empty())
      return Error(sources.what(*groups) + ": " + problem);
    if (!isInOrder)
      tensor.order = orders.keep(sources, *places, module, in, kPlacesFormat,
                                 {places->entry.bytes / in}, texts);
    takeParts(tensor, {&weight, scales, maxima, groups, places, permutation,
                       bias && isZero(*bias) ? bias : nullptr});
    return tensor;
  }

private:
  bool findParts() {
    scales = need("q_scale", weight);
    maxima = scales ? need("q_scale_max", weight) : nullptr;
    groups = maxima ? need("q_groups", weight) : nullptr;
    places = groups ? need("q_invperm", weight) : nullptr;
    permutation = find("q_perm");
    bias = find("bias");
    return places != nullptr;
  }

  bool checkShapes() {
    const std::vector<uint64_t> &shape = weight.entry.shape;
    if (!checkType(weight, "I32") || !checkMatrix(weight))
      return false;
    if (shape[1] % 32)
      return fail(weight, "columns that are a multiple of 32",
                  shapeText(shape));
    if (!readOut())
      return false;
    if (!checkType(*groups, "I16") || !checkType(*maxima, "F16") ||
        !checkType(*scales, "I32"))
      return false;
    const std::vector<uint64_t> &pairs = groups->entry.shape;
    if (pairs.size() != 1 || pairs[0] == 0 || pairs[0] % 2)
      return fail(*groups, "pairs of bits and rows", shapeText(pairs));
    groupCount = pairs[0] / 2;
    if (!checkShape(*maxima, {groupCount}) ||
        !checkShape(*scales, {groupCount, shape[1] / 8}))
      return false;
    std::string_view type = places->entry.type->name;
    const std::vector<uint64_t> &columns = places->entry.shape;
    if (type != "I32" && type != "I16")
      return fail(*places, "dtype I32 or I16", type);
    // An order is a vector of f32, which holds integers up to here.
    if (columns.size() != 1 || columns[0] == 0 || columns[0] > 1 << 24)
      return fail(*places, "1 to 2^24 elements", shapeText(columns));
    in = columns[0];
    return true;
  }

  /// The arrays are padded; what else has as many rows tells how many there
  /// are.
  bool readOut() {
    const uint64_t width = weight.entry.shape[1];
    out = width;
    const SourceTensor *same = bias ? bias
                               : module == "lm_head"
                                   ? sources.find("model.embed_tokens.weight")
                                   : nullptr;
    if (!same || same->entry.shape.empty())
      return true;
    out = same->entry.shape[0];
    return (out <= width && width - out < 32) ||
           fail(weight,
                "as many columns as " + quoted(same->entry.name) +
                    " has rows, rounded up to 32",
                shapeText(weight.entry.shape));
  }

  bool readGroups() {
    const uint8_t *data = sources.data(*groups);
    auto bitsOf = [&](uint64_t g) -> unsigned {
      return loadLE<uint16_t>(data + g * 4);
    };
    auto rowOf = [&](uint64_t g) -> uint64_t {
      return g == groupCount ? weight.entry.shape[0]
                             : loadLE<uint16_t>(data + g * 4 + 2);
    };
    auto failGroup = [&](uint64_t g, std::string_view expected, uint64_t got) {
      return fail(*groups,
                  std::string(expected) + " in group " + std::to_string(g),
                  std::to_string(got));
    };
    if (rowOf(0) != 0)
      return failGroup(0, "row 0", rowOf(0));
    uint64_t left = in;
    for (uint64_t g = 0; g < groupCount; ++g) {
      unsigned bits = bitsOf(g);
      if (bits < 2 || bits > 8)
        return failGroup(g, "2 to 8 bits", bits);
      if (rowOf(g + 1) <= rowOf(g))
        return failGroup(g, "rows that end after " + std::to_string(rowOf(g)),
                         rowOf(g + 1));
      uint64_t rows = rowOf(g + 1) - rowOf(g);
      if (rows % bits && rows * 2 != bits)
        return failGroup(g,
                         "groups of 16 k or a multiple of 32, which take a "
                         "multiple of " +
                             std::to_string(bits) + " rows",
                         rows);
      uint64_t columns = rows * 32 / bits;
      if (columns > left || (g + 1 == groupCount && columns != left))
        return failGroup(g,
                         std::to_string(left) + " k, of " + std::to_string(in) +
                             " in all,",
                         columns);
      left -= columns;
      addGroup(bits, unsigned(columns));
    }
    for (const Encoding::Span &span : spans)
      if (span.columns % 32)
        return fail(*groups, "pairs of groups of 16 k",
                    std::to_string(span.columns / 16) + " of " +
                        std::to_string(span.bits) + " bits");
    return true;
  }

  void addGroup(unsigned bits, unsigned columns) {
    if (!spans.empty() && spans.back().bits == bits &&
        spans.back().group == columns)
      spans.back().columns += columns;
    else
      spans.push_back({columns, bits, 1 << (bits - 1), columns});
  }

  bool readOrder() {
    const uint8_t *data = sources.data(*places);
    const bool isShort = places->entry.bytes == in * 2;
    std::vector<bool> seen(in);
    isInOrder = true;
    for (uint64_t k = 0; k < in; ++k) {
      uint64_t place = isShort ? loadLE<uint16_t>(data + k * 2)
                               : loadLE<uint32_t>(data + k * 4);
      if (place >= in || seen[place])
        return fail(*places, "each place below " + std::to_string(in) + " once",
                    std::to_string(place));
      seen[place] = true;
      isInOrder &= place == k;
    }
    return true;
  }

  Encoding encoding() const {
    Encoding e;
    e.scale = ScalarType::F16;
    e.scaleExponent = -8;
    e.commonScale = true;
    e.subBits = 4;
    e.subZero = -1;
    e.subSquared = true;
    if (spans.size() == 1)
      return e.span(spans.front());
    e.spans = spans;
    return e;
  }

  ElementOrders &orders;
  SourceTensor &weight;
  SourceTensor *scales = nullptr, *maxima = nullptr, *groups = nullptr,
               *places = nullptr, *permutation = nullptr, *bias = nullptr;
  uint64_t in = 0, out = 0, groupCount = 0;
  std::vector<Encoding::Span> spans;
  bool isInOrder = false;
};

} // namespace

bool qcc::hasEXL2Weights(SourceTensors &sources) {
  return std::any_of(sources.all().begin(), sources.all().end(),
                     [](const SourceTensor &tensor) {
                       return tensor.entry.name.ends_with(kSuffix);
                     });
}

Error qcc::readEXL2(const Json &, const std::string &, SourceTensors &sources,
                    TextPool &texts, std::vector<Tensor> &out) {
  ElementOrders orders(out);
  return readModules(
      sources, kSuffix, out, [&](std::string module, SourceTensor &tensor) {
        return ModuleReader(sources, texts, orders, std::move(module), tensor)
            .read();
      });
}
