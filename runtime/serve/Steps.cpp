//===- Steps.cpp - What the scheduler does in a turn ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Scheduler.h"

#include "cli/Program.h"

#include "qcc-rt/qcc_abi.h"

#include <algorithm>

namespace qcc::serve {

using cli::now;

static constexpr uint32_t generateRows = QCC_GENERATE_ROWS;
// How long a prompt step may take: little while others wait for their next
// token, more when only a cancellation would have to wait.
static constexpr double secondsInCompany = 0.1, secondsAlone = 0.5;
// Prompt steps are cut into multiples of this.
static constexpr size_t rowUnit = 16;
// Tokens in common that are worth waiting for another prompt's step.
static constexpr size_t worthWaiting = 32;

void Scheduler::Rows::clear() {
  tokens.clear();
  sequences.clear();
  outputs.clear();
  owners.clear();
}

void Scheduler::Rows::add(const Slot &slot, int32_t token) {
  tokens.push_back(token);
  sequences.push_back(slot.sequence);
}

/// The logits of the row added last.
void Scheduler::Rows::wantOutput(Slot &slot) {
  outputs.push_back(uint32_t(tokens.size() - 1));
  owners.push_back(&slot);
}

void Scheduler::Rows::remove(uint32_t sequence) {
  size_t kept = 0, output = 0, keptOutputs = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    bool isOutput = output < outputs.size() && outputs[output] == i;
    if (sequences[i] != sequence) {
      if (isOutput) {
        owners[keptOutputs] = owners[output];
        outputs[keptOutputs++] = uint32_t(kept);
      }
      tokens[kept] = tokens[i];
      sequences[kept++] = sequences[i];
    }
    output += isOutput;
  }
  tokens.resize(kept);
  sequences.resize(kept);
  outputs.resize(keptOutputs);
  owners.resize(keptOutputs);
}

/// Runs `rows`; what they belong to is told that it failed, if it did. False if
/// no row is left. Without memory for their state, some are.
bool Scheduler::runStep(uint32_t flags) {
  while (!rows.tokens.empty()) {
    qcc_rows_v1 request = {};
    request.struct_size = sizeof request;
    request.flags = flags;
    request.rows = uint32_t(rows.tokens.size());
    request.outputs = uint32_t(rows.outputs.size());
    request.token = rows.tokens.data();
    request.sequence = rows.sequences.data();
    request.output = rows.outputs.data();
    request.logits = reinterpret_cast<float *>(logits.data());
    qcc_status status = qcc_step(session, &request);
    if (status == QCC_OK)
      return true;
    // Only the destructor cancels; the loop ends then.
    if (status == QCC_E_CANCELLED)
      return false;
    const std::string error = qcc_last_error(session);
    if (status == QCC_E_NO_MEMORY)
      makeRoom(error);
    else
      failRows(error);
  }
  return false;
}

/// Forgets the idle sequence that was used longest ago, or where none has state
/// ends the last admitted job of `rows`, whose state is idle then.
void Scheduler::makeRoom(const std::string &error) {
  Slot *oldest = nullptr, *latest = nullptr;
  for (Slot &slot : slots) {
    if (!slot.job && slot.reusable > 0 &&
        (!oldest || slot.lastUse < oldest->lastUse))
      oldest = &slot;
    bool hasRows = std::find(rows.sequences.begin(), rows.sequences.end(),
                             slot.sequence) != rows.sequences.end();
    if (slot.job && hasRows && (!latest || slot.order > latest->order))
      latest = &slot;
  }
  if (oldest) {
    oldest->reusable = 0;
    qcc_truncate(session, oldest->sequence, 0);
    return;
  }
  rows.remove(latest->sequence);
  finish(*latest, Finish::Error, error);
}

void Scheduler::failRows(const std::string &error) {
  for (Slot &slot : slots)
    if (slot.job && std::find(rows.sequences.begin(), rows.sequences.end(),
                              slot.sequence) != rows.sequences.end())
      finish(slot, Finish::Error, error);
  rows.clear();
}

