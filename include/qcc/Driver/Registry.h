//===- Registry.h - Every dialect and pass of qcc ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_DRIVER_REGISTRY_H
#define QCC_DRIVER_REGISTRY_H

#include "llvm/ADT/StringRef.h"

namespace mlir {
class DialectRegistry;
}

namespace qcc {

/// The dialects that modules of any stage use, with their translations to LLVM
/// IR.
void registerAllDialects(mlir::DialectRegistry &registry);

/// Every pass and pipeline that qcc runs, for textual pipelines and for
/// --print-ir-after. Call it once.
void registerAllPasses();

/// Whether there is a pass of this name ("cse"). Registers all passes at the
/// first call.
bool isPass(llvm::StringRef name);

} // namespace qcc

#endif // QCC_DRIVER_REGISTRY_H
