//===- Import.cpp - Build the plain meaning of a decoder ------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// One graph builder for every architecture: Config holds the numbers, the
// architecture's row says which parts are there.
//===----------------------------------------------------------------------===//

#include "qcc/Import/Import.h"

#include "Config.h"
#include "WeightSet.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <cmath>

using namespace mlir;
using namespace qcc;

namespace {
class GraphBuilder {
  using Value = mlir::Value; // Not the metadata's.

public:
  GraphBuilder(ModuleOp module, const Checkpoint &checkpoint,
               const Config &config)
      : config(config), names(config.names), weights(module, checkpoint, names),
        module(module), builder(module.getBodyRegion()), loc(module.getLoc()) {}

  Error build() {
    declareModel();
    weights.ignoreLayers(config.layers, config.spareLayers);
    for (uint32_t layer = 0; layer < config.layers && !weights.error; ++layer)
      buildLayer(layer);
    if (!weights.error)
      buildStep();
    if (!weights.error)
      weights.checkAllUsed();
    return std::move(weights.error);
  }

private:
  RankedTensorType rows(int64_t columns) {
    return RankedTensorType::get({ShapedType::kDynamic, columns},
                                 builder.getF32Type());
  }
  Type batchType() { return llm::BatchType::get(builder.getContext()); }
  FloatAttr f32(float value) { return builder.getF32FloatAttr(value); }

  Value matrix(const WeightSource &source, int64_t out, int64_t in) {
    return weights.dequantized(builder, source, {out, in});
  }
  Value norm(Value x, std::string_view name, int64_t size, float eps) {
    Value w = weights.dequantized(builder, {std::string(name)}, {size});
    if (config.arch.layerNorm) {
      Value bias;
      if (!config.arch.unbiasedNorm)
        bias = weights.bias(builder, {std::string(name)}, size,
                            /*isRequired=*/true);
      return llm::LayerNormOp::create(builder, loc, x.getType(), x, w, bias,
                                      f32(eps));
    }
    return llm::RMSNormOp::create(builder, loc, x.getType(), x, w, f32(eps));
  }
  Value norm(Value x, std::string_view name, int64_t size) {
    return norm(x, name, size, config.eps);
  }
  /// The norm of rows that are queries or keys.
  Value projectionNorm(Value x, std::string_view name) {
    if (config.hasHeadLayerNorm) {
      int64_t size = config.headDim;
      int64_t heads = cast<RankedTensorType>(x.getType()).getDimSize(1) / size;
      Value w =
          weights.dequantized(builder, {std::string(name)}, {heads, size});
      return llm::LayerNormOp::create(builder, loc, x.getType(), x, w,
                                      /*bias=*/Value(), f32(config.eps));
    }
    if (config.hasHeadNorm)
      return norm(x, name, config.headDim);
    if (config.arch.projectionNorm)
      return norm(x, name, cast<RankedTensorType>(x.getType()).getDimSize(1));
    return x;
  }
  /// What a part of a layer gets of the residual.
  Value input(Value residual, std::string_view name) {
    return config.arch.preNorm ? residualNorm(residual, name) : residual;
  }
  /// The norm of rows of the residual. These are kept divided by the scale of
  /// what is added to them, which a norm does not see, but for its eps.
  Value residualNorm(Value x, std::string_view name) {
    float scale = config.residualScale;
    return norm(x, name, config.hidden, config.eps / (scale * scale));
  }
  Value linear(Value x, const WeightSource &source, int64_t out,
               Value bias = Value()) {
    int64_t in = cast<RankedTensorType>(x.getType()).getDimSize(1);
    if (Value order = weights.orderOf(builder, source, in))
      x = qz::PermuteOp::create(builder, loc, x.getType(), x, order);
    return llm::LinearOp::create(builder, loc, rows(out), x,
                                 matrix(source, out, in), bias);
  }
  /// A linear layer of a decoder layer, with the bias that the file has for it.
  Value biasedLinear(Value x, const WeightSource &source, int64_t out,
                     bool needsBias) {
    return linear(x, source, out,
                  weights.bias(builder, source, out, needsBias));
  }
  Value add(Value a, Value b) {
    return llm::AddOp::create(builder, loc, a.getType(), a, b);
  }

  /// The name of a layer's tensor.
  std::string layerName(uint32_t layer, std::string_view name) {
    return std::string(names.layerPrefix) + std::to_string(layer) + "." +
           std::string(name);
  }

