//===- Demo.h - The demo model in tests -------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_TEST_DEMO_H
#define QCC_RUNTIME_TEST_DEMO_H

#include "qcc-rt/qcc.h"

#include "demo_model.h"

#include "gtest/gtest.h"

#include <string>
#include <vector>

namespace demo {

using Logits = std::vector<float>; // [rows][DEMO_VOCAB]

/// The toy model's meaning, written without pages, rows or threads: logits
/// after each token. `seed` is the model's DEMO_SEED; `prompt` rounds the
/// embedding as prompt steps do.
Logits evaluate(const std::vector<int32_t> &tokens, unsigned seed, bool prompt);

/// The residual stream [DEMO_LAYERS + 1][tokens][DEMO_HIDDEN].
std::vector<float> trace(const std::vector<int32_t> &tokens, unsigned seed,
                         bool prompt);

/// Tokens, or logits after them, from number `from` to before `to`.
inline std::vector<int32_t> part(const std::vector<int32_t> &all, size_t from,
                                 size_t to) {
  return {all.begin() + long(from), all.begin() + long(to)};
}
inline Logits part(const Logits &all, size_t from, size_t to) {
  return {all.begin() + long(from * DEMO_VOCAB),
          all.begin() + long(to * DEMO_VOCAB)};
}

/// A library of the demo model, open; "demo_one.so" has seed 1.
class Model {
public:
  explicit Model(const char *library = "demo_one.so");
  ~Model() { qcc_model_close(model); }
  Model(const Model &) = delete;
  Model &operator=(const Model &) = delete;
  const qcc_api_v1 *api = nullptr;
  qcc_model *model = nullptr;
};

class Session {
public:
  explicit Session(const Model &model, uint32_t threads = 1,
                   uint32_t sequences = 1, uint32_t context = 0,
                   uint32_t batch = 0);
  ~Session() { qcc_session_destroy(session); }
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;
  operator qcc_session *() const { return session; }

  /// Logits after each of the tokens; batch as in qcc_eval_v1.
  Logits eval(const std::vector<int32_t> &tokens, uint32_t batch = 0,
              uint32_t sequence = 0);
  qcc_status tryEval(const std::vector<int32_t> &tokens, uint32_t batch = 0,
                     uint32_t sequence = 0, uint32_t want = QCC_LOGITS_LAST);
  qcc_session *session = nullptr;
};

/// `count` different small tokens.
std::vector<int32_t> someTokens(size_t count, unsigned salt = 0);

/// Path of a file that the build made for the tests.
std::string built(const char *name);

} // namespace demo

#endif // QCC_RUNTIME_TEST_DEMO_H
