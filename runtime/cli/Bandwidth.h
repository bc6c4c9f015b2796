//===- Bandwidth.h - How fast this machine reads memory ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CLI_BANDWIDTH_H
#define QCC_RUNTIME_CLI_BANDWIDTH_H

#include <cstddef>
#include <cstdint>

namespace qcc::cli {

/// Bytes per second that `threads` threads read together: the better of the
/// mapped weights and of anonymous memory in huge pages. Takes about a second.
double readBandwidth(const uint8_t *weights, uint64_t bytes, uint32_t threads);

} // namespace qcc::cli

#endif // QCC_RUNTIME_CLI_BANDWIDTH_H
