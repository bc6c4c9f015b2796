//===- Program.cpp - Stages as launches of kernels ------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Program.h"

#include "dialects/QZ/QZDialect.h"
#include "ExpertStages.h"
#include "MatmulKernel.h"
#include "PlainMatmul.h"
#include "RowHalves.h"
#include "RowStages.h"
#include "RowTiles.h"
#include "SeveralMatmul.h"
#include "TileMatmul.h"

#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

static qcc_gpu_operand_v1 arenaPlace(Operation *op) {
  auto buffer = op->getAttrOfType<IntegerAttr>("buffer");
  return {QCC_GPU_ARENA, 0, uint64_t(buffer.getInt()), 0};
}

qcc_gpu_operand_v1 Program::weightPlace(qz::UseOp use) {
  auto weight = source.lookupSymbol<qz::WeightOp>(use.getWeight());
  return {QCC_GPU_WEIGHTS, 0, uint64_t(weight.getOffset().value_or(0)),
          uint64_t(weight.getBytes().value_or(0))};
}

qcc_gpu_operand_v1 Program::statePlace(llm::StateOp state) {
  auto states = source.getOps<llm::KVStateOp>();
  auto found = llvm::find_if(states, [&](llm::KVStateOp op) {
    return op.getSymName() == state.getState();
  });
  return {QCC_GPU_STATE, 0, uint64_t(std::distance(states.begin(), found)), 0};
}

//===----------------------------------------------------------------------===//
// Walking
//===----------------------------------------------------------------------===//

LogicalResult Program::build() {
  auto step = source.lookupSymbol<func::FuncOp>("step");
  if (!step)
    return source.emitError("expected a function @step");
  if (!source->getAttrOfType<IntegerAttr>("llm.row_capacity"))
    return source.emitError("expected llm.row_capacity, which "
                            "qcc-plan-memory writes");
  launches.startsEarly = target.startsLaunchesEarly();
  scratchOffset = (numberOf(source, "llm.arena_bytes") + 255) / 256 * 256;
  arenaBytes = scratchOffset;
  auto calls = step.front().getOps<func::CallOp>();
  lastLayer = uint32_t(std::distance(calls.begin(), calls.end()));
  if (lastLayer) {
    Value rows = (*calls.begin()).getOperand(0);
    if (!rows.getDefiningOp() || !rows.getDefiningOp()->hasAttr("buffer"))
      return (*calls.begin()).emitOpError("expected rows with a buffer");
    launches.residualOffset = arenaPlace(rows.getDefiningOp()).value;
    launches.residualStride = uint64_t(rowStride(rows));
  }
  if (failed(walk(step, Kind::Generate)))
    return failure();
  if (dependsOnPrompt && failed(walk(step, Kind::Prompt)))
    return failure();
  halvesOffset = (arenaBytes + 255) / 256 * 256;
  return dependsOnCount ? walk(step, Kind::Several) : success();
}

LogicalResult Program::walk(func::FuncOp step, Kind kind) {
  isPrompt = kind == Kind::Prompt;
  isSeveral = kind == Kind::Several;
  layer = 0;
  outputs.clear();
  Places places;
  return lowerBlock(step.front(), places);
}

LogicalResult Program::lowerCall(func::CallOp call, Places &places) {
  auto body = source.lookupSymbol<func::FuncOp>(call.getCallee());
  Places inner;
  for (auto [argument, operand] :
       llvm::zip_equal(body.getArguments(), call.getOperands()))
    if (places.contains(operand))
      inner[argument] = places.lookup(operand);
  ++layer;
  if (failed(lowerBlock(body.front(), inner)))
    return failure();
  // The body changes its rows in place.
  places[call.getResult(0)] = places.lookup(call.getOperand(0));
  return success();
}

