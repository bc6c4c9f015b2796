//===- Metrics.cpp - What the server counts -------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Metrics.h"

#include "cli/Program.h"

namespace qcc::serve {

void Histogram::add(double seconds) {
  size_t i = 0;
  while (i < std::size(bounds) && seconds > bounds[i])
    ++i;
  ++counts[i];
  sum += seconds;
}

namespace {

/// Appends lines of the format. Values have all digits of a double.
class Writer {
public:
  explicit Writer(std::string &out) : out(out) {}

  void head(const char *name, const char *type, const char *help) {
    out += cli::format("# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
  }
  void line(const char *name, const std::string &labels, double value) {
    out += cli::format("%s%s %.17g\n", name, labels.c_str(), value);
  }
  void one(const char *name, const char *type, const char *help, double value) {
    head(name, type, help);
    line(name, "", value);
  }
  void histogram(const char *name, const char *help, const Histogram &values) {
    head(name, "histogram", help);
    std::string bucket = std::string(name) + "_bucket";
    uint64_t sum = 0;
    for (size_t i = 0; i < std::size(values.counts); ++i) {
      sum += values.counts[i];
      std::string bound = i < std::size(Histogram::bounds)
                              ? cli::format("%g", Histogram::bounds[i])
                              : "+Inf";
      line(bucket.c_str(), "{le=\"" + bound + "\"}", double(sum));
    }
    line((std::string(name) + "_sum").c_str(), "", values.sum);
    line((std::string(name) + "_count").c_str(), "", double(sum));
  }

private:
  std::string &out;
};

/// A label's value: backslash, quote and line end are escaped.
std::string label(const std::string &text) {
  std::string out;
  for (char c : text) {
    if (c == '\\' || c == '"')
      out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

} // namespace

std::string prometheusText(const Counters &c, const std::string &model) {
  std::string out;
  Writer w(out);
  w.head("qcc_model_info", "gauge", "The model that is served.");
  w.line("qcc_model_info", "{model=\"" + label(model) + "\"}", 1);
  w.one("qcc_prompt_tokens_total", "counter", "Tokens of prompts.",
        double(c.promptTokens));
  w.one("qcc_prompt_tokens_reused_total", "counter",
        "Tokens of prompts whose state was there already.",
        double(c.reusedTokens));
  w.one("qcc_generated_tokens_total", "counter", "Generated tokens.",
        double(c.generatedTokens));
  w.one("qcc_prompt_steps_total", "counter", "Steps over prompts.",
        double(c.promptSteps));
  w.one("qcc_prompt_seconds_total", "counter", "Seconds of these steps.",
        c.promptSeconds);
  w.one("qcc_generating_steps_total", "counter", "Generating steps.",
        double(c.generatingSteps));
  w.one("qcc_generating_rows_total", "counter",
        "Rows of generating steps: divided by the steps, how many requests "
        "share a step.",
        double(c.generatingRows));
  w.one("qcc_generating_seconds_total", "counter", "Seconds of these steps.",
        c.generatingSeconds);
  w.one("qcc_requests_running", "gauge", "Answers that are being generated.",
        c.running);
  w.one("qcc_requests_waiting", "gauge", "Answers that wait for a sequence.",
        c.waiting);
  w.one("qcc_requests_refused_total", "counter",
        "Requests refused because the queue was full.", double(c.refused));
  w.one("qcc_state_bytes", "gauge", "Bytes of state (KV cache) in use.",
        double(c.stateBytes));
  w.head("qcc_answers_total", "counter", "Answers that ended, by why.");
  const char *reasons[] = {"stop", "length", "cancelled", "timeout", "error"};
  for (size_t i = 0; i < std::size(reasons); ++i)
    w.line("qcc_answers_total", std::string("{reason=\"") + reasons[i] + "\"}",
           double(c.finished[i]));
  w.histogram("qcc_time_to_first_token_seconds",
              "From a request to its first token.", c.firstToken);
  w.histogram("qcc_time_per_token_seconds", "From one token to the next.",
              c.nextToken);
  w.histogram("qcc_answer_seconds", "From a request to its end.", c.whole);
  return out;
}

} // namespace qcc::serve
