//===- Config.cpp - Read and check a decoder's numbers --------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Config.h"

#include <algorithm>
#include <cmath>

using namespace qcc;

/// Limits that no known model comes near; they keep later arithmetic in range.
static constexpr uint32_t kMaxLayers = 4096, kMaxWidth = 1u << 20,
                          kMaxExperts = 1u << 16;

static Result<Architecture> findArchitecture(const Checkpoint &checkpoint,
                                             const ImportOptions &options) {
  Result<std::string> name = checkpoint.architecture();
  if (!name)
    return name.takeError();
  std::string supported, last;
  for (auto table : {options.extraArchitectures, architectures()})
    for (const Architecture &arch : table) {
      auto names = checkpoint.naming() == Naming::GGUF
                       ? std::vector<std::string>{arch.name}
                       : arch.modelTypes;
      for (const std::string &known : names) {
        if (known == *name)
          return arch;
        // Rows of one name follow each other.
        if (known != last)
          supported += (supported.empty() ? "" : ", ") + known;
        last = known;
      }
    }
  return checkpoint.configError("unsupported architecture " + quoted(*name) +
                                " (supported: " + supported + ")");
}

static WeightNames namesOf(const Architecture &arch,
                           const Checkpoint &checkpoint) {
  bool isOther = checkpoint.naming() == Naming::HuggingFace && arch.folderNames;
  WeightNames names =
      isOther ? *arch.folderNames : nameTable(checkpoint.naming()).weights;
  const size_t prefix = names.basePrefix.size();
  if (!checkpoint.findTensor(names.embedding) &&
      checkpoint.findTensor(names.embedding.substr(prefix)))
    for (std::string_view *name : {&names.embedding, &names.positions,
                                   &names.finalNorm, &names.layerPrefix})
      if (name->starts_with(names.basePrefix))
        name->remove_prefix(prefix);
  return names;
}

std::optional<WeightNames> qcc::weightNames(const Checkpoint &checkpoint,
                                            const ImportOptions &options) {
  Result<Architecture> arch = findArchitecture(checkpoint, options);
  if (!arch)
    return std::nullopt;
  return namesOf(*arch, checkpoint);
}

/// Which layers have the window.
static std::vector<bool>
slidingLayers(const Config &c, const ConfigNames &names, ConfigReader &reader) {
  if (reader.has(names.layerKinds)) {
    auto layers = reader.layerKinds(names.layerKinds, c.layers,
                                    {"full_attention", "sliding_attention"});
    bool hasSliding =
        std::find(layers.begin(), layers.end(), true) != layers.end();
    if (hasSliding && c.window == 0)
      reader.fail(names.layerKinds, "layers with a window, of which key " +
                                        quoted(reader.find(names.window)) +
                                        " says nothing");
    return layers;
  }
  if (c.window == 0)
    return std::vector<bool>(c.layers);
  if (reader.isArray(names.windowPattern))
    return reader.layerFlags(names.windowPattern, c.layers);
  uint32_t period = reader.countOr(names.windowPattern,
                                   c.arch.fullAttentionPeriod, kMaxLayers);
  // Sliding layers of this kind come last.
  uint32_t first = reader.countOrZero(names.firstWindow, kMaxLayers);
  std::vector<bool> layers;
  for (uint32_t i = 0; i < c.layers; ++i)
    layers.push_back(i >= first && (period == 0 || (i + 1) % period != 0));
  return layers;
}

/// Which layers have rope.
static std::vector<bool>
turningLayers(const Config &c, const ConfigNames &names, ConfigReader &reader) {
  if (c.arch.learnedPositions)
    return std::vector<bool>(c.layers);
  if (reader.has(names.ropeLayers))
    return reader.layerFlags(names.ropeLayers, c.layers);
  uint32_t period =
      reader.countOr(names.ropelessPeriod, c.arch.ropelessPeriod, kMaxLayers);
  std::vector<bool> layers;
  bool onlyWindows = c.arch.ropelessFull && c.window != 0;
  for (uint32_t i = 0; i < c.layers; ++i)
    layers.push_back((period == 0 || (i + 1) % period != 0) &&
                     (c.sliding[i] || !onlyWindows));
  return layers;
}

static bool hasRouter(const Checkpoint &checkpoint, const WeightNames &names,
                      uint32_t layer) {
  std::string prefix =
      std::string(names.layerPrefix) + std::to_string(layer) + ".";
  return std::any_of(names.router.begin(), names.router.end(),
                     [&](std::string_view name) {
                       return !name.empty() &&
                              checkpoint.findTensor(prefix + std::string(name));
                     });
}

