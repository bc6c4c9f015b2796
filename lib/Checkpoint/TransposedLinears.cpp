//===- TransposedLinears.cpp - Linear layers stored as [in, out] ----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "TransposedLinears.h"

using namespace qcc;

bool qcc::hasTransposedLinears(std::string_view modelType) {
  return modelType == "gpt2";
}

static bool isLinear(std::string_view name) {
  for (const char *end : {".c_attn.weight", ".c_proj.weight", ".c_fc.weight"})
    if (name.ends_with(end))
      return true;
  return false;
}

void qcc::transposeLinear(Tensor &tensor) {
  bool isFloat = tensor.type->encoding && tensor.type->encoding->isFloat();
  if (!isFloat || tensor.dims.size() != 2 || !isLinear(tensor.name))
    return;
  const uint64_t out = tensor.dims[0];
  tensor.storeAs(kStridedFormat, *tensor.type->encoding,
                 {tensor.type->id, out, 0, 0, 1, out});
  std::swap(tensor.dims[0], tensor.dims[1]);
}
