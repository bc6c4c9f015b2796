//===- AWQ.h - Weights of AWQ checkpoints -----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_AWQ_H
#define QCC_LIB_CHECKPOINT_AWQ_H

#include "SourceTensors.h"

namespace qcc {

enum class AWQPacking { GEMM, GEMV, GEMVFast };

struct AWQScheme {
  AWQPacking packing = AWQPacking::GEMM;
  int64_t group = 0; ///< -1: one group.
};

/// Checks what a config says of bits and groups; sets the error of `fields`.
void checkAWQ(JsonFields &fields, int64_t bits, int64_t group);

/// Takes the arrays of `module`, which has "<module>.qweight", and checks them.
Result<Tensor> readAWQWeight(const AWQScheme &scheme, SourceTensors &sources,
                             TextPool &texts, std::string module);

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_AWQ_H
