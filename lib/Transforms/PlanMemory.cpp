//===- PlanMemory.cpp - A place in the arena for every value --------------===//
// SPDX-License-Identifier: Apache-2.0
//
// @step and its bodies are straight lines, so the life of a value is an
// interval of operation numbers, and the plan is exact: nothing is allocated
// when a model runs. Bodies are planned apart from @step, since each runs many
// times; they share the memory above what @step keeps across calls.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/HalfTiles.h"
#include "qcc/Transforms/ActivationLayout.h"
#include "qcc/Transforms/Passes.h"
#include "StepFunction.h"

#include "llvm/Support/MathExtras.h"

#include <list>

namespace qcc {
#define GEN_PASS_DEF_PLANMEMORYPASS
#include "qcc/Transforms/Passes.h.inc"
} // namespace qcc

using namespace mlir;
using namespace qcc;

/// Rows and buffers start on cache lines.
static constexpr int64_t kAlignment = 64;
/// Bounds that keep all sizes far from overflow.
static constexpr int64_t kMaxColumns = int64_t(1) << 31;
static constexpr int64_t kMaxRows = int64_t(1) << 20;

static int64_t align(int64_t bytes) {
  return int64_t(llvm::alignTo(uint64_t(bytes), kAlignment));
}

namespace {
/// Numbers of the stages of a block; arguments are older than all of them.
struct Interval {
  int64_t begin, end;

  /// Whether the two are live together, or close enough for a stage that reads
  /// one to still run while another already writes the other.
  bool meets(const Interval &other) const {
    return begin <= other.end + 1 && other.begin <= end + 1;
  }
};

/// Memory of one or more values that follow each other.
struct Buffer {
  SmallVector<Value> values;
  Interval life;
  int64_t bytes = 0;
  int64_t offset = -1; ///< Not placed yet.
};

struct Capacity {
  int64_t rows, generateRows;
};

/// The buffers of one block.
class BlockPlan {
public:
  BlockPlan(Block &block, Capacity capacity)
      : block(block), capacity(capacity) {
    // Naming a weight or a state is no stage and takes no time. Neither does
    // routing, after which threads need not wait in generating steps.
    int64_t stages = 0;
    for (Operation &op : block)
      numbers[&op] =
          isa<qz::UseOp, llm::StateOp, llm::RouteOp, llm::RouteAllOp>(op)
              ? stages
              : stages++;
  }

  /// Makes the buffers of all values that the block makes; with `inOut` also of
  /// the first argument, which the returned value then shares. Otherwise the
  /// returned values have no buffer.
  LogicalResult build(bool inOut);

  Buffer *find(Value value) const { return byValue.lookup(value); }
  int64_t number(Operation *op) const { return numbers.lookup(op); }
  std::list<Buffer> &buffers() { return list; }
  int64_t inPlace() const { return inPlaceCount; }

  /// Puts `buffer` at the first free place at or above `base`.
  void place(Buffer &buffer, int64_t base);
  /// End of the last buffer placed.
  int64_t end() const;

private:
  FailureOr<int64_t> bytes(Value value) const;
  int64_t lastUse(Value value) const;
  LogicalResult addValue(Value value, Buffer *into);
  LogicalResult join(Buffer &into, Buffer &from, Operation *op);

  Block &block;
  Capacity capacity;
  std::list<Buffer> list; ///< In order of life.begin; addresses are stable.
  DenseMap<Value, Buffer *> byValue;
  DenseMap<Operation *, int64_t> numbers;
  int64_t inPlaceCount = 0;
};
} // namespace

/// Bytes between rows of `rows`.
static int64_t rowStride(RankedTensorType rows) {
  return align(rows.getDimSize(1) * int64_t(sizeof(float)));
}

/// Experts of the matmuls that read `op`.
static int64_t numberOfExperts(qz::QuantizeOp op) {
  int64_t most = 1;
  for (Operation *user : op->getUsers())
    if (auto matmul = dyn_cast<qz::MatmulOp>(user))
      most =
          std::max(most, cast<qz::QTensorType>(matmul.getWeights()[0].getType())
                             .getMatrices());
  return most;
}

