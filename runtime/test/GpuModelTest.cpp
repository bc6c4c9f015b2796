//===- GpuModelTest.cpp - Which code of a model runs ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "GpuFixture.h"

using namespace demo;

namespace {

class GpuModelTest : public GpuFixture {
protected:
  void expectRefusal(const char *file, int32_t layers, const char *target,
                     qcc_status expected, const char *text) {
    EXPECT_EQ(open(file, layers, target), expected) << text;
    EXPECT_STREQ(error, text);
    EXPECT_FALSE(model);
  }
};

TEST_F(GpuModelTest, TakesTheGpuWhereThereIsOne) {
  ASSERT_EQ(open("demo_gpu.so"), QCC_OK) << error;
  qcc_model_info_v1 told = info();
  EXPECT_STREQ(told.target, "sm_80");
  EXPECT_STREQ(told.device, "Fake GPU");
  EXPECT_EQ(told.device_unused, nullptr);
  EXPECT_EQ(told.device_memory_bytes, fake->memoryBytes);
  EXPECT_EQ(told.device_free_bytes, fake->memoryBytes);
  EXPECT_EQ(told.device_weight_bytes, unsigned(DEMO_WEIGHT_BYTES));
  EXPECT_EQ(told.device_used_bytes, 0u); // until the first session
  EXPECT_NEAR(told.device_bandwidth, 2.04e12, 0.01e12);
  ASSERT_EQ(start(), QCC_OK) << error;
  uint64_t used = info().device_used_bytes;
  EXPECT_GT(used, unsigned(DEMO_WEIGHT_BYTES + DEMO_GPU_ARENA_BYTES));
  eval(someTokens(3));
  EXPECT_GT(info().device_used_bytes, used);
  EXPECT_EQ(info().device_used_bytes + info().device_free_bytes,
            fake->memoryBytes);
  session.reset();
  EXPECT_EQ(info().device_used_bytes, unsigned(DEMO_WEIGHT_BYTES));
}

TEST_F(GpuModelTest, LeavesTheGpuAloneWhenAskedTo) {
  ASSERT_EQ(open("demo_gpu.so", 0), QCC_OK) << error;
  EXPECT_STREQ(info().target, "x86-64-v3");
  EXPECT_EQ(info().device, nullptr);
  EXPECT_EQ(info().device_unused, nullptr);
  EXPECT_TRUE(fake->calls.empty());
  setenv("QCC_GPU_LAYERS", "0", 1);
  ASSERT_EQ(open("demo_gpu.so"), QCC_OK) << error;
  EXPECT_STREQ(info().target, "x86-64-v3");
  // What the program says goes before the environment.
  ASSERT_EQ(open("demo_gpu.so", 99), QCC_OK) << error;
  EXPECT_STREQ(info().target, "sm_80");
  unsetenv("QCC_GPU_LAYERS");
  ASSERT_EQ(open("demo_gpu.so", QCC_GPU_AUTO, "x86-64"), QCC_OK) << error;
  EXPECT_STREQ(info().target, "x86-64");
  ASSERT_EQ(open("demo_gpu.so", 2, "sm_80"), QCC_OK) << error;
  EXPECT_STREQ(info().target, "sm_80");
}

/// Tokens need no GPU, even where a file has code for nothing else.
TEST_F(GpuModelTest, TextNeedsNoGpu) {
  qcc_model_options_v1 options = QCC_MODEL_OPTIONS_INIT;
  options.flags = QCC_MODEL_TEXT_ONLY;
  for (const char *name : {"demo_gpu.so", "demo_gpu_only.so"}) {
    ASSERT_EQ(open(name, options), QCC_OK) << error;
    int32_t tokens[8];
    size_t needed = 0;
    EXPECT_EQ(qcc_tokenize(model.get(), "ab", 2, 0, tokens, 8, &needed),
              QCC_OK);
    EXPECT_GT(needed, 0u);
    EXPECT_EQ(start(), QCC_E_ARGUMENT);
    EXPECT_STREQ(error, "the model was opened for its text alone");
    EXPECT_TRUE(fake->calls.empty());
  }
  // A target that is named is noticed all the same.
  options.target = "sm_80";
  ASSERT_EQ(open("demo_gpu_only.so", options), QCC_OK) << error;
  EXPECT_STREQ(info().target, "sm_80");
  options.target = "sm_81";
  EXPECT_EQ(open("demo_gpu_only.so", options), QCC_E_ARGUMENT);
  EXPECT_EQ(std::string(error).find("no target `sm_81` in this model; it has"),
            0u)
      << error;
}

/// A caller from before the field gets the default.
TEST_F(GpuModelTest, OlderCallersAreUnderstood) {
  qcc_model_options_v1 options = QCC_MODEL_OPTIONS_INIT;
  options.struct_size = offsetof(qcc_model_options_v1, gpu_layers);
  options.gpu_layers = 77;
  ASSERT_EQ(open("demo_gpu.so", options), QCC_OK) << error;
  EXPECT_STREQ(info().target, "sm_80");
  options.struct_size -= 1;
  EXPECT_EQ(open("demo_gpu.so", options), QCC_E_ARGUMENT);
}

/// The CPU takes over and the reason is told; asked for a GPU, it is an error.
TEST_F(GpuModelTest, SaysWhatIsMissing) {
  struct {
    void (*change)(FakeCuda &);
    qcc_status status;
    const char *text;
  } cases[] = {
      {[](FakeCuda &fake) { fake.devices = 0; }, QCC_E_DEVICE,
       "the NVIDIA driver finds no GPU that this process may use "
       "(CUDA_VISIBLE_DEVICES can hide them)"},
      {[](FakeCuda &fake) { fake.version = 10020; }, QCC_E_DEVICE,
       "the NVIDIA driver is too old: it supports CUDA 10.2, expected 11.0 or "
       "newer"},
      {[](FakeCuda &fake) { fake.version = 11080; }, QCC_E_DEVICE,
       "the NVIDIA driver is too old: it supports CUDA 11.8, the code for "
       "sm_80 needs 12.0 or newer"},
      {[](FakeCuda &fake) { fake.major = 7, fake.minor = 5; }, QCC_E_DEVICE,
       "Fake GPU has compute capability 7.5; this file has code for sm_80, "
       "sm_90a"},
      {[](FakeCuda &fake) { fake.sharedPerBlock = 48 << 10; }, QCC_E_DEVICE,
       "kernel demo_mix_0 needs 61440 bytes of shared memory, Fake GPU has "
       "49152"},
      {[](FakeCuda &fake) { fake.threadsPerBlock = 32; }, QCC_E_DEVICE,
       "kernel demo_store_0 has blocks of 64 threads, Fake GPU takes 32"},
      {[](FakeCuda &fake) { fake.memoryBytes = 12 << 10; }, QCC_E_NO_MEMORY,
       "out of device memory: the weights and the arena need 24.00 KiB, but of "
       "the 12.00 KiB of Fake GPU only 12.00 KiB are free"},
  };
  for (const auto &one : cases) {
    renew();
    one.change(*fake);
    ASSERT_EQ(open("demo_gpu.so"), QCC_OK) << error;
    EXPECT_STREQ(info().target, "x86-64-v3");
    EXPECT_EQ(info().device, nullptr);
    EXPECT_STREQ(info().device_unused, one.text);
    model.reset();
    expectRefusal("demo_gpu.so", 99, nullptr, one.status, one.text);
    expectRefusal("demo_gpu.so", QCC_GPU_AUTO, "sm_80", one.status, one.text);
    expectRefusal("demo_gpu_only.so", QCC_GPU_AUTO, nullptr, one.status,
                  one.text);
    EXPECT_EQ(fake->live(), 0u);
  }
}

TEST_F(GpuModelTest, RefusesWhatDoesNotFitTogether) {
  expectRefusal("demo_gpu_only.so", 1, nullptr, QCC_E_CPU,
                "cannot run 1 of 2 layers on a GPU: this model has no code for "
                "a CPU; it has sm_80");
  expectRefusal("demo_one.so", 99, nullptr, QCC_E_DEVICE,
                "this model has no code for a GPU");
  expectRefusal("demo_gpu.so", 99, "x86-64", QCC_E_ARGUMENT,
                "target x86-64 is code for a CPU, and 99 layers are to run on "
                "a GPU");
  expectRefusal("demo_gpu.so", 0, "sm_80", QCC_E_ARGUMENT,
                "target sm_80 is code for a GPU, and 0 layers are to run on "
                "one");
  expectRefusal("demo_gpu_only.so", 0, nullptr, QCC_E_CPU,
                "this model has no code for a CPU; it has sm_80");
  expectRefusal("demo_gpu.so", QCC_GPU_AUTO, "sm_90", QCC_E_ARGUMENT,
                "no target `sm_90` in this model; it has x86-64, x86-64-v3, "
                "future, sm_80");
  expectRefusal("demo_gpu.so", -2, nullptr, QCC_E_ARGUMENT,
                "gpu_layers is -2, expected -1 or more");
  setenv("QCC_GPU_LAYERS", "many", 1);
  expectRefusal("demo_gpu.so", QCC_GPU_AUTO, nullptr, QCC_E_ARGUMENT,
                "QCC_GPU_LAYERS is `many`, expected a number or auto");
  EXPECT_TRUE(fake->calls.empty());
  unsetenv("QCC_GPU_LAYERS");
}

TEST_F(GpuModelTest, CodeThatDoesNotLoadIsAnErrorOfTheSession) {
  fake->jitLog = "line 1: nonsense";
  ASSERT_EQ(open("demo_gpu.so"), QCC_OK) << error;
  EXPECT_EQ(start(), QCC_E_DEVICE);
  EXPECT_STREQ(error, "cannot compile the code for sm_80 on Fake GPU: line 1: "
                      "nonsense");
  fake->jitLog = "";
  fake->kernels.pop_back();
  EXPECT_EQ(start(), QCC_E_DEVICE);
  EXPECT_NE(std::string(error).find("cannot find a kernel (demo_head)"),
            std::string::npos)
      << error;
  fake->kernels.clear();
  fake_kernels(fake);
  fake->kernels.back().parameterBytes.pop_back();
  EXPECT_EQ(start(), QCC_E_DATA);
  EXPECT_STREQ(error, "target sm_80: launch 5 (head) has other operands than "
                      "kernel demo_head takes");
  fake->kernels.clear();
  // It is loaded when it can be.
  fake_kernels(fake);
  ASSERT_EQ(start(), QCC_OK) << error;
  EXPECT_EQ(eval(someTokens(3)), evaluate(someTokens(3), 1, false));
}

TEST_F(GpuModelTest, LoadsTheImageThatIsNearest) {
  static const struct {
    int major, minor, driver;
    const char *start;
  } cases[] = {
      {9, 0, 13000,
       "\x7f"
       "ELF"},                                       // machine code before text
      {9, 0, 12040, ".version 8.0\n.target sm_90a"}, // too old for the cubin
      {9, 0, 12000, ".version 8.0\n.target sm_90a"},
      {8, 9, 13000, ".version 8.0\n.target sm_80"},
      {10, 0, 13000, ".version 8.0\n.target sm_80"}, // not 9.0's own code
      {12, 0, 13000, ".version 8.0\n.target sm_80"},
  };
  for (const auto &one : cases) {
    renew();
    fake->major = one.major;
    fake->minor = one.minor;
    fake->version = one.driver;
    std::string loaded;
    fake->loadImage = [&](const void *image, std::vector<FakeKernel> &,
                          std::string &) {
      loaded.assign(static_cast<const char *>(image), strlen(one.start));
      return true;
    };
    ASSERT_EQ(open("demo_gpu.so"), QCC_OK) << error;
    ASSERT_EQ(start(), QCC_OK) << error;
    EXPECT_EQ(loaded, one.start) << one.major << '.' << one.minor;
    EXPECT_EQ(eval(someTokens(3)), evaluate(someTokens(3), 1, false));
    session.reset();
    model.reset();
  }
}

TEST_F(GpuModelTest, SessionsShareTheWeights) {
  ASSERT_EQ(open("demo_gpu.so"), QCC_OK) << error;
  ASSERT_EQ(start(), QCC_OK) << error;
  auto first = std::move(session);
  uint64_t before = info().device_used_bytes;
  ASSERT_EQ(start(), QCC_OK) << error;
  uint64_t second = info().device_used_bytes - before;
  EXPECT_EQ(second, before - DEMO_WEIGHT_BYTES);
  EXPECT_EQ(callsOf("cuModuleLoadDataEx"), 1u);
  first.reset();
  EXPECT_EQ(eval(someTokens(3)), evaluate(someTokens(3), 1, false));
}

} // namespace