LogicalResult Program::lowerBlock(Block &block, Places &places) {
  bool isStep = cast<func::FuncOp>(block.getParentOp()).getName() == "step";
  for (Operation &op : block.without_terminator()) {
    bool isOutput = isa<llm::SelectOutputsOp>(op) ||
                    llvm::any_of(op.getOperands(), [&](Value operand) {
                      return outputs.contains(operand);
                    });
    if (isOutput)
      outputs.insert(op.result_begin(), op.result_end());
    if (auto use = dyn_cast<qz::UseOp>(op)) {
      places[use.getResult()] = weightPlace(use);
      continue;
    }
    if (auto state = dyn_cast<llm::StateOp>(op)) {
      places[state.getResult()] = statePlace(state);
      continue;
    }
    if (auto call = dyn_cast<func::CallOp>(op)) {
      if (failed(lowerCall(call, places)))
        return failure();
      continue;
    }
    if (isStep && layer == lastLayer && layer)
      layer = lastLayer + 1;
    if (op.getAttr("buffer") && op.getNumResults() == 1)
      places[op.getResult(0)] = arenaPlace(&op);
    SmallVector<Operation *> stage = {&op};
    if (auto quantize = dyn_cast<qz::QuantizeOp>(op)) {
      // Each matmul makes its rows for itself, unless it wants them stored.
      bool isStored = isPrompt && isStoredInTiles(quantize);
      if (!isStored && llvm::all_of(op.getUsers(), llvm::IsaPred<qz::MatmulOp>))
        continue;
    } else if (auto rope = dyn_cast<llm::RopeAppendOp>(op)) {
      if (isLeftToAttend(rope))
        continue;
    } else if (auto attend = dyn_cast<llm::AttendOp>(op)) {
      if (llm::RopeAppendOp rope = ropeOf(attend); rope && isLeftToAttend(rope))
        stage.insert(stage.begin(), rope);
    } else if (isa<llm::RouteAllOp>(op)) {
      // Matmuls know without being told.
      if (llvm::all_of(op.getUsers(),
                       llvm::IsaPred<qz::MatmulOp, qz::QuantizeOp>))
        continue;
    } else if (auto matmul = dyn_cast<qz::MatmulOp>(op)) {
      auto *quantize = matmul.getInput().getDefiningOp();
      if (quantize && !(isPrompt && takesTiles(matmul)))
        stage.insert(stage.begin(), quantize);
    }
    if (failed(lowerStage(stage, places)))
      return failure();
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Stages
//===----------------------------------------------------------------------===//

/// Where the buffer of some rows begins; nothing where they have none.
static std::optional<int64_t> bufferOf(Value rows) {
  IntegerAttr attribute;
  if (Operation *op = rows.getDefiningOp())
    attribute = op->getAttrOfType<IntegerAttr>("buffer");
  else
    attribute = cast<func::FuncOp>(rows.getParentBlock()->getParentOp())
                    .getArgAttrOfType<IntegerAttr>(
                        cast<BlockArgument>(rows).getArgNumber(), "llm.buffer");
  return attribute ? std::optional(attribute.getInt()) : std::nullopt;
}

/// Whether the buffers of two values have a byte in common.
static bool overlap(Value a, Value b, int64_t rows) {
  std::optional<int64_t> first = bufferOf(a), second = bufferOf(b);
  return first && second && *first < *second + rows * rowStride(b) &&
         *second < *first + rows * rowStride(a);
}

/// A matmul reads the rows of its qz.quantize, which no stage since then may
/// have changed, nor it itself while other blocks still read them.
LogicalResult Program::checkRowsAreKept(ArrayRef<Operation *> stage) {
  if (stage.size() == 1)
    return success();
  Value read = stage.front()->getOperand(0);
  auto capacity = source->getAttrOfType<IntegerAttr>("llm.row_capacity");
  for (Operation *op = stage.front()->getNextNode();; op = op->getNextNode()) {
    // Nothing is written where a qz.quantize has its place.
    bool isRows = op->hasAttr("buffer") && !isa<qz::QuantizeOp>(op);
    if (isRows && overlap(read, op->getResult(0), capacity.getInt()))
      return stage.back()->emitOpError()
             << "changes the rows that it reads, for which target '"
             << target.name << "' has no kernel";
    if (op == stage.back())
      return success();
  }
}

/// Whether a step of one row has no launch for `op`: its attention does that.
/// Of several rows, one may see what another appends; what is quantized is made
/// of whole heads.
bool Program::isLeftToAttend(llm::RopeAppendOp op) const {
  if (isPrompt || isSeveral || kvElement.isInteger())
    return false;
  return llvm::any_of(op.getResult().getUsers(), [&](Operation *user) {
    auto attend = dyn_cast<llm::AttendOp>(user);
    return attend && ropeOf(attend) == op;
  });
}

/// How the attention that a stage is, is shared.
AttendPlan Program::attendPlan(Operation *stage, bool prompt) const {
  auto attend = dyn_cast<llm::AttendOp>(stage);
  return attend ? planAttend(attend, kvElement, prompt) : AttendPlan{};
}

/// Most units of attention that has parts.
int64_t Program::countedUnits() const {
  int64_t most = 0;
  source.walk([&](llm::AttendOp op) {
    AttendPlan plan = attendPlan(op, /*prompt=*/false);
    if (plan.isSplit())
      most = std::max(most, plan.units);
  });
  return most;
}

/// Whether prompt steps have another kernel for a stage.
bool Program::hasPromptKernel(ArrayRef<Operation *> stage) const {
  if (attendPlan(stage.back(), /*prompt=*/false).isSplit())
    return true;
  if (isa<llm::AttendOp>(stage.back()))
    return attendPlan(stage.back(), /*prompt=*/true).onTensorCores;
  auto matmul = dyn_cast<qz::MatmulOp>(stage.back());
  return matmul &&
         (nvptx::dependsOnPrompt(matmul) || nvptx::takesTiles(matmul));
}

/// Everything that the code of a stage's kernel follows from.
std::string Program::kernelKey(ArrayRef<Operation *> stage,
                               bool isLogits) const {
  std::string key;
  llvm::raw_string_ostream os(key);
  if (hasPromptKernel(stage))
    os << (isPrompt ? "prompt " : "generate ")
       << attendPlan(stage.back(), isPrompt).parts << '\n';
  for (Operation *op : stage) {
    os << op->getName();
    for (NamedAttribute attribute : op->getAttrs())
      if (!llvm::is_contained({"buffer", "generate_replicated"},
                              attribute.getName().strref()))
        os << ';' << attribute.getName().strref() << '='
           << attribute.getValue();
    SmallVector<Value> seen;
    for (Value operand : op->getOperands()) {
      // One value twice is one parameter.
      os << ';' << operand.getType() << ' '
         << std::distance(seen.begin(), llvm::find(seen, operand));
      seen.push_back(operand);
    }
    os << " -> " << op->getResult(0).getType() << '\n';
  }
  os << isLogits;
  if (stage.size() > 1)
    for (Value operand : stage.back()->getOperands())
      os << (operand == stage.front()->getOperand(0));
  return key;
}

/// "@body.0: qz.matmul 576 -> 960".
static std::string stageName(Operation *op) {
  std::string name;
  llvm::raw_string_ostream os(name);
  os << '@' << op->getParentOfType<func::FuncOp>().getName() << ": "
     << op->getName();
  if (auto matmul = dyn_cast<qz::MatmulOp>(op)) {
    os << ' ' << matmul.getInput().getType().getColumns() << " -> "
       << matmul.getType().getDimSize(1);
    if (matmul.getExperts())
      os << " experts";
    if (matmul.getEpilogue() != qz::Epilogue::None)
      os << ' ' << stringifyEnum(matmul.getEpilogue());
  }
  return name;
}

LogicalResult Program::emitBody(ArrayRef<Operation *> stage, GpuKernel &kernel,
                                StringRef name, int64_t threads,
                                function_ref<void(StageKernel &)> body) {
  kernel.name = (name + "_" + Twine(countOf[name]++)).str();
  StageKernel made(module, builder, stage, kernel, threads,
                   target.startsLaunchesEarly());
  body(made);
  made.finish();
  return success();
}

/// Bytes between rows.
static void setStrides(const MatmulPlan &plan, GpuKernel &kernel) {
  qz::QuantizeOp rows = plan.quantize;
  qz::MatmulOp op = plan.matmul;
  kernel.inputStride = rowStride(rows.getInput());
  int64_t columns = columnsOf(op.getResult());
  kernel.outputStride = plan.isLogits ? columns * 4 : rowStride(columns);
}

LogicalResult Program::emitKernel(ArrayRef<Operation *> stage,
                                  GpuKernel &kernel) {
  Operation *op = stage.back();
  // `body` waits for the stages before by itself.
  auto emitEarly = [&](StringRef name, int64_t threads, auto body) {
    return emitBody(stage, kernel, name, threads, body);
  };
  auto emit = [&](StringRef name, int64_t threads, auto body) {
    return emitEarly(name, threads, [&](StageKernel &made) {
      made.awaitStages();
      body(made);
    });
  };
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](llm::EmbeddingOp o) {
        return emit("embedding", kThreads,
                    [&](StageKernel &k) { emitEmbedding(k, o); });
      })
      .Case([&](llm::RotationsOp o) {
        return emit("rotations", kThreads, [&](StageKernel &k) {
          emitRotations(k, o, countedUnits());
        });
      })
      .Case([&](llm::RopeAppendOp o) {
        return emit("rope_append", kWarpSize,
                    [&](StageKernel &k) { emitRopeAppend(k, o, kvElement); });
      })
      .Case([&](llm::AttendOp o) -> LogicalResult {
        // A lane keeps its share of a value in registers, and a warp its sums
        // in shared memory.
        constexpr int64_t most = 1024;
        llm::StateType state = o.getState().getType();
        int64_t size = std::max(state.getHeadDim(), state.getValueDim());
        if (size > most)
          return o.emitOpError() << "has no kernel for heads of " << size
                                 << " elements for target '" << target.name
                                 << "' (at most " << most << ")";
        AttendPlan plan = attendPlan(o, isPrompt);
        if (plan.onTensorCores)
          return emit("attend_prompt", kThreads, [&](StageKernel &k) {
            emitPromptAttend(k, o, kvElement, plan);
          });
        arenaBytes =
            std::max(arenaBytes, scratchOffset + uint64_t(plan.scratchBytes()));
        auto rope = dyn_cast<llm::RopeAppendOp>(stage.front());
        return emit(
            rope ? "attend_append" : "attend", kThreads,
            [&](StageKernel &k) { emitAttend(k, o, kvElement, plan, rope); });
      })
      .Case([&](llm::AddNormOp o) {
        return emit("add_norm", kThreads,
                    [&](StageKernel &k) { emitAddNorm(k, o); });
      })
      .Case([&](llm::LatentAppendOp o) {
        return emit("latent_append", kWarpSize,
                    [&](StageKernel &k) { emitLatentAppend(k, o, kvElement); });
      })
      .Case([&](llm::RouteOp o) {
        return emit("route", kWarpSize,
                    [&](StageKernel &k) { emitRoute(k, o); });
      })
      .Case([&](llm::CombineOp o) {
        return emit("combine", kThreads,
                    [&](StageKernel &k) { emitCombine(k, o); });
      })
      .Case([&](llm::SelectOutputsOp o) {
        return emit("select_outputs", kThreads,
                    [&](StageKernel &k) { emitSelectOutputs(k, o); });
      })
      .Case([&](qz::QuantizeOp o) -> LogicalResult {
        if (!isStoredInTiles(o))
          return o.emitOpError("has no kernel without the matmuls it is for");
        return emit("row_tiles", kTileThreads,
                    [&](StageKernel &k) { emitRowTiles(k, o); });
      })
      .Case([&](qz::MatmulOp o) -> LogicalResult {
        std::string why;
        std::optional<MatmulPlan> plan = planMatmul(o, target, isPrompt, why);
        if (!plan)
          return o.emitOpError() << "has no kernel for target '" << target.name
                                 << "' (" << why << ")";
        setStrides(*plan, kernel);
        if (plan->inTiles) {
          describeTileMatmul(*plan, kernel);
          return emit("tile_matmul", kTileThreads,
                      [&](StageKernel &k) { emitTileMatmul(k, *plan); });
        }
        if (plan->onTensorCores) {
          describeMatmul(*plan, kernel);
          describeBlocks(*plan, kernel);
          return emitEarly("matmul", plan->threads(),
                           [&](StageKernel &k) { emitMatmul(k, *plan); });
        }
        describePlainMatmul(*plan, kernel);
        describeBlocks(*plan, kernel);
        return emit("plain_matmul", kThreads,
                    [&](StageKernel &k) { emitPlainMatmul(k, *plan); });
      })
      .Default([&](Operation *other) {
        return other->emitOpError()
               << "has no kernel for target '" << target.name << "'";
      });
}

