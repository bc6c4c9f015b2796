//===- Config.cpp - Read and check a decoder's numbers --------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Config.h"

#include <cmath>

using namespace qcc;

/// Limits that no known model comes near; they keep later arithmetic in range.
static constexpr uint32_t kMaxLayers = 4096, kMaxWidth = 1u << 20,
                          kMaxContext = 1u << 24;

static Result<Architecture> findArchitecture(const Checkpoint &checkpoint,
                                             const ImportOptions &options) {
  Result<std::string> name =
      checkpoint.get<std::string>("general.architecture");
  if (!name)
    return name.takeError();
  std::string supported;
  for (auto table : {options.extraArchitectures, architectures()})
    for (const Architecture &arch : table) {
      if (arch.name == *name)
        return arch;
      supported += (supported.empty() ? "" : ", ") + arch.name;
    }
  return checkpoint.error("unsupported architecture " + quoted(*name) +
                          " (supported: " + supported + ")");
}

namespace {
/// Reads keys of one checkpoint and remembers the first error.
class Reader {
public:
  Reader(const Checkpoint &checkpoint, std::string prefix)
      : checkpoint(checkpoint), prefix(std::move(prefix)) {}

  uint32_t count(const std::string &key, uint32_t limit) {
    return check(key, take(checkpoint.get<uint32_t>(prefix + key)), limit);
  }
  uint32_t countOr(const std::string &key, uint32_t fallback, uint32_t limit) {
    return check(key, take(checkpoint.getOr<uint32_t>(prefix + key, fallback)),
                 limit);
  }
  float realOr(const std::string &key, float fallback) {
    return positive(key, take(checkpoint.getOr<float>(prefix + key, fallback)));
  }
  float real(const std::string &key) {
    return positive(key, take(checkpoint.get<float>(prefix + key)));
  }
  std::string text(const std::string &key) {
    return take(checkpoint.getOr<std::string>(prefix + key, ""));
  }
  bool has(const std::string &key) { return checkpoint.has(prefix + key); }
  void fail(std::string message) {
    if (!error)
      error = checkpoint.error(message);
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
      fail("key " + quoted(prefix + key) + ": expected 1 to " +
           std::to_string(limit) + ", got " + std::to_string(value));
    return value;
  }
  float positive(const std::string &key, float value) {
    if (!(value > 0) || !std::isfinite(value))
      fail("key " + quoted(prefix + key) + ": expected a positive number");
    return value;
  }

  const Checkpoint &checkpoint;
  std::string prefix;
};
} // namespace

Result<Config> Config::read(const Checkpoint &checkpoint,
                            const ImportOptions &options) {
  Result<Architecture> arch = findArchitecture(checkpoint, options);
  if (!arch)
    return arch.takeError();
  Config c;
  c.arch = *arch;
  Reader reader(checkpoint, c.arch.name + ".");
  c.layers = reader.count("block_count", kMaxLayers);
  c.hidden = reader.count("embedding_length", kMaxWidth);
  c.ffn = reader.count("feed_forward_length", kMaxWidth);
  c.heads = reader.count("attention.head_count", kMaxWidth);
  c.kvHeads = reader.countOr("attention.head_count_kv", c.heads, kMaxWidth);
  c.eps = reader.real("attention.layer_norm_rms_epsilon");
  uint32_t trained = reader.count("context_length", kMaxContext);
  c.context = options.context ? options.context : trained;
  if (reader.error)
    return std::move(reader.error);

  c.headDim =
      reader.countOr("attention.key_length", c.hidden / c.heads, kMaxWidth);
  uint32_t valueDim =
      reader.countOr("attention.value_length", c.headDim, kMaxWidth);
  c.rotaryDim = reader.countOr("rope.dimension_count", c.headDim, kMaxWidth);
  c.ropeBase = reader.realOr("rope.freq_base", 10000.0f);
  c.slidingRopeBase = reader.realOr(
      "rope.freq_base_swa",
      c.arch.slidingRopeBase > 0 ? c.arch.slidingRopeBase : c.ropeBase);
  c.window = reader.has("attention.sliding_window")
                 ? reader.count("attention.sliding_window", kMaxContext)
                 : 0;
  c.ropeDivisor = 1;
  std::string scaling = reader.text("rope.scaling.type");
  if (scaling == "linear")
    c.ropeDivisor = reader.real("rope.scaling.factor");
  else if (!scaling.empty() && scaling != "none")
    reader.fail("unsupported rope scaling " + quoted(scaling) +
                " (supported: none, linear)");
  if (reader.has("expert_count") && reader.countOr("expert_count", 1, 1u << 16))
    reader.fail(
        "mixture-of-experts models are not supported for architecture " +
        quoted(c.arch.name));
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

  Result<std::string> name =
      checkpoint.getOr<std::string>("general.name", std::string(c.arch.name));
  if (!name)
    return name.takeError();
  c.name = *name;
  return c;
}
