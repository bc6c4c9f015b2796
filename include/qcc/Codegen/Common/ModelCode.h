//===- ModelCode.h - What a backend makes of a model ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The common result of every backend: the step function (or a GPU's kernels) as
// MLIR below the level of tensors, and the numbers of qcc_model_v1 that the
// runtime needs to run it.
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_COMMON_MODELCODE_H
#define QCC_CODEGEN_COMMON_MODELCODE_H

#include "dialects/QZ/QZDialect.h"
#include "qcc-rt/qcc_abi.h"
#include "qcc/Codegen/Common/LaunchProgram.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include <optional>
#include <string>
#include <vector>

namespace qcc {

/// As in qcc_matmul_v1.
struct MatmulInput {
  std::string weight;
  uint64_t first = 0;
  uint32_t columns = 0;
};

/// As in qcc_stage_v1.
struct ProfiledStage {
  std::string name;
  uint64_t weightBytes = 0, macs = 0;
  uint32_t runs = 0;
};

struct ModelCode {
  /// llvm, scf, cf, arith, math, vector and func only; `stepSymbol` is a
  /// qcc_step_fn, every other definition is private. For a GPU, one gpu.module.
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::string stepSymbol;
  /// For a GPU, in place of a step function.
  std::optional<LaunchProgram> gpu;

  std::vector<qcc_state_v1> states;
  /// All matmuls of a step that gives their inputs; else none.
  std::vector<MatmulInput> matmuls;
  uint64_t matmulColumns = 0;
  /// What a profile of a step tells apart; none: it cannot be profiled.
  std::vector<ProfiledStage> stages;
  uint64_t arenaBytes = 0;
  uint64_t arenaThreadBytes = 0;
  uint32_t rowCapacity = 0;
  uint32_t vocab = 0;
  uint32_t hidden = 0;
  uint32_t layers = 0;
  uint32_t context = 0;
  bool splits = false;     ///< Whether it runs some layers alone when asked to.
  std::string activations; ///< "decode a16, prompt a8, head a16".
  std::string kv;          ///< "f16".
};

/// The integer attribute `name` of a module; 0 without.
uint32_t numberOf(mlir::ModuleOp source, llvm::StringRef name);

/// The type of stored keys and values, "f16", "bf16", "f32" or "q8": i8, with
/// scales beside them (QuantizedState.h). After an error, null.
mlir::Type kvElementType(mlir::ModuleOp source, llvm::StringRef name);

/// Fills in what follows from the module alone: vocabulary, sizes, capacity of
/// rows, and how activations and state enter. `usable` is what a target makes
/// of activations that it is allowed.
void describeModel(mlir::ModuleOp source, llvm::StringRef kv,
                   llvm::function_ref<qz::Activations(qz::Activations)> usable,
                   ModelCode &code);

/// "qcc_step_0": the step function of the target at `index` of the bundle.
std::string stepSymbolName(unsigned index);

} // namespace qcc

#endif // QCC_CODEGEN_COMMON_MODELCODE_H
