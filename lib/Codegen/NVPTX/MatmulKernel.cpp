//===- MatmulKernel.cpp - One kernel of a matmul stage --------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "MatmulKernel.h"

#include "qcc/Codegen/Common/VectorMath.h"
#include "PanelStream.h"
#include "RowPrologue.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

int64_t nvptx::rowStride(int64_t columns) { return (columns + 15) / 16 * 64; }

namespace {
/// Emits the body of one kernel.
class MatmulKernel {
public:
  MatmulKernel(WarpEmitter &e, const MatmulPlan &plan, const GpuKernel &kernel,
               ValueRange arguments)
      : e(e), plan(plan), kernel(kernel) {
    for (auto [parameter, value] : llvm::zip(kernel.parameters, arguments)) {
      if (parameter.kind == KernelParameter::Weight)
        weights.push_back(value);
      else
        named[parameter.kind] = value;
    }
  }

  void emit();

private:
  /// The part of a segment that the block's unit is.
  struct UnitOfRun {
    Values panels;
    Value column;  ///< i32: first column of the result.
    Value columns; ///< i32: how many of the 16 exist.
  };
  UnitOfRun locate(const WeightRun &run);
  void forRun(function_ref<void(const WeightRun &)> body);
  void emitEpilogue();
  Value partialSum(unsigned stream, Value column, Value row);

  WarpEmitter &e;
  const MatmulPlan &plan;
  const GpuKernel &kernel;
  Values weights;
  llvm::SmallDenseMap<int, Value> named;
  BlockContext block;
  Value unit, firstRow;
};
} // namespace

/// Picks what belongs to the segment of the block's unit, without branches.
MatmulKernel::UnitOfRun MatmulKernel::locate(const WeightRun &run) {
  UnitOfRun result;
  Value weight, panel, rows;
  for (const WeightRun::Segment &segment : run.segments) {
    Value own = e.add(unit, -segment.firstUnit);
    Value column = e.add(e.mul(own, 16), segment.firstColumn);
    if (!weight) {
      weight = weights[segment.weight];
      panel = own;
      result.column = column;
      rows = e.c32(segment.rows);
      continue;
    }
    Value here =
        e.cmp(arith::CmpIPredicate::sge, unit, e.c32(segment.firstUnit));
    weight = e.select(here, weights[segment.weight], weight);
    panel = e.select(here, own, panel);
    result.column = e.select(here, column, result.column);
    rows = e.select(here, e.c32(segment.rows), rows);
  }
  result.columns =
      e.minU(e.sub(rows, e.mul(panel, 16)), e.c32(PackedLayout::kRows));
  for (unsigned s = 0; s < run.streams.size(); ++s) {
    int64_t bytes = int64_t(run.streams[s].panelBytes(size_t(plan.k)));
    result.panels.push_back(e.offset(s ? weights[s] : weight,
                                     e.mul(e.zext(panel, e.i64()), bytes)));
  }
  return result;
}

/// Emits `body` for the run that the block's unit belongs to.
void MatmulKernel::forRun(function_ref<void(const WeightRun &)> body) {
  if (plan.runs.size() == 1)
    return body(plan.runs.front());
  int64_t begin = 0;
  for (const WeightRun &run : plan.runs) {
    Value after = e.cmp(arith::CmpIPredicate::sge, unit, e.c32(begin));
    Value before = e.lessThan(unit, e.c32(run.endUnit));
    e.ifThen(arith::AndIOp::create(e.b, e.loc, after, before),
             [&] { body(run); });
    begin = run.endUnit;
  }
}

/// The dot product of one column and row: the sums of all warps, in order.
Value MatmulKernel::partialSum(unsigned stream, Value column, Value row) {
  // Where mma leaves it: lane (column % 8) * 4 + row / 2.
  Value lane = e.add(e.mul(e.bitAnd(column, 7), 4), e.shift(row, -1));
  Value element = e.add(e.mul(e.shift(column, -3), 2), e.bitAnd(row, 1));
  Value at = e.offset(
      e.offset(block.shared, MatmulPlan::partialOffset + stream * 32 * 16),
      e.add(e.mul(lane, 16), e.mul(element, 4)));
  Value sum;
  for (int64_t w = 0; w < kWarps; ++w) {
    Value part =
        e.load(e.f32(), at, w * plan.streams() * 32 * 16, llvm::Align(4));
    sum = sum ? e.addf(sum, part) : part;
  }
  return e.mulf(sum, e.load(e.f32(),
                            e.offset(e.offset(block.shared, e.mul(row, 4)),
                                     MatmulPlan::factorOffset),
                            llvm::Align(4)));
}

/// One result for each thread: 16 columns of 8 rows.
void MatmulKernel::emitEpilogue() {
  Value column = e.bitAnd(block.thread, 15), row = e.shift(block.thread, -4);
  Value first, columns;
  for (const WeightRun &run : plan.runs) {
    UnitOfRun found = locate(run);
    if (first) {
      Value here = e.cmp(arith::CmpIPredicate::sge, unit,
                         e.c32(run.segments.front().firstUnit));
      first = e.select(here, found.column, first);
      columns = e.select(here, found.columns, columns);
    } else {
      first = found.column;
      columns = found.columns;
    }
  }
  Value exists = arith::AndIOp::create(e.b, e.loc, e.lessThan(column, columns),
                                       e.lessThan(row, block.valid));
  e.ifThen(exists, [&] {
    Value result = partialSum(0, column, row);
    Value globalRow = e.zext(e.add(firstRow, row), e.i64());
    Value at = e.add(e.mul(globalRow, kernel.outputStride),
                     e.mul(e.zext(e.add(first, column), e.i64()), 4));
    qz::MatmulOp op = plan.matmul;
    result = emitActivation(e, op.getEpilogue(), result);
    if (op.isGlu())
      result = e.mulf(result, partialSum(1, column, row));
    if (op.getEpilogue() == qz::Epilogue::Logits) {
      result = e.mulf(result, double(op.getScale()->convertToFloat()));
      if (double cap = op.getSoftcap()->convertToFloat(); cap != 0)
        result = emitSoftcap(e, result, cap);
    }
    if (op.getResidual())
      result =
          e.addf(e.load(e.f32(), e.offset(named[KernelParameter::Residual], at),
                        llvm::Align(4)),
                 result);
    e.store(result, e.offset(named[KernelParameter::Output], at),
            llvm::Align(4));
  });
}