/// The families that have something, for an error about one that has not.
template <typename Has>
static std::string notFor(const Architecture &arch, Has has) {
  std::string others, last;
  for (const Architecture &other : architectures())
    if (has(other) && other.name != last)
      others += (others.empty() ? "" : ", ") + (last = other.name);
  return "not supported for architecture " + quoted(arch.name) +
         " (supported: " + others + ")";
}

template <typename Has>
static void refuse(const KeyNames &names, const Architecture &arch,
                   ConfigReader &reader, Has has) {
  reader.fail(names, "is " + notFor(arch, has));
}

static void refuseFeatures(const ConfigNames &names, ConfigReader &reader) {
  for (std::string_view name : names.refused) {
    const KeyNames key = {name};
    if (name.empty() || !reader.has(key))
      continue;
    bool isFlag = reader.isFlag(key);
    if (isFlag ? reader.flag(key) : reader.realOrZero(key) != 0)
      reader.fail(key, std::string("is not supported (supported: ") +
                           (isFlag ? "false)" : "0)"));
  }
}

/// How a config says that experts are chosen and weighed.
static void readRouting(Config &c, Naming naming, const ConfigNames &names,
                        ConfigReader &reader) {
  c.normalizesRoutes =
      reader.flagOr(names.routesSumTo1, c.arch.normalizesRoutes);
  if (c.arch.hasUnclearRoutes && naming == Naming::HuggingFace &&
      c.normalizesRoutes)
    reader.fail(names.routesSumTo1, "is not supported for architecture " +
                                        quoted(c.arch.name) +
                                        " (supported: false)");
  // Files of a family that has both kinds say which they have.
  c.sigmoidRoutes = c.arch.sigmoidRoutes &&
                    (naming == Naming::HuggingFace || !c.arch.hasLatents);
  // Softmax over those used is softmax over all, then divided by the sum.
  uint32_t routing = reader.countOrZero(names.routing, ~0u);
  if (routing == 3)
    c.normalizesRoutes = true;
  else if (routing == 2 && (c.arch.hasLatents || c.arch.sigmoidRoutes))
    c.sigmoidRoutes = true;
  else if (routing == 1)
    c.sigmoidRoutes = false;
  else if (routing > 1)
    reader.fail(names.routing, "unsupported routing " +
                                   std::to_string(routing) +
                                   " (supported: 1, softmax; 3, softmax of the "
                                   "experts used)");
  std::string_view expected = c.sigmoidRoutes ? "sigmoid" : "softmax";
  std::string name = reader.text(names.routingName);
  if (!name.empty() && name != expected)
    reader.fail(names.routingName, "unsupported routing " + quoted(name) +
                                       " (supported: " + std::string(expected) +
                                       ")");
  float scale = reader.realOrZero(names.routeScale);
  c.routeScale = scale == 0 ? 1 : scale;

  std::string method = reader.text(names.routeMethod);
  std::string_view grouped =
      c.sigmoidRoutes ? "noaux_tc" : "group_limited_greedy";
  if (!method.empty() && method != "greedy" && method != grouped)
    reader.fail(names.routeMethod,
                "unsupported choice of experts " + quoted(method) +
                    " (supported: greedy, " + std::string(grouped) + ")");
  if (!(c.arch.hasLatents || c.arch.sigmoidRoutes) || method == "greedy")
    return;
  c.expertGroups = reader.countOr(names.expertGroups, 1, c.experts);
  c.groupsUsed = reader.countOr(names.groupsUsed, 1, c.expertGroups);
  if (reader.error)
    return;
  const uint32_t each = c.experts / c.expertGroups;
  if (c.experts % c.expertGroups || c.groupsUsed * each < c.expertsUsed ||
      (c.expertGroups > 1 && each < 2))
    reader.fail(names.expertGroups,
                "expected equal groups of two experts at least, of which those "
                "used have " +
                    std::to_string(c.expertsUsed) + ", got " +
                    std::to_string(c.groupsUsed) + " of " +
                    std::to_string(c.expertGroups) + " groups of " +
                    std::to_string(c.experts) + " experts");
}

