//===- Compiler.h - From a checkpoint to a compiled model -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The whole compilation as one call. Nothing is printed, except what the
// options ask for (times, IR) on the given stream.
//===----------------------------------------------------------------------===//

#ifndef QCC_DRIVER_COMPILER_H
#define QCC_DRIVER_COMPILER_H

#include "qcc/Codegen/Common/Target.h"
#include "qcc/Import/Architecture.h"

#include "llvm/Support/raw_ostream.h"
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace qcc {

/// What a compilation writes.
enum class EmitKind {
  Artefact, ///< Executable, or shared library with a name in ".so".
  Import,   ///< MLIR after the stage of that name.
  Fused,
  Layout,
  Schedule,
  LLVM, ///< LLVM IR after optimization.
  Asm,
  Ptx, ///< Assembly of a GPU.
  Obj,
};

struct CompileOptions {
  std::string input;  ///< Path of the checkpoint.
  std::string output; ///< "-" is llvm::outs(), for text; its
                      ///< owner checks it for errors.
  EmitKind emit = EmitKind::Artefact;
  std::vector<const TargetSpec *> targets; ///< Empty: the machine's own.

  /// a8, a8g16, a16, f16 or f32; empty: chosen for each format and target.
  std::string activations;
  /// f32, f16 or bf16; empty: f16, or f32 with f32 activations.
  std::string kv;
  /// Rounds float matrices to this type (Quantize.h); empty: they stay.
  std::string quantize;
  uint32_t context = 0; ///< Most positions of a sequence; 0: the model's own.
  /// Architectures beside those of the product; must outlive the compilation.
  std::span<const Architecture> extraArchitectures;
  bool externalWeights = false;
  /// NVIDIA's assembler by its path, or "auto" (found on the machine): adds
  /// machine code to what GPUs' targets have. Empty: PTX alone, so that the
  /// result does not depend on the machine.
  std::string ptxas;
  std::string symbolPrefix = "qcc_model";
  std::string supportDir; ///< Empty: lib/qcc beside the compiler.

  bool verbose = false;
  bool time = false;
  bool saveTemps = false;              ///< Every stage beside the output.
  std::vector<std::string> printAfter; ///< Passes whose result is printed.
  /// Receives times and printed IR.
  llvm::raw_ostream *log = nullptr;
  /// Called now and then while weights are packed.
  std::function<void(uint64_t done, uint64_t total)> progress;
};

/// Compiles `options.input`. The error is one line that names the file; no
/// output is left behind on failure.
llvm::Error compile(const CompileOptions &options);

/// "0.1.0".
const char *compilerVersion();

} // namespace qcc

#endif // QCC_DRIVER_COMPILER_H