void MatmulKernel::emit() {
  block.thread = e.threadIndex();
  block.warp = e.shift(block.thread, -5);
  block.lane = e.bitAnd(block.thread, kWarpSize - 1);
  block.shared =
      LLVM::AddressOfOp::create(e.b, e.loc, e.sharedPointer(), kSharedSymbol);
  unit = e.blockIndex(gpu::Dimension::x);
  Value perBlock = named[KernelParameter::RowsPerBlock];
  firstRow = arith::MulIOp::create(e.b, e.loc, e.blockIndex(gpu::Dimension::y),
                                   perBlock);
  block.valid = e.minU(perBlock, e.sub(named[KernelParameter::Rows], firstRow));
  block.inputStride = kernel.inputStride;
  block.input = e.offset(named[KernelParameter::Input],
                         e.mul(e.zext(firstRow, e.i64()), kernel.inputStride));
  block.norm = named.lookup(KernelParameter::Norm);

  // Weights are on their way while the rows are made.
  forRun([&](const WeightRun &run) {
    PanelStream(e, plan, run, block, locate(run).panels).emitPrefetch();
  });
  emitRowPrologue(e, plan, block);
  forRun([&](const WeightRun &run) {
    Values sums = PanelStream(e, plan, run, block, locate(run).panels).emit();
    for (unsigned s = 0; s < plan.streams(); ++s) {
      Value vector = LLVM::PoisonOp::create(e.b, e.loc, e.vec(4, e.f32()));
      for (int64_t i = 0; i < 4; ++i)
        vector = vector::InsertOp::create(e.b, e.loc, sums[4 * s + unsigned(i)],
                                          vector, i);
      Value slot = e.add(e.mul(block.warp, plan.streams()), int64_t(s));
      slot = e.add(e.mul(slot, kWarpSize), block.lane);
      e.store(vector,
              e.offset(e.offset(block.shared, MatmulPlan::partialOffset),
                       e.mul(slot, 16)),
              llvm::Align(16));
    }
  });
  e.blockBarrier();
  emitEpilogue();
}

void nvptx::emitMatmulKernel(gpu::GPUModuleOp module, const MatmulPlan &plan,
                             GpuKernel &kernel) {
  qz::MatmulOp op = plan.matmul;
  qz::QuantizeOp quantize = plan.quantize;
  using Kind = KernelParameter;
  kernel.parameters.push_back({Kind::Input});
  if (quantize.getNorm())
    kernel.parameters.push_back({Kind::Norm});
  for (unsigned i = 0; i < op.getWeights().size(); ++i)
    kernel.parameters.push_back({Kind::Weight, i});
  if (op.getResidual())
    kernel.parameters.push_back({Kind::Residual});
  kernel.parameters.push_back({Kind::Output});
  kernel.parameters.push_back({Kind::Rows});
  kernel.parameters.push_back({Kind::RowsPerBlock});
  kernel.units = unsigned(plan.units);
  kernel.threads = unsigned(kThreads);
  kernel.rowsPerBlock = unsigned(plan.rowsPerBlock);
  kernel.sharedBytes = unsigned(plan.rowsOffset());
  kernel.sharedBytesPerRow = unsigned(plan.rowBytes);

  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  WarpEmitter e(builder, op.getLoc());
  SmallVector<Type> types;
  for (const KernelParameter &parameter : kernel.parameters)
    types.push_back(parameter.kind < Kind::Rows ? e.globalPointer() : e.i32());
  auto function = gpu::GPUFuncOp::create(builder, op.getLoc(), kernel.name,
                                         builder.getFunctionType(types, {}));
  function->setAttr(gpu::GPUDialect::getKernelFuncAttrName(),
                    builder.getUnitAttr());
  function.setKnownBlockSize(
      std::optional<SmallVector<int32_t>>({int32_t(kThreads), 1, 1}));
  for (auto [i, parameter] : llvm::enumerate(kernel.parameters)) {
    if (parameter.kind >= Kind::Rows)
      continue;
    auto set = [&](StringRef name, Attribute value) {
      function.setArgAttr(unsigned(i), name, value);
    };
    set(LLVM::LLVMDialect::getAlignAttrName(), builder.getI64IntegerAttr(16));
    // Rows may be changed in place; norms and weights are never written.
    if (parameter.kind == Kind::Norm || parameter.kind == Kind::Weight) {
      set(LLVM::LLVMDialect::getNoAliasAttrName(), builder.getUnitAttr());
      set(LLVM::LLVMDialect::getReadonlyAttrName(), builder.getUnitAttr());
    }
  }
  builder.setInsertionPointToStart(&function.getBody().front());
  MatmulKernel(e, plan, kernel, function.getArguments()).emit();
  gpu::ReturnOp::create(builder, op.getLoc());
}
