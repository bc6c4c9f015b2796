//===- CoreTest.cpp - Sampler, team and checks of the bundle --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc-rt/qcc_gpu.h"
#include "core/Model.h"
#include "core/Pace.h"
#include "core/Sampler.h"
#include "core/Team.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

using namespace qcc::rt;

//===----------------------------------------------------------------------===//
// Sampler
//===----------------------------------------------------------------------===//

namespace {

constexpr uint32_t vocab = 1000;

class SamplerTest : public testing::Test {
protected:
  void SetUp() override {
    ASSERT_EQ(sampler.create(vocab, error), QCC_OK);
    settings.seed = 1;
    std::mt19937 random(7);
    std::normal_distribution<float> normal(0, 3);
    logits.resize(vocab);
    for (float &logit : logits)
      logit = normal(random);
  }

  int32_t sample(const std::vector<int32_t> &history = {}) {
    int32_t token = -1;
    EXPECT_EQ(sampler.sample(sequence, logits.data(), history.data(),
                             history.size(), token, error),
              QCC_OK)
        << error.get();
    return token;
  }

  /// Draws many tokens and compares their shares with the chain written plainly
  /// with sorted arrays.
  void expectDistribution(const std::vector<int32_t> &history = {}) {
    ASSERT_EQ(sequence.set(settings, error), QCC_OK);
    std::map<int32_t, double> expected = plainChain(history);
    std::map<int32_t, int> drawn;
    constexpr int draws = 10000;
    for (int i = 0; i < draws; ++i)
      ++drawn[sample(history)];
    for (auto &[token, times] : drawn)
      EXPECT_TRUE(expected.count(token)) << "token " << token;
    for (auto &[token, probability] : expected) {
      double sigma = std::sqrt(probability * (1 - probability) / draws);
      EXPECT_NEAR(double(drawn[token]) / draws, probability,
                  5 * sigma + 3.0 / draws)
          << "token " << token;
    }
  }

  std::map<int32_t, double> plainChain(std::vector<int32_t> history) {
    std::vector<float> x = logits;
    if (settings.repeat_last >= 0 &&
        history.size() > size_t(settings.repeat_last))
      history.erase(history.begin(), history.end() - settings.repeat_last);
    std::map<int32_t, int> counts;
    for (int32_t token : history)
      ++counts[token];
    for (auto &[token, count] : counts) {
      float &logit = x[size_t(token)];
      logit = logit > 0 ? logit / settings.repeat_penalty
                        : logit * settings.repeat_penalty;
      logit -=
          float(count) * settings.frequency_penalty + settings.presence_penalty;
    }
    std::vector<int32_t> order(vocab);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return x[size_t(a)] > x[size_t(b)];
    });
    if (settings.top_k > 0 && settings.top_k < int32_t(vocab))
      order.resize(size_t(settings.top_k));
    auto weights = [&](double temperature) {
      std::vector<double> result;
      for (int32_t token : order)
        result.push_back(
            std::exp((double(x[size_t(token)]) - double(x[size_t(order[0])])) /
                     temperature));
      double sum = std::accumulate(result.begin(), result.end(), 0.0);
      for (double &weight : result)
        weight /= sum;
      return result;
    };
    std::vector<double> p = weights(1);
    if (settings.top_p < 1) {
      double sum = 0;
      size_t keep = 0;
      while (keep < p.size() && sum < double(settings.top_p))
        sum += p[keep++];
      order.resize(std::max<size_t>(keep, 1));
    }
    p = weights(1);
    size_t keep = 1;
    while (keep < p.size() && p[keep] >= double(settings.min_p) * p[0])
      ++keep;
    order.resize(keep);
    p = weights(double(settings.temperature));
    std::map<int32_t, double> result;
    for (size_t i = 0; i < order.size(); ++i)
      result[order[i]] = p[i];
    return result;
  }

  Sampler sampler;
  Draws sequence;
  ErrorText error;
  qcc_sampling_v1 settings = QCC_SAMPLING_INIT;
  std::vector<float> logits;
};

} // namespace

TEST_F(SamplerTest, GreedyTakesTheFirstOfTheBest) {
  settings.temperature = 0;
  ASSERT_EQ(sequence.set(settings, error), QCC_OK);
  logits[700] = logits[123] = logits[999] = 50;
  EXPECT_EQ(sample(), 123);
  logits[999] = 51;
  EXPECT_EQ(sample(), 999);
}

TEST_F(SamplerTest, DefaultChain) { expectDistribution(); }

TEST_F(SamplerTest, TopKAlone) {
  settings.top_k = 5;
  settings.top_p = 1;
  settings.min_p = 0;
  expectDistribution();
}

