//===- Perplexity.cpp - Perplexity and KL divergence on a text ------------===//
// SPDX-License-Identifier: Apache-2.0
//
// llama-perplexity's rule: the text is cut into chunks of --ctx tokens, each
// evaluated on its own with its first token replaced by bos if the model wants
// one, and only the second half of each chunk is scored.
//===----------------------------------------------------------------------===//

#include "KLBase.h"

#include <algorithm>
#include <cmath>

namespace qcc::cli {

namespace {

/// Mean and standard error of a stream of numbers.
struct Mean {
  double sum = 0, squares = 0;
  size_t count = 0;
  void add(double value) {
    sum += value;
    squares += value * value;
    ++count;
  }
  double mean() const { return count ? sum / double(count) : 0; }
  double error() const {
    if (count < 2)
      return 0;
    double variance = squares / double(count) - mean() * mean();
    return variance > 0 ? std::sqrt(variance / double(count - 1)) : 0;
  }
};

/// What is measured at each scored position.
struct Scores {
  Mean nll;     // -log p(next token)
  Mean baseNll; // the same of the base
  Mean kl;      // sum p_base log(p_base / p)
  size_t sameTop = 0;
  std::vector<double> divergences;
};

} // namespace

static double logSumExp(const float *logits, uint32_t vocab) {
  float largest = *std::max_element(logits, logits + vocab);
  double sum = 0;
  for (uint32_t i = 0; i < vocab; ++i)
    sum += std::exp(double(logits[i] - largest));
  return double(largest) + std::log(sum);
}

static void score(Scores &scores, const float *logits, uint32_t vocab,
                  int32_t next, const KLRow *base) {
  double normalizer = logSumExp(logits, vocab);
  scores.nll.add(normalizer - double(logits[next]));
  if (!base)
    return;
  // The base's codes are rounded: its probabilities are brought back to a sum
  // of 1, without which the rounding would look like divergence.
  double sum = 0, total = 0;
  uint32_t top = 0, baseTop = 0;
  for (uint32_t i = 0; i < vocab; ++i) {
    double expected = base->logProbability(i);
    double weight = std::exp(expected);
    total += weight;
    sum += weight * (expected - (double(logits[i]) - normalizer));
    if (logits[i] > logits[top])
      top = i;
    if (base->code(i) > base->code(baseTop))
      baseTop = i;
  }
  double divergence = sum / total - std::log(total);
  scores.baseNll.add(-base->logProbability(uint32_t(next)));
  scores.kl.add(divergence);
  scores.divergences.push_back(divergence);
  scores.sameTop += top == baseTop;
}

/// Evaluates one chunk and scores its second half.
static void runChunk(Program &program, const Options &options,
                     const std::vector<int32_t> &chunk, KLReader *base,
                     KLWriter *save, Scores &scores) {
  size_t first = chunk.size() / 2;
  qcc_session *session = program.session();
  program.check(qcc_reset(session, 0));
  struct State {
    Scores &scores;
    const std::vector<int32_t> &chunk;
    uint32_t vocab;
    size_t first;
    KLReader *base;
    KLWriter *save;
    bool failed = false;
    Failure failure = {};
  } state{scores, chunk, program.info().vocab, first, base, save};
  qcc_eval_v1 request = {};
  request.struct_size = sizeof request;
  request.batch = options.batch;
  request.tokens = chunk.data();
  request.count = first;
  request.want = QCC_LOGITS_NONE;
  program.check(qcc_eval(session, &request));
  request.tokens = chunk.data() + first;
  request.count = chunk.size() - first;
  request.want = QCC_LOGITS_ALL;
  request.user = &state;
  request.on_logits = [](void *user, size_t index,
                         const float *logits) -> int32_t {
    State &state = *static_cast<State *>(user);
    size_t position = state.first + index;
    if (position + 1 >= state.chunk.size())
      return 0; // what follows the last token is not known
    try {
      if (state.save)
        state.save->add(logits);
      const KLRow *row = state.base ? &state.base->next() : nullptr;
      score(state.scores, logits, state.vocab, state.chunk[position + 1], row);
    } catch (const Failure &failure) {
      state.failure = failure;
      state.failed = true;
    }
    return state.failed;
  };
  qcc_status status = qcc_eval(session, &request);
  if (state.failed)
    throw state.failure;
  program.check(status);
}

static void report(const Scores &scores, size_t chunks, uint32_t context,
                   bool json) {
  double perplexity = std::exp(scores.nll.mean());
  double error = perplexity * scores.nll.error();
  if (json) {
    std::string text = format(
        "{\"chunks\": %zu, \"ctx\": %u, \"tokens\": %zu, \"perplexity\": %.9g, "
        "\"perplexity_error\": %.9g, \"nll\": %.12g",
        chunks, context, scores.nll.count, perplexity, error,
        scores.nll.mean());
    if (scores.kl.count) {
      std::vector<double> sorted = scores.divergences;
      std::sort(sorted.begin(), sorted.end());
      text +=
          format(", \"base_perplexity\": %.9g, \"kl\": %.9g, "
                 "\"kl_error\": %.9g, \"kl_median\": %.9g, "
                 "\"kl_max\": %.9g, \"same_top\": %.9g",
                 std::exp(scores.baseNll.mean()), scores.kl.mean(),
                 scores.kl.error(), sorted[sorted.size() / 2], sorted.back(),
                 double(scores.sameTop) / double(scores.kl.count));
    }
    print(text + "}\n");
    return;
  }
  printFormatted("perplexity      %.4f +/- %.5f (%zu chunks of %u tokens)\n",
                 perplexity, error, chunks, context);
  if (!scores.kl.count)
    return;
  std::vector<double> sorted = scores.divergences;
  std::sort(sorted.begin(), sorted.end());
  printFormatted("base            %.4f\n", std::exp(scores.baseNll.mean()));
  printFormatted("KL divergence   %.6f +/- %.6f, median %.6f, largest %.6f\n",
                 scores.kl.mean(), scores.kl.error(), sorted[sorted.size() / 2],
                 sorted.back());
  printFormatted("same top token  %.3f %%\n",
                 100 * double(scores.sameTop) / double(scores.kl.count));
}

int runPerplexity(Program &program, const Options &options) {
  uint32_t vocab = program.info().vocab;
  uint32_t context = options.chunkContext;
  std::vector<int32_t> tokens;
  std::unique_ptr<KLReader> base;
  if (!options.klBase.empty()) {
    base = std::make_unique<KLReader>(options.klBase, vocab);
    context = base->context();
    tokens = base->tokens();
  } else {
    tokens = program.tokenize(readFile(options.file), QCC_TOKENIZE_SPECIAL);
  }
  if (context < 4)
    throw Failure{format("--ctx is %u, expected 4 or more", context), 2};
  size_t chunks = tokens.size() / context;
  if (chunks == 0)
    throw Failure{format("the text has %zu tokens, expected at least one chunk "
                         "of %u",
                         tokens.size(), context)};
  if (options.chunks)
    chunks = std::min(chunks, size_t(options.chunks));
  tokens.resize(chunks * context);
  program.createSession(options, context);

  std::unique_ptr<KLWriter> save;
  if (!options.saveBase.empty())
    save = std::make_unique<KLWriter>(options.saveBase, vocab, context, tokens);
  Scores scores;
  {
    CancelOnInterrupt cancel(program.session());
    PromptProgress progress("perplexity");
    for (size_t i = 0; i < chunks; ++i) {
      std::vector<int32_t> chunk(tokens.begin() + long(i * context),
                                 tokens.begin() + long((i + 1) * context));
      if (program.info().add_bos && program.info().bos >= 0)
        chunk[0] = program.info().bos;
      runChunk(program, options, chunk, base.get(), save.get(), scores);
      progress.update((i + 1) * context, chunks * context);
    }
  }
  if (save)
    save->commit();
  report(scores, chunks, context, options.json);
  return 0;
}

} // namespace qcc::cli
