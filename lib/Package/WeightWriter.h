//===- WeightWriter.h - Streams weights into an output file -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_PACKAGE_WEIGHTWRITER_H
#define QCC_LIB_PACKAGE_WEIGHTWRITER_H

#include "Payload.h"

#include "qcc/Package/AtomicFile.h"
#include "qcc/Package/Package.h"

namespace qcc {

/// Runs `weights`, writes what it produces to `file` from `offset` on, and
/// returns the hash. Memory stays bounded by one buffer.
llvm::Expected<WeightHash>
writeWeights(const WeightStream &weights, AtomicFile &file, uint64_t offset,
             const std::function<void(uint64_t, uint64_t)> &progress);

} // namespace qcc

#endif // QCC_LIB_PACKAGE_WEIGHTWRITER_H