  /// Weights of a layer that read the same rows, with so many rows each: each
  /// in a tensor of its name, or, where the first has none, all of them in that
  /// order in the tensor `fused`, of which each of `groups` has a share.
  SmallVector<WeightSource, 3>
  sources(uint32_t layer, std::string_view fused,
          ArrayRef<std::pair<std::string_view, int64_t>> parts,
          int64_t groups = 1) {
    std::string all;
    if (!fused.empty() && !weights.find(layerName(layer, parts.front().first)))
      all = layerName(layer, fused);
    bool isFused = !all.empty() && weights.find(all);
    auto isThere = [&](const auto &part) {
      return weights.find(layerName(layer, part.first)) != nullptr;
    };
    if (!all.empty() && !isFused && llvm::none_of(parts, isThere))
      weights.missing({all, layerName(layer, parts.front().first)});
    SmallVector<WeightSource, 3> result;
    int64_t total = 0, first = 0;
    for (auto [name, size] : parts)
      total += size;
    for (auto [name, size] : parts) {
      result.push_back({layerName(layer, name)});
      if (isFused)
        result.back() = {layerName(layer, name), all,  first, size / groups,
                         total / groups,         total};
      first += size / groups;
    }
    return result;
  }

  void declareModel() {
    MLIRContext *context = builder.getContext();
    auto set = [&](StringRef key, Attribute value) {
      module->setAttr(("llm." + key).str(), value);
    };
    set("name", StringAttr::get(context, config.name));
    set("architecture", StringAttr::get(context, config.arch.name));
    const Tensor *table = weights.find(names.embedding);
    vocab = table && table->dims.size() == 2 ? int64_t(table->dims[1]) : 0;
    if (config.vocab)
      vocab = config.vocab;
    set("vocab", builder.getI64IntegerAttr(vocab));
    set("hidden", builder.getI64IntegerAttr(config.hidden));
    set("layers", builder.getI64IntegerAttr(config.layers));
    set("context", builder.getI64IntegerAttr(config.context));
  }

  /// A layer's rope, with the divisors that the file brings.
  Rope ropeOf(uint32_t layer) {
    Rope rope = config.sliding[layer] ? config.slidingRope : config.rope;
    ArrayRef<float> divisors =
        weights.ropeDivisors(config.rotaryDim / 2, config.isLongContext);
    if (!divisors.empty())
      rope.divisors.assign(divisors.begin(), divisors.end());
    auto problem = rope.problem(config.rotaryDim);
    if (problem && !weights.error)
      weights.error = Error(*problem);
    return rope;
  }

  Value rope(Value x, Value batch, uint32_t layer) {
    if (!config.turning[layer])
      return x;
    Rope rope = ropeOf(layer);
    return llm::RopeOp::create(
        builder, loc, x.getType(), x, batch,
        builder.getI64IntegerAttr(config.headDim),
        builder.getDenseF32ArrayAttr(rope.frequencies(config.rotaryDim)),
        config.isRopeAdjacent ? builder.getUnitAttr() : UnitAttr(),
        f32(rope.factor));
  }

  llm::StateType stateType() {
    uint32_t value = config.latents.rank ? config.latents.rank : config.headDim;
    return llm::StateType::get(builder.getContext(), config.kvHeads,
                               config.headDim, value);
  }
  Value state(uint32_t layer) {
    return llm::StateOp::create(builder, loc, stateType(),
                                "kv." + std::to_string(layer));
  }

  /// Some rows of a tensor, as a weight named after it and `part`: `run` of
  /// each `stride` rows, after `first`, of which there are `count` runs.
  static WeightSource rowsOf(const std::string &tensor, std::string_view part,
                             int64_t first, int64_t run, int64_t stride,
                             int64_t count) {
    std::string name = tensor;
    name.insert(name.rfind('.'), "." + std::string(part));
    return {name, tensor, first, run, stride, stride * count};
  }

  /// The matrices of heads, between the latent and keys or values, where it is
  /// in a tensor of its own, or in one for both: rows of keys, then of values.
  WeightSource headMatrices(uint32_t layer, bool isValue) {
    const Latents &l = config.latents;
    std::string own = layerName(layer, isValue ? names.valueUp : names.keyUp);
    std::string all = layerName(layer, names.keyValueUp);
    if (!weights.find(all)) {
      if (!weights.find(own))
        weights.missing({all, own});
      return {own};
    }
    WeightSource source = {all};
    weights.expectNoOrder(source);
    int64_t stride = int64_t(l.plain) + l.value;
    source = {own,
              all,
              isValue ? int64_t(l.plain) : 0,
              isValue ? int64_t(l.value) : int64_t(l.plain),
              stride,
              stride * config.heads,
              /*isTurned=*/!isValue};
    return source;
  }

