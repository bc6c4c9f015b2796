//===- Session.h - Sequences that a model works on --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CORE_SESSION_H
#define QCC_RUNTIME_CORE_SESSION_H

#include "Gpu.h"
#include "Model.h"
#include "Pace.h"
#include "Pages.h"
#include "Profile.h"
#include "Sampler.h"
#include "Team.h"

namespace qcc::rt {

class Lookup;

/// One thread at a time, except cancel().
class Session : public qcc_session {
public:
  static constexpr uint32_t maxSequences = 4096;

  Session() = default;
  ~Session() {
    if (gpu)
      gpu->destroy();
  }

  qcc_status create(const Model &model, const qcc_session_options_v1 &options,
                    ErrorText &failure);

  qcc_status eval(const qcc_eval_v1 &request);
  qcc_status step(const qcc_rows_v1 &rows);
  qcc_status sample(uint32_t sequence, const float *from, int32_t &token);
  qcc_status next(qcc_next_v1 &turn);
  qcc_status generate(const qcc_generate_v1 &options, qcc_generated_v1 &result);
  /// Of all sequences, or of one.
  qcc_status setSampling(const qcc_sampling_v1 &settings);
  qcc_status setSampling(uint32_t sequence, const qcc_sampling_v1 &settings);
  /// Makes `to` the first `length` tokens of `from`; their state is shared.
  qcc_status copy(uint32_t from, uint32_t to, size_t length);
  qcc_status truncate(uint32_t sequence, size_t length);
  qcc_status save(uint32_t sequence, uint8_t *data, size_t capacity,
                  size_t &bytes);
  qcc_status restore(uint32_t sequence, const uint8_t *data, size_t bytes);
  void cancel(bool on) { team.requestCancel(on); }

  size_t length(uint32_t sequence) const {
    return sequence < sequences ? lengths[sequence] : 0;
  }
  const int32_t *tokensOf(uint32_t sequence) const {
    return sequence < sequences ? &history[size_t(sequence) * context]
                                : nullptr;
  }
  qcc_status profile(bool on);
  /// Null while nothing is counted.
  const Profile *profiled() const { return times.isOn() ? &times : nullptr; }
  const float *lastLogits() const { return last; }
  uint32_t threads() const { return team.size(); }
  uint32_t contextSize() const { return context; }
  uint64_t stateBytes() const { return pages.bytesInUse(); }

  /// Mutable, because queries that fail report here too.
  mutable ErrorText error;

private:
  qcc_status checkSequence(uint32_t sequence) const;
  qcc_status checkTokens(const int32_t *tokens, size_t count) const;
  qcc_status evalChunks(const qcc_eval_v1 &request, size_t perStep,
                        bool prompt);
  qcc_status append(uint32_t sequence, int32_t token, Lookup &lookup,
                    size_t room);
  qcc_status runStep(qcc_step_v1 &step);
  bool runOnTeam(qcc_step_v1 &step);

  const Model *model = nullptr;
  const qcc_model_v1 *code = nullptr;
  const qcc_model_v1 *cpu = nullptr; // what the team runs; null: nothing
  uint32_t sequences = 0;
  uint32_t context = 0;
  uint32_t batch = 0;
  uint32_t logitsRows = 0; // rows that `logits` has room for

  GpuSession *gpu = nullptr; // null: steps run on the team
  Team team;
  Pace pace;
  Pages pages;
  Profile times;
  Sampler sampler;
  Array<Draws> draws; // of each sequence
  TextStream stream;
  Mapping arena;
  Mapping border;    // float[row_capacity][hidden]: rows on their way to a GPU
  Mapping logits;    // float[logitsRows][vocab]
  Mapping histories; // int32_t[sequences][context]
  int32_t *history = nullptr;
  const float *last = nullptr;

  Array<size_t> lengths; // tokens of each sequence
  // A step's rows.
  Array<int32_t> rowToken, rowPosition;
  Array<uint32_t> rowSequence, rowOutput;
  Array<uint32_t> added; // rows of the step by sequence
};

} // namespace qcc::rt

#endif // QCC_RUNTIME_CORE_SESSION_H