/// What a config says of experts.
static void readExperts(Config &c, const Checkpoint &checkpoint,
                        const ConfigNames &names, ConfigReader &reader) {
  c.sparse.assign(c.layers, false);
  c.experts = reader.countOrZero(names.experts, kMaxExperts);
  if (c.experts == 0)
    return;
  if (!c.arch.hasExperts)
    return reader.fail(
        "mixture-of-experts models are " +
        notFor(c.arch, [](const auto &a) { return a.hasExperts; }));
  c.expertsUsed = reader.count(names.expertsUsed, c.experts);
  c.expertFfn = reader.countOr(names.expertFfn, c.ffn, kMaxWidth);
  c.sharedFfn = reader.countOrZero(names.sharedFfn, kMaxWidth);
  if (c.sharedFfn == 0)
    c.sharedFfn =
        c.expertFfn * reader.countOrZero(names.sharedCount, kMaxExperts / 256);
  if (c.sharedFfn > kMaxWidth)
    reader.fail(names.sharedCount, "expected at most " +
                                       std::to_string(kMaxWidth) +
                                       " elements of shared experts, got " +
                                       std::to_string(c.sharedFfn));
  if (reader.error)
    return;
  readRouting(c, checkpoint.naming(), names, reader);
  uint32_t period = reader.countOr(names.expertPeriod, 1, kMaxLayers);
  std::vector<bool> dense(c.layers);
  if (reader.has(names.denseLayers))
    dense = reader.layerSet(names.denseLayers, c.layers);
  // Files that do not say which layers have experts have a router in those.
  bool isSaid = !names.expertPeriod[0].empty();
  uint32_t first = reader.countOrZero(names.firstSparse, kMaxLayers);
  for (uint32_t i = 0; i < c.layers; ++i)
    c.sparse[i] = isSaid ? i >= first && !dense[i] && (i + 1) % period == 0
                         : hasRouter(checkpoint, c.names, i);
  auto expect = [&](const KeyNames &key, float value) {
    if (reader.has(key) && reader.real(key) != value)
      reader.fail(key, "only " + std::to_string(value) + " is supported");
  };
  expect(names.sparsePeriod, 1);
  expect(names.gluLimit, 7);
  expect(names.gluAlpha, 1.702f);
}

/// The sizes of attention to latents, and what they make of those of heads.
static void readLatents(Config &c, Naming naming, const ConfigNames &names,
                        ConfigReader &reader) {
  Latents &l = c.latents;
  l.rank = reader.count(names.latentRank, kMaxWidth);
  l.queryRank = reader.countOrZero(names.queryRank, kMaxWidth);
  l.turned = reader.count(names.turnedDim, kMaxWidth);
  if (names.plainDim[0].empty()) {
    uint32_t both = reader.count(names.bothDim, kMaxWidth);
    if (both <= l.turned)
      reader.fail(names.bothDim, "expected more than the " +
                                     std::to_string(l.turned) +
                                     " elements that turn");
    l.plain = both - l.turned;
  } else {
    l.plain = reader.count(names.plainDim, kMaxWidth);
  }
  l.value = reader.count(names.latentValueDim, kMaxWidth);
  // The classes in transformers do not ask the config.
  l.eps = naming == Naming::HuggingFace ? 1e-6f : c.eps;
  c.kvHeads = 1;
  c.headDim = l.rank + l.turned;
  c.rotaryDim = l.turned;
}

static float scaleOfScores(const Config &c, const ConfigNames &names,
                           ConfigReader &reader) {
  if (c.latents.rank)
    return c.rope.scoreScale / std::sqrt(float(c.latents.query()));
  if (!reader.flagOr(names.scaledScores, true))
    return 1;
  if (reader.has(names.attentionScale))
    return reader.real(names.attentionScale);
  uint32_t size = c.headDim;
  // The files do not say it of their largest size.
  if (c.arch.hiddenScaleLayers == c.layers && names.queryScalar[0].empty())
    size = c.hidden / c.heads;
  return 1.0f / std::sqrt(reader.realOr(names.queryScalar, float(size)));
}

/// A cap, which is the family's without the key; 0 where it has none.
static float readCap(float Architecture::*usual, const KeyNames &names,
                     const Architecture &arch, ConfigReader &reader) {
  if (!reader.has(names))
    return reader.isNull(names) ? 0 : arch.*usual;
  float cap = reader.realOrZero(names);
  if (cap != 0 && arch.*usual == 0)
    refuse(names, arch, reader, [&](const auto &a) { return a.*usual != 0; });
  return cap;
}

