//===- Verify.cpp - Compare a target with the reference -------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Driver/Verify.h"

#include "qcc-rt/qcc.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/Path.h"

#include <cmath>
#include <cstdlib>
#include <memory>

using namespace qcc;

/// Prose and code, so that common and rare tokens occur; short, since the
/// reference is slow.
static const char kPrompt[] =
    "The capital of France is Paris, a city of two million people. In 1889 it "
    "built the Eiffel Tower.\n\nfor (int i = 0; i < n; ++i) sum += a[i] * 2;";

namespace {
/// Floats with the alignment that steps want.
class FloatBuffer {
public:
  explicit FloatBuffer(size_t count)
      : data(static_cast<float *>(std::aligned_alloc(
            64, (count * sizeof(float) + 63) & ~size_t(63)))) {}
  ~FloatBuffer() { std::free(data); }
  FloatBuffer(const FloatBuffer &) = delete;
  FloatBuffer &operator=(const FloatBuffer &) = delete;
  float *data; ///< Null when there is no memory.
};

/// The file's model for one of its targets.
struct OpenModel {
  qcc_model *model = nullptr;
  qcc_model_info_v1 info{};
  ~OpenModel() { qcc_model_close(model); }
};

/// Trace and logits of all tokens.
struct Outcome {
  std::vector<float> trace;  ///< [layers + 1][tokens][hidden]
  std::vector<float> logits; ///< [tokens][vocab]
};
} // namespace

static llvm::Error openModel(const qcc_api_v1 *api, const char *target,
                             OpenModel &out) {
  char why[QCC_ERROR_BYTES];
  qcc_model_options_v1 options{sizeof options, 0, target};
  if (qcc_model_open(api, &options, &out.model, why, sizeof why))
    return llvm::createStringError(why);
  out.info.struct_size = sizeof out.info;
  qcc_model_info(out.model, &out.info);
  return llvm::Error::success();
}

/// Feeds `tokens`, `batch` at a time. A batch of 1 is what generation does.
static llvm::Expected<Outcome> runTokens(const OpenModel &model,
                                         llvm::ArrayRef<int32_t> tokens,
                                         size_t batch, unsigned threads) {
  const qcc_model_info_v1 &info = model.info;
  char why[QCC_ERROR_BYTES];
  qcc_session_options_v1 options = QCC_SESSION_OPTIONS_INIT;
  options.threads = threads;
  qcc_session *session = nullptr;
  if (qcc_session_create(model.model, &options, &session, why, sizeof why))
    return llvm::createStringError(why);
  auto destroy = llvm::scope_exit([&] { qcc_session_destroy(session); });

  size_t layers = info.layers + 1;
  Outcome outcome;
  outcome.trace.resize(layers * tokens.size() * info.hidden);
  outcome.logits.resize(tokens.size() * info.vocab);
  batch = std::min<size_t>(batch, info.row_capacity);
  FloatBuffer trace(layers * batch * info.hidden), logits(batch * info.vocab);
  if (!trace.data || !logits.data)
    return llvm::createStringError("not enough memory");
  for (size_t first = 0; first < tokens.size(); first += batch) {
    size_t rows = std::min(batch, tokens.size() - first);
    std::vector<uint32_t> sequence(rows, 0), output(rows);
    for (size_t i = 0; i < rows; ++i)
      output[i] = uint32_t(i);
    qcc_rows_v1 step{};
    step.struct_size = sizeof step;
    step.flags = batch > 1 ? QCC_ROWS_PROMPT : 0;
    step.rows = step.outputs = uint32_t(rows);
    step.token = tokens.data() + first;
    step.sequence = sequence.data();
    step.output = output.data();
    step.logits = logits.data;
    step.trace = trace.data;
    if (qcc_step(session, &step))
      return llvm::createStringError(qcc_last_error(session));
    std::copy_n(logits.data, rows * info.vocab,
                outcome.logits.begin() + ptrdiff_t(first * info.vocab));
    for (size_t layer = 0; layer < layers; ++layer)
      std::copy_n(trace.data + layer * rows * info.hidden, rows * info.hidden,
                  outcome.trace.begin() +
                      ptrdiff_t((layer * tokens.size() + first) * info.hidden));
  }
  return outcome;
}

static Distance distance(llvm::ArrayRef<float> expected,
                         llvm::ArrayRef<float> got) {
  Distance result;
  double error = 0, size = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    double difference = std::abs(double(got[i]) - double(expected[i]));
    // A NaN is as far as can be.
    if (!(difference <= result.maxAbs))
      result.maxAbs = std::isnan(difference) ? INFINITY : difference;
    error += difference * difference;
    size += double(expected[i]) * double(expected[i]);
  }
  result.relativeRms = size > 0 ? std::sqrt(error / size) : std::sqrt(error);
  return result;
}

static double logSumExp(llvm::ArrayRef<float> logits) {
  double peak = *std::max_element(logits.begin(), logits.end()), sum = 0;
  for (float logit : logits)
    sum += std::exp(logit - peak);
  return peak + std::log(sum);
}

/// KL divergence of the distribution of `got` from that of `expected`.
static double divergence(llvm::ArrayRef<float> expected,
                         llvm::ArrayRef<float> got) {
  double logP = logSumExp(expected), logQ = logSumExp(got), sum = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    double p = expected[i] - logP;
    sum += std::exp(p) * (p - (got[i] - logQ));
  }
  return sum;
}

