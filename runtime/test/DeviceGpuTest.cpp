//===- DeviceGpuTest.cpp - The device interface on a real GPU -------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Skipped, with the reason, where there is no driver or GPU.
//===----------------------------------------------------------------------===//

#include "device/Buffer.h"
#include "device/Image.h"
#include "device/Module.h"
#include "device/Upload.h"

#include "gtest/gtest.h"

#include <cstring>
#include <string>
#include <vector>

using namespace qcc::rt;
using namespace qcc::rt::device;

namespace {

// add(out, a, b, n): out[i] = a[i] + b[i]
const char addPtx[] = R"(
.version 7.0
.target sm_80
.address_size 64
.visible .entry add(.param .u64 out, .param .u64 a, .param .u64 b, .param .u32 n)
{
  .reg .pred %p;
  .reg .b32 %i, %count, %block, %threads, %thread;
  .reg .b64 %x, %y, %z, %offset;
  .reg .f32 %u, %v;
  ld.param.u64 %z, [out];
  ld.param.u64 %x, [a];
  ld.param.u64 %y, [b];
  ld.param.u32 %count, [n];
  cvta.to.global.u64 %z, %z;
  cvta.to.global.u64 %x, %x;
  cvta.to.global.u64 %y, %y;
  mov.u32 %block, %ctaid.x;
  mov.u32 %threads, %ntid.x;
  mov.u32 %thread, %tid.x;
  mad.lo.u32 %i, %block, %threads, %thread;
  setp.ge.u32 %p, %i, %count;
  @%p bra done;
  mul.wide.u32 %offset, %i, 4;
  add.u64 %x, %x, %offset;
  add.u64 %y, %y, %offset;
  add.u64 %z, %z, %offset;
  ld.global.f32 %u, [%x];
  ld.global.f32 %v, [%y];
  add.rn.f32 %u, %u, %v;
  st.global.f32 [%z], %u;
done:
  ret;
}
)";

class DeviceGpuTest : public testing::Test {
protected:
  void SetUp() override {
    if (driver.open({}, error) != QCC_OK)
      GTEST_SKIP() << "no GPU: " << error.get();
    ASSERT_EQ(device.open(driver, 0, error), QCC_OK) << error.get();
    const Image *chosen = nullptr;
    if (chooseImage(&image, 1, device.info(), driver.cudaVersion(), chosen,
                    error) != QCC_OK)
      GTEST_SKIP() << error.get();
    ASSERT_EQ(stream.create(device, error), QCC_OK) << error.get();
  }

  const Image image = {Image::Ptx, 80, 0, 11000, addPtx, sizeof addPtx};
  ErrorText error;
  Driver driver;
  Device device;
  Stream stream;
};

TEST_F(DeviceGpuTest, AddsVectors) {
  constexpr uint32_t count = 1000003; // not a multiple of the block
  constexpr uint64_t bytes = count * sizeof(float);
  std::vector<float> a(count), b(count), sum(count);
  for (uint32_t i = 0; i < count; ++i) {
    a[i] = float(i);
    b[i] = 0.5f * float(count - i);
  }
  Module module;
  Kernel kernel;
  Buffer first, second, result;
  Event start, end;
  ASSERT_EQ(module.load(device, image, error), QCC_OK) << error.get();
  ASSERT_EQ(module.kernel("add", kernel, error), QCC_OK) << error.get();
  EXPECT_GT(kernel.registers(), 0u);
  EXPECT_EQ(kernel.localBytes(), 0u);
  ASSERT_EQ(kernel.allowSharedBytes(64 << 10, error), QCC_OK) << error.get();
  ASSERT_EQ(start.create(device, Event::Timing, error), QCC_OK);
  ASSERT_EQ(end.create(device, Event::Timing, error), QCC_OK);
  ASSERT_EQ(first.allocate(device, bytes, "a", error), QCC_OK) << error.get();
  ASSERT_EQ(second.allocate(device, bytes, "b", error), QCC_OK) << error.get();
  ASSERT_EQ(result.allocate(device, bytes, "sum", error), QCC_OK)
      << error.get();
  ASSERT_EQ(first.write(0, a.data(), bytes, stream, error), QCC_OK);
  ASSERT_EQ(second.write(0, b.data(), bytes, stream, error), QCC_OK);
  ASSERT_EQ(start.record(stream, error), QCC_OK);
  DevicePointer addresses[] = {result.address(), first.address(),
                               second.address()};
  const void *arguments[] = {&addresses[0], &addresses[1], &addresses[2],
                             &count};
  ASSERT_EQ(kernel.launch({{(count + 255) / 256, 1, 1}, {256, 1, 1}, 50 << 10},
                          arguments, stream, error),
            QCC_OK)
      << error.get();
  ASSERT_EQ(end.record(stream, error), QCC_OK);
  ASSERT_EQ(result.read(0, sum.data(), bytes, stream, error), QCC_OK);
  ASSERT_EQ(stream.synchronize(error), QCC_OK) << error.get();
  for (uint32_t i = 0; i < count; ++i)
    ASSERT_EQ(sum[i], a[i] + b[i]) << i;
  double seconds = 0;
  ASSERT_EQ(end.secondsSince(start, seconds, error), QCC_OK) << error.get();
  EXPECT_GT(seconds, 0);
  EXPECT_LT(seconds, 1);
}

TEST_F(DeviceGpuTest, UploadsManyPieces) {
  std::vector<uint8_t> source((uint64_t(64) << 20) + 12345);
  for (size_t i = 0; i < source.size(); ++i)
    source[i] = uint8_t(i * 2654435761u >> 24);
  std::vector<uint8_t> back(source.size());
  Buffer buffer;
  Uploader uploader;
  ASSERT_EQ(buffer.allocate(device, source.size(), "a test", error), QCC_OK)
      << error.get();
  ASSERT_EQ(uploader.create(device, error), QCC_OK) << error.get();
  ASSERT_EQ(
      uploader.upload(buffer, 0, source.data(), source.size(), stream, error),
      QCC_OK)
      << error.get();
  ASSERT_EQ(buffer.read(0, back.data(), back.size(), stream, error), QCC_OK);
  ASSERT_EQ(stream.synchronize(error), QCC_OK) << error.get();
  EXPECT_TRUE(source == back);
}

TEST_F(DeviceGpuTest, TellsWhatIsWrong) {
  Buffer buffer;
  uint64_t free = 0, total = 0;
  ASSERT_EQ(device.memory(free, total, error), QCC_OK) << error.get();
  EXPECT_LE(free, total);
  EXPECT_EQ(buffer.allocate(device, total + total / 2, "a test", error),
            QCC_E_NO_MEMORY);
  EXPECT_TRUE(strstr(error.get(), "out of device memory: a test needs"))
      << error.get();
  Module module;
  const char broken[] =
      ".version 7.0\n.target sm_80\n.address_size 64\nnonsense";
  EXPECT_EQ(module.load(device,
                        {Image::Ptx, 80, 0, 11000, broken, sizeof broken},
                        error),
            QCC_E_DEVICE);
  EXPECT_TRUE(strstr(error.get(), "cannot compile the code for sm_80"))
      << error.get();
  ASSERT_EQ(module.load(device, image, error), QCC_OK) << error.get();
  Kernel kernel;
  EXPECT_EQ(module.kernel("subtract", kernel, error), QCC_E_DEVICE);
  EXPECT_TRUE(strstr(error.get(), "subtract")) << error.get();
}

} // namespace
