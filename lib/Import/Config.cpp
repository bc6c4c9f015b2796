//===- Config.cpp - Read and check a decoder's numbers --------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Config.h"

#include <algorithm>
#include <cmath>

using namespace qcc;

/// Limits that no known model comes near; they keep later arithmetic in range.
static constexpr uint32_t kMaxLayers = 4096, kMaxWidth = 1u << 20,
                          kMaxContext = 1u << 24;

static Result<Architecture> findArchitecture(const Checkpoint &checkpoint,
                                             const ImportOptions &options) {
  Result<std::string> name = checkpoint.architecture();
  if (!name)
    return name.takeError();
  std::string supported;
  for (auto table : {options.extraArchitectures, architectures()})
    for (const Architecture &arch : table) {
      auto names = checkpoint.naming() == Naming::GGUF
                       ? std::vector<std::string>{arch.name}
                       : arch.modelTypes;
      for (const std::string &known : names) {
        if (known == *name)
          return arch;
        supported += (supported.empty() ? "" : ", ") + known;
      }
    }
  return checkpoint.configError("unsupported architecture " + quoted(*name) +
                                " (supported: " + supported + ")");
}

namespace {
/// Reads keys of one checkpoint and remembers the first error.
class Reader {
public:
  Reader(const Checkpoint &checkpoint, std::string prefix)
      : checkpoint(checkpoint), prefix(std::move(prefix)) {}

  /// The key of `names` that is there; else the first one, or "".
  std::string find(const KeyNames &names) const {
    for (std::string_view name : names)
      if (!name.empty() && checkpoint.has(prefix + std::string(name)))
        return prefix + std::string(name);
    return names[0].empty() ? "" : prefix + std::string(names[0]);
  }
  bool has(const KeyNames &names) const { return checkpoint.has(find(names)); }

  uint32_t count(const KeyNames &names, uint32_t limit) {
    std::string key = find(names);
    return check(key, take(checkpoint.get<uint32_t>(key)), limit);
  }
  uint32_t countOr(const KeyNames &names, uint32_t fallback, uint32_t limit) {
    return has(names) ? count(names, limit) : fallback;
  }
  float real(const KeyNames &names) {
    std::string key = find(names);
    float value = take(checkpoint.get<float>(key));
    if (!(value > 0) || !std::isfinite(value))
      fail("key " + quoted(key) + ": expected a positive number");
    return value;
  }
  float realOr(const KeyNames &names, float fallback) {
    return has(names) ? real(names) : fallback;
  }
  /// A count that may be 0.
  uint32_t countFromZero(const KeyNames &names, uint32_t fallback) {
    return take(checkpoint.getOr<uint32_t>(find(names), fallback));
  }
  std::string text(const KeyNames &names) {
    return take(checkpoint.getOr<std::string>(find(names), ""));
  }
  bool flag(const KeyNames &names) {
    return take(checkpoint.get<bool>(find(names)));
  }
  bool flagOr(const KeyNames &names, bool fallback) {
    return has(names) ? flag(names) : fallback;
  }
  StringArray texts(const KeyNames &names) {
    return take(checkpoint.get<StringArray>(find(names)));
  }
  void fail(const std::string &message) {
    if (!error)
      error = checkpoint.configError(message);
  }

  Error error;

private:
  template <typename T>
  T take(Result<T> result) {
    if (result)
      return *result;
    Error taken = result.takeError();
    if (!error)
      error = std::move(taken);
    return T();
  }
  uint32_t check(const std::string &key, uint32_t value, uint32_t limit) {
    if (value == 0 || value > limit)
      fail("key " + quoted(key) + ": expected 1 to " + std::to_string(limit) +
           ", got " + std::to_string(value));
    return value;
  }

  const Checkpoint &checkpoint;
  std::string prefix;
};
} // namespace

