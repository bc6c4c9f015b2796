//===- Bitsandbytes.cpp - Weights of bitsandbytes -------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// A linear layer "m" of `in` to `out` features has, with 4 bits,
//
//   m.weight                   [bytes, 1], typed U8 or as what else it is kept
//   m.weight.absmax            f32 [blocks], or u8 with nested scales
//   m.weight.quant_map         f32 [16], the values of the codes
//   m.weight.quant_state.bitsandbytes__nf4, or ..__fp4: JSON as u8 [n]
//   m.weight.nested_absmax     f32 [nested blocks]
//   m.weight.nested_quant_map  f32 [256]
//
// and with 8 bits ("LLM.int8")
//
//   m.weight         i8 [out, in]
//   m.SCB            f32 [out]
//   m.weight_format  u8 [], 0 for rows
//
// See StoredFormat.h for how they are read. Outliers of activations, which
// LLM.int8 treats apart when it runs, are a matter of activations and not of
// weights.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/Bits.h"
#include "qcc/Formats/PackedLayout.h"
#include <bit>
#include <cmath>
#include <numeric>
#include "FP8.h"
#include "QuantizedModule.h"

using namespace qcc;

namespace {

constexpr std::string_view kStateInfix = ".weight.quant_state.bitsandbytes__";
/// No known state comes near.
constexpr size_t kMaxStateBytes = size_t(1) << 16;

struct BitsandbytesConfig {
  bool has4Bits = false, has8Bits = false;
  std::string type; ///< "nf4", "fp4"; empty when the config does not say.
};

/// What quant_state says of one weight.
struct QuantState {
  std::string type;
  uint64_t block = 0, out = 0, in = 0;
  bool isNested = false;
  uint64_t nestedBlock = 0;
  float offset = 0;
};

Result<BitsandbytesConfig> readConfig(const Json &config,
                                      const std::string &where) {
  JsonFields fields(config, where);
  BitsandbytesConfig result;
  result.has4Bits = fields.flag("load_in_4bit", false);
  result.has8Bits = fields.flag("load_in_8bit", false);
  if (result.has4Bits)
    result.type = fields.text("bnb_4bit_quant_type", "");
  if (!fields.error && result.has4Bits == result.has8Bits)
    fields.fail(std::string("expected one of load_in_4bit and load_in_8bit, "
                            "got ") +
                (result.has4Bits ? "both" : "none"));
  if (fields.error)
    return std::move(fields.error);
  return result;
}

/// Puts one weight of 4 bits together.
class FourBitReader : QuantizedModule {
public:
  FourBitReader(SourceTensors &sources, TextPool &texts, std::string module,
                const BitsandbytesConfig &config, SourceTensor &stateTensor)
      : QuantizedModule(sources, texts, std::move(module)), config(config),
        stateTensor(stateTensor) {}

  Result<Tensor> read() {
    Tensor tensor;
    std::vector<float> nestedValues;
    if (!readState() || !findParts() || !checkParts() ||
        !readValues(*map, tensor.storedEncoding.values) ||
        (nestedMap && !readValues(*nestedMap, nestedValues)))
      return std::move(error);
    tensor.name = texts.keep(module + ".weight");
    tensor.dims = {state.in, state.out};
    bool isNF4 = state.type == "nf4";
    tensor.format = state.isNested
                        ? isNF4 ? &kNF4NestedFormat : &kFP4NestedFormat
                    : isNF4 ? &kNF4Format
                            : &kFP4Format;
    tensor.storedNumbers = {state.block};
    if (state.isNested) {
      tensor.storedNumbers.push_back(state.nestedBlock);
      tensor.storedNumbers.push_back(bitsFromFloat(state.offset));
    }
    Encoding &encoding = tensor.storedEncoding;
    encoding.bits = 4;
    encoding.group = unsigned(commonGroup(state.in, state.block));
    encoding.scale = ScalarType::F32;
    if (state.isNested)
      keepNesting(encoding, std::move(nestedValues));
    if (std::string problem = encoding.check(); !problem.empty())
      return Error(sources.what(*weight) + ": " + problem);
    takeParts(tensor,
              {weight, absmax, nestedAbsmax, nestedMap, map, &stateTensor});
    return tensor;
  }

private:
  bool readState() {
    const SafetensorsEntry &entry = stateTensor.entry;
    const std::string what = sources.what(stateTensor);
    if (!checkType(stateTensor, "U8"))
      return false;
    Checkpoint::File text{what, {sources.data(stateTensor), entry.bytes}, {}};
    Result<Json> json = parseJsonObject(text, kMaxStateBytes);
    if (!json) {
      error = json.takeError();
      return false;
    }
    JsonFields fields(*json, what);
    state.type = fields.text("quant_type", "");
    std::string named(entry.name.substr(module.size() + kStateInfix.size()));
    if (state.type != named)
      fields.fail("key 'quant_type': expected " + quoted(named) +
                  ", as the name has, got " + quoted(state.type));
    if (state.type != "nf4" && state.type != "fp4")
      fields.fail("quant_type " + quoted(state.type) +
                  " is not supported (supported: nf4, fp4)");
    if (!config.type.empty() && config.type != state.type)
      fields.fail("key 'quant_type': expected " + quoted(config.type) +
                  ", as the config has, got " + quoted(state.type));
    state.block = readBlock(fields, "blocksize");
    state.isNested = fields.has("nested_blocksize");
    if (state.isNested) {
      state.nestedBlock = readBlock(fields, "nested_blocksize");
      auto offset = json->find("nested_offset");
      if (offset == json->end() || !offset->is_number())
        fields.fail("key 'nested_offset': expected a number");
      else
        state.offset = float(offset->get<double>());
      if (!std::isfinite(state.offset))
        fields.fail("key 'nested_offset': expected a finite f32");
    }
    auto shape = json->find("shape");
    if (shape == json->end() || !shape->is_array() || shape->size() != 2 ||
        !isSize((*shape)[0]) || !isSize((*shape)[1]))
      fields.fail("key 'shape': expected two numbers of 1 to 2^28");
    if (fields.error) {
      error = std::move(fields.error);
      return false;
    }
    state.out = (*shape)[0].get<uint64_t>();
    state.in = (*shape)[1].get<uint64_t>();
    if (commonGroup(state.in, state.block) == 0)
      return fail(what +
                  ": expected in features that are a multiple of 4, "
                  "got " +
                  std::to_string(state.in));
    return true;
  }

