//===- Session.cpp - Sequences that a model works on ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Session.h"

#include "Clock.h"
#include "Cpu.h"

#include <algorithm>
#include <cstring>

namespace qcc::rt {

// Logits kept at once when all are wanted; a step takes fewer rows then.
static constexpr uint64_t logitsBytes = uint64_t(16) << 20;

qcc_status Session::create(const Model &of,
                           const qcc_session_options_v1 &options,
                           ErrorText &failure) {
  model = &of;
  code = of.code;
  context = options.context ? options.context : code->context;
  sequences = options.sequences ? options.sequences : 1;
  batch = options.batch ? std::min(options.batch, model->rowCapacity())
                        : model->rowCapacity();
  if (model->textOnly)
    return failure.set(QCC_E_ARGUMENT,
                       "the model was opened for its text alone");
  if (context > code->context)
    return failure.set(QCC_E_ARGUMENT,
                       "context is %u, expected at most the model's %u",
                       context, code->context);
  if (sequences > maxSequences)
    return failure.set(QCC_E_ARGUMENT, "sequences is %u, expected 1 to %u",
                       sequences, maxSequences);
  cpu = model->gpu ? model->cpuCode : model->code;
  uint32_t threads = !cpu ? 1
                     : options.threads
                         ? options.threads
                         : std::min(usableCores(), unsigned(Team::maxThreads));
  const uint64_t rowBytes = uint64_t(code->vocab) * sizeof(float);
  logitsRows = uint32_t(
      std::clamp<uint64_t>(logitsBytes / rowBytes, 1, model->rowCapacity()));
  uint64_t threadBytes, arenaBytes;
  const qcc_model_v1 &here = cpu ? *cpu : *code;
  if (!multiplyInto(threadBytes, here.arena_thread_bytes, threads) ||
      !addInto(arenaBytes, threadBytes, here.arena_bytes))
    return failure.set(QCC_E_DATA, "target %s: size of the arena overflows",
                       here.target);
  if (!cpu)
    arenaBytes = 0;         // a GPU has its own
  uint64_t borderBytes = 0; // of the rows that go to a GPU
  if (model->cpuLayers)
    borderBytes = uint64_t(model->rowCapacity()) * code->hidden * sizeof(float);
  uint64_t positions = uint64_t(sequences) * context;
  if (!arena.reserve(arenaBytes) || !border.reserve(borderBytes) ||
      !logits.reserve(logitsRows * rowBytes) ||
      !histories.reserve(positions * sizeof(int32_t)) ||
      !lengths.allocate(sequences) || !added.allocate(sequences) ||
      !draws.allocate(sequences) || !rowToken.allocate(model->rowCapacity()) ||
      !rowPosition.allocate(model->rowCapacity()) ||
      !rowSequence.allocate(model->rowCapacity()) ||
      !rowOutput.allocate(model->rowCapacity()))
    return failure.set(QCC_E_NO_MEMORY,
                       "out of memory for a session of %u sequences of %u "
                       "positions",
                       sequences, context);
  arena.advise(MADV_HUGEPAGE);
  history = reinterpret_cast<int32_t *>(histories.data());
  if (model->gpu)
    if (qcc_status status = model->gpu->createSession(
            sequences, Pages::pagesFor(context), gpu, failure))
      return status;
  if (qcc_status status =
          pages.create(here, sequences, context, gpu, *code, failure))
    return status;
  if (qcc_status status = sampler.create(code->vocab, failure))
    return status;
  for (uint32_t s = 0; s < sequences; ++s)
    if (qcc_status status = draws[s].set(QCC_SAMPLING_INIT, failure))
      return status;
  pace.start(threads);
  return team.start(threads, failure);
}

qcc_status Session::checkSequence(uint32_t sequence) const {
  if (sequence < sequences)
    return QCC_OK;
  return error.set(QCC_E_ARGUMENT, "sequence is %u, expected less than %u",
                   sequence, sequences);
}

qcc_status Session::checkTokens(const int32_t *tokens, size_t count) const {
  for (size_t i = 0; i < count; ++i)
    if (tokens[i] < 0 || uint32_t(tokens[i]) >= code->vocab)
      return error.set(QCC_E_ARGUMENT, "token %zu is %d, expected 0 to %u", i,
                       tokens[i], code->vocab - 1);
  return QCC_OK;
}

/// Runs a step over the rows; QCC_E_CANCELLED if it was not to go on.
qcc_status Session::runStep(qcc_step_v1 &step) {
  uint32_t outputs = 0; // none before the last layer
  step.struct_size = sizeof step;
  step.token = rowToken.data();
  step.position = rowPosition.data();
  step.sequence = rowSequence.data();
  step.page_table = pages.table();
  step.pages_per_sequence = pages.pagesPerSequence();
  if (model->cpuLayers) {
    step.layers = model->cpuLayers;
    step.residual = reinterpret_cast<float *>(border.data());
    std::swap(step.outputs, outputs);
  }
  if (cpu ? !runOnTeam(step) : team.takeCancel())
    return error.set(QCC_E_CANCELLED, "cancelled");
  if (!gpu)
    return QCC_OK;
  if (model->cpuLayers)
    std::swap(step.outputs, outputs);
  qcc_status status =
      gpu->step(step, pages.firstChanged(), pages.lastChanged(), error);
  if (status == QCC_OK)
    pages.forgetChanges();
  return status;
}

bool Session::runOnTeam(qcc_step_v1 &step) {
  step.weights = model->weights.data();
  step.state = pages.states();
  step.page_stride = pages.stride();
  step.arena = arena.data();
  step.barrier = Team::barrier;
  step.barrier_context = &team;
  step.profile = times.counters();
  struct Job {
    qcc_step_fn function;
    const qcc_step_v1 *step;
    Profile *times;
  } job = {cpu->step, &step, &times};
  // Prompt steps differ too much in length to learn from.
  bool generating = !(step.flags & QCC_STEP_PROMPT);
  uint32_t threads = generating ? pace.threads() : team.size();
  double start = now();
  bool complete = team.run(
      [](void *context, uint32_t thread, uint32_t threads) {
        const Job &job = *static_cast<const Job *>(context);
        job.times->enter(thread);
        job.function(job.step, thread, threads);
      },
      &job, threads);
  double seconds = now() - start;
  if (times.isOn() && complete)
    times.record(seconds, team.lastBarriers());
  if (generating && complete)
    pace.record(seconds, team.lastLost());
  return complete;
}

qcc_status Session::eval(const qcc_eval_v1 &request) {
  if (qcc_status status = checkSequence(request.sequence))
    return status;
  if (!request.tokens || request.count == 0)
    return error.set(QCC_E_ARGUMENT, "no tokens to evaluate");
  if (request.want > QCC_LOGITS_ALL)
    return error.set(QCC_E_ARGUMENT, "want is %u, expected 0 to %u",
                     request.want, QCC_LOGITS_ALL);
  if (qcc_status status = checkTokens(request.tokens, request.count))
    return status;
  size_t start = lengths[request.sequence];
  if (request.count > context - start) {
    if (start == 0)
      return error.set(QCC_E_CONTEXT,
                       "%zu tokens do not fit into a context of %u",
                       request.count, context);
    return error.set(QCC_E_CONTEXT,
                     "%zu more tokens do not fit into a context of %u that "
                     "holds %zu",
                     request.count, context, start);
  }

  // A few tokens gain nothing from a prompt step's coarser activations.
  bool few = !request.batch && request.count <= QCC_GENERATE_ROWS;
  uint32_t perStep = request.batch
                         ? std::min(request.batch, model->rowCapacity())
                     : few ? uint32_t(request.count)
                           : batch;
  bool prompt = perStep > 1 && !few;
  if (request.want == QCC_LOGITS_ALL)
    perStep = std::min(perStep, logitsRows);
  qcc_status status = evalChunks(request, perStep, prompt);
  if (status != QCC_OK) {
    pages.shrink(request.sequence, start);
    lengths[request.sequence] = start;
  }
  return status;
}

/// The steps of eval(). On failure the caller puts the sequence back.
qcc_status Session::evalChunks(const qcc_eval_v1 &request, size_t perStep,
                               bool prompt) {
  size_t &length = lengths[request.sequence];
  auto *rowLogits = reinterpret_cast<float *>(logits.data());
  auto cancelled = [&] { return error.set(QCC_E_CANCELLED, "cancelled"); };
  for (size_t done = 0; done < request.count;) {
    auto rows = uint32_t(std::min(perStep, request.count - done));
    bool final = done + rows == request.count;
    qcc_step_v1 step = {};
    step.flags = prompt ? QCC_STEP_PROMPT : 0;
    step.rows = rows;
    memcpy(rowToken.data(), request.tokens + done, rows * sizeof(int32_t));
    for (uint32_t i = 0; i < rows; ++i) {
      rowPosition[i] = int32_t(length + i);
      rowSequence[i] = request.sequence;
    }
    if (request.want == QCC_LOGITS_ALL) {
      step.outputs = rows;
      for (uint32_t i = 0; i < rows; ++i)
        rowOutput[i] = i;
    } else if (request.want == QCC_LOGITS_LAST && final) {
      step.outputs = 1;
      rowOutput[0] = rows - 1;
    }
    step.output = rowOutput.data();
    step.logits = rowLogits;
    if (qcc_status status =
            pages.grow(request.sequence, length, length + rows, error))
      return status;
    if (step.outputs)
      last = nullptr; // until the step is complete
    if (qcc_status status = runStep(step))
      return status;
    memcpy(&history[size_t(request.sequence) * context + length],
           request.tokens + done, rows * sizeof(int32_t));
    length += rows;
    if (step.outputs)
      last = rowLogits + size_t(step.outputs - 1) * code->vocab;
    if (request.want == QCC_LOGITS_ALL && request.on_logits)
      for (uint32_t i = 0; i < rows; ++i)
        if (request.on_logits(request.user, done + i,
                              rowLogits + size_t(i) * code->vocab))
          return cancelled();
    done += rows;
    if (request.on_progress &&
        request.on_progress(request.user, done, request.count))
      return cancelled();
  }
  return QCC_OK;
}

qcc_status Session::step(const qcc_rows_v1 &request) {
  bool prompt = request.flags & QCC_ROWS_PROMPT;
  uint32_t most = prompt ? model->rowCapacity() : QCC_GENERATE_ROWS;
  if (request.rows == 0 || request.rows > most)
    return error.set(QCC_E_ARGUMENT, "rows is %u, expected 1 to %u",
                     request.rows, most);
  if (!request.token || !request.sequence || request.outputs > request.rows ||
      (request.outputs && (!request.output || !request.logits)))
    return error.set(QCC_E_ARGUMENT,
                     "outputs is %u for %u rows, or an array "
                     "is null",
                     request.outputs, request.rows);
  if (reinterpret_cast<uintptr_t>(request.logits) % 64 ||
      reinterpret_cast<uintptr_t>(request.trace) % 64 ||
      reinterpret_cast<uintptr_t>(request.matmul_inputs) % 64)
    return error.set(QCC_E_ARGUMENT,
                     "logits, trace and matmul_inputs must be 64-aligned");
  if (request.matmul_inputs && code->matmul_count == 0)
    return error.set(QCC_E_ARGUMENT,
                     "target %s does not give inputs of matmuls", code->target);
  for (uint32_t i = 0; i < request.outputs; ++i)
    if (request.output[i] >= request.rows ||
        (i && request.output[i] <= request.output[i - 1]))
      return error.set(QCC_E_ARGUMENT, "output rows must ascend below %u",
                       request.rows);
  if (qcc_status status = checkTokens(request.token, request.rows))
    return status;
  memset(added.data(), 0, sequences * sizeof(uint32_t));
  for (uint32_t i = 0; i < request.rows; ++i) {
    uint32_t sequence = request.sequence[i];
    if (qcc_status status = checkSequence(sequence))
      return status;
    size_t position = lengths[sequence] + added[sequence]++;
    if (position >= context)
      return error.set(QCC_E_CONTEXT, "sequence %u is full: its context is %u",
                       sequence, context);
    rowPosition[i] = int32_t(position);
    rowSequence[i] = sequence;
    rowToken[i] = request.token[i];
  }
  if (gpu && request.trace)
    return error.set(QCC_E_ARGUMENT,
                     "target %s does not give the residual stream",
                     code->target);
  qcc_status status = QCC_OK;
  for (uint32_t s = 0; s < sequences && status == QCC_OK; ++s)
    if (added[s])
      status = pages.grow(s, lengths[s], lengths[s] + added[s], error);
  qcc_step_v1 step = {};
  step.flags = prompt ? QCC_STEP_PROMPT : 0;
  step.rows = request.rows;
  step.outputs = request.outputs;
  step.output = request.output;
  step.logits = request.logits;
  step.trace = request.trace;
  step.matmul_inputs = request.matmul_inputs;
  if (status == QCC_OK)
    status = runStep(step);
  if (status) {
    for (uint32_t s = 0; s < sequences; ++s)
      if (added[s])
        pages.shrink(s, lengths[s]);
    return status;
  }
  for (uint32_t i = 0; i < request.rows; ++i) {
    uint32_t sequence = request.sequence[i];
    history[size_t(sequence) * context + lengths[sequence]++] =
        request.token[i];
  }
  return QCC_OK;
}

qcc_status Session::profile(bool on) {
  if (!on) {
    times.stop();
    return QCC_OK;
  }
  if (code->stage_count == 0)
    return error.set(QCC_E_ARGUMENT, "target %s cannot be profiled",
                     code->target);
  if (!times.start(*code, team.size()))
    return error.set(QCC_E_NO_MEMORY, "out of memory for a profile");
  return QCC_OK;
}

qcc_status Session::sample(uint32_t sequence, const float *from,
                           int32_t &token) {
  if (qcc_status status = checkSequence(sequence))
    return status;
  if (!from)
    from = last;
  if (!from)
    return error.set(QCC_E_ARGUMENT, "no logits: evaluate tokens first");
  return sampler.sample(draws[sequence], from, tokensOf(sequence),
                        lengths[sequence], token, error);
}

qcc_status Session::next(qcc_next_v1 &turn) {
  if (turn.token >= 0) {
    qcc_eval_v1 request = {};
    request.sequence = turn.sequence;
    request.tokens = &turn.token;
    request.count = 1;
    request.want = QCC_LOGITS_LAST;
    request.batch = 1;
    if (qcc_status status = eval(request))
      return status;
    turn.token = -1;
  }
  int32_t token;
  if (qcc_status status = sample(turn.sequence, nullptr, token))
    return status;
  turn.token = token;
  turn.end = model->text.isEnd(token);
  return QCC_OK;
}

qcc_status Session::truncate(uint32_t sequence, size_t length) {
  if (qcc_status status = checkSequence(sequence))
    return status;
  if (length > lengths[sequence])
    return error.set(QCC_E_ARGUMENT, "length is %zu, expected at most %zu",
                     length, lengths[sequence]);
  pages.shrink(sequence, length);
  lengths[sequence] = length;
  return QCC_OK;
}

qcc_status Session::copy(uint32_t from, uint32_t to, size_t length) {
  qcc_status status = checkSequence(from);
  if (status == QCC_OK)
    status = checkSequence(to);
  if (status != QCC_OK)
    return status;
  if (length > lengths[from])
    return error.set(QCC_E_ARGUMENT, "length is %zu, expected at most %zu",
                     length, lengths[from]);
  if (from == to)
    return truncate(to, length);
  pages.share(from, to, length);
  memcpy(&history[size_t(to) * context], tokensOf(from),
         length * sizeof(int32_t));
  lengths[to] = length;
  return QCC_OK;
}

qcc_status Session::setSampling(const qcc_sampling_v1 &settings) {
  qcc_status status = QCC_OK;
  for (uint32_t s = 0; s < sequences && status == QCC_OK; ++s)
    status = draws[s].set(settings, error);
  return status;
}

qcc_status Session::setSampling(uint32_t sequence,
                                const qcc_sampling_v1 &settings) {
  if (qcc_status status = checkSequence(sequence))
    return status;
  return draws[sequence].set(settings, error);
}

} // namespace qcc::rt
