//===- Pipelines.cpp - The stages of each kind of target ------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Pipelines.h"

#include "qcc/Codegen/Common/Backend.h"
#include "qcc/Codegen/Reference/Reference.h"
#include "qcc/Codegen/X86/LowerToX86.h"
#include "qcc/Transforms/Transforms.h"

#include "llvm/ADT/StringExtras.h"

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
      // The other types are f32 with fewer bits, which need no definition.
      if (stages.options.kv == "q8")
        options.kv = stages.options.kv;
      return lowerToReference(module, options, code);
    });
  });
}

/// What --activations asks of the schedule, within what the target multiplies.
static llvm::Expected<ScheduleOptions>
scheduleOptions(const CompileOptions &options, const TargetSpec &target) {
  ScheduleOptions schedule;
  bool takesHalves = target.dot == DotKind::Mma;
  schedule.blocks = target.multipliesBlocks() || takesHalves;
  if (takesHalves) {
    // As many as give each multiprocessor of a large GPU some tiles.
    schedule.rowCapacity = 1024;
    schedule.generate = schedule.prompt = schedule.felt = qz::Activations::F16;
  }
  if (options.activations.empty())
    return schedule;
  using Names = llvm::SmallVector<llvm::StringRef>;
  const Names taken =
      takesHalves ? Names{"f16", "f32"} : Names{"a8", "a8g16", "a16", "f32"};
  if (!llvm::is_contained(taken, options.activations))
    return llvm::createStringError("target '" + llvm::StringRef(target.name) +
                                   "' has no products of activations '" +
                                   options.activations + "' (" +
                                   llvm::join(taken, ", ") + ")");
  auto activations = qz::symbolizeActivations(options.activations);
  schedule.generate = schedule.prompt = schedule.felt = *activations;
  return schedule;
}

/// Stages 2 to 4, which are the same for every target but the reference. False
/// when `hook` ended them.
static llvm::Expected<bool> runStages(Stages &stages, ModuleOp module,
                                      const ScheduleOptions &schedule,
                                      StageHook hook) {
  const std::pair<const char *, std::function<void(OpPassManager &)>>
      pipelines[] = {
          {"fused", buildFusePipeline},
          {"layout", [](OpPassManager &pm) { buildLayoutPipeline(pm); }},
          {"schedule",
           [&](OpPassManager &pm) { buildSchedulePipeline(pm, schedule); }}};
  for (const auto &[name, build] : pipelines) {
    if (llvm::Error error = stages.runPasses(name, module, build))
      return std::move(error);
    auto goOn = hook(name, module);
    if (!goOn || !*goOn)
      return goOn;
  }
  return true;
}

/// What --kv asks of the state; exact activations want exact keys and values.
static std::string kvOption(const CompileOptions &options,
                            const ScheduleOptions &schedule) {
  if (!options.kv.empty())
    return options.kv;
  return schedule.generate == qz::Activations::F32 ? "f32" : "f16";
}

static llvm::Error lowerX86(Stages &stages, ModuleOp module,
                            const TargetSpec &target, unsigned index,
                            StageHook hook, ModelCode &code) {
  auto schedule = scheduleOptions(stages.options, target);
  if (!schedule)
    return schedule.takeError();
  auto goOn = runStages(stages, module, *schedule, hook);
  if (!goOn || !*goOn)
    return goOn.takeError();
  X86Options options;
  options.kv = kvOption(stages.options, *schedule);
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

llvm::Error qcc::lowerForGpu(Stages &stages, ModuleOp module,
                             const TargetSpec &target, StageHook hook,
                             ModelCode &code, std::vector<GpuKernel> &kernels) {
  auto schedule = scheduleOptions(stages.options, target);
  if (!schedule)
    return schedule.takeError();
  auto goOn = runStages(stages, module, *schedule, hook);
  if (!goOn || !*goOn)
    return goOn.takeError();
  NVPTXOptions options;
  options.kv = kvOption(stages.options, *schedule);
  std::string name = std::string("lower ") + target.name;
  if (llvm::Error error = stages.run(name, [&] {
        return stages.withDiagnostics(name, [&] {
          return lowerToNVPTX(module, target, options, code, kernels);
        });
      }))
    return error;
  return stages.runPasses("llvm dialect", *code.module, buildNVVMPipeline);
}
