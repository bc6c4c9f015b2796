//===- Profile.h - Where the time of steps goes -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CORE_PROFILE_H
#define QCC_RUNTIME_CORE_PROFILE_H

#include "qcc-rt/qcc.h"
#include "qcc-rt/qcc_abi.h"
#include "Memory.h"

namespace qcc::rt {

/// The counters of qcc_step_v1.profile, for a session.
class Profile {
public:
  /// From now on, for steps of up to `threads` threads. False without memory.
  bool start(const qcc_model_v1 &model, uint32_t threads);
  void stop() { model = nullptr; }
  bool isOn() const { return model != nullptr; }

  /// What the step gets; null while off.
  uint64_t *counters() { return isOn() ? words.data() : nullptr; }
  /// By each thread, when its part of a step begins.
  void enter(uint32_t thread);
  /// After a step.
  void record(double seconds, uint32_t barriers);

  void info(qcc_profile_v1 &result) const;
  void stage(uint32_t index, qcc_stage_time_v1 &result) const;
  uint32_t stageCount() const { return model->stage_count; }

private:
  size_t threadWords() const { return 1 + 2 * size_t(model->stage_count); }

  const qcc_model_v1 *model = nullptr;
  uint32_t threads = 0;
  uint64_t steps = 0, barriers = 0;
  double seconds = 0;
  Array<uint64_t> words;
};

} // namespace qcc::rt

#endif // QCC_RUNTIME_CORE_PROFILE_H