/// Factors of the embedding, of residual sums and of logits.
static void readMultipliers(Config &c, const ConfigNames &names,
                            ConfigReader &reader) {
  c.embeddingScale = c.arch.scaledEmbedding ? std::sqrt(float(c.hidden)) : 1.0f;
  for (const KeyNames *key :
       {&names.embeddingScale, &names.residualScale, &names.logitDivisor})
    if (!c.arch.multipliers && reader.has(*key) &&
        !(c.arch.logitFactor && key == &names.logitDivisor))
      refuse(*key, c.arch, reader, [](const auto &a) { return a.multipliers; });
  if (c.arch.logitFactor)
    c.logitScale = reader.realOr(names.logitFactor, c.arch.logitFactor);
  else if (!c.arch.multipliers && reader.has(names.logitFactor))
    refuse(names.logitFactor, c.arch, reader,
           [](const auto &a) { return a.logitFactor != 0; });
  if (!c.arch.multipliers)
    return;
  c.embeddingScale = reader.realOr(names.embeddingScale, 1);
  c.residualScale = reader.realOr(names.residualScale, 1);
  c.logitScale = 1 / reader.realOr(names.logitDivisor, 1);
  // Rows of the residual are kept divided by the scale of what is added.
  float eps = c.eps / (c.residualScale * c.residualScale);
  if (!(eps > 0) || !std::isfinite(eps) || !std::isfinite(c.logitScale) ||
      !std::isfinite(c.embeddingScale / c.residualScale))
    reader.fail(names.residualScale, "expected a number nearer to 1");
}

static llm::Activation activationOf(const Architecture &arch,
                                    const ConfigNames &names,
                                    ConfigReader &reader) {
  static constexpr std::pair<std::string_view, llm::Activation> known[] = {
      {"silu", llm::Activation::Silu},
      {"swish", llm::Activation::Silu},
      {"gelu_pytorch_tanh", llm::Activation::GeluTanh},
      {"gelu_new", llm::Activation::GeluTanh},
      {"gelu_fast", llm::Activation::GeluTanh},
      {"gelu", llm::Activation::GeluErf},
      {"relu", llm::Activation::Relu}};
  std::string name = reader.text(names.activation);
  if (name.empty() || name == arch.activationName)
    return arch.activation;
  std::string supported;
  for (const auto &[other, activation] : known) {
    if (name == other)
      return activation;
    supported += (supported.empty() ? "" : ", ") + std::string(other);
  }
  reader.fail("unsupported activation " + quoted(name) +
              " (supported: " + supported + ")");
  return arch.activation;
}

/// Which norms heads have.
static void readHeadNorms(Config &c, const Checkpoint &checkpoint,
                          const ConfigNames &names, ConfigReader &reader) {
  auto mayHave = [](const Architecture &arch) {
    return arch.headLayerNorm || arch.mayLackHeadNorm;
  };
  std::string tensor =
      std::string(c.names.layerPrefix) + "0." + std::string(c.names.queryNorm);
  bool has = reader.flagOr(names.headLayerNorm,
                           mayHave(c.arch) && checkpoint.findTensor(tensor));
  if (has && !mayHave(c.arch))
    refuse(names.headLayerNorm, c.arch, reader, mayHave);
  c.hasHeadLayerNorm = has && c.arch.headLayerNorm;
  c.hasHeadNorm = c.arch.headNorm && (has || !c.arch.mayLackHeadNorm);
}