FailureOr<unsigned>
Program::kernelFor(ArrayRef<Operation *> stage, StringRef key,
                   function_ref<LogicalResult(GpuKernel &)> emit) {
  auto [entry, isNew] = kernelOf.try_emplace(key, unsigned(kernels.size()));
  if (isNew) {
    GpuKernel kernel;
    if (failed(emit(kernel)))
      return failure();
    kernels.push_back(std::move(kernel));
    launches.kernels.push_back({});
  }
  GpuKernel &kernel = kernels[entry->second];
  std::string name = stageName(stage.back());
  if (!llvm::is_contained(kernel.stages, name))
    kernel.stages.push_back(name);
  return entry->second;
}

FailureOr<unsigned> Program::kernelFor(ArrayRef<Operation *> stage) {
  bool isLogits = !stage.back()->hasAttr("buffer");
  dependsOnPrompt |= hasPromptKernel(stage);
  dependsOnCount |= severalPlan(stage).has_value();
  if (stage.size() > 1 && isa<llm::AttendOp>(stage.back()))
    dependsOnPrompt = dependsOnCount = true;
  return kernelFor(stage, kernelKey(stage, isLogits), [&](GpuKernel &kernel) {
    return emitKernel(stage, kernel);
  });
}

LogicalResult Program::lowerStage(ArrayRef<Operation *> stage,
                                  const Places &places) {
  if (failed(checkRowsAreKept(stage)))
    return failure();
  if (isSeveral)
    if (std::optional<MatmulPlan> plan = severalPlan(stage))
      return lowerSeveral(stage, *plan, places);
  FailureOr<unsigned> number = kernelFor(stage);
  return failed(number) ? failure() : addLaunch(stage, *number, places);
}

