//===- FP4.h - Weights that are floats of 4 bits ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_FP4_H
#define QCC_LIB_CHECKPOINT_FP4_H

#include "SourceTensors.h"

namespace qcc {

/// How a tool keeps such a weight: what the arrays are called after the
/// module's name, and what they are.
struct FP4Layout {
  const StoredFormat &format;
  const char *codes;       ///< u8 [out, in / 2]
  const char *scale;       ///< [out, in / group]
  const char *globalScale; ///< f32 [] or [1]; null without.
  unsigned group;
  /// For activations, which are not used here; null without.
  const char *inputScale;
};

/// compressed-tensors' mxfp4-pack-quantized and nvfp4-pack-quantized.
extern const FP4Layout kMXFP4Layout, kNVFP4Layout;
/// ModelOpt's NVFP4.
extern const FP4Layout kModelOptNVFP4Layout;

/// What MXFP4 means.
Encoding mxfp4Encoding();

/// Takes the arrays of `module`, which has the codes, and checks them.
Result<Tensor> readFP4Weight(const FP4Layout &layout, SourceTensors &sources,
                             TextPool &texts, std::string module);

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_FP4_H