TEST_F(SamplerTest, TopKLargerThanABlock) {
  settings.top_k = 300;
  settings.top_p = 1;
  settings.min_p = 0;
  settings.temperature = 3;
  expectDistribution();
}

TEST_F(SamplerTest, TopPAlone) {
  settings.top_k = 0;
  settings.top_p = 0.7f;
  settings.min_p = 0;
  expectDistribution();
}

TEST_F(SamplerTest, TopPOfNearlyAll) {
  for (float &logit : logits)
    logit *= 0.01f; // flat: top-p needs several rounds of sorting
  settings.top_k = 0;
  settings.top_p = 0.9f;
  settings.min_p = 0;
  expectDistribution();
}

TEST_F(SamplerTest, MinPAlone) {
  settings.top_k = 0;
  settings.top_p = 1;
  settings.min_p = 0.2f;
  settings.temperature = 1.5f;
  expectDistribution();
}

TEST_F(SamplerTest, NothingCut) {
  settings.top_k = 0;
  settings.top_p = 1;
  settings.min_p = 0;
  settings.temperature = 1;
  expectDistribution();
}

TEST_F(SamplerTest, Penalties) {
  std::vector<int32_t> best(vocab);
  std::iota(best.begin(), best.end(), 0);
  std::sort(best.begin(), best.end(), [&](int32_t a, int32_t b) {
    return logits[size_t(a)] > logits[size_t(b)];
  });
  settings.repeat_penalty = 1.3f;
  settings.frequency_penalty = 0.4f;
  settings.presence_penalty = 0.2f;
  settings.repeat_last = 5;
  // The first entry lies before the window.
  expectDistribution({best[3], best[0], best[1], best[0], best[999], best[2]});
}

TEST_F(SamplerTest, SelectionIsExactForAllK) {
  // Many ties, which the lower token id wins.
  for (uint32_t i = 0; i < vocab; ++i)
    logits[i] = float((i * 7919) % 50);
  settings.top_p = 1;
  settings.min_p = 0;
  settings.temperature = 1e6f; // every kept token is drawn soon
  for (int32_t k : {1, 2, 20, 63, 64, 65, 130}) {
    settings.top_k = k;
    ASSERT_EQ(sequence.set(settings, error), QCC_OK);
    std::map<int32_t, double> expected = plainChain({});
    ASSERT_EQ(expected.size(), size_t(k));
    std::map<int32_t, int> drawn;
    for (int i = 0; i < 20 * k; ++i)
      ++drawn[sample()];
    for (auto &[token, times] : drawn)
      EXPECT_TRUE(expected.count(token)) << "k " << k << " token " << token;
    EXPECT_EQ(drawn.size(), size_t(k));
  }
}

TEST_F(SamplerTest, SurvivesBadLogits) {
  int32_t token = -1;
  std::fill(logits.begin(), logits.end(), NAN);
  ASSERT_EQ(sequence.set(settings, error), QCC_OK);
  EXPECT_EQ(sampler.sample(sequence, logits.data(), nullptr, 0, token, error),
            QCC_E_NUMERIC);
  std::fill(logits.begin(), logits.end(), -INFINITY);
  EXPECT_EQ(sampler.sample(sequence, logits.data(), nullptr, 0, token, error),
            QCC_E_NUMERIC);
  logits[17] = 1;
  logits[18] = NAN;
  EXPECT_EQ(sample(), 17);
  logits[19] = INFINITY;
  EXPECT_EQ(sampler.sample(sequence, logits.data(), nullptr, 0, token, error),
            QCC_E_NUMERIC);
  settings.top_k = 0;
  ASSERT_EQ(sequence.set(settings, error), QCC_OK);
  EXPECT_EQ(sampler.sample(sequence, logits.data(), nullptr, 0, token, error),
            QCC_E_NUMERIC);
}

TEST_F(SamplerTest, ChecksSettings) {
  auto refused = [&](auto change) {
    qcc_sampling_v1 bad = settings;
    change(bad);
    EXPECT_EQ(sequence.set(bad, error), QCC_E_ARGUMENT);
  };
  refused([](auto &s) { s.temperature = NAN; });
  refused([](auto &s) { s.top_p = -0.1f; });
  refused([](auto &s) { s.min_p = 1.1f; });
  refused([](auto &s) { s.repeat_penalty = 0; });
  EXPECT_STREQ(error.get(), "repeat_penalty is 0, expected more than 0");
}

