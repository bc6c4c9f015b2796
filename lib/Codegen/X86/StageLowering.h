//===- StageLowering.h - One function of stages as SPMD code ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_X86_STAGELOWERING_H
#define QCC_LIB_CODEGEN_X86_STAGELOWERING_H

#include "dialects/LLM/LLMDialect.h"
#include "qcc/Codegen/Common/StepABI.h"
#include "qcc/Codegen/X86/LowerToX86.h"
#include "AttentionKernel.h"
#include "MatmulKernel.h"
#include "Profile.h"

namespace qcc::x86 {

/// A kind of step that has code of its own.
struct StepMode {
  const char *name; ///< Suffix of its functions.
  bool prompt;
  int64_t tile; ///< Rows of an activation tile, as far as registers allow.
};

/// What all functions of one target share.
struct LoweringContext {
  mlir::ModuleOp source; ///< The schedule.
  mlir::ModuleOp module; ///< Being built.
  Isa isa;
  Type kvElement;
  MatmulKernels matmuls;
  Profile profile;
  /// Offset of the scratch of stages in a thread's memory, and its size.
  int64_t scratchOffset = 0, scratchBytes = 0;
  int64_t sharedBytes = 0; ///< Of the arena, before the threads' memory.
  /// Offset of what a thread keeps of each llm.route in its memory, after the
  /// scratch, and the size of all.
  llvm::DenseMap<mlir::Operation *, int64_t> routeOffsets;
  int64_t routeBytes = 0;

  LoweringContext(mlir::ModuleOp source, mlir::ModuleOp module,
                  const TargetSpec &target, Type kvElement)
      : source(source), module(module), isa(target), kvElement(kvElement),
        matmuls(module, isa), profile(source) {}

  /// Offsets in the arena of what generating steps keep of parts of attention:
  /// how many are done of each row and block of heads, which is 0 between
  /// stages, then their results.
  int64_t partsDoneAt = 0, partsAt = 0;

  int64_t arenaBytes() const;
  int64_t threadBytes() const;
  /// Places them after the first `bytes` of the arena and adds what they take.
  void planParts(int64_t &bytes);
  AttentionShape attentionShape(llm::StateType state,
                                int64_t queryColumns) const;
  /// Address of a private constant array of f32 or i64.
  mlir::LLVM::GlobalOp constantData(mlir::StringRef name,
                                    mlir::DenseElementsAttr values);
};

/// An integer attribute of a module; 0 if it is not there.
int64_t moduleNumber(mlir::ModuleOp module, mlir::StringRef name);
/// N of a tensor<?xNxf32>.
int64_t columnsOf(mlir::Value rows);
/// Bytes between rows of a tensor<?xNxf32> in the arena.
int64_t rowStride(mlir::Value rows);

/// How the rows of `op` are stored.
ActivationLayout activationLayout(const Isa &isa, qz::QuantizeOp op,
                                  bool isPrompt, int64_t tile);

/// Bytes of a thread's scratch that an llm.attend needs.
int64_t attendStageBytes(const Isa &isa, const AttentionShape &shape);

/// Whether `op` says which experts the rows of a step have: an llm.route or
/// llm.route_all.
bool isRouting(mlir::Operation *op);
/// Sizes of what it makes.
RouteShape routeShape(mlir::Operation *op);
/// Bytes that a thread keeps of it: the routes, a dispatch for each tile, then
/// what routing a row takes.
int64_t routeThreadBytes(mlir::Operation *op);

/// Lowers @step or a body for one mode to a function
///
///   (step, i64 thread, i64 threads, row of the layer table) -> i1
///
/// whose result is false when the step was cancelled. A layer's row holds its
/// body's number, then for each argument of the body, batch excepted: the
/// offset of a weight, the number of a state or the arena offset of rows.
class StageLowering {
public:
  StageLowering(LoweringContext &context, const StepMode &mode,
                mlir::func::FuncOp source);

  /// Null after an error.
  mlir::func::FuncOp lower();

