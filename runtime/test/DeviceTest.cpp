//===- DeviceTest.cpp - Driver, devices and what runs on them -------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Against a driver on host memory (FakeCuda.h), so that all of it runs without
// a GPU. DeviceFaultTest.cpp lets each call fail; DeviceGpuTest.cpp uses a real
// GPU.
//===----------------------------------------------------------------------===//

#include "DeviceFixture.h"

#include <algorithm>
#include <cmath>
#include <thread>

namespace {

using DriverTest = FakeDriverFixture;
using DeviceTest = FakeDeviceFixture;

//===----------------------------------------------------------------------===//
// Driver
//===----------------------------------------------------------------------===//

TEST_F(DriverTest, SaysThatLibcudaIsMissing) {
  options.library = "libcuda-that-does-not-exist.so.1";
  EXPECT_EQ(driver.open(options, error), QCC_E_DEVICE);
  EXPECT_STREQ(error.get(),
               "no NVIDIA driver: libcuda-that-does-not-exist.so.1 cannot be "
               "opened (cannot open shared object file: No such file or "
               "directory)");
  EXPECT_TRUE(fake->calls.empty());
}

TEST_F(DriverTest, SaysThatALibraryIsNoDriver) {
  options.library = "libm.so.6";
  EXPECT_EQ(driver.open(options, error), QCC_E_DEVICE);
  EXPECT_STREQ(error.get(), "libm.so.6 is no usable NVIDIA driver: it has no "
                            "function cuDriverGetVersion");
}

TEST_F(DriverTest, NamesTheMissingFunction) {
  options.library = FAKE_CUDA_INCOMPLETE_PATH;
  EXPECT_EQ(driver.open(options, error), QCC_E_DEVICE);
  EXPECT_TRUE(has(error.get(), "it has no function cuInit"));
}

TEST_F(DriverTest, KnowsTheStubOfAToolkit) {
  fake->failName = "cuDriverGetVersion";
  fake->failWith = 34;
  EXPECT_EQ(driver.open(options, error), QCC_E_DEVICE);
  EXPECT_TRUE(has(error.get(), "is the stub of a CUDA toolkit"));
}

TEST_F(DriverTest, SaysThatTheDriverIsTooOld) {
  fake->version = 10020;
  EXPECT_EQ(driver.open(options, error), QCC_E_DEVICE);
  EXPECT_STREQ(error.get(), "the NVIDIA driver is too old: it supports CUDA "
                            "10.2, expected 11.0 or newer");
  EXPECT_EQ(fake->calls, std::vector<std::string>{"cuDriverGetVersion"});
}

TEST_F(DriverTest, SaysThatThereIsNoGpu) {
  fake->devices = 0;
  EXPECT_EQ(driver.open(options, error), QCC_E_DEVICE);
  EXPECT_TRUE(has(error.get(), "finds no GPU"));
}

TEST_F(DriverTest, GivesTheDriversReason) {
  fake->failName = "cuInit";
  EXPECT_EQ(driver.open(options, error), QCC_E_DEVICE);
  EXPECT_STREQ(error.get(), "cannot start the NVIDIA driver: unknown error "
                            "(CUDA_ERROR_UNKNOWN)");
  fake->failWith = 4711; // of a driver newer than its list of names
  EXPECT_EQ(driver.open(options, error), QCC_E_DEVICE);
  EXPECT_STREQ(error.get(), "cannot start the NVIDIA driver: the driver does "
                            "not say why (error 4711)");
}

TEST_F(DriverTest, OpensAgainAfterAFailure) {
  fake->devices = 0;
  EXPECT_EQ(driver.open(options, error), QCC_E_DEVICE);
  fake->devices = 2;
  ASSERT_EQ(driver.open(options, error), QCC_OK) << error.get();
  EXPECT_EQ(driver.cudaVersion(), 12040);
  EXPECT_EQ(driver.deviceCount(), 2);
}

//===----------------------------------------------------------------------===//
// Device
//===----------------------------------------------------------------------===//

TEST_F(DeviceTest, TellsWhatTheGpuIs) {
  const DeviceInfo &info = device.info();
  EXPECT_STREQ(info.name, "Fake GPU");
  EXPECT_EQ(info.architecture, 80u);
  EXPECT_EQ(info.multiprocessors, 108u);
  EXPECT_EQ(info.threadsPerBlock, 1024u);
  EXPECT_EQ(info.l2Bytes, 40u << 20);
  EXPECT_EQ(info.sharedPerBlock, 163u << 10);
  EXPECT_EQ(info.sharedPerMultiprocessor, 164u << 10);
  EXPECT_EQ(info.memoryBytes, uint64_t(64) << 20);
  // 1593 MHz, two transfers a clock, 640 bytes each.
  EXPECT_NEAR(info.peakBandwidth(), 2.039e12, 1e9);
  uint64_t free = 0, total = 0;
  ASSERT_EQ(device.memory(free, total, error), QCC_OK);
  EXPECT_EQ(free, total);
  EXPECT_EQ(total, uint64_t(64) << 20);
}

TEST_F(DeviceTest, RefusesAnIndexOutOfRange) {
  Device other;
  EXPECT_EQ(other.open(driver, 2, error), QCC_E_ARGUMENT);
  EXPECT_STREQ(error.get(), "there is no GPU 2, expected 0 to 1");
  EXPECT_EQ(other.open(driver, -1, error), QCC_E_ARGUMENT);
}

TEST_F(DeviceTest, LeavesTheHostsContextAlone) {
  Device host;
  ASSERT_EQ(host.open(driver, 1, error), QCC_OK);
  CUctx_st *context = nullptr;
  ASSERT_EQ(driver.api().cuDevicePrimaryCtxRetain(&context, 1), 0);
  ASSERT_EQ(driver.api().cuCtxPushCurrent_v2(context), 0);
  EXPECT_EQ(addOn(device), QCC_OK) << error.get();
  EXPECT_EQ(control<size_t()>("fake_cuda_depth")(), 1u);
  EXPECT_EQ(control<int()>("fake_cuda_current")(), 1);
  ASSERT_EQ(driver.api().cuCtxPopCurrent_v2(&context), 0);
  ASSERT_EQ(driver.api().cuDevicePrimaryCtxRelease_v2(1), 0);
}

TEST_F(DeviceTest, TwoDevicesTakeTurns) {
  Device other;
  ASSERT_EQ(other.open(driver, 1, error), QCC_OK);
  Stream first, second;
  ASSERT_EQ(first.create(device, error), QCC_OK);
  ASSERT_EQ(second.create(other, error), QCC_OK);
  Buffer a, b;
  ASSERT_EQ(a.allocate(device, 16, "a", error), QCC_OK);
  ASSERT_EQ(b.allocate(other, 16, "b", error), QCC_OK);
  ASSERT_EQ(a.fill(0, 1, 16, first, error), QCC_OK);
  ASSERT_EQ(b.fill(0, 2, 16, second, error), QCC_OK);
  uint8_t fromA[16], fromB[16];
  ASSERT_EQ(b.read(0, fromB, 16, second, error), QCC_OK);
  ASSERT_EQ(a.read(0, fromA, 16, first, error), QCC_OK);
  ASSERT_EQ(second.synchronize(error), QCC_OK);
  ASSERT_EQ(first.synchronize(error), QCC_OK);
  EXPECT_EQ(std::count(fromA, fromA + 16, 1), 16);
  EXPECT_EQ(std::count(fromB, fromB + 16, 2), 16);

  EXPECT_EQ(a.write(0, fromA, 16, second, error), QCC_E_ARGUMENT);
  EXPECT_STREQ(error.get(), "cannot write a device buffer through a stream of "
                            "another device");
  EXPECT_EQ(addOn(other), QCC_OK) << error.get();
  EXPECT_EQ(addOn(device), QCC_OK) << error.get();
}

TEST_F(DeviceTest, OneGpuIsOpenedTwice) {
  Device again;
  ASSERT_EQ(again.open(driver, 0, error), QCC_OK);
  EXPECT_EQ(fake->retained, 2u);
  device.close();
  EXPECT_EQ(addOn(again), QCC_OK) << error.get();
}

TEST_F(DeviceTest, ThreadsShareADevice) {
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      ErrorText mine;
      for (int round = 0; round < 20; ++round)
        failures += addOn(device, mine) != QCC_OK;
      failures += control<size_t()>("fake_cuda_depth")() != 0;
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(failures, 0);
}

//===----------------------------------------------------------------------===//
// Buffers
//===----------------------------------------------------------------------===//

TEST_F(DeviceTest, OutOfMemoryNamesNeedAndFreeAmount) {
  Buffer first, second;
  ASSERT_EQ(first.allocate(device, 24 << 20, "the weights", error), QCC_OK);
  EXPECT_EQ(second.allocate(device, 45 << 20, "the context", error),
            QCC_E_NO_MEMORY);
  EXPECT_STREQ(error.get(),
               "out of device memory: the context needs 45.00 MiB, but of the "
               "64.00 MiB of Fake GPU only 40.00 MiB are free");
  EXPECT_EQ(second.address(), 0u);
  EXPECT_EQ(second.size(), 0u);
  // What is too large for this fits after that is gone.
  first.release();
  EXPECT_EQ(second.allocate(device, 45 << 20, "the context", error), QCC_OK);
}

TEST_F(DeviceTest, BufferChecksRanges) {
  Stream stream;
  Buffer buffer;
  uint8_t byte = 0;
  ASSERT_EQ(stream.create(device, error), QCC_OK);
  ASSERT_EQ(buffer.allocate(device, 100, "a test", error), QCC_OK);
  EXPECT_EQ(buffer.write(100, &byte, 1, stream, error), QCC_E_ARGUMENT);
  EXPECT_STREQ(error.get(), "cannot write 1 bytes at 100 of a device buffer of "
                            "100 bytes");
  EXPECT_EQ(buffer.read(UINT64_MAX, &byte, 1, stream, error), QCC_E_ARGUMENT);
  EXPECT_EQ(buffer.fill(1, 0, UINT64_MAX, stream, error), QCC_E_ARGUMENT);
  EXPECT_EQ(buffer.write(100, nullptr, 0, stream, error), QCC_OK);
  EXPECT_EQ(buffer.write(99, &byte, 1, stream, error), QCC_OK);
  Buffer empty;
  EXPECT_EQ(empty.allocate(device, 0, "nothing", error), QCC_OK);
  EXPECT_EQ(empty.address(), 0u);
  ASSERT_EQ(stream.synchronize(error), QCC_OK);
}

TEST_F(DeviceTest, ByteTextHasThreeDigitsOrMore) {
  EXPECT_STREQ(ByteText(0).text, "0 bytes");
  EXPECT_STREQ(ByteText(1023).text, "1023 bytes");
  EXPECT_STREQ(ByteText(1024).text, "1.00 KiB");
  EXPECT_STREQ(ByteText((1 << 20) - 1).text, "1.00 MiB");
  EXPECT_STREQ(ByteText(uint64_t(80) << 30).text, "80.00 GiB");
  EXPECT_STREQ(ByteText(UINT64_MAX).text, "16777216.00 TiB");
}

TEST_F(DeviceTest, UploadsInPieces) {
  Stream stream;
  Buffer buffer;
  Uploader uploader;
  std::vector<uint8_t> source(100007), result(source.size() + 20);
  for (size_t i = 0; i < source.size(); ++i)
    source[i] = uint8_t(i * 31 + i / 251);
  ASSERT_EQ(stream.create(device, error), QCC_OK);
  ASSERT_EQ(buffer.allocate(device, result.size(), "a test", error), QCC_OK);
  ASSERT_EQ(uploader.create(device, error, 4096), QCC_OK);
  ASSERT_EQ(buffer.fill(0, 7, result.size(), stream, error), QCC_OK);
  std::vector<size_t> seen;
  auto progress = [](void *user, size_t done, size_t total) -> int32_t {
    EXPECT_EQ(total, 100007u);
    static_cast<std::vector<size_t> *>(user)->push_back(done);
    return 0;
  };
  ASSERT_EQ(uploader.upload(buffer, 10, source.data(), source.size(), stream,
                            error, progress, &seen),
            QCC_OK)
      << error.get();
  std::vector<uint8_t> expected(10, 7);
  expected.insert(expected.end(), source.begin(), source.end());
  expected.resize(result.size(), 7);
  // The source is free now, though the copies are not done.
  std::fill(source.begin(), source.end(), uint8_t(0));
  ASSERT_EQ(buffer.read(0, result.data(), result.size(), stream, error),
            QCC_OK);
  ASSERT_EQ(stream.synchronize(error), QCC_OK);
  EXPECT_EQ(result, expected);
  EXPECT_EQ(seen.size(), 25u);
  EXPECT_EQ(seen.front(), 4096u);
  EXPECT_EQ(seen.back(), 100007u);
}

TEST_F(DeviceTest, UploadWaitsOnlyForItsBuffers) {
  Stream stream;
  Buffer buffer;
  Uploader uploader;
  std::vector<uint8_t> source(50);
  ASSERT_EQ(stream.create(device, error), QCC_OK);
  ASSERT_EQ(buffer.allocate(device, 50, "a test", error), QCC_OK);
  ASSERT_EQ(uploader.create(device, error, 10), QCC_OK);
  auto waits = [&] {
    return std::count(fake->calls.begin(), fake->calls.end(),
                      "cuEventSynchronize");
  };
  ASSERT_EQ(uploader.upload(buffer, 0, source.data(), 20, stream, error),
            QCC_OK);
  EXPECT_EQ(waits(), 0);
  // One after the other becomes free, also for another upload.
  ASSERT_EQ(uploader.upload(buffer, 0, source.data(), 50, stream, error),
            QCC_OK);
  EXPECT_EQ(waits(), 5);
}

TEST_F(DeviceTest, AFailedUploadLeavesNothingUnderWay) {
  Stream stream;
  Buffer buffer;
  std::vector<uint8_t> source(100);
  ASSERT_EQ(stream.create(device, error), QCC_OK);
  ASSERT_EQ(buffer.allocate(device, 100, "a test", error), QCC_OK);
  {
    Uploader uploader;
    ASSERT_EQ(uploader.create(device, error, 10), QCC_OK);
    fake->failName = "cuEventRecord";
    EXPECT_EQ(uploader.upload(buffer, 0, source.data(), 100, stream, error),
              QCC_E_DEVICE);
  }
  // The fake driver complains now if a copy still reads the freed memory.
  ASSERT_EQ(stream.synchronize(error), QCC_OK);
}

TEST_F(DeviceTest, UploadStopsWhenTold) {
  Stream stream;
  Buffer buffer;
  Uploader uploader;
  std::vector<uint8_t> source(100);
  ASSERT_EQ(stream.create(device, error), QCC_OK);
  ASSERT_EQ(buffer.allocate(device, 100, "a test", error), QCC_OK);
  EXPECT_EQ(uploader.upload(buffer, 0, source.data(), 100, stream, error),
            QCC_E_ARGUMENT);
  EXPECT_STREQ(error.get(), "this uploader was not created");
  ASSERT_EQ(uploader.create(device, error, 10), QCC_OK);
  auto stop = [](void *, size_t done, size_t) { return int32_t(done >= 30); };
  EXPECT_EQ(uploader.upload(buffer, 0, source.data(), 100, stream, error, stop),
            QCC_E_CANCELLED);
  EXPECT_EQ(std::count(fake->calls.begin(), fake->calls.end(),
                       "cuMemcpyHtoDAsync_v2"),
            3);
  fake->calls.clear();
  EXPECT_EQ(uploader.upload(buffer, 1, source.data(), 100, stream, error),
            QCC_E_ARGUMENT);
  EXPECT_STREQ(error.get(), "cannot upload 100 bytes at 1 of a device buffer "
                            "of 100 bytes");
  EXPECT_TRUE(fake->calls.empty());
}

//===----------------------------------------------------------------------===//
// Modules and kernels
//===----------------------------------------------------------------------===//

TEST_F(DeviceTest, LaunchesAKernel) {
  EXPECT_EQ(addOn(device), QCC_OK) << error.get();
}

TEST_F(DeviceTest, GivesTheCompilersLog) {
  fake->jitLog =
      "ptxas application ptx input, line 9; fatal   : Unexpected "
      "token\n\nptxas fatal   : Ptx assembly aborted due to errors\n";
  Module module;
  char log[512];
  EXPECT_EQ(module.load(device, ptxImage(), error, log, sizeof log),
            QCC_E_DEVICE);
  EXPECT_STREQ(error.get(),
               "cannot compile the code for sm_80 on Fake GPU: ptxas "
               "application ptx input, line 9; fatal : Unexpected token; ptxas "
               "fatal : Ptx assembly aborted due to errors");
  EXPECT_EQ(log, fake->jitLog);
  fake->jitLog = std::string(100000, 'x'); // longer than any buffer
  EXPECT_EQ(module.load(device, ptxImage(), error, log, 10), QCC_E_DEVICE);
  EXPECT_STREQ(log, "xxxxxxxxx");
  fake->jitLog.clear();
  fake->failName = "cuModuleLoadDataEx";
  EXPECT_EQ(module.load(device, ptxImage(), error), QCC_E_DEVICE);
  EXPECT_STREQ(error.get(), "cannot load the GPU code (Fake GPU): unknown "
                            "error (CUDA_ERROR_UNKNOWN)");
}

TEST_F(DeviceTest, KernelChecksItsLaunch) {
  Stream stream;
  Module module;
  Kernel kernel;
  ASSERT_EQ(stream.create(device, error), QCC_OK);
  ASSERT_EQ(module.load(device, ptxImage(), error), QCC_OK);
  EXPECT_EQ(module.kernel("multiply", kernel, error), QCC_E_DEVICE);
  EXPECT_TRUE(has(error.get(), "cannot find a kernel (multiply)"));
  ASSERT_EQ(module.kernel("add", kernel, error), QCC_OK);
  EXPECT_EQ(kernel.registers(), 40u);
  EXPECT_EQ(kernel.localBytes(), 0u);
  EXPECT_EQ(kernel.staticSharedBytes(), 1024u);
  EXPECT_EQ(kernel.threadsPerBlock(), 512u);
  fake->calls.clear();
  auto refused = [&](LaunchShape shape) {
    EXPECT_EQ(kernel.launch(shape, nullptr, stream, error), QCC_E_ARGUMENT);
    return std::string(error.get());
  };
  EXPECT_EQ(
      refused({{1, 1, 1}, {513, 1, 1}, 0}),
      "kernel add: 1 x 1 x 1 blocks of 513 x 1 x 1 threads, expected 1 or "
      "more, and at most 512 threads");
  refused({{1, 0, 1}, {1, 1, 1}, 0});
  refused({{1, 1, 1}, {1, 1, 0}, 0});
  refused({{1, 1, 1}, {1u << 31, 1u << 31, 4}, 0}); // 0 modulo 2^64
  refused({{1, 1, 1}, {1, 1, 1u << 31}, 0});
  refused({{1, 1, 1}, {8, 8, 9}, 0});
  EXPECT_EQ(
      refused({{1, 1, 1}, {32, 1, 1}, 48 << 10}),
      "kernel add: 49152 bytes of dynamic shared memory, expected at most "
      "48128");
  EXPECT_TRUE(fake->calls.empty());
  EXPECT_EQ(kernel.allowSharedBytes(163 << 10, error), QCC_E_DEVICE);
  EXPECT_STREQ(error.get(), "kernel add needs 167936 bytes of shared memory, "
                            "Fake GPU has 166912");
  EXPECT_EQ(kernel.allowSharedBytes(40 << 10, error), QCC_OK);
  EXPECT_TRUE(fake->calls.empty());
  EXPECT_EQ(kernel.allowSharedBytes(162 << 10, error), QCC_OK);
  EXPECT_TRUE(has(lines(fake->calls), "cuFuncSetAttribute\n"));
}

TEST_F(DeviceTest, AFailingKernelIsFoundWhenSynchronized) {
  Stream stream;
  Module module;
  Kernel kernel;
  Buffer buffer;
  ASSERT_EQ(stream.create(device, error), QCC_OK);
  ASSERT_EQ(module.load(device, ptxImage(), error), QCC_OK);
  ASSERT_EQ(module.kernel("crash", kernel, error), QCC_OK);
  ASSERT_EQ(kernel.launch({}, nullptr, stream, error), QCC_OK);
  EXPECT_EQ(stream.synchronize(error), QCC_E_DEVICE);
  EXPECT_STREQ(error.get(),
               "cannot finish the work (Fake GPU): an illegal memory access "
               "was encountered (CUDA_ERROR_ILLEGAL_ADDRESS)");
  // The context is lost; this is said again, and all is let go of.
  EXPECT_EQ(buffer.allocate(device, 16, "a test", error), QCC_E_DEVICE);
  EXPECT_TRUE(has(error.get(), "CUDA_ERROR_ILLEGAL_ADDRESS"));
  orphansAllowed = 2; // stream and module go with the context
}

TEST_F(DeviceTest, AStreamFinishesBeforeItGoes) {
  Stream stream;
  Buffer buffer;
  uint8_t bytes[16] = {};
  ASSERT_EQ(stream.create(device, error), QCC_OK);
  ASSERT_EQ(buffer.allocate(device, 16, "a test", error), QCC_OK);
  ASSERT_EQ(buffer.fill(0, 3, 16, stream, error), QCC_OK);
  ASSERT_EQ(buffer.read(0, bytes, 16, stream, error), QCC_OK);
  EXPECT_EQ(bytes[0], 0); // put off
  stream.release();
  EXPECT_EQ(std::count(bytes, bytes + 16, 3), 16);
  EXPECT_EQ(stream.device(), nullptr);
  EXPECT_EQ(buffer.read(0, bytes, 16, stream, error), QCC_E_ARGUMENT);
}

TEST_F(DeviceTest, EventsTellTime) {
  Stream stream;
  Event start, end;
  Buffer buffer;
  ASSERT_EQ(stream.create(device, error), QCC_OK);
  ASSERT_EQ(buffer.allocate(device, 16, "a test", error), QCC_OK);
  ASSERT_EQ(start.create(device, Event::Timing, error), QCC_OK);
  ASSERT_EQ(end.create(device, Event::Timing, error), QCC_OK);
  EXPECT_EQ(start.wait(error), QCC_OK); // not recorded
  ASSERT_EQ(start.record(stream, error), QCC_OK);
  ASSERT_EQ(buffer.fill(0, 0, 16, stream, error), QCC_OK);
  ASSERT_EQ(buffer.fill(0, 1, 16, stream, error), QCC_OK);
  ASSERT_EQ(end.record(stream, error), QCC_OK);
  double seconds = 0;
  ASSERT_EQ(end.secondsSince(start, seconds, error), QCC_OK) << error.get();
  EXPECT_DOUBLE_EQ(seconds, 0.003); // the fake's clock: 1.5 ms a piece of work
}

} // namespace