/// Bytes of the result of `op` with `rows` rows of `activations`.
static int64_t quantizedBytes(qz::QuantizeOp op, qz::Activations activations,
                              int64_t rows) {
  int64_t slots = op.getType().getSlots();
  rows *= slots;
  // Each expert's rows may begin a tile.
  if (op.getExperts())
    rows +=
        std::min(rows, numberOfExperts(op)) * (ActivationLayout::kMostTile - 1);
  return align(activationBytes(op.getType().getColumns(), activations,
                               *op.getSumGroup(), rows));
}

/// The operand that `op` may overwrite with its result, null if none.
static Value inPlaceOperand(Operation *op) {
  if (auto matmul = dyn_cast<qz::MatmulOp>(op))
    return matmul.getResidual();
  if (auto add = dyn_cast<llm::AddNormOp>(op))
    return add.getResidual();
  if (auto combine = dyn_cast<llm::CombineOp>(op))
    return combine.getResidual();
  if (auto call = dyn_cast<func::CallOp>(op))
    return call.getNumOperands() ? call.getOperand(0) : Value();
  return {};
}

/// Whether `op` multiplies activations that are made of `rows`, which others of
/// its units may still do while one writes its result.
static bool multiplies(Operation *op, Value rows) {
  auto matmul = dyn_cast<qz::MatmulOp>(op);
  auto quantize =
      matmul ? matmul.getInput().getDefiningOp<qz::QuantizeOp>() : nullptr;
  return quantize && quantize.getInput() == rows;
}

/// What BlockPlan keeps: rows and quantized activations.
static bool needsBuffer(Value value) {
  return isa<RankedTensorType, qz::QActivationType>(value.getType());
}

//===----------------------------------------------------------------------===//
// BlockPlan
//===----------------------------------------------------------------------===//

FailureOr<int64_t> BlockPlan::bytes(Value value) const {
  auto fail = [&](const Twine &why) {
    return emitError(value.getLoc()) << "cannot plan memory: " << why;
  };
  if (auto rows = dyn_cast<RankedTensorType>(value.getType())) {
    if (rows.getRank() != 2 || rows.isDynamicDim(1) ||
        !rows.getElementType().isF32() || rows.getDimSize(1) > kMaxColumns)
      return fail("expected rows of f32, at most 2^31 wide");
    return capacity.rows * rowStride(rows);
  }
  auto quantize = value.getDefiningOp<qz::QuantizeOp>();
  if (!quantize || !quantize.getGenerate() || !quantize.getPrompt() ||
      !quantize.getSumGroup())
    return fail("expected activations made by a qz.quantize that "
                "qcc-select-activations has seen");
  qz::QActivationType type = quantize.getType();
  if (type.getColumns() > kMaxColumns / type.getSlots())
    return fail("expected activations of all slots at most 2^31 wide");
  int64_t most = std::max(
      quantizedBytes(quantize, *quantize.getGenerate(), capacity.generateRows),
      quantizedBytes(quantize, *quantize.getPrompt(), capacity.rows));
  // Blocks of 16 bits may be stored as tiles.
  if (quantize.getPromptBlocks() &&
      (*quantize.getPrompt() == qz::Activations::F16 ||
       *quantize.getPrompt() == qz::Activations::BF16))
    most = std::max(most,
                    align(HalfTiles(type.getColumns(), *quantize.getSumGroup())
                              .bytes(capacity.rows)));
  return most;
}

int64_t BlockPlan::lastUse(Value value) const {
  Operation *def = value.getDefiningOp();
  int64_t last = def ? number(def) : -1;
  for (Operation *user : value.getUsers()) {
    last = std::max(last, number(user));
    // Whoever multiplies activations may make them for itself, and whoever
    // attends may turn its queries and append first.
    if (isa<qz::QuantizeOp, llm::RopeAppendOp>(user))
      for (Operation *product : user->getUsers())
        last = std::max(last, number(product));
  }
  return last;
}

/// Gives `value` a buffer of its own, or the memory of `into`.
LogicalResult BlockPlan::addValue(Value value, Buffer *into) {
  FailureOr<int64_t> size = bytes(value);
  if (failed(size))
    return failure();
  Operation *def = value.getDefiningOp();
  Interval life = {def ? number(def) : -1, lastUse(value)};
  if (!into) {
    list.push_back({{}, life, 0, -1});
    into = &list.back();
  }
  into->values.push_back(value);
  into->bytes = std::max(into->bytes, *size);
  into->life.end = std::max(into->life.end, life.end);
  byValue[value] = into;
  return success();
}