  /// Each head's part of a row times the head's matrix.
  Value headLinear(Value x, const WeightSource &source, int64_t out, int64_t in,
                   Value batch) {
    const int64_t heads = config.heads;
    Value all = llm::RouteAllOp::create(builder, loc, rows(2 * heads), batch);
    Value w = weights.dequantized(builder, source, {heads, out, in});
    return llm::ExpertLinearOp::create(builder, loc, rows(heads * out), x, w,
                                       all, /*bias=*/Value());
  }

  /// The queries that do not turn, and those that do.
  std::pair<Value, Value> latentQueries(Value x, uint32_t layer) {
    const Latents &l = config.latents;
    const int64_t heads = config.heads, size = l.query();
    std::string_view name = names.query;
    if (l.queryRank) {
      x = biasedLinear(x, {layerName(layer, names.queryDown)}, l.queryRank,
                       config.hasAttentionBias);
      x = norm(x, layerName(layer, names.queryDownNorm), l.queryRank, l.eps);
      name = names.queryUp;
    }
    std::string tensor = layerName(layer, name);
    Value plain = linear(x, rowsOf(tensor, "nope", 0, l.plain, size, heads),
                         heads * l.plain);
    Value turned =
        linear(x, rowsOf(tensor, "rope", l.plain, l.turned, size, heads),
               heads * l.turned);
    return {plain, turned};
  }

  /// Attention to latents, of which keys and values of the heads are never
  /// made: a query meets the latent after the matrix that would make keys of
  /// it, and what attention makes of latents goes through that of values.
  Value latentAttention(Value x, Value batch, uint32_t layer) {
    const Latents &l = config.latents;
    const int64_t heads = config.heads, rank = l.rank;
    auto concat = [&](Value a, Value b, int64_t heads) -> Value {
      int64_t width = cast<RankedTensorType>(a.getType()).getDimSize(1) +
                      cast<RankedTensorType>(b.getType()).getDimSize(1);
      return llm::ConcatHeadsOp::create(builder, loc, rows(width), a, b,
                                        builder.getI64IntegerAttr(heads));
    };
    auto [plain, turned] = latentQueries(x, layer);
    Value query =
        headLinear(plain, headMatrices(layer, false), rank, l.plain, batch);
    std::string down = layerName(layer, names.keyValueDown);
    const int64_t size = rank + l.turned;
    bool needsBias = config.hasAttentionBias;
    Value latent = biasedLinear(x, rowsOf(down, "latent", 0, rank, size, 1),
                                rank, needsBias);
    latent = norm(latent, layerName(layer, names.latentNorm), rank, l.eps);
    Value key = biasedLinear(x, rowsOf(down, "rope", rank, l.turned, size, 1),
                             l.turned, needsBias);
    Value a = llm::AttentionOp::create(
        builder, loc, rows(heads * rank),
        rope(concat(turned, query, heads), batch, layer),
        rope(concat(key, latent, 1), batch, layer), latent, batch, state(layer),
        /*sinks=*/Value(), f32(config.attentionScale),
        builder.getI64IntegerAttr(config.sliding[layer] ? config.window : 0),
        f32(config.scoreCap));
    a = headLinear(a, headMatrices(layer, true), l.value, rank, batch);
    return biasedLinear(a, {layerName(layer, names.attentionOutput)},
                        config.hidden, config.hasAttentionBias);
  }

  Value attention(Value x, Value batch, uint32_t layer) {
    if (config.latents.rank)
      return latentAttention(x, batch, layer);
    bool sliding = config.sliding[layer];
    int64_t width = int64_t(config.heads) * config.headDim;
    int64_t kv = int64_t(config.kvHeads) * config.headDim;
    auto parts =
        sources(layer, names.fusedQKV,
                {{names.query, width}, {names.key, kv}, {names.value, kv}},
                config.qkvGroups);
    weights.expectSameOrder({parts[0], parts[1], parts[2]});
    bool needsBias = config.hasProjectionBias || config.hasAttentionBias;
    Value q = biasedLinear(x, parts[0], width, needsBias);
    Value k = biasedLinear(x, parts[1], kv, needsBias);
    Value v = biasedLinear(x, parts[2], kv, needsBias);
    q = projectionNorm(q, layerName(layer, names.queryNorm));
    k = projectionNorm(k, layerName(layer, names.keyNorm));
    Value sinks;
    if (config.arch.hasSinks)
      sinks = weights.dequantized(builder, {layerName(layer, names.sinks)},
                                  {int64_t(config.heads)});
    Value a = llm::AttentionOp::create(
        builder, loc, q.getType(), rope(q, batch, layer), rope(k, batch, layer),
        v, batch, state(layer), sinks, f32(config.attentionScale),
        builder.getI64IntegerAttr(sliding ? config.window : 0),
        f32(config.scoreCap));
    return biasedLinear(a, {layerName(layer, names.attentionOutput)},
                        config.hidden, config.hasAttentionBias);
  }

