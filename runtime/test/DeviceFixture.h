//===- DeviceFixture.h - Tests of devices with a fake driver ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_TEST_DEVICEFIXTURE_H
#define QCC_RUNTIME_TEST_DEVICEFIXTURE_H

#include "FakeCuda.h"

#include "device/Buffer.h"
#include "device/Image.h"
#include "device/Module.h"
#include "device/Upload.h"

#include "gtest/gtest.h"

#include <dlfcn.h>

using namespace qcc::rt;
using namespace qcc::rt::device;

/// Whether a text, of an error say, has `part` in it.
inline testing::AssertionResult has(const std::string &text, const char *part) {
  if (text.find(part) != std::string::npos)
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no '" << part << "' in: " << text;
}

/// The lines of a list, for comparing it with an empty one.
inline std::string lines(const std::vector<std::string> &list) {
  std::string text;
  for (const std::string &line : list)
    text += line + "\n";
  return text;
}

/// Text that the fake driver takes for PTX.
inline Image ptxImage(uint32_t architecture = 80) {
  static const char text[] = ".version 7.0\n.target sm_80\n";
  return {Image::Ptx, architecture, 0, 11000, text, sizeof text};
}

/// Uses everything once: adds two arrays on the device, uploads in pieces, and
/// takes the time. QCC_E_NUMERIC if the sum is wrong.
inline qcc_status addOn(const Device &device, ErrorText &error) {
  constexpr uint32_t count = 1000, bytes = count * sizeof(float);
  std::vector<float> a(count), b(count), sum(count);
  for (uint32_t i = 0; i < count; ++i) {
    a[i] = float(i);
    b[i] = float(3 * i) + 0.5f;
  }
  Event start, end;
  Buffer first, second, result;
  HostBuffer host;
  Uploader uploader;
  Module module;
  Kernel kernel;
  Stream stream; // goes first, and waits
  qcc_status status = stream.create(device, error);
  auto then = [&](auto step) {
    if (status == QCC_OK)
      status = step();
  };
  then([&] { return start.create(device, Event::Timing, error); });
  then([&] { return end.create(device, Event::Timing, error); });
  then([&] { return first.allocate(device, bytes, "a", error); });
  then([&] { return second.allocate(device, bytes, "b", error); });
  then([&] { return result.allocate(device, bytes, "the sum", error); });
  then([&] { return host.allocate(device, bytes, error); });
  then([&] { return uploader.create(device, error, 1024); });
  then([&] { return module.load(device, ptxImage(), error); });
  then([&] { return module.kernel("add", kernel, error); });
  then([&] { return kernel.allowSharedBytes(100 << 10, error); });
  then([&] { return start.record(stream, error); });
  then([&] {
    return uploader.upload(first, 0, a.data(), bytes, stream, error);
  });
  then([&] { return second.write(0, b.data(), bytes, stream, error); });
  then([&] { return result.fill(0, 0, bytes, stream, error); });
  then([&] {
    DevicePointer addresses[] = {result.address(), first.address(),
                                 second.address()};
    const void *arguments[] = {&addresses[0], &addresses[1], &addresses[2],
                               &count};
    return kernel.launch({{(count + 127) / 128, 1, 1}, {128, 1, 1}, 64 << 10},
                         arguments, stream, error);
  });
  then([&] { return end.record(stream, error); });
  then([&] { return result.read(0, host.data(), bytes, stream, error); });
  then([&] { return stream.synchronize(error); });
  double seconds = 0;
  then([&] { return end.secondsSince(start, seconds, error); });
  uint64_t free = 0, total = 0;
  then([&] { return device.memory(free, total, error); });
  if (status)
    return status;
  const float *sums = reinterpret_cast<const float *>(host.data());
  for (uint32_t i = 0; i < count; ++i)
    if (sums[i] != a[i] + b[i])
      return error.set(QCC_E_NUMERIC, "element %u is %g", i, double(sums[i]));
  return seconds > 0 ? QCC_OK : error.set(QCC_E_NUMERIC, "no time passed");
}

/// A fake driver that is as new, and checks of its books at the end.
class FakeDriverFixture : public testing::Test {
protected:
  FakeDriverFixture() : library(dlopen(FAKE_CUDA_PATH, RTLD_NOW | RTLD_LOCAL)) {
    options.library = FAKE_CUDA_PATH;
  }
  ~FakeDriverFixture() override {
    if (library)
      dlclose(library);
  }

  void SetUp() override {
    ASSERT_TRUE(library) << dlerror();
    fake = control<FakeCuda *()>("fake_cuda_reset")();
  }

  void TearDown() override {
    EXPECT_EQ(fake->live(), 0u);
    EXPECT_LE(fake->orphans, orphansAllowed);
    EXPECT_EQ(lines(fake->misuse), "");
    EXPECT_EQ(control<size_t()>("fake_cuda_depth")(), 0u);
  }

  template <typename Function>
  Function *control(const char *name) {
    return reinterpret_cast<Function *>(dlsym(library, name));
  }

  void *library;
  FakeCuda *fake = nullptr;
  DriverOptions options;
  Driver driver;
  ErrorText error;
  size_t orphansAllowed = 0;
};

class FakeDeviceFixture : public FakeDriverFixture {
protected:
  void SetUp() override {
    FakeDriverFixture::SetUp();
    ASSERT_EQ(driver.open(options, error), QCC_OK) << error.get();
    ASSERT_EQ(device.open(driver, 0, error), QCC_OK) << error.get();
  }
  void TearDown() override {
    device.close();
    FakeDriverFixture::TearDown();
  }

  qcc_status addOn(const Device &device) { return ::addOn(device, error); }
  qcc_status addOn(const Device &device, ErrorText &text) {
    return ::addOn(device, text);
  }

  Device device;
};

#endif // QCC_RUNTIME_TEST_DEVICEFIXTURE_H
