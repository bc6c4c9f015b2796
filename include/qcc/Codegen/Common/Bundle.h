//===- Bundle.h - The model's tables as an object ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Everything in a compiled model that is neither code nor weights:
// qcc_bundle_v1, one qcc_model_v1 for each target, tokenizer, chat template and
// info, as constants of one object file.
//===----------------------------------------------------------------------===//

#ifndef QCC_CODEGEN_COMMON_BUNDLE_H
#define QCC_CODEGEN_COMMON_BUNDLE_H

#include "qcc/Codegen/Common/ModelCode.h"
#include "qcc/Codegen/Common/Target.h"

#include "llvm/ADT/SmallVector.h"
#include <optional>

namespace qcc {

/// One row of the bundle's models.
struct BundleModel {
  const TargetSpec *target = nullptr;
  const ModelCode *code = nullptr; ///< `module` is not read.
};

struct BundleContents {
  std::vector<BundleModel> models; ///< In ascending order of preference.
  std::string name, architecture, compiler;
  llvm::ArrayRef<uint8_t> tokenizer; ///< Image of runtime/text.
  std::optional<std::string> chatTemplate;
  std::vector<std::pair<std::string, std::string>> templates; ///< By name.
  std::string info;                                           ///< JSON.
  uint64_t parameters = 0;
  uint64_t weightBytes = 0;
  uint64_t weightBytesPerToken = 0;
  std::string checkpoint;  ///< Its format, and what was changed on import.
  std::string weightTypes; ///< A line for each type.
};

/// The object that defines QCC_BUNDLE_SYMBOL.
llvm::Expected<llvm::SmallVector<char, 0>>
emitBundle(const BundleContents &contents);

} // namespace qcc

#endif // QCC_CODEGEN_COMMON_BUNDLE_H
