//===- Scheduler.cpp - Who runs, and the thread ---------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Scheduler.h"

#include "cli/Program.h"

#include "qcc-rt/qcc_abi.h"

#include <algorithm>

namespace qcc::serve {

using cli::Failure;
using cli::now;

// Logits of one step: a generating step's rows, or the prompts that end in a
// prompt step.
static constexpr uint32_t mostOutputs = 16;

Scheduler::Scheduler(const qcc_model *model, const SchedulerOptions &options)
    : model(model), queueLimit(options.queue), slots(options.parallel),
      idle(options.parallel) {
  if (model->api->struct_size <= offsetof(qcc_api_v1, copy))
    throw Failure{"this library was made by an older qcc, whose models cannot "
                  "be served: compile it again"};
  qcc_model_info_v1 info = {};
  info.struct_size = sizeof info;
  qcc_model_info(model, &info);
  vocab = info.vocab;
  rowCapacity = options.batch ? std::min(options.batch, info.row_capacity)
                              : info.row_capacity;
  qcc_session_options_v1 wanted = QCC_SESSION_OPTIONS_INIT;
  wanted.threads = options.threads;
  wanted.context = options.context;
  wanted.sequences = options.parallel;
  char error[QCC_ERROR_BYTES] = "";
  if (qcc_session_create(model, &wanted, &session, error, sizeof error) !=
      QCC_OK)
    throw Failure{error};
  contextSize = qcc_context(session);
  for (uint32_t i = 0; i < options.parallel; ++i)
    slots[i].sequence = i;
  if (!logits.reserve(size_t(mostOutputs) * vocab * sizeof(float))) {
    qcc_session_destroy(session);
    throw Failure{"out of memory"};
  }
  thread = std::thread([this] { run(); });
}

Scheduler::~Scheduler() {
  stop();
  qcc_session_destroy(session);
}

void Scheduler::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    stopping = true;
  }
  work.notify_one();
  qcc_cancel(session, 1);
  if (thread.joinable())
    thread.join();
}

bool Scheduler::submit(const std::vector<JobPointer> &jobs) {
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (stopping ||
        !queue.hasRoom(jobs.front()->client, jobs.size(), idle, queueLimit)) {
      metrics.update([&](Counters &c) { ++c.refused; });
      return false;
    }
    for (const JobPointer &job : jobs) {
      job->submitted = now();
      queue.push(job);
    }
  }
  work.notify_one();
  return true;
}

void Scheduler::deliverEnd(Job &job, Finish reason) {
  Delta delta;
  delta.last = true;
  delta.finish = reason;
  job.deliver(std::move(delta));
}

void Scheduler::run() {
  while (true) {
    try {
      if (!waitForWork())
        break;
      dropUnwanted();
      generatingStep();
      promptStep();
    } catch (const std::bad_alloc &) {
      for (Slot &slot : slots)
        if (slot.job)
          finish(slot, Finish::Error, "out of memory");
    }
  }
  for (Slot &slot : slots)
    if (slot.job)
      finish(slot, Finish::Cancelled);
  std::lock_guard<std::mutex> lock(mutex);
  while (!queue.empty())
    deliverEnd(*queue.pop(), Finish::Cancelled);
}

/// Sleeps until there is something to do, and lends free sequences. False when
/// the server ends.
bool Scheduler::waitForWork() {
  std::vector<JobPointer> gone, next;
  next.reserve(slots.size()); // nothing below may lose a job that it took
  {
    std::unique_lock<std::mutex> lock(mutex);
    if (idle == slots.size()) {
      metrics.update([](Counters &c) { c.running = 0; });
      work.wait(lock, [&] { return stopping || !queue.empty(); });
    }
    if (stopping)
      return false;
    double time = now();
    gone = queue.take(
        [&](const Job &job) { return job.cancelled || time > job.deadline; });
    for (; idle && !queue.empty(); --idle)
      next.push_back(queue.pop());
    metrics.update([&](Counters &c) {
      c.waiting = uint32_t(queue.size());
      c.running = uint32_t(slots.size() - idle);
      c.stateBytes = qcc_state_bytes(session);
      for (const JobPointer &job : gone)
        ++c.finished[size_t(job->cancelled ? Finish::Cancelled
                                           : Finish::Timeout)];
    });
  }
  for (const JobPointer &job : gone)
    deliverEnd(*job, job->cancelled ? Finish::Cancelled : Finish::Timeout);
  for (JobPointer &job : next)
    admit(std::move(job));
  return true;
}