Result<Config> Config::read(const Checkpoint &checkpoint,
                            const ImportOptions &options) {
  Result<Architecture> arch = findArchitecture(checkpoint, options);
  if (!arch)
    return arch.takeError();
  Config c;
  c.arch = *arch;
  c.names = namesOf(c.arch, checkpoint);
  const ConfigNames &names = nameTable(checkpoint.naming()).config;
  ConfigReader reader(checkpoint, c.arch);
  c.layers = reader.count(names.layers, kMaxLayers);
  c.hidden = reader.count(names.hidden, kMaxWidth);
  c.ffn = c.arch.ffnPerHidden && !reader.has(names.ffn)
              ? c.arch.ffnPerHidden * c.hidden
              : reader.count(names.ffn, kMaxWidth);
  c.heads = reader.count(names.heads, kMaxWidth);
  c.kvHeads = reader.countOr(names.kvHeads, c.heads, kMaxWidth);
  c.spareLayers = reader.countOrZero(names.spareLayers, kMaxLayers);
  // GGUF counts them, too.
  if (checkpoint.naming() == Naming::GGUF) {
    if (c.spareLayers >= c.layers)
      reader.fail(names.spareLayers, "expected less than the " +
                                         std::to_string(c.layers) + " layers");
    else
      c.layers -= c.spareLayers;
  }
  bool isGrouped = reader.flagOr(names.groupedQuery, false);
  if (reader.has(names.multiQuery) && !isGrouped)
    c.kvHeads = reader.flag(names.multiQuery) ? 1 : c.heads;
  c.qkvGroups = c.arch.groupedQKV && checkpoint.naming() == Naming::HuggingFace
                    ? c.kvHeads
                    : 1;
  c.isParallel = isGrouped || reader.flagOr(names.parallel, c.arch.isParallel);
  c.eps = reader.real(c.arch.layerNorm ? names.layerNormEps : names.normEps);
  uint32_t trained = reader.count(names.context, kMaxContext);
  c.context = options.context ? options.context : trained;
  c.vocab = reader.countOr(names.vocab, 0, 1u << 31);
  if (reader.has(names.tiedHead))
    c.isHeadTied = reader.flag(names.tiedHead);
  else if (!names.tiedHead[0].empty())
    c.isHeadTied = false;
  if (reader.error)
    return std::move(reader.error);

  if (c.hidden < c.heads)
    reader.fail("expected at most " + std::to_string(c.hidden) +
                " heads, got " + std::to_string(c.heads));
  c.headDim = reader.countOr(names.headDim, c.hidden / c.heads, kMaxWidth);
  uint32_t valueDim = reader.countOr(names.valueDim, c.headDim, kMaxWidth);
  c.rotaryDim = reader.countOr(names.rotaryDim, c.headDim, kMaxWidth);
  float share = reader.realOr(names.rotaryShare, 1);
  if (share > 1)
    reader.fail("key " + quoted(reader.find(names.rotaryShare)) +
                ": expected at most 1");
  else
    c.rotaryDim = uint32_t(float(c.rotaryDim) * share);
  if (c.arch.learnedPositions)
    c.rotaryDim = 0;
  if (c.arch.hasLatents)
    readLatents(c, checkpoint.naming(), names, reader);
  c.isRopeAdjacent =
      c.arch.adjacentRope &&
      (checkpoint.naming() == Naming::GGUF ||
       (c.arch.adjacentFolderRope && reader.flagOr(names.ropeAdjacent, true)));
  const RopeSizes sizes{c.rotaryDim, trained, c.context};
  c.rope = readRope(c.arch, names, sizes, reader);
  c.isLongContext = qcc::isLongContext(names, sizes, reader);
  c.slidingRope = readSlidingRope(c.arch, names, c.rope, reader);
  for (const Rope &rope : {c.rope, c.slidingRope})
    if (auto problem = rope.problem(c.rotaryDim))
      reader.fail(*problem);
  c.window = reader.flagOr(names.windowUsed, true)
                 ? reader.countOrZero(names.window, kMaxContext)
                 : 0;
  c.sliding = slidingLayers(c, names, reader);
  c.turning = turningLayers(c, names, reader);
  if (c.arch.hasLatents &&
      std::ranges::find(c.turning, false) != c.turning.end())
    reader.fail(reader.has(names.ropeLayers) ? names.ropeLayers
                                             : names.ropelessPeriod,
                "layers without rope are " + notFor(c.arch, [](const auto &a) {
                  return !a.hasLatents && !a.learnedPositions;
                }));
  c.attentionScale = scaleOfScores(c, names, reader);
  if (!std::isfinite(c.attentionScale))
    reader.fail("expected a finite factor of scores");
  c.scoreCap = readCap(&Architecture::scoreCap, names.scoreCap, c.arch, reader);
  c.logitCap = readCap(&Architecture::logitCap, names.logitCap, c.arch, reader);
  readMultipliers(c, names, reader);
  if (reader.has(names.acausal) && reader.flag(names.acausal))
    reader.fail(names.acausal, "attention to later positions is not supported "
                               "(supported: false)");
  readHeadNorms(c, checkpoint, names, reader);
  refuseFeatures(names, reader);
  // Where a family has those of projections, it does not ask the config.
  bool hasBias =
      !c.arch.projectionBias && reader.flagOr(names.attentionBias, false);
  c.hasProjectionBias = c.arch.projectionBias ||
                        (hasBias && c.arch.projectionBiasOnly) ||
                        reader.flagOr(names.projectionBias, false);
  c.hasAttentionBias = hasBias && !c.arch.projectionBiasOnly;
  c.hasFfnBias = reader.flagOr(names.ffnBias, false);
  c.activation = activationOf(c.arch, names, reader);
  readExperts(c, checkpoint, names, reader);
  if (reader.error)
    return std::move(reader.error);

  if (c.context > kMaxContext)
    reader.fail("context of " + std::to_string(c.context) +
                " positions is more than " + std::to_string(kMaxContext));
  if (c.heads % c.kvHeads)
    reader.fail("expected head_count to be a multiple of head_count_kv, got " +
                std::to_string(c.heads) + " and " + std::to_string(c.kvHeads));
  if (valueDim != c.headDim && !c.arch.hasLatents)
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

  if (c.rotaryDim == 0 && !c.arch.learnedPositions)
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