/// One row for each job that generates, and short prompts where there is room.
/// With more jobs than rows, they take turns.
void Scheduler::generatingStep() {
  rows.clear();
  size_t first = firstGenerating;
  for (size_t i = 0; i < slots.size() && rows.tokens.size() < generateRows;
       ++i) {
    size_t at = (first + i) % slots.size();
    Slot &slot = slots[at];
    firstGenerating = at + 1;
    if (slot.generates()) {
      rows.add(slot, slot.next);
      rows.wantOutput(slot);
    } else if (slot.prompts() && slot.isShort()) {
      while (slot.done < slot.promptSize() && rows.tokens.size() < generateRows)
        rows.add(slot, slot.job->prompt[slot.done++]);
      if (slot.done == slot.promptSize())
        rows.wantOutput(slot);
    }
  }
  if (rows.tokens.empty())
    return;
  double start = now();
  if (!runStep(0))
    return;
  metrics.update([&](Counters &c) {
    ++c.generatingSteps;
    c.generatingRows += rows.tokens.size();
    c.generatingSeconds += now() - start;
  });
  takeTokens();
}

/// Jobs with longer prompts, in the order of their admission.
std::vector<Scheduler::Slot *> Scheduler::slotsWithPrompts() {
  std::vector<Slot *> found;
  for (Slot &slot : slots)
    if (slot.prompts() && !slot.isShort())
      found.push_back(&slot);
  std::sort(found.begin(), found.end(),
            [](const Slot *a, const Slot *b) { return a->order < b->order; });
  return found;
}

/// An earlier job is about to evaluate what this one's prompt goes on with.
bool Scheduler::waitsForAnother(const Slot &slot,
                                const std::vector<Slot *> &earlier) {
  const std::vector<int32_t> &prompt = slot.job->prompt;
  for (const Slot *other : earlier) {
    if (other == &slot)
      return false;
    const std::vector<int32_t> &theirs = other->job->prompt;
    size_t most = std::min(prompt.size() - 1, theirs.size());
    auto end = std::mismatch(prompt.begin(), prompt.begin() + long(most),
                             theirs.begin())
                   .first;
    if (size_t(end - prompt.begin()) >=
        std::max(slot.done, other->done) + worthWaiting)
      return true;
  }
  return false;
}

/// Shares the state of another sequence that has more of the prompt.
void Scheduler::adoptState(Slot &slot) {
  slot.lookForState = false;
  const Slot *best = nullptr;
  size_t common = slot.done;
  for (const Slot &other : slots) {
    if (&other == &slot)
      continue;
    size_t found = commonWithPrompt(other, slot.job->prompt);
    if (found > common) {
      best = &other;
      common = found;
    }
  }
  if (!best)
    return;
  if (qcc_copy(session, best->sequence, slot.sequence, common) != QCC_OK)
    return finish(slot, Finish::Error, qcc_last_error(session));
  slot.reused += common - slot.done;
  slot.done = slot.reusable = common;
}

/// Rows that a prompt step may have now.
size_t Scheduler::promptBudget() const {
  bool company = std::any_of(slots.begin(), slots.end(), [](const Slot &slot) {
    return slot.generates() || (slot.job && slot.isShort());
  });
  size_t budget = 64; // nothing is known yet
  if (secondsPerPromptRow > 0)
    budget = size_t(std::min(double(rowCapacity),
                             (company ? secondsInCompany : secondsAlone) /
                                 secondsPerPromptRow));
  budget = std::max(budget / rowUnit, size_t(1)) * rowUnit;
  return std::min<size_t>(budget, rowCapacity);
}

