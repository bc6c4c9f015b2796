//===- Answer.h - Generating and showing text -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CLI_ANSWER_H
#define QCC_RUNTIME_CLI_ANSWER_H

#include "Program.h"

namespace qcc::cli {

struct Answer {
  std::string text;
  qcc_generated_v1 numbers = {};
  bool cancelled = false;
};

/// Appends `tokens` to sequence 0 and prints the continuation as it comes.
/// Ctrl-C ends it early.
Answer generateAnswer(Program &program, const Options &options,
                      const std::vector<int32_t> &tokens);

/// What --verbose shows on stderr.
void noteSettings(const Program &program, const Options &options);
void noteSpeed(const Program &program, const Answer &answer);

} // namespace qcc::cli

#endif // QCC_RUNTIME_CLI_ANSWER_H
