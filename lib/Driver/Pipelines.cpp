//===- Pipelines.cpp - The stages of each kind of target ------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Pipelines.h"

#include "qcc/Codegen/Common/Backend.h"
#include "qcc/Codegen/Reference/Reference.h"
#include "qcc/Codegen/X86/LowerToX86.h"
#include "qcc/Transforms/Transforms.h"

using namespace mlir;
using namespace qcc;

static llvm::Error lowerReference(Stages &stages, ModuleOp module,
                                  unsigned index, uint64_t weightBase,
                                  StageHook hook, ModelCode &code) {
  layoutReferenceWeights(module, weightBase);
  auto goOn = hook("layout", module);
  if (!goOn)
    return goOn.takeError();
  if (!*goOn)
    return llvm::Error::success();
  return stages.run("lower reference", [&] {
    return stages.withDiagnostics("lower reference", [&] {
      ReferenceOptions options;
      options.index = index;
      return lowerToReference(module, options, code);
    });
  });
}

/// What --activations asks of the schedule.
static llvm::Expected<ScheduleOptions>
scheduleOptions(const CompileOptions &options) {
  ScheduleOptions schedule;
  if (options.activations.empty())
    return schedule;
  std::optional<qz::Activations> activations =
      qz::symbolizeActivations(options.activations);
  if (!activations)
    return llvm::createStringError("unknown activations '" +
                                   options.activations +
                                   "' (a8, a8g16, a16, f32)");
  schedule.generate = schedule.prompt = *activations;
  return schedule;
}

static llvm::Error lowerX86(Stages &stages, ModuleOp module,
                            const TargetSpec &target, unsigned index,
                            StageHook hook, ModelCode &code) {
  auto schedule = scheduleOptions(stages.options);
  if (!schedule)
    return schedule.takeError();
  const std::pair<const char *, std::function<void(OpPassManager &)>>
      pipelines[] = {
          {"fused", buildFusePipeline},
          {"layout", [](OpPassManager &pm) { buildLayoutPipeline(pm); }},
          {"schedule",
           [&](OpPassManager &pm) { buildSchedulePipeline(pm, *schedule); }}};
  for (const auto &[name, build] : pipelines) {
    if (llvm::Error error = stages.runPasses(name, module, build))
      return error;
    auto goOn = hook(name, module);
    if (!goOn)
      return goOn.takeError();
    if (!*goOn)
      return llvm::Error::success();
  }
  X86Options options;
  options.kv = stages.options.kv;
  if (options.kv.empty())
    options.kv = schedule->generate == qz::Activations::F32 ? "f32" : "f16";
  std::string name = std::string("lower ") + target.name;
  return stages.run(name, [&] {
    return stages.withDiagnostics(name, [&] {
      return lowerToX86(module, target, options, stepSymbolName(index), code);
    });
  });
}

llvm::Error qcc::lowerForTarget(Stages &stages, ModuleOp module,
                                const TargetSpec &target, unsigned index,
                                uint64_t weightBase, StageHook hook,
                                ModelCode &code) {
  llvm::Error error =
      target.isReference()
          ? lowerReference(stages, module, index, weightBase, hook, code)
          : lowerX86(stages, module, target, index, hook, code);
  if (error || !code.module)
    return error;
  return stages.runPasses("llvm dialect", *code.module,
                          buildLLVMDialectPipeline);
}
