//===- GpuFixture.h - Models on a fake GPU ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The fake driver is loaded under the name of the real one, which is how a
// model finds it.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_TEST_GPUFIXTURE_H
#define QCC_RUNTIME_TEST_GPUFIXTURE_H

#include "Demo.h"
#include "DemoKernels.h"

#include "qcc-rt/qcc_abi.h"

#include <algorithm>
#include <cstdlib>
#include <dlfcn.h>
#include <memory>

/// What `bytes` take of the fake's memory, which comes in pieces.
constexpr uint64_t wholePieces(uint64_t bytes, uint64_t piece = 8192) {
  return (bytes + piece - 1) / piece * piece;
}

/// Bytes that layers [first, first + count) of the demo model are given room
/// for: weights and arena, the inputs of a step, the page table, and the state
/// of a conversation; with the last one, logits. Weights keep their place
/// modulo 256.
constexpr uint64_t roomOf(unsigned first, unsigned count,
                          uint64_t piece = 8192) {
  const uint64_t pages = DEMO_CONTEXT / QCC_PAGE_TOKENS,
                 half = DEMO_WEIGHT_BYTES / 2;
  uint64_t bytes = wholePieces(first * (half % 256) + count * half, piece) +
                   wholePieces(DEMO_GPU_ARENA_BYTES, piece) + 2 * piece;
  for (unsigned i = first; i < first + count; ++i)
    bytes += wholePieces(pages * DEMO_GPU_PAGE_BYTES(i), piece);
  if (first + count == 2)
    bytes += wholePieces(uint64_t(QCC_GENERATE_ROWS) * DEMO_VOCAB * 4, piece);
  return bytes;
}

class GpuFixture : public testing::Test {
protected:
  void SetUp() override {
    unsetenv("QCC_TARGET");
    unsetenv("QCC_GPU_LAYERS");
    // Never closed: models find what is loaded.
    library = dlopen(FAKE_DRIVER, RTLD_NOW | RTLD_LOCAL);
    ASSERT_TRUE(library) << dlerror();
    renew();
  }

  void TearDown() override {
    session.reset();
    model.reset();
    EXPECT_EQ(fake->live(), 0u);
    EXPECT_LE(fake->orphans, orphansAllowed);
    std::string misuse;
    for (const std::string &line : fake->misuse)
      misuse += line + "\n";
    EXPECT_EQ(misuse, "");
    EXPECT_EQ(control<size_t()>("fake_cuda_depth")(), 0u);
  }

  /// Another driver, with one GPU. What was open is closed.
  void renew() {
    session.reset();
    model.reset();
    fake = control<FakeCuda *()>("fake_cuda_reset")();
    fake_kernels(fake);
    fake->devices = 1;
  }

  template <typename Function>
  Function *control(const char *name) {
    return reinterpret_cast<Function *>(dlsym(library, name));
  }

  /// Opens a model; `layers` QCC_GPU_AUTO, or how many are to run on a GPU.
  qcc_status open(const char *file, int32_t layers = QCC_GPU_AUTO,
                  const char *target = nullptr) {
    qcc_model_options_v1 options = QCC_MODEL_OPTIONS_INIT;
    options.target = target;
    if (layers != QCC_GPU_AUTO) {
      options.flags = QCC_MODEL_GPU_LAYERS;
      options.gpu_layers = layers;
    }
    return open(file, options);
  }

  qcc_status open(const char *file, const qcc_model_options_v1 &options) {
    session.reset();
    model.reset();
    error[0] = '\0';
    const qcc_api_v1 *api =
        qcc_load(demo::built(file).c_str(), nullptr, error, sizeof error);
    EXPECT_TRUE(api) << error;
    qcc_model *opened = nullptr;
    qcc_status status =
        qcc_model_open(api, &options, &opened, error, sizeof error);
    model.reset(opened);
    return status;
  }

  qcc_status start(uint32_t sequences = 1, uint32_t context = 0) {
    qcc_session_options_v1 options = QCC_SESSION_OPTIONS_INIT;
    options.sequences = sequences;
    options.context = context;
    session.reset();
    qcc_session *made = nullptr;
    qcc_status status =
        qcc_session_create(model.get(), &options, &made, error, sizeof error);
    session.reset(made);
    return status;
  }

