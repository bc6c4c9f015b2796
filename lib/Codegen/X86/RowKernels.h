//===- RowKernels.h - Work on one row of activations ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Bodies of the stages whose work unit is a row: they are emitted inline at the
// insertion point. Rows are f32, contiguous; lengths are static.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CODEGEN_X86_ROWKERNELS_H
#define QCC_LIB_CODEGEN_X86_ROWKERNELS_H

#include "qcc/Formats/PackedWeight.h"
#include "qcc/Transforms/ActivationLayout.h"
#include "Isa.h"

namespace qcc::x86 {

/// Vectors of `lanes` elements cover a row; the last may be partial. Calls
/// `body` for offset k (i64) with the number of valid lanes: all but the last
/// call are in one loop.
void forRow(Emitter &e, int64_t lanes, int64_t columns,
            llvm::function_ref<void(Value k, int64_t valid)> body);

/// Loads the first `valid` elements of a vector; the others are 0 and not
/// touched in memory.
Value loadPartialOf(Emitter &e, mlir::VectorType type, Value pointer,
                    int64_t valid);
inline Value loadPartial(Emitter &e, int64_t lanes, Value pointer,
                         int64_t valid) {
  return loadPartialOf(e, e.vec(lanes, e.f32()), pointer, valid);
}
/// Stores the first `valid` elements.
void storePartial(Emitter &e, Value vector, Value pointer, int64_t valid);

/// The mean of `columns` elements.
Value rowMean(Emitter &e, const Isa &isa, Value row, int64_t columns);

/// 1 / sqrt(mean((x - mean)^2) + eps) of `columns` elements; a null mean is 0.
Value inverseRms(Emitter &e, const Isa &isa, Value row, int64_t columns,
                 float eps, Value mean = Value());

/// out = residual + input * inverseRms(input) * weight.
void addNormRow(Emitter &e, const Isa &isa, Value residual, Value input,
                Value weight, Value out, int64_t columns, float eps);

/// The norm of a qz.quantize. `weight` is null without one, `bias` where there
/// is none.
struct RowNorm {
  Value weight, bias;
  bool isCentered;
  float eps;
};

/// Writes row `row` (i64) of an activation buffer; `order` (of the elements, as
/// f32) may be null.
void quantizeRow(Emitter &e, const Isa &isa, Value input, const RowNorm &norm,
                 Value order, int64_t columns, const ActivationLayout &layout,
                 Value buffer, Value row);

/// Writes tile `tile` (i64) of an activation buffer in the fixed form; `input`
/// has its rows, `stride` bytes apart. Whole tiles are read. `scratch` has
/// quantizeTileBytes() of memory.
void quantizeTile(Emitter &e, const Isa &isa, Value input, int64_t stride,
                  const RowNorm &norm, Value order, int64_t columns,
                  const ActivationLayout &layout, Value buffer, Value tile,
                  Value scratch);
int64_t quantizeTileBytes(const ActivationLayout &layout);

/// What makes x of `valid` elements of an input row from its element k on;
/// `order` says which.
Value loadNormed(Emitter &e, Value input, const RowNorm &norm, Value mean,
                 Value factor, Value order, Value k, int64_t valid);

/// out = scale * row `index` (i64) of a packed weight, or with `isAdded` out +=
/// that.
void embeddingRow(Emitter &e, const Isa &isa, const PackedWeight &packed,
                  Value weight, Value index, float scale, Value out,
                  bool isAdded);

/// out = input * factor * weight, of `columns` f32; `weight` may be null.
void scaleRow(Emitter &e, const Isa &isa, Value input, Value weight,
              Value factor, Value out, int64_t columns);

/// Copies `columns` f32.
void copyRow(Emitter &e, const Isa &isa, Value from, Value to, int64_t columns);

} // namespace qcc::x86

#endif // QCC_LIB_CODEGEN_X86_ROWKERNELS_H