  static bool isSize(const Json &number) {
    return number.is_number_unsigned() && number.get<uint64_t>() >= 1 &&
           number.get<uint64_t>() <= kMaxFeatures;
  }

  static uint64_t readBlock(JsonFields &fields, const char *key) {
    int64_t block = fields.integer(key, 0);
    if (block >= 32 && block <= 1 << 16 && std::has_single_bit(uint64_t(block)))
      return uint64_t(block);
    fields.fail("key " + quoted(key) +
                ": expected a power of two of 32 to 65536, got " +
                std::to_string(block));
    return 32;
  }

  bool findParts() {
    weight = need("weight", stateTensor);
    absmax = weight ? need("weight.absmax", *weight) : nullptr;
    map = absmax ? need("weight.quant_map", *weight) : nullptr;
    if (!map)
      return false;
    if (!state.isNested)
      return true;
    nestedAbsmax = need("weight.nested_absmax", *weight);
    nestedMap =
        nestedAbsmax ? need("weight.nested_quant_map", *weight) : nullptr;
    return nestedMap != nullptr;
  }

  bool checkParts() {
    uint64_t elements = state.out * state.in;
    if (weight->entry.bytes != elements / 2)
      return fail(*weight,
                  std::to_string(elements / 2) + " bytes, for shape " +
                      shapeText({state.out, state.in}),
                  std::to_string(weight->entry.bytes));
    uint64_t blocks = (elements + state.block - 1) / state.block;
    if (!checkType(*absmax, state.isNested ? "U8" : "F32") ||
        !checkShape(*absmax, {blocks}) || !checkType(*map, "F32") ||
        !checkShape(*map, {16}))
      return false;
    return !state.isNested ||
           (checkType(*nestedAbsmax, "F32") &&
            checkShape(*nestedAbsmax, {(blocks + state.nestedBlock - 1) /
                                       state.nestedBlock}) &&
            checkType(*nestedMap, "F32") && checkShape(*nestedMap, {256}));
  }

  /// Nested scales stay two levels where blocks end with rows, of several
  /// blocks. Where they change within rows, that is at a place of each row's
  /// own. The rows of a panel share them where they change once in it at most.
  void keepNesting(Encoding &encoding, std::vector<float> values) const {
    uint64_t shared = std::min(state.block * state.nestedBlock, kMaxSuperBlock);
    uint64_t superBlock = std::gcd(state.in, shared);
    encoding.commonScale =
        state.in <=
        state.block *
            std::min<uint64_t>(state.nestedBlock / PackedLayout::kRows, 256);
    encoding.splitScale =
        encoding.commonScale || superBlock < std::min(state.in, shared);
    if (encoding.splitScale)
      superBlock = std::min(
          state.in, state.block * std::min<uint64_t>(state.nestedBlock, 256));
    if (encoding.group != state.block || superBlock <= state.block) {
      encoding.commonScale = encoding.splitScale = false;
      return;
    }
    encoding.superBlock = unsigned(superBlock);
    encoding.subBits = 8;
    encoding.subValues = std::move(values);
    encoding.offset = ScalarType::F32;
  }