  /// Logits after each token.
  demo::Logits eval(const std::vector<int32_t> &tokens, uint32_t batch = 0,
                    uint32_t sequence = 0) {
    demo::Logits result;
    status = tryEval(tokens, batch, sequence, &result);
    EXPECT_EQ(status, QCC_OK) << qcc_last_error(session.get());
    return result;
  }

  qcc_status tryEval(const std::vector<int32_t> &tokens, uint32_t batch = 0,
                     uint32_t sequence = 0, demo::Logits *result = nullptr) {
    qcc_eval_v1 request = {};
    request.struct_size = sizeof request;
    request.sequence = sequence;
    request.tokens = tokens.data();
    request.count = tokens.size();
    request.want = result ? QCC_LOGITS_ALL : QCC_LOGITS_LAST;
    request.batch = batch;
    request.user = result;
    if (result)
      request.on_logits = [](void *user, size_t,
                             const float *logits) -> int32_t {
        auto &all = *static_cast<demo::Logits *>(user);
        all.insert(all.end(), logits, logits + DEMO_VOCAB);
        return 0;
      };
    return qcc_eval(session.get(), &request);
  }

  /// Evaluates the tokens from number `from` on in prompt steps, or one by one;
  /// their logits are the model's.
  void expectTokens(const std::vector<int32_t> &tokens, uint32_t sequence,
                    size_t from, bool prompt = true) {
    demo::Logits all = demo::evaluate(tokens, 1, prompt);
    EXPECT_EQ(eval(demo::part(tokens, from, tokens.size()), prompt ? 40 : 1,
                   sequence),
              demo::part(all, from, tokens.size()))
        << "sequence " << sequence << " from " << from;
  }

  /// Of sequences 0 and 1: steps over several pages, of which those of equal
  /// counts come again, as graphs.
  void expectLogitsOfTheCpu() {
    size_t length = 0;
    for (size_t count : {1, 50, 150}) {
      expectTokens(demo::someTokens(count), 0, length);
      length = count;
    }
    expectTokens(demo::someTokens(70), 1, 0, /*prompt=*/false);
  }

  /// Sequences 0 and 1 share a page that is part full, of all layers, and then
  /// go on in copies.
  void expectToShareAndPart() {
    std::vector<int32_t> tokens = demo::someTokens(100);
    expectTokens(tokens, 0, 0);
    ASSERT_EQ(qcc_copy(session.get(), 0, 1, 80), QCC_OK);
    std::vector<int32_t> other = demo::part(tokens, 0, 80);
    other.insert(other.end(), {7, 8, 9});
    expectTokens(other, 1, 80);
    tokens.push_back(11);
    expectTokens(tokens, 0, 100);
  }

  /// The state of a sequence.
  std::vector<uint8_t> save(uint32_t sequence) {
    std::vector<uint8_t> saved(1 << 20);
    size_t bytes = 0;
    EXPECT_EQ(qcc_state_save(session.get(), sequence, saved.data(),
                             saved.size(), &bytes),
              QCC_OK);
    saved.resize(bytes);
    return saved;
  }

  qcc_status restore(uint32_t sequence, const std::vector<uint8_t> &saved) {
    return qcc_state_restore(session.get(), sequence, saved.data(),
                             saved.size());
  }

  qcc_model_info_v1 info() {
    qcc_model_info_v1 result = {};
    result.struct_size = sizeof result;
    qcc_model_info(model.get(), &result);
    return result;
  }

  size_t callsOf(const char *name) const {
    return size_t(std::count(fake->calls.begin(), fake->calls.end(), name));
  }

  void *library = nullptr;
  FakeCuda *fake = nullptr;
  size_t orphansAllowed = 0;
  qcc_status status = QCC_OK;
  char error[QCC_ERROR_BYTES] = "";
  struct Closer {
    void operator()(qcc_model *model) { qcc_model_close(model); }
    void operator()(qcc_session *session) { qcc_session_destroy(session); }
  };
  std::unique_ptr<qcc_model, Closer> model;
  std::unique_ptr<qcc_session, Closer> session;
};

#endif // QCC_RUNTIME_TEST_GPUFIXTURE_H