/// Tokens of prompts, in equal shares of the budget.
void Scheduler::promptStep() {
  std::vector<Slot *> all = slotsWithPrompts(), ready;
  for (Slot *slot : all) {
    if (waitsForAnother(*slot, all)) {
      slot->lookForState = true;
      continue;
    }
    if (slot->lookForState)
      adoptState(*slot);
    if (slot->job)
      ready.push_back(slot);
  }
  if (ready.empty())
    return;
  rows.clear();
  size_t budget = promptBudget();
  size_t share = std::max(budget / ready.size() / rowUnit, size_t(1)) * rowUnit;
  std::vector<Slot *> advanced;
  for (size_t i = 0; i < ready.size() && rows.tokens.size() < budget &&
                     rows.outputs.size() < generateRows;
       ++i) {
    Slot &slot = *ready[(firstPrompt + i) % ready.size()];
    // The last one may have what is left.
    size_t most = i + 1 == ready.size() ? budget : share;
    most = std::min(most, budget - rows.tokens.size());
    size_t end = std::min(slot.promptSize(), slot.done + most);
    advanced.push_back(&slot);
    for (size_t at = slot.done; at < end; ++at)
      rows.add(slot, slot.job->prompt[at]);
    slot.done = end;
    if (end == slot.promptSize())
      rows.wantOutput(slot);
  }
  ++firstPrompt;
  double start = now();
  if (!runStep(QCC_ROWS_PROMPT))
    return;
  double seconds = now() - start;
  if (rows.tokens.size() >= rowUnit) {
    double perRow = seconds / double(rows.tokens.size());
    secondsPerPromptRow = secondsPerPromptRow > 0
                              ? 0.7 * secondsPerPromptRow + 0.3 * perRow
                              : perRow;
  }
  metrics.update([&](Counters &c) {
    ++c.promptSteps;
    c.promptSeconds += seconds;
  });
  for (Slot *slot : advanced)
    if (slot->job) // not one that ended for want of memory
      slot->reusable = slot->done;
  takeTokens();
}

/// Hands each row of logits to the job that wanted it.
void Scheduler::takeTokens() {
  auto *row = reinterpret_cast<float *>(logits.data());
  for (Slot *slot : rows.owners) {
    takeToken(*slot, row);
    row += vocab;
  }
}

/// Chooses the next token of a job and hands on its text.
void Scheduler::takeToken(Slot &slot, float *row) {
  const JobSettings &settings = slot.job->settings;
  std::optional<TokenScore> score;
  // Scored before biases change the row.
  std::vector<float> unbiased;
  if (settings.topLogprobs >= 0 && !settings.bias.empty())
    unbiased.assign(row, row + vocab);
  for (const auto &[token, bias] : settings.bias)
    row[token] += bias;
  int32_t token;
  if (qcc_sample(session, slot.sequence, row, &token) != QCC_OK)
    return finish(slot, Finish::Error, qcc_last_error(session));
  double time = now();
  metrics.update([&](Counters &c) {
    ++c.generatedTokens;
    if (slot.generated == 0)
      c.firstToken.add(time - slot.job->submitted);
    else
      c.nextToken.add(time - slot.lastToken);
  });
  slot.lastToken = time;
  ++slot.generated;
  if (!settings.ignoreEnd && qcc_is_end(model, token))
    return finish(slot, Finish::Stop);
  if (settings.topLogprobs >= 0)
    score = scoreToken(unbiased.empty() ? row : unbiased.data(), vocab, token,
                       size_t(settings.topLogprobs));
  char small[256];
  std::string large;
  size_t bytes = 0;
  std::string_view text;
  if (qcc_piece(model, token, 0, small, sizeof small, &bytes) == QCC_OK) {
    text = {small, bytes};
  } else {
    large.resize(bytes);
    qcc_piece(model, token, 0, large.data(), large.size(), &bytes);
    text = large;
  }
  if (slot.output->push(text, score ? &*score : nullptr))
    return finish(slot, Finish::Stop);
  bool full = qcc_length(session, slot.sequence) >= contextSize;
  if (full || (settings.maxTokens >= 0 &&
               slot.generated >= uint64_t(settings.maxTokens)))
    return finish(slot, Finish::Length);
  slot.next = token;
  if (slot.output->hasText())
    slot.job->deliver(slot.output->take());
}

} // namespace qcc::serve
