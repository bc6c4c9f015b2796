//===- Info.h - What a compiled model says about itself ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_DRIVER_INFO_H
#define QCC_LIB_DRIVER_INFO_H

#include "qcc/Checkpoint/Checkpoint.h"
#include "qcc/Codegen/Common/Bundle.h"
#include "qcc/Driver/Compiler.h"

namespace qcc {

/// general.name, or the file's name without folder and suffix, or the name of a
/// Hugging Face folder.
std::string modelName(const Checkpoint &checkpoint);

/// JSON: the checkpoint's description (without paths, so that the same file
/// gives the same bytes anywhere), options and figures of the compilation.
std::string modelInfo(const Checkpoint &checkpoint,
                      const CompileOptions &options,
                      const BundleContents &contents);

} // namespace qcc

#endif // QCC_LIB_DRIVER_INFO_H