TEST(RandomTest, IsXoshiro256StarStar) {
  // First outputs for the seed 0 expanded by splitmix64, from the algorithms'
  // published definitions (state 0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4,
  // 0x06c45d188009454f, 0xf88bb8a8724c81ec).
  Random random;
  random.seed(0);
  EXPECT_EQ(random.next(), 0x99ec5f36cb75f2b4u);
  EXPECT_EQ(random.next(), 0xbf6e1f784956452au);
}

//===----------------------------------------------------------------------===//
// Team
//===----------------------------------------------------------------------===//

namespace {
struct Work {
  Team *team;
  std::vector<uint64_t> cells; // one for each thread
  std::atomic<int> errors{0};
  int rounds;
};
} // namespace

/// Each round every thread adds up all threads' cells and writes its own; the
/// result is wrong if a barrier lets anybody through early.
static void sumAll(void *context, uint32_t thread, uint32_t threads) {
  Work &work = *static_cast<Work *>(context);
  for (int round = 0; round < work.rounds; ++round) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < threads; ++i)
      sum += work.cells[i];
    if (Team::barrier(work.team, thread))
      return;
    work.cells[thread] = sum + 1;
    if (Team::barrier(work.team, thread))
      return;
    if (work.cells[(thread + 1) % threads] != sum + 1)
      ++work.errors;
    if (Team::barrier(work.team, thread))
      return;
  }
}

TEST(TeamTest, BarriersHoldEverybody) {
  for (uint32_t threads : {1u, 2u, 3u, 8u}) {
    Team team;
    ErrorText error;
    ASSERT_EQ(team.start(threads, error), QCC_OK) << error.get();
    Work work{&team, std::vector<uint64_t>(threads), {}, 60};
    for (int job = 0; job < 20; ++job) {
      // Jobs of fewer threads come between.
      uint32_t active = job % 3 == 2 ? 1 + uint32_t(job) % threads : threads;
      EXPECT_TRUE(team.run(sumAll, &work, active));
      // Now and then long enough that the workers fall asleep.
      if (job % 5 == 0)
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    EXPECT_EQ(work.errors, 0) << threads << " threads";
  }
}

TEST(TeamTest, CancelIsTheSameForAll) {
  Team team;
  ErrorText error;
  ASSERT_EQ(team.start(4, error), QCC_OK);
  struct Counting {
    Team *team;
    std::atomic<uint64_t> passed[4];
  };
  for (int round = 0; round < 100; ++round) {
    Counting counting{&team, {}};
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(100 * (round % 7)));
      team.requestCancel(true);
    });
    EXPECT_FALSE(team.run(
        [](void *context, uint32_t thread, uint32_t) {
          Counting &counting = *static_cast<Counting *>(context);
          while (!Team::barrier(counting.team, thread))
            ++counting.passed[thread];
        },
        &counting, 4));
    other.join();
    for (auto &passed : counting.passed)
      EXPECT_EQ(passed, counting.passed[0]);
  }
}

TEST(TeamTest, RefusesNumbersItCannotHave) {
  Team team;
  ErrorText error;
  EXPECT_EQ(team.start(0, error), QCC_E_ARGUMENT);
  EXPECT_EQ(team.start(Team::maxThreads + 1, error), QCC_E_ARGUMENT);
}

//===----------------------------------------------------------------------===//
// Pace
//===----------------------------------------------------------------------===//

/// Runs steps whose time depends on the number of threads; where it is crowded,
/// threads wait for half of it. Returns how often each number was used.
template <typename Seconds>
static std::vector<int> runPace(Pace &pace, int steps, bool crowded,
                                const Seconds &seconds) {
  std::vector<int> used(16);
  for (int i = 0; i < steps; ++i) {
    uint32_t threads = pace.threads();
    ++used[threads];
    double took = seconds(threads);
    pace.record(took, crowded ? 0.5 * took * (threads - 1) : 0);
  }
  return used;
}

TEST(PaceTest, AQuietMachineUsesAllThreads) {
  Pace pace;
  pace.start(4);
  EXPECT_EQ(runPace(pace, 1000, false, [](uint32_t n) { return 1.0 / n; })[4],
            1000);
}

TEST(PaceTest, GivesWayToAnotherProcessAndComesBack) {
  // One of four cores is half taken: all wait for it.
  Pace pace;
  pace.start(4);
  auto shared = [](uint32_t n) { return n == 4 ? 0.5 : 1.0 / n; };
  std::vector<int> used(16);
  for (int i = 0; i < 2000; ++i) {
    uint32_t threads = pace.threads();
    ++used[threads];
    pace.record(shared(threads), threads == 4 ? 3 * 0.25 : 0);
  }
  EXPECT_GT(used[3], 1800);
  // The other process is gone.
  used = runPace(pace, 3000, false, [](uint32_t n) { return 1.0 / n; });
  EXPECT_GT(used[4], 1800);
  EXPECT_EQ(pace.threads(), 4u);
}

