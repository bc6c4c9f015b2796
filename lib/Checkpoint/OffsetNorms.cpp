//===- OffsetNorms.cpp - Norms that multiply by 1 + w ---------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "OffsetNorms.h"

using namespace qcc;

bool qcc::hasOffsetNorms(std::string_view modelType) {
  return modelType == "gemma" || modelType == "gemma2" ||
         modelType == "gemma3_text";
}

void qcc::addOneToNorm(Tensor &tensor) {
  bool isFloat = tensor.type->encoding && tensor.type->encoding->isFloat();
  if (!isFloat || tensor.dims.size() != 1 ||
      !tensor.name.ends_with("norm.weight"))
    return;
  tensor.storeAs(kOnePlusFormat, *findGGMLType("F32")->encoding,
                 {tensor.type->id});
}