/// Divisors of Llama 3.1: long waves are slowed by `factor`, short ones stay,
/// those between are interpolated.
static std::vector<float>
llama3Divisors(const Config &c, const ConfigNames &names, Reader &reader) {
  double factor = reader.real(names.ropeFactor);
  double low = reader.real(names.ropeLowFactor);
  double high = reader.real(names.ropeHighFactor);
  double context = reader.count(names.ropeTrainedContext, kMaxContext);
  if (!(high > low))
    reader.fail("key " + quoted(reader.find(names.ropeHighFactor)) +
                ": expected more than low_freq_factor");
  std::vector<float> divisors;
  for (uint32_t i = 0; i < c.rotaryDim / 2; ++i) {
    double wave =
        2 * M_PI * std::pow(double(c.ropeBase), 2.0 * i / c.rotaryDim);
    double smooth = (context / wave - low) / (high - low);
    smooth = std::clamp(smooth, 0.0, 1.0);
    divisors.push_back(float(1 / ((1 - smooth) / factor + smooth)));
  }
  return divisors;
}

static void readRopeScaling(Config &c, const ConfigNames &names,
                            Reader &reader) {
  c.ropeDivisor = 1;
  std::string scaling = reader.text(names.ropeScaling);
  if (scaling == "linear")
    c.ropeDivisor = reader.real(names.ropeFactor);
  else if (scaling == "llama3" && !names.ropeLowFactor[0].empty())
    c.ropeDivisors = llama3Divisors(c, names, reader);
  else if (!scaling.empty() && scaling != "none" && scaling != "default")
    reader.fail("unsupported rope scaling " + quoted(scaling) +
                " (supported: none, linear" +
                (names.ropeLowFactor[0].empty() ? ")" : ", llama3)"));
}

/// The first layer with the window when the file does not say it: that of
/// Qwen2Config.
static constexpr uint32_t kFirstWindow = 28;

/// Reads which layers have the window, and how long it is.
static void readWindow(Config &c, const ConfigNames &names, Reader &reader) {
  bool isUsed = reader.flagOr(names.windowUsed, !c.arch.optionalWindow);
  c.window = isUsed ? reader.countOr(names.window, 0, kMaxContext) : 0;
  c.sliding.assign(c.layers, false);
  if (!reader.has(names.layerKinds)) {
    uint32_t first = c.arch.optionalWindow
                         ? reader.countFromZero(names.firstWindow, kFirstWindow)
                         : 0;
    uint32_t period = c.arch.fullAttentionPeriod;
    for (uint32_t i = first; c.window && i < c.layers; ++i)
      c.sliding[i] = period == 0 || (i + 1) % period != 0;
    return;
  }
  StringArray kinds = reader.texts(names.layerKinds);
  if (reader.error)
    return;
  auto fail = [&](const std::string &message) {
    reader.fail("key " + quoted(reader.find(names.layerKinds)) + ": expected " +
                message);
  };
  if (kinds.size() != c.layers)
    return fail(std::to_string(c.layers) + " elements, got " +
                std::to_string(kinds.size()));
  for (uint32_t i = 0; i < c.layers; ++i) {
    c.sliding[i] = kinds[i] == "sliding_attention";
    if (!c.sliding[i] && kinds[i] != "full_attention")
      return fail("full_attention or sliding_attention, got " +
                  quoted(kinds[i]));
    if (c.sliding[i] && c.window == 0)
      return fail("full_attention throughout without a window, got " +
                  quoted(kinds[i]));
  }
}

/// Whether the config's name of an activation is the architecture's.
static bool isActivation(llm::Activation activation, std::string_view name) {
  switch (activation) {
  case llm::Activation::Silu:
    return name == "silu" || name == "swish";
  case llm::Activation::GeluTanh:
    return name == "gelu_pytorch_tanh" || name == "gelu_new";
  default:
    return false;
  }
}

