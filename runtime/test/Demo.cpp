//===- Demo.cpp - The demo model in tests ---------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Demo.h"

#include <algorithm>

namespace demo {

static float weight(unsigned seed, unsigned row, unsigned column) {
  uint64_t i = uint64_t(row) * DEMO_HIDDEN + column + seed;
  auto byte = uint8_t((i * i * 31 + i * 17) >> 3);
  return (float(byte) - 127.5f) / 128.0f;
}

/// Runs the layers over one token after another; `visit(layer, position, x)`
/// sees the residual stream.
template <typename Visit>
static void run(const std::vector<int32_t> &tokens, unsigned seed, bool prompt,
                const Visit &visit) {
  using Vector = std::vector<float>;
  std::vector<std::vector<Vector>> past(DEMO_LAYERS);
  for (size_t position = 0; position < tokens.size(); ++position) {
    Vector x(DEMO_HIDDEN);
    for (unsigned h = 0; h < DEMO_HIDDEN; ++h) {
      x[h] = weight(seed, unsigned(tokens[position]), h);
      if (prompt)
        x[h] = float(int(x[h] * 8 + (x[h] < 0 ? -0.5f : 0.5f))) / 8;
    }
    visit(0, position, x);
    for (unsigned layer = 0; layer < DEMO_LAYERS; ++layer) {
      past[layer].push_back(x);
      Vector sum(DEMO_HIDDEN, 0);
      for (const Vector &row : past[layer])
        for (unsigned h = 0; h < DEMO_HIDDEN; ++h)
          sum[h] = sum[h] * 0.75f + row[(h + 1) % DEMO_HIDDEN];
      for (unsigned h = 0; h < DEMO_HIDDEN; ++h)
        x[h] = x[h] * 0.5f + sum[h] * 0.5f;
      visit(layer + 1, position, x);
    }
  }
}

Logits evaluate(const std::vector<int32_t> &tokens, unsigned seed,
                bool prompt) {
  Logits result;
  run(tokens, seed, prompt,
      [&](unsigned layer, size_t, const std::vector<float> &x) {
        if (layer != DEMO_LAYERS)
          return;
        for (unsigned v = 0; v < DEMO_VOCAB; ++v) {
          float sum = 0;
          for (unsigned h = 0; h < DEMO_HIDDEN; ++h)
            sum += x[h] * weight(seed, DEMO_VOCAB + v, h);
          result.push_back(sum);
        }
      });
  return result;
}

std::vector<float> trace(const std::vector<int32_t> &tokens, unsigned seed,
                         bool prompt) {
  std::vector<float> result((DEMO_LAYERS + 1) * tokens.size() * DEMO_HIDDEN);
  run(tokens, seed, prompt,
      [&](unsigned layer, size_t position, const std::vector<float> &x) {
        std::copy(x.begin(), x.end(),
                  result.begin() +
                      long((layer * tokens.size() + position) * DEMO_HIDDEN));
      });
  return result;
}

std::string built(const char *name) {
  return std::string(DEMO_BUILD_DIR "/") + name;
}

Model::Model(const char *library) {
  char error[QCC_ERROR_BYTES] = "";
  api = qcc_load(built(library).c_str(), nullptr, error, sizeof error);
  EXPECT_TRUE(api) << error;
  if (api)
    EXPECT_EQ(qcc_model_open(api, nullptr, &model, error, sizeof error), QCC_OK)
        << error;
}

Session::Session(const Model &model, uint32_t threads, uint32_t sequences,
                 uint32_t context, uint32_t batch) {
  qcc_session_options_v1 options = QCC_SESSION_OPTIONS_INIT;
  options.threads = threads;
  options.sequences = sequences;
  options.context = context;
  options.batch = batch;
  char error[QCC_ERROR_BYTES] = "";
  EXPECT_EQ(
      qcc_session_create(model.model, &options, &session, error, sizeof error),
      QCC_OK)
      << error;
}

Logits Session::eval(const std::vector<int32_t> &tokens, uint32_t batch,
                     uint32_t sequence) {
  Logits result;
  qcc_eval_v1 request = {};
  request.struct_size = sizeof request;
  request.sequence = sequence;
  request.tokens = tokens.data();
  request.count = tokens.size();
  request.want = QCC_LOGITS_ALL;
  request.batch = batch;
  request.user = &result;
  request.on_logits = [](void *user, size_t index,
                         const float *logits) -> int32_t {
    Logits &result = *static_cast<Logits *>(user);
    EXPECT_EQ(result.size(), index * DEMO_VOCAB);
    result.insert(result.end(), logits, logits + DEMO_VOCAB);
    return 0;
  };
  EXPECT_EQ(qcc_eval(session, &request), QCC_OK) << qcc_last_error(session);
  return result;
}

qcc_status Session::tryEval(const std::vector<int32_t> &tokens, uint32_t batch,
                            uint32_t sequence, uint32_t want) {
  qcc_eval_v1 request = {};
  request.struct_size = sizeof request;
  request.sequence = sequence;
  request.tokens = tokens.data();
  request.count = tokens.size();
  request.want = want;
  request.batch = batch;
  return qcc_eval(session, &request);
}

std::vector<int32_t> someTokens(size_t count, unsigned salt) {
  std::vector<int32_t> tokens(count);
  for (size_t i = 0; i < count; ++i)
    tokens[i] = int32_t((i * 37 + salt * 101 + i * i) % 256);
  return tokens;
}

} // namespace demo
