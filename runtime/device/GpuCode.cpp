//===- GpuCode.cpp - A model's launches, checked --------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "GpuCode.h"

#include <cinttypes>

namespace qcc::rt::device {

static qcc_status checkKernels(const qcc_model_v1 &model, ErrorText &error) {
  const qcc_gpu_code_v1 &code = *model.gpu;
  if ((code.image_count && !code.images) ||
      (code.kernel_count && !code.kernels) ||
      (code.operand_count && !code.operands))
    return error.set(QCC_E_DATA,
                     "target %s: table of GPU code has a null field",
                     model.target);
  for (uint32_t i = 0; i < code.kernel_count; ++i) {
    const qcc_gpu_kernel_v1 &kernel = code.kernels[i];
    if (!kernel.name || kernel.threads == 0 || kernel.threads > 1024 ||
        kernel.most_shared_bytes > INT32_MAX)
      return error.set(QCC_E_DATA,
                       "target %s: kernel %u has no name, or %u threads and "
                       "%u bytes of shared memory",
                       model.target, i, kernel.threads,
                       kernel.most_shared_bytes);
  }
  return QCC_OK;
}

static qcc_status checkOperands(const qcc_model_v1 &model, uint64_t weightBytes,
                                ErrorText &error) {
  const qcc_gpu_code_v1 &code = *model.gpu;
  for (uint32_t i = 0; i < code.operand_count; ++i) {
    const qcc_gpu_operand_v1 &operand = code.operands[i];
    bool right = false;
    switch (operand.kind) {
    case QCC_GPU_ARENA:
      right = operand.value <= model.arena_bytes;
      break;
    case QCC_GPU_WEIGHTS:
      right = operand.value <= weightBytes &&
              operand.bytes <= weightBytes - operand.value;
      break;
    case QCC_GPU_STATE:
      right = operand.value < model.state_count;
      break;
    default:
      right = operand.kind <= QCC_GPU_LOGITS ||
              (operand.kind >= QCC_GPU_COUNT &&
               operand.kind <= QCC_GPU_PAGES_PER_SEQUENCE);
    }
    if (!right)
      return error.set(
          QCC_E_DATA,
          "target %s: operand %u is of kind %u, with value %" PRIu64
          " and %" PRIu64 " bytes",
          model.target, i, operand.kind, operand.value, operand.bytes);
  }
  return QCC_OK;
}

/// Of a grid in y, as CUDA has it for every device.
static constexpr uint64_t kMostGridRows = 65535;

/// `rows` is the most that a step of the program has.
static qcc_status checkProgram(const qcc_model_v1 &model,
                               const qcc_gpu_program_v1 &program, uint32_t rows,
                               ErrorText &error) {
  const qcc_gpu_code_v1 &code = *model.gpu;
  if (program.launch_count == 0 || !program.launches)
    return error.set(QCC_E_DATA, "target %s: a step has no launches",
                     model.target);
  if (program.flags & ~QCC_GPU_STARTS_EARLY)
    return error.set(QCC_E_DATA, "target %s: a step has flags 0x%x",
                     model.target, program.flags);
  uint32_t layer = 0;
  for (uint32_t i = 0; i < program.launch_count; ++i) {
    const qcc_gpu_launch_v1 &launch = program.launches[i];
    bool right =
        launch.kernel < code.kernel_count &&
        launch.first_operand <= code.operand_count &&
        launch.operand_count <= code.operand_count - launch.first_operand &&
        launch.per <= QCC_GPU_PER_OUTPUT && launch.units > 0 &&
        launch.rows_per_block > 0 && launch.layer >= layer &&
        launch.layer <= model.layers + 1 && launch.units <= INT32_MAX &&
        (uint64_t(rows) + launch.rows_per_block - 1) / launch.rows_per_block <=
            kMostGridRows;
    if (right) {
      uint32_t most =
          launch.rows_per_block < rows ? launch.rows_per_block : rows;
      uint64_t shared =
          launch.shared_bytes + uint64_t(most) * launch.shared_bytes_per_row;
      right = shared <= code.kernels[launch.kernel].most_shared_bytes;
    }
    if (!right)
      return error.set(
          QCC_E_DATA,
          "target %s: launch %u (%.80s) is not one of its kernels, "
          "operands, layers and shared memory",
          model.target, i, launch.name ? launch.name : "");
    layer = launch.layer;
  }
  return QCC_OK;
}

const qcc_gpu_program_v1 &programOf(const qcc_gpu_code_v1 &code,
                                    const qcc_step_v1 &step) {
  if (step.flags & QCC_STEP_PROMPT)
    return code.prompt;
  return step.rows > 1 && code.several.launch_count ? code.several
                                                    : code.generate;
}

bool isRun(const qcc_gpu_code_v1 &code, const qcc_gpu_launch_v1 &launch,
           LayerRange layers) {
  if (launch.layer > 0)
    return launch.layer >= layers.first && launch.layer <= layers.last;
  if (layers.first <= 1)
    return true;
  // Before all layers stands what all need (rotations), and what makes rows of
  // tokens.
  const qcc_gpu_operand_v1 *operands = code.operands + launch.first_operand;
  for (uint32_t i = 0; i < launch.operand_count; ++i)
    if (operands[i].kind == QCC_GPU_TOKEN)
      return false;
  return true;
}

qcc_status checkGpuCode(const qcc_model_v1 &model, uint64_t weightBytes,
                        ErrorText &error) {
  if (qcc_status status = checkKernels(model, error))
    return status;
  if (qcc_status status = checkOperands(model, weightBytes, error))
    return status;
  if (qcc_status status =
          checkProgram(model, model.gpu->generate, QCC_GENERATE_ROWS, error))
    return status;
  if (model.gpu->several.launch_count)
    if (qcc_status status =
            checkProgram(model, model.gpu->several, QCC_GENERATE_ROWS, error))
      return status;
  return checkProgram(model, model.gpu->prompt, model.row_capacity, error);
}

} // namespace qcc::rt::device
