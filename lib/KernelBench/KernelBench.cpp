//===- KernelBench.cpp - One matmul alone, beside others' -----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/KernelBench/KernelBench.h"

#include "qcc/Formats/PackedWeight.h"
#include "qcc/Support/Peak.h"
#include "qcc/Transforms/Transforms.h"
#include "BenchWeights.h"
#include "BitsandbytesMatmul.h"
#include "CompiledKernel.h"
#include "GgmlMatmul.h"
#include "RandomBlocks.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <sys/resource.h>
#include <unistd.h>

using namespace qcc;
using namespace qcc::bench;

/// Weights of this size and more are copied until no cache holds them.
static constexpr size_t kMemoryBytes = size_t(4) << 20;
static constexpr size_t kAllCopies = size_t(256) << 20;
static constexpr double kRoundSeconds = 0.2;
/// Elements of the result that are compared with the scalar meaning.
static constexpr size_t kComparedTokens = 4, kComparedRows = 64;
static constexpr uint64_t kMostElements = uint64_t(1) << 31;

static double now() {
  auto time = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(time).count();
}

double KernelBenchResult::median() const {
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  return sorted.empty() ? 0 : sorted[sorted.size() / 2];
}

double KernelBenchReport::limit() const {
  double multiply = macs() / macPeak;
  return fromMemory ? std::max(multiply, double(weightBytes) / bandwidth)
                    : multiply;
}

//===----------------------------------------------------------------------===//
// What is asked for
//===----------------------------------------------------------------------===//

static llvm::Expected<CompiledKernel::Shape>
parseShape(const std::string &text) {
  llvm::SmallVector<llvm::StringRef> parts;
  llvm::StringRef(text).split(parts, 'x');
  uint64_t sizes[3] = {};
  bool isShape = parts.size() == 3;
  for (size_t i = 0; isShape && i < 3; ++i)
    isShape = !parts[i].getAsInteger(10, sizes[i]) && sizes[i] > 0 &&
              sizes[i] <= kMostElements;
  auto isTooLarge = [&](uint64_t a, uint64_t b) {
    return a > kMostElements / b;
  };
  if (!isShape || isTooLarge(sizes[0], sizes[1]) ||
      isTooLarge(sizes[1], sizes[2]) || isTooLarge(sizes[0], sizes[2]))
    return llvm::createStringError("expected a shape MxNxK such as "
                                   "1x4096x4096, got '" +
                                   text + "'");
  return CompiledKernel::Shape{sizes[1], sizes[2], sizes[0]};
}

/// What a process may have: the memory of the machine, or its limit.
static double availableMemory() {
  double bytes =
      double(sysconf(_SC_PHYS_PAGES)) * double(sysconf(_SC_PAGESIZE));
  rlimit limit;
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    bytes = std::min(bytes, double(limit.rlim_cur));
  return bytes;
}

/// An error where what the sides need is more than there is.
static llvm::Error checkMemory(const CompiledKernel::Shape &shape,
                               size_t weightBytes, size_t copies, int sides) {
  double inputs = double(shape.tokens) * double(shape.columns) * sizeof(float);
  double results = double(shape.tokens) * double(shape.rows) * sizeof(float);
  // Activations are at most as large as the input.
  double needed =
      double(weightBytes) + inputs +
      sides * (double(weightBytes) * double(copies) + 2 * inputs + results);
  double there = availableMemory();
  if (needed <= there)
    return llvm::Error::success();
  return llvm::createStringError("%.1f GB are needed, and there are %.1f GB",
                                 needed * 1e-9, there * 1e-9);
}

//===----------------------------------------------------------------------===//
// The scalar meaning
//===----------------------------------------------------------------------===//

namespace {
/// Results of some tokens and rows, spread over all, in double precision.
class Meaning {
public:
  Meaning(const CompiledKernel::Shape &shape, const BenchWeights &weights,
          const std::vector<float> &input)
      : shape(shape) {
    std::vector<float> row;
    for (size_t i = 0; i < rows(); ++i) {
      weights.decode(rowAt(i), row);
      for (size_t t = 0; t < tokens(); ++t) {
        const float *x = input.data() + tokenAt(t) * shape.columns;
        double sum = 0;
        for (size_t k = 0; k < shape.columns; ++k)
          sum += double(row[k]) * double(x[k]);
        values.push_back(sum);
      }
    }
  }

