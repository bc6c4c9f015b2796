//===- Pipelines.cpp - Stages 2 to 4 as pipelines -------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Transforms/Passes.h"
#include "qcc/Transforms/Transforms.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace qcc;

void qcc::buildFusePipeline(OpPassManager &pm) {
  // Layers are fused each for itself, in parallel.
  OpPassManager &first = pm.nest<func::FuncOp>();
  first.addPass(createFuseMatmulsPass());
  first.addPass(createCSEPass());
  first.addPass(createMergeProjectionsPass());
  // Weights of one layer may be stored in the order that another wants.
  pm.addPass(createFoldPermutationsPass());
  OpPassManager &second = pm.nest<func::FuncOp>();
  second.addPass(createFuseEpiloguesPass());
  second.addPass(createCanonicalizerPass());
  second.addPass(createCSEPass());
  pm.addPass(createRollLayersPass());
  // Calls share their states and rotations.
  pm.addNestedPass<func::FuncOp>(createCSEPass());
  pm.addPass(createVerifyFusedPass());
}

void qcc::buildLayoutPipeline(OpPassManager &pm, const LayoutOptions &options) {
  pm.addPass(createSelectLayoutPass({options.layout}));
}

void qcc::buildSchedulePipeline(OpPassManager &pm,
                                const ScheduleOptions &options) {
  pm.addPass(createSelectActivationsPass(
      {options.generate, options.prompt, options.felt, options.blocks}));
  pm.addPass(createPlanSchedulePass());
  pm.addPass(createPlanMemoryPass({options.rowCapacity, options.generateRows}));
}

void qcc::registerPasses() {
  registerQCCPasses();
  PassPipelineRegistration<>("qcc-fuse", "Stage 2: fuse and roll layers",
                             buildFusePipeline);
  PassPipelineRegistration<>(
      "qcc-layout", "Stage 3: layout and place of weights",
      [](OpPassManager &pm) { buildLayoutPipeline(pm); });
  PassPipelineRegistration<>(
      "qcc-schedule", "Stage 4: activations, work units and memory",
      [](OpPassManager &pm) { buildSchedulePipeline(pm); });
}