std::optional<MatmulPlan>
Program::severalPlan(ArrayRef<Operation *> stage) const {
  auto matmul = dyn_cast<qz::MatmulOp>(stage.back());
  if (!matmul || stage.size() == 1 || isPrompt)
    return std::nullopt;
  std::string why;
  std::optional<MatmulPlan> alone = planMatmul(matmul, target, false, why);
  return alone ? planSeveral(*alone, target) : std::nullopt;
}

/// A launch that stores the rows, and one that multiplies them.
LogicalResult Program::lowerSeveral(ArrayRef<Operation *> stage,
                                    const MatmulPlan &plan,
                                    const Places &places) {
  arenaBytes =
      std::max(arenaBytes, halvesOffset + uint64_t(rowHalvesOf(plan).bytes()));
  ArrayRef<Operation *> rows = stage.take_front();
  std::string rowsKey = kernelKey(rows, /*isLogits=*/false);
  llvm::raw_string_ostream(rowsKey)
      << plan.warps << ' ' << plan.needsSums << ' ' << plan.sumGroup << ' '
      << plan.hasSixteenths;
  FailureOr<unsigned> storing =
      kernelFor(rows, rowsKey, [&](GpuKernel &kernel) {
        return emitBody(rows, kernel, "row_halves", plan.threads(),
                        [&](StageKernel &k) {
                          k.awaitStages();
                          emitRowHalves(k, plan);
                        });
      });
  if (failed(storing) || failed(addLaunch(rows, *storing, places)))
    return failure();
  bool isLogits = !stage.back()->hasAttr("buffer");
  FailureOr<unsigned> multiplying = kernelFor(
      stage, "several " + kernelKey(stage, isLogits), [&](GpuKernel &kernel) {
        setStrides(plan, kernel);
        describeSeveralMatmul(plan, kernel);
        return emitBody(stage, kernel, "several_matmul", plan.threads(),
                        [&](StageKernel &k) { emitSeveralMatmul(k, plan); });
      });
  return failed(multiplying) ? failure()
                             : addLaunch(stage, *multiplying, places);
}