  /// `value(token, row)` against the meaning, as the root mean square of
  /// differences over that of values.
  double errorOf(llvm::function_ref<double(size_t, size_t)> value) const {
    double error = 0, size = 0;
    for (size_t i = 0; i < rows(); ++i)
      for (size_t t = 0; t < tokens(); ++t) {
        double expected = values[i * tokens() + t];
        double difference = value(tokenAt(t), rowAt(i)) - expected;
        error += difference * difference;
        size += expected * expected;
      }
    return size > 0 ? std::sqrt(error / size) : std::sqrt(error);
  }

private:
  size_t rows() const { return std::min(shape.rows, kComparedRows); }
  size_t tokens() const { return std::min(shape.tokens, kComparedTokens); }
  size_t rowAt(size_t i) const { return i * shape.rows / rows(); }
  size_t tokenAt(size_t t) const { return t * shape.tokens / tokens(); }

  CompiledKernel::Shape shape;
  std::vector<double> values;
};
} // namespace

//===----------------------------------------------------------------------===//
// Measuring
//===----------------------------------------------------------------------===//

/// Seconds of one run(copy), of as many as make a round.
static double timeRound(size_t copies, llvm::function_ref<void(size_t)> run) {
  double start = now(), seconds = 0;
  size_t count = 0;
  do {
    run(count++ % copies);
    seconds = now() - start;
  } while (seconds < kRoundSeconds);
  return seconds / double(count);
}

llvm::Expected<KernelBenchReport>
qcc::benchKernel(const KernelBenchOptions &options) {
  llvm::Expected<const TargetSpec *> native = detectNativeTarget();
  if (!native)
    return native.takeError();
  if (options.target->cpuFeatures & ~(*native)->cpuFeatures)
    return llvm::createStringError(
        "this machine lacks the instructions of target '" +
        llvm::Twine(options.target->name) + "'");
  if (llvm::Error error = allowTarget(*options.target))
    return error;
  llvm::Expected<BenchFormat> format = BenchFormat::find(options.format);
  if (!format)
    return format.takeError();
  if (!options.ggml.empty() && !format->ggml)
    return llvm::createStringError("ggml has no type '" + options.format + "'");
  if (!options.bitsandbytes.empty() && llvm::StringRef(format->name()) != "nf4")
    return llvm::createStringError("bitsandbytes has no matmul of format '" +
                                   options.format + "' on CPUs (formats: nf4)");
  llvm::Expected<CompiledKernel::Shape> shape = parseShape(options.shape);
  if (!shape)
    return shape.takeError();
  llvm::Expected<Encoding> encoding = format->encodingFor(shape->columns);
  if (!encoding)
    return encoding.takeError();
  KernelBenchReport report;
  report.format = format->name();
  report.target = options.target->name;
  report.tokens = shape->tokens;
  report.rows = shape->rows;
  report.columns = shape->columns;

  report.weightBytes =
      format->ggml ? shape->rows * format->ggml->rowBytes(shape->columns)
                   : PackedWeight(*encoding, shape->columns).bytes(shape->rows);
  report.fromMemory = report.weightBytes >= kMemoryBytes;
  size_t copies =
      report.fromMemory ? 1 + (kAllCopies - 1) / report.weightBytes : 1;
  int sides = 1 + !options.ggml.empty() + !options.bitsandbytes.empty();
  if (llvm::Error error =
          checkMemory(*shape, report.weightBytes, copies, sides))
    return error;
  BenchWeights weights(*format, *encoding, shape->rows, shape->columns);
  std::vector<float> input = randomFloats(shape->tokens * shape->columns);

  ScheduleOptions steps;
  bool isPrompt = int64_t(shape->tokens) > steps.generateRows;
  qz::Activations kind = isPrompt ? steps.prompt : steps.generate;
  if (!options.activations.empty())
    kind = *qz::symbolizeActivations(options.activations);
  auto kernel = CompiledKernel::create(
      *encoding, *shape, {kind, isPrompt, options.target, copies});
  if (!kernel)
    return kernel.takeError();
  report.activations = qz::stringifyActivations((*kernel)->kind()).str();
  (*kernel)->setWeights(
      [&](size_t row, Fields &fields) { weights.fields(row, fields); });
  std::copy(input.begin(), input.end(), (*kernel)->input());

  const PeerShape peerShape = {shape->rows, shape->columns, shape->tokens};
  std::vector<std::unique_ptr<Peer>> peers;
  auto add = [&](llvm::Expected<std::unique_ptr<Peer>> made) -> llvm::Error {
    if (!made)
      return made.takeError();
    report.results.push_back({(*made)->name(), (*made)->layout(), {}, 0});
    peers.push_back(std::move(*made));
    return llvm::Error::success();
  };
  report.results.push_back({"qcc", "R16K4", {}, 0});
  if (!options.ggml.empty())
    if (llvm::Error error =
            add(GgmlMatmul::create(options.ggml, format->ggml->id, peerShape,
                                   weights.blocks(), input, copies)))
      return std::move(error);
  if (!options.bitsandbytes.empty())
    if (llvm::Error error =
            add(BitsandbytesMatmul::create(options.bitsandbytes, *encoding,
                                           peerShape, weights, input, copies)))
      return std::move(error);

  report.macPeak = dotPeak(1).macsPerSecond;
  report.bandwidth = report.fromMemory ? readMemory(1) : 0;
  auto runOurs = [&](size_t copy) {
    (*kernel)->quantize();
    (*kernel)->multiply(copy);
  };
  for (unsigned round = 0; round <= options.rounds; ++round) {
    std::vector<double> seconds = {timeRound(copies, runOurs)};
    for (const std::unique_ptr<Peer> &peer : peers) {
      bool isDone = true;
      seconds.push_back(timeRound(
          copies, [&](size_t copy) { isDone &= peer->multiply(copy); }));
      if (!isDone)
        return llvm::createStringError(llvm::Twine(peer->name()) + " failed");
    }
    if (round == 0) // warms up
      continue;
    for (auto [result, time] : llvm::zip_equal(report.results, seconds))
      result.seconds.push_back(time);
  }

  Meaning meaning(*shape, weights, input);
  report.results[0].error = meaning.errorOf([&](size_t token, size_t row) {
    return double((*kernel)->result(token)[row]);
  });
  for (auto [i, peer] : llvm::enumerate(peers)) {
    std::vector<float> values = peer->results();
    report.results[i + 1].error =
        meaning.errorOf([&](size_t token, size_t row) {
          return double(values[token * shape->rows + row]);
        });
  }
  return report;
}