  Value glu(Value gate, Value up) {
    return llm::GluOp::create(builder, loc, gate.getType(), gate, up,
                              config.activation);
  }

  /// A gated unit of `size` elements and the way back.
  Value gatedUnit(Value x, const WeightSource &gate, const WeightSource &up,
                  const WeightSource &down, int64_t size) {
    weights.expectSameOrder({gate, up});
    bool needsBias = config.hasFfnBias;
    Value g = biasedLinear(x, gate, size, needsBias);
    Value h = glu(g, biasedLinear(x, up, size, needsBias));
    return biasedLinear(h, down, config.hidden, needsBias);
  }

  Value feedForward(Value x, uint32_t layer) {
    if (config.sparse[layer])
      return experts(x, layer);
    WeightSource down = {layerName(layer, names.down)};
    if (config.arch.isGated) {
      auto parts = sources(layer, names.fusedGateUp,
                           {{names.gate, config.ffn}, {names.up, config.ffn}});
      return gatedUnit(x, parts[0], parts[1], down, config.ffn);
    }
    Value h = biasedLinear(x, {layerName(layer, names.up)}, config.ffn,
                           config.hasFfnBias);
    h = llm::ActivateOp::create(builder, loc, h.getType(), h,
                                config.activation);
    return biasedLinear(h, down, config.hidden, config.hasFfnBias);
  }

  /// The matrices of a layer's experts, for the slots of `routing`.
  Value expertLinear(Value x, const std::string &name, int64_t out, int64_t in,
                     Value routing) {
    Value w = weights.dequantized(builder, {name},
                                  {int64_t(config.experts), out, in});
    return llm::ExpertLinearOp::create(
        builder, loc, rows(out * config.expertsUsed), x, w, routing,
        weights.expertBias(builder, name, config.experts, out,
                           config.arch.expertBias));
  }

  Value experts(Value x, uint32_t layer) {
    std::string prefix = layerName(layer, "");
    auto pick = [&](ArrayRef<std::string_view> known) {
      std::string name = weights.pick(prefix, known);
      SmallVector<std::string> all;
      for (std::string_view each : known)
        if (!each.empty())
          all.push_back(prefix + std::string(each));
      if (!weights.find(name))
        weights.missing(all);
      return name;
    };
    auto named = [&](std::string_view name) {
      return WeightSource{prefix + std::string(name)};
    };
    Value logits = biasedLinear(x, {pick(names.router)}, config.experts,
                                config.arch.expertBias);
    Value shared, sharedGate;
    if (config.sharedFfn) {
      if (!config.arch.plainShared)
        sharedGate = linear(x, named(names.sharedRouter), 1);
      shared = gatedUnit(x, named(names.sharedGate), named(names.sharedUp),
                         named(names.sharedDown), config.sharedFfn);
    }
    Value bias;
    if (config.sigmoidRoutes)
      bias = weights.dequantized(builder, named(names.routerBias),
                                 {int64_t(config.experts)});
    Value routing = llm::RouteOp::create(
        builder, loc, rows(2 * int64_t(config.expertsUsed)), logits, bias,
        config.expertsUsed, config.normalizesRoutes, config.sigmoidRoutes,
        APFloat(config.routeScale), config.expertGroups, config.groupsUsed);
    Value gate = expertLinear(x, pick(names.expertGate), config.expertFfn,
                              config.hidden, routing);
    Value up = expertLinear(x, pick(names.expertUp), config.expertFfn,
                            config.hidden, routing);
    Value h = expertLinear(glu(gate, up), pick(names.expertDown), config.hidden,
                           config.expertFfn, routing);
    return llm::CombineOp::create(builder, loc, x.getType(), h, routing, shared,
                                  sharedGate, /*residual=*/Value());
  }

  /// The names of the norms before attention and feed-forward part.
  std::pair<std::string, std::string> normsOf(uint32_t layer) {
    auto isThere = [&](std::string_view name) {
      return !name.empty() && weights.find(layerName(layer, name));
    };
    if (isThere(names.attentionNormOfTwo) ||
        (names.ffnNormOfTwo != names.attentionNorm &&
         isThere(names.ffnNormOfTwo)))
      return {layerName(layer, names.attentionNormOfTwo),
              layerName(layer, names.ffnNormOfTwo)};
    return {layerName(layer, names.attentionNorm),
            config.arch.postNorm
                ? layerName(layer, names.ffnNormWithPost)
                : weights.pick(layerName(layer, ""),
                               {names.ffnNorm, names.ffnNormElse})};
  }

