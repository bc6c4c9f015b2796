//===- LowerToX86.cpp - From the schedule to x86 code ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// The step function picks one of three modes: one generated row, several, or a
// prompt. They differ in how many rows share the unpacking of a panel and in
// how activations are stored; rows of generating steps have the same bits in
// both of their modes.
//===----------------------------------------------------------------------===//

#include "qcc/Codegen/X86/LowerToX86.h"

#include "qcc/Codegen/Common/StepABI.h"
#include "RowKernels.h"
#include "StageLowering.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

/// Rows of a generating step that share the unpacking of a panel.
static constexpr int64_t kGenerateTile = 4;
/// The same in prompt steps, as far as registers allow, where rows are not
/// multiplied in blocks.
static constexpr int64_t kPromptTile = 12;

/// Fills in what depends on the shapes of all functions.
static void planMemory(LoweringContext &context) {
  // Kernels read whole vectors at the end of a row's padding.
  context.sharedBytes = moduleNumber(context.source, "llm.arena_bytes") + 256;
  context.planParts(context.sharedBytes);
  context.scratchOffset = numberOf(context.source, "llm.thread_bytes");
  context.scratchOffset = (context.scratchOffset + 63) / 64 * 64;
  // Of what is appended to a state, one head at a time.
  context.source.walk([&](llm::KVStateOp op) {
    context.scratchBytes =
        std::max<int64_t>(context.scratchBytes,
                          cast<llm::StateType>(op.getType()).getHeadDim() * 4);
  });
  context.source.walk([&](llm::AttendOp op) {
    AttentionShape shape = context.attentionShape(
        op.getState().getType(), op.getQuery().getType().getDimSize(1));
    context.scratchBytes =
        std::max(context.scratchBytes, attendStageBytes(context.isa, shape));
    if (context.isa.hasHalfProducts && op.getPromptHalves())
      context.scratchBytes = std::max(
          context.scratchBytes, attendPromptScratchBytes(context.isa, shape));
  });
  int64_t capacity = moduleNumber(context.source, "llm.row_capacity");
  context.source.walk([&](qz::QuantizeOp op) {
    ActivationLayout layout =
        activationLayout(context.isa, op, /*isPrompt=*/true, kPromptTile);
    if (layout.isFixed)
      context.scratchBytes =
          std::max(context.scratchBytes, quantizeTileBytes(layout));
    for (Operation *user : op->getUsers())
      context.scratchBytes =
          std::max(context.scratchBytes,
                   MatmulKernels::scratchBytes(cast<qz::MatmulOp>(user), layout,
                                               capacity));
  });
  context.scratchBytes = (context.scratchBytes + 63) / 64 * 64;
  for (func::FuncOp function : context.source.getOps<func::FuncOp>()) {
    int64_t bytes = 0;
    function.walk([&](Operation *op) {
      if (!isRouting(op))
        return;
      context.routeOffsets[op] =
          context.scratchOffset + context.scratchBytes + bytes;
      bytes += routeThreadBytes(op);
    });
    context.routeBytes = std::max(context.routeBytes, bytes);
  }
}

static LogicalResult checkExperts(ModuleOp source) {
  WalkResult result = source.walk([](qz::MatmulOp op) {
    Operation *routing =
        op.getExperts() ? op.getExperts().getDefiningOp() : nullptr;
    if (!op.getExperts() || (routing && isRouting(routing)))
      return WalkResult::advance();
    op.emitError() << "expected experts of a routing beside it";
    return WalkResult::interrupt();
  });
  return failure(result.wasInterrupted());
}

static void emitStep(LoweringContext &context, StringRef symbol,
                     ArrayRef<StepMode> modes) {
  OpBuilder builder = OpBuilder::atBlockEnd(context.module.getBody());
  Location loc = context.source.getLoc();
  LLVM::LLVMFuncOp function = createStepFunction(builder, loc, symbol);
  Block *entry = &function.getBody().front();
  builder.setInsertionPointToEnd(entry);
  Emitter e(builder, loc);
  Value step = entry->getArgument(0);
  Value thread = e.zext(entry->getArgument(1), e.i64());
  Value threads = e.zext(entry->getArgument(2), e.i64());
  Value flags = loadStepField(builder, loc, step, StepField::Flags);
  Value rows = loadStepField(builder, loc, step, StepField::Rows);
  Value isPrompt = e.cmp(arith::CmpIPredicate::ne,
                         e.bitAnd(flags, QCC_STEP_PROMPT), e.zero(e.i32()));
  Value isOne = e.cmp(arith::CmpIPredicate::eq, rows, e.constant(e.i32(), 1));
  Value null = LLVM::ZeroOp::create(builder, loc, e.ptr());
  auto call = [&](const StepMode &mode) {
    func::CallOp::create(builder, loc, (Twine("step.") + mode.name).str(),
                         builder.getI1Type(),
                         ValueRange{step, thread, threads, null});
    LLVM::ReturnOp::create(builder, loc, ValueRange());
  };
  Block *blocks[3];
  for (unsigned i = 0; i < 3; ++i) {
    blocks[i] =
        builder.createBlock(&function.getBody(), function.getBody().end());
    call(modes[i]);
  }
  Block *generate =
      builder.createBlock(&function.getBody(), function.getBody().end());
  LLVM::CondBrOp::create(builder, loc, isOne, blocks[0], blocks[1]);
  builder.setInsertionPointToEnd(entry);
  LLVM::CondBrOp::create(builder, loc, isPrompt, blocks[2], generate);
}

LogicalResult qcc::lowerToX86(ModuleOp source, const TargetSpec &target,
                              const X86Options &options, StringRef stepSymbol,
                              ModelCode &code) {
  MLIRContext *mlir = source.getContext();
  mlir->loadDialect<LLVM::LLVMDialect, scf::SCFDialect, cf::ControlFlowDialect,
                    arith::ArithDialect, vector::VectorDialect,
                    func::FuncDialect>();
  Type kvElement = kvElementType(source, options.kv);
  if (!kvElement)
    return failure();
  if (failed(checkExperts(source)))
    return failure();
  OwningOpRef<ModuleOp> module = ModuleOp::create(source.getLoc());
  LoweringContext context(source, *module, target, kvElement);
  planMemory(context);

  const StepMode modes[] = {
      {"one", false, 1},
      {"several", false, kGenerateTile},
      {"prompt", true, kPromptTile},
  };
  for (const StepMode &mode : modes)
    for (func::FuncOp function : source.getOps<func::FuncOp>())
      if (!StageLowering(context, mode, function).lower())
        return failure();
  emitStep(context, stepSymbol, modes);

  for (llm::KVStateOp state : source.getOps<llm::KVStateOp>()) {
    auto type = cast<llm::StateType>(state.getType());
    AttentionShape shape = context.attentionShape(type, type.getKeyColumns());
    code.states.push_back(
        {uint64_t(shape.pageBytes()), uint32_t(state.getWindow()), 0});
  }
  code.stepSymbol = stepSymbol.str();
  code.arenaBytes = uint64_t(context.arenaBytes());
  code.arenaThreadBytes = uint64_t(context.threadBytes());
  code.splits = true;
  code.stages = context.profile.stages();
  Isa isa(target);
  describeModel(
      source, options.kv,
      [&](qz::Activations kind) { return isa.usable(kind); }, code);
  code.module = std::move(module);
  return success();
}
