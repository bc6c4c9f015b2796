//===- GpuDeviceTest.cpp - GPU matmul stages through the CUDA driver ------===//
// SPDX-License-Identifier: Apache-2.0
//
// On a real GPU where there is one, else skipped with the reason; and always
// on the runtime's fake driver, whose kernels the emulator runs, so that the
// host's side is exercised everywhere.
//===----------------------------------------------------------------------===//

#include "qcc/Formats/GGML.h"
#include "DeviceStage.h"
#include "Encodings.h"
#include "StageCase.h"
#include "test/FakeCuda.h"

#include <gtest/gtest.h>

#include <dlfcn.h>

using namespace qcc;
using namespace qcc::test;

namespace {

std::vector<StageCase> someStages() {
  Encoding g128 = oneLevel(4, 128, ScalarType::F16);
  g128.zero = 8;
  const Encoding &q4 = *findGGMLType("Q4_1")->encoding,
                 &q6 = *findGGMLType("Q6_K")->encoding;
  std::vector<StageCase> stages;
  stages.push_back({576, {{q4, 576, {}}}, "residual", true});
  stages.push_back({384, {{g128, 384, {}}}, "residual"});
  stages.push_back({256, {{q4, 40, {}}, {q6, 24, {}}}});
  stages.push_back({512, {{q6, 40, {}}, {q4, 40, {}}}, "glu_silu", true});
  return stages;
}

TEST(GpuDevice, StagesOnARealGpu) {
  DeviceStage device(nullptr);
  if (!device.whyNot().empty())
    GTEST_SKIP() << device.whyNot();
  std::cout << "on " << device.gpuName() << '\n';
  std::mt19937 random(21);
  ErrorTotals totals;
  for (StageCase &c : someStages()) {
    c.fill(random, 11);
    EmulatedStage stage(c.module(), "sm_80");
    std::vector<std::vector<float>> first;
    for (unsigned perBlock : {8u, 1u, 3u}) {
      StageRows rows = c.rows();
      rows.rowsPerBlock = perBlock;
      auto got = device.run(stage, rows);
      EXPECT_EQ(compare(c, got, first.empty() ? &totals : nullptr), "");
      if (first.empty())
        first = got;
      EXPECT_EQ(first, got);
    }
  }
  EXPECT_LE(totals.kernel, totals.half);
}

/// The fake driver, which stays loaded once it was.
struct FakeDriver {
  FakeDriver() {
    void *library = dlopen(FAKE_CUDA_PATH, RTLD_NOW);
    if (!library)
      throw std::runtime_error(dlerror());
    auto find = [&](const char *name) {
      return reinterpret_cast<FakeCuda *(*)()>(dlsym(library, name));
    };
    state = find("fake_cuda_reset")();
  }
  FakeCuda *state;
};

/// Lets the fake driver run `stage` in the emulator.
FakeKernel emulatedKernel(EmulatedStage &stage) {
  const GpuKernel &kernel = stage.kernel();
  FakeKernel fake;
  fake.name = kernel.name;
  for (const KernelParameter &parameter : kernel.parameters)
    fake.parameterBytes.push_back(parameter.kind == KernelParameter::Field &&
                                          parameter.index >= QCC_GPU_COUNT
                                      ? 4
                                      : 8);
  fake.run = [&stage](const FakeLaunch &wanted) {
    emulator::Launch launch = seeded(4);
    launch.gridX = wanted.grid[0];
    launch.gridY = wanted.grid[1];
    launch.blockX = wanted.block[0];
    launch.dynamicSharedBytes = wanted.sharedBytes;
    std::string why = stage.launch(launch, wanted.arguments);
    EXPECT_EQ(why, "");
    return why.empty() ? 0 : 700; // CUDA_ERROR_ILLEGAL_ADDRESS
  };
  return fake;
}

TEST(GpuDevice, HostSideOnAFakeDriver) {
  FakeDriver fake;
  std::mt19937 random(22);
  for (StageCase &c : someStages()) {
    c.fill(random, 5);
    EmulatedStage stage(c.module(), "sm_80");
    fake.state->kernels = {emulatedKernel(stage)};
    {
      DeviceStage device(FAKE_CUDA_PATH);
      ASSERT_EQ(device.whyNot(), "");
      StageRows rows = c.rows();
      rows.rowsPerBlock = 2;
      EXPECT_EQ(compare(c, device.run(stage, rows)), "");
    }
    EXPECT_EQ(fake.state->misuse, std::vector<std::string>());
    EXPECT_EQ(fake.state->live(), 0u);
    fake.state->kernels.clear();
  }
}

TEST(GpuDevice, MissingDriverIsSaid) {
  DeviceStage device("libqcc-no-such-driver.so.1");
  EXPECT_NE(device.whyNot().find("libqcc-no-such-driver.so.1"),
            std::string::npos)
      << device.whyNot();
}

} // namespace
