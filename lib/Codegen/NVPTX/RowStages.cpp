//===- RowStages.cpp - Kernels of stages that work on single rows ---------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "RowStages.h"

#include "dialects/QZ/QZDialect.h"
#include "qcc/Codegen/Common/VectorMath.h"
#include "qcc/Formats/PackedWeight.h"
#include "AttentionStages.h"
#include "PanelDecoder.h"
#include "RowNorm.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

unsigned nvptx::blocksFor(int64_t items) {
  constexpr int64_t kMost = 32;
  return unsigned(
      std::clamp<int64_t>((items + kThreads - 1) / kThreads, 1, kMost));
}

void nvptx::forItems(StageKernel &stage, int64_t items,
                     function_ref<void(Value)> body) {
  WarpEmitter &e = stage.e;
  Value first = e.add(e.mul(stage.unit, kThreads), stage.thread);
  e.loop(first, e.c32(items), kThreads * stage.kernel.units, body);
}

static Value loadU32(WarpEmitter &e, Value base, Value index) {
  return e.load(e.i32(), e.offset(base, e.mul(e.zext(index, e.i64()), 4)),
                llvm::Align(4));
}

/// Writes scale * row `number` of `table` to `out`, or adds it to what is
/// there.
static void embed(StageKernel &stage, Value table, Value number, double scale,
                  Value out, bool isAdded) {
  WarpEmitter &e = stage.e;
  auto type = cast<qz::QTensorType>(table.getType());
  PackedWeight packed(type.getEncoding().toEncoding(),
                      size_t(type.getColumns()));
  Value row = e.bitAnd(number, PackedLayout::kRows - 1);
  Value panel =
      e.offset(stage.address(table),
               e.mul(e.zext(e.udiv(number, PackedLayout::kRows), e.i64()),
                     int64_t(packed.panelBytes)));
  for (const PackedWeight::Run &run : packed.runs) {
    PanelDecoder decoder(e, packed, run);
    int64_t columns = int64_t(run.columns);
    forItems(stage, (columns + 3) / 4, [&](Value word) {
      Values values =
          decoder.word(e.offset(panel, int64_t(run.offset)), row, word);
      Value first = e.mul(word, 4);
      for (int64_t i = 0; i < 4; ++i) {
        Value k = e.add(first, i);
        Value at =
            e.offset(out, e.mul(e.add(k, int64_t(run.begin.element)), 4));
        auto store = [&] {
          Value value = e.mulf(values[size_t(i)], scale);
          if (isAdded)
            value = e.addf(e.load(e.f32(), at, llvm::Align(4)), value);
          e.store(value, at, llvm::Align(4));
        };
        if (columns % 4 == 0)
          store();
        else
          e.ifThen(e.lessThan(k, e.c32(columns)), store);
      }
    });
  }
}

void nvptx::emitEmbedding(StageKernel &stage, llm::EmbeddingOp op) {
  WarpEmitter &e = stage.e;
  Value row = e.blockIndex(gpu::Dimension::y);
  Value out = stage.resultRow(row);
  // Whoever adds a position's element waits for whoever wrote it.
  stage.kernel.units =
      op.getPositions() ? 1 : blocksFor(columnsOf(op.getResult()) / 4);
  embed(stage, op.getTable(), loadU32(e, stage.field(QCC_GPU_TOKEN), row),
        op.getScale().convertToFloat(), out, false);
  if (!op.getPositions())
    return;
  e.blockBarrier();
  embed(stage, op.getPositions(),
        loadU32(e, stage.field(QCC_GPU_POSITION), row), 1.0, out, true);
}

void nvptx::emitRotations(StageKernel &stage, llm::RotationsOp op,
                          int64_t units) {
  WarpEmitter &e = stage.e;
  Value row = e.blockIndex(gpu::Dimension::y);
  emitClearCounters(stage, units, row);
  ArrayRef<float> frequencies = op.getFrequencies();
  auto count = int64_t(frequencies.size());
  double factor = op.getFactor().convertToFloat();
  Value table = e.constantArray(frequencies);
  Value position =
      e.intToFloat(loadU32(e, stage.field(QCC_GPU_POSITION), row), e.f32());
  Value out = stage.resultRow(row);
  forItems(stage, count, [&](Value i) {
    Value angle = e.mulf(e.gather(table, i, e.f32()), position);
    auto [sin, cos] = emitSinCos(e, angle);
    Value to = e.offset(out, e.mul(i, 4));
    e.store(e.mulf(cos, factor), to, llvm::Align(4));
    e.store(e.mulf(sin, factor), to, count * 4, llvm::Align(4));
  });
}

void nvptx::emitAddNorm(StageKernel &stage, llm::AddNormOp op) {
  WarpEmitter &e = stage.e;
  Value row = e.blockIndex(gpu::Dimension::y);
  int64_t columns = columnsOf(op.getResult());
  Value input = stage.rowOf(op.getInput(), row),
        residual = stage.rowOf(op.getResidual(), row),
        weight = stage.address(op.getWeight()), out = stage.resultRow(row);
  // Each warp makes the norm for itself.
  RowNorm norm = emitRowNorm(stage, input, columns, /*isCentered=*/false,
                             op.getEps().convertToFloat());
  // The result may be the input, which other warps still read.
  e.blockBarrier();
  e.loop(stage.thread, e.c32(columns), kThreads, [&](Value k) {
    auto load = [&](Value base) {
      return e.load(e.f32(), e.offset(base, e.mul(k, 4)), llvm::Align(4));
    };
    Value normed = e.mulf(load(input), norm.factor);
    e.store(e.fma(normed, load(weight), load(residual)),
            e.offset(out, e.mul(k, 4)), llvm::Align(4));
  });
}

void nvptx::emitSelectOutputs(StageKernel &stage, llm::SelectOutputsOp op) {
  WarpEmitter &e = stage.e;
  Value output = e.blockIndex(gpu::Dimension::y);
  Value from = stage.rowOf(op.getInput(),
                           loadU32(e, stage.field(QCC_GPU_OUTPUT), output));
  Value to = stage.resultRow(output);
  stage.kernel.units = blocksFor(columnsOf(op.getResult()));
  forItems(stage, columnsOf(op.getResult()), [&](Value k) {
    Value at = e.mul(k, 4);
    e.store(e.load(e.f32(), e.offset(from, at), llvm::Align(4)),
            e.offset(to, at), llvm::Align(4));
  });
}