static VerifyRun compare(llvm::StringRef name, const Outcome &expected,
                         const Outcome &got, const qcc_model_info_v1 &info,
                         size_t tokens) {
  VerifyRun run;
  run.name = name.str();
  size_t block = tokens * info.hidden;
  for (size_t layer = 0; layer <= info.layers; ++layer)
    run.layers.push_back(
        distance(llvm::ArrayRef(expected.trace).slice(layer * block, block),
                 llvm::ArrayRef(got.trace).slice(layer * block, block)));
  run.logits = distance(expected.logits, got.logits);
  size_t same = 0;
  for (size_t i = 0; i < tokens; ++i) {
    auto p = llvm::ArrayRef(expected.logits).slice(i * info.vocab, info.vocab);
    auto q = llvm::ArrayRef(got.logits).slice(i * info.vocab, info.vocab);
    double kl = divergence(p, q);
    run.meanKL += kl / double(tokens);
    run.maxKL = kl <= run.maxKL ? run.maxKL : kl;
    same += std::max_element(p.begin(), p.end()) - p.begin() ==
            std::max_element(q.begin(), q.end()) - q.begin();
  }
  run.top1 = double(same) / double(tokens);
  return run;
}

/// Tokens of `prompt`, or of the fixed text; for a model without a tokenizer
/// some ids from all of its vocabulary.
static llvm::Expected<std::vector<int32_t>> makeTokens(const OpenModel &model,
                                                       llvm::StringRef prompt) {
  llvm::StringRef text = prompt.empty() ? kPrompt : prompt;
  std::vector<int32_t> tokens(text.size() + 8);
  size_t count = 0;
  qcc_status status =
      qcc_tokenize(model.model, text.data(), text.size(), QCC_TOKENIZE_SPECIAL,
                   tokens.data(), tokens.size(), &count);
  if (status == QCC_E_TOKENIZER && prompt.empty()) {
    constexpr size_t kCount = 48;
    tokens.resize(std::min<size_t>(kCount, model.info.context));
    for (size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = int32_t((i + 1) * 2654435761u % model.info.vocab);
    return tokens;
  }
  if (status == QCC_E_TOKENIZER)
    return llvm::createStringError("the model has no tokenizer for --prompt");
  if (status != QCC_OK)
    return llvm::createStringError("the prompt cannot be tokenized");
  tokens.resize(count);
  if (tokens.empty())
    return llvm::createStringError("the prompt has no tokens");
  return tokens;
}

llvm::Expected<std::vector<VerifyRun>>
qcc::verify(const VerifyOptions &options) {
  const TargetSpec *target = options.compile.targets.front();
  const TargetSpec *reference = findTarget("reference");

  llvm::SmallString<128> folder;
  if (std::error_code code =
          llvm::sys::fs::createUniqueDirectory("qcc-verify", folder))
    return llvm::createStringError("temporary folder: " + code.message());
  auto remove = llvm::scope_exit(
      [&] { (void)llvm::sys::fs::remove_directories(folder); });
  llvm::SmallString<128> library = folder;
  llvm::sys::path::append(library, "model.so");

  CompileOptions compileOptions = options.compile;
  compileOptions.output = library.str().str();
  compileOptions.emit = EmitKind::Artefact;
  compileOptions.targets = {reference};
  if (target != reference)
    compileOptions.targets.push_back(target);
  if (llvm::Error error = compile(compileOptions))
    return error;

  char why[QCC_ERROR_BYTES];
  const qcc_api_v1 *api = qcc_load(library.c_str(), nullptr, why, sizeof why);
  if (!api)
    return llvm::createStringError(why);
  OpenModel expected, got;
  if (llvm::Error error = openModel(api, reference->name, expected))
    return error;
  if (llvm::Error error = openModel(api, target->name, got))
    return error;

  auto tokens = makeTokens(got, options.prompt);
  if (!tokens)
    return tokens.takeError();
  auto exact = runTokens(expected, *tokens, 64, options.threads);
  if (!exact)
    return exact.takeError();
  std::vector<VerifyRun> runs;
  for (auto [name, batch] :
       {std::pair<const char *, size_t>{"prompt", 512}, {"decode", 1}}) {
    auto outcome = runTokens(got, *tokens, batch, options.threads);
    if (!outcome)
      return outcome.takeError();
    runs.push_back(compare(name, *exact, *outcome, got.info, tokens->size()));
  }
  return runs;
}

void qcc::printVerification(llvm::ArrayRef<VerifyRun> runs,
                            llvm::raw_ostream &os) {
  os << "residual stream against the reference: largest difference, rms "
        "relative to the values\n\n";
  os << llvm::left_justify("", 12);
  for (const VerifyRun &run : runs)
    os << llvm::right_justify(run.name, 24);
  os << '\n';
  auto line = [&](const llvm::Twine &name,
                  llvm::function_ref<Distance(const VerifyRun &)> get) {
    os << llvm::left_justify(name.str(), 12);
    for (const VerifyRun &run : runs) {
      Distance d = get(run);
      os << llvm::format("  %11.3e%11.3e", d.maxAbs, d.relativeRms);
    }
    os << '\n';
  };
  for (size_t layer = 0; layer < runs.front().layers.size(); ++layer)
    line(layer == 0 ? llvm::Twine("embedding")
                    : "layer " + llvm::Twine(layer - 1),
         [&](const VerifyRun &run) { return run.layers[layer]; });
  line("logits", [](const VerifyRun &run) { return run.logits; });
  os << '\n';
  for (const VerifyRun &run : runs)
    os << llvm::left_justify(run.name, 12)
       << llvm::format("mean KL %.3e, max KL %.3e, same most likely token %.1f "
                       "%%\n",
                       run.meanKL, run.maxKL, run.top1 * 100);
}