/// Tokens of `prompt` whose state the slot has. The last one is always
/// evaluated, for its logits.
size_t Scheduler::commonWithPrompt(const Slot &slot,
                                   const std::vector<int32_t> &prompt) {
  const int32_t *tokens = qcc_tokens(session, slot.sequence);
  size_t most = std::min(slot.reusable, prompt.size() - 1), common = 0;
  while (common < most && tokens[common] == prompt[common])
    ++common;
  return common;
}

/// Lends the job an idle sequence: one whose state the prompt goes on from,
/// else the one that was used longest ago. (What another has in common with the
/// prompt is shared later.)
void Scheduler::admit(JobPointer job) {
  Slot *chosen = nullptr;
  size_t common = 0;
  for (Slot &slot : slots) {
    if (slot.job)
      continue;
    size_t found = commonWithPrompt(slot, job->prompt);
    if (found > common && slot.reusable - found <= QCC_PAGE_TOKENS) {
      chosen = &slot;
      common = found;
    }
  }
  if (!chosen) {
    for (Slot &slot : slots)
      if (!slot.job && (!chosen || slot.lastUse < chosen->lastUse))
        chosen = &slot;
    common = commonWithPrompt(*chosen, job->prompt);
  }
  Slot &slot = *chosen;
  slot.job = std::move(job);
  if (slot.isShort())
    common = 0; // what is reusable has a prompt step's bits
  slot.done = slot.reusable = slot.reused = common;
  slot.lookForState = !slot.isShort();
  slot.next = -1;
  slot.generated = 0;
  slot.order = slot.lastUse = ++admitted;
  metrics.update([&](Counters &c) { c.promptTokens += slot.promptSize(); });
  try {
    slot.output.emplace(slot.job->settings.stop);
  } catch (const std::bad_alloc &) {
    return finish(slot, Finish::Error, "out of memory");
  }
  if (qcc_truncate(session, slot.sequence, common) != QCC_OK ||
      qcc_set_sequence_sampling(session, slot.sequence,
                                &slot.job->settings.sampling) != QCC_OK)
    finish(slot, Finish::Error, qcc_last_error(session));
}

/// Ends jobs that nobody waits for, or that took too long.
void Scheduler::dropUnwanted() {
  double time = now();
  for (Slot &slot : slots) {
    if (slot.job && slot.job->cancelled)
      finish(slot, Finish::Cancelled);
    else if (slot.job && time > slot.job->deadline)
      finish(slot, Finish::Timeout);
  }
}

void Scheduler::finish(Slot &slot, Finish reason, const std::string &error) {
  Delta delta;
  if (slot.output) {
    if (reason != Finish::Stop && slot.output->finish())
      reason = Finish::Stop;
    else if (reason == Finish::Stop)
      slot.output->finish();
    delta = slot.output->take();
  }
  delta.last = true;
  delta.finish = reason;
  delta.error = error;
  delta.reusedTokens = slot.reused;
  delta.tokens = slot.generated;
  JobPointer job = std::move(slot.job);
  slot.job = nullptr;
  slot.output.reset();
  // Only what can be used again keeps its memory.
  qcc_truncate(session, slot.sequence, slot.reusable);
  {
    std::lock_guard<std::mutex> lock(mutex);
    ++idle;
  }
  metrics.update([&](Counters &c) {
    ++c.finished[size_t(reason)];
    c.reusedTokens += slot.reused;
    c.whole.add(now() - job->submitted);
  });
  job->deliver(std::move(delta));
}

} // namespace qcc::serve
