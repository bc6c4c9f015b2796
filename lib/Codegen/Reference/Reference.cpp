//===- Reference.cpp - The definition of correct --------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// The module as a whole: weights, states, functions, the step.
//===----------------------------------------------------------------------===//

#include "qcc/Codegen/Reference/Reference.h"

#include "Function.h"

#include "qcc/Codegen/Common/StepABI.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace qcc;

static uint64_t aligned(uint64_t bytes, uint64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

uint64_t qcc::layoutReferenceWeights(ModuleOp module, uint64_t base) {
  uint64_t offset = aligned(base, 64);
  for (auto weight : module.getOps<qz::WeightOp>()) {
    qz::QTensorType type = weight.getType();
    uint64_t bytes = uint64_t(type.getElements()) * sizeof(float);
    weight.setLayout(qz::Layout::Plain);
    weight.setOffset(int64_t(offset));
    weight.setBytes(int64_t(bytes));
    offset = aligned(offset + bytes, 64);
  }
  return offset;
}

static FailureOr<uint64_t> moduleNumber(ModuleOp module, StringRef name) {
  auto value = module->getAttrOfType<IntegerAttr>(name);
  if (!value || value.getInt() <= 0 || value.getInt() > INT32_MAX) {
    module.emitError() << "expected a module attribute " << name
                       << " between 1 and " << INT32_MAX;
    return failure();
  }
  return uint64_t(value.getInt());
}

/// A function whose form the lowering relies on.
static LogicalResult checkFunction(func::FuncOp function) {
  if (function.isExternal() || !function.getBody().hasOneBlock())
    return function.emitOpError() << "expected a body of one block";
  if (function.getNumResults() != 1 ||
      !isa<RankedTensorType>(function.getResultTypes().front()))
    return function.emitOpError() << "expected one tensor as result";
  return success();
}

LogicalResult qcc::lowerToReference(ModuleOp source,
                                    const ReferenceOptions &options,
                                    ModelCode &code) {
  MLIRContext *context = source.getContext();
  context
      ->loadDialect<arith::ArithDialect, LLVM::LLVMDialect, scf::SCFDialect>();
  auto vocab = moduleNumber(source, "llm.vocab");
  auto hidden = moduleNumber(source, "llm.hidden");
  auto layers = moduleNumber(source, "llm.layers");
  auto positions = moduleNumber(source, "llm.context");
  if (failed(vocab) || failed(hidden) || failed(layers) || failed(positions))
    return failure();
  auto entry = source.lookupSymbol<func::FuncOp>("step");
  if (!entry)
    return source.emitError() << "expected a function @step";

  code = ModelCode();
  code.module = ModuleOp::create(source.getLoc());
  code.stepSymbol = stepSymbolName(options.index);
  code.rowCapacity = options.rowCapacity;
  code.vocab = uint32_t(*vocab);
  code.hidden = uint32_t(*hidden);
  code.layers = uint32_t(*layers);
  code.context = uint32_t(*positions);
  code.activations = "f32";
  code.kv = options.kv;

  // A thread's own memory: scores of one query over the whole context, or of a
  // row for each expert, and twice for each group of them.
  uint64_t scores = code.context;
  source.walk([&](llm::RouteOp op) {
    scores = std::max(scores, uint64_t(op.getLogits().getType().getDimSize(1)) +
                                  2 * op.getGroups());
  });
  code.arenaThreadBytes = aligned(scores * sizeof(float), 64);
  ReferenceModule module(source, *code.module, code.arenaThreadBytes,
                         options.rowCapacity, options.kv == "q8");
  for (auto state : source.getOps<llm::KVStateOp>()) {
    auto type = cast<llm::StateType>(state.getType());
    module.stateIndex[state.getSymName()] = unsigned(code.states.size());
    uint64_t bytes = uint64_t(type.getKeyColumns() + type.getValueColumns()) *
                     QCC_PAGE_TOKENS * sizeof(float);
    code.states.push_back({bytes, uint32_t(state.getWindow()), 0});
  }

  for (auto function : source.getOps<func::FuncOp>()) {
    if (failed(checkFunction(function)))
      return failure();
    module.declare(function);
  }

  FunctionLowering main(module, entry, 0, /*trace=*/true);
  if (failed(main.run()))
    return failure();
  uint64_t end = main.arenaEnd();
  for (auto function : source.getOps<func::FuncOp>()) {
    if (function == entry)
      continue;
    // Only the entry calls: all others may use the same memory after its own.
    if (!function.getOps<func::CallOp>().empty())
      return function.emitOpError() << "calls, which only @step may";
    FunctionLowering lowering(module, function, main.arenaEnd(), false);
    if (failed(lowering.run()))
      return failure();
    end = std::max(end, lowering.arenaEnd());
  }
  code.arenaBytes = end;
  code.matmuls = std::move(module.matmuls);
  code.matmulColumns = module.matmulColumns;

  OpBuilder builder = OpBuilder::atBlockEnd(code.module->getBody());
  LLVM::LLVMFuncOp step =
      createStepFunction(builder, source.getLoc(), code.stepSymbol);
  builder.setInsertionPointToStart(&step.getBody().front());
  SmallVector<Value> arguments(step.getArguments());
  arguments.push_back(
      loadStepField(builder, source.getLoc(), arguments[0], StepField::Logits));
  LLVM::CallOp::create(builder, source.getLoc(),
                       module.functions.lookup(entry.getName()), arguments);
  LLVM::ReturnOp::create(builder, source.getLoc(), ValueRange{});
  return success();
}
