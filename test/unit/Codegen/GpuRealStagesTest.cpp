//===- GpuRealStagesTest.cpp - Decode stages of real models in the emulator -=//
// SPDX-License-Identifier: Apache-2.0
//
// The kernels that --emit=ptx writes, with the weights of real checkpoints: all
// matmul stages of the first layer.
//===----------------------------------------------------------------------===//

#include "qcc/Import/Import.h"
#include "qcc/Transforms/Transforms.h"
#include "StageCase.h"
#include "TestContext.h"

#include "mlir/Pass/PassManager.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>

using namespace qcc;
using namespace qcc::test;

namespace {

/// A stage of the first layer, in the order of kernels.
struct StageNames {
  std::vector<const char *> weights;
  const char *norm; ///< Null without one.
  const char *epilogue;
};

class RealModel {
public:
  explicit RealModel(const std::string &path) {
    Result<Checkpoint> opened = openCheckpoint(path);
    if (!opened)
      throw std::runtime_error(opened.message());
    checkpoint.emplace(std::move(*opened));
    auto imported = importCheckpoint(testContext(), *checkpoint, {});
    if (!imported)
      throw std::runtime_error(imported.message());
    ScheduleOptions schedule;
    schedule.generate = schedule.prompt = schedule.felt = qz::Activations::F16;
    mlir::PassManager passes(&testContext());
    buildFusePipeline(passes);
    buildLayoutPipeline(passes);
    buildSchedulePipeline(passes, schedule);
    if (failed(passes.run(**imported)))
      throw std::runtime_error("scheduling failed");
    stage.emplace(**imported, "sm_86");
  }

  /// The stage's data, with random rows.
  StageCase load(const StageNames &names, size_t tokens);

  std::optional<Checkpoint> checkpoint;
  std::optional<EmulatedStage> stage;
};

StageCase RealModel::load(const StageNames &names, size_t tokens) {
  StageCase c{0, {}, names.epilogue};
  for (const char *name : names.weights) {
    const Tensor *tensor = checkpoint->findTensor(name);
    if (!tensor || !tensor->encoding())
      throw std::runtime_error(std::string("no tensor ") + name);
    c.k = tensor->rowElements();
    StageSegment segment{*tensor->encoding(), tensor->rows(), {}};
    segment.weights.resize(segment.rows);
    for (size_t row = 0; row < segment.rows; row += 16)
      checkpoint->unpackRows(*tensor, row,
                             unsigned(std::min<size_t>(16, segment.rows - row)),
                             &segment.weights[row]);
    c.segments.push_back(std::move(segment));
  }
  if (names.norm) {
    c.hasNorm = true;
    c.norm.resize(c.k);
    checkpoint->decodeRows(*checkpoint->findTensor(names.norm), 0, 1,
                           c.norm.data());
  }
  std::mt19937 random(3);
  c.fill(random, tokens);
  return c;
}

void expectStages(const std::string &path,
                  const std::vector<StageNames> &stages) {
  RealModel model(path);
  ErrorTotals totals;
  for (unsigned i = 0; i < stages.size(); ++i) {
    SCOPED_TRACE(model.stage->kernel(i).stages.front());
    StageCase c = model.load(stages[i], 2);
    auto got = model.stage->run(c.rows(), seeded(i), nullptr, i);
    EXPECT_EQ(compare(c, got, &totals), "");
  }
  EXPECT_LE(totals.kernel, totals.half);
  std::cout << "mean squared error of f16 / of the kernels: "
            << totals.half / totals.kernel << '\n';
}

TEST(GpuRealStages, BlockQuantizedWithMinima) {
  const char *models = std::getenv("QCC_MODELS");
  std::string path =
      std::string(models ? models : "") + "/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(path))
    GTEST_SKIP() << "QCC_MODELS has no SmolLM2-135M-Instruct.Q4_1.gguf";
  expectStages(path, {{{"blk.0.attn_q.weight", "blk.0.attn_k.weight",
                        "blk.0.attn_v.weight"},
                       "blk.0.attn_norm.weight",
                       ""},
                      {{"blk.0.attn_output.weight"}, nullptr, "residual"},
                      {{"blk.0.ffn_gate.weight", "blk.0.ffn_up.weight"},
                       "blk.0.ffn_norm.weight",
                       "glu_silu"},
                      {{"blk.0.ffn_down.weight"}, nullptr, "residual"}});
}

TEST(GpuRealStages, GroupsOf128) {
  const char *fixtures = std::getenv("QCC_FIXTURES");
  std::string path =
      std::string(fixtures ? fixtures : "") + "/gptq-w4-g128-sym";
  if (!std::filesystem::exists(path))
    GTEST_SKIP() << "QCC_FIXTURES has no gptq-w4-g128-sym";
  expectStages(
      path, {{{"model.layers.0.self_attn.q_proj.weight",
               "model.layers.0.self_attn.k_proj.weight",
               "model.layers.0.self_attn.v_proj.weight"},
              "model.layers.0.input_layernorm.weight",
              ""},
             {{"model.layers.0.self_attn.o_proj.weight"}, nullptr, "residual"},
             {{"model.layers.0.mlp.gate_proj.weight",
               "model.layers.0.mlp.up_proj.weight"},
              "model.layers.0.post_attention_layernorm.weight",
              "glu_silu"},
             {{"model.layers.0.mlp.down_proj.weight"}, nullptr, "residual"}});
}

} // namespace
