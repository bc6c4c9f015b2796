//===- FP8.h - Weights that are floats of 8 bits ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_FP8_H
#define QCC_LIB_CHECKPOINT_FP8_H

#include "SourceTensors.h"

namespace qcc {

/// Which weights share a scale; 0 stands for all rows, or all columns.
struct ScaleTiles {
  uint64_t rows = 0, columns = 0;
};

/// True for the dtypes of weights that readFP8Weights takes.
bool isFP8(const SourceTensor &tensor);

/// Takes the arrays of `module`, which has "<module>.weight", and checks them.
Result<Tensor> readFP8Weight(const ScaleTiles &tiles,
                             std::string_view scaleName, SourceTensors &sources,
                             TextPool &texts, std::string module);

/// Takes all tensors "<module>.weight" of 8-bit floats and their scales,
/// "<module>.<scaleName>", one for each tile.
Error readFP8Weights(const ScaleTiles &tiles, std::string_view scaleName,
                     SourceTensors &sources, TextPool &texts,
                     std::vector<Tensor> &out);

/// [rows, columns] of a tile, as configs have it; false for anything else.
bool readScaleTiles(const Json &size, ScaleTiles &tiles);

/// The largest group of k that an encoding allows, that divides a row of
/// `columns`, and whose elements all have one scale where scales change every
/// `period` elements; 0 when there is none.
uint64_t commonGroup(uint64_t columns, uint64_t period);

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_FP8_H