//===----------------------------------------------------------------------===//
// Printing
//===----------------------------------------------------------------------===//

static void printJson(const KernelBenchReport &report, llvm::raw_ostream &os) {
  llvm::json::OStream json(os);
  json.object([&] {
    json.attribute("format", report.format);
    json.attribute("m", int64_t(report.tokens));
    json.attribute("n", int64_t(report.rows));
    json.attribute("k", int64_t(report.columns));
    json.attribute("target", report.target);
    json.attribute("activations", report.activations);
    json.attribute("weight_bytes", int64_t(report.weightBytes));
    json.attribute("from_memory", report.fromMemory);
    json.attribute("memory_bytes_per_second", report.bandwidth);
    json.attribute("peak_macs_per_second", report.macPeak);
    json.attributeArray("results", [&] {
      for (const KernelBenchResult &result : report.results)
        json.object([&] {
          json.attribute("name", result.name);
          json.attribute("layout", result.layout);
          json.attribute("seconds", result.median());
          json.attributeArray("rounds", [&] {
            for (double seconds : result.seconds)
              json.value(seconds);
          });
          json.attribute("share_of_limit", report.limit() / result.median());
          json.attribute("relative_error", result.error);
        });
    });
  });
  os << '\n';
}

void qcc::printKernelBench(const KernelBenchReport &report, bool json,
                           llvm::raw_ostream &os) {
  if (json)
    return printJson(report, os);
  os << report.format << ' ' << report.tokens << 'x' << report.rows << 'x'
     << report.columns << " for " << report.target << ", activations "
     << report.activations << ", one thread\n"
     << llvm::format("%.2f MB of weights from %s; limits: ",
                     double(report.weightBytes) * 1e-6,
                     report.fromMemory ? "memory" : "caches");
  if (report.fromMemory)
    os << llvm::format("%.1f GB/s, ", report.bandwidth * 1e-9);
  os << llvm::format("%.1f GMAC/s\n\n", report.macPeak * 1e-9)
     << "                    us  (lowest - highest)    GB/s   GMAC/s  share of "
        "limit  error\n";
  for (const KernelBenchResult &result : report.results) {
    double seconds = result.median();
    auto [low, high] =
        std::minmax_element(result.seconds.begin(), result.seconds.end());
    os << llvm::left_justify(result.name, 12)
       << llvm::format("%10.2f  (%.2f - %.2f)", seconds * 1e6, *low * 1e6,
                       *high * 1e6)
       << llvm::format("  %6.1f  %7.1f  %14.2f  %.2g  ",
                       double(report.weightBytes) / seconds * 1e-9,
                       report.macs() / seconds * 1e-9, report.limit() / seconds,
                       result.error)
       << result.layout << '\n';
  }
}