  void buildLayer(uint32_t layer) {
    builder.setInsertionPointToEnd(module.getBody());
    llm::KVStateOp::create(builder, loc, "kv." + std::to_string(layer),
                           stateType(),
                           config.sliding[layer] ? config.window : 0);
    Type type = rows(config.hidden);
    auto func = func::FuncOp::create(
        builder, loc, "layer." + std::to_string(layer),
        builder.getFunctionType({type, batchType()}, {type}));
    func.setPrivate();
    Block *entry = func.addEntryBlock();
    builder.setInsertionPointToStart(entry);
    Value x = entry->getArgument(0), batch = entry->getArgument(1);

    auto [attentionNorm, ffnNorm] = normsOf(layer);
    Value normed = input(x, attentionNorm);
    Value a = attention(normed, batch, layer);
    if (config.arch.postNorm)
      a = norm(a, layerName(layer, names.attentionPostNorm), config.hidden);
    Value residual = add(x, a);

    // Parallel parts may share a norm.
    if (!config.isParallel || weights.find(ffnNorm))
      normed = input(config.isParallel ? x : residual, ffnNorm);
    Value f = feedForward(normed, layer);
    if (config.arch.postNorm)
      f = norm(f, layerName(layer, names.ffnPostNorm), config.hidden);
    func::ReturnOp::create(builder, loc, add(residual, f));
  }

  /// The table of learned positions, of at least the context's; null without.
  Value positions() {
    if (!config.arch.learnedPositions)
      return {};
    const Tensor *table = weights.find(names.positions);
    int64_t count = table && table->dims.size() == 2 ? int64_t(table->dims[1])
                                                     : int64_t(config.context);
    return matrix({std::string(names.positions)},
                  std::max<int64_t>(count, config.context), config.hidden);
  }

  void buildStep() {
    builder.setInsertionPointToEnd(module.getBody());
    auto func = func::FuncOp::create(
        builder, loc, "step",
        builder.getFunctionType({batchType()}, {rows(vocab)}));
    Block *entry = func.addEntryBlock();
    builder.setInsertionPointToStart(entry);
    Value batch = entry->getArgument(0);
    Value x = llm::EmbeddingOp::create(
        builder, loc, rows(config.hidden), batch,
        matrix({std::string(names.embedding)}, vocab, config.hidden),
        positions(), f32(config.embeddingScale / config.residualScale));
    for (uint32_t layer = 0; layer < config.layers; ++layer)
      x = func::CallOp::create(builder, loc, "layer." + std::to_string(layer),
                               TypeRange{x.getType()}, ValueRange{x, batch})
              .getResult(0);
    x = llm::SelectOutputsOp::create(builder, loc, x.getType(), x, batch);
    x = residualNorm(x, names.finalNorm);
    const Tensor *own = weights.find(names.head);
    bool isTied = config.isHeadTied.value_or(!own);
    // Some tools write the table a second time; others quantize it as the head.
    if (isTied && own && own->encoding() && !own->encoding()->isFloat())
      isTied = false;
    else if (isTied && own)
      weights.ignore(names.head);
    WeightSource head = {std::string(isTied ? names.embedding : names.head)};
    Value bias;
    if (config.arch.headBias)
      bias = weights.bias(builder, head, vocab, /*isRequired=*/true);
    x = linear(x, head, vocab, bias);
    if (config.logitScale != 1 || config.logitCap != 0)
      x = llm::ScaleLogitsOp::create(builder, loc, x.getType(), x,
                                     f32(config.logitScale),
                                     f32(config.logitCap));
    func::ReturnOp::create(builder, loc, x);
  }

  const Config &config;
  const WeightNames &names;
  WeightSet weights;
  ModuleOp module;
  OpBuilder builder;
  Location loc;
  int64_t vocab = 0;
};
} // namespace

Result<OwningOpRef<ModuleOp>>
qcc::importCheckpoint(MLIRContext &context, const Checkpoint &checkpoint,
                      const ImportOptions &options) {
  context.loadDialect<qz::QZDialect, llm::LLMDialect, func::FuncDialect>();
  Result<Config> config = Config::read(checkpoint, options);
  if (!config)
    return config.takeError();
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  if (Error error = GraphBuilder(*module, checkpoint, *config).build())
    return error;
  return module;
}