/// Moves the values of `from` to `into`; `op` needs them in one place.
LogicalResult BlockPlan::join(Buffer &into, Buffer &from, Operation *op) {
  if (&into == &from)
    return success();
  if (into.life.meets(from.life))
    return op->emitOpError() << "needs two values in one buffer while both are "
                                "in use";
  for (Value value : from.values) {
    into.values.push_back(value);
    byValue[value] = &into;
  }
  into.bytes = std::max(into.bytes, from.bytes);
  // What lies between the two lives is kept free as well.
  into.life = {std::min(into.life.begin, from.life.begin),
               std::max(into.life.end, from.life.end)};
  list.remove_if([&](const Buffer &buffer) { return &buffer == &from; });
  return success();
}

LogicalResult BlockPlan::build(bool inOut) {
  if (inOut && failed(addValue(block.getArgument(0), nullptr)))
    return failure();
  Operation *terminator = block.getTerminator();
  Buffer *called = nullptr;
  for (Operation &op : block)
    for (Value value : op.getResults()) {
      if (!needsBuffer(value))
        continue;
      if (!inOut && llvm::is_contained(terminator->getOperands(), value))
        continue;
      Buffer *shared = nullptr;
      if (Value operand = inPlaceOperand(&op)) {
        shared = find(operand);
        if (shared && lastUse(operand) > number(&op)) {
          if (isa<func::CallOp>(op))
            return op.emitOpError()
                   << "changes its first operand, which is used afterwards";
          shared = nullptr;
        }
        // A body's result must be where its first argument is.
        if (multiplies(&op, operand) &&
            !(inOut && llvm::is_contained(terminator->getOperands(), value)))
          shared = nullptr;
        inPlaceCount += shared != nullptr;
      }
      // The result belongs into the argument's memory; directly if that is
      // free.
      if (inOut && llvm::is_contained(terminator->getOperands(), value)) {
        Buffer *argument = find(block.getArgument(0));
        if (argument->life.end + 1 < number(&op))
          shared = argument;
      }
      if (failed(addValue(value, shared)))
        return failure();
      if (!isa<func::CallOp>(op))
        continue;
      if (!called)
        called = find(value);
      else if (failed(join(*called, *find(value), &op)))
        return failure();
    }
  if (!inOut)
    return success();
  Buffer *result = find(terminator->getOperand(0));
  if (!result)
    return terminator->emitOpError()
           << "returns rows that the body has not made";
  return join(*find(block.getArgument(0)), *result, terminator);
}

void BlockPlan::place(Buffer &buffer, int64_t base) {
  SmallVector<Buffer *> others;
  for (Buffer &other : list)
    if (&other != &buffer && other.offset >= 0 && other.life.meets(buffer.life))
      others.push_back(&other);
  llvm::sort(others,
             [](Buffer *a, Buffer *b) { return a->offset < b->offset; });
  buffer.offset = base;
  for (Buffer *other : others) {
    if (buffer.offset + buffer.bytes <= other->offset)
      break;
    buffer.offset = std::max(buffer.offset, other->offset + other->bytes);
  }
}

int64_t BlockPlan::end() const {
  int64_t end = 0;
  for (const Buffer &buffer : list)
    if (buffer.offset >= 0)
      end = std::max(end, buffer.offset + buffer.bytes);
  return end;
}

//===----------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------===//

namespace {
struct PlanMemoryPass : qcc::impl::PlanMemoryPassBase<PlanMemoryPass> {
  using Base::Base;

