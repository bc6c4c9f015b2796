//===- Linker.h - LLD inside the process, without files ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_PACKAGE_LINKER_H
#define QCC_LIB_PACKAGE_LINKER_H

#include "qcc/Package/Package.h"

#include <string>

namespace qcc {

/// Links `objects` with the runtime and the payload note to a complete ELF file
/// in memory. Reads the files of `supportDir` and nothing else, starts no
/// program and writes no file.
llvm::Expected<std::string> link(llvm::ArrayRef<llvm::MemoryBufferRef> objects,
                                 llvm::StringRef supportDir,
                                 const PackageOptions &options);

} // namespace qcc

#endif // QCC_LIB_PACKAGE_LINKER_H