LogicalResult Program::addLaunch(ArrayRef<Operation *> stage, unsigned number,
                                 const Places &places) {
  Operation *op = stage.back();
  const GpuKernel &kernel = kernels[number];
  Launch launch;
  launch.name = op->getName().stripDialect().str();
  launch.kernel = number;
  launch.layer = layer;
  launch.units = kernel.units;
  launch.rowsPerBlock = kernel.rowsPerBlock;
  launch.sharedBytes = kernel.sharedBytes;
  launch.sharedBytesPerRow = kernel.sharedBytesPerRow;
  if (outputs.contains(op->getResult(0)))
    launch.per = QCC_GPU_PER_OUTPUT;
  SmallVector<Value> operands = stageOperands(stage);
  for (const KernelParameter &parameter : kernel.parameters) {
    qcc_gpu_operand_v1 operand = {parameter.index, 0, 0, 0};
    Value value;
    if (parameter.kind == KernelParameter::Operand)
      value = operands[parameter.index];
    else if (parameter.kind == KernelParameter::Result)
      value = op->getResult(0);
    if (parameter.kind == KernelParameter::Scratch)
      operand = {QCC_GPU_ARENA, 0,
                 parameter.index == KernelParameter::attention ? scratchOffset
                                                               : halvesOffset,
                 0};
    if (value) {
      auto found = places.find(value);
      if (found == places.end())
        return op->emitOpError("has an operand or a result without a place");
      operand = found->second;
    }
    launch.operands.push_back(operand);
  }
  launches.kernels[number] = {kernel.name, kernel.threads,
                              launch.mostSharedBytes()};
  (isPrompt    ? launches.promptLaunches
   : isSeveral ? launches.severalLaunches
               : launches.launches)
      .push_back(std::move(launch));
  return success();
}
