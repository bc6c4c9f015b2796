//===- Output.cpp - The text of one answer --------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Output.h"

#include <algorithm>
#include <cmath>
#include <new>

namespace qcc::serve {

Output::Output(const std::vector<std::string> &stop) {
  for (const std::string &text : stop)
    stops.push_back(text.c_str());
  if (!stopFilter.create(stops.data(), stops.size()))
    throw std::bad_alloc();
}

bool Output::filter(const std::string &text) {
  return stopFilter.take(
      text.data(), text.size(),
      [&](const char *data, size_t bytes) { ready.append(data, bytes); });
}

bool Output::push(std::string_view bytes, TokenScore *score) {
  if (score)
    scores.push_back(std::move(*score));
  std::string text;
  characters.push(bytes, text);
  return filter(text);
}

bool Output::finish() {
  std::string text;
  characters.finish(text);
  if (filter(text))
    return true;
  stopFilter.finish(
      [&](const char *data, size_t bytes) { ready.append(data, bytes); });
  return false;
}

Delta Output::take() {
  Delta delta;
  delta.text.swap(ready);
  delta.scores.swap(scores);
  return delta;
}

TokenScore scoreToken(const float *logits, size_t vocab, int32_t token,
                      size_t top) {
  float largest = *std::max_element(logits, logits + vocab);
  double total = 0;
  for (size_t i = 0; i < vocab; ++i)
    total += std::exp(double(logits[i] - largest));
  auto logprob = [&](int32_t id) {
    // JSON has no infinity; this is what OpenAI gives for "practically never".
    double value = double(logits[id]) - double(largest) - std::log(total);
    return float(std::isfinite(value) ? std::max(value, -9999.0) : -9999.0);
  };
  TokenScore score{token, logprob(token), {}};
  // The best so far, sorted; ties go to the lower id.
  std::vector<int32_t> best;
  for (size_t i = 0; i < vocab && top; ++i) {
    if (best.size() == top && !(logits[i] > logits[best.back()]))
      continue;
    if (best.size() == top)
      best.pop_back();
    auto place = std::find_if(best.begin(), best.end(), [&](int32_t other) {
      return logits[i] > logits[other];
    });
    best.insert(place, int32_t(i));
  }
  for (int32_t id : best)
    score.top.emplace_back(id, logprob(id));
  return score;
}

} // namespace qcc::serve
