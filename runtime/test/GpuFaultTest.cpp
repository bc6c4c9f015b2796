//===- GpuFaultTest.cpp - Each call of the driver fails once --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "GpuFixture.h"

using namespace demo;

namespace {

class GpuFaultTest : public GpuFixture {
protected:
  /// Opens the model, generates across pages, parts two sequences, saves one
  /// and restores it, and lets go of everything. The first failure, or success
  /// with the right logits.
  qcc_status useAll() {
    if ((status = open("demo_gpu_only.so")) != QCC_OK)
      return status;
    if ((status = start(2)) != QCC_OK)
      return status;
    status = work();
    if (status)
      snprintf(error, sizeof error, "%s", qcc_last_error(session.get()));
    session.reset();
    model.reset();
    return status;
  }

  qcc_status work() {
    std::vector<int32_t> tokens = someTokens(70);
    std::vector<int32_t> start(tokens.begin(), tokens.begin() + 66);
    if (qcc_status status = tryEval(start, 16))
      return status;
    for (size_t i = 66; i < 70; ++i)
      if (qcc_status status = tryEval({tokens[i]}))
        return status;
    if (qcc_status status = qcc_copy(session.get(), 0, 1, 69))
      return status;
    Logits last;
    if (qcc_status status = tryEval({tokens[69]}, 1, 1, &last))
      return status;
    std::vector<uint8_t> saved(64 << 10);
    size_t bytes = 0;
    if (qcc_status status = qcc_state_save(session.get(), 1, saved.data(),
                                           saved.size(), &bytes))
      return status;
    if (qcc_status status =
            qcc_state_restore(session.get(), 0, saved.data(), bytes))
      return status;
    if (expected.empty())
      expected = last;
    return last == expected ? QCC_OK : QCC_E_NUMERIC;
  }

  /// `memoryOf` is of two GPUs, if given; `major` of their compute capability.
  void failEach(int failWith, std::vector<uint64_t> memoryOf = {},
                int major = 8) {
    expected.clear();
    auto renew = [&] {
      GpuFaultTest::renew();
      fake->major = major;
      if (!memoryOf.empty())
        fake->devices = int(memoryOf.size());
      std::copy(memoryOf.begin(), memoryOf.end(), fake->memoryOf);
    };
    renew();
    ASSERT_EQ(useAll(), QCC_OK) << error;
    const std::vector<std::string> calls = fake->calls;
    ASSERT_GT(calls.size(), 300u);
    size_t failures = 0;
    for (size_t n = 1; n <= calls.size(); ++n) {
      renew();
      fake->failAt = n;
      fake->failWith = failWith;
      qcc_status found = useAll();
      const std::string &name = calls[n - 1];
      SCOPED_TRACE("call " + std::to_string(n) + ", " + name + ": " + error);
      if (found) {
        ++failures;
        EXPECT_TRUE(found == QCC_E_DEVICE || found == QCC_E_NO_MEMORY) << found;
        EXPECT_NE(std::string(error), "");
      }
      session.reset();
      model.reset();
      // One thing that the driver did not let go of; a context that could not
      // be popped stays current.
      EXPECT_LE(fake->live(), 1u);
      EXPECT_LE(fake->orphans, found ? 0u : 2u);
      std::string misuse;
      for (const std::string &line : fake->misuse)
        misuse += line + "\n";
      EXPECT_EQ(misuse, "");
      EXPECT_EQ(control<size_t()>("fake_cuda_depth")(),
                name == "cuCtxPopCurrent_v2" ? 1u : 0u);
    }
    EXPECT_GT(failures, calls.size() / 2);
    renew();
  }

  Logits expected;
};

TEST_F(GpuFaultTest, EachCallFails) { failEach(999); }

TEST_F(GpuFaultTest, EachCallRunsOutOfMemory) { failEach(2); }

/// Launches that begin before the one before has ended.
TEST_F(GpuFaultTest, EachCallOfEarlyLaunchesFails) { failEach(999, {}, 9); }

/// A layer on each of two.
TEST_F(GpuFaultTest, EachCallOfTwoGpusFails) { failEach(999, {80000, 180000}); }

} // namespace
