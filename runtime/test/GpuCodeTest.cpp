//===- GpuCodeTest.cpp - Tables of GPU code are checked -------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "DeviceFixture.h"

#include "demo_gpu.h"

#include "device/DeviceWeights.h"
#include "device/GpuCode.h"

#include <cstring>

namespace {

/// The demo model's tables, to be changed.
struct Tables {
  Tables() {
    memcpy(kernels, demo_gpu_kernels, sizeof kernels);
    memcpy(operands, demo_gpu_operands, sizeof operands);
    memcpy(launches, demo_gpu_prompt, sizeof launches);
    code = demo_gpu_code;
    code.kernels = kernels;
    code.operands = operands;
    code.prompt.launches = launches;
    model = demo_gpu_model;
    model.gpu = &code;
  }
  qcc_gpu_kernel_v1 kernels[sizeof demo_gpu_kernels / sizeof *demo_gpu_kernels];
  qcc_gpu_operand_v1
      operands[sizeof demo_gpu_operands / sizeof *demo_gpu_operands];
  qcc_gpu_launch_v1 launches[sizeof demo_gpu_prompt / sizeof *demo_gpu_prompt];
  qcc_gpu_code_v1 code;
  qcc_model_v1 model;
};

TEST(GpuCodeTest, RefusesWhatNoStepCouldRun) {
  ErrorText error;
  Tables right;
  ASSERT_EQ(checkGpuCode(right.model, DEMO_WEIGHT_BYTES, error), QCC_OK)
      << error.get();
  EXPECT_EQ(checkGpuCode(right.model, DEMO_WEIGHT_BYTES - 1, error),
            QCC_E_DATA);
  EXPECT_STREQ(error.get(), "target sm_80: operand 21 is of kind 1, with value "
                            "4800 and 4800 bytes");
  auto refused = [&](auto change) {
    Tables tables;
    change(tables);
    error.clear();
    EXPECT_EQ(checkGpuCode(tables.model, DEMO_WEIGHT_BYTES, error), QCC_E_DATA)
        << error.get();
    EXPECT_NE(std::string(error.get()), "");
  };
  refused([](Tables &t) { t.code.images = nullptr; });
  refused([](Tables &t) { t.code.kernels = nullptr; });
  refused([](Tables &t) { t.code.operands = nullptr; });
  refused([](Tables &t) { t.kernels[2].name = nullptr; });
  refused([](Tables &t) { t.kernels[2].threads = 0; });
  refused([](Tables &t) { t.kernels[2].threads = 1025; });
  refused([](Tables &t) { t.kernels[2].most_shared_bytes = 1u << 31; });
  refused([](Tables &t) { t.operands[0].kind = 9; });
  refused([](Tables &t) { t.operands[0].kind = 15; });
  refused([](Tables &t) { t.operands[0].kind = 19; });
  refused([](Tables &t) { t.operands[0].value = ~0ull; });
  refused([](Tables &t) { t.operands[2].value = DEMO_GPU_ARENA_BYTES + 1; });
  refused([](Tables &t) { t.operands[6].value = DEMO_LAYERS; });
  refused([](Tables &t) { t.code.prompt.launch_count = 0; });
  refused([](Tables &t) { t.code.generate.launches = nullptr; });
  refused([](Tables &t) { t.code.several.launch_count = 1; });
  refused([](Tables &t) {
    t.code.several = t.code.prompt;
    t.launches[1].layer = 0;
    t.launches[0].layer = 1;
  });
  refused([](Tables &t) { t.code.prompt.flags = 2; });
  refused([](Tables &t) { t.launches[0].kernel = t.code.kernel_count; });
  refused([](Tables &t) { t.launches[0].first_operand = 28; });
  refused([](Tables &t) { t.launches[0].operand_count = 28; });
  refused([](Tables &t) { t.launches[0].per = 2; });
  refused([](Tables &t) { t.launches[0].units = 0; });
  refused([](Tables &t) { t.launches[0].rows_per_block = 0; });
  refused([](Tables &t) { t.launches[0].layer = 2; });
  refused([](Tables &t) { t.launches[5].layer = DEMO_LAYERS + 2; });
  refused([](Tables &t) { t.launches[2].shared_bytes = ~0u; });
  refused([](Tables &t) { t.launches[2].shared_bytes_per_row = 1u << 31; });
}

TEST(GpuCodeTest, StepsOfSeveralRowsMayHaveAProgram) {
  Tables tables;
  auto programOf = [&](uint32_t rows, uint32_t flags) {
    qcc_step_v1 step = {};
    step.rows = rows;
    step.flags = flags;
    return &qcc::rt::device::programOf(tables.code, step);
  };
  EXPECT_EQ(programOf(1, 0), &tables.code.generate);
  EXPECT_EQ(programOf(2, 0), &tables.code.generate);
  EXPECT_EQ(programOf(2, QCC_STEP_PROMPT), &tables.code.prompt);
  tables.code.several = tables.code.prompt;
  ErrorText error;
  EXPECT_EQ(checkGpuCode(tables.model, DEMO_WEIGHT_BYTES, error), QCC_OK)
      << error.get();
  EXPECT_EQ(programOf(1, 0), &tables.code.generate);
  EXPECT_EQ(programOf(2, 0), &tables.code.several);
  EXPECT_EQ(programOf(16, 0), &tables.code.several);
  EXPECT_EQ(programOf(16, QCC_STEP_PROMPT), &tables.code.prompt);
}

class DeviceWeightsTest : public FakeDeviceFixture {};

/// Pieces that meet are one; what no launch names stays where it is.
TEST_F(DeviceWeightsTest, HasWhatLaunchesName) {
  qcc_gpu_operand_v1 operands[] = {
      {QCC_GPU_WEIGHTS, 0, 5000, 1000}, {QCC_GPU_ARENA, 0, 0, 0},
      {QCC_GPU_WEIGHTS, 0, 1000, 24},   {QCC_GPU_WEIGHTS, 0, 1024, 100},
      {QCC_GPU_WEIGHTS, 0, 5100, 100},  {QCC_GPU_WEIGHTS, 0, 1010, 5},
  };
  qcc_gpu_launch_v1 launches[2] = {};
  for (uint32_t i = 0; i < 2; ++i) {
    launches[i].first_operand = 3 * i;
    launches[i].operand_count = 3;
    launches[i].layer = i + 1;
  }
  qcc_gpu_code_v1 code = {};
  // One of each layer, which is enough.
  code.generate = code.prompt = {launches, 1, 0};
  code.several = {launches + 1, 1, 0};
  code.operands = operands;
  code.operand_count = sizeof operands / sizeof *operands;
  std::vector<uint8_t> weights(10000);
  for (size_t i = 0; i < weights.size(); ++i)
    weights[i] = uint8_t(i * 7 + i / 256);
  // Of the second layer alone.
  DeviceWeights part;
  ASSERT_EQ(part.plan(code, {2}, error), QCC_OK) << error.get();
  EXPECT_LT(part.bytes(), 205u + 2 * 512u);
  ASSERT_EQ(part.upload(device, weights.data(), error), QCC_OK);
  EXPECT_EQ(part.address(5000, 1000), 0u);
  EXPECT_EQ(part.address(0, 10), 0u);
  EXPECT_EQ(memcmp(reinterpret_cast<const void *>(part.address(5100, 100)),
                   &weights[5100], 100),
            0);
  DeviceWeights resident;
  ASSERT_EQ(resident.plan(code, {1}, error), QCC_OK) << error.get();
  EXPECT_LT(resident.bytes(), 124u + 1200u + 2 * 512u);
  ASSERT_EQ(resident.upload(device, weights.data(), error), QCC_OK)
      << error.get();
  for (const qcc_gpu_operand_v1 &operand : operands) {
    if (operand.kind != QCC_GPU_WEIGHTS)
      continue;
    DevicePointer found = resident.address(operand.value, operand.bytes);
    EXPECT_EQ(found % 256, operand.value % 256);
    // The fake's device memory is memory.
    EXPECT_EQ(memcmp(reinterpret_cast<const void *>(found),
                     &weights[operand.value], operand.bytes),
              0);
  }
  EXPECT_EQ(resident.address(5100, 100) - resident.address(5000, 1000), 100u);
  EXPECT_EQ(resident.address(1024, 100) - resident.address(1000, 24), 24u);
}

} // namespace
