//===- BenchSteps.cpp - Steps that a benchmark times ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "BenchSteps.h"

#include <memory>
#include <numeric>

namespace qcc::cli {

BenchSteps::BenchSteps(Program &program, uint32_t parallel)
    : program(program), rows(parallel) {
  std::iota(rows.begin(), rows.end(), 0);
  if (parallel == 1)
    return;
  constexpr size_t alignment = 64;
  size_t bytes = size_t(parallel) * program.info().vocab * sizeof(float),
         space = bytes + alignment;
  memory.resize(space / sizeof(float));
  void *place = memory.data();
  logits = static_cast<float *>(std::align(alignment, bytes, place, space));
}

double BenchSteps::eval(const std::vector<int32_t> &tokens, uint32_t batch,
                        uint32_t sequence) {
  qcc_eval_v1 request = {};
  request.struct_size = sizeof request;
  request.sequence = sequence;
  request.tokens = tokens.data();
  request.count = tokens.size();
  request.want = QCC_LOGITS_LAST;
  request.batch = batch;
  double start = now();
  program.check(qcc_eval(program.session(), &request));
  return now() - start;
}

void BenchSteps::evalAll(const std::vector<int32_t> &tokens, uint32_t batch) {
  for (uint32_t sequence : rows)
    eval(tokens, batch, sequence);
}

double BenchSteps::generate(const std::vector<int32_t> &tokens) {
  double start = now();
  std::vector<int32_t> ofRows(rows.size());
  for (int32_t token : tokens) {
    ofRows.assign(rows.size(), token);
    if (rows.size() == 1) {
      eval(ofRows, 1);
      continue;
    }
    qcc_rows_v1 step = {};
    step.struct_size = sizeof step;
    step.rows = step.outputs = uint32_t(rows.size());
    step.token = ofRows.data();
    step.sequence = step.output = rows.data();
    step.logits = logits;
    program.check(qcc_step(program.session(), &step));
  }
  return now() - start;
}

void BenchSteps::rewind(uint32_t length) {
  for (uint32_t sequence : rows)
    program.check(qcc_truncate(program.session(), sequence, length));
}

} // namespace qcc::cli
