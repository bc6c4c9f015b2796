//===- Sampler.h - Choosing the next token ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// llama.cpp's default chain: penalties, top-k, top-p, min-p, temperature, draw.
// Exact (no approximated cut) and deterministic: ties go to the lower token id,
// and one 64-bit seed fixes every draw.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CORE_SAMPLER_H
#define QCC_RUNTIME_CORE_SAMPLER_H

#include "Error.h"
#include "Memory.h"

namespace qcc::rt {

/// xoshiro256** seeded through splitmix64.
class Random {
public:
  void seed(uint64_t value);
  uint64_t next();
  /// Uniform in [0, 1).
  double uniform() { return double(next() >> 11) * 0x1p-53; }

private:
  uint64_t state[4] = {};
};

/// What one sequence draws its tokens with.
struct Draws {
  qcc_sampling_v1 settings;
  Random random;

  /// Checks and takes over the settings, and seeds the random numbers.
  qcc_status set(const qcc_sampling_v1 &settings, ErrorText &error);
};

/// Chooses for any number of sequences, one at a time.
class Sampler {
public:
  /// Reserves memory for `vocab` candidates, touched only by settings that
  /// need them.
  qcc_status create(uint32_t vocab, ErrorText &error);

  /// Chooses a token. `history` are the tokens so far, for penalties. NaN
  /// counts as -infinity; without any finite logit, QCC_E_NUMERIC.
  qcc_status sample(Draws &draws, const float *logits, const int32_t *history,
                    size_t historyCount, int32_t &token, ErrorText &error);

private:
  struct Candidate {
    float logit;
    int32_t token;
  };
  static bool before(const Candidate &a, const Candidate &b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  }

  const float *penalize(const qcc_sampling_v1 &settings, const float *logits,
                        const int32_t *history, size_t historyCount);
  size_t selectTop(const float *logits, size_t k);
  size_t selectAll(const float *logits);
  size_t cutTopP(float topP, size_t n);

  uint32_t vocab = 0;
  Mapping penalized;  // float[vocab]
  Mapping candidates; // Candidate[vocab]
};

} // namespace qcc::rt

#endif // QCC_RUNTIME_CORE_SAMPLER_H
