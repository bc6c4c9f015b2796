//===- Sampler.cpp - Choosing the next token ------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Sampler.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ctime>
#include <sys/random.h>

namespace qcc::rt {

//===----------------------------------------------------------------------===//
// Random numbers
//===----------------------------------------------------------------------===//

void Random::seed(uint64_t value) {
  for (uint64_t &word : state) {
    value += 0x9e3779b97f4a7c15u;
    uint64_t z = value;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    word = z ^ (z >> 31);
  }
}

uint64_t Random::next() {
  auto rotate = [](uint64_t x, int k) { return (x << k) | (x >> (64 - k)); };
  uint64_t result = rotate(state[1] * 5, 7) * 9;
  uint64_t t = state[1] << 17;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= t;
  state[3] = rotate(state[3], 45);
  return result;
}

//===----------------------------------------------------------------------===//
// Settings
//===----------------------------------------------------------------------===//

qcc_status Sampler::create(uint32_t vocabulary, ErrorText &error) {
  vocab = vocabulary;
  if (!penalized.reserve(size_t(vocab) * sizeof(float)) ||
      !candidates.reserve(size_t(vocab) * sizeof(Candidate)))
    return error.set(QCC_E_NO_MEMORY, "out of memory for %u candidates", vocab);
  return QCC_OK;
}

qcc_status Draws::set(const qcc_sampling_v1 &wanted, ErrorText &error) {
  auto bad = [&](const char *name, double value, const char *expected) {
    return error.set(QCC_E_ARGUMENT, "%s is %g, expected %s", name, value,
                     expected);
  };
  if (!std::isfinite(wanted.temperature))
    return bad("temperature", wanted.temperature, "a finite number");
  if (!(wanted.top_p >= 0) || !std::isfinite(wanted.top_p))
    return bad("top_p", wanted.top_p, "0 or more");
  if (!(wanted.min_p <= 1) || !std::isfinite(wanted.min_p))
    return bad("min_p", wanted.min_p, "1 or less");
  if (!(wanted.repeat_penalty > 0) || !std::isfinite(wanted.repeat_penalty))
    return bad("repeat_penalty", wanted.repeat_penalty, "more than 0");
  if (!std::isfinite(wanted.frequency_penalty))
    return bad("frequency_penalty", wanted.frequency_penalty,
               "a finite number");
  if (!std::isfinite(wanted.presence_penalty))
    return bad("presence_penalty", wanted.presence_penalty, "a finite number");
  settings = wanted;
  uint64_t seed = uint64_t(wanted.seed);
  if (wanted.seed < 0 &&
      getrandom(&seed, sizeof seed, GRND_NONBLOCK) != ssize_t(sizeof seed)) {
    timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    seed = uint64_t(now.tv_sec) * 1000000007u ^ uint64_t(now.tv_nsec);
  }
  random.seed(seed);
  return QCC_OK;
}

//===----------------------------------------------------------------------===//
// The chain
//===----------------------------------------------------------------------===//

/// A copy of the logits in which the tokens of `history` are penalized, or the
/// logits themselves if no penalty is on.
const float *Sampler::penalize(const qcc_sampling_v1 &settings,
                               const float *logits, const int32_t *history,
                               size_t historyCount) {
  bool off = settings.repeat_penalty == 1 && settings.frequency_penalty == 0 &&
             settings.presence_penalty == 0;
  if (off || historyCount == 0)
    return logits;
  float *result = reinterpret_cast<float *>(penalized.data());
  memcpy(result, logits, size_t(vocab) * sizeof(float));
  // Occurrences are counted in memory that later steps overwrite; a count of 0
  // marks a token that is done.
  auto *counts = reinterpret_cast<Candidate *>(candidates.data());
  for (size_t i = 0; i < historyCount; ++i)
    counts[history[i]].token = 0;
  for (size_t i = 0; i < historyCount; ++i)
    ++counts[history[i]].token;
  for (size_t i = 0; i < historyCount; ++i) {
    int32_t token = history[i];
    int32_t count = counts[token].token;
    if (count == 0)
      continue;
    counts[token].token = 0;
    float &logit = result[token];
    logit = logit <= 0 ? logit * settings.repeat_penalty
                       : logit / settings.repeat_penalty;
    logit -=
        float(count) * settings.frequency_penalty + settings.presence_penalty;
  }
  return result;
}

/// The k best candidates, sorted. Most blocks of logits hold none that beats
/// the k-th best so far, and are passed over by a vector compare.
size_t Sampler::selectTop(const float *logits, size_t k) {
  auto *best = reinterpret_cast<Candidate *>(candidates.data());
  constexpr size_t block = 64;
  const size_t room = std::min<size_t>(vocab, 4 * k + block);
  size_t n = 0;
  float threshold = -INFINITY;
  auto shrink = [&] {
    if (n <= k)
      return;
    std::nth_element(best, best + k - 1, best + n, before);
    n = k;
    threshold = best[k - 1].logit;
  };
  size_t i = 0;
  for (; i + block <= vocab; i += block) {
    int any = 0;
    for (size_t j = 0; j < block; ++j)
      any |= logits[i + j] > threshold;
    if (!any)
      continue;
    if (n + block > room)
      shrink();
    for (size_t j = 0; j < block; ++j)
      if (logits[i + j] > threshold)
        best[n++] = {logits[i + j], int32_t(i + j)};
  }
  if (n + block > room)
    shrink();
  for (; i < vocab; ++i)
    if (logits[i] > threshold)
      best[n++] = {logits[i], int32_t(i)};
  shrink();
  std::sort(best, best + n, before);
  return n;
}

/// All candidates above -infinity, not sorted.
size_t Sampler::selectAll(const float *logits) {
  auto *all = reinterpret_cast<Candidate *>(candidates.data());
  size_t n = 0;
  for (uint32_t i = 0; i < vocab; ++i)
    if (logits[i] > -INFINITY)
      all[n++] = {logits[i], int32_t(i)};
  return n;
}

/// The smallest number of best candidates whose probabilities sum to `topP`.
/// Sorts only as many as that takes.
size_t Sampler::cutTopP(float topP, size_t n) {
  auto *all = reinterpret_cast<Candidate *>(candidates.data());
  float largest = all[0].logit;
  for (size_t i = 1; i < n; ++i)
    largest = std::max(largest, all[i].logit);
  double total = 0;
  for (size_t i = 0; i < n; ++i)
    total += std::exp(double(all[i].logit) - largest);
  double sum = 0, wanted = double(topP) * total;
  size_t sorted = 0;
  for (size_t chunk = 128; sorted < n; chunk *= 4) {
    size_t end = std::min(n, sorted + chunk);
    if (end < n)
      std::nth_element(all + sorted, all + end, all + n, before);
    std::sort(all + sorted, all + end, before);
    for (; sorted < end; ++sorted) {
      sum += std::exp(double(all[sorted].logit) - largest);
      if (sum >= wanted)
        return sorted + 1;
    }
  }
  return n;
}

qcc_status Sampler::sample(Draws &draws, const float *logits,
                           const int32_t *history, size_t historyCount,
                           int32_t &token, ErrorText &error) {
  const qcc_sampling_v1 &settings = draws.settings;
  if (settings.repeat_last >= 0 &&
      size_t(settings.repeat_last) < historyCount) {
    history += historyCount - size_t(settings.repeat_last);
    historyCount = size_t(settings.repeat_last);
  }
  logits = penalize(settings, logits, history, historyCount);
  auto none = [&] {
    return error.set(QCC_E_NUMERIC, "the model gave no finite logit");
  };
  auto *best = reinterpret_cast<Candidate *>(candidates.data());

  if (settings.temperature <= 0) {
    if (selectTop(logits, 1) == 0 || !std::isfinite(best[0].logit))
      return none();
    token = best[0].token;
    return QCC_OK;
  }

  bool all = settings.top_k <= 0 || uint32_t(settings.top_k) >= vocab;
  size_t n =
      all ? selectAll(logits) : selectTop(logits, size_t(settings.top_k));
  if (n == 0)
    return none();
  if (settings.top_p < 1)
    n = cutTopP(settings.top_p, n);
  float largest = best[0].logit;
  for (size_t i = 1; i < n; ++i)
    largest = std::max(largest, best[i].logit);
  if (!std::isfinite(largest))
    return none();
  if (settings.min_p > 0) {
    // The best one always stays, whatever the rounding of the logarithm.
    float least = std::min(largest + std::log(settings.min_p), largest);
    n = size_t(
        std::remove_if(best, best + n,
                       [&](const Candidate &c) { return c.logit < least; }) -
        best);
  }
  double scale = 1.0 / double(settings.temperature), total = 0;
  for (size_t i = 0; i < n; ++i)
    total += std::exp((double(best[i].logit) - largest) * scale);
  double point = draws.random.uniform() * total;
  // Rounding may leave `point` above the last partial sum: then the last
  // candidate with any weight is meant.
  size_t chosen = 0;
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    double weight = std::exp((double(best[i].logit) - largest) * scale);
    if (weight > 0)
      chosen = i;
    sum += weight;
    if (point < sum)
      break;
  }
  token = best[chosen].token;
  return QCC_OK;
}

} // namespace qcc::rt
