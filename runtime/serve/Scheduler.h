//===- Scheduler.h - Many answers from one model ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Continuous batching. Sequences of one session are lent to jobs; each turn
// runs one generating step with a row of every job that generates, and one
// prompt step over a bounded number of tokens, so that a long prompt does not
// stop the others. An answer has the same bits alone and in company:
//
//   * rows of generating steps do not depend on the other rows, and those of
//     prompt steps not on how a prompt is cut (docs/RationaleSameBits.md);
//   * which kind of step a token goes through depends on its own prompt only;
//   * the state of earlier prompts is used again (shared, not copied), but that
//     of generated tokens is not: it has other bits than a prompt's.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_SERVE_SCHEDULER_H
#define QCC_RUNTIME_SERVE_SCHEDULER_H

#include "FairQueue.h"
#include "Metrics.h"
#include "Output.h"

#include "core/Memory.h"

#include <condition_variable>
#include <optional>
#include <thread>

namespace qcc::serve {

struct SchedulerOptions {
  uint32_t threads = 0;   // 0: the physical cores
  uint32_t context = 0;   // positions of a sequence; 0: the model's own
  uint32_t batch = 0;     // most rows of a prompt step; 0: the model's own
  uint32_t parallel = 16; // sequences
  uint32_t queue = 512;   // most jobs that wait for a sequence
};

class Scheduler {
public:
  /// Creates the session and starts the thread that runs it. Throws
  /// cli::Failure. `model` must outlive this.
  Scheduler(const qcc_model *model, const SchedulerOptions &options);
  Scheduler(const Scheduler &) = delete;
  Scheduler &operator=(const Scheduler &) = delete;
  ~Scheduler();

  /// Cancels what runs and what waits, and ends the thread. All jobs have had
  /// their last delta then, and are let go.
  void stop();

  /// Takes all of the jobs (of one client, at least one), or none if there is
  /// no room for them to wait. Each gets deltas from then on, the last one
  /// exactly once. Any thread.
  bool submit(const std::vector<JobPointer> &jobs);

  uint32_t context() const { return contextSize; }
  uint32_t parallel() const { return uint32_t(slots.size()); }
  Counters counters() const { return metrics.read(); }

private:
  /// A sequence of the session, and the job that has it.
  struct Slot {
    uint32_t sequence = 0;
    JobPointer job; // null: idle
    std::optional<Output> output;
    /// Leading tokens of the sequence that went through prompt steps: what
    /// another prompt may use again.
    size_t reusable = 0;
    size_t done = 0;           // tokens of the prompt that have their state
    size_t reused = 0;         // of these, found
    bool lookForState = false; // other sequences may have some of the prompt's
    int32_t next = -1;         // generated, and not evaluated yet
    uint64_t generated = 0;
    uint64_t order = 0;   // of admission
    uint64_t lastUse = 0; // of admission of the last job
    double lastToken = 0;

    size_t promptSize() const { return job->prompt.size(); }
    /// Short prompts go through generating steps, as in qcc_generate().
    bool isShort() const { return promptSize() <= 16; }
    bool generates() const { return job && done == promptSize(); }
    bool prompts() const { return job && done < promptSize(); }
  };

  /// Rows of the next step.
  struct Rows {
    std::vector<int32_t> tokens;
    std::vector<uint32_t> sequences, outputs;
    std::vector<Slot *> owners; // of the outputs
    void clear();
    void add(const Slot &slot, int32_t token);
    void wantOutput(Slot &slot);
    void remove(uint32_t sequence);
  };

  void run();
  bool waitForWork();
  void admit(JobPointer job);
  void dropUnwanted();
  void generatingStep();
  void promptStep();
  std::vector<Slot *> slotsWithPrompts();
  bool waitsForAnother(const Slot &slot, const std::vector<Slot *> &earlier);
  void adoptState(Slot &slot);
  size_t promptBudget() const;
  bool runStep(uint32_t flags);
  void takeToken(Slot &slot, float *logits);
  void finish(Slot &slot, Finish reason, const std::string &error = {});
  void takeTokens();
  void failRows(const std::string &error);
  void makeRoom(const std::string &error);
  size_t commonWithPrompt(const Slot &slot, const std::vector<int32_t> &prompt);
  static void deliverEnd(Job &job, Finish reason);

  const qcc_model *model;
  qcc_session *session = nullptr;
  uint32_t vocab = 0, contextSize = 0, rowCapacity = 0;
  size_t queueLimit;
  rt::Mapping logits; // [most outputs][vocab]
  std::vector<Slot> slots;
  Rows rows;
  uint64_t admitted = 0;
  size_t firstGenerating = 0;     // whose row comes first in the next step
  size_t firstPrompt = 0;         // of the slots with prompts
  double secondsPerPromptRow = 0; // a running mean
  Metrics metrics;

  std::mutex mutex; // guards what follows
  std::condition_variable work;
  FairQueue queue;
  size_t idle; // sequences that jobs of the queue may have
  bool stopping = false;

  std::thread thread;
};

} // namespace qcc::serve

#endif // QCC_RUNTIME_SERVE_SCHEDULER_H