  void runOnOperation() override {
    if (failed(plan()))
      signalPassFailure();
  }

private:
  LogicalResult plan() {
    ModuleOp module = getOperation();
    if (rowCapacity < 1 || rowCapacity > kMaxRows || generateRows < 1 ||
        generateRows > kMaxRows)
      return module.emitError()
             << "expected 1 to " << kMaxRows << " rows, got a capacity of "
             << rowCapacity << " and " << generateRows << " to generate";
    FailureOr<func::FuncOp> step = findStep(module);
    if (failed(step))
      return failure();
    FailureOr<SmallVector<func::FuncOp>> bodies = findBodies(*step);
    if (failed(bodies))
      return failure();

    Capacity capacity = {rowCapacity, generateRows};
    module.walk([&](qz::QuantizeOp op) {
      if (op.getPromptBlocks())
        capacity.rows = int64_t(llvm::alignTo(uint64_t(rowCapacity.getValue()),
                                              ActivationLayout::kBlock));
    });
    BlockPlan stepPlan(entryBlock(*step), capacity);
    if (failed(stepPlan.build(/*inOut=*/false)))
      return failure();

    // First what lives across calls, then the bodies above it, then the rest.
    SmallVector<Interval> calls;
    int64_t residual = 0;
    for (auto call : entryBlock(*step).getOps<func::CallOp>())
      calls.push_back({stepPlan.number(call), stepPlan.number(call)});
    for (Buffer &buffer : stepPlan.buffers())
      if (llvm::any_of(calls, [&](auto &c) { return c.meets(buffer.life); }))
        stepPlan.place(buffer, 0);
    int64_t bodyBase = stepPlan.end(), arenaEnd = bodyBase;
    for (auto call : entryBlock(*step).getOps<func::CallOp>())
      if (Buffer *buffer = find(stepPlan, call))
        residual = buffer->offset;
      else
        return call.emitOpError()
               << "expected rows as first operand and result";
    for (func::FuncOp body : *bodies) {
      BlockPlan bodyPlan(entryBlock(body), capacity);
      if (failed(planBody(body, bodyPlan, residual, bodyBase)))
        return failure();
      arenaEnd = std::max(arenaEnd, bodyPlan.end());
    }
    for (Buffer &buffer : stepPlan.buffers())
      if (buffer.offset < 0)
        stepPlan.place(buffer, 0);
    write(stepPlan);
    arenaEnd = std::max(arenaEnd, stepPlan.end());

    Builder builder(module);
    module->setAttr("llm.row_capacity", builder.getI64IntegerAttr(rowCapacity));
    module->setAttr("llm.arena_bytes", builder.getI64IntegerAttr(arenaEnd));
    module->setAttr("llm.thread_bytes",
                    builder.getI64IntegerAttr(threadBytes()));
    return success();
  }

  /// The buffer that `call` takes and returns, null when there is none.
  static Buffer *find(BlockPlan &plan, func::CallOp call) {
    if (call.getNumOperands() == 0 || call.getNumResults() != 1)
      return nullptr;
    Buffer *buffer = plan.find(call.getResult(0));
    return buffer == plan.find(call.getOperand(0)) ? buffer : nullptr;
  }

  LogicalResult planBody(func::FuncOp body, BlockPlan &plan, int64_t residual,
                         int64_t base) {
    if (failed(plan.build(/*inOut=*/true)))
      return failure();
    Value argument = entryBlock(body).getArgument(0);
    plan.find(argument)->offset = residual;
    for (Buffer &buffer : plan.buffers())
      if (buffer.offset < 0)
        plan.place(buffer, base);
    write(plan);
    Builder builder(body);
    body.setArgAttr(0, "llm.buffer", builder.getI64IntegerAttr(residual));
    body.setArgAttr(0, "llm.stride",
                    builder.getI64IntegerAttr(
                        rowStride(cast<RankedTensorType>(argument.getType()))));
    return success();
  }

  void write(BlockPlan &plan) {
    Builder builder(&getContext());
    for (Buffer &buffer : plan.buffers())
      for (Value value : buffer.values) {
        Operation *op = value.getDefiningOp();
        if (!op)
          continue;
        ++numBuffers;
        op->setAttr("buffer", builder.getI64IntegerAttr(buffer.offset));
        if (auto rows = dyn_cast<RankedTensorType>(value.getType()))
          op->setAttr("stride", builder.getI64IntegerAttr(rowStride(rows)));
      }
    numInPlace += plan.inPlace();
  }

  /// Room for the largest activations that a thread makes for itself.
  int64_t threadBytes() {
    int64_t bytes = 0;
    getOperation().walk([&](qz::QuantizeOp op) {
      if (op->hasAttr("generate_replicated"))
        bytes = std::max(bytes,
                         quantizedBytes(op, *op.getGenerate(), generateRows));
    });
    return bytes;
  }
};
} // namespace
