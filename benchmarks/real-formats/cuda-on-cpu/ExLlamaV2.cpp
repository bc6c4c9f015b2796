//===- ExLlamaV2.cpp - What of its extension a conversion calls -----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//
//
// The Python module exllamav2_ext, of ExLlamaV2's own functions and, for
// matrices, its class QMatrix (exllamav2_cpu.py compiles both).
//
//===----------------------------------------------------------------------===//

#include <torch/extension.h>

#include "cuda/q_matrix.cuh"
#include "ext_quant.h"

using torch::Tensor;

template <typename T>
static T *data(const Tensor &tensor) {
  return tensor.is_meta() ? nullptr : static_cast<T *>(tensor.data_ptr());
}

/// The arguments of ExLlamaV2's function of that name; those of GPTQ are not
/// used.
static uintptr_t makeQMatrix(Tensor weight, Tensor order, Tensor inverse,
                             Tensor scale, Tensor scaleMax, Tensor groups,
                             Tensor groupMap, Tensor, Tensor, Tensor,
                             Tensor bias, Tensor, int maxRows) {
  int height = groupMap.size(0) / 2, width = weight.size(1);
  auto *matrix = new QMatrix(
      /*stream=*/nullptr, /*device=*/0, height, width, scale.size(0),
      data<uint32_t>(weight), data<uint16_t>(order), data<uint16_t>(inverse),
      data<uint32_t>(scale), data<half>(scaleMax), data<uint16_t>(groups),
      data<uint16_t>(groupMap), nullptr, nullptr, nullptr, data<half>(bias),
      nullptr, maxRows);
  return reinterpret_cast<uintptr_t>(matrix);
}

static QMatrix *matrixOf(uintptr_t handle) {
  return reinterpret_cast<QMatrix *>(handle);
}

/// `output`: [in, out], of half.
static void reconstruct(uintptr_t handle, Tensor output) {
  TORCH_CHECK(output.is_contiguous() && output.element_size() == sizeof(half) &&
                  output.size(0) == matrixOf(handle)->height &&
                  output.size(1) == matrixOf(handle)->width,
              "reconstruct: another shape or type than the matrix has");
  matrixOf(handle)->reconstruct(nullptr, data<half>(output));
}

/// PyTorch's product of the reconstructed matrix, as ExLlamaV2 has it for many
/// rows.
static void multiply(Tensor input, uintptr_t handle, Tensor output, bool) {
  Tensor matrix = torch::empty(
      {matrixOf(handle)->height, matrixOf(handle)->width}, output.options());
  reconstruct(handle, matrix);
  at::matmul_out(output, input, matrix);
}

/// Two int16 for each row: its group, and how many rows of the group remain.
static Tensor makeGroupMap(Tensor groups, int words) {
  const auto *pairs = data<int16_t>(groups);
  int count = groups.size(0) / 2;
  std::vector<int16_t> map;
  for (int group = 0; group < count; ++group) {
    int end = group + 1 < count ? pairs[2 * group + 3] : words;
    int rows = (end - pairs[2 * group + 1]) * 32 / pairs[2 * group];
    for (int row = 0; row < rows; ++row) {
      map.push_back(group);
      map.push_back(rows - row);
    }
  }
  return torch::tensor(map, torch::kShort);
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  module.def("pack_columns", &pack_columns);
  module.def("pack_rows_4", &pack_rows_4);
  module.def("quantize_err", &quantize_err);
  module.def("quantize_range", &quantize_range);
  module.def("quantize_range_inplace", &quantize_range_inplace);
  module.def("sim_anneal", &sim_anneal);
  module.def("make_q_matrix", &makeQMatrix);
  module.def("free_q_matrix",
             [](uintptr_t handle) { delete matrixOf(handle); });
  module.def("reconstruct", &reconstruct);
  module.def("gemm_half_q_half", &multiply);
  module.def("make_group_map", &makeGroupMap);
}
