//===- MatmulInputs.h - What enters each matmul, as NPY files ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CLI_MATMULINPUTS_H
#define QCC_RUNTIME_CLI_MATMULINPUTS_H

#include "Program.h"

namespace qcc::cli {

/// Evaluates the tokens as runLogits() does, writes their logits to `file`
/// behind its header, and into the new folder `path` for each matmul the file
/// WEIGHT.npy, float32 [positions, in features]. The folder appears when it is
/// complete.
void writeMatmulInputs(Program &program, const Options &options,
                       const std::vector<int32_t> &tokens, OutputFile &file,
                       const std::string &path);

} // namespace qcc::cli

#endif // QCC_RUNTIME_CLI_MATMULINPUTS_H
