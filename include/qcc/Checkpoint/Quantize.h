//===- Quantize.h - Float checkpoints read as quantized ones ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_CHECKPOINT_QUANTIZE_H
#define QCC_CHECKPOINT_QUANTIZE_H

#include "qcc/Checkpoint/Checkpoint.h"
#include "qcc/Formats/Quantize.h"

namespace qcc {

/// Lets each float matrix be read as codes of `type`, rounded as its rows are
/// read; the files stay as they are. Those in `eightBits` (the embedding and
/// the head, to which models are most sensitive) get q8_0 where `type` has
/// fewer bits, and so does a matrix whose rows are no whole number of groups;
/// one that has no whole blocks of 32 stays float, as vectors do.
///
/// Fails, naming the tensor, when a matrix is quantized already.
Result<Checkpoint>
quantizeCheckpoint(Checkpoint checkpoint, const QuantizationType &type,
                   std::span<const std::string_view> eightBits);

} // namespace qcc

#endif // QCC_CHECKPOINT_QUANTIZE_H
