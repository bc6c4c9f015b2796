//===- Quantize.h - Float checkpoints read as quantized ones ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_CHECKPOINT_QUANTIZE_H
#define QCC_CHECKPOINT_QUANTIZE_H

#include "qcc/Checkpoint/Checkpoint.h"
#include "qcc/Formats/Quantize.h"

namespace qcc {

/// Lets each float matrix be read as codes of `type`, rounded as its rows are
/// read; the files stay as they are. Those named in `sensitive` (the embedding
/// and the head) get type.sensitive instead, and of either its fallback where
/// rows are no whole number of groups; one that has no whole groups of that
/// stays float, as vectors do, and matrices whose names end in one of `exact`
/// (routers, and biases of experts).
///
/// Fails, naming the tensor, when a matrix is quantized already.
Result<Checkpoint>
quantizeCheckpoint(Checkpoint checkpoint, const QuantizationType &type,
                   std::span<const std::string_view> sensitive,
                   std::span<const std::string_view> exact = {});

} // namespace qcc

#endif // QCC_CHECKPOINT_QUANTIZE_H
