//===- Suggest.h - What a mistyped name may have meant ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CLI_SUGGEST_H
#define QCC_RUNTIME_CLI_SUGGEST_H

#include <string>
#include <vector>

namespace qcc::cli {

/// The known name within two edits of `name` that needs the fewest; empty if
/// there is none.
std::string nearest(const std::string &name,
                    const std::vector<std::string> &known);

} // namespace qcc::cli

#endif // QCC_RUNTIME_CLI_SUGGEST_H
