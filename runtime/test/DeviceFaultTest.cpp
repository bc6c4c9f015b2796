//===- DeviceFaultTest.cpp - Each call of the driver fails once -----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "DeviceFixture.h"

#include <set>

namespace {

class DeviceFaultTest : public FakeDriverFixture {
protected:
  /// Opens the driver and two GPUs, works on both and lets go of everything.
  /// Sets `inWork` to the number of calls before the first was let go of.
  qcc_status useAll(size_t &inWork) {
    Driver mine;
    Device first, second;
    qcc_status status = mine.open(options, error);
    if (status == QCC_OK)
      status = first.open(mine, 0, error);
    if (status == QCC_OK)
      status = second.open(mine, 1, error);
    if (status == QCC_OK)
      status = addOn(first, error);
    if (status == QCC_OK)
      status = addOn(second, error);
    inWork = fake->calls.size();
    return status;
  }

  void failEach(int failWith);
};

/// What may be called after a failure: entering and leaving the context,
/// waiting, letting go, and asking how much memory is free for the text.
const std::set<std::string> afterwards = {"cuCtxPushCurrent_v2",
                                          "cuCtxPopCurrent_v2",
                                          "cuStreamSynchronize",
                                          "cuEventSynchronize",
                                          "cuStreamDestroy_v2",
                                          "cuEventDestroy_v2",
                                          "cuMemFree_v2",
                                          "cuMemFreeHost",
                                          "cuModuleUnload",
                                          "cuMemGetInfo_v2",
                                          "cuDevicePrimaryCtxRelease_v2"};

const std::set<std::string> lettingGo = {
    "cuStreamDestroy_v2", "cuEventDestroy_v2", "cuMemFree_v2",
    "cuMemFreeHost",      "cuModuleUnload",    "cuDevicePrimaryCtxRelease_v2"};

void DeviceFaultTest::failEach(int failWith) {
  size_t inWork = 0;
  ASSERT_EQ(useAll(inWork), QCC_OK) << error.get();
  const std::vector<std::string> calls = fake->calls;
  ASSERT_GT(calls.size(), 200u);
  // Objects of addOn() are let go of when it returns, which is within the work.
  std::set<std::string> failed;
  for (size_t n = 1; n <= calls.size(); ++n) {
    fake = control<FakeCuda *()>("fake_cuda_reset")();
    fake->failAt = n;
    fake->failWith = failWith;
    error.clear();
    size_t returned = 0;
    qcc_status status = useAll(returned);
    const std::string &name = calls[n - 1];
    SCOPED_TRACE("call " + std::to_string(n) + ", " + name + ": " +
                 error.get());
    ASSERT_GE(fake->calls.size(), n);
    ASSERT_EQ(fake->calls[n - 1], name);
    bool inRelease = status == QCC_OK;
    if (!inRelease) {
      EXPECT_EQ(status, failWith == 2 ? QCC_E_NO_MEMORY : QCC_E_DEVICE);
      EXPECT_NE(std::string(error.get()), "");
      for (size_t i = n; i < fake->calls.size(); ++i)
        EXPECT_TRUE(afterwards.count(fake->calls[i])) << fake->calls[i];
      failed.insert(name);
    } else {
      // Nobody can be told of what fails while letting go.
      EXPECT_TRUE(lettingGo.count(name) || name.find("cuCtx") == 0 ||
                  name.find("Synchronize") != std::string::npos);
    }
    // A resource that the driver did not let go of is one resource; a context
    // that could not be popped stays, and is used by what follows.
    bool popped = name == "cuCtxPopCurrent_v2";
    EXPECT_LE(fake->orphans, inRelease ? 1u : 0u);
    EXPECT_LE(fake->live(), name == "cuDevicePrimaryCtxRelease_v2" ? 1u : 0u);
    EXPECT_EQ(lines(fake->misuse), "");
    EXPECT_EQ(control<size_t()>("fake_cuda_depth")(), popped ? 1u : 0u);
  }
  // Each function that makes or does something was among them.
  for (const std::string &name : calls)
    if (!lettingGo.count(name)) {
      EXPECT_TRUE(failed.count(name)) << name;
    }
  fake = control<FakeCuda *()>("fake_cuda_reset")();
}

TEST_F(DeviceFaultTest, EachCallFails) { failEach(999); }

TEST_F(DeviceFaultTest, EachCallRunsOutOfMemory) { failEach(2); }

} // namespace
