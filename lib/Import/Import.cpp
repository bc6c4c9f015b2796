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
      : config(config), weights(module, checkpoint), module(module),
        builder(module.getBodyRegion()), loc(module.getLoc()) {}

  Error build() {
    declareModel();
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

  Value matrix(const std::string &name, int64_t out, int64_t in) {
    return weights.dequantized(builder, name, {out, in});
  }
  Value norm(Value x, const std::string &name, int64_t size) {
    Value w = weights.dequantized(builder, name, {size});
    return llm::RMSNormOp::create(builder, loc, x.getType(), x, w,
                                  f32(config.eps));
  }
  Value linear(Value x, const std::string &name, int64_t out) {
    int64_t in = cast<RankedTensorType>(x.getType()).getDimSize(1);
    return llm::LinearOp::create(builder, loc, rows(out), x,
                                 matrix(name, out, in));
  }
  Value add(Value a, Value b) {
    return llm::AddOp::create(builder, loc, a.getType(), a, b);
  }

  void declareModel() {
    MLIRContext *context = builder.getContext();
    auto set = [&](StringRef key, Attribute value) {
      module->setAttr(("llm." + key).str(), value);
    };
    set("name", StringAttr::get(context, config.name));
    set("architecture", StringAttr::get(context, config.arch.name));
    const Tensor *table = weights.find("token_embd.weight");
    vocab = table && table->dims.size() == 2 ? int64_t(table->dims[1]) : 0;
    set("vocab", builder.getI64IntegerAttr(vocab));
    set("hidden", builder.getI64IntegerAttr(config.hidden));
    set("layers", builder.getI64IntegerAttr(config.layers));
    set("context", builder.getI64IntegerAttr(config.context));
  }

  /// Frequencies of the layer's rope, with the file's divisors applied.
  SmallVector<float> frequencies(bool sliding) {
    double base = sliding ? config.slidingRopeBase : config.ropeBase;
    float divisor = sliding ? 1.0f : config.ropeDivisor;
    ArrayRef<float> divisors = weights.ropeDivisors(config.rotaryDim / 2);
    SmallVector<float> result;
    for (uint32_t i = 0; i < config.rotaryDim / 2; ++i) {
      float f = float(std::pow(base, -2.0 * i / config.rotaryDim)) / divisor;
      result.push_back(divisors.empty() ? f : f / divisors[i]);
    }
    return result;
  }

  Value rope(Value x, Value batch, bool sliding) {
    return llm::RopeOp::create(
        builder, loc, x.getType(), x, batch,
        builder.getI64IntegerAttr(config.headDim),
        builder.getDenseF32ArrayAttr(frequencies(sliding)),
        config.arch.adjacentRope ? builder.getUnitAttr() : UnitAttr(),
        f32(1.0f));
  }

  Value attention(Value x, Value batch, uint32_t layer,
                  const std::string &prefix) {
    bool sliding = config.isSliding(layer);
    int64_t kv = int64_t(config.kvHeads) * config.headDim;
    Value q = linear(x, prefix + "attn_q.weight",
                     int64_t(config.heads) * config.headDim);
    Value k = linear(x, prefix + "attn_k.weight", kv);
    Value v = linear(x, prefix + "attn_v.weight", kv);
    if (config.arch.headNorm) {
      q = norm(q, prefix + "attn_q_norm.weight", config.headDim);
      k = norm(k, prefix + "attn_k_norm.weight", config.headDim);
    }
    auto stateType = llm::StateType::get(builder.getContext(), config.kvHeads,
                                         config.headDim);
    Value state = llm::StateOp::create(builder, loc, stateType,
                                       "kv." + std::to_string(layer));
    Value a = llm::AttentionOp::create(
        builder, loc, q.getType(), rope(q, batch, sliding),
        rope(k, batch, sliding), v, batch, state,
        f32(1.0f / std::sqrt(float(config.headDim))),
        builder.getI64IntegerAttr(sliding ? config.window : 0));
    return linear(a, prefix + "attn_output.weight", config.hidden);
  }

  Value feedForward(Value x, const std::string &prefix) {
    Value gate = linear(x, prefix + "ffn_gate.weight", config.ffn);
    Value up = linear(x, prefix + "ffn_up.weight", config.ffn);
    Value h = llm::GluOp::create(builder, loc, gate.getType(), gate, up,
                                 config.arch.activation);
    return linear(h, prefix + "ffn_down.weight", config.hidden);
  }

  void buildLayer(uint32_t layer) {
    std::string prefix = "blk." + std::to_string(layer) + ".";
    builder.setInsertionPointToEnd(module.getBody());
    llm::KVStateOp::create(builder, loc, "kv." + std::to_string(layer),
                           llm::StateType::get(builder.getContext(),
                                               config.kvHeads, config.headDim),
                           config.isSliding(layer) ? config.window : 0);
    Type x = rows(config.hidden);
    auto func =
        func::FuncOp::create(builder, loc, "layer." + std::to_string(layer),
                             builder.getFunctionType({x, batchType()}, {x}));
    func.setPrivate();
    Block *entry = func.addEntryBlock();
    builder.setInsertionPointToStart(entry);
    Value residual = entry->getArgument(0), batch = entry->getArgument(1);

    Value a =
        attention(norm(residual, prefix + "attn_norm.weight", config.hidden),
                  batch, layer, prefix);
    if (config.arch.postNorm)
      a = norm(a, prefix + "post_attention_norm.weight", config.hidden);
    residual = add(residual, a);

    Value f = feedForward(
        norm(residual, prefix + "ffn_norm.weight", config.hidden), prefix);
    if (config.arch.postNorm)
      f = norm(f, prefix + "post_ffw_norm.weight", config.hidden);
    residual = add(residual, f);
    func::ReturnOp::create(builder, loc, residual);
  }

  void buildStep() {
    builder.setInsertionPointToEnd(module.getBody());
    auto func = func::FuncOp::create(
        builder, loc, "step",
        builder.getFunctionType({batchType()}, {rows(vocab)}));
    Block *entry = func.addEntryBlock();
    builder.setInsertionPointToStart(entry);
    Value batch = entry->getArgument(0);
    float scale =
        config.arch.scaledEmbedding ? std::sqrt(float(config.hidden)) : 1.0f;
    Value x = llm::EmbeddingOp::create(
        builder, loc, rows(config.hidden), batch,
        matrix("token_embd.weight", vocab, config.hidden), f32(scale));
    for (uint32_t layer = 0; layer < config.layers; ++layer)
      x = func::CallOp::create(builder, loc, "layer." + std::to_string(layer),
                               TypeRange{x.getType()}, ValueRange{x, batch})
              .getResult(0);
    x = llm::SelectOutputsOp::create(builder, loc, x.getType(), x, batch);
    x = norm(x, "output_norm.weight", config.hidden);
    // A file without an output matrix uses the embedding table for both.
    const char *head =
        weights.find("output.weight") ? "output.weight" : "token_embd.weight";
    func::ReturnOp::create(builder, loc, linear(x, head, vocab));
  }

  const Config &config;
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
