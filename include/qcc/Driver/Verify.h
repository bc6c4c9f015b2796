//===- Verify.h - Compare a target with the reference -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Compiles a model for a target and for the reference, runs both on the same
// tokens and says how far they are apart, layer by layer.
//===----------------------------------------------------------------------===//

#ifndef QCC_DRIVER_VERIFY_H
#define QCC_DRIVER_VERIFY_H

#include "qcc/Driver/Compiler.h"

namespace qcc {

/// How far one stage of the model is from the reference.
struct Distance {
  double maxAbs = 0;      ///< Largest difference of an element.
  double relativeRms = 0; ///< Root mean square of it, over that of the values.
};

/// One way of feeding the tokens.
struct VerifyRun {
  std::string name;             ///< "prompt" or "decode".
  std::vector<Distance> layers; ///< Residual stream before and after each.
  Distance logits;
  double meanKL = 0, maxKL = 0; ///< Of the next-token distributions, nats.
  double top1 = 0; ///< Share of positions with the same most likely token.
};

struct VerifyOptions {
  /// Input, target (exactly one), precisions. Output and --emit are not used.
  CompileOptions compile;
  std::string prompt; ///< Empty: a fixed text.
  unsigned threads = 0;
};

/// Compiles and runs. Temporary files go to the system's temporary folder and
/// are removed.
llvm::Expected<std::vector<VerifyRun>> verify(const VerifyOptions &options);

/// The result as a table.
void printVerification(llvm::ArrayRef<VerifyRun> runs, llvm::raw_ostream &os);

} // namespace qcc

#endif // QCC_DRIVER_VERIFY_H