TEST(PaceTest, ShortWaitsAreNoCrowd) {
  Pace pace;
  pace.start(4);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(pace.threads(), 4u);
    pace.record(1.0, 3 * 0.05);
  }
}

TEST(PaceTest, AHopelessTrialEndsEarly) {
  // One thread has its core for itself, another would wait nine times as long.
  Pace pace;
  pace.start(2);
  auto seconds = [](uint32_t n) { return n == 1 ? 1.0 : 10.0; };
  std::vector<int> used = runPace(pace, 8, true, seconds);
  EXPECT_EQ(used[2], 8);
  used = runPace(pace, 1000, true, seconds);
  EXPECT_EQ(pace.threads(), 1u);
  EXPECT_LT(used[2], 10);
}

TEST(PaceTest, KeepsThreadsThatPayInACrowd) {
  Pace pace;
  pace.start(2);
  EXPECT_GT(runPace(pace, 4000, true, [](uint32_t n) { return 1.0 / n; })[2],
            3700);
}

//===----------------------------------------------------------------------===//
// Bundle
//===----------------------------------------------------------------------===//

TEST(BundleTest, ChecksNumbersBeforeUse) {
  ErrorText error;
  ASSERT_EQ(checkBundle(qcc_bundle, error), QCC_OK) << error.get();
  auto refused = [&](auto change) {
    qcc_model_v1 model = *qcc_bundle.models[0];
    qcc_state_v1 state = model.states[0];
    model.states = &state;
    model.state_count = 1;
    qcc_bundle_v1 bundle = qcc_bundle;
    const qcc_model_v1 *models[] = {&model};
    bundle.models = models;
    bundle.model_count = 1;
    change(bundle, model, state);
    EXPECT_EQ(checkBundle(bundle, error), QCC_E_DATA);
  };
  refused([](auto &b, auto &, auto &) { b.version_major = 2; });
  refused([](auto &b, auto &, auto &) { b.struct_size = 8; });
  refused([](auto &b, auto &, auto &) { b.model_count = 0; });
  refused([](auto &, auto &m, auto &) { m.vocab = 0; });
  refused([](auto &, auto &m, auto &) { m.context = 0; });
  refused([](auto &, auto &m, auto &) { m.context = 0x80000000u; });
  refused([](auto &, auto &m, auto &) { m.row_capacity = 15; });
  refused([](auto &, auto &m, auto &) { m.step = nullptr; });
  static qcc_gpu_code_v1 gpu = {};
  gpu.struct_size = sizeof gpu;
  gpu.runtime = &gpu;
  refused([](auto &, auto &m, auto &) { m.gpu = &gpu; });
  gpu.runtime = nullptr;
  refused([](auto &, auto &m, auto &) {
    m.gpu = &gpu;
    m.step = nullptr;
  });
  refused([](auto &, auto &m, auto &) { m.struct_size = 4; });
  refused([](auto &, auto &, auto &s) { s.page_bytes = 100; });
  refused([](auto &, auto &, auto &s) { s.page_bytes = 0; });

  // Inputs of matmuls are where the table says.
  refused([](auto &, auto &m, auto &) { m.matmuls = nullptr; });
  refused([](auto &, auto &m, auto &) { m.matmul_columns -= 1; });
  refused([](auto &, auto &m, auto &) { m.matmul_columns = ~0ull; });
  auto refusedMatmul = [&](auto change) {
    qcc_matmul_v1 matmul = qcc_bundle.models[0]->matmuls[0];
    change(matmul);
    refused([&](auto &, auto &m, auto &) { m.matmuls = &matmul; });
  };
  refusedMatmul([](auto &m) { m.weight = nullptr; });
  refusedMatmul([](auto &m) { m.columns = 0; });
  refusedMatmul([](auto &m) { m.columns += 1; });
  refusedMatmul([](auto &m) { m.first = ~0ull; });
}

TEST(BundleTest, TakesTheBestTargetThatTheCpuHas) {
  ErrorText error;
  const qcc_model_v1 *chosen = nullptr;
  ASSERT_EQ(chooseTarget(qcc_bundle, nullptr, 0, chosen, error), QCC_OK);
  EXPECT_STREQ(chosen->target, "x86-64");
  ASSERT_EQ(chooseTarget(qcc_bundle, nullptr, QCC_CPU_X86_64_V3, chosen, error),
            QCC_OK);
  EXPECT_STREQ(chosen->target, "x86-64-v3");
  EXPECT_EQ(chooseTarget(qcc_bundle, "x86-64-v3", 0, chosen, error), QCC_E_CPU);
  EXPECT_STREQ(error.get(), "this CPU lacks AVX2, FMA, F16C or BMI2, which "
                            "target x86-64-v3 needs");
}

