//===- Logits.cpp - Logits of every position as an NPY file ---------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "MatmulInputs.h"

#include <cerrno>
#include <cstdlib>

namespace qcc::cli {

/// "1,2,3" as numbers.
static std::vector<int32_t> parseIds(const std::string &text, uint32_t vocab) {
  std::vector<int32_t> ids;
  const char *at = text.c_str();
  while (true) {
    char *end;
    errno = 0;
    long id = strtol(at, &end, 10);
    if (end == at || errno || (*end && *end != ','))
      throw Failure{
          format("--ids: expected numbers with commas, found `%.40s`", at), 2};
    if (id < 0 || id >= long(vocab))
      throw Failure{
          format("--ids: token %ld, expected 0 to %u", id, vocab - 1)};
    ids.push_back(int32_t(id));
    if (!*end)
      return ids;
    at = end + 1;
  }
}

int runLogits(Program &program, const Options &options) {
  uint32_t vocab = program.info().vocab;
  std::vector<int32_t> tokens =
      options.ids.empty()
          ? program.tokenize(options.text,
                             QCC_TOKENIZE_SPECIAL | QCC_TOKENIZE_PARSE)
          : parseIds(options.ids, vocab);
  if (tokens.empty())
    throw Failure{"the prompt is empty", 2};
  program.createSession(options);
  OutputFile file(options.output);
  std::string header = npyHeader(tokens.size(), vocab);
  file.write(header.data(), header.size());
  if (!options.matmulInputs.empty()) {
    writeMatmulInputs(program, options, tokens, file, options.matmulInputs);
    file.commit();
    return 0;
  }

  struct State {
    OutputFile &file;
    size_t rowBytes;
    PromptProgress progress;
    bool failed = false;
    Failure failure = {};
  } state{file, size_t(vocab) * sizeof(float), PromptProgress("logits")};
  qcc_eval_v1 request = {};
  request.struct_size = sizeof request;
  request.tokens = tokens.data();
  request.count = tokens.size();
  request.want = QCC_LOGITS_ALL;
  request.batch = options.batch;
  request.user = &state;
  request.on_logits = [](void *user, size_t, const float *row) -> int32_t {
    State &state = *static_cast<State *>(user);
    try {
      state.file.write(row, state.rowBytes);
    } catch (const Failure &failure) {
      state.failure = failure;
      state.failed = true;
    }
    return state.failed;
  };
  request.on_progress = [](void *user, size_t done, size_t total) -> int32_t {
    static_cast<State *>(user)->progress.update(done, total);
    return 0;
  };
  qcc_status status;
  {
    CancelOnInterrupt cancel(program.session());
    status = qcc_eval(program.session(), &request);
  }
  if (state.failed)
    throw state.failure;
  program.check(status);
  file.commit();
  return 0;
}

} // namespace qcc::cli
