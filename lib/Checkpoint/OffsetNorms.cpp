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
  TensorPart part;
  part.name = tensor.name;
  part.type = tensor.type->name;
  part.dims = tensor.dims;
  part.file = tensor.file;
  part.offset = tensor.offset;
  part.bytes = tensor.bytes;
  tensor.parts = {std::move(part)};
  tensor.format = &kOnePlusFormat;
  tensor.storedEncoding = *findGGMLType("F32")->encoding;
  tensor.storedNumbers = {tensor.type->id};
  tensor.type = nullptr;
}