Result<Config> Config::read(const Checkpoint &checkpoint,
                            const ImportOptions &options) {
  Result<Architecture> arch = findArchitecture(checkpoint, options);
  if (!arch)
    return arch.takeError();
  Config c;
  c.arch = *arch;
  c.names = &nameTable(checkpoint.naming());
  const ConfigNames &names = c.names->config;
  Reader reader(checkpoint, names.hasPrefix ? c.arch.name + "." : "");
  c.layers = reader.count(names.layers, kMaxLayers);
  c.hidden = reader.count(names.hidden, kMaxWidth);
  c.ffn = reader.count(names.ffn, kMaxWidth);
  c.heads = reader.count(names.heads, kMaxWidth);
  c.kvHeads = reader.countOr(names.kvHeads, c.heads, kMaxWidth);
  c.eps = reader.real(names.normEps);
  uint32_t trained = reader.count(names.context, kMaxContext);
  c.context = options.context ? options.context : trained;
  c.vocab = reader.countOr(names.vocab, 0, 1u << 31);
  if (reader.has(names.tiedHead))
    c.isHeadTied = reader.flag(names.tiedHead);
  else if (!names.tiedHead[0].empty())
    c.isHeadTied = false;
  if (reader.error)
    return std::move(reader.error);

  c.headDim = reader.countOr(names.headDim, c.hidden / c.heads, kMaxWidth);
  uint32_t valueDim = reader.countOr(names.valueDim, c.headDim, kMaxWidth);
  c.rotaryDim = reader.countOr(names.rotaryDim, c.headDim, kMaxWidth);
  float share = reader.realOr(names.rotaryShare, 1);
  if (share > 1)
    reader.fail("key " + quoted(reader.find(names.rotaryShare)) +
                ": expected at most 1");
  else
    c.rotaryDim = uint32_t(float(c.rotaryDim) * share);
  c.ropeBase = reader.realOr(names.ropeBase, 10000.0f);
  c.slidingRopeBase = reader.realOr(
      names.slidingRopeBase,
      c.arch.slidingRopeBase > 0 ? c.arch.slidingRopeBase : c.ropeBase);
  c.isRopeAdjacent = c.arch.adjacentRope && checkpoint.naming() == Naming::GGUF;
  readWindow(c, names, reader);
  // Where a family has those of projections, it does not ask the config.
  c.hasAttentionBias =
      !c.arch.projectionBias && reader.flagOr(names.attentionBias, false);
  c.hasFfnBias = reader.flagOr(names.ffnBias, false);
  readRopeScaling(c, names, reader);
  std::string activation = reader.text(names.activation);
  if (!activation.empty() && !isActivation(c.arch.activation, activation))
    reader.fail("activation " + quoted(activation) +
                " is not supported for architecture " + quoted(c.arch.name));
  std::string experts = reader.find(names.experts);
  if (checkpoint.has(experts)) {
    Result<uint32_t> count = checkpoint.get<uint32_t>(experts);
    if (!count || *count != 0)
      reader.fail(
          "mixture-of-experts models are not supported for architecture " +
          quoted(c.arch.name));
  }
  if (reader.error)
    return std::move(reader.error);

  if (c.context > kMaxContext)
    reader.fail("context of " + std::to_string(c.context) +
                " positions is more than " + std::to_string(kMaxContext));
  if (c.heads % c.kvHeads)
    reader.fail("expected head_count to be a multiple of head_count_kv, got " +
                std::to_string(c.heads) + " and " + std::to_string(c.kvHeads));
  if (valueDim != c.headDim)
    reader.fail("expected value_length to equal key_length, got " +
                std::to_string(valueDim) + " and " + std::to_string(c.headDim));
  if (c.rotaryDim % 2 || c.rotaryDim > c.headDim)
    reader.fail("expected an even rope.dimension_count of at most " +
                std::to_string(c.headDim) + ", got " +
                std::to_string(c.rotaryDim));
  if (uint64_t(c.heads) * c.headDim > kMaxWidth)
    reader.fail("expected at most " + std::to_string(kMaxWidth) +
                " query elements, got " +
                std::to_string(uint64_t(c.heads) * c.headDim));
  if (reader.error)
    return std::move(reader.error);

  if (c.rotaryDim == 0)
    reader.fail("expected rope to turn some elements of a head");
  if (reader.error)
    return std::move(reader.error);

  Result<std::string> name =
      checkpoint.getOr<std::string>("general.name", std::string(c.arch.name));
  if (!name)
    return name.takeError();
  c.name = *name;
  return c;
}