  bool readValues(const SourceTensor &from, std::vector<float> &values) {
    for (uint64_t i = 0; i < from.entry.shape[0]; ++i) {
      values.push_back(loadLE<float>(sources.data(from) + i * 4));
      if (!std::isfinite(values.back()))
        return fail(from, "finite values",
                    "one that is not, for code " + std::to_string(i));
    }
    return true;
  }

  const BitsandbytesConfig &config;
  SourceTensor &stateTensor;
  QuantState state;
  SourceTensor *weight = nullptr, *absmax = nullptr, *map = nullptr,
               *nestedAbsmax = nullptr, *nestedMap = nullptr;
};

/// Puts one weight of LLM.int8 together.
class EightBitReader : QuantizedModule {
public:
  EightBitReader(SourceTensors &sources, TextPool &texts, std::string module,
                 SourceTensor &scb)
      : QuantizedModule(sources, texts, std::move(module)), scb(scb) {}

  Result<Tensor> read() {
    weight = need("weight", scb);
    if (!weight || !checkParts())
      return std::move(error);
    Tensor tensor;
    tensor.name = texts.keep(module + ".weight");
    tensor.dims = {in, out};
    tensor.format = &kLLMInt8Format;
    Encoding &encoding = tensor.storedEncoding;
    encoding.bits = 8;
    encoding.zero = 128;
    encoding.group = unsigned(commonGroup(in, in));
    encoding.scale = ScalarType::F32;
    if (std::string problem = encoding.check(); !problem.empty())
      return Error(sources.what(*weight) + ": " + problem);
    takeParts(tensor, {weight, &scb, format});
    return tensor;
  }

private:
  bool checkParts() {
    const std::vector<uint64_t> &shape = weight->entry.shape;
    if (!checkType(*weight, "I8") || !checkMatrix(*weight))
      return false;
    if (shape[1] % 4)
      return fail(*weight, "columns that are a multiple of 4",
                  shapeText(shape));
    out = shape[0];
    in = shape[1];
    if (!checkType(scb, "F32") || !checkShape(scb, {out}))
      return false;
    format = find("weight_format");
    if (!format)
      return true;
    if (!checkType(*format, "U8") || !checkShape(*format, {}))
      return false;
    uint8_t order = *sources.data(*format);
    return order == 0 ||
           fail(*format, "0 (rows)",
                std::to_string(order) + ", an order for old GPUs");
  }

  SourceTensor &scb;
  SourceTensor *weight = nullptr, *format = nullptr;
  uint64_t in = 0, out = 0;
};

} // namespace

/// A weight of 4 or 8 bits that was not taken has lost what describes it.
static Error checkLeft(SourceTensors &sources) {
  for (const SourceTensor &tensor : sources.all()) {
    std::string_view type = tensor.entry.type->name;
    if (!tensor.isTaken && tensor.entry.name.ends_with(".weight") &&
        (type == "U8" || type == "I8"))
      return Error(sources.what(tensor) + " comes without " +
                   (type == "U8" ? "its quant_state" : "its scales (SCB)"));
  }
  return Error();
}

Error qcc::readBitsandbytes(const Json &config, const std::string &where,
                            SourceTensors &sources, TextPool &texts,
                            std::vector<Tensor> &out) {
  Result<BitsandbytesConfig> parameters = readConfig(config, where);
  if (!parameters)
    return parameters.takeError();
  auto add = [&](Result<Tensor> weight) {
    if (!weight)
      return weight.takeError();
    out.push_back(std::move(*weight));
    return Error();
  };
  for (SourceTensor &tensor : sources.all()) {
    const std::string &name = tensor.entry.name;
    size_t infix = name.find(kStateInfix);
    bool isState = infix != std::string::npos, isScale = name.ends_with(".SCB");
    if (!isState && !isScale)
      continue;
    if (isState ? !parameters->has4Bits : !parameters->has8Bits)
      return Error(where + ": expected " +
                   (isState ? "load_in_4bit" : "load_in_8bit") + ", for " +
                   sources.what(tensor));
    std::string module = name.substr(0, isState ? infix : name.size() - 4);
    Error why =
        isState ? add(FourBitReader(sources, texts, std::move(module),
                                    *parameters, tensor)
                          .read())
                : add(EightBitReader(sources, texts, std::move(module), tensor)
                          .read());
    if (why)
      return why;
  }
  return checkLeft(sources);
}