  /// Pages of the step's sequences, and where its rows go.
  struct Pages {
    Value positions, sequences, table, perSequence;
    Value stride; ///< Bytes from a page of a state to its next.
  };

private:
  // Operations, one function each.
  void lowerEmbedding(llm::EmbeddingOp op);
  void lowerRotations(llm::RotationsOp op);
  void lowerQuantize(qz::QuantizeOp op);
  void lowerMatmul(qz::MatmulOp op);
  void lowerRopeAppend(llm::RopeAppendOp op);
  /// What a row's heads are made of.
  struct RopeRow {
    Value qkv, rotations;
  };
  RopeRow ropeRow(llm::RopeAppendOp op, Value row);
  HeadNorm headNorm(llm::RopeAppendOp op, Value weight, Value row, Value head,
                    int64_t first);
  void ropeQuery(llm::RopeAppendOp op, const AttentionShape &shape,
                 const RopeRow &row, Value head, Value out);
  void ropeKey(llm::RopeAppendOp op, const AttentionShape &shape,
               const RopeRow &row, Value head, Value page, Value position,
               Value turned);
  void storeValue(const AttentionShape &shape, const RopeRow &row, Value head,
                  Value page, Value position);
  /// The llm.rope_append that the units of `op` do themselves in this mode;
  /// null if it is a stage.
  llm::RopeAppendOp ownRope(llm::AttendOp op) const;
  bool isLeftToAttend(mlir::Operation *op) const;
  void lowerLatentAppend(llm::LatentAppendOp op);
  void lowerAttend(llm::AttendOp op);
  /// Of rows from `row` on and query heads from `head` on.
  AttentionOperands attentionOperands(llm::AttendOp op,
                                      const AttentionShape &shape,
                                      const Pages &pages, Value row,
                                      Value head);
  void lowerAttendParts(llm::AttendOp op, const AttentionShape &shape);
  void lowerAttendPrompt(llm::AttendOp op, const AttentionShape &shape);
  void lowerAttendTiles(llm::AttendOp op, const AttentionShape &shape);
  /// At the start of a step.
  void clearPartsDone();
  void lowerAddNorm(llm::AddNormOp op);
  void lowerSelectOutputs(llm::SelectOutputsOp op);
  void lowerRoute(llm::RouteOp op);
  void lowerRouteAll(llm::RouteAllOp op);
  void lowerCombine(llm::CombineOp op);
  /// A run of calls: a loop over the layer table.
  mlir::LogicalResult lowerLayers(llvm::ArrayRef<mlir::func::CallOp> calls);
  mlir::LogicalResult lowerOp(mlir::Operation *op);

  void bindArguments(Value row);
  /// Pointer to a value's buffer, weight or state.
  Value place(Value value) { return places.lookup(value); }
  /// Rows of a value in this step, as i64.
  Value rowCount(Value value) {
    return outputs.contains(value) ? outputCount : rows;
  }
  ActivationLayout activationLayout(qz::QuantizeOp op, int64_t tile) const {
    return x86::activationLayout(context.isa, op, mode.prompt, tile);
  }
  /// Memory of the thread that a stage may use.
  Value stageScratch() { return e.offset(scratch, context.scratchOffset); }
  /// Emits `body` for the tile of this mode; where a prompt may want few of its
  /// rows, also for a tile of one, and chooses when the step runs.
  void forTiles(qz::QuantizeOp op,
                llvm::function_ref<void(const ActivationLayout &)> body);
  /// Whether each thread makes all rows of `op` for itself.
  bool isReplicated(qz::QuantizeOp op) const;
  /// Makes the routes of each row with `unit`, then what matmuls with these
  /// experts need.
  void makeRoutes(mlir::Operation *op, Value count,
                  llvm::function_ref<void(Value)> unit);
  /// Tiles of the activations that matmuls with the experts of `op` read.
  llvm::SmallVector<int64_t> dispatchTiles(mlir::Operation *op);
  /// The thread's dispatch for a tile.
  Value dispatchAt(mlir::Operation *op, int64_t tile);
  Pages loadPages();
  int64_t arenaOffset(Value value);
  /// Place of a state among those that the module declares.
  int64_t stateNumber(llm::StateOp state);
  /// Pointer to the pages of state `number` (i64).
  Value loadState(Value number);

  /// Units [0, count), to each thread those that follow each other: neighbours
  /// often write to the same cache line.
  void forUnits(Value count, llvm::function_ref<void(Value)> body);
  /// Units [0, count) dealt to threads one by one.
  void forUnitsInTurn(Value count, llvm::function_ref<void(Value)> body);
  /// The same, from the first thread to the last and back: for units that take
  /// longer the later they come.
  void forUnitsThereAndBack(Value count, llvm::function_ref<void(Value)> body);
  /// Ends the stage: goes on in a new block once all threads are here.
  void barrier();
  /// Copies the residual stream to a field of the step, as its rows number
  /// `index`, unless that is null.
  void copyResidual(Value residual, StepField field, Value index);

  LoweringContext &context;
  StepMode mode;
  mlir::func::FuncOp source;
  mlir::OpBuilder builder;
  Emitter e;
  mlir::func::FuncOp function;
  mlir::Block *exit = nullptr;
  bool pendingBarrier = false;
  mlir::Operation *lastStage = nullptr; ///< That the next barrier waits for.
  int64_t firstLayer = 0;               ///< Of the next run of calls.

  Value step, thread, threads, rows, outputCount, arena, weights, scratch;
  llvm::DenseMap<Value, Value> places;
  llvm::DenseSet<Value> outputs;
};

/// The page of `state` that has `position` of a row's sequence.
Value pageOf(Emitter &e, const StageLowering::Pages &pages, Value state,
             Value row, Value position);

} // namespace qcc::x86

#endif // QCC_LIB_CODEGEN_X86_STAGELOWERING_H