/// Where the kernel keeps the tile registers to itself, code that needs none.
TEST(BundleTest, TakesAmxOnlyWhereTheKernelAllowsIt) {
  constexpr uint64_t amx = QCC_CPU_AMX_INT8 | QCC_CPU_AMX_BF16;
  qcc_model_v1 tiles = *qcc_bundle.models[0];
  tiles.target = "sapphirerapids";
  tiles.cpu_features = QCC_CPU_X86_64_V3 | amx;
  const qcc_model_v1 *models[] = {qcc_bundle.models[0], &tiles};
  qcc_bundle_v1 bundle = qcc_bundle;
  bundle.models = models;
  bundle.model_count = 2;
  static int asked;
  auto allow = [] { return ++asked > 0; };
  auto refuse = [] { return ++asked < 0; };
  ErrorText error;
  const qcc_model_v1 *chosen = nullptr;
  asked = 0;
  ASSERT_EQ(chooseAllowedTarget(bundle, nullptr, QCC_CPU_X86_64_V3, allow,
                                chosen, error),
            QCC_OK);
  EXPECT_STREQ(chosen->target, "x86-64");
  EXPECT_EQ(asked, 0);
  uint64_t all = QCC_CPU_X86_64_V3 | amx;
  ASSERT_EQ(chooseAllowedTarget(bundle, nullptr, all, allow, chosen, error),
            QCC_OK);
  EXPECT_STREQ(chosen->target, "sapphirerapids");
  EXPECT_EQ(asked, 1);
  ASSERT_EQ(chooseAllowedTarget(bundle, nullptr, all, refuse, chosen, error),
            QCC_OK);
  EXPECT_STREQ(chosen->target, "x86-64");

  // Nothing else to fall back on, or nothing else asked for.
  const char *refused =
      "the kernel does not allow AMX, which target sapphirerapids needs";
  EXPECT_EQ(
      chooseAllowedTarget(bundle, "sapphirerapids", all, refuse, chosen, error),
      QCC_E_CPU);
  EXPECT_STREQ(error.get(), refused);
  models[0] = &tiles;
  bundle.model_count = 1;
  EXPECT_EQ(chooseAllowedTarget(bundle, nullptr, all, refuse, chosen, error),
            QCC_E_CPU);
  EXPECT_STREQ(error.get(), refused);
  EXPECT_EQ(chooseAllowedTarget(bundle, nullptr, QCC_CPU_X86_64_V3, refuse,
                                chosen, error),
            QCC_E_CPU);
  EXPECT_STREQ(error.get(), "this CPU lacks AMX INT8, AMX BF16, which target "
                            "sapphirerapids needs");
}

/// Code of a GPU is the last of the targets, and not a CPU's.
TEST(BundleTest, PassesOverCodeOfAGpu) {
  qcc_gpu_code_v1 code = {};
  code.struct_size = sizeof code;
  code.runtime = &code;
  qcc_model_v1 gpu = *qcc_bundle.models[0];
  gpu.target = "sm_80";
  gpu.step = nullptr;
  gpu.gpu = &code;
  const qcc_model_v1 *models[] = {qcc_bundle.models[0], &gpu};
  qcc_bundle_v1 bundle = qcc_bundle;
  bundle.models = models;
  bundle.model_count = 2;
  ErrorText error;
  ASSERT_EQ(checkBundle(bundle, error), QCC_OK) << error.get();
  const qcc_model_v1 *chosen = nullptr;
  ASSERT_EQ(chooseTarget(bundle, nullptr, 0, chosen, error), QCC_OK);
  EXPECT_STREQ(chosen->target, "x86-64");
}

TEST(BundleTest, ReadsHowManyLayersAGpuGets) {
  ErrorText error;
  int32_t layers = 7;
  for (const char *text : {static_cast<const char *>(nullptr), "", "auto"}) {
    ASSERT_EQ(readGpuLayers(text, layers, error), QCC_OK);
    EXPECT_EQ(layers, QCC_GPU_AUTO);
  }
  ASSERT_EQ(readGpuLayers("99", layers, error), QCC_OK);
  EXPECT_EQ(layers, 99);
  for (const char *text : {"-1", "9x", "99999999999", "all"})
    EXPECT_EQ(readGpuLayers(text, layers, error), QCC_E_ARGUMENT) << text;
}
