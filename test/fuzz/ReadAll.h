//===- ReadAll.h - Uses all of a checkpoint that was accepted ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_TEST_FUZZ_READALL_H
#define QCC_TEST_FUZZ_READALL_H

#include "qcc/Checkpoint/Checkpoint.h"

namespace qcc::fuzz {

/// Reads what the rest of the compiler would: all metadata through the typed
/// accessors, all bytes of all tensors, some values. Traps when an invariant
/// does not hold. The result depends on what was read, so that no read is
/// removed.
uint64_t readAll(const Checkpoint &checkpoint);

/// Both descriptions, which cost more than all the rest.
uint64_t describe(const Checkpoint &checkpoint);

} // namespace qcc::fuzz

#endif // QCC_TEST_FUZZ_READALL_H
